"""The engine: every answer stated before it leaves, the same payment once, and no answer where anything is in doubt."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.made_engine import NAMES, POLICY, START, Bank, CountedWindows, made_detectors, made_model, payment

from tallystick.apps.fraud.deciding import (
    Audit,
    Condition,
    Decision,
    DecisionPolicy,
    Detector,
    Detectors,
    Drift,
    EngineSettings,
    PaymentRule,
)
from tallystick.apps.fraud.payments import Payment
from tallystick.decisions import Band, Control, Effect
from tallystick.errors import (
    AccessDeniedError,
    ConfigurationError,
    ConflictError,
    DisclosureError,
    NotFoundError,
    OverloadedError,
    PaymentError,
    ScorerUnreachableError,
    StorageError,
)


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    made = Bank(tmp_path)
    yield made
    made.close()


def sealed(bank: Bank, decision: Decision) -> dict[str, Any]:
    content = bank.journal.payload(decision.statement)
    assert isinstance(content, dict)
    return content


LARGE = PaymentRule(
    "large", "a large amount", "R01", "decline", (Condition("amount", ">", "50000"),), status_reason="AM14"
)
NEW = PaymentRule("new", "a new payee", "R02", "review", (Condition("payee_is_new", "==", "1"),))


class Gate:
    """Stands before a bank's journal and lets nothing through until it is opened."""

    def __init__(self, bank: Bank) -> None:
        self.bank, self.party, self.journal = bank, bank.party, bank.journal
        self.open, self.waiting = threading.Event(), threading.Event()

    def record_many(self, drafts: Sequence[Any]) -> Any:
        if any(draft.kind.startswith("decision.") for draft in drafts):
            self.waiting.set()
            assert self.open.wait(20)
        return self.bank.record_many(drafts)


# -- what a decision is -----------------------------------------------------------------------------------------


def test_a_decision_is_stated_with_all_that_it_came_from(bank: Bank) -> None:
    with bank.engine(rules=[NEW]) as engine:
        decision = engine.decide(payment(1, amount=6_000))
    entry = bank.journal.entry(decision.statement)
    said, content = entry.statement, sealed(bank, decision)
    assert said.kind == "decision.made"
    assert said.body == {"level": "L0", "model": made_model().hash}
    assert said.links["rules"] == [next(iter(bank.journal.entries(kinds=("rules.stated",)))).id]
    assert decision.action == content["answer"] == "hold"
    assert decision.score == content["score"] == 6_500
    assert content["probability"] == f"{decision.probability:.6f}"
    assert content["payment"] == payment(1, amount=6_000).record()
    assert (decision.status, decision.status_reason) == ("PDNG", "NARR")
    assert decision.rules == ("new",) == tuple(content["rules"])
    assert [one.code for one in decision.reasons] == ["R02", "V01", "V25"]
    assert decision.decided_at == said.at
    assert b"customer-1" not in entry.bytes


def test_every_decision_is_explained_even_an_approval(bank: Bank) -> None:
    with bank.engine() as engine:
        decision = engine.decide(payment(1, amount=3))
    assert decision.action == "approve"
    assert 1 <= len(decision.reasons) <= 4
    assert all(one.code and one.text for one in decision.reasons)


def test_reasons_of_an_alert_speak_for_fraud_alone_and_are_at_most_four(bank: Bank) -> None:
    model = made_model((1, -3, 500, 2_000))
    rules = [
        PaymentRule(f"r{number}", "amount", f"R{number}", "review", (Condition("amount", ">", "1"),))
        for number in range(6)
    ]
    with bank.engine(models=Detectors(Detector(model))) as engine:
        engine.decide_many([payment(number, customer="c", amount=1_000) for number in range(20)])
        decision = engine.decide(payment(99, customer="c", amount=6_000))
        assert "lowers" not in " ".join(one.text for one in decision.reasons)
    with bank.again().engine(models=Detectors(Detector(model)), rules=rules) as engine:
        decision = engine.decide(payment(100, amount=6_000))
        assert [one.code for one in decision.reasons] == ["R0", "R1", "R2", "R3"]


def test_a_rule_makes_an_action_stricter_and_gives_its_reason(bank: Bank) -> None:
    with bank.engine(rules=[LARGE], policy=DecisionPolicy(10**6, 10**6, 10**6)) as engine:
        decision = engine.decide(payment(1, amount=50_001))
        assert (decision.action, decision.status, decision.status_reason) == ("decline", "RJCT", "AM14")
        assert engine.decide(payment(2, amount=50_000)).action == "approve"


def test_a_rule_never_makes_an_action_milder(bank: Bank) -> None:
    with bank.engine(rules=[NEW]) as engine:
        decision = engine.decide(payment(1, amount=25_000))
        assert (decision.action, decision.status_reason) == ("decline", "FRAD")


def test_an_instant_payment_cannot_wait_so_a_hold_is_a_decline(bank: Bank) -> None:
    with bank.engine() as engine:
        assert engine.decide(payment(1, amount=6_000, channel="instant")).action == "decline"
        assert engine.decide(payment(2, amount=6_000, channel="transfer")).action == "hold"


def test_a_challenger_is_stated_and_decides_nothing(bank: Bank) -> None:
    challenger = made_model((0, 0, 0, 0), name="beside")
    both = Detectors(made_detectors().champion, Detector(challenger))
    with bank.engine(models=both) as engine:
        decision = engine.decide(payment(1, amount=6_000))
    assert decision.action == "hold"
    assert sealed(bank, decision)["challenger"] == {"model": challenger.hash, "score": 0}


def test_a_permit_and_a_published_model_are_linked(bank: Bank) -> None:
    stated = bank.journal.append("document.recorded", {"title": "permit"}).id
    models = Detectors(Detector(made_model(), stated))
    with bank.engine(models=models, permit=stated) as engine:
        links = bank.journal.statement(engine.decide(payment(1)).statement).links
    assert links["permit"] == links["model"] == [stated]


def test_rules_are_stated_once_for_all_starts(bank: Bank) -> None:
    for rules in ([LARGE], [LARGE], [LARGE, NEW], [LARGE]):
        with bank.engine(rules=rules):
            pass
    assert len(list(bank.journal.entries(kinds=("rules.stated",)))) == 2


def test_signals_stand_beside_the_features(bank: Bank) -> None:
    class Listed:
        names = ("payee_listed",)

        def look(self, payments: Sequence[Payment]) -> Any:
            return np.array([[float(one.payee == "payee-1")] for one in payments])

    rule = PaymentRule("listed", "reported", "R02", "hold", (Condition("payee_listed", ">=", "1"),))
    with bank.engine(signals=Listed(), rules=[rule]) as engine:
        assert engine.decide(payment(1)).action == "hold"
        assert engine.decide(payment(2)).action == "approve"


# -- once -------------------------------------------------------------------------------------------------------


def test_the_same_payment_again_is_the_same_decision_and_one_statement(bank: Bank) -> None:
    with bank.engine() as engine:
        first = engine.decide(payment(1, amount=6_000))
        size = bank.journal.size
        again = engine.decide(payment(1, amount=6_000))
    assert bank.journal.size == size
    assert again.repeat
    assert (again.statement, again.action, again.score, again.probability, again.reasons, again.decided_at) == (
        first.statement, first.action, first.score, first.probability, first.reasons, first.decided_at,
    )  # fmt: skip


def test_the_same_id_with_other_content_is_refused(bank: Bank) -> None:
    with bank.engine() as engine:
        engine.decide(payment(1, amount=100))
        with pytest.raises(ConflictError):
            engine.decide(payment(1, amount=101))
        assert engine.stats().refused == {"input.conflict": 1}


def test_twice_in_one_batch_is_decided_once(bank: Bank) -> None:
    gate = Gate(bank)
    with bank_engine(gate) as engine:
        engine.submit(payment(0))
        assert gate.waiting.wait(20)
        futures = [engine.submit(payment(1)) for _ in range(5)]
        other = engine.submit(payment(1, amount=7))
        gate.open.set()
        told = [future.result(20) for future in futures]
        with pytest.raises(ConflictError):
            other.result(20)
    assert [one.repeat for one in told] == [False, True, True, True, True]
    assert len({one.statement for one in told}) == 1
    assert sum(1 for _ in bank.journal.entries(kinds=("decision.made",))) == 2


def test_many_threads_with_the_same_payments_decide_each_once(bank: Bank) -> None:
    with bank.engine() as engine:
        told: list[list[Decision]] = [[] for _ in range(6)]

        def work(place: int) -> None:
            for number in range(60):
                told[place].append(engine.decide(payment(number)))

        threads = [threading.Thread(target=work, args=(place,)) for place in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum(1 for _ in bank.journal.entries(kinds=("decision.made",))) == 60
    for number in range(60):
        assert len({one[number].statement for one in told}) == 1
        assert sum(not one[number].repeat for one in told) == 1


def test_a_decision_is_found_by_its_payment(bank: Bank) -> None:
    with bank.engine() as engine:
        decision = engine.decide(payment(1))
        found = engine.find("p1")
        assert found is not None
        assert found.statement == decision.statement
        assert engine.find("p2") is None


def test_a_payment_before_what_is_remembered_is_refused_rather_than_decided_twice(bank: Bank) -> None:
    settings = EngineSettings(remember=10, snapshot_every=0)
    with bank.engine(settings=settings) as engine:
        engine.decide_many([payment(number) for number in range(40)])
        with pytest.raises(PaymentError, match="older"):
            engine.decide(payment(1))
        assert engine.decide(payment(39)).repeat
        assert not engine.decide(payment(40)).repeat
    with bank.again().engine(settings=settings) as engine, pytest.raises(PaymentError, match="older"):
        engine.decide(payment(1))


def test_an_erased_payment_that_comes_again_is_refused(bank: Bank) -> None:
    with bank.engine() as engine:
        engine.decide(payment(1))
        bank.journal.erase("customer-1")
        with pytest.raises(ConflictError, match="erased"):
            engine.decide(payment(1))
        with pytest.raises(DisclosureError):
            engine.find("p1")


def test_a_caller_that_gives_up_takes_nothing_back(bank: Bank) -> None:
    gate = Gate(bank)

    async def impatient(engine: Any) -> None:
        waiting = asyncio.wrap_future(engine.submit(payment(1)))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waiting, 0.01)
        gate.open.set()
        decision = await asyncio.wrap_future(engine.submit(payment(1)))
        assert decision.repeat
        assert (await asyncio.wrap_future(engine.submit(payment(2)))).statement

    with bank_engine(gate) as engine:
        asyncio.run(impatient(engine))
    assert sum(1 for _ in bank.journal.entries(kinds=("decision.made",))) == 2


# -- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{"currency": "XXQ"}, {"at": START + 10**12}])
def test_a_payment_that_cannot_be_used_does_not_fail_the_others(bank: Bank, fields: dict[str, Any]) -> None:
    gate = Gate(bank)
    with bank_engine(gate) as engine:
        first = engine.submit(payment(0))
        assert gate.waiting.wait(20)
        good, bad, after = (
            engine.submit(payment(1)),
            engine.submit(Payment("bad", **{**WHOLE, **fields})),
            engine.submit(payment(2)),
        )
        gate.open.set()
        with pytest.raises(PaymentError):
            bad.result(20)
        assert {future.result(20).action for future in (first, good, after)} == {"approve"}
    assert sum(1 for _ in bank.journal.entries(kinds=("decision.made",))) == 3
    assert engine.features.format_state() == one_after_another([payment(0), payment(1), payment(2)])  # type: ignore[attr-defined]


def test_numbers_that_the_model_refuses_wait_for_a_person(bank: Bank) -> None:
    with bank.engine(models=made_detectors(outside="refuse")) as engine:
        strange, usual = engine.decide_many([payment(1, amount=10**9), payment(2)])
    assert (strange.action, strange.score, strange.model) == ("hold", None, "")
    assert bank.journal.statement(strange.statement).kind == "decision.ruled"
    assert strange.reasons[0].code == "M99"
    assert usual.action == "approve"


def test_too_many_waiting_are_refused_at_once(bank: Bank) -> None:
    gate = Gate(bank)
    with bank_engine(gate, settings=EngineSettings(batch=1, waiting=3, snapshot_every=0)) as engine:
        futures, error = fill(engine)
        assert error.retryable
        assert len(futures) <= 3 + 3  # those that wait; and one each being recorded, handed over and judged
        gate.open.set()
        assert all(future.result(20).statement for future in futures)


def test_a_closed_engine_takes_nothing_more_and_loses_nothing(bank: Bank) -> None:
    gate = Gate(bank)
    engine = bank_engine(gate)
    futures = [engine.submit(payment(number)) for number in range(300)]
    closing = threading.Thread(target=engine.close)
    closing.start()
    gate.open.set()
    closing.join(20)
    assert not closing.is_alive()
    assert all(future.result(0).statement for future in futures)
    with pytest.raises(OverloadedError, match="closing"):
        engine.submit(payment(400))


def test_signals_that_cannot_be_read_refuse_and_may_come_again(bank: Bank) -> None:
    class Away:
        names = ("payee_listed",)
        is_away = True

        def look(self, payments: Sequence[Payment]) -> Any:
            if self.is_away:
                raise ScorerUnreachableError("nobody answers")
            return np.zeros((len(payments), 1))

    signals = Away()
    with bank.engine(signals=signals) as engine:
        with pytest.raises(ScorerUnreachableError):
            engine.decide(payment(1))
        signals.is_away = False
        assert not engine.decide(payment(1)).repeat


def test_features_that_fail_stop_the_engine(bank: Bank) -> None:
    class Broken(CountedWindows):
        def take(self, payments: Sequence[Payment]) -> Any:
            raise ValueError("broken")

    with bank.engine(features=Broken()) as engine:
        with pytest.raises(StorageError, match="stopped"):
            engine.decide(payment(1))
        with pytest.raises(StorageError, match="stopped"):
            engine.submit(payment(2))
        assert "stopped" in engine.stats().stopped
    assert sum(1 for _ in bank.journal.entries(kinds=("decision.made",))) == 0


def test_whoever_repeats_a_payment_while_everything_fails_is_not_left_waiting(bank: Bank) -> None:
    queued = threading.Event()

    class Breaking(CountedWindows):
        def take(self, payments: Sequence[Payment]) -> Any:
            assert queued.wait(20)
            if any(one.id == "p5" for one in payments):
                assert gate.waiting.wait(20)
                raise ValueError("broken")
            return super().take(payments)

    gate = Gate(bank)
    settings = EngineSettings(batch=3, snapshot_every=0)
    with bank_engine(gate, features=Breaking(), settings=settings) as engine:
        first = engine.submit(payment(1))
        while engine.stats().backlog:
            pass  # until the first one is a batch of its own
        futures = [engine.submit(payment(number)) for number in (5, 1, 6)]
        queued.set()
        for future in futures:
            assert isinstance(future.exception(10), StorageError)
        gate.open.set()
        # It is durable, and its own caller hears so.
        assert first.result(10).statement
        with pytest.raises(StorageError):
            engine.decide(payment(7))


# -- controls ---------------------------------------------------------------------------------------------------


def test_the_kill_switch_refuses_everything_even_repeats(bank: Bank) -> None:
    with bank.engine() as engine:
        engine.decide(payment(1))
        bank.oversight.set_control(Control("refuse"), by="ana", reason="drift")
        size = bank.journal.size
        for number in (1, 2):
            with pytest.raises(AccessDeniedError):
                engine.decide(payment(number))
        assert bank.journal.size == size
        assert engine.stats().mode == "refuse"
        bank.oversight.set_control(Control(), by="ana", second="ben", reason="found")
        assert not engine.decide(payment(2)).repeat


def test_switched_to_rules_they_alone_decide(bank: Bank) -> None:
    bank.oversight.set_control(Control("rules"), by="ana", reason="drift")
    with bank.engine(rules=[LARGE]) as engine:
        high, low = engine.decide_many([payment(1, amount=60_000), payment(2, amount=25_000)])
    assert (high.action, high.score, high.probability, high.model) == ("decline", None, None, "")
    assert low.action == "approve"
    said = bank.journal.statement(high.statement)
    assert said.kind == "decision.ruled"
    assert said.body == {"rule": f"payment rules {engine.book.digest[:16]}"}
    assert "control" in said.links


def test_in_the_mode_confirm_a_band_waits_for_a_person(bank: Bank) -> None:
    bank.oversight.set_control(Control("confirm", (Band("low", 0, 200),)), by="ana", reason="new model")
    model = made_model((1, 0, 0, 0))
    with bank.engine(models=Detectors(Detector(model))) as engine:
        waits, goes, instant = engine.decide_many(
            [payment(1, amount=100), payment(2, amount=300), payment(3, amount=100, channel="instant")]
        )
    assert (waits.action, waits.status) == ("hold", "PDNG")
    assert sealed(bank, waits)["proposal"] == "approve"
    assert bank.journal.statement(waits.statement).kind == "decision.proposed"
    assert bank.oversight.effect(waits.statement) is Effect.PENDING
    assert goes.action == "approve"
    assert instant.action == "decline"


def test_a_control_set_on_the_way_keeps_the_answer_back_for_ever(bank: Bank) -> None:
    gate = Gate(bank)
    with bank_engine(gate) as engine:
        future = engine.submit(payment(1))
        follower = engine.submit(payment(1))
        assert gate.waiting.wait(20)
        bank.oversight.set_control(Control("rules"), by="ana", reason="drift")
        gate.open.set()
        for one in (future, follower):
            with pytest.raises(AccessDeniedError, match="on its way"):
                one.result(20)
        with pytest.raises(AccessDeniedError, match="withheld"):
            engine.decide(payment(1))
        with pytest.raises(AccessDeniedError, match="withheld"):
            engine.find("p1")
        assert engine.decide(payment(2)).action == "approve"
    with bank.again().engine() as engine, pytest.raises(AccessDeniedError, match="withheld"):
        engine.decide(payment(1))


def test_without_a_champion_rules_decide_and_it_says_so(bank: Bank, tmp_path: Path) -> None:
    missing = Detectors.of_files(tmp_path / "no.tsm", on_missing="rules")
    with bank.engine(models=missing, rules=[LARGE]) as engine:
        assert engine.decide(payment(1, amount=60_000)).action == "decline"
        stats = engine.stats()
    assert (stats.mode, stats.model) == ("rules", "")
    assert "no file" in stats.missing


# -- labels, erasure, stats -------------------------------------------------------------------------------------


def test_a_label_is_stated_sealed_and_learned(bank: Bank) -> None:
    with bank.engine() as engine:
        decision = engine.decide(payment(1))
        stated = engine.report_label("p1", True, source="chargeback")
        later = engine.decide(payment(4, customer="other"))
    said = bank.journal.statement(stated)
    assert (said.kind, said.body, said.links) == ("label.reported", {}, {"decision": [decision.statement]})
    content = bank.journal.payload(stated)
    assert isinstance(content, dict)
    assert (content["payment"], content["fraud"], content["source"]) == ("p1", True, "chargeback")
    assert later.score == 100 + 500 + 2_000


def test_the_same_label_again_changes_nothing_another_replaces_it(bank: Bank) -> None:
    with bank.engine() as engine:
        engine.decide(payment(1))
        first = engine.report_label("p1", True, source="case")
        assert engine.report_label("p1", True, source="case") == first
        assert engine.report_label("p1", False, source="case") != first
        assert engine.stats().labels == 2
    with bank.again().engine() as engine:
        second = engine.report_label("p1", False, source="case")
        assert engine.stats().labels == 0
        assert second != first


def test_a_label_that_comes_long_after_is_of_a_decision(bank: Bank) -> None:
    settings = EngineSettings(remember=10, snapshot_every=0)
    with bank.engine(settings=settings) as engine:
        first = engine.decide(payment(0))
        engine.decide_many([payment(number) for number in range(1, 30)])
        with pytest.raises(NotFoundError, match="remembered"):
            engine.report_label("p0", True, source="chargeback")
        stated = engine.report_label("", True, source="chargeback", decision=first.statement)
        assert engine.report_label("p0", True, source="case", decision=first.statement) == stated
        with pytest.raises(PaymentError, match="another payment"):
            engine.report_label("p1", True, source="case", decision=first.statement)
        with pytest.raises(NotFoundError, match="no decision"):
            engine.report_label("", True, source="case", decision=stated)
        with pytest.raises(NotFoundError):
            engine.report_label("", True, source="case", decision="0" * 64)
    assert bank.journal.statement(stated).links == {"decision": [first.statement]}
    with bank.again().engine(settings=settings) as engine:
        assert engine.report_label("", True, source="case", decision=first.statement) == stated


@pytest.mark.parametrize("known_at", [START - 10**9, START + 10**12])
def test_a_label_from_before_its_payment_or_from_the_future_is_refused(bank: Bank, known_at: int) -> None:
    with bank.engine() as engine:
        engine.decide(payment(1))
        with pytest.raises(PaymentError):
            engine.report_label("p1", True, source="case", known_at=known_at)
        with pytest.raises(NotFoundError):
            engine.report_label("p2", True, source="case")
        with pytest.raises(ConfigurationError):
            engine.report_label("p1", True, source="")


def test_stats_count_what_happened(bank: Bank) -> None:
    with bank.engine(drift=Drift(made_model().hash, NAMES, learn_from=20)) as engine:
        engine.decide_many([payment(number, amount=6_000 if number < 3 else 1) for number in range(10)])
        engine.decide(payment(1, amount=6_000))
        stats = engine.stats()
    assert stats.decided == {"approve": 7, "review": 0, "hold": 3, "decline": 0}
    assert (stats.alerts, stats.repeats, stats.remembered, stats.backlog) == (3, 1, 10, 0)
    assert stats.model == made_model().hash
    assert 0 < stats.p50_us <= stats.p99_us
    assert sum(stats.latencies.values()) == 10
    assert stats.plain()["decided"] == dict(stats.decided)


def test_measuring_without_statements_says_so_in_every_answer(bank: Bank) -> None:
    with bank.engine(audit=Audit.OFF_FOR_MEASURING) as engine:
        decision = engine.decide(payment(1, amount=6_000))
        assert (decision.statement, decision.action) == ("", "hold")
        assert not engine.decide(payment(1, amount=6_000)).repeat
    assert bank.journal.size == 0


def test_a_model_or_a_rule_that_reads_what_is_not_there_is_refused(bank: Bank) -> None:
    class Few(CountedWindows):
        names = NAMES[:2]

    with pytest.raises(ConfigurationError, match="reads"):
        bank.engine(features=Few())
    rule = PaymentRule("other", "other", "R08", "hold", (Condition("no_such", ">", "1"),))
    with pytest.raises(ConfigurationError, match="columns"):
        bank.engine(rules=[rule])


WHOLE: dict[str, Any] = {"at": START, "amount": 1, "currency": "EUR", "customer": "c", "payee": "p"}


def bank_engine(gate: Gate, **fields: Any) -> Any:
    from tallystick.apps.fraud.deciding import Engine

    told: dict[str, Any] = {
        "models": made_detectors(),
        "features": CountedWindows(),
        "policy": POLICY,
        "oversight": gate.bank.oversight,
        "clock": gate.bank.clock,
        "settings": EngineSettings(snapshot_every=0),
        **fields,
    }
    return Engine(gate, **told)


def one_after_another(payments: Sequence[Payment]) -> bytes:
    windows = CountedWindows()
    for one in payments:
        windows.take([one])
    return windows.format_state()


def fill(engine: Any) -> tuple[list[Future[Decision]], OverloadedError]:
    """Submit until it is refused."""
    futures: list[Future[Decision]] = []
    while True:
        try:
            futures.append(engine.submit(payment(len(futures))))
        except OverloadedError as error:
            return futures, error
