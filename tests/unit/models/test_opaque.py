"""Any ONNX file as a model: what it may be, what it may be fed, what it may say."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tallystick.errors import DeadlineError, ModelFileError, ModelInputError, UnknownFormatError
from tallystick.models import OpaqueDescription, OpaqueModel, Tensor, ask_row, describe_onnx, load_foreign

FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING


def file_of(
    nodes: list[Any],
    inputs: list[tuple[str, int, list[Any]]],
    outputs: list[tuple[str, int, list[Any]]],
    constants: dict[str, Any] | None = None,
    domains: tuple[str, ...] = ("",),
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info(*item) for item in inputs],
        [helper.make_tensor_value_info(*item) for item in outputs],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid(domain, {"": 13, "ai.onnx.ml": 2}.get(domain, 1)) for domain in domains]
    return helper.make_model(graph, opset_imports=opsets, ir_version=7).SerializeToString()


def logistic() -> bytes:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("Sigmoid", ["z"], ["p"]),
    ]
    w = np.array([[1.0], [-2.0]], np.float32)
    return file_of(nodes, [("x", FLOAT, ["rows", 2])], [("p", FLOAT, ["rows", 1])], {"w": w})


def softmax() -> bytes:
    nodes = [helper.make_node("Softmax", ["x"], ["p"], axis=1)]
    return file_of(nodes, [("x", FLOAT, ["rows", 3])], [("p", FLOAT, ["rows", 3])])


def described(data: bytes, **changes: Any) -> bytes:
    fields = {
        "name": "made", "target": "made up", "labels": ("no", "yes"), "output": "p", "columns": ("a", "b")
    }  # fmt: skip
    return describe_onnx(data, OpaqueDescription(**fields | changes))


def test_a_file_with_its_description_is_a_model_and_its_hash_names_both() -> None:
    data = described(logistic())
    model = OpaqueModel(data)
    assert model.hash == hashlib.sha256(data).hexdigest()
    assert model.hash != OpaqueModel(described(logistic(), labels=("fine", "ill"))).hash
    assert (model.family, model.reexecutable, model.name) == ("opaque", False, "made")
    assert "no contract can re-execute it" in model.words
    assert model.inputs == (Tensor("x", "float32", (None, 2)),)
    assert model.outputs == (Tensor("p", "float32", (None, 1)),)
    assert load_foreign("opaque", data).hash == model.hash


def test_a_described_file_is_still_the_same_onnx_file_for_other_tools() -> None:
    data = described(logistic())
    proto = onnx.ModelProto.FromString(data)
    onnx.checker.check_model(proto, full_check=True)
    assert data.startswith(logistic())
    assert [entry.key for entry in proto.metadata_props] == ["tallystick.opaque"]


def test_a_row_is_scored_by_its_columns() -> None:
    scored = ask_row(OpaqueModel(described(logistic())), {"b": "0.5", "a": "2"})
    assert scored.decision == "yes"
    assert scored.probability == pytest.approx(1 / (1 + math.exp(-1)), abs=1e-6)
    assert scored.scores == (round(scored.probability * 1_000_000),)


def test_the_threshold_decides() -> None:
    row = {"a": "2", "b": "0.5"}
    assert OpaqueModel(described(logistic(), threshold="0.8")).score_row(row).decision == "no"
    assert OpaqueModel(described(logistic(), threshold="0.7")).score_row(row).decision == "yes"


def test_several_labels_are_decided_by_the_largest_number_the_first_of_equals() -> None:
    model = OpaqueModel(described(softmax(), labels=("x", "y", "z"), columns=()))
    inputs = np.array([[0, 3, 1], [2, 2, 0], [0, 0, 9]], np.float32)
    scored = model.score_many({"x": inputs})
    assert [one.decision for one in scored] == ["y", "x", "z"]
    assert all(len(one.scores) == 3 for one in scored)
    assert scored[2].probability == pytest.approx(1, abs=1e-3)


def test_two_labels_may_have_a_number_each() -> None:
    nodes = [helper.make_node("Softmax", ["x"], ["p"], axis=1)]
    data = file_of(nodes, [("x", FLOAT, [None, 2])], [("p", FLOAT, [None, 2])])
    scored = OpaqueModel(described(data)).score_row({"a": "1", "b": "0"})
    assert scored.decision == "no"
    assert scored.probability == pytest.approx(1 / (1 + math.e), abs=1e-6)  # of the yes


def test_text_is_served_as_text() -> None:
    nodes = [
        helper.make_node(
            "LabelEncoder", ["note"], ["p"], domain="ai.onnx.ml", keys_strings=["pain", "cough"],
            values_floats=[0.9, 0.1], default_float=0.5,
        )
    ]  # fmt: skip
    data = file_of(
        nodes, [("note", STRING, [None, 1])], [("p", FLOAT, [None, 1])], domains=("", "ai.onnx.ml")
    )
    model = OpaqueModel(described(data, columns=("note",)))
    assert model.score_row({"note": "pain"}).decision == "yes"
    assert model.score_row({"note": "cough"}).decision == "no"
    with pytest.raises(ModelInputError, match="must be text"):
        model.run({"note": np.array([[3]], dtype=object)})


def test_whole_numbers_are_served_as_whole_numbers_and_others_refused() -> None:
    nodes = [helper.make_node("Cast", ["x"], ["p"], to=FLOAT)]
    data = file_of(nodes, [("x", TensorProto.INT8, [None, 1])], [("p", FLOAT, [None, 1])])
    model = OpaqueModel(described(data, columns=("n",), probabilities=False, threshold="7"))
    assert model.score_row({"n": "7"}).decision == "yes"
    assert model.score_row({"n": "7"}).probability is None
    for cell in ("7.5", "128", "1e15"):
        with pytest.raises(ModelInputError, match="whole numbers that fit int8"):
            model.score_row({"n": cell})


@pytest.mark.parametrize(
    "row",
    [{"a": "1"}, {"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": None}, {"a": "1", "b": "NaN"}, {"a": "1", "b": "x"}],
    ids=str,
)  # fmt: skip
def test_a_row_that_does_not_fit_is_refused(row: dict[str, str | None]) -> None:
    with pytest.raises(ModelInputError):
        OpaqueModel(described(logistic())).score_row(row)


@pytest.mark.parametrize(
    ("feeds", "match"),
    [
        ({}, "reads exactly x"),
        ({"y": np.zeros((1, 2), np.float32)}, "reads exactly x"),
        ({"x": np.zeros((1, 2))}, "must be float32, got float64"),
        ({"x": np.zeros((1, 3), np.float32)}, r"shape \(any, 2\)"),
        ({"x": np.zeros(2, np.float32)}, r"shape \(any, 2\)"),
        ({"x": np.array([[1, math.nan]], np.float32)}, "must be finite"),
        ({"x": np.array([[1, math.inf]], np.float32)}, "must be finite"),
        ({"x": np.broadcast_to(np.float32(0), (2**23 + 1, 2))}, "at most"),
    ],
)
def test_feeds_that_do_not_fit_are_refused(feeds: dict[str, Any], match: str) -> None:
    with pytest.raises(ModelInputError, match=match):
        OpaqueModel(described(logistic())).run(feeds)


def test_a_model_without_columns_takes_arrays_only() -> None:
    model = OpaqueModel(described(logistic(), columns=()))
    assert len(model.score_many({"x": np.zeros((4, 2), np.float32)})) == 4
    with pytest.raises(ModelInputError, match="names no columns"):
        model.score_row({"a": "1", "b": "1"})


def identity(rows: list[Any]) -> bytes:
    return file_of([helper.make_node("Identity", ["x"], ["p"])], [("x", FLOAT, rows)], [("p", FLOAT, rows)])


@pytest.mark.parametrize("number", ["-0.1", "1.1"])
def test_a_number_that_is_no_probability_is_refused_where_one_is_promised(number: str) -> None:
    data = identity([None, 1])
    with pytest.raises(ModelFileError, match="must give probabilities"):
        OpaqueModel(described(data, columns=("a",))).score_row({"a": number})
    scores = OpaqueModel(described(data, columns=("a",), probabilities=False))
    assert scores.score_row({"a": number}).decision == ("yes" if number == "1.1" else "no")


def test_an_answer_that_is_not_finite_is_refused() -> None:
    nodes = [helper.make_node("Log", ["x"], ["p"])]
    data = file_of(nodes, [("x", FLOAT, [None, 1])], [("p", FLOAT, [None, 1])])
    model = OpaqueModel(described(data, columns=("a",), probabilities=False))
    assert model.score_row({"a": "1"}).decision == "no"
    for cell in ("-1", "0"):
        with pytest.raises(ModelFileError, match="must be finite"):
            model.score_row({"a": cell})


def test_an_answer_of_another_width_than_the_labels_is_refused() -> None:
    with pytest.raises(ModelFileError, match="must give 4 numbers a row, got 3"):
        OpaqueModel(described(softmax(), labels=tuple("abcd"), columns=())).score_many(
            {"x": np.zeros((1, 3), np.float32)}
        )


def endless() -> bytes:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Sin", ["v"], ["w"])],
        "body",
        [
            helper.make_tensor_value_info("i", INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", FLOAT, [None, 1]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", FLOAT, [None, 1]),
        ],
    )
    nodes = [helper.make_node("Loop", ["times", "yes", "x"], ["p"], body=body)]
    constants = {"times": np.array(2**60, np.int64), "yes": np.array(True)}
    return file_of(nodes, [("x", FLOAT, [None, 1])], [("p", FLOAT, [None, 1])], constants)


def test_a_run_that_does_not_end_is_stopped_and_the_next_one_starts_afresh() -> None:
    model = OpaqueModel(described(endless(), columns=("a",)), limit_ms=60)
    for _ in range(2):
        with pytest.raises(DeadlineError, match="within 60 ms"):
            model.score_row({"a": "1"})


def outside() -> bytes:
    proto = onnx.ModelProto.FromString(logistic())
    weights = proto.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="../../etc/passwd")
    return proto.SerializeToString()


def outside_in_an_attribute() -> bytes:
    proto = onnx.ModelProto.FromString(logistic())
    tensor = numpy_helper.from_array(np.zeros(4, np.float32))
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    proto.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))
    return proto.SerializeToString()


@pytest.mark.parametrize("make", [outside, outside_in_an_attribute])
def test_a_file_that_reads_another_file_is_refused(make: Callable[[], bytes]) -> None:
    with pytest.raises(ModelFileError, match="asks for another file"):
        OpaqueModel(described(make()))


def test_a_file_that_a_contract_could_take_for_an_integer_models_is_refused() -> None:
    # `{` opens a group that ONNX does not know, `"` a field of `d` = 100 bytes in it, and `|` closes the group.
    # Behind 64 digits that fit some parameters, the contract `Models` would make an executor under this file's hash.
    disguise = b'{"digest":"' + b"0" * 64 + b'",' + b" " * 26 + b"|"
    data = disguise + described(logistic())
    assert onnx.ModelProto.FromString(data).graph.node[0].op_type == "MatMul"
    with pytest.raises(ModelFileError, match="integer model"):
        OpaqueModel(data)


def test_operators_of_others_are_refused() -> None:
    nodes = [helper.make_node("Inverse", ["x"], ["p"], domain="com.microsoft")]
    data = file_of(nodes, [("x", FLOAT, [2, 2])], [("p", FLOAT, [2, 2])], domains=("", "com.microsoft"))
    with pytest.raises(ModelFileError, match="own operators only"):
        OpaqueModel(described(data))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"output": "q"}, "known: p"),
        ({"columns": ("a", "b", "c")}, "must fill one input of 2 cells, got 3"),
    ],
)
def test_a_description_of_another_file_is_refused(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ModelFileError, match=match):
        OpaqueModel(described(logistic(), **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": ("yes",)},
        {"labels": ("yes", "yes")},
        {"columns": ("a", "a")},
        {"name": ""},
        {"target": "t" * 201},
        {"threshold": "half"},
        {"threshold": "NaN"},
    ],
    ids=str,
)
def test_a_description_out_of_bounds_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ModelFileError):
        described(logistic(), **changes)


def with_metadata(*values: str) -> bytes:
    proto = onnx.ModelProto.FromString(logistic())
    for value in values:
        proto.metadata_props.add(key="tallystick.opaque", value=value)
    return proto.SerializeToString()


def said() -> str:
    return str(onnx.ModelProto.FromString(described(logistic())).metadata_props[0].value)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", ModelFileError),
        (b"not an ONNX file", ModelFileError),
        (logistic(), ModelFileError),
        (with_metadata(said(), said()), ModelFileError),
        (with_metadata("{}"), ModelFileError),
        (with_metadata(said().replace('"v":1', '"v":2')), UnknownFormatError),
        (with_metadata(said().replace('"labels":["no","yes"]', '"labels":["no",1]')), ModelFileError),
        (with_metadata(said().replace(":true", ":1")), ModelFileError),
        (with_metadata(" " + said()), ModelFileError),
    ],
)
def test_a_file_without_one_intact_description_is_refused(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        OpaqueModel(data)


@pytest.mark.parametrize("limit_ms", [0, 600_001])
def test_a_limit_out_of_bounds_is_refused(limit_ms: int) -> None:
    with pytest.raises(ModelInputError):
        OpaqueModel(described(logistic()), limit_ms=limit_ms)


def test_a_name_that_is_not_utf8_is_refused() -> None:
    data = described(softmax(), columns=(), labels=("x", "y", "z"))
    at = data.index(b"made")  # the graph's name
    with pytest.raises(ModelFileError, match="must be UTF-8"):
        OpaqueModel(data[:at] + b"\xff" + data[at + 1 :])


def test_a_file_that_cannot_be_loaded_is_an_error_and_prints_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    nodes = [helper.make_node("NoSuchOperator", ["x"], ["p"])]
    data = file_of(nodes, [("x", FLOAT, [None, 1])], [("p", FLOAT, [None, 1])])
    with pytest.raises(ModelFileError, match="onnxruntime must be able to load"):
        OpaqueModel(described(data))
    assert capfd.readouterr() == ("", "")
