"""From somebody's own table to a detector and how good it is: read, walk through, part by time, learn, judge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tallystick.apps.fraud.features import FEATURES, Windows
from tallystick.apps.fraud.payments import ColumnMapping, Label, Payment, read_payments
from tallystick.errors import DataError
from tallystick.models import Fitted, IntegerModel

from ._detector import Growth, fit_detector
from ._matrix import make_features
from ._protocol import DAY, Protocol, TimeSplit, time_split
from ._quality import Quality, measure_quality

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["History", "Trained", "read_history", "score", "train_detector"]

MAX_PAYMENTS: Final = 5_000_000  # some 3 GB of features
SIMULATED: Final = "SIM-"  # how ids of payments begin that our simulator made


@dataclass(frozen=True)
class History:
    """Payments of which it is known what they turned out to be, in the order of their times.

    Args:
        payments: at least one.
        labels: one a payment, in the same order.
        skipped: rows without a label, which were left out of the labels and of training.
    """

    payments: tuple[Payment, ...]
    labels: tuple[Label, ...]
    skipped: int = 0

    @property
    def simulated(self) -> bool:
        """Whether any payment is one of our simulator's: what was learned from some of them is SIMULATED."""
        return any(payment.id.startswith(SIMULATED) for payment in self.payments)


@dataclass(frozen=True)
class Trained:
    """A detector, and how good it is on the days after those that it learned from.

    Args:
        fitted: the detector.
        quality: on the test payments.
        parted: which payments were learned from and judged by.
        test_features: float64, shape (test payments, columns).
        test_fraud: bool.
        test_scores: int64, the detector's.
        simulated: whether some payments are SIMULATED.
    """

    fitted: Fitted
    quality: Quality
    parted: TimeSplit
    test_features: NDArray[np.float64]
    test_fraud: NDArray[np.bool_]
    test_scores: NDArray[np.int64]
    simulated: bool

    @property
    def cohort(self) -> str:
        """Which payments it was judged by, in words."""
        days, gap = self.parted.protocol.test_days, self.parted.protocol.delay_days
        kind = "SIMULATED payments" if self.simulated else "payments"
        left = ", customers of known frauds left out" if self.parted.protocol.drop_known else ""
        return f"{kind} of {days} days, {gap} days after the last one learned from{left}"

    def report(self) -> dict[str, Any]:
        """Return it as plain data whose decimals are text."""
        model = self.fitted.model
        return {
            "cohort": self.cohort,
            "columns": list(model.quantiser.names),
            "dropped": self.parted.dropped,
            "frauds_learned": int(self.parted.learned.sum()),
            "learned_from": len(self.parted.train),
            "model": model.hash,
            "protocol": self.parted.protocol.record(),
            "quality": self.quality.record(),
            "simulated": self.simulated,
        }


def read_history(
    path: Path | str,
    mapping: ColumnMapping,
    *,
    delay_days: int = 7,
    on_progress: Callable[[int], None] | None = None,
) -> History:
    """Read a table with a column of labels; each counts as known `delay_days` after its payment.

    Args:
        path: CSV, JSON lines or Parquet, in the order of time.
        mapping: which column is which field; one of them is ``fraud``.
        delay_days: how long labels take to become known.
        on_progress: told now and then how many rows were read.

    Raises:
        DataError: the table cannot be read, has no labels, or too many rows.
    """
    if "fraud" not in mapping.columns:
        raise DataError("the mapping must say which column is fraud", hint="--label COLUMN")
    payments, labels, skipped, known = list[Payment](), list[Label](), 0, dict[str, int]()
    for number, row in enumerate(read_payments(path, mapping), 1):
        if len(payments) >= MAX_PAYMENTS:
            raise DataError(f"a table must have at most {MAX_PAYMENTS:,} payments", hint="take the newest")
        if row.fraud is None:
            skipped += 1
            continue
        if (first := known.setdefault(row.payment.id, number)) != number:
            raise DataError(
                f"payment {number} of the table has the id of payment {first}",
                hint="the same payment twice counts twice: leave one out, or map another column to id",
            )
        payments.append(row.payment)
        labels.append(Label(row.payment, row.fraud, row.payment.at + delay_days * DAY))
        if on_progress is not None and len(payments) % 10_000 == 0:
            on_progress(len(payments))
    if not payments:
        raise DataError("the table must hold payments with labels")
    return History(tuple(payments), tuple(labels), skipped)


def train_detector(
    history: History,
    *,
    protocol: Protocol | None = None,
    growth: Growth | None = None,
    name: str = "fraud",
    budget: float = 0.005,
    resamples: int = 300,
    seed: int = 0,
) -> Trained:
    """Walk through a history, train on its earlier days, and judge by its last ones.

    Args:
        history: payments with labels.
        protocol: how it is parted; the Fraud Detection Handbook's when None.
        growth: how the trees are grown.
        name: of the model.
        budget: share of payments that may raise an alert.
        resamples: bootstrap draws behind the intervals.
        seed: of training and draws.

    Raises:
        DataError: the history is too short, holds too few frauds, or nothing but frauds.
        MissingExtraError: scikit-learn is not installed.
    """
    import numpy as np

    protocol = protocol or Protocol()
    people: dict[str, int] = {}
    customers = np.array([people.setdefault(one.customer, len(people)) for one in history.payments])
    at = np.array([one.at for one in history.payments], dtype=np.int64)
    fraud = np.array([label.fraud for label in history.labels], dtype=np.bool_)
    known = np.array([label.known_at for label in history.labels], dtype=np.int64)
    if fraud.all() or not fraud.any():
        raise DataError(
            f"all {len(fraud):,} payments are {'fraud' if fraud.all() else 'genuine'}: a detector learns from both",
            hint="--label names the column of labels; 1, yes or true is fraud",
        )
    parted = time_split(at, fraud, known, customers, protocol=protocol)  # before the long work
    windows = Windows(label_delay_s=protocol.delay_days * DAY // 1_000_000)
    matrix, names = make_features(history.payments, history.labels, windows)
    titles = {feature.name: feature.title for feature in FEATURES}
    fitted = fit_detector(
        matrix[parted.train], parted.learned, names, name=name, growth=growth, titles=titles, seed=seed
    )
    test = matrix[parted.test]
    scores = score(fitted.model, test)
    amounts = np.array([history.payments[place].amount for place in parted.test.tolist()], dtype=np.float64)
    quality = measure_quality(
        scores,
        fraud[parted.test],
        amounts,
        customers=customers[parted.test],
        days=at[parted.test] // DAY,
        budget=budget,
        resamples=resamples,
        seed=seed,
    )
    return Trained(fitted, quality, parted, test, fraud[parted.test], scores, history.simulated)


def score(model: IntegerModel, features: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return a detector's integer scores; features float64, shape (payments, columns)."""
    return model.scores_inputs_many(model.quantiser.inputs_of_array(features))[:, 0]
