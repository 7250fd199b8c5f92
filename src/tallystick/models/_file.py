"""The model file `.tsm`, version 1: canonical JSON that `parse_model` reads and `format_model` writes.

    {"digest":…,"family":…,"features":[…],"labels":[…],"name":…,"one":4096,"parameters":{…},
     "target":…,"threshold":…,"type":"tallystick/model","unit":…,"v":1}

`digest` names the parameters as a contract computes it (see `_packing`); a file whose digest is not that of its
parameters is refused, so its hash says which parameters may stand on a chain under its name. `parameters` are
the family's own: biases, centre, weights of a linear model; bases, depth and base64 arrays of trees; both layers
of a perceptron.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tallystick.errors import EncodingError, ModelFileError, UnknownFormatError
from tallystick.models._features import ONE, CategoryFeature, Feature, NumericFeature
from tallystick.models._integer import FORMAT, IntegerModel
from tallystick.models._linear import LinearModel
from tallystick.models._perceptron import PerceptronModel
from tallystick.models._quantiser import Quantiser
from tallystick.models._trees import TreeModel
from tallystick.proof import check_format, decode_base64, parse_json

MAX_FILE_BYTES: Final = 16 * 2**20

_MODEL: dict[str, type] = {
    "digest": str, "family": str, "features": list, "labels": list, "name": str, "one": int, "parameters": dict,
    "target": str, "threshold": int, "type": str, "unit": int, "v": int,
}  # fmt: skip
_LINEAR: dict[str, type] = {"biases": list, "centre": list, "weights": list}
_TREES: dict[str, type] = {
    "bases": list,
    "counts": str,
    "depth": int,
    "features": str,
    "leaves": str,
    "thresholds": str,
}
_PERCEPTRON: dict[str, type] = {
    "biases": list, "centre": list, "hidden_biases": list, "hidden_weights": list, "shift": int, "weights": list,
}  # fmt: skip
_NUMERIC = {
    "decimals": int, "gaps": bool, "high": int, "kind": str, "low": int, "missing": int, "name": str,
    "offset": int, "outside": str, "step": int, "title": str,
}  # fmt: skip
_CATEGORY = {"codes": list, "gaps": bool, "kind": str, "name": str, "outside": str, "title": str}
_ARRAYS = ("counts", "features", "leaves", "thresholds")
_MATRICES = ("hidden_weights", "weights")

_FAMILIES: dict[str, tuple[Callable[..., IntegerModel], dict[str, type]]] = {
    LinearModel.family: (LinearModel, _LINEAR),
    PerceptronModel.family: (PerceptronModel, _PERCEPTRON),
    TreeModel.family: (TreeModel, _TREES),
}


def format_model(model: IntegerModel) -> bytes:
    """Write a model file."""
    return model.bytes


def parse_model(data: bytes) -> IntegerModel:
    """Read a model file; accepts exactly what `format_model` writes.

    Raises:
        ModelFileError: damaged, out of bounds, or not a model file.
        UnknownFormatError: of a later version or an unknown family.
    """
    try:
        value = check_format(parse_json(data, limit=MAX_FILE_BYTES), FORMAT)
    except EncodingError as error:
        raise ModelFileError(f"a model file must be intact canonical JSON: {error.message}") from error
    family = value.get("family")
    if not isinstance(family, str) or family not in _FAMILIES:
        raise UnknownFormatError(
            f"model family must be {', '.join(_FAMILIES)}, got one that this version does not know"
        )
    fields = _fields(value, _MODEL, "model file")
    if fields["one"] != ONE:
        raise ModelFileError(f"one must be {ONE}, got {fields['one']}")
    make, schema = _FAMILIES[family]
    model = make(
        name=fields["name"],
        target=fields["target"],
        quantiser=Quantiser(tuple(_feature(item) for item in fields["features"])),
        labels=_texts(fields["labels"], "labels"),
        unit=fields["unit"],
        threshold=fields["threshold"],
        **_parameters(fields["parameters"], schema),
    )
    if fields["digest"] != model.digest:
        raise ModelFileError("the digest must be that of the parameters, got another")
    return model


def _parameters(value: object, schema: dict[str, type]) -> dict[str, Any]:
    fields = _fields(value, schema, "parameters object")
    for name in fields:
        if name in _MATRICES:
            rows = fields[name]
            if any(type(row) is not list for row in rows):
                raise ModelFileError(f"{name} must be a list of lists")
            fields[name] = tuple(_integers(row, name) for row in rows)
        elif schema[name] is list:
            fields[name] = _integers(fields[name], name)
        elif name in _ARRAYS:
            try:
                fields[name] = decode_base64(fields[name])
            except EncodingError as error:
                raise ModelFileError(f"{name} must be strict base64") from error
    return fields


def _feature(value: object) -> Feature:
    kind = value.get("kind") if isinstance(value, dict) else None
    if kind == "numeric":
        fields = _fields(value, _NUMERIC, "numeric feature")
        make: Callable[..., Feature] = NumericFeature
    elif kind == "category":
        fields = _fields(value, _CATEGORY, "category feature")
        fields["codes"] = _texts(fields["codes"], "codes")
        make = CategoryFeature
    else:
        raise ModelFileError("a feature must be numeric or a category")
    del fields["kind"]
    return make(**fields)


def _fields(value: object, schema: dict[str, type], what: str) -> dict[str, Any]:
    """Return a dict's fields when they are exactly the schema's, types included (a bool is no integer)."""
    if not isinstance(value, dict) or value.keys() != schema.keys():
        raise ModelFileError(f"a {what} must have exactly the fields {', '.join(sorted(schema))}")
    for name, kind in schema.items():
        if type(value[name]) is not kind:
            raise ModelFileError(f"{name} of a {what} must be of type {kind.__name__}")
    return dict(value)


def _integers(values: list[object], what: str) -> tuple[int, ...]:
    result = tuple(value for value in values if type(value) is int)
    if len(result) != len(values):
        raise ModelFileError(f"{what} must be integers")
    return result


def _texts(values: list[object], what: str) -> tuple[str, ...]:
    result = tuple(value for value in values if type(value) is str)
    if len(result) != len(values):
        raise ModelFileError(f"{what} must be texts")
    return result
