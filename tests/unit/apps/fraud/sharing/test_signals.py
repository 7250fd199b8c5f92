from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.unit.apps.fraud.sharing.banks import DAY, SECOND, START, Banks, make_payment

from tallystick.apps.fraud.sharing import (
    SIGNALS,
    LocalLink,
    RiskHistory,
    RiskRule,
    RiskTable,
    SharedSignals,
    StatedHold,
    report_to_hold,
    stated_holds,
)
from tallystick.errors import OverloadedError


@pytest.fixture
def signals(banks: Banks) -> Iterator[SharedSignals]:
    made = SharedSignals(banks.members[2], patience_s=None)
    yield made
    made.close()


def test_a_payee_reported_elsewhere_is_listed_here_from_that_moment_on(
    banks: Banks, signals: SharedSignals
) -> None:
    banks.members[0].report("P1", customer="alice", at=START)
    banks.clock.now += 60 * SECOND
    banks.members[1].report("P1", customer="bob", at=START + 60 * SECOND)
    payments = [
        make_payment(1, "P1", at=START + 30 * SECOND),
        make_payment(2, "P1", at=START + 60 * SECOND),
        make_payment(3, "P2", at=START + 60 * SECOND),
    ]
    values, known = signals.look_known(payments)
    assert signals.names == SIGNALS
    assert values[:, :2].tolist() == [[0, 0], [1, 2], [0, 0]]
    assert known.tolist() == [True, True, True]
    assert values.dtype == np.float64
    assert signals.status.well


def test_new_payees_of_a_batch_are_asked_for_together(banks: Banks, signals: SharedSignals) -> None:
    signals.look([make_payment(n, f"P{n % 50}") for n in range(100)])
    signals.look([make_payment(n, f"P{n % 50}") for n in range(100)])
    banks.members[2].settle()
    assert [body["count"] for body in banks.bodies(2, "lookup.made")] == [50, 50]


def test_when_a_member_does_not_answer_in_time_decisions_go_on_and_what_comes_later_is_used(
    banks: Banks,
) -> None:
    waiting = threading.Event()

    class Slow(LocalLink):
        def evaluate(self, request: bytes, *, epoch: int) -> bytes:
            assert waiting.wait(20)
            return super().evaluate(request, epoch=epoch)

    a, b, c = banks.members
    a.report("P1", customer="alice")
    b.report("P1", customer="bob")
    c.tokens._links[:] = (
        [Slow(a), LocalLink(b)] if c.tokens._links[0].party == a.id else [LocalLink(b), Slow(a)]
    )
    history = RiskHistory()
    history.add(RiskTable(START, RiskRule(), {}, {}, 0.01))
    signals = SharedSignals(c, risks=history, patience_s=0.01)
    values, known = signals.look_known([make_payment(1, "P1")])
    assert values.tolist() == [[0, 0, 0.01, 0.01]]
    assert known.tolist() == [False]
    assert (signals.status.unknown, signals.status.trouble) == (1, "a member did not answer in time")
    waiting.set()
    signals.close()  # waits for what is under way
    late = SharedSignals(c, patience_s=0.01)
    assert late.look([make_payment(2, "P1")])[0, 0] == 1
    late.close()


def test_when_a_member_refuses_or_fails_the_reason_is_shown(banks: Banks) -> None:
    class Broken(LocalLink):
        error: Exception = OverloadedError("too busy")

        def evaluate(self, request: bytes, *, epoch: int) -> bytes:
            raise self.error

    link = Broken(banks.members[1])
    banks.members[2].tokens._links[1] = link
    signals = SharedSignals(banks.members[2], patience_s=None, prior=0.02)
    values, known = signals.look_known([make_payment(1, "P1")])
    assert (known.tolist(), values[0].tolist()) == ([False], [0, 0, 0.02, 0.02])
    assert signals.status.trouble == "too busy"
    link.error = RuntimeError("a secret detail")
    signals.look([make_payment(1, "P1")])
    assert signals.status.trouble == "a look-up failed: RuntimeError"
    banks.members[2].tokens._links[1] = LocalLink(banks.members[1])
    assert signals.look_known([make_payment(1, "P1")])[1].tolist() == [True]
    assert signals.status.well
    signals.close()


def test_without_an_epoch_or_outside_of_it_the_columns_are_unknown(
    banks: Banks, signals: SharedSignals
) -> None:
    within, after = make_payment(1, "P1"), make_payment(2, "P1", at=START + 90 * DAY)
    assert signals.look_known([within, after])[1].tolist() == [True, False]
    banks.members[2].end()
    assert signals.look_known([within])[1].tolist() == [False]
    assert "no epoch" in signals.status.trouble


def test_payments_of_channels_that_are_not_looked_up_cost_nothing(banks: Banks) -> None:
    signals = SharedSignals(banks.members[0], channels=("instant",), patience_s=None)
    _, known = signals.look_known([make_payment(1, "M1", channel="card"), make_payment(2, "P1")])
    banks.members[0].settle()
    assert known.tolist() == [True, True]
    assert [body["count"] for body in banks.bodies(0, "lookup.made")] == [1, 1]
    assert signals.look([]).shape == (0, 4)
    signals.close()


def test_shared_risk_is_seen_from_when_it_was_known(banks: Banks, signals: SharedSignals) -> None:
    token = banks.members[2].tokens.ask(["P1"], purpose="payment")["P1"]
    rule = RiskRule(bucket_bits=4)
    table = RiskTable(START + DAY, rule, {"T1": (150, 30)}, {rule.bucket(token): (50, 25)}, 0.1)
    signals.risks.add(table)
    banks.clock.now += 2 * DAY
    payments = [
        make_payment(1, "P1", terminal="T1", at=START + DAY - 1),
        make_payment(2, "P1", terminal="T1", at=START + DAY),
    ]
    assert signals.look(payments)[:, 2:].tolist() == [[0, 0], [35 / 200, 30 / 100]]


def test_tokens_that_are_fetched_before_are_there_when_they_are_needed(
    banks: Banks, signals: SharedSignals
) -> None:
    signals.prefetch(["P1", "P2"])
    signals.prefetch(["P1", "P2"])
    signals.look([make_payment(1, "P1"), make_payment(2, "P2")])
    banks.members[2].settle()
    assert [body["count"] for body in banks.bodies(2, "lookup.made")] == [2, 2]


def test_the_time_from_a_report_to_the_first_hold_elsewhere_follows_from_the_statements(banks: Banks) -> None:
    a, b, c = banks.members
    a.report("P1", customer="alice", at=START)
    banks.clock.now += 100 * SECOND
    b.report("P1", customer="bob", at=START + 50 * SECOND)
    c.tokens.ask(["P1", "P2"], purpose="payment")
    for number, (payee, answer, at) in enumerate(
        [("P1", "approve", 60), ("P1", "hold", 80), ("P1", "decline", 90), ("P2", "hold", 85)]
    ):
        payment = make_payment(number, payee, at=START + at * SECOND)
        banks.nodes[2].record(
            "decision.made",
            {"level": "L0", "model": "00" * 32},
            fields={"answer": answer, "payment": payment.record(), "received_at": START + at * SECOND},
        )
    banks.nodes[2].record("decision.made", {"level": "L0", "model": "00" * 32})
    holds = list(stated_holds(banks.nodes[2].journal))
    assert [hold.payee for hold in holds] == ["P1", "P1", "P2"]
    found = report_to_hold(c, holds)
    assert len(found) == 1
    assert (found[0].seconds, found[0].listed_at) == (80.0, START + 50 * SECOND)
    assert found[0].statement == holds[0].statement


def test_a_hold_before_the_report_or_of_the_reporting_bank_counts_for_nothing(banks: Banks) -> None:
    a, _, c = banks.members
    c.report("P1", customer="own", at=START)
    c.tokens.ask(["P1"], purpose="payment")
    assert report_to_hold(c, [StatedHold("P1", START + 5, "s")]) == ()
    banks.clock.now += SECOND
    a.report("P1", customer="alice", at=START + 10)
    assert report_to_hold(c, [StatedHold("P1", START + 5, "s")]) == ()
    found = report_to_hold(c, [StatedHold("P1", START + 5, "s"), StatedHold("P1", START + 11, "t")])
    assert [hold.statement for hold in found] == ["t"]


def test_a_member_that_hangs_does_not_fill_the_memory(banks: Banks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallystick.apps.fraud.sharing._signals.WAITING", 100)
    waiting = threading.Event()

    class Hanging(LocalLink):
        def evaluate(self, request: bytes, *, epoch: int) -> bytes:
            assert waiting.wait(20)
            return super().evaluate(request, epoch=epoch)

    banks.members[2].tokens._links[0] = Hanging(banks.members[0])
    signals = SharedSignals(banks.members[2], patience_s=0.001)
    for batch in range(4):
        known = signals.look_known([make_payment(n, f"P{batch}-{n}") for n in range(60)])[1]
        assert not known.any()
    assert len(signals._under_way) == 100
    assert "too many" in signals.status.trouble or "in time" in signals.status.trouble
    waiting.set()
    signals.close()


def test_who_waits_for_all_gets_all(banks: Banks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallystick.apps.fraud.sharing._signals.WAITING", 100)
    signals = SharedSignals(banks.members[2], patience_s=None)
    assert signals.look_known([make_payment(n, f"P{n}") for n in range(150)])[1].all()
    signals.close()


def test_while_an_answer_is_overdue_nobody_waits_for_what_stands_behind_it(
    banks: Banks, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float | None] = []

    def counted(futures: object, timeout: float | None = None) -> object:
        waits.append(timeout)
        return concurrent.futures.wait(futures, timeout)  # type: ignore[arg-type]

    monkeypatch.setattr("tallystick.apps.fraud.sharing._signals.wait", counted)
    waiting = threading.Event()

    class Hanging(LocalLink):
        def evaluate(self, request: bytes, *, epoch: int) -> bytes:
            assert waiting.wait(20)
            return super().evaluate(request, epoch=epoch)

    banks.members[2].tokens._links[0] = Hanging(banks.members[0])
    signals = SharedSignals(banks.members[2], patience_s=0.01)
    for number in range(4):
        signals.look([make_payment(2, f"P{number}")])
    assert waits == [0.01, 0, 0, 0]
    waiting.set()
    signals._asking.shutdown()  # all that waited is answered
    signals._asking = ThreadPoolExecutor(1)
    signals.look([make_payment(2, "P-after")])
    assert waits[-1] == 0.01
    signals.close()
