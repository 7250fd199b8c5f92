"""Live shadow mode: each decision is stated once, durable before it is acknowledged, and the journal tells the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.made_engine import START, Bank, Clock, CountedWindows, made_model, payment
from tests.made_scorer import Scorer
from tests.unit.apps.fraud.shadow.made_asked import asked, serve

from tallystick.apps.fraud.deciding import _restoring
from tallystick.apps.fraud.features import Windows
from tallystick.apps.fraud.shadow import (
    LiveAnchors,
    LiveSettings,
    LiveShadow,
    Said,
    SaidScorer,
    compare_stated,
    find_scorer,
)
from tallystick.apps.fraud.shadow._stating import DECISION_KIND, DISPOSED_KIND, LABEL_KIND
from tallystick.errors import (
    ConfigurationError,
    ConflictError,
    DataError,
    DisclosureError,
    NotFoundError,
    OverloadedError,
    PaymentError,
    RateLimitError,
    ScorerUnreachableError,
    StorageError,
)
from tallystick.proof import Draft, Entry

DAY = 86_400_000_000
V7 = SaidScorer("our scorer v7")


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    made = Bank(tmp_path)
    yield made
    made.close()


def live(bank: Any, **fields: Any) -> LiveShadow:
    told: dict[str, Any] = {
        "present": V7,
        "model": made_model(),
        "features": CountedWindows(),
        "clock": bank.clock,
        **fields,
    }
    return LiveShadow(bank, **told)


def test_a_decision_is_stated_once_and_the_same_again_gives_the_same_statement(bank: Bank) -> None:
    with live(bank) as shadow:
        first = shadow.observe(payment(1), Said(0.93, True))
        again = shadow.observe(payment(1), Said(0.93, True))
        assert (again.statement, again.repeat, first.repeat) == (first.statement, True, False)
        assert (again.payment, again.present, again.alert, again.score) == (
            payment(1),
            0.93,
            True,
            first.score,
        )
        assert shadow.find("p1") == again
        assert (shadow.stats().observed, shadow.stats().repeats) == (1, 1)
    assert bank.journal.size == 1
    said = bank.journal.statement(first.statement)
    assert (said.kind, said.body) == ("decision.made", {"level": "L0", "model": V7.hash})
    sealed = bank.journal.payload(first.statement)
    assert isinstance(sealed, dict)
    assert (sealed["answer"], sealed["score"]) == ("review", "0.930000")
    assert sealed["beside"]["model"] == made_model().hash
    assert b"customer" not in bank.journal.entry(0).bytes


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (payment(1, amount=101), Said(0.5, False)),
        (payment(1), Said(0.5, True)),
        (payment(1), Said(0.6, False)),
    ],
)
def test_the_same_id_with_another_content_or_other_words_is_a_conflict(
    bank: Bank, other: Any, said: Said
) -> None:
    with live(bank) as shadow:
        shadow.observe(payment(1), Said(0.5, False))
        with pytest.raises(ConflictError):
            shadow.observe(other, said)
    assert bank.journal.size == 1


def test_a_score_counts_with_six_decimals_as_it_is_stated(bank: Bank) -> None:
    with live(bank) as shadow:
        first = shadow.observe(payment(1), Said(0.12345678, False))
        assert first.present == 0.123457
        assert shadow.observe(payment(1), Said(0.12345678, False)).statement == first.statement


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -float("inf"), 1e15])
def test_a_score_that_is_not_finite_is_refused(bank: Bank, score: float) -> None:
    with live(bank) as shadow, pytest.raises(PaymentError, match="finite"):
        shadow.observe(payment(1), Said(score, True))
    assert bank.journal.size == 0


def test_what_cannot_be_a_payment_now_is_refused(bank: Bank) -> None:
    with live(bank) as shadow:
        with pytest.raises(PaymentError, match="ISO 4217"):
            shadow.observe(payment(1, currency="QQQ"), Said(0.5, False))
        with pytest.raises(PaymentError, match="ahead of this clock"):
            shadow.observe(payment(1, at=START + 3_600_000_000), Said(0.5, False))
        with pytest.raises(PaymentError, match="alert and score"):
            shadow.observe(payment(1))
        with pytest.raises(NotFoundError):
            shadow.find("p1")


def test_a_payment_that_comes_late_is_taken_as_the_windows_take_it(bank: Bank) -> None:
    bank.clock.now = START + 3_600_000_000
    with live(bank, model=_model_of_windows(), features=Windows(lateness_s=60)) as shadow:
        shadow.observe(payment(1, at=START + 3_600_000_000), Said(0.5, False))
        shadow.observe(payment(2, at=START), Said(0.5, False))
        assert shadow.stats().late == 1
    assert bank.journal.size == 2


def _model_of_windows() -> Any:
    from tallystick.models import LinearModel, NumericFeature, Quantiser

    feature = NumericFeature("amount", "amount", 0, 0, 1, -(2**15), 2**15 - 1, 0, False)
    return LinearModel(
        name="by amount", target="fraud", quantiser=Quantiser((feature,)), labels=("no", "yes"), unit=4096,
        threshold=5_000, weights=((1,),), biases=(0,), centre=(0,),
    )  # fmt: skip


class Slow:
    """A bank whose journal waits until it may go on; counts what is written together."""

    def __init__(self, bank: Bank) -> None:
        self.journal, self.clock, self._bank = bank.journal, bank.clock, bank
        self.go, self.batches = threading.Event(), list[int]()

    def record_many(self, drafts: Sequence[Draft]) -> list[Entry]:
        self.batches.append(len(drafts))
        assert self.go.wait(20)
        return self._bank.record_many(drafts)


def test_who_comes_meanwhile_shares_the_next_write_and_repeats_follow_the_first(bank: Bank) -> None:
    slow = Slow(bank)
    with live(slow) as shadow:
        futures = [shadow.submit(payment(0), Said(0.0, False))]
        while not slow.batches:
            threading.Event().wait(0.001)
        futures += [shadow.submit(payment(n), Said(0.0, False)) for n in range(1, 20)]
        follower = shadow.submit(payment(5), Said(0.0, False))
        with pytest.raises(ConflictError):
            shadow.submit(payment(5), Said(0.0, True))
        assert not any(future.done() for future in futures)
        slow.go.set()
        stated = [future.result(20).statement for future in futures]
        assert follower.result(20).statement == stated[5]
        assert follower.result().repeat
    assert slow.batches == [1, 19]
    assert len(set(stated)) == bank.journal.size == 20


def test_many_callers_with_the_same_payments_state_each_once(bank: Bank) -> None:
    told: list[tuple[str, str, int]] = []
    with live(bank, settings=LiveSettings(batch=7)) as shadow:

        def bring(first: int) -> None:
            for n in range(60):
                one = shadow.observe(payment((first * 13 + n) % 60), Said(0.5, False))
                told.append((one.payment.id, one.statement, one.score))

        threads = [threading.Thread(target=bring, args=(first,)) for first in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (shadow.stats().observed, shadow.stats().repeats) == (60, 300)
    assert (len(told), len(set(told)), bank.journal.size) == (360, 60, 60)


def test_too_many_are_refused_and_so_is_everything_after_the_end(bank: Bank) -> None:
    slow = Slow(bank)
    shadow = live(slow, settings=LiveSettings(waiting=2))
    futures = [shadow.submit(payment(0), Said(0.0, False)), shadow.submit(payment(1), Said(0.0, False))]
    with pytest.raises(OverloadedError):
        shadow.submit(payment(2), Said(0.0, False))
    slow.go.set()
    assert [future.result(20).payment.id for future in futures] == ["p0", "p1"]
    shadow.close()
    with pytest.raises(OverloadedError, match="closing"):
        shadow.submit(payment(2), Said(0.0, False))


class Full:
    """A bank whose disk is full."""

    def __init__(self, bank: Bank) -> None:
        self.journal, self.clock = bank.journal, bank.clock

    def record_many(self, drafts: Sequence[Draft]) -> list[Entry]:
        raise StorageError("the disk is full", hint="make room")


def test_a_journal_that_cannot_write_acknowledges_nothing_and_stops(bank: Bank) -> None:
    with live(Full(bank)) as shadow:
        with pytest.raises(StorageError, match="the disk is full"):
            shadow.observe(payment(1), Said(0.5, False))
        for again in (1, 2):
            with pytest.raises(StorageError, match="has stopped"):
                shadow.observe(payment(again), Said(0.5, False))
        with pytest.raises(StorageError):
            shadow.report_label("p1", True, source="customer")
        assert "the disk is full" in shadow.stats().stopped
    with live(bank) as shadow:
        assert not shadow.observe(payment(1), Said(0.5, False)).repeat


def test_a_label_is_stated_as_the_engine_states_it_and_changes_what_is_scored_after_it(bank: Bank) -> None:
    assert (LABEL_KIND, DISPOSED_KIND) == (_restoring.LABEL_KIND, _restoring.DISPOSED_KIND)
    assert DECISION_KIND in _restoring.DECISION_KINDS
    with live(bank) as shadow:
        before = shadow.observe(payment(3), Said(0.5, False))
        label = shadow.report_label("p3", True, source="customer")
        assert shadow.report_label("p3", True, source="customer") == label
        after = shadow.observe(payment(24), Said(0.5, False))  # same customer and payee
        assert after.score - before.score == 2_000 + 3 - 500
        other = shadow.report_label("", False, source="case", decision=before.statement)
        assert other != label
        with pytest.raises(NotFoundError):
            shadow.report_label("p9", True, source="customer")
        with pytest.raises(NotFoundError):
            shadow.report_label("", True, source="customer", decision=label)
        with pytest.raises(PaymentError):
            shadow.report_label("p9", True, source="customer", decision=before.statement)
        with pytest.raises(ConfigurationError):
            shadow.report_label("p3", True, source="")
        assert shadow.stats().labels == 2
    said = bank.journal.statement(label)
    assert (said.kind, dict(said.body), said.links["decision"]) == (LABEL_KIND, {}, [before.statement])
    sealed = bank.journal.payload(label)
    assert isinstance(sealed, dict)
    assert (sealed["fraud"], sealed["payment"], sealed["source"]) == (True, "p3", "customer")


def test_many_labels_at_once_share_a_write_and_the_last_word_on_a_payment_counts(bank: Bank) -> None:
    with live(bank) as shadow:
        for n in range(8):
            shadow.observe(payment(n), Said(0.5, False))
        told: list[str] = []
        threads = [
            threading.Thread(target=lambda n=n: told.append(shadow.report_label(f"p{n}", True, source="x")))
            for n in (*range(8), 0, 1)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (len(told), len(set(told)), bank.journal.size) == (10, 8, 16)


def test_a_restart_reads_windows_ids_and_labels_from_the_journal(bank: Bank) -> None:
    whole = CountedWindows()
    with live(bank, features=whole) as shadow:
        stated = [shadow.observe(payment(n), Said(n / 100, n > 9)) for n in range(12)]
        label = shadow.report_label("p3", True, source="customer")
        shadow.report_label("p4", True, source="customer")
        shadow.report_label("p4", False, source="case")
    # What another scorer decided, or an engine of ours, is not this one's.
    with live(bank, present=SaidScorer("our scorer v8")) as other:
        other.observe(payment(50), Said(0.5, True))
    again = CountedWindows()
    size = bank.journal.size
    with live(bank.again(), features=again) as shadow:
        assert again.format_state() == whole.format_state()
        assert (shadow.stats().taken, shadow.stats().remembered) == (12, 12)
        found = [shadow.observe(payment(n), Said(n / 100, n > 9)) for n in range(12)]
        assert [one.statement for one in found] == [one.statement for one in stated]
        assert [one.score for one in found] == [one.score for one in stated]
        assert shadow.report_label("p3", True, source="customer") == label
        assert bank.journal.size == size


def test_a_snapshot_makes_a_start_short_and_changes_nothing_else(bank: Bank, tmp_path: Path) -> None:
    fields = {"directory": tmp_path / "shadow", "settings": LiveSettings(snapshot_every=4)}
    whole = CountedWindows()
    with live(bank, features=whole, **fields) as shadow:
        stated = [shadow.observe(payment(n), Said(0.5, False)).statement for n in range(9)]
        label = shadow.report_label("p3", True, source="customer")
    kept = sorted((tmp_path / "shadow" / V7.hash[:16]).iterdir())
    assert kept
    assert not any(b"customer-" in one.read_bytes() for one in kept)
    # Of another scorer: in a directory of its own.
    with live(bank, present=SaidScorer("v8"), **fields) as other:
        assert other.stats().remembered == 0
    with live(bank) as without:  # one that keeps none goes on in the journal
        without.observe(payment(20), Said(0.5, False))
    with live(bank.again(), **fields) as shadow:
        assert (shadow.stats().taken, shadow.stats().remembered) == (1, 10)
        assert [shadow.observe(payment(n), Said(0.5, False)).statement for n in range(9)] == stated
        assert shadow.report_label("p3", True, source="customer") == label
        after = shadow._state.features
    again = CountedWindows()
    with live(bank, features=again):
        assert again.format_state() == after.format_state()  # type: ignore[attr-defined]


@pytest.mark.parametrize("damage", ["cut", "bit", "empty"])
def test_a_damaged_snapshot_costs_a_longer_start_and_no_more(bank: Bank, tmp_path: Path, damage: str) -> None:
    fields = {"directory": tmp_path / "shadow", "settings": LiveSettings(snapshot_every=1_000)}
    with live(bank, **fields) as shadow:
        stated = [shadow.observe(payment(n), Said(0.5, False)).statement for n in range(5)]
    (path,) = (tmp_path / "shadow" / V7.hash[:16]).iterdir()
    data = path.read_bytes()
    path.write_bytes(
        {"cut": data[:-1], "bit": data[:40] + bytes([data[40] ^ 1]) + data[41:], "empty": b""}[damage]
    )
    with live(bank, **fields) as shadow:
        assert shadow.stats().taken == 5
        assert shadow.observe(payment(2), Said(0.5, False)).statement == stated[2]
    # What had to be read once need not be read again, though nothing new was stated.
    with live(bank, **fields) as shadow:
        assert shadow.stats().taken == 0


def test_a_snapshot_of_other_windows_is_passed_over(bank: Bank, tmp_path: Path) -> None:
    fields = {"model": _model_of_windows(), "directory": tmp_path / "shadow"}
    with live(bank, features=Windows(), **fields) as shadow:
        shadow.observe(payment(1), Said(0.5, False))
    with live(bank, features=Windows(label_delay_s=86_400), **fields) as shadow:
        assert shadow.stats().taken == 1
    # From here on the snapshot is of the windows that are wanted now.
    with live(bank, features=Windows(label_delay_s=86_400), **fields) as shadow:
        assert (shadow.stats().taken, shadow.stats().remembered) == (0, 1)


def test_what_was_forgotten_is_refused_instead_of_stated_twice(bank: Bank) -> None:
    small = LiveSettings(remember=2)
    with live(bank, settings=small) as shadow:
        for n in range(5):
            shadow.observe(payment(n), Said(0.5, False))
        with pytest.raises(PaymentError, match="older than what is remembered"):
            shadow.observe(payment(0), Said(0.5, False))
        assert shadow.stats().remembered <= 4
        assert shadow.observe(payment(4), Said(0.5, False)).repeat
    with live(bank.again(), settings=small) as shadow, pytest.raises(PaymentError, match="older"):
        shadow.observe(payment(0), Said(0.5, False))
    assert bank.journal.size == 5


def test_who_was_erased_is_neither_found_nor_stated_again(bank: Bank) -> None:
    with live(bank) as shadow:
        one = shadow.observe(payment(1), Said(0.5, False))
        bank.journal.erase(one.payment.customer)
        with pytest.raises(DisclosureError):
            shadow.find("p1")
        with pytest.raises(ConflictError, match="erased"):
            shadow.observe(payment(1), Said(0.5, False))
    with live(bank.again()) as shadow:
        assert shadow.stats().unread == 1
        with pytest.raises(PaymentError, match="older"):
            shadow.observe(payment(1), Said(0.5, False))
        assert shadow.compare(14).observed == 0


def test_a_model_of_columns_that_are_no_features_is_refused(bank: Bank) -> None:
    with pytest.raises(DataError):
        live(bank, model=_model_of_windows(), features=_Nameless())


class _Nameless(CountedWindows):
    names = ("customer_count",)  # type: ignore[assignment]


@pytest.mark.parametrize("name", ["", "x" * 201, "two\nlines"])
def test_a_scorer_has_a_name_of_one_line(name: str) -> None:
    with pytest.raises(ConfigurationError):
        SaidScorer(name)
    assert SaidScorer("a").hash != SaidScorer("b").hash


# -- a scorer that is asked -----------------------------------------------------------------------------------


def test_a_scorer_that_is_asked_is_asked_once_for_each_payment(bank: Bank) -> None:
    scorer = Scorer([serve({"score": 0.95}), serve({"score": 0.2})], None)
    try:
        with live(bank, present=asked(scorer.url)) as shadow:
            first = shadow.observe(payment(1))
            assert (first.alert, first.present) == (True, 0.95)
            assert shadow.observe(payment(1)).statement == first.statement
            assert not shadow.observe(payment(2)).alert
            with pytest.raises(PaymentError, match="is asked here"):
                shadow.observe(payment(3), Said(0.5, True))
            with pytest.raises(ConflictError):
                shadow.observe(payment(1, amount=7))
    finally:
        scorer.close()
    assert len(scorer.requests) == 2


def test_a_scorer_that_does_not_answer_states_nothing_and_the_payment_may_come_again(bank: Bank) -> None:
    scorer = Scorer([serve({"score": 0.95})], None)
    url = scorer.url
    scorer.close()
    with live(bank, present=asked(url)) as shadow:
        for _ in range(2):
            with pytest.raises(ScorerUnreachableError):
                shadow.observe(payment(1))
        assert (bank.journal.size, shadow.stats().stopped) == (0, "")


# -- the comparison from the journal --------------------------------------------------------------------------


def _observe_days(bank: Bank, shadow: LiveShadow, days: int = 6) -> None:
    for n in range(10 * days):
        bank.clock.now = START + (n // 10) * DAY + n
        # Fraud is what ours scores high (a large amount), the present scorer stops one genuine payment a day.
        amount = 30_000 if n % 10 < 4 else 100 + n
        shadow.observe(payment(n, amount=amount, at=START + (n // 10) * DAY + n), Said(0.5, n % 10 in (0, 9)))


def test_the_comparison_reads_decisions_and_labels_from_the_journal(bank: Bank) -> None:
    with live(bank) as shadow:
        _observe_days(bank, shadow)
        for n in range(60):
            shadow.report_label(f"p{n}", n % 10 < 4, source="case")
        found = shadow.compare(14)
    assert (found.days, found.payments, found.observed, found.frauds) == (6, 60, 60, 24)
    assert (found.present.frauds, found.present.false_alerts) == (6, 6)
    assert (found.ours.frauds, found.only_ours) == (24, 18)
    assert found.ours.false_alerts <= 6
    assert found.gain is not None
    assert found.gain[0] == pytest.approx(0.75)
    with live(bank.again()) as shadow:
        assert shadow.compare(14) == found
        # The last three days only, by the time of the statement.
        assert shadow.compare(3).days == 3


def test_payments_without_a_label_count_as_genuine_only_when_that_is_asked_for(bank: Bank) -> None:
    with live(bank) as shadow:
        _observe_days(bank, shadow)
        for n in range(60):
            if n % 10 < 4:
                shadow.report_label(f"p{n}", True, source="chargeback")
        only = shadow.compare(14)
        assert (only.payments, only.assumed, only.present.false_alerts) == (24, 0, 0)
        settled = shadow.compare(14, genuine_after_days=2)
        # Those of the last two days are too young to be taken for genuine.
        assert (settled.payments, settled.assumed) == (24 + 24, 24)
        assert settled.present.false_alerts == 4
        for wrong in ({"days": 0}, {"days": 1, "genuine_after_days": 0}):
            with pytest.raises(ConfigurationError):
                shadow.compare(**wrong)  # type: ignore[arg-type]


def test_another_scorer_or_another_model_of_ours_is_compared_apart(bank: Bank) -> None:
    second = made_model((1, 0, 0, 0), name="second")
    with pytest.raises(NotFoundError, match="nothing was observed"):
        find_scorer(bank.journal)
    with live(bank) as shadow:
        shadow.observe(payment(1), Said(0.5, True))
        shadow.report_label("p1", True, source="case")
    with live(bank, model=second) as shadow:
        shadow.observe(payment(2), Said(0.5, True))
        shadow.report_label("p2", True, source="case")
        assert shadow.compare(14).payments == 1
    found = find_scorer(bank.journal)
    assert (found.scorer, found.model) == (V7.hash, second.hash)
    assert find_scorer(bank.journal, scorer=V7.hash) == found
    with pytest.raises(NotFoundError, match="of this scorer"):
        find_scorer(bank.journal, scorer=SaidScorer("another").hash)
    first = compare_stated(bank.journal, scorer=V7.hash, model=made_model().hash, days=14, now=bank.clock())
    assert first.payments == 1


def test_one_comparison_is_made_at_a_time(bank: Bank) -> None:
    with live(bank) as shadow:
        shadow.observe(payment(1), Said(0.5, True))
        inside, out = threading.Event(), threading.Event()
        clock: Callable[[], int] = shadow._clock

        def waits() -> int:
            inside.set()
            assert out.wait(20)
            return clock()

        shadow._clock = waits
        thread = threading.Thread(target=shadow.compare, args=(14,))
        thread.start()
        assert inside.wait(20)
        with pytest.raises(RateLimitError):
            shadow.compare(14)
        out.set()
        thread.join()
        assert shadow.compare(14).observed == 1


class _Chained:
    """A node whose chain answers at the second attempt."""

    def __init__(self) -> None:
        self.asked, self.anchored = 0, threading.Event()

    def anchor_due(self) -> bool:
        return not self.anchored.is_set()

    def anchor(self, *, timeout_s: float) -> None:
        assert timeout_s > 0
        self.asked += 1
        if self.asked == 1:
            raise StorageError("no answer")
        self.anchored.set()


def test_heads_go_to_the_chain_behind_it_and_a_failure_is_told_until_it_is_over() -> None:
    node = _Chained()
    with LiveAnchors(node, look_s=0.01) as anchors:
        assert node.anchored.wait(20)
        for _ in range(2_000):
            if not anchors.error:
                break
            threading.Event().wait(0.005)
        assert anchors.error == ""
    assert node.asked == 2
    never = _Chained()
    never.anchored.set()
    with LiveAnchors(never, look_s=0.01):
        threading.Event().wait(0.05)
    assert never.asked == 0


def test_a_clock_that_a_test_sets_is_the_only_one(bank: Bank) -> None:
    bank.clock = Clock(START)
    with live(bank) as shadow:
        one = shadow.observe(payment(1), Said(0.5, True))
    sealed = bank.journal.payload(one.statement)
    assert isinstance(sealed, dict)
    assert START <= sealed["received_at"] < START + 1_000
