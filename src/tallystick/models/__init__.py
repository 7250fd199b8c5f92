"""Integer models: one score, the same bit for bit wherever it is computed.

A table's cells stay decimal text; a model's quantiser turns them into int16 inputs, and its int16 parameters
(linear, trees or perceptron) give a whole-number score. Scoring and reasons need the base install only; columns at
once, evaluation and fidelity need numpy.
"""

from __future__ import annotations

from tallystick.models._evaluation import Bin, Evaluation, Interval, evaluate
from tallystick.models._features import ONE, CategoryFeature, Feature, NumericFeature
from tallystick.models._fidelity import Fidelity, compare, fidelity_of_parameters
from tallystick.models._file import format_model, parse_model
from tallystick.models._integer import MAX_REASONS, YES_OR_NO, IntegerModel, Reason
from tallystick.models._linear import LinearModel
from tallystick.models._numbers import parse_decimal, units
from tallystick.models._onnx import OnnxBackend, from_onnx, to_onnx
from tallystick.models._packing import (
    NO_DIGEST,
    Packed,
    input_commitment,
    pack_inputs,
    unpack_inputs,
)
from tallystick.models._parameters import (
    FRACTION_BITS,
    Weights,
    format_parameters,
    parse_parameters,
    weights_of,
)
from tallystick.models._perceptron import PerceptronModel
from tallystick.models._quantiser import Quantiser
from tallystick.models._registry import RegisteredModel, Registry, Version, sign_override
from tallystick.models._table import Column, Row, Split, Table, split
from tallystick.models._trees import TreeArrays, TreeModel

__all__ = [
    "FRACTION_BITS",
    "MAX_REASONS",
    "NO_DIGEST",
    "ONE",
    "YES_OR_NO",
    "Bin",
    "CategoryFeature",
    "Column",
    "Evaluation",
    "Feature",
    "Fidelity",
    "IntegerModel",
    "Interval",
    "LinearModel",
    "NumericFeature",
    "OnnxBackend",
    "Packed",
    "PerceptronModel",
    "Quantiser",
    "Reason",
    "RegisteredModel",
    "Registry",
    "Row",
    "Split",
    "Table",
    "TreeArrays",
    "TreeModel",
    "Version",
    "Weights",
    "compare",
    "evaluate",
    "fidelity_of_parameters",
    "format_model",
    "format_parameters",
    "from_onnx",
    "input_commitment",
    "pack_inputs",
    "parse_decimal",
    "parse_model",
    "parse_parameters",
    "sign_override",
    "split",
    "to_onnx",
    "units",
    "unpack_inputs",
    "weights_of",
]
