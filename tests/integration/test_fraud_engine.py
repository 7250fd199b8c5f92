"""The engine and its surroundings: restart, replay, erasure, a disk that is full."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.made_engine import Bank, Clock, CountedWindows, made_detectors, made_model, payment

from tallystick.apps.fraud.deciding import (
    Condition,
    DecisionPolicy,
    Detector,
    Detectors,
    EngineSettings,
    PaymentRule,
    RuleBook,
    replay,
    replay_sealed,
)
from tallystick.apps.fraud.features import FEATURES, Windows
from tallystick.decisions import Control
from tallystick.errors import ConfigurationError, NotFoundError, StorageError
from tallystick.models import IntegerModel
from tallystick.proof import OsFiles, Party
from tallystick.testing import FaultyFiles

LARGE = PaymentRule("large", "a large amount", "R01", "hold", (Condition("amount", ">", "3000"),))
NEW = PaymentRule("new", "a new payee", "R02", "review", (Condition("payee_is_new", "==", "1"),))


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    made = Bank(tmp_path)
    yield made
    made.close()


def by_hash(*models: IntegerModel) -> Any:
    known = {model.hash: model for model in models}

    def find(model_hash: str) -> IntegerModel:
        if model_hash not in known:
            raise NotFoundError("no such model")
        return known[model_hash]

    return find


# -- restart ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [0, 40, 1_000])
def test_a_restart_goes_on_exactly_where_it_stopped(bank: Bank, every: int) -> None:
    settings = EngineSettings(snapshot_every=every)
    whole = CountedWindows()
    expected = [whole.take([payment(number)])[0].tolist() for number in range(200)]
    told = []
    for start in range(0, 200, 50):
        snapshots = bank.directory / "snapshots" if every else None
        with bank.again().engine(settings=settings, directory=snapshots) as engine:
            told += engine.decide_many([payment(number) for number in range(start, start + 50)])
            assert engine.find(f"p{start // 2}") is not None
    scores = [int(row[0] + 3 * row[1] + 500 * row[2] + 2_000 * row[3]) for row in expected]
    assert [one.score for one in told] == scores


def test_a_snapshot_is_only_a_shortcut(bank: Bank) -> None:
    snapshots, settings = bank.directory / "snapshots", EngineSettings(snapshot_every=30)
    with bank.engine(directory=snapshots, settings=settings) as engine:
        engine.decide_many([payment(number) for number in range(70)])
        engine.report_label("p3", True, source="case")
        engine.decide_many([payment(number) for number in range(70, 100)])
        state = engine.features.format_state()  # type: ignore[attr-defined]
    with bank.again().engine(directory=snapshots) as engine:
        assert engine.stats().restored.startswith("from a snapshot of")
        assert engine.features.format_state() == state  # type: ignore[attr-defined]
        assert engine.decide(payment(5)).repeat
    for path in snapshots.iterdir():
        path.write_bytes(path.read_bytes()[:-3])
    with bank.again().engine(directory=snapshots) as engine:
        assert "thrown away" in engine.stats().restored
        assert "100 payments taken again" in engine.stats().restored
        assert engine.features.format_state() == state  # type: ignore[attr-defined]
        assert engine.decide(payment(5)).repeat


def test_a_snapshot_of_windows_with_other_terms_is_not_taken(bank: Bank) -> None:
    snapshots = bank.directory / "snapshots"

    class Windows(CountedWindows):
        terms = (0, 7)

    class Others(CountedWindows):
        terms = (0, 9)
        parse_state = Windows.parse_state  # what was kept tells its own terms

    with bank.engine(features=Windows(), directory=snapshots) as engine:
        engine.decide_many([payment(number) for number in range(20)])
    with bank.again().engine(features=Windows(), directory=snapshots) as engine:
        assert engine.stats().restored.startswith("from a snapshot of")
    with bank.again().engine(features=Others(), directory=snapshots) as engine:
        assert engine.stats().restored == (
            "from the journal, 20 payments taken again; 1 snapshots were thrown away"
        )


def test_a_snapshot_of_another_journal_is_not_taken(bank: Bank, tmp_path: Path) -> None:
    snapshots = tmp_path / "snapshots"
    with bank.engine(directory=snapshots) as engine:
        engine.decide_many([payment(number) for number in range(30)])
    other = Bank(tmp_path / "other", party=bank.party)
    with other.engine(directory=snapshots) as engine:
        assert "1 snapshots were thrown away" in engine.stats().restored
        assert engine.stats().remembered == 0
    other.close()


def test_real_windows_come_back_bit_for_bit(bank: Bank) -> None:
    payments = [
        payment(number, amount=100 + number % 13, at=1_790_000_000_000_000 + number * 1_000_000)
        for number in range(150)
    ]
    models = Detectors(None)
    directory = bank.directory / "snapshots"
    with bank.engine(models=models, features=Windows()) as engine:
        engine.decide_many(payments[:90])
        engine.report_label(payments[3].id, True, source="case")
        engine.decide_many(payments[90:])
        state = engine.features.format_state()  # type: ignore[attr-defined]
    for at in range(3):
        with bank.again().engine(
            models=models, features=Windows(), directory=directory if at else None
        ) as engine:
            assert engine.features.format_state() == state  # type: ignore[attr-defined]
            engine.report_label(payments[3].id, True, source="case")


def test_who_was_erased_counts_no_more_after_a_restart(bank: Bank) -> None:
    with bank.engine() as engine:
        engine.decide_many([payment(number) for number in range(21)])
    bank.journal.erase("customer-1")
    with bank.again().engine() as engine:
        assert "3 payloads could not be opened" in engine.stats().restored
        assert "customer-1" not in engine.features.format_state().decode()  # type: ignore[attr-defined]
        assert engine.decide(payment(2)).repeat


# -- replay -----------------------------------------------------------------------------------------------------


def test_every_decision_replays_bit_for_bit(bank: Bank) -> None:
    challenger = made_model((0, 5, 9, 1), name="beside")
    models = Detectors(made_detectors().champion, Detector(challenger))
    with bank.engine(models=models, rules=[LARGE, NEW]) as engine:
        engine.decide_many([payment(number, amount=1 + 97 * number) for number in range(150)])
        bank.oversight.set_control(Control("confirm"), by="ana", reason="x")
        engine.decide_many(
            [payment(number, amount=1 + 97 * number, channel="instant") for number in range(150, 200)]
        )
        bank.oversight.set_control(Control("rules"), by="ana", reason="x")
        engine.decide_many([payment(number, amount=1 + 97 * number) for number in range(200, 250)])
        found = engine.replay()
    assert (found.count, found.differ, found.first_difference, found.unread) == (250, 0, "", 0)
    assert found.by_model == {made_model().hash: 200, "": 50}


def test_replay_notices_every_number_that_was_changed(bank: Bank) -> None:
    with bank.engine(rules=[LARGE, NEW]) as engine:
        decision = engine.decide(payment(1, amount=3_001))
        book = engine.book
    sealed = bank.journal.payload(decision.statement)
    assert isinstance(sealed, dict)

    def differs(**change: Any) -> str:
        told = [("a" * 64, "decision.made", made_model().hash, {**sealed, **change})]
        return replay_sealed(told, by_hash(made_model()), book).what

    assert differs() == ""
    assert differs(score=sealed["score"] + 1) != ""
    assert differs(features=replay_text(b"\x00\x01" + b"\x00" * 6)) == "score"
    assert differs(probability="0.000001") == "probability"
    assert differs(answer="approve") == "action"
    assert differs(rules=[]) == "rules"
    assert differs(status="ACCP") == "status"
    assert differs(status_reason="FRAD") == "status"
    assert differs(payment={**sealed["payment"], "amount": 5}) == "rules"


def test_replay_needs_the_model_and_the_rules_that_decided(bank: Bank) -> None:
    with bank.engine() as engine:
        decision = engine.decide(payment(1))
    with pytest.raises(NotFoundError):
        replay(bank.journal, by_hash())
    with pytest.raises(ConfigurationError):
        replay(bank.journal, lambda _hash: made_model((9, 9, 9, 9)))
    sealed = bank.journal.payload(decision.statement)
    assert isinstance(sealed, dict)
    other = RuleBook((), DecisionPolicy(0, 0, 0))
    told = [(decision.statement, "decision.made", made_model().hash, sealed)]
    assert replay_sealed(told, by_hash(made_model()), other).what == "action"


def test_rules_that_are_functions_replay_with_the_functions(bank: Bank) -> None:
    own = PaymentRule(
        "own",
        "own",
        "R07",
        "hold",
        fires=lambda one, facts: facts["payee_is_new"] > 0,
        reads=("payee_is_new",),
    )
    with bank.engine(rules=[own]) as engine:
        engine.decide_many([payment(number) for number in range(30)])
        assert engine.replay().differ == 0
    with pytest.raises(ConfigurationError):
        replay(bank.journal, by_hash(made_model()))


def test_decisions_of_others_in_the_same_journal_are_left_alone(bank: Bank) -> None:
    bank.journal.append("decision.made", {"level": "L0", "model": "0" * 64}, fields={"answer": "x"})
    with bank.engine() as engine:
        engine.decide(payment(1))
        assert engine.replay().count == 1
    with bank.again().engine() as engine:
        assert engine.stats().remembered == 1


def replay_text(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode()


# -- faults -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["write", "sync"])
def test_a_full_disk_approves_nothing_and_a_restart_goes_on(tmp_path: Path, operation: str) -> None:
    full = threading.Event()
    files = FaultyFiles(
        OsFiles(), lambda what, _name: errno.ENOSPC if full.is_set() and what == operation else 0
    )
    party = Party.create("Bank A")
    bank = Bank(tmp_path, party=party, files=files)
    with bank.engine() as engine:
        good = engine.decide_many([payment(number) for number in range(20)])
        full.set()
        futures = []
        for number in range(20, 40):
            try:
                futures.append(engine.submit(payment(number)))
            except StorageError:
                break
        for future in futures:
            assert isinstance(future.exception(20), StorageError)
        for refused in (engine.submit, engine.decide):
            with pytest.raises(StorageError, match="stopped"):
                refused(payment(99))
        with pytest.raises(StorageError):
            engine.report_label("p1", True, source="case")
        assert engine.stats().stopped
    bank.close()
    full.clear()
    bank = Bank(tmp_path, party=party)
    with bank.engine() as engine:
        for one in good:
            found = engine.find(one.payment)
            assert found is not None
            assert found.statement == one.statement
        told = engine.decide_many([payment(number) for number in range(40)])
        assert [one.repeat for one in told[:20]] == [True] * 20
    counts: dict[str, int] = {}
    for entry in bank.journal.entries(kinds=("decision.made",)):
        sealed = bank.journal.payload(entry.index)
        assert isinstance(sealed, dict)
        counts[sealed["payment"]["id"]] = counts.get(sealed["payment"]["id"], 0) + 1
    assert counts == {f"p{number}": 1 for number in range(40)}
    bank.close()


def test_a_clock_that_goes_back_stops_the_engine_and_approves_nothing(tmp_path: Path) -> None:
    clock = Clock()
    bank = Bank(tmp_path, clock=clock)
    with bank.engine() as engine:
        engine.decide(payment(1))
        clock.now -= 3_600_000_000
        with pytest.raises(StorageError, match="clock"):
            engine.decide(payment(2, at=clock.now))
    assert sum(1 for _ in bank.journal.entries(kinds=("decision.made",))) == 1
    bank.close()


def test_all_real_features_can_be_named_by_a_model_and_are_explained(bank: Bank) -> None:
    from tallystick.models import LinearModel, NumericFeature, Quantiser

    features = tuple(
        NumericFeature(one.name, one.title[:100], 0, 0, 1, -(2**15), 2**15 - 1, 0, False) for one in FEATURES
    )
    width = len(features)
    model = LinearModel(
        name="all", target="fraud", quantiser=Quantiser(features), labels=("no", "yes"), unit=4_096, threshold=1,
        weights=(tuple([1] * width),), biases=(0,), centre=(0,) * width,
    )  # fmt: skip
    with bank.engine(models=Detectors(Detector(model)), features=Windows()) as engine:
        decision = engine.decide(payment(1, amount=9_000, card="c1", device="d1", terminal="t1"))
        bare = engine.decide(payment(2, amount=9_000))
        assert engine.replay().differ == 0
    assert [reason.text for reason in bare.reasons if "is named" in reason.text] == [
        "no card is named, raises the risk"
    ]
    assert len({reason.text for reason in bare.reasons}) == len(bare.reasons)
    known = {one.reason_code: one.title for one in FEATURES}
    assert decision.reasons
    for reason in decision.reasons:
        assert reason.text.startswith(known[reason.code])
