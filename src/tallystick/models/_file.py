"""The model file `.tsm`, version 1: canonical JSON that `parse_model` reads and `format_model` writes.

    {"bias":…,"centre":[…],"family":"linear","features":[…],"name":…,"one":4096,"shift":…,
     "target":…,"threshold":…,"type":"tallystick/model","v":1,"weights":[…]}

Later families (trees, perceptron) are other values of `family` with fields of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tallystick.errors import EncodingError, ModelFileError, UnknownFormatError
from tallystick.models._features import ONE, CategoryFeature, Feature, NumericFeature
from tallystick.models._linear import FAMILY, FORMAT, LinearModel
from tallystick.proof import check_format, parse_json

MAX_FILE_BYTES: Final = 16 * 2**20

_MODEL = {
    "bias": int, "centre": list, "family": str, "features": list, "name": str, "one": int,
    "shift": int, "target": str, "threshold": int, "type": str, "v": int, "weights": list,
}  # fmt: skip
_NUMERIC = {
    "decimals": int, "gaps": bool, "high": int, "kind": str, "low": int, "missing": int, "name": str,
    "offset": int, "step": int, "title": str,
}  # fmt: skip
_CATEGORY = {"codes": list, "gaps": bool, "kind": str, "name": str, "title": str}


def format_model(model: LinearModel) -> bytes:
    """Write a model file."""
    return model.bytes


def parse_model(data: bytes) -> LinearModel:
    """Read a model file; accepts exactly what `format_model` writes.

    Raises:
        ModelFileError: damaged, out of bounds, or not a model file.
        UnknownFormatError: of a later version or an unknown family.
    """
    try:
        value = check_format(parse_json(data, limit=MAX_FILE_BYTES), FORMAT)
    except EncodingError as error:
        raise ModelFileError(f"a model file must be intact canonical JSON: {error.message}") from error
    if value.get("family") != FAMILY:
        raise UnknownFormatError(f"model family must be {FAMILY}, got one that this version does not know")
    fields = _fields(value, _MODEL, "model file")
    if fields["one"] != ONE:
        raise ModelFileError(f"one must be {ONE}, got {fields['one']}")
    return LinearModel(
        name=fields["name"],
        target=fields["target"],
        features=tuple(_feature(item) for item in fields["features"]),
        weights=_integers(fields["weights"], "weights"),
        bias=fields["bias"],
        shift=fields["shift"],
        threshold=fields["threshold"],
        centre=_integers(fields["centre"], "centre"),
    )


def _feature(value: object) -> Feature:
    kind = value.get("kind") if isinstance(value, dict) else None
    if kind == "numeric":
        fields = _fields(value, _NUMERIC, "numeric feature")
        make: Callable[..., Feature] = NumericFeature
    elif kind == "category":
        fields = _fields(value, _CATEGORY, "category feature")
        if any(type(code) is not str for code in fields["codes"]):
            raise ModelFileError("codes must be texts")
        fields["codes"] = tuple(fields["codes"])
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
