"""Integer models: one score, the same bit for bit wherever it is computed.

A table's cells stay decimal text; a model's quantiser turns them into int16 inputs, and its int16 weights
give a whole-number score. Scoring and reasons need the base install only; columns at once, evaluation and
fidelity need numpy.
"""

from __future__ import annotations

from tallystick.models._evaluation import Bin, Evaluation, Interval, evaluate
from tallystick.models._features import ONE, CategoryFeature, Feature, NumericFeature
from tallystick.models._file import format_model, parse_model
from tallystick.models._linear import MAX_REASONS, Fidelity, LinearModel, Reason
from tallystick.models._numbers import parse_decimal, units
from tallystick.models._parameters import (
    FRACTION_BITS,
    Weights,
    format_parameters,
    parse_parameters,
    weights_of,
)
from tallystick.models._table import Column, Row, Split, Table, split

__all__ = [
    "FRACTION_BITS",
    "MAX_REASONS",
    "ONE",
    "Bin",
    "CategoryFeature",
    "Column",
    "Evaluation",
    "Feature",
    "Fidelity",
    "Interval",
    "LinearModel",
    "NumericFeature",
    "Reason",
    "Row",
    "Split",
    "Table",
    "Weights",
    "evaluate",
    "format_model",
    "format_parameters",
    "parse_decimal",
    "parse_model",
    "parse_parameters",
    "split",
    "units",
    "weights_of",
]
