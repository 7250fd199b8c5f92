"""Integer models: one score, the same bit for bit wherever it is computed.

A table's cells stay decimal text; a model's quantiser turns them into int16 inputs, and its int16 parameters
(linear, trees or perceptron) give a whole-number score. Scoring and a linear model's reasons need the base install
only; columns at once, other models' reasons, evaluation, fairness and fidelity need numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tallystick.models._card import Training, make_card
from tallystick.models._conversion import from_lightgbm, from_sklearn
from tallystick.models._csv import load_csv, load_rows, read_targets
from tallystick.models._dumps import from_dump
from tallystick.models._evaluation import Bin, Evaluation, Interval, evaluate
from tallystick.models._examples import Examples, Fitted, fit_quantiser, make_examples
from tallystick.models._external import ExternalDescription, ExternalModel, JsonField, parse_external
from tallystick.models._fairness import LEAST_IN_GROUP, GroupedEvaluation, evaluate_groups
from tallystick.models._features import ONE, CategoryFeature, Feature, NumericFeature
from tallystick.models._fidelity import Fidelity, compare, fidelity_of_parameters
from tallystick.models._file import format_model, parse_model
from tallystick.models._fitting import fit_linear, fit_perceptron, fit_trees
from tallystick.models._foreign import load_foreign
from tallystick.models._gates import Gate, GateLine, GateResult, check_gate, parse_gate
from tallystick.models._integer import MAX_REASONS, YES_OR_NO, IntegerModel, Reason
from tallystick.models._linear import LinearModel
from tallystick.models._numbers import parse_decimal, units
from tallystick.models._onnx import OnnxBackend, from_onnx, to_onnx
from tallystick.models._opaque import OpaqueDescription, OpaqueModel, Tensor, describe_onnx
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
from tallystick.models._scored import ForeignModel, Scored, ask_row
from tallystick.models._table import Column, Row, Split, Table, split
from tallystick.models._trees import TreeArrays, TreeModel

if TYPE_CHECKING:
    from tallystick.models._executors import Deployed, Executor, deploy_model, deploy_models
    from tallystick.models._models_contract import (
        Blueprints,
        ModelRecord,
        Models,
        ModelStage,
        ReportedEvaluation,
    )

__all__ = [
    "FRACTION_BITS",
    "LEAST_IN_GROUP",
    "MAX_REASONS",
    "NO_DIGEST",
    "ONE",
    "YES_OR_NO",
    "Bin",
    "Blueprints",
    "CategoryFeature",
    "Column",
    "Deployed",
    "Evaluation",
    "Examples",
    "Executor",
    "ExternalDescription",
    "ExternalModel",
    "Feature",
    "Fidelity",
    "Fitted",
    "ForeignModel",
    "Gate",
    "GateLine",
    "GateResult",
    "GroupedEvaluation",
    "IntegerModel",
    "Interval",
    "JsonField",
    "LinearModel",
    "ModelRecord",
    "ModelStage",
    "Models",
    "NumericFeature",
    "OnnxBackend",
    "OpaqueDescription",
    "OpaqueModel",
    "Packed",
    "PerceptronModel",
    "Quantiser",
    "Reason",
    "RegisteredModel",
    "Registry",
    "ReportedEvaluation",
    "Row",
    "Scored",
    "Split",
    "Table",
    "Tensor",
    "Training",
    "TreeArrays",
    "TreeModel",
    "Version",
    "Weights",
    "ask_row",
    "check_gate",
    "compare",
    "deploy_model",
    "deploy_models",
    "describe_onnx",
    "evaluate",
    "evaluate_groups",
    "fidelity_of_parameters",
    "fit_linear",
    "fit_perceptron",
    "fit_quantiser",
    "fit_trees",
    "format_model",
    "format_parameters",
    "from_dump",
    "from_lightgbm",
    "from_onnx",
    "from_sklearn",
    "input_commitment",
    "load_csv",
    "load_foreign",
    "load_rows",
    "make_card",
    "make_examples",
    "pack_inputs",
    "parse_decimal",
    "parse_external",
    "parse_gate",
    "parse_model",
    "parse_parameters",
    "read_targets",
    "sign_override",
    "split",
    "to_onnx",
    "units",
    "unpack_inputs",
    "weights_of",
]

# name -> the private module that holds it; these need the chain extra
_PLACES = {
    "Blueprints": "_models_contract",
    "Deployed": "_executors",
    "Executor": "_executors",
    "ModelRecord": "_models_contract",
    "ModelStage": "_models_contract",
    "Models": "_models_contract",
    "ReportedEvaluation": "_models_contract",
    "deploy_model": "_executors",
    "deploy_models": "_executors",
}


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{place}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
