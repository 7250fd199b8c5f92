"""The door to onnx and onnxruntime: loaded when first needed, one thread, and no telemetry.

onnxruntime's own builds report model names, hashes of weights and a device's id to their maker, from 1.29 on under
Linux and macOS too, unless ORT_DISABLE_TELEMETRY is set before it is first imported. Nothing may leave a party's
machine by itself, so it is set here, and the switch is thrown as well for a program that imported it earlier.
"""

from __future__ import annotations

import os
from typing import Any

from tallystick.errors import MissingExtraError, ModelFileError

INSTALL = "pip install 'tallystick[ai]'"


def load_onnx() -> Any:
    """Return the module onnx.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
    except ModuleNotFoundError as error:
        raise MissingExtraError("ONNX files need onnx, which is not installed", hint=INSTALL) from error
    return onnx


def parse_onnx(data: bytes, *, limit: int) -> Any:
    """Return an ONNX file as onnx.ModelProto; nothing of it is run.

    Args:
        data: the file.
        limit: how many bytes it may have.

    Raises:
        MissingExtraError: onnx is not installed.
        ModelFileError: too large, or not an ONNX file.
    """
    onnx = load_onnx()
    from google.protobuf.message import DecodeError

    if len(data) > limit:
        raise ModelFileError(f"an ONNX file must have at most {limit} bytes, got {len(data)}")
    try:
        return onnx.ModelProto.FromString(data)
    except DecodeError as error:
        raise ModelFileError("these bytes are not an ONNX file") from error


def metadata_of(proto: Any) -> list[tuple[str, str]]:
    """Return the metadata of an ONNX file, keys as often as they stand there.

    Raises:
        ModelFileError: not UTF-8, which the second version of protocol buffers hands on as bytes.
    """
    said = [(entry.key, entry.value) for entry in proto.metadata_props]
    if any(not isinstance(part, str) for pair in said for part in pair):
        raise ModelFileError("the metadata of an ONNX file must be UTF-8")
    return said


def load_runtime() -> Any:
    """Return the module onnxruntime, its telemetry switched off.

    Raises:
        MissingExtraError: it is not installed.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "running ONNX needs onnxruntime, which is not installed", hint=INSTALL
        ) from error
    onnxruntime.disable_telemetry_events()
    return onnxruntime


def open_session(data: bytes) -> Any:
    """Load an ONNX file for one thread of the CPU.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        ModelFileError: not an ONNX file, or one that onnxruntime cannot run.
    """
    runtime = load_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong comes as an exception; a library does not print
    try:
        # Without enable_fallback=0 a failure is printed and tried again.
        return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except runtime_errors() as error:
        raise ModelFileError("onnxruntime must be able to load the file, and cannot") from error


def runtime_errors() -> tuple[type[Exception], ...]:
    """Return what onnxruntime raises; its classes share no ancestor of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*own, RuntimeError, ValueError)
