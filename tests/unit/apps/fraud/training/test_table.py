"""From a table to a detector: labels count when they were known, and what is judged was never learned from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tallystick.apps.fraud.payments import ColumnMapping
from tallystick.apps.fraud.simulator import SimulatorSettings, simulate
from tallystick.apps.fraud.training import Growth, History, Protocol, read_history, train_detector
from tallystick.errors import DataError

FIELDS = (
    "id", "amount", "currency", "customer", "payee", "channel", "card", "terminal", "device", "fraud",
)  # fmt: skip
MAPPING = ",".join(f"{name}={name}" for name in FIELDS) + ",at=at,time==unix-us,amounts==minor"
DAY = 86_400_000_000


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    made = simulate(SimulatorSettings(banks=1, payments=9_000, days=24, seed=1))
    path = tmp_path_factory.mktemp("made") / "a.csv"
    made.write_csv(path)
    found = read_history(path, ColumnMapping.parse(MAPPING), delay_days=5)
    assert [one.fraud for one in found.labels] == made.fraud.tolist()
    assert list(found.payments) == list(made.payments())
    return found


def test_labels_are_known_after_the_delay(history: History) -> None:
    assert {label.known_at - label.payment.at for label in history.labels} == {5 * DAY}
    assert history.simulated


def test_the_same_history_gives_the_same_detector_and_figures(history: History) -> None:
    one, two = (
        train_detector(history, protocol=Protocol(12, 4), growth=Growth(trees=3), resamples=20)
        for _ in range(2)
    )
    assert one.fitted.model.hash == two.fitted.model.hash
    assert one.report() == two.report()
    assert one.report()["cohort"].startswith("SIMULATED payments of 7 days")
    assert len(one.test_scores) == len(one.test_fraud) == len(one.test_features) == one.quality.payments
    assert np.array_equal(
        one.test_scores,
        one.fitted.model.scores_inputs_many(
            one.fitted.model.quantiser.inputs_of_array(one.test_features)
        ).ravel(),
    )


@pytest.mark.parametrize(("is_fraud", "word"), [(False, "genuine"), (True, "fraud")])
def test_a_history_of_one_kind_is_refused_before_the_long_work(
    history: History, is_fraud: bool, word: str
) -> None:
    labels = tuple(replace(label, fraud=is_fraud) for label in history.labels)
    with pytest.raises(DataError, match=f"all 9,000 payments are {word}"):
        train_detector(replace(history, labels=labels))


def test_rows_without_a_label_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    line = '{"at":%d,"amount":"1.50","customer":"a","payee":"b","fraud":%s}\n'
    path.write_text(line % (1_000, "0") + line % (2_000, "true"))
    mapping = "at=at,amount=amount,customer=customer,payee=payee,fraud=fraud,currency==EUR,time==unix-s"
    found = read_history(path, ColumnMapping.parse(mapping))
    assert [label.fraud for label in found.labels] == [False, True]
    assert not found.simulated


def test_a_table_needs_a_column_of_labels(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("at,amount,customer,payee\n1,1,a,b\n")
    mapping = ColumnMapping.parse(
        "at=at,amount=amount,customer=customer,payee=payee,currency==EUR,time==unix-s"
    )
    with pytest.raises(DataError, match="which column is fraud"):
        read_history(path, mapping)


def test_a_history_with_some_simulated_payments_is_simulated(history: History) -> None:
    first, *others = history.payments
    mixed = History((replace(first, id="mine"), *others), history.labels)
    assert mixed.simulated
    own = History(
        tuple(replace(one, id=f"m{place}") for place, one in enumerate(others[:9])), history.labels[:9]
    )
    assert not own.simulated
