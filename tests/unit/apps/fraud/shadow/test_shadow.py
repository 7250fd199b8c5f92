"""Shadow mode: the present scorer decides and is stated; ours stands beside it and is compared fairly."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.made_scorer import Scorer
from tests.unit.apps.fraud.shadow.made_asked import asked, serve

from tallystick.apps.fraud.payments import Payment
from tallystick.apps.fraud.shadow import (
    DumpedScorer,
    FileScorer,
    Observed,
    Said,
    Shadow,
    compare,
)
from tallystick.errors import DataError, ScorerError
from tallystick.models import (
    LinearModel,
    NumericFeature,
    Quantiser,
)
from tallystick.proof import Journal, Party

DAY = 86_400_000_000
START = 1_795_459_200_000_000 - 200 * DAY


def payment(number: int, *, amount: int = 1_000, day: int = 0) -> Payment:
    return Payment(f"p{number}", START + day * DAY + number, amount, "EUR", f"customer-{number % 7}", "m1")


class Amounts:
    """A source with two columns: the amount, and one more."""

    names = ("weekday", "amount")

    def take(self, payments: Sequence[Payment]) -> Any:
        return np.array([[3.0, float(one.amount)] for one in payments]).reshape(-1, 2)

    def learn(self, labels: Sequence[Any]) -> None:
        raise AssertionError("nothing to learn here")


def by_amount(weight: int = 1) -> LinearModel:
    feature = NumericFeature("amount", "amount", 0, 0, 1, -(2**15), 2**15 - 1, 0, False)
    return LinearModel(
        name="by amount", target="fraud", quantiser=Quantiser((feature,)), labels=("no", "yes"), unit=4096,
        threshold=5_000, weights=((weight,),), biases=(0,), centre=(0,),
    )  # fmt: skip


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal", party=Party.create("Bank A")) as opened:
        yield opened


class Bank:
    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    def record_many(self, drafts: Sequence[Any]) -> Any:
        return self.journal.append_many(drafts)


def said_of(payments: Sequence[Payment]) -> dict[str, Said]:
    return {one.id: Said(one.amount / 10_000, one.amount >= 9_000) for one in payments}


def test_the_present_scorers_decision_is_stated_under_its_own_hash_with_ours_sealed_beside_it(
    journal: Journal,
) -> None:
    payments = [payment(1, amount=9_500), payment(2, amount=10)]
    present = FileScorer(said_of(payments), source="export of March")
    shadow = Shadow(Bank(journal), present=present, model=by_amount(), features=Amounts())
    observed = shadow.observe(payments)
    assert [(one.alert, one.score) for one in observed] == [(True, 9_500), (False, 10)]
    said = journal.statement(observed[0].statement)
    assert (said.kind, said.body) == ("decision.made", {"level": "L0", "model": present.hash})
    sealed = journal.payload(observed[0].statement)
    assert isinstance(sealed, dict)
    assert (sealed["answer"], sealed["score"], sealed["payment"]["amount"]) == ("review", "0.950000", 9_500)
    assert sealed["beside"]["model"] == by_amount().hash
    inputs = np.frombuffer(base64.b64decode(sealed["beside"]["features"]), ">i2")
    assert by_amount().scores_inputs(inputs.tolist()) == (sealed["beside"]["score"],)
    assert b"customer" not in journal.entry(0).bytes


def test_a_payment_without_a_score_in_the_file_states_nothing(journal: Journal) -> None:
    present = FileScorer(said_of([payment(1)]), source="export")
    shadow = Shadow(Bank(journal), present=present, model=by_amount(), features=Amounts())
    with pytest.raises(DataError, match="1 of 2 payments have no score"):
        shadow.observe([payment(1), payment(2)])
    assert journal.size == 0


def test_dumped_trees_are_scored_from_the_features_that_they_name(journal: Journal) -> None:
    present = DumpedScorer(by_amount(2), names=Amounts.names)
    shadow = Shadow(Bank(journal), present=present, model=by_amount(), features=Amounts())
    (one,) = shadow.observe([payment(1, amount=2_600)])
    assert (one.present, one.alert, one.score) == (5_200.0, True, 2_600)
    assert DumpedScorer(by_amount(2), names=Amounts.names, alert_from=6_000).say(
        [payment(1)], Amounts().take([payment(1, amount=2_600)])
    ) == [Said(5_200.0, False)]


def test_a_model_of_columns_that_are_no_features_is_refused(journal: Journal) -> None:
    with pytest.raises(DataError, match="no features, such as amount"):
        DumpedScorer(by_amount(), names=("weekday",))
    source = Amounts()
    source.names = ("weekday", "other")  # type: ignore[assignment]
    with pytest.raises(DataError, match="no features, such as amount"):
        Shadow(Bank(journal), present=FileScorer({}, source="x"), model=by_amount(), features=source)


def test_a_scorer_behind_http_is_asked_with_the_fields_that_its_description_names(journal: Journal) -> None:
    scorer = Scorer([serve({"score": 0.95}), serve({"score": 0.2})], None)
    try:
        present = asked(scorer.url)
        shadow = Shadow(Bank(journal), present=present, model=by_amount(), features=Amounts())
        observed = shadow.observe([payment(1, amount=77), payment(2)])
    finally:
        scorer.close()
    assert [(one.present, one.alert) for one in observed] == [(0.95, True), (0.2, False)]
    sent = json.loads(scorer.requests[0].partition(b"\r\n\r\n")[2])
    assert sent == {"amount": 77, "customer": "customer-1"}


def test_an_answer_out_of_its_range_states_nothing(journal: Journal) -> None:
    scorer = Scorer([serve({"score": 7})], None)
    try:
        shadow = Shadow(Bank(journal), present=asked(scorer.url), model=by_amount(), features=Amounts())
        with pytest.raises(ScorerError):
            shadow.observe([payment(1)])
    finally:
        scorer.close()
    assert journal.size == 0


# -- the comparison ------------------------------------------------------------------------------------------


def observed(rows: Sequence[tuple[int, bool, int, int]]) -> list[Observed]:
    """Rows of (day, alert of the present scorer, our score, amount)."""
    return [
        Observed(payment(n, amount=amount, day=day), 0.5, alert, score, "")
        for n, (day, alert, score, amount) in enumerate(rows)
    ]


def test_ours_is_given_no_more_false_alerts_than_the_present_scorer_had() -> None:
    # Genuine scores 1 to 100, the present scorer stopped three of them; two frauds, at 99 and 10.
    rows = [(n % 9, n < 3, n + 1, 10) for n in range(100)] + [(0, False, 99, 500), (1, True, 10, 70)]
    frauds = {f"p{n}": n >= 100 for n in range(102)}
    found = compare(observed(rows), frauds)
    assert (found.present.false_alerts, found.ours.false_alerts) == (3, 3)
    assert found.threshold == 98
    assert (found.ours.frauds, found.ours.value) == (1, 500)
    assert (found.present.frauds, found.present.value) == (1, 70)
    assert (found.only_ours, found.only_present) == (1, 1)


def test_equal_scores_are_stopped_together_so_ties_never_give_ours_more() -> None:
    rows = [(n % 9, n < 3, 50, 10) for n in range(100)]
    found = compare(observed(rows), {f"p{n}": False for n in range(100)})
    assert found.ours.false_alerts == 0


def test_too_little_data_gives_no_interval_and_says_what_is_missing() -> None:
    few = compare(observed([(0, True, 9, 5)]), {"p0": True})
    assert (few.gain, few.why_not) == (None, "not enough data: 1 frauds, at least 20 are needed")
    one_day = compare(observed([(0, True, n, 5) for n in range(30)]), {f"p{n}": True for n in range(30)})
    assert one_day.why_not == "not enough data: 1 days, at least 5 are needed"
    assert compare([], {}).threshold is None


def test_payments_of_unknown_outcome_are_left_out() -> None:
    found = compare(observed([(0, True, 9, 5), (0, True, 9, 5)]), {"p0": True})
    assert (found.payments, found.frauds) == (1, 1)


def test_the_interval_is_around_the_gain_and_the_same_seed_gives_the_same() -> None:
    dice = np.random.default_rng(3)
    rows = [
        (n % 20, bool(dice.random() < 0.3), int(dice.integers(0, 100)) + 60 * (n < 60), 100)
        for n in range(900)
    ]
    labels = {f"p{n}": n < 60 for n in range(900)}
    found = compare(observed(rows), labels)
    assert found.gain is not None
    value, low, high = found.gain
    assert low < value < high
    assert value == pytest.approx((found.ours.value - found.present.value) / found.value)
    assert compare(observed(rows), labels) == found
    assert found.plain()["gain"] == {"value": value, "low": low, "high": high}
