"""An integer model as an ONNX file: the same scores bit for bit, by integer operators only.

    input "inputs"    int16, shape (rows, width)
    output "scores"   int64, shape (rows, heads)

- Every sum is int64, whose bounds the model has checked already; nothing is ever a float.
- Trees: `way` is the node that a row stands at, counted over all trees of a level; its next one is
  `way + way + (input > threshold)`, so a level is three gathers, one comparison and two additions.
- The perceptron's shift is a division by a power of two: what it divides is never negative, so both are the same.
- The model file travels in the metadata. `from_onnx` makes the graph of it once more and compares, so that a graph
  that says something else than its model file is refused.

Opset 13 and IR version 7: every onnxruntime since 1.8 runs it, and tools that know no more than ONNX too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tallystick.errors import ModelFileError, ModelInputError, UnknownFormatError
from tallystick.models._file import parse_model
from tallystick.models._integer import IntegerModel
from tallystick.models._linear import LinearModel
from tallystick.models._perceptron import PerceptronModel
from tallystick.models._runtime import load_onnx, metadata_of, open_session, parse_onnx
from tallystick.models._trees import TreeModel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OPSET: Final = 13
IR_VERSION: Final = 7
GRAPH_VERSION: Final = "1"
MAX_ONNX_BYTES: Final = 64 * 2**20
BLOCK_CELLS: Final = 2**20  # rows times trees or hidden units that are computed at once
_MODEL: Final = "tallystick.model"
_HASH: Final = "tallystick.hash"
_VERSION: Final = "tallystick.graph"


def to_onnx(model: IntegerModel) -> bytes:
    """Write a model as an ONNX file that gives the same scores; see the module's text.

    Raises:
        MissingExtraError: onnx is not installed.
    """
    made: bytes = _proto(model).SerializeToString(deterministic=True)
    return made


def from_onnx(data: bytes) -> IntegerModel:
    """Return the model that an ONNX file of `to_onnx` was made from.

    Raises:
        MissingExtraError: onnx is not installed.
        ModelFileError: not an ONNX file, no model file in it, or a graph that is not that model's.
        UnknownFormatError: a graph of a later version.
    """
    proto = parse_onnx(data, limit=MAX_ONNX_BYTES)
    said = dict(metadata_of(proto))
    if _MODEL not in said:
        raise ModelFileError(
            "an ONNX file must carry its integer model in its metadata, this one has none",
            hint="any ONNX file can be served as an OpaqueModel",
        )
    if said.get(_VERSION) != GRAPH_VERSION:
        raise UnknownFormatError(f"the graph must be of version {GRAPH_VERSION}, got another version")
    model = parse_model(said[_MODEL].encode())
    # Unknown fields survive parsing and stand in the bytes again, so nothing can hide from this comparison.
    if proto.SerializeToString(deterministic=True) != to_onnx(model):
        raise ModelFileError("the graph must be that of the model file in its metadata, got another")
    return model


class OnnxBackend:
    """A model's scores by onnxruntime, on one thread.

    Args:
        model: the model; its graph is made here.

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed.
    """

    def __init__(self, model: IntegerModel) -> None:
        self.model = model
        self._session = open_session(to_onnx(model))
        self._rows = max(1, BLOCK_CELLS // _cells(model))

    @classmethod
    def read(cls, data: bytes) -> OnnxBackend:
        """Open a file of `to_onnx`, after checking it as `from_onnx` does."""
        return cls(from_onnx(data))

    def scores_inputs_many(self, inputs: NDArray[np.int16]) -> NDArray[np.int64]:
        """Return the scores of many rows, equal to the model's own bit for bit.

        Args:
            inputs: int16, shape (rows, width).

        Returns:
            int64, shape (rows, heads).

        Raises:
            ModelInputError: another dtype or shape.
        """
        import numpy as np

        width = self.model.quantiser.width
        if inputs.dtype != np.int16 or inputs.ndim != 2 or inputs.shape[1] != width:
            raise ModelInputError(
                f"inputs must be int16 of shape (rows, {width}), got {inputs.dtype} of {inputs.shape}"
            )
        if len(inputs) <= self._rows:
            return self._run(inputs)
        starts = range(0, len(inputs), self._rows)
        return np.concatenate([self._run(inputs[start : start + self._rows]) for start in starts])

    def _run(self, inputs: NDArray[np.int16]) -> NDArray[np.int64]:
        scores: NDArray[np.int64] = self._session.run(None, {"inputs": inputs})[0]
        return scores


def _cells(model: IntegerModel) -> int:
    """Return how many numbers one row becomes at the widest place of the graph."""
    if isinstance(model, TreeModel):
        return max(model.quantiser.width, model.heads * model.trees)
    hidden = model.hidden if isinstance(model, PerceptronModel) else 1
    return max(model.quantiser.width, hidden, model.heads)


class _Graph:
    """The nodes and constants of a graph that is being made."""

    def __init__(self) -> None:
        self.onnx = load_onnx()
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, values: Any, *, kind: str = "int64") -> str:
        import numpy as np

        array = np.ascontiguousarray(np.array(values, dtype=kind))
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [output], **attributes))
        return output


def _proto(model: IntegerModel) -> Any:
    graph = _Graph()
    if isinstance(model, LinearModel):
        _linear(graph, model)
    elif isinstance(model, PerceptronModel):
        _perceptron(graph, model)
    elif isinstance(model, TreeModel):
        _trees(graph, model)
    else:
        raise ModelInputError(f"no ONNX graph is known for the family {model.family}")
    onnx = graph.onnx
    make, kinds = onnx.helper, onnx.TensorProto
    inputs = make.make_tensor_value_info("inputs", kinds.INT16, ["rows", model.quantiser.width])
    scores = make.make_tensor_value_info("scores", kinds.INT64, ["rows", model.heads])
    proto = onnx.ModelProto()
    proto.ir_version = IR_VERSION
    proto.producer_name = "tallystick"
    proto.opset_import.add(version=OPSET)
    proto.graph.CopyFrom(make.make_graph(graph.nodes, model.family, [inputs], [scores], graph.constants))
    said = {_VERSION: GRAPH_VERSION, _HASH: model.hash, _MODEL: model.bytes.decode()}
    for key, value in said.items():
        proto.metadata_props.add(key=key, value=value)
    return proto


def _linear(graph: _Graph, model: LinearModel) -> None:
    _wide(graph, "inputs")
    _layer(graph, "wide", model.weights, model.biases, "scores")


def _perceptron(graph: _Graph, model: PerceptronModel) -> None:
    _wide(graph, "inputs")
    _layer(graph, "wide", model.hidden_weights, model.hidden_biases, "sums")
    graph.node("Max", ["sums", graph.constant("zero", 0)], "positive")
    graph.node("Div", ["positive", graph.constant("scale", 1 << model.shift)], "hidden")
    _layer(graph, "hidden", model.weights, model.biases, "scores")


def _wide(graph: _Graph, name: str) -> None:
    graph.node("Cast", [name], "wide", to=graph.onnx.TensorProto.INT64)


def _layer(graph: _Graph, source: str, weights: Any, biases: Any, output: str) -> None:
    import numpy as np

    matrix = graph.constant(f"weights_of_{output}", np.array(weights, dtype=np.int64).T)
    graph.node("MatMul", [source, matrix], f"products_of_{output}")
    graph.node("Add", [f"products_of_{output}", graph.constant(f"biases_of_{output}", biases)], output)


def _trees(graph: _Graph, model: TreeModel) -> None:
    import numpy as np

    features, thresholds, leaves, _ = model.arrays
    kinds = graph.onnx.TensorProto
    graph.node("Cast", ["inputs"], "columns", to=kinds.INT32)
    way = ""
    for level in range(model.depth):
        nodes = slice((1 << level) - 1, (2 << level) - 1)
        asked = graph.constant(f"features_{level}", features[:, nodes].ravel())
        limits = graph.constant(f"thresholds_{level}", thresholds[:, nodes].ravel(), kind="int32")
        if not level:  # all rows stand at the same nodes: the roots
            graph.node("Gather", ["columns", asked], "values_0", axis=1)
            twice = graph.constant("twice", 2 * np.arange(len(features)))
        else:
            graph.node("Gather", [asked, way], f"asked_{level}", axis=0)
            limits = graph.node("Gather", [limits, way], f"limits_{level}", axis=0)
            graph.node("GatherElements", ["columns", f"asked_{level}"], f"values_{level}", axis=1)
            twice = graph.node("Add", [way, way], f"twice_{level}")
        graph.node("Greater", [f"values_{level}", limits], f"greater_{level}")
        graph.node("Cast", [f"greater_{level}"], f"right_{level}", to=kinds.INT64)
        way = graph.node("Add", [twice, f"right_{level}"], f"way_{level + 1}")
    reached = graph.node("Gather", [graph.constant("leaves", leaves.ravel()), way], "reached", axis=0)
    if model.heads > 1:  # trees stand head by head; 0 keeps the number of rows
        shape = graph.constant("by_head", [0, model.heads, model.trees])
        reached = graph.node("Reshape", [reached, shape], "reached_by_head")
    last = graph.constant("last_axis", [-1])
    graph.node("ReduceSum", [reached, last], "sums", keepdims=int(model.heads == 1))
    graph.node("Add", ["sums", graph.constant("bases", model.bases)], "scores")
