"""Detectors: features made as a service makes them, trees that learn from few frauds, probabilities of all payments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tallystick.apps.fraud.payments import Label, Payment
from tallystick.apps.fraud.training import Growth, average_precision, fit_detector, make_features
from tallystick.errors import DataError, ModelInputError

NAMES = ("amount", "hour", "noise")


def payment(number: int, at: int) -> Payment:
    return Payment(f"P{number}", at, 1_000 + number, "EUR", f"C{number % 7}", "M1")


class Remembering:
    """A source that writes down what it is told, and in which order."""

    names = ("amount", "reports")

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []
        self.known: list[int] = []

    def learn(self, labels: Sequence[Label]) -> None:
        self.told += [("label", label.known_at) for label in labels]
        self.known += [label.known_at for label in labels]

    def take(self, payments: Sequence[Payment]) -> np.ndarray:
        self.told += [("payment", one.at) for one in payments]
        rows = [[one.amount, sum(known <= one.at for known in self.known)] for one in payments]
        return np.array(rows, dtype=np.float64)


def test_every_payment_sees_the_labels_known_by_its_time_and_no_later_ones() -> None:
    payments = [payment(n, 1_000 + 10 * n) for n in range(2_000)]
    labels = [Label(payments[n], False, payments[n].at + 5 + 100 * (n % 5)) for n in range(0, 2_000, 3)]
    found, names = make_features(iter(payments), labels, Remembering())
    assert names == ("amount", "reports")
    assert found[:, 0].tolist() == [one.amount for one in payments]
    known = np.sort([label.known_at for label in labels])
    assert found[:, 1].tolist() == np.searchsorted(known, [one.at for one in payments], side="right").tolist()


def test_labels_that_no_payment_may_know_are_never_handed_over() -> None:
    payments = [payment(n, 1_000 + n) for n in range(10)]
    source = Remembering()
    make_features(payments, [Label(payments[0], True, 1_005), Label(payments[1], True, 9_000)], source)
    assert [at for kind, at in source.told if kind == "label"] == [1_005]


def test_signals_of_other_banks_come_last() -> None:
    class Listed:
        names = ("payee_listed",)

        def look(self, payments: Sequence[Payment]) -> np.ndarray:
            return np.array([[float(one.at)] for one in payments])

    payments = [payment(n, 1_000 + n) for n in range(3)]
    found, names = make_features(payments, [], Remembering(), signals=Listed())
    assert names == ("amount", "reports", "payee_listed")
    assert found[:, 2].tolist() == [1_000.0, 1_001.0, 1_002.0]


def test_payments_out_of_order_are_refused() -> None:
    with pytest.raises(DataError, match="order"):
        make_features([payment(1, 2_000), payment(2, 1_000)], [], Remembering())
    with pytest.raises(DataError, match="at least one"):
        make_features([], [], Remembering())


def rows(seed: int, count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    dice = np.random.default_rng(seed)
    made = np.column_stack(
        [dice.lognormal(3, 1, count), dice.integers(0, 24, count), dice.normal(size=count)]
    )
    chance = 0.002 + 0.5 * (made[:, 0] > 100) * (made[:, 1] < 6)
    return made, dice.random(count) < chance


def test_a_detector_finds_what_was_put_in_and_gives_the_same_again() -> None:
    features, fraud = rows(1)
    fitted = fit_detector(features, fraud, NAMES, growth=Growth(trees=20))
    again = fit_detector(features, fraud, NAMES, growth=Growth(trees=20))
    assert fitted.model.hash == again.model.hash
    later, truth = rows(2)
    scores = fitted.model.scores_inputs_many(fitted.model.quantiser.inputs_of_array(later))[:, 0]
    assert average_precision(scores, truth) > 5 * truth.mean()
    assert fitted.model.reexecutable
    assert fitted.model.depth == 4


@pytest.mark.parametrize("most", [500_000, 8_000])
def test_drawing_and_repeating_leaves_probabilities_those_of_all_payments(most: int) -> None:
    features, fraud = rows(3, 40_000)
    growth = Growth(trees=30, genuine_per_fraud=3, most_genuine=most)
    model = fit_detector(features, fraud, NAMES, growth=growth).model
    later, truth = rows(4, 40_000)
    scores = model.scores_inputs_many(model.quantiser.inputs_of_array(later))[:, 0]
    said = 1 / (1 + np.exp(-scores / model.unit))
    assert said.mean() == pytest.approx(truth.mean(), rel=0.2)


def test_reasons_compare_with_the_payments_as_they_are() -> None:
    features, fraud = rows(8, 5_000)
    model = fit_detector(features, fraud, NAMES).model
    counts = model.arrays.counts.sum(axis=1)
    assert counts.tolist() == [5_000] * model.trees
    scores = model.scores_inputs_many(model.quantiser.inputs_of_array(features))[:, 0]
    assert model.base_score() == pytest.approx(scores.mean(), abs=0.01 * model.unit)


def test_boosters_are_put_together_without_a_loss() -> None:
    features, fraud = rows(9, 5_000)
    fitted = fit_detector(features, fraud, NAMES, growth=Growth(trees=11, boosters=3))
    assert fitted.model.trees == 11
    assert fitted.fidelity.rows == 5_000
    assert fitted.fidelity.largest_logit_error < 0.01
    one = fit_detector(features, fraud, NAMES, growth=Growth(trees=2, boosters=50))
    assert one.model.trees == 2


def test_columns_are_told_by_their_titles() -> None:
    features, fraud = rows(5, 5_000)
    model = fit_detector(features, fraud, NAMES, titles={"hour": "the hour of the day"}).model
    assert [one.title for one in model.quantiser.features] == ["amount", "the hour of the day", "noise"]


def test_too_few_frauds_are_no_ground_for_a_model() -> None:
    features, fraud = rows(6, 1_000)
    with pytest.raises(DataError, match="20 frauds"):
        fit_detector(features, fraud & (np.arange(1_000) < 50), NAMES)


def test_what_does_not_fit_is_refused() -> None:
    features, fraud = rows(7, 8_000)
    with pytest.raises(ModelInputError, match="name for every column"):
        fit_detector(features, fraud, NAMES[:2])
    with pytest.raises(ModelInputError, match="at least one genuine"):
        fit_detector(features, fraud, NAMES, growth=Growth(genuine_per_fraud=0.5))
    with pytest.raises(ModelInputError, match="boosters"):
        fit_detector(features, fraud, NAMES, growth=Growth(boosters=0))
    with pytest.raises(ModelInputError, match="columns"):
        fit_detector(features, fraud, NAMES, growth=Growth(columns=1.5))
