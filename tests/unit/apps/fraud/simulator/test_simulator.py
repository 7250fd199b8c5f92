"""The simulator: the same settings make the same payments, robbed at the rates that were asked for."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from tallystick.apps.fraud.payments import CHANNELS
from tallystick.apps.fraud.simulator import KINDS_OF_FRAUD, Simulated, SimulatorSettings, simulate
from tallystick.errors import DataError

COLUMNS = (
    "bank",
    "at",
    "amount",
    "customer",
    "payee",
    "terminal",
    "device",
    "channel",
    "kind",
    "reported_at",
)
DAY = 86_400_000_000
SETTINGS = SimulatorSettings(payments=60_000, days=40, seed=5)


@pytest.fixture(scope="module")
def made() -> Simulated:
    return simulate(SETTINGS)


def test_the_same_settings_make_the_same_bits(made: Simulated) -> None:
    again = simulate(SETTINGS)
    for name in COLUMNS:
        assert getattr(made, name).tobytes() == getattr(again, name).tobytes()
    other = simulate(SimulatorSettings(payments=60_000, days=40, seed=6))
    assert other.amount.tobytes() != made.amount.tobytes()


def test_there_are_as_many_payments_as_asked_for_in_strict_order_of_time(made: Simulated) -> None:
    assert len(made) == 60_000
    assert (np.diff(made.at) > 0).all()
    assert made.at[0] >= SETTINGS.start
    assert made.at[-1] < SETTINGS.start + 40 * DAY + DAY
    assert set(made.bank.tolist()) == {0, 1, 2}


def test_every_kind_of_fraud_is_there_and_frauds_are_rare(made: Simulated) -> None:
    counts = np.bincount(made.kind, minlength=len(KINDS_OF_FRAUD))
    assert (counts[1:] > 10).all()
    assert 0.003 < made.fraud.mean() < 0.03
    assert made.summary()["frauds"] == dict(zip(KINDS_OF_FRAUD[1:], counts[1:].tolist(), strict=True))


def test_large_amounts_at_terminals_are_all_fraud(made: Simulated) -> None:
    at_terminal = made.channel == CHANNELS.index("card")
    large = at_terminal & (made.amount > 22_000)
    assert large.any()
    assert (made.kind[large] > 0).all()


def test_compromised_terminals_rob_customers_of_several_banks_for_at_most_28_days(made: Simulated) -> None:
    robbed = made.kind == 2
    shared = 0
    for terminal in np.unique(made.terminal[robbed]):
        there = robbed & (made.terminal == terminal)
        assert np.ptp(made.at[there]) <= 28 * DAY
        shared += len(np.unique(made.bank[there])) > 1
    assert shared >= 3
    assert (made.channel[robbed] == CHANNELS.index("card")).all()


def test_mule_accounts_are_paid_by_victims_of_several_banks_within_days_and_by_nobody_else(
    made: Simulated,
) -> None:
    robbed = made.kind == 4
    mules = np.unique(made.payee[robbed])
    assert not np.isin(made.payee[~robbed], mules).any()
    several = [len(np.unique(made.bank[made.payee == mule])) > 1 for mule in mules]
    assert np.mean(several) > 0.8
    assert all(np.ptp(made.at[made.payee == mule]) <= 60 * 3600 * 10**6 for mule in mules)


def test_mules_are_reported_within_two_days_and_chargebacks_come_later(made: Simulated) -> None:
    delay = (made.reported_at - made.at) / DAY
    assert (delay > 0).all()
    assert delay[made.kind == 4].max() <= 2
    assert np.median(delay[made.kind == 3]) > np.median(delay[made.kind == 4])
    assert delay[made.fraud].max() <= 14
    assert (delay[~made.fraud] == 14).all()


def test_online_bursts_come_from_a_device_that_nobody_used_before(made: Simulated) -> None:
    robbed = made.kind == 5
    assert not np.isin(made.device[~robbed], made.device[robbed]).any()
    assert (made.channel[robbed] == CHANNELS.index("card-not-present")).all()


def test_payments_of_a_bank_are_those_of_the_columns(made: Simulated) -> None:
    rows = made.rows(1)
    payments = made.payments(1)
    assert len(payments) == len(rows) == int((made.bank == 1).sum())
    assert [one.at for one in payments[:50]] == made.at[rows[:50]].tolist()
    assert payments[7] == list(payments)[7] == payments[0:10][7]
    assert payments[7].amount == made.amount[rows[7]]
    assert payments[7].channel == CHANNELS[made.channel[rows[7]]]
    assert all(one.id.startswith("SIM-") for one in payments[:100])
    assert all("B" in one.customer for one in payments[:100])


def test_labels_come_in_the_order_in_which_they_became_known(made: Simulated) -> None:
    labels = made.labels(0)
    known = [label.known_at for label in labels]
    assert known == sorted(known)
    assert len(labels) == len(made.rows(0))
    assert sum(label.fraud for label in labels) == int(made.fraud[made.rows(0)].sum())


def test_a_bank_is_written_as_csv_with_its_labels_and_says_that_it_is_simulated(
    made: Simulated, tmp_path: Path
) -> None:
    count = made.write_csv(tmp_path / "b.csv", bank=2)
    with (tmp_path / "b.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    rows = made.rows(2)
    assert count == len(found) == len(rows)
    assert [int(one["fraud"]) for one in found] == made.fraud[rows].astype(int).tolist()
    assert [int(one["known_at"]) for one in found] == made.reported_at[rows].tolist()
    assert all(one["id"].startswith("SIM") for one in found)


def test_without_robbers_only_large_amounts_are_left() -> None:
    quiet = simulate(
        SimulatorSettings(payments=5_000, terminal_frauds=0, card_frauds=0, mules=0, online_bursts=0)
    )
    assert set(quiet.kind.tolist()) <= {0, 1}


@pytest.mark.parametrize(
    "settings",
    [
        {"banks": 0},
        {"banks": 27},
        {"payments": 10},
        {"days": 2},
        {"rate": 0.0},
        {"card_frauds": 0.5},
        {"mules": -1.0},
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(DataError):
        SimulatorSettings(**settings)
