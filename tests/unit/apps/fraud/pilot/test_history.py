"""What the pilot replays: simulated payments or the user's own, with nothing of the future before the cut."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tallystick.apps.fraud._history import own_history, simulated_history
from tallystick.apps.fraud.simulator import SimulatorSettings, simulate
from tallystick.errors import DataError

COLUMNS = (
    "id=id,at=at,amount=amount,currency=currency,customer=customer,payee=payee,channel=channel,card=card,"
    "terminal=terminal,device=device,fraud=fraud,time==unix-us,amounts==minor"
)


def table(place: Path, payments: int, **settings: float) -> Path:
    made = simulate(SimulatorSettings(banks=1, payments=payments, days=30, seed=2, **settings))  # type: ignore[arg-type]
    made.write_csv(place / "table.csv")
    return place / "table.csv"


def test_the_replay_is_the_second_half_in_the_order_of_time() -> None:
    history = simulated_history(payments=2_000, seed=3)
    walked = [history.banks[number].payments[place] for number, place in history.replay()]
    assert len(walked) == history.replayed == 2_000
    assert walked[0].at == history.start
    assert all(one.at < two.at for one, two in pairwise(walked))
    for bank in history.banks:
        assert all(payment.at < history.start for payment in bank.payments[: bank.cut])
        assert (bank.known_at >= bank.at).all()
        assert history.until > bank.known_at.max()


def test_an_own_table_is_split_into_three_by_its_customers_and_says_so(tmp_path: Path) -> None:
    history = own_history(table(tmp_path, 20_000, card_frauds=0.2, terminal_frauds=0.1), COLUMNS)
    assert (history.own, history.split) == (True, True)
    customers = [{payment.customer for payment in bank.payments} for bank in history.banks]
    assert sum(map(len, customers)) == len(set.union(*customers))
    assert sum(len(bank.payments) for bank in history.banks) == 20_000
    assert 0.49 < history.replayed / 20_000 < 0.51
    for bank in history.banks:
        # Nobody knows of a fraud of one's own table before the labels' delay is over.
        assert np.array_equal(bank.known_at - bank.at, np.full(len(bank.at), 7 * 86_400_000_000))


def test_a_table_of_too_few_frauds_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="frauds in the table's first half"):
        own_history(table(tmp_path, 3_000), COLUMNS)


def test_a_table_without_labels_is_refused_with_what_to_say(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="have no label") as caught:
        own_history(table(tmp_path, 3_000), COLUMNS.replace("fraud=fraud,", ""))
    assert "fraud=" in caught.value.hint
