"""Who dates payments back evades no window: they count as of when they came, also after a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.made_engine import START, Bank, Clock, payment

from tallystick.apps.fraud.deciding import Detectors, Engine, EngineSettings, default_rules
from tallystick.apps.fraud.features import Windows
from tallystick.errors import ConfigurationError

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
THEN = START + 400 * DAY


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    made = Bank(tmp_path, clock=Clock(THEN))
    yield made
    made.close()


def opened(bank: Bank, **settings: Any) -> Engine:
    return bank.engine(
        models=Detectors(None),
        features=Windows(),
        rules=default_rules(Windows.names),
        settings=EngineSettings(snapshot_every=0, **settings),
    )


def pay(engine: Engine, at: Callable[[int], int], *, first: int = 0) -> list[str]:
    """Pay forty times at once; the actions."""
    paid = [
        payment(first + number, amount=500, at=at(number), customer="c-1", payee="shop")
        for number in range(40)
    ]
    return [one.action for one in engine.decide_many(paid)]


@pytest.mark.parametrize(
    "at",
    [
        lambda _number: THEN,
        lambda number: THEN - (number + 1) * HOUR,
        lambda number: THEN - 300 * DAY + number * DAY,
        lambda number: THEN - number * SECOND,
        lambda number: THEN + (200 - number) * SECOND,
    ],
)
def test_payments_that_come_at_once_are_seen_together_whatever_time_they_name(
    bank: Bank, at: Callable[[int], int]
) -> None:
    with opened(bank) as engine:
        actions = pay(engine, at)
    assert actions.count("hold") == 20


def test_payments_that_are_dated_before_those_that_came_first_are_seen_with_them(bank: Bank) -> None:
    with opened(bank) as engine:
        pay(engine, lambda _number: THEN)
        assert set(pay(engine, lambda _number: THEN - 300 * DAY, first=100)) == {"hold"}


def test_a_history_that_is_played_is_taken_at_its_word(bank: Bank) -> None:
    with opened(bank, times="named") as engine:
        assert set(pay(engine, lambda number: THEN - (50 - number) * HOUR)) == {"approve"}
    with pytest.raises(ConfigurationError):
        EngineSettings(times="some")  # type: ignore[arg-type]


def test_a_restart_counts_them_as_the_decisions_did_and_labels_too(bank: Bank) -> None:
    with opened(bank) as engine:
        pay(engine, lambda number: THEN - number * HOUR)
        engine.report_label("p7", True, source="customer", known_at=THEN)
        engine.report_label("p8", True, source="customer")
        pay(engine, lambda number: THEN + number, first=100)
        state = engine.features.format_state()  # type: ignore[attr-defined]
        told = engine.find("p30")
    with opened(bank.again()) as engine:
        assert engine.features.format_state() == state  # type: ignore[attr-defined]
        assert told is not None
        again = engine.decide(payment(30, amount=500, at=THEN - 30 * HOUR, customer="c-1", payee="shop"))
        assert (again.statement, again.repeat) == (told.statement, True)
        assert engine.replay().differ == 0
