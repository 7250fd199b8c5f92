"""Open a model that is not the product's own from the bytes that a registry keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tallystick.errors import UnknownFormatError
from tallystick.models._external import ExternalModel, parse_external
from tallystick.models._opaque import OpaqueModel
from tallystick.models._scored import ForeignModel


def load_foreign(
    family: str, data: bytes, *, headers: Callable[[], Mapping[str, str]] = dict
) -> ForeignModel:
    """Open an opaque or an external model; what `Registry` takes as `load`.

    Args:
        family: "opaque" or "external".
        data: an ONNX file of `describe_onnx`, or the description of an external model.
        headers: credentials for an external one; see `ExternalModel`.

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed.
        ModelFileError: damaged or out of bounds.
        UnknownFormatError: another family.
    """
    if family == OpaqueModel.family:
        return OpaqueModel(data)
    if family == ExternalModel.family:
        return ExternalModel(parse_external(data), headers=headers)
    raise UnknownFormatError(f"the family must be opaque or external, got {family!r}")
