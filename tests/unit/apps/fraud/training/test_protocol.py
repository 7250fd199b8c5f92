"""Parting by time: nothing that is learned from lies in the test, and nothing that was not known is learned."""

from __future__ import annotations

import numpy as np
import pytest

from tallystick.apps.fraud.training import Protocol, time_split
from tallystick.errors import DataError

DAY = 86_400_000_000
START = 20_000 * DAY


def history(days: int = 30, daily: int = 50) -> dict[str, np.ndarray]:
    dice = np.random.default_rng(3)
    at = START + np.sort(dice.integers(0, days * DAY, days * daily))
    at[-1] = START + days * DAY - 1
    fraud = dice.random(len(at)) < 0.05
    known = at + dice.integers(0, 12 * DAY, len(at))
    return {"at": at, "fraud": fraud, "known_at": known, "customers": dice.integers(0, 200, len(at))}


def test_the_test_comes_after_the_training_and_the_delay() -> None:
    made = history()
    found = time_split(**made)
    at = made["at"]
    assert found.test_start == START + 23 * DAY
    assert (at[found.train] >= START + 9 * DAY).all()
    assert (at[found.train] < START + 16 * DAY).all()
    assert (at[found.test] >= found.test_start).all()


def test_a_fraud_is_learned_only_when_it_was_known_as_the_test_began() -> None:
    made = history()
    found = time_split(**made)
    fraud, known = made["fraud"][found.train], made["known_at"][found.train]
    assert found.learned.tolist() == (fraud & (known <= found.test_start)).tolist()
    assert found.learned.sum() < fraud.sum()


def test_customers_of_known_frauds_leave_the_test_from_the_report_on() -> None:
    made = history()
    found, whole = time_split(**made), time_split(**made, protocol=Protocol(drop_known=False))
    assert len(whole.test) == len(found.test) + found.dropped
    assert found.dropped > 0
    reports: dict[int, int] = {}
    counted = made["fraud"] & (made["at"] >= found.train_start)
    for who, known in zip(made["customers"][counted], made["known_at"][counted], strict=True):
        reports[who] = min(reports.get(who, known), known)
    kept = {int(place) for place in found.test}
    for place in whole.test.tolist():
        report = reports.get(made["customers"][place])
        assert (place in kept) == (report is None or report > made["at"][place])


def test_days_can_be_chosen() -> None:
    made = history()
    found = time_split(**made, protocol=Protocol(train_days=10, delay_days=3, test_days=2))
    assert found.test_start == START + 28 * DAY
    assert found.train_start == START + 15 * DAY
    assert found.protocol.record()["delay_days"] == 3


def test_the_end_can_be_set() -> None:
    made = history()
    found = time_split(**made, end=START + 25 * DAY)
    assert found.test_start == START + 18 * DAY
    assert (made["at"][found.test] < START + 25 * DAY).all()


def test_too_short_a_history_is_refused_with_what_it_would_need() -> None:
    with pytest.raises(DataError, match="cover 21 days"):
        time_split(**history(days=10))


def test_a_test_without_payments_is_refused() -> None:
    made = history()
    with pytest.raises(DataError, match="no payment is left"):
        time_split(**made, end=START + 60 * DAY)


@pytest.mark.parametrize("days", [{"train_days": 0}, {"test_days": 0}, {"delay_days": -1}])
def test_days_that_cannot_be_are_refused(days: dict[str, int]) -> None:
    with pytest.raises(DataError):
        Protocol(**days)
