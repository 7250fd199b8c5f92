"""Any ONNX file as a model: text, pictures, control; recorded and served, never re-executed by a contract.

- The file is the model: what its numbers mean (labels, columns, threshold) stands in its own metadata, so the
  file's SHA-256 names all of it, and any other ONNX tool can run it too.
- Before it is loaded: its size, that it reads no other file, and that it asks for ONNX's own operators only.
- Before it runs: names, dtypes, shapes, finite numbers, how many there are. While it runs: a time limit.
  Afterwards: shapes and finite numbers again.
- A file is a program. These bounds stop mistakes and runaways; how much memory a file takes is not bounded, so run
  one from a stranger in a process of its own.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final

from tallystick.errors import DeadlineError, EncodingError, ModelFileError, ModelInputError
from tallystick.models._numbers import parse_decimal
from tallystick.models._runtime import load_onnx, metadata_of, open_session, parse_onnx, runtime_errors
from tallystick.models._scored import OPAQUE_WORDS, Scored, scored_of_numbers
from tallystick.models._table import Row
from tallystick.proof import check_format, format_json, parse_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

MAX_OPAQUE_BYTES: Final = 512 * 2**20
MAX_INPUT_CELLS: Final = 2**24
MAX_OUTPUT_CELLS: Final = 2**24
MAX_COLUMNS: Final = 4096
RUN_LIMIT_MS: Final = 5_000
FORMAT: Final = "tallystick/opaque"
_KEY: Final = "tallystick.opaque"
_METADATA_FIELD: Final = b"\x72"  # metadata_props of ModelProto: field 14, length-delimited
_DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml"})
_INTEGER_START: Final = (
    b'{"digest":"'  # of a model file; `Models` makes executors for hashes of what begins so
)
_SLACK: Final = 1e-5  # by which a float32 softmax may leave 0..1
_MAX_LABELS: Final = 10_000
_MAX_TEXT: Final = 200
_DTYPES: Final = {
    "tensor(bool)": "bool", "tensor(double)": "float64", "tensor(float)": "float32", "tensor(int16)": "int16",
    "tensor(int32)": "int32", "tensor(int64)": "int64", "tensor(int8)": "int8", "tensor(string)": "object",
    "tensor(uint8)": "uint8",
}  # fmt: skip
_SCHEMA: Final[dict[str, type]] = {
    "columns": list, "labels": list, "name": str, "output": str, "probabilities": bool, "target": str,
    "threshold": str, "type": str, "v": int,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or an output of an ONNX file.

    Args:
        name: as the file says.
        dtype: numpy's name; "object" for text; empty for what is no tensor that can be served.
        shape: a number, or None where any size fits.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class OpaqueDescription:
    """What the numbers of an ONNX file mean.

    Args:
        name: a short noun.
        target: what a yes means, in plain words.
        labels: at least two.
        output: which output answers: one number per row (it speaks for the second of two labels) or one per label.
        columns: the names of a row's cells, in the order of the file's only input; empty when rows are not served.
        threshold: decimal text; the least number that means the second label, where there is one number.
        probabilities: whether the output's numbers are probabilities.

    Raises:
        ModelFileError: a value is out of its bounds.
    """

    name: str
    target: str
    labels: tuple[str, ...]
    output: str
    columns: tuple[str, ...] = ()
    threshold: str = "0.5"
    probabilities: bool = True

    def __post_init__(self) -> None:
        texts = (self.name, self.target, self.output, *self.labels, *self.columns)
        if any(not 0 < len(text) <= _MAX_TEXT for text in texts):
            raise ModelFileError(f"names, target and labels must have 1 to {_MAX_TEXT} characters")
        for what, found, low, high in (
            ("labels", self.labels, 2, _MAX_LABELS),
            ("columns", self.columns, 0, MAX_COLUMNS),
        ):
            if not low <= len(found) <= high or len(set(found)) != len(found):
                raise ModelFileError(f"{what} must be {low} to {high}, each once, got {len(found)}")
        try:
            parse_decimal(self.threshold)
        except ModelInputError as error:
            raise ModelFileError("the threshold must be a decimal number") from error

    def format(self) -> bytes:
        """Return it as it stands in the file's metadata."""
        return format_json(
            {
                "columns": list(self.columns),
                "labels": list(self.labels),
                "name": self.name,
                "output": self.output,
                "probabilities": self.probabilities,
                "target": self.target,
                "threshold": self.threshold,
                "type": FORMAT,
                "v": 1,
            }
        )


def describe_onnx(data: bytes, description: OpaqueDescription) -> bytes:
    """Write into an ONNX file what its numbers mean.

    Args:
        data: an ONNX file without such a description.
        description: see there.

    Returns:
        The file that `OpaqueModel` opens; its first bytes are `data`, unchanged.
    """
    # Protocol buffers say that a repeated field may be appended to a message's bytes.
    entry = _prefixed(b"\x0a", _KEY.encode()) + _prefixed(b"\x12", description.format())
    return data + _prefixed(_METADATA_FIELD, entry)


class OpaqueModel:
    """An ONNX file that is asked as it is.

    Args:
        data: a file of `describe_onnx`.
        limit_ms: how long one run may take, 1 ms to 10 minutes.

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed.
        ModelFileError: too large, damaged, without description, or asking for what is not served.
    """

    family: ClassVar[str] = "opaque"
    reexecutable: ClassVar[bool] = False
    words: ClassVar[str] = OPAQUE_WORDS

    def __init__(self, data: bytes, *, limit_ms: int = RUN_LIMIT_MS) -> None:
        if not 1 <= limit_ms <= 600_000:
            raise ModelInputError(f"the limit must be 1 to 600,000 ms, got {limit_ms}")
        self.bytes, self._limit_ms = data, limit_ms
        self.description = _read_description(data)
        self._session = open_session(data)
        self.inputs = tuple(map(_tensor, self._session.get_inputs()))
        self.outputs = tuple(map(_tensor, self._session.get_outputs()))
        self._check_description()

    @property
    def name(self) -> str:
        """The model's short name."""
        return self.description.name

    @property
    def labels(self) -> tuple[str, ...]:
        """What it decides between."""
        return self.description.labels

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the file, in hex."""
        return hashlib.sha256(self.bytes).hexdigest()

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run the file.

        Args:
            feeds: one array for every input, of its dtype and shape, finite.

        Returns:
            Output name -> array.

        Raises:
            DeadlineError: it took too long.
            ModelFileError: the file failed on an input that fits, or gave numbers that are not finite.
            ModelInputError: an input is missing, unknown, too large, not finite, or of another dtype or shape.
        """
        if feeds.keys() != {tensor.name for tensor in self.inputs}:
            names = ", ".join(tensor.name for tensor in self.inputs)
            raise ModelInputError(f"the model reads exactly {names}, got {len(feeds)} inputs")
        for tensor in self.inputs:
            _check_array(tensor, feeds[tensor.name])
        found = self._run_in_time(dict(feeds))
        for tensor in self.outputs:
            value = found[tensor.name]
            if tensor.dtype and (value.size > MAX_OUTPUT_CELLS or not _is_finite(value)):
                raise ModelFileError(f"the output {tensor.name} must be finite and not too large")
        return found

    def score_many(self, feeds: Mapping[str, Array]) -> tuple[Scored, ...]:
        """Run the file and say what its answers mean, row by row; see `run` for what it raises."""
        import numpy as np

        said = self.description
        values = np.asarray(self.run(feeds)[said.output], dtype=np.float64)
        numbers = values.reshape(len(values), -1) if values.ndim else values.reshape(1, 1)
        expected = {len(said.labels)} | ({1} if len(said.labels) == 2 else set())
        if numbers.shape[1] not in expected:
            raise ModelFileError(
                f"{said.output} must give {len(said.labels)} numbers a row, got {numbers.shape[1]}"
            )
        if said.probabilities and not ((numbers >= -_SLACK) & (numbers <= 1 + _SLACK)).all():
            raise ModelFileError(
                f"{said.output} must give probabilities, got a number below 0 or above 1",
                hint="describe the output with probabilities=False if its numbers are scores",
            )
        if said.probabilities:
            numbers = np.clip(numbers, 0.0, 1.0)
        threshold = Decimal(said.threshold)
        return tuple(
            scored_of_numbers(row, said.labels, threshold=threshold, probabilities=said.probabilities)
            for row in numbers.tolist()
        )

    def score_row(self, row: Row) -> Scored:
        """Ask about one row of decimal text (or of any text, where the input is text).

        Raises:
            ModelInputError: the model has no columns, a cell is missing or not a number; see `run`.
        """
        columns = self.description.columns
        if not columns:
            raise ModelInputError("this model names no columns: ask it with arrays")
        if row.keys() != set(columns):
            raise ModelInputError(
                f"a row must hold exactly the model's {len(columns)} columns, got {len(row)}"
            )
        return self.score_many({self.inputs[0].name: self._array([row[column] for column in columns])})[0]

    def _array(self, cells: Sequence[str | None]) -> Array:
        import numpy as np

        if any(cell is None for cell in cells):
            raise ModelInputError("every cell must be known: an opaque model has no rule for a missing one")
        tensor = self.inputs[0]
        shape = (1, *(size or 1 for size in tensor.shape[1:]))
        known = [cell for cell in cells if cell is not None]
        if tensor.dtype == "object":
            return np.array(known, dtype=object).reshape(shape)
        numbers = np.array([float(parse_decimal(cell)) for cell in known])
        with np.errstate(invalid="ignore"):  # what does not fit is found by the comparison below
            made = numbers.astype(tensor.dtype)
        if tensor.dtype.startswith(("int", "uint", "bool")) and not np.array_equal(made, numbers):
            raise ModelInputError(f"cells must be whole numbers that fit {tensor.dtype}")
        return made.reshape(shape)

    def _run_in_time(self, feeds: dict[str, Array]) -> dict[str, Array]:
        import onnxruntime

        options = onnxruntime.RunOptions()
        options.log_severity_level = 4

        def stop() -> None:
            options.terminate = True

        timer = threading.Timer(self._limit_ms / 1000, stop)
        timer.daemon = True
        timer.start()
        try:
            values = self._session.run(None, feeds, options)
        except runtime_errors() as error:
            if options.terminate:
                raise DeadlineError(f"a run must end within {self._limit_ms} ms, and did not") from error
            raise ModelFileError("the model must run on an input that fits it, and fails") from error
        finally:
            timer.cancel()
        return dict(zip([tensor.name for tensor in self.outputs], values, strict=True))

    def _check_description(self) -> None:
        said = self.description
        output = next((tensor for tensor in self.outputs if tensor.name == said.output), None)
        if output is None or output.dtype in ("", "object"):
            names = ", ".join(tensor.name for tensor in self.outputs if tensor.dtype not in ("", "object"))
            raise ModelFileError(f"the output {said.output} must be a tensor of numbers, known: {names}")
        if any(not tensor.dtype for tensor in self.inputs):
            raise ModelFileError("every input must be a tensor of numbers or text")
        if said.columns:
            cells = 1
            for size in self.inputs[0].shape[1:]:
                cells *= size or 1
            if len(self.inputs) != 1 or cells != len(said.columns):
                raise ModelFileError(
                    f"the columns must fill one input of {cells} cells, got {len(said.columns)}"
                )


def _prefixed(tag: bytes, content: bytes) -> bytes:
    """Return a length-delimited field of a protocol buffer."""
    size, length = len(content), bytearray()
    while size >= 0x80:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return tag + bytes([*length, size]) + content


def _read_description(data: bytes) -> OpaqueDescription:
    # Protocol buffers pass over fields that they do not know, and these bytes can be one: such a file would be this
    # model here, and on a chain the hash of it would have an executor of other parameters.
    if data.startswith(_INTEGER_START):
        raise ModelFileError("an ONNX file must not begin as the file of an integer model does")
    onnx, proto = load_onnx(), parse_onnx(data, limit=MAX_OPAQUE_BYTES)
    parts = list(_messages(proto))  # every one of them: names are checked on the way
    tensors = [part for part in parts if isinstance(part, onnx.TensorProto)]
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in tensors):
        raise ModelFileError("the file must hold all its numbers, and asks for another file")
    domains = {item.domain for item in proto.opset_import}
    if not domains <= _DOMAINS:
        raise ModelFileError("the file must use ONNX's own operators only, and asks for others")
    said = [value for key, value in metadata_of(proto) if key == _KEY]
    if len(said) != 1:
        raise ModelFileError(
            f"the file must say once what its numbers mean, and does so {len(said)} times",
            hint="write it with describe_onnx(file, OpaqueDescription(...))",
        )
    return _parse_description(said[0].encode())


def _parse_description(data: bytes) -> OpaqueDescription:
    try:
        value = check_format(parse_json(data, limit=2**20), FORMAT)
    except EncodingError as error:
        raise ModelFileError(f"the description must be canonical JSON: {error.message}") from error
    if value.keys() != _SCHEMA.keys() or any(type(value[k]) is not kind for k, kind in _SCHEMA.items()):
        raise ModelFileError(f"the description must have exactly the fields {', '.join(_SCHEMA)}")
    for field in ("columns", "labels"):
        if any(type(item) is not str for item in value[field]):
            raise ModelFileError(f"{field} must be texts")
    fields = {name: value[name] for name in _SCHEMA if name not in ("type", "v")}
    return OpaqueDescription(
        **fields | {"columns": tuple(value["columns"]), "labels": tuple(value["labels"])}
    )


def _messages(message: Any) -> Iterator[Any]:
    """Yield every part of a model, wherever it stands: constants, attributes, inner graphs, functions.

    Raises:
        ModelFileError: a name is not UTF-8.
    """
    pending = [message]
    while pending:
        at = pending.pop()
        yield at
        for field, value in at.ListFields():
            values = [value] if isinstance(value, str | bytes) or hasattr(value, "ListFields") else value
            if field.message_type is not None:
                pending.extend(values)
            elif field.type == field.TYPE_STRING and any(isinstance(text, bytes) for text in values):
                raise ModelFileError("the names in an ONNX file must be UTF-8")


def _tensor(argument: Any) -> Tensor:
    shape = tuple(size if isinstance(size, int) else None for size in argument.shape)
    return Tensor(argument.name, _DTYPES.get(argument.type, ""), shape)


def _check_array(tensor: Tensor, array: Array) -> None:
    if str(array.dtype) != tensor.dtype:
        raise ModelInputError(f"{tensor.name} must be {tensor.dtype}, got {array.dtype}")
    fits = len(array.shape) == len(tensor.shape) and all(
        size is None or size == got for size, got in zip(tensor.shape, array.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in tensor.shape)
        raise ModelInputError(f"{tensor.name} must have the shape ({wanted}), got {array.shape}")
    if array.size > MAX_INPUT_CELLS:
        raise ModelInputError(f"{tensor.name} must have at most {MAX_INPUT_CELLS} cells, got {array.size}")
    if tensor.dtype == "object" and any(type(text) is not str for text in array.ravel().tolist()):
        raise ModelInputError(f"{tensor.name} must be text")
    if not _is_finite(array):
        raise ModelInputError(f"{tensor.name} must be finite, got NaN or infinity")


def _is_finite(value: Any) -> bool:
    import numpy as np

    return bool(not np.issubdtype(value.dtype, np.floating) or np.isfinite(value).all())
