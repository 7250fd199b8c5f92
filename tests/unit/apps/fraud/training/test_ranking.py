"""Figures of a ranking: equal to scikit-learn's where it has them, worked out by hand where it has not."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from tallystick.apps.fraud.training import (
    Ranking,
    area_under_roc,
    average_precision,
    card_precision,
    daily_card_precision,
    draw_intervals,
    measure_quality,
    precision_recall,
    recall_at_budget,
    value_stopped,
)
from tallystick.errors import ModelInputError


def drawn(seed: int, rows: int = 4_000, *, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    dice = np.random.default_rng(seed)
    fraud = dice.random(rows) < 0.05
    scores = dice.normal(size=rows) + fraud
    return (np.round(scores) if ties else scores), fraud


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_average_precision_and_auroc_are_scikit_learns(seed: int, ties: bool) -> None:
    scores, fraud = drawn(seed, ties=ties)
    assert average_precision(scores, fraud) == pytest.approx(average_precision_score(fraud, scores))
    assert area_under_roc(scores, fraud) == pytest.approx(roc_auc_score(fraud, scores))


def test_weights_count_rows_as_often_as_they_are_drawn() -> None:
    scores, fraud = drawn(1, 500, ties=True)
    often = np.random.default_rng(2).integers(0, 4, len(scores))
    repeated = np.repeat(np.arange(len(scores)), often)
    made, weights = Ranking(scores, fraud), often[None, :].astype(np.float64)
    wanted = roc_auc_score(fraud[repeated], scores[repeated])
    assert made.area_under_roc(weights)[0] == pytest.approx(wanted)
    wanted = average_precision_score(fraud[repeated], scores[repeated])
    assert made.average_precision(weights)[0] == pytest.approx(wanted)


def test_the_curve_holds_points_of_scikit_learns() -> None:
    scores, fraud = drawn(3, ties=False)
    precision, recall, _ = precision_recall_curve(fraud, scores)
    known = {round(float(r), 9): [] for r in recall}
    for p, r in zip(precision, recall, strict=True):
        known[round(float(r), 9)].append(float(p))
    found = precision_recall(scores, fraud, points=50)
    assert len(found) == 50
    assert found[-1][0] == 1.0
    assert all(any(p == pytest.approx(other) for other in known[round(r, 9)]) for r, p in found)
    assert [r for r, _ in found] == sorted(r for r, _ in found)


def test_recall_at_a_budget_counts_the_highest_scores() -> None:
    scores = np.arange(1_000.0)
    fraud = np.zeros(1_000, dtype=bool)
    fraud[[999, 998, 500, 3]] = True
    assert recall_at_budget(scores, fraud, budget=0.005) == 0.5
    assert recall_at_budget(scores, fraud, budget=0.001) == 0.25
    assert recall_at_budget(scores, fraud, budget=0.6) == 0.75


def test_a_constant_score_finds_no_more_than_the_budget() -> None:
    fraud = np.arange(1_000) % 10 == 0
    assert recall_at_budget(np.zeros(1_000), fraud, budget=0.05) == pytest.approx(0.05)
    assert average_precision(np.zeros(1_000), fraud) == pytest.approx(0.1)
    assert area_under_roc(np.zeros(1_000), fraud) == 0.5


def test_value_stopped_weighs_frauds_by_their_amounts() -> None:
    scores = np.array([9.0, 8, 7, 6, 5, 4])
    fraud = np.array([1, 0, 1, 0, 0, 1], dtype=bool)
    amounts = np.array([100.0, 5, 300, 5, 5, 600])
    # Of three genuine payments none, one and all may be stopped.
    assert value_stopped(scores, fraud, amounts, genuine_share=0.01) == pytest.approx(0.1, abs=0.01)
    assert value_stopped(scores, fraud, amounts, genuine_share=0.334) == pytest.approx(0.4)
    assert value_stopped(scores, fraud, amounts, genuine_share=1.0) == 1.0
    # One genuine alert for two frauds allows the second step, three for three all.
    assert value_stopped(scores, fraud, amounts, genuine_per_fraud=0.5) == pytest.approx(0.4)
    assert value_stopped(scores, fraud, amounts, genuine_per_fraud=1.0) == 1.0


@pytest.mark.parametrize("ratio", [{}, {"genuine_share": 0.1, "genuine_per_fraud": 2.0}])
def test_a_false_positive_ratio_is_said_in_exactly_one_way(ratio: dict[str, float]) -> None:
    with pytest.raises(ModelInputError, match="one way"):
        value_stopped([1.0, 0.0], [True, False], [1.0, 1.0], **ratio)


def test_card_precision_looks_at_cards_and_blocks_those_that_it_found() -> None:
    scores = [9.0, 8.0, 7.0, 9.0, 5.0, 4.0]
    fraud = [True, True, False, True, False, True]
    cards = ["a", "a", "b", "a", "b", "c"]
    days = [1, 1, 1, 2, 2, 2]
    # Day 1: cards a and b, of which a is robbed. Day 2: a is blocked; b and c are left, of which c is robbed.
    assert daily_card_precision(scores, fraud, cards, days, k=2).tolist() == [0.5, 0.5]
    assert card_precision(scores, fraud, cards, days, k=1) == 0.5


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ModelInputError, match="finite"):
        average_precision([0.1, float("nan")], [True, False])
    with pytest.raises(ModelInputError, match="equally many"):
        average_precision([0.1], [True, False])


def test_without_a_fraud_there_is_no_figure() -> None:
    assert np.isnan(average_precision([1.0, 2.0], [False, False]))
    assert np.isnan(area_under_roc([1.0, 2.0], [True, True]))
    assert precision_recall([1.0], [False]) == ()


def test_intervals_of_grouped_draws_are_wider_than_of_single_rows() -> None:
    dice = np.random.default_rng(5)
    groups = np.repeat(np.arange(40), 50)
    # All rows of a customer are alike: fifty rows of one say no more than one row.
    values = np.repeat(dice.normal(size=40), 50)
    measures = {"mean": lambda weights: weights @ values / weights.sum(axis=1)}
    grouped = draw_intervals(measures, groups, seed=1)["mean"]
    single = draw_intervals(measures, np.arange(len(values)), seed=1)["mean"]
    assert grouped.value == pytest.approx(single.value) == pytest.approx(values.mean())
    assert grouped.high - grouped.low > 4 * (single.high - single.low)
    assert grouped.low < values.mean() < grouped.high


def test_quality_says_every_figure_with_its_interval_and_is_the_same_again() -> None:
    scores, fraud = drawn(7, 2_000, ties=False)
    rows = np.arange(2_000)
    options = {"customers": rows % 300, "days": rows // 300, "resamples": 50, "cards": 20}
    found = measure_quality(scores, fraud, np.ones(2_000), **options)
    assert found == measure_quality(scores, fraud, np.ones(2_000), **options)
    for interval in (found.average_precision, found.auroc, found.recall_at_budget, found.value_stopped):
        assert interval is not None
        assert interval.low <= interval.value <= interval.high
        assert interval.low < interval.high
    assert found.record()["auroc"] == found.auroc.text(3)
    assert len(found.lines()) == 5


def test_too_few_frauds_are_not_enough_data() -> None:
    fraud = np.zeros(500, dtype=bool)
    fraud[:9] = True
    found = measure_quality(
        np.arange(500.0), fraud, np.ones(500), customers=np.arange(500), days=np.arange(500) // 60
    )
    assert found.average_precision is None
    assert "9 frauds" in found.why_not
    assert {figure for _, figure in found.lines()} == {"not enough data"}


def test_too_few_days_leave_only_card_precision_out() -> None:
    scores, fraud = drawn(8, 1_000, ties=False)
    found = measure_quality(
        scores, fraud, np.ones(1_000), customers=np.arange(1_000), days=np.arange(1_000) // 300, resamples=20
    )
    assert found.card_precision is None
    assert found.average_precision is not None


def test_quality_refuses_a_budget_that_is_none() -> None:
    with pytest.raises(ModelInputError, match="shares"):
        measure_quality([1.0], [True], [1.0], customers=[0], days=[0], budget=0.0)
