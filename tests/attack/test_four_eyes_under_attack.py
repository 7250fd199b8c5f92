"""Four eyes are those of two persons: one person who writes her name in two ways is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.made_engine import START, Bank, Clock, payment

from tallystick.apps.fraud.casework import Cases
from tallystick.decisions import Control
from tallystick.errors import AccessDeniedError
from tallystick.node import Node

OTHERWISE = ("Ana", "ANA", "a\u200dna", "\uff41na")


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    made = Bank(tmp_path, clock=Clock(START + 1_000_000))
    yield made
    made.close()


def test_one_person_does_not_release_a_held_payment(bank: Bank) -> None:
    with bank.engine() as engine:
        held = engine.decide(payment(1, amount=6_000)).statement
        cases = Cases(bank, oversight=bank.oversight, labels=engine, clock=bank.clock)
        cases.open_for([engine.decide(payment(1, amount=6_000))])
        cases.judge(held, by="ana", outcome="genuine")
        for name in OTHERWISE:
            with pytest.raises(AccessDeniedError, match="four eyes"):
                cases.judge(held, by=name, outcome="genuine")
        assert cases.judge(held, by="ben", outcome="genuine").settled_as == "genuine"


def test_a_label_that_was_slipped_in_before_does_not_outlive_what_people_settle(bank: Bank) -> None:
    with bank.engine() as engine:
        held = engine.decide(payment(1, amount=6_000))
        cases = Cases(bank, oversight=bank.oversight, labels=engine, clock=bank.clock)
        cases.open_for([held])
        engine.report_label("p1", False, source="customer")
        cases.judge(held.statement, by="ana", outcome="fraud")
        labels = list(bank.journal.entries(kinds=("label.reported",)))
        said = bank.journal.payload(labels[-1].id)
        assert isinstance(said, dict)
        assert (len(labels), said["fraud"], said["source"]) == (2, True, "case")
        # What is learned later counts, also after a restart.
        engine.report_label("p1", False, source="chargeback")
        assert Cases(bank, oversight=bank.oversight, labels=engine, clock=bank.clock).settle_missing() == 0


def test_one_person_does_not_review_twice_nor_what_she_asked_for(bank: Bank) -> None:
    with bank.engine() as engine:
        held = engine.decide(payment(1, amount=6_000)).statement
    bank.oversight.appeal(held, by="cleo")
    with pytest.raises(AccessDeniedError, match="who appealed"):
        bank.oversight.review(held, by="Cleo", to="approve")
    bank.oversight.review(held, by="ana", to="approve")
    for name in OTHERWISE:
        with pytest.raises(AccessDeniedError, match="four eyes"):
            bank.oversight.review(held, by=name, to="approve")


def test_one_person_does_not_take_the_kill_switch_back(bank: Bank) -> None:
    bank.oversight.set_control(Control("refuse"), by="ana", reason="drift")
    for name in OTHERWISE:
        with pytest.raises(AccessDeniedError, match="two different persons"):
            bank.oversight.set_control(Control(), by="ana", second=name, reason="well again")
    bank.oversight.set_control(Control(), by="ana", second="ben", reason="well again")


def test_one_person_does_not_release_a_legal_hold(tmp_path: Path) -> None:
    with Node.init(tmp_path / "bank", name="Bank", passphrase="correct horse", scrypt_n=2**4) as node:
        hold = node.retention.hold("a trial", by="ana")
        for name in OTHERWISE:
            with pytest.raises(AccessDeniedError, match="two different persons"):
                node.retention.release(hold.statement, reason="over", by="ana", second=name)
        node.record(
            "retention.released",
            {"reason": "over"},
            links={"hold": [hold.statement]},
            fields={"by": "ana", "second": "ANA"},
        )
        assert [one.statement for one in node.retention.holds()] == [hold.statement]
