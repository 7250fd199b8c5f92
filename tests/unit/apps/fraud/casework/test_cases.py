"""Cases: stricter is easy, kinder takes four eyes, and a hold that nobody settles is not released."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tallystick.apps.fraud._kinds import KINDS
from tallystick.apps.fraud.casework import CaseDeadlines, Cases
from tallystick.apps.fraud.payments import Payment
from tallystick.decisions import Oversight
from tallystick.errors import (
    AccessDeniedError,
    ConflictError,
    DeadlineError,
    InputError,
    ModelInputError,
    NotFoundError,
)
from tallystick.proof import STANDARD_KINDS, Draft, Entry, Journal, Party

START = 1_795_459_200_000_000
HOUR = 3_600_000_000
MODEL = "ab" * 32


@dataclass
class Alerted:
    action: str
    statement: str


@dataclass
class Bank:
    """One bank's journal with its oversight and its labels; the clock stands still unless told."""

    directory: Path
    now: int = START
    labels: list[tuple[str, bool, str]] = field(default_factory=list)
    fails: bool = False

    def __post_init__(self) -> None:
        self.party = Party.create("Bank A")
        self.start()

    def start(self) -> None:
        self.journal = Journal.open(
            self.directory, party=self.party, clock=self.clock, kinds=STANDARD_KINDS.extended(KINDS)
        )
        self.oversight = Oversight(self, clock=self.clock)
        self.cases = Cases(
            self,
            oversight=self.oversight,
            labels=self,
            deadlines=CaseDeadlines(hold_s=3600),
            clock=self.clock,
        )

    def restart(self) -> None:
        self.journal.close()
        self.start()

    def clock(self) -> int:
        return self.now

    def record_many(self, drafts: Sequence[Draft]) -> list[Entry]:
        return self.journal.append_many(drafts)

    def report_label(self, payment_id: str, fraud: bool, *, source: str, decision: str) -> None:
        if self.fails:
            raise OSError("the power went")
        self.labels.append((payment_id, fraud, source))
        fields = {"fraud": fraud, "payment": payment_id}
        self.record_many([Draft("label.reported", {}, fields=fields)])

    def decide(self, action: str, number: int = 1) -> Alerted:
        payment = Payment(f"payment-{number}", START - 1, 5_000, "EUR", "customer-1", "merchant-1")
        fields = {"answer": action, "payment": payment.record()}
        draft = Draft("decision.made", {"level": "L0", "model": MODEL}, fields=fields, subject="customer-1")
        return Alerted(action, self.record_many([draft])[0].id)

    def alert(self, action: str) -> str:
        made = self.decide(action)
        self.cases.open_for([made])
        return made.statement

    def kinds(self) -> list[str]:
        return [entry.statement.kind for entry in self.journal.entries()]


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    made = Bank(tmp_path / "journal")
    yield made
    made.journal.close()


def test_every_alert_opens_one_case_and_an_approval_none(bank: Bank) -> None:
    decisions = [bank.decide(action, n) for n, action in enumerate(("approve", "review", "hold", "decline"))]
    assert len(bank.cases.open_for(decisions)) == 3
    assert bank.cases.open_for(decisions) == []
    assert len(bank.cases.queue()) == 3
    assert bank.cases.queue()[0].action == "hold"
    with pytest.raises(NotFoundError, match="no case"):
        bank.cases.find(decisions[0].statement)


def test_a_hold_is_released_by_two_persons_and_its_label_follows(bank: Bank) -> None:
    decision = bank.alert("hold")
    assert bank.cases.judge(decision, by="reviewer ana", outcome="genuine").state(bank.now) == "half judged"
    assert bank.labels == []
    case = bank.cases.judge(decision, by="reviewer ben", outcome="genuine")
    assert (case.settled_as, case.in_force(bank.now)) == ("genuine", "approve")
    assert bank.oversight.in_force(decision) == "approve"
    assert bank.labels == [("payment-1", False, "case")]


def test_one_person_cannot_be_four_eyes(bank: Bank) -> None:
    decision = bank.alert("hold")
    bank.cases.judge(decision, by="reviewer ana", outcome="genuine")
    with pytest.raises(AccessDeniedError, match="four eyes"):
        bank.cases.judge(decision, by="reviewer ana", outcome="genuine")
    with pytest.raises(ModelInputError, match="blanks"):
        bank.cases.judge(decision, by="reviewer ana ", outcome="genuine")
    assert bank.cases.find(decision).in_force(bank.now) == "hold"


@pytest.mark.parametrize("action", ["hold", "decline", "review"])
def test_one_person_may_call_a_payment_fraud(bank: Bank, action: str) -> None:
    decision = bank.alert(action)
    if action != "review":
        bank.cases.judge(decision, by="reviewer ana", outcome="genuine")
    case = bank.cases.judge(decision, by="reviewer ben", outcome="fraud")
    assert case.settled_as == "fraud"
    assert bank.labels == [("payment-1", True, "case")]
    # Only what still waits is stopped by that; what went on went on, what was refused stays refused.
    assert bank.oversight.in_force(decision) == ("decline" if action == "hold" else action)


def test_a_payment_that_went_on_is_called_genuine_by_one_person(bank: Bank) -> None:
    decision = bank.alert("review")
    assert bank.cases.judge(decision, by="reviewer ana", outcome="genuine").settled_as == "genuine"
    assert "decision.overridden" not in bank.kinds()


def test_a_hold_that_nobody_settles_in_time_is_refused(bank: Bank) -> None:
    decision = bank.alert("hold")
    bank.now += HOUR
    case = bank.cases.find(decision)
    assert (case.state(bank.now), case.in_force(bank.now)) == ("lapsed", "decline")
    assert bank.cases.queue() == []
    assert [case.decision for case in bank.cases.queue(settled=True)] == [decision]
    with pytest.raises(InputError, match="not settled in time"):
        bank.cases.judge(decision, by="reviewer ana", outcome="genuine")


def test_a_settled_case_stays_settled(bank: Bank) -> None:
    decision = bank.alert("review")
    bank.cases.judge(decision, by="reviewer ana", outcome="fraud")
    with pytest.raises(ConflictError, match="settled as fraud"):
        bank.cases.judge(decision, by="reviewer ben", outcome="genuine")


def test_no_other_outcome_is_taken_and_nothing_is_stated(bank: Bank) -> None:
    decision, before = bank.alert("hold"), bank.journal.size
    with pytest.raises(InputError, match="outcome must be"):
        bank.cases.judge(decision, by="reviewer ana", outcome="perhaps")
    with pytest.raises(InputError, match="note must have"):
        bank.cases.judge(decision, by="reviewer ana", outcome="fraud", note="x" * 2001)
    assert bank.journal.size == before


def test_a_customers_appeal_takes_the_case_out_of_one_persons_hands(bank: Bank) -> None:
    decision = bank.alert("decline")
    bank.oversight.appeal(decision, by="customer 1", subject="customer-1")
    with pytest.raises(AccessDeniedError, match="appeal"):
        bank.cases.judge(decision, by="reviewer ana", outcome="genuine")


def test_what_lapsed_is_not_judged_and_keeps_nobody_from_starting(bank: Bank) -> None:
    payment = Payment("payment-1", START - 1, 5_000, "EUR", "customer-1", "merchant-1")
    body = {"level": "L0", "model": MODEL, "then": "no decision is made", "until": START + HOUR // 2}
    fields = {"answer": "hold", "payment": payment.record()}
    decision = bank.record_many([Draft("decision.proposed", body, fields=fields, subject="customer-1")])[0].id
    bank.cases.open_for([Alerted("hold", decision)])
    bank.cases.judge(decision, by="reviewer ana", outcome="genuine")
    bank.now += HOUR * 3 // 4  # the proposal has lapsed, the case's own deadline has not come
    before = bank.journal.size
    with pytest.raises(DeadlineError, match="lapsed"):
        bank.cases.judge(decision, by="reviewer ben", outcome="genuine")
    assert bank.journal.size == before
    # As it stands in a journal where it was stated all the same.
    said = {"by": "reviewer ben", "outcome": "genuine"}
    bank.record_many([Draft("case.judged", {}, {"decision": [decision]}, fields=said)])
    bank.restart()
    assert bank.cases.settle_missing() == 0


def test_an_appeal_after_a_crash_keeps_nobody_from_starting(bank: Bank) -> None:
    decision = bank.alert("hold")
    for by in ("reviewer ana", "reviewer ben"):
        said = {"by": by, "outcome": "genuine"}
        bank.record_many([Draft("case.judged", {}, {"decision": [decision]}, fields=said)])
    bank.restart()
    bank.oversight.appeal(decision, by="customer 1")
    assert bank.cases.settle_missing() == 0


@pytest.mark.parametrize("action", ["hold", "decline"])
def test_what_an_appeal_settled_is_what_its_case_says(bank: Bank, action: str) -> None:
    decision = bank.alert(action)
    bank.oversight.appeal(decision, by="customer 1")
    for by in ("reviewer ana", "reviewer ben"):
        bank.oversight.review(decision, by=by, to="approve")
    bank.now += HOUR
    case = bank.cases.find(decision)
    assert (case.state(bank.now), case.in_force(bank.now)) == ("settled", bank.oversight.in_force(decision))
    assert bank.cases.queue() == []
    with pytest.raises((ConflictError, InputError)):
        bank.cases.judge(decision, by="reviewer eve", outcome="fraud")
    bank.restart()
    assert bank.cases.find(decision).in_force(bank.now) == "approve"


def test_what_one_person_overrode_elsewhere_is_not_released_by_the_case(bank: Bank) -> None:
    decision = bank.alert("hold")
    bank.oversight.override(decision, by="reviewer ana", to="decline", reason="called the customer")
    with pytest.raises(ConflictError, match="overridden"):
        bank.cases.judge(decision, by="reviewer ben", outcome="genuine")
    assert bank.cases.find(decision).in_force(bank.now) == "decline"


def test_a_restart_computes_the_same_cases(bank: Bank) -> None:
    first, second = bank.alert("hold"), bank.alert("decline")
    bank.cases.take(first, by="reviewer ana")
    bank.cases.judge(first, by="reviewer ana", outcome="genuine")
    bank.cases.judge(second, by="reviewer ana", outcome="fraud")
    before = bank.cases.queue(settled=True)
    bank.restart()
    assert bank.cases.queue(settled=True) == before
    assert bank.cases.find(first).taken_by == "reviewer ana"
    assert bank.cases.judge(first, by="reviewer ben", outcome="genuine").settled_as == "genuine"


def test_what_a_crash_left_unstated_is_stated_once(bank: Bank) -> None:
    decision = bank.alert("hold")
    bank.cases.judge(decision, by="reviewer ana", outcome="genuine")
    bank.fails = True
    with pytest.raises(OSError, match="power"):
        bank.cases.judge(decision, by="reviewer ben", outcome="genuine")
    bank.fails = False
    bank.restart()
    assert bank.cases.settle_missing() == 1
    assert bank.cases.settle_missing() == 0
    assert bank.labels == [("payment-1", False, "case")]
    assert bank.kinds().count("decision.overridden") == 1


def test_no_person_and_no_payment_stands_in_what_everybody_may_read(bank: Bank) -> None:
    decision = bank.alert("hold")
    bank.cases.take(decision, by="reviewer ana")
    bank.cases.judge(decision, by="reviewer ana", outcome="fraud", note="called the customer")
    written = b"".join(entry.bytes for entry in bank.journal.entries())
    assert all(word not in written for word in (b"reviewer", b"payment-1", b"called the", b'"fraud"'))
