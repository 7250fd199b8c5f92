"""A payment is decided once, whatever was disposed of or erased since, and the service starts again after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from tests.made_engine import START, Bank, Clock, payment

from tallystick.apps.fraud import APP
from tallystick.apps.fraud.casework import Cases
from tallystick.apps.fraud.deciding import Decision, Engine, EngineSettings
from tallystick.decisions import Control
from tallystick.errors import AccessDeniedError, ConflictError, DisposedError, PaymentError
from tallystick.node import Node, format_card_file
from tallystick.proof import STANDARD_KINDS

MONTH = 30 * 86_400_000_000
KEPT = ("case.", "control.", "decision.overridden", "decision.withheld", "label.", "rules.")


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    made = Bank(tmp_path, clock=Clock(START + 1_000_000))
    made.journal._store.segments._segment_size = 4_000
    yield made
    made.close()


def decide(engine: Engine, numbers: Iterable[int], *, amount: int = 100) -> list[Decision]:
    """Decide payments one by one, so that the journal closes segments between them."""
    return [engine.decide(payment(number, amount=amount)) for number in numbers]


def dispose(bank: Bank) -> int:
    """Let all decisions go that lie in closed segments, as `Retention` does; returns where that ends."""
    stop = bank.journal.dispose(bank.journal.size, keep=KEPT).stop
    assert stop > 10
    return stop


def test_a_payment_whose_decision_was_disposed_of_is_not_decided_again_after_a_restart(bank: Bank) -> None:
    with bank.engine() as engine:
        first = decide(engine, range(100))
    bank.clock.now += MONTH
    dispose(bank)
    with bank.again().engine() as engine:
        for number in (0, 5):
            with pytest.raises((DisposedError, PaymentError)):
                engine.decide(payment(number))
            with pytest.raises((DisposedError, PaymentError, ConflictError)):
                engine.decide(payment(number, amount=99_999))
        assert engine.decide(payment(99)).statement == first[99].statement
        assert engine.decide(payment(500, at=bank.clock.now)).repeat is False


def test_a_payment_that_was_erased_is_not_decided_again_after_a_restart(bank: Bank) -> None:
    with bank.engine() as engine:
        engine.decide_many([payment(number) for number in range(10)])
    assert bank.journal.erase("customer-3")
    with bank.again().engine() as engine:
        with pytest.raises((ConflictError, PaymentError)):
            engine.decide(payment(3, amount=1))
        bank.clock.now += MONTH
        assert engine.decide(payment(500, at=bank.clock.now)).repeat is False


def test_an_engine_starts_when_a_labelled_decision_was_disposed_of(bank: Bank) -> None:
    with bank.engine() as engine:
        decide(engine, range(100))
        engine.report_label("p1", True, source="customer")
    dispose(bank)
    with bank.again().engine() as engine:
        assert engine.stats().stopped == ""


def test_a_withheld_decision_stays_withheld_when_it_was_disposed_of(bank: Bank) -> None:
    with bank.engine() as engine:
        engine._recording._control = lambda: Control("refuse")
        with pytest.raises(AccessDeniedError):
            engine.decide(payment(1))
    with bank.engine() as engine:
        decide(engine, range(2, 100))
    dispose(bank)
    with bank.again().engine() as engine, pytest.raises((AccessDeniedError, DisposedError, PaymentError)):
        engine.decide(payment(1))


def test_cases_are_read_when_their_decisions_were_disposed_of(bank: Bank) -> None:
    with bank.engine() as engine:
        decided = decide(engine, range(100), amount=6_000)
        cases = Cases(bank, oversight=bank.oversight, labels=engine, clock=bank.clock)
        cases.open_for(decided)
        cases.judge(decided[0].statement, by="ana", outcome="fraud")
        [last] = decide(engine, [200], amount=6_000)
        cases.open_for([last])
    dispose(bank)
    bank.again()
    with bank.engine() as engine:
        cases = Cases(bank, oversight=bank.oversight, labels=engine, clock=bank.clock)
        cases.settle_missing()
        assert cases.find(last.statement).action == "hold"


def test_retention_keeps_what_a_person_judged_and_what_was_withheld(tmp_path: Path) -> None:
    clock = Clock()
    kinds = STANDARD_KINDS.extended(APP.kinds)
    with Node.init(
        tmp_path / "a", name="Bank", passphrase="correct horse", scrypt_n=2**4, clock=clock, kinds=kinds
    ) as node:
        node.journal._store.segments._segment_size = 4_000
        made = [
            node.record("decision.made", {"level": "L0", "model": "ab" * 32}, fields={"answer": "hold"}).id
            for _ in range(40)
        ]
        node.record(
            "case.judged", {}, links={"decision": [made[1]]}, fields={"by": "ana", "outcome": "fraud"}
        )
        node.record("case.taken", {}, links={"decision": [made[2]]}, fields={"by": "ana"})
        node.record("decision.withheld", {}, links={"decision": [made[3]]})
        clock.now += MONTH
        node.record("document.recorded", {"title": "rules"})
        with Node.init(
            tmp_path / "w", name="Witness", passphrase="correct horse", scrypt_n=2**4, clock=clock
        ) as w:
            w.import_card(format_card_file(node.party.cards))
            node.import_card(format_card_file(w.party.cards))
            node.add_cosignatures(w.cosign(node.ask_witness()).note)
        assert node.retention.dispose(older_than_days=1).segments
        for number in (1, 2, 3):
            assert node.journal.payload(made[number]) == {"answer": "hold"}
        with pytest.raises(DisposedError):
            node.journal.entry(made[4])


def test_a_case_of_a_payment_that_is_remembered_no_more_is_settled_and_stops_no_start(bank: Bank) -> None:
    """A busy bank forgets payments within the hour; people take days."""
    settings = EngineSettings(remember=5, snapshot_every=0)
    with bank.engine(settings=settings) as engine:
        [held] = decide(engine, [1], amount=6_000)
        cases = Cases(bank, oversight=bank.oversight, labels=engine, clock=bank.clock)
        cases.open_for([held])
        decide(engine, range(2, 30))
        assert engine.find("p1") is None
        cases.judge(held.statement, by="ana", outcome="genuine")
        assert cases.judge(held.statement, by="ben", outcome="genuine").settled_as == "genuine"
        assert bank.oversight.in_force(held.statement) == "approve"
        again = Cases(bank, oversight=bank.oversight, labels=engine, clock=bank.clock)
        again.settle_missing()
        assert again.settle_missing() == 0
        assert again.find(held.statement).settled_as == "genuine"
