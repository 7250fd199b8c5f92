"""Figures equal scikit-learn's, intervals hold them, and too little data is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, average_precision_score, brier_score_loss, roc_auc_score

from tallystick.errors import ModelInputError
from tallystick.models import evaluate

CASES = st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=12, max_size=60).filter(
    lambda rows: 5 <= sum(label for _, label in rows) <= len(rows) - 5
)


@given(CASES)
@settings(deadline=None, max_examples=60)
def test_figures_equal_scikit_learns_ties_included(rows: list[tuple[int, bool]]) -> None:
    p, y = [score / 20 for score, _ in rows], [int(label) for _, label in rows]
    found = evaluate(p, y, resamples=5)
    assert found.auroc is not None
    assert found.average_precision is not None
    assert found.brier is not None
    assert found.accuracy is not None
    assert found.auroc.value == pytest.approx(roc_auc_score(y, p))
    assert found.average_precision.value == pytest.approx(average_precision_score(y, p))
    assert found.brier.value == pytest.approx(brier_score_loss(y, p))
    assert found.accuracy.value == pytest.approx(accuracy_score(y, [value >= 0.5 for value in p]))


def drawn(count: int, seed: int = 3) -> tuple[list[float], list[int]]:
    generator = np.random.default_rng(seed)
    p = generator.uniform(size=count)
    return p.tolist(), (generator.uniform(size=count) < p).astype(int).tolist()


def test_intervals_hold_their_figure_and_repeat_by_seed() -> None:
    p, y = drawn(300)
    found = evaluate(p, y, seed=1)
    assert found == evaluate(p, y, seed=1)
    assert found != evaluate(p, y, seed=2)
    for interval in (
        found.auroc,
        found.average_precision,
        found.brier,
        found.calibration_error,
        found.accuracy,
    ):
        assert interval is not None
        assert interval.low <= interval.value <= interval.high
        assert interval.high - interval.low < 0.2


def test_calibration_error_is_the_mean_gap_over_bins() -> None:
    p, y = [0.05] * 10 + [0.95] * 10, [0] * 9 + [1] + [1] * 8 + [0] * 2
    found = evaluate(p, y, resamples=10)
    assert found.calibration_error is not None
    assert found.calibration_error.value == pytest.approx((0.05 + 0.15) / 2)
    assert [(b.count, round(b.positive_share, 2)) for b in found.bins] == [(10, 0.1), (10, 0.8)]
    assert found.bins[0].low == pytest.approx(0.0179, abs=1e-4)  # Wilson, 1 of 10
    assert found.bins[0].high == pytest.approx(0.4042, abs=1e-4)


@pytest.mark.parametrize(("p", "y"), [([], []), ([0.5] * 8, [1] * 8), ([0.5] * 20, [1] * 16 + [0] * 4)])
def test_too_little_data_is_said_and_not_guessed(p: list[float], y: list[int]) -> None:
    found = evaluate(p, y)
    assert found.auroc is None
    assert found.brier is None
    assert found.why_not.startswith("not enough data")
    assert found.as_statement()["auroc"] == "not enough data"
    assert found.count == len(y)


@pytest.mark.parametrize(
    ("p", "y"), [([0.5], [0, 1]), ([0.5, float("nan")], [0, 1]), ([0.5, 1.5], [0, 1]), ([0.5, 0.5], [0, 2])]
)
def test_what_is_no_probability_or_label_is_refused(p: list[float], y: list[int]) -> None:
    with pytest.raises(ModelInputError):
        evaluate(p, y)


def test_a_statement_holds_texts_and_whole_numbers_only() -> None:
    body = evaluate(*drawn(50), resamples=20).as_statement()
    assert all(type(value) in (str, int) for value in body.values())
