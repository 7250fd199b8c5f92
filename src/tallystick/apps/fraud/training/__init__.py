"""Training: protocols that do not look into the future, models, and how good they are.

Example:
    >>> matrix, names = make_features(payments, labels, Windows())           # doctest: +SKIP
    >>> parted = time_split(at, fraud, known_at, customers)                  # doctest: +SKIP
    >>> fitted = fit_detector(matrix[parted.train], parted.learned, names)   # doctest: +SKIP
"""

from __future__ import annotations

from ._detector import DEEP, Growth, fit_detector
from ._matrix import make_features
from ._protocol import Protocol, TimeSplit, time_split
from ._quality import Quality, draw_intervals, measure_quality
from ._ranking import (
    Ranking,
    area_under_roc,
    average_precision,
    card_precision,
    daily_card_precision,
    precision_recall,
    recall_at_budget,
    value_stopped,
)
from ._shared import Exchange, shared_columns
from ._table import History, Trained, read_history, score, train_detector

__all__ = [
    "DEEP",
    "Exchange",
    "Growth",
    "History",
    "Protocol",
    "Quality",
    "Ranking",
    "TimeSplit",
    "Trained",
    "area_under_roc",
    "average_precision",
    "card_precision",
    "daily_card_precision",
    "draw_intervals",
    "fit_detector",
    "make_features",
    "measure_quality",
    "precision_recall",
    "read_history",
    "recall_at_budget",
    "score",
    "shared_columns",
    "time_split",
    "train_detector",
    "value_stopped",
]
