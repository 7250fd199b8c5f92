"""What a bank counts for the others, and whom it looks up ahead, from its own journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.apps.fraud import APP
from tallystick.apps.fraud.payments import Payment
from tallystick.apps.fraud.serving import JournalCounts, recent_payees
from tallystick.apps.fraud.sharing import RiskRule
from tallystick.node import Node
from tallystick.proof import STANDARD_KINDS

DAY = 86_400 * 1_000_000
START = 1_790_000_000_000_000
RULE = RiskRule(bucket_bits=4)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


class Bank:
    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.node = Node.init(
            path / "bank", name="Bank A", passphrase="a test", clock=self.clock,
            kinds=STANDARD_KINDS.extended(APP.kinds), scrypt_n=2, heads=path / "heads",
        )  # fmt: skip
        self.statements: dict[str, str] = {}

    def decide(self, name: str, payee: str = "P1", terminal: str = "T1") -> None:
        self.clock.now += 1
        payment = Payment(name, self.clock.now, 500, "EUR", "c-1", payee, terminal=terminal)
        fields = {"answer": "approve", "payment": payment.record(), "received_at": self.clock.now}
        self.statements[name] = self.node.record(
            "decision.ruled", {"rule": "x"}, fields=fields, subject="c-1"
        ).id

    def label(self, name: str, fraud: bool, known_at: int | None = None) -> None:
        self.clock.now += 1
        fields = {"fraud": fraud, "known_at": known_at or self.clock.now, "payment": name, "source": "x"}
        links = {"decision": [self.statements[name]]}
        self.node.record("label.reported", {}, links=links, fields=fields, subject="c-1")


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    made = Bank(tmp_path)
    yield made
    made.node.close()


def find(payee: str) -> bytes | None:
    return {"P1": bytes([0x30]) + bytes(31)}.get(payee)


def test_payments_old_enough_are_counted_with_what_was_known_of_them_by_then(bank: Bank) -> None:
    for name, payee in (("a", "P1"), ("b", "P1"), ("c", "nobody-looked-up"), ("d", "P1")):
        bank.decide(name, payee)
    bank.label("a", fraud=True)
    bank.label("d", fraud=True)
    bank.label("d", fraud=False)  # the later word counts
    bank.clock.now = START + 8 * DAY
    bank.decide("young")
    bank.label("b", fraud=True, known_at=START + 9 * DAY)
    counts = JournalCounts(bank.node, delay=7 * DAY)(RULE, before=START + 8 * DAY + 10, find=find)
    assert counts.terminals == {"T1": (4, 1)}
    assert counts.buckets == {3: (3, 1)}
    later = JournalCounts(bank.node, delay=7 * DAY)(RULE, before=START + 16 * DAY, find=find)
    assert later.terminals == {"T1": (5, 2)}
    none = JournalCounts(bank.node, delay=7 * DAY, days=1)(RULE, before=START + 30 * DAY, find=find)
    assert none.terminals == {}


def test_what_was_erased_is_not_counted(bank: Bank) -> None:
    bank.decide("a")
    bank.node.journal.erase("c-1")
    counts = JournalCounts(bank.node, delay=DAY)(RULE, before=START + 2 * DAY, find=find)
    assert counts.terminals == {}
    assert recent_payees(bank.node) == []


def test_the_newest_payees_are_looked_up_ahead_each_once(bank: Bank) -> None:
    assert recent_payees(bank.node) == []
    for number, payee in enumerate(("P1", "P2", "P1", "P3")):
        bank.decide(f"p{number}", payee)
    assert recent_payees(bank.node) == ["P3", "P1", "P2"]
    assert recent_payees(bank.node, most=2) == ["P3", "P1"]
