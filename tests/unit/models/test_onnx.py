"""ONNX gives the integer model's own scores, and no graph passes for another model's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.made_models import EXTREMES, QUANTISER, make_model

from tallystick.errors import MissingExtraError, ModelFileError, ModelInputError, UnknownFormatError
from tallystick.models import (
    IntegerModel,
    LinearModel,
    NumericFeature,
    OnnxBackend,
    PerceptronModel,
    Quantiser,
    TreeModel,
    from_onnx,
    to_onnx,
)

FAMILIES = ("linear", "trees", "perceptron")
BATCH = 10_000
LOW, HIGH = -(2**15), 2**15 - 1


def random_inputs(seed: int, rows: int, width: int) -> np.ndarray:
    dice = np.random.default_rng(seed)
    inputs = dice.integers(LOW, HIGH + 1, (rows, width)).astype(np.int16)
    extreme = dice.random((rows, width)) < 0.25
    inputs[extreme] = dice.choice(np.array(EXTREMES, np.int16), int(extreme.sum()))
    inputs[0], inputs[1] = LOW, HIGH
    return inputs


def assert_equal_everywhere(model: IntegerModel, inputs: np.ndarray) -> None:
    scores = model.scores_inputs_many(inputs)
    served = OnnxBackend(model).scores_inputs_many(inputs)
    assert served.dtype == np.int64
    assert np.array_equal(scores, served)
    for row in (*range(8), *range(8, len(inputs), 97)):
        assert tuple(served[row].tolist()) == model.scores_inputs(inputs[row].tolist())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_third_of_a_million_random_inputs_score_alike_in_numpy_onnx_and_python(family: str) -> None:
    # 34 models of each family: 1,020,000 inputs in all.
    for seed in range(34):
        labels, depth = (2, 2, 3, 5)[seed % 4], 1 + seed % 8
        model = make_model(family, seed, labels=labels, depth=depth, trees=2 + seed % 6)
        assert_equal_everywhere(model, random_inputs(seed, BATCH, model.quantiser.width))


def test_hidden_values_beyond_32_bits_are_exact() -> None:
    width = 64
    quantiser = Quantiser(
        tuple(NumericFeature(f"x{i}", "x", 0, 0, 1, LOW, HIGH, 0, False) for i in range(width))
    )
    model = PerceptronModel(
        "made", "made", quantiser, ("no", "yes"), 1, 0, hidden_weights=((LOW,) * width, (HIGH,) * width),
        hidden_biases=(2**53 - 1, -(2**53) + 1), shift=0, weights=((7, -3),), biases=(5,), centre=(0,) * width,
    )  # fmt: skip
    assert model.largest_score > 2**53  # no float64 could hold it
    inputs = np.array([[LOW] * width, [HIGH] * width, [1] * width, [0] * width], np.int16)
    scores = OnnxBackend(model).scores_inputs_many(inputs)
    assert [tuple(row) for row in scores.tolist()] == [model.scores_inputs(row) for row in inputs.tolist()]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("labels", [2, 3])
def test_a_graph_is_valid_onnx_and_gives_the_very_model_back(family: str, labels: int) -> None:
    model = make_model(family, 5, labels=labels)
    data = to_onnx(model)
    onnx.checker.check_model(onnx.ModelProto.FromString(data), full_check=True)
    assert from_onnx(data) == model
    assert from_onnx(data).hash == model.hash
    assert to_onnx(from_onnx(data)) == data


def test_a_graph_uses_no_float() -> None:
    floats = {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16}
    for family in FAMILIES:
        proto = onnx.shape_inference.infer_shapes(
            onnx.ModelProto.FromString(to_onnx(make_model(family, 1))), strict_mode=True
        )
        kinds = {value.type.tensor_type.elem_type for value in proto.graph.value_info}
        kinds |= {constant.data_type for constant in proto.graph.initializer}
        assert kinds
        assert not kinds & floats


@pytest.mark.parametrize("rows", [0, 1, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_few_rows_and_none_have_the_right_shape(family: str, rows: int) -> None:
    model = make_model(family, 2, labels=3)
    assert OnnxBackend(model).scores_inputs_many(np.ones((rows, 6), np.int16)).shape == (rows, 3)


def test_a_batch_larger_than_a_block_is_scored_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallystick.models._onnx.BLOCK_CELLS", 100)
    assert_equal_everywhere(make_model("trees", 3), random_inputs(3, 501, QUANTISER.width))


@pytest.mark.parametrize("inputs", [np.zeros((2, 6)), np.zeros((2, 7), np.int16), np.zeros(6, np.int16)])
def test_another_dtype_or_shape_is_refused(inputs: np.ndarray) -> None:
    backend = OnnxBackend(make_model("linear", 1))
    with pytest.raises(ModelInputError, match="inputs must be int16"):
        backend.scores_inputs_many(inputs)


def changed_constant(proto: onnx.ModelProto) -> None:
    constant = proto.graph.initializer[0]
    constant.raw_data = bytes([constant.raw_data[0] ^ 1]) + constant.raw_data[1:]


def changed_operator(proto: onnx.ModelProto) -> None:
    next(node for node in proto.graph.node if node.op_type == "Add").op_type = "Sub"


def another_model(proto: onnx.ModelProto) -> None:
    entry = next(entry for entry in proto.metadata_props if entry.key == "tallystick.model")
    entry.value = make_model("linear", 99).bytes.decode()


def another_hash(proto: onnx.ModelProto) -> None:
    next(entry for entry in proto.metadata_props if entry.key == "tallystick.hash").value = "00" * 32


def added_metadata(proto: onnx.ModelProto) -> None:
    proto.metadata_props.add(key="note", value="harmless?")


def added_domain(proto: onnx.ModelProto) -> None:
    proto.opset_import.add(domain="elsewhere", version=1)


@pytest.mark.parametrize(
    "change",
    [changed_constant, changed_operator, another_model, another_hash, added_metadata, added_domain],
)
def test_a_graph_that_is_not_its_model_files_own_is_refused(change) -> None:
    proto = onnx.ModelProto.FromString(to_onnx(make_model("linear", 4)))
    change(proto)
    with pytest.raises(ModelFileError, match="the graph must be that of the model file"):
        from_onnx(proto.SerializeToString())


def test_a_field_that_onnx_does_not_know_cannot_hide_in_a_graph() -> None:
    unknown = b"\xfa\x3e\x03abc"  # field 1007, three bytes
    with pytest.raises(ModelFileError, match="the graph must be that"):
        from_onnx(to_onnx(make_model("linear", 4)) + unknown)


def test_a_foreign_onnx_file_is_refused_with_the_way_to_serve_it() -> None:
    proto = onnx.ModelProto.FromString(to_onnx(make_model("linear", 4)))
    del proto.metadata_props[:]
    with pytest.raises(ModelFileError) as caught:
        from_onnx(proto.SerializeToString())
    assert "OpaqueModel" in caught.value.hint


def test_a_graph_of_a_later_version_is_named_as_such() -> None:
    proto = onnx.ModelProto.FromString(to_onnx(make_model("linear", 4)))
    next(entry for entry in proto.metadata_props if entry.key == "tallystick.graph").value = "2"
    with pytest.raises(UnknownFormatError):
        from_onnx(proto.SerializeToString())


@pytest.mark.parametrize("data", [b"", b"no onnx", b"\xff" * 40])
def test_bytes_that_are_no_onnx_file_are_refused(data: bytes) -> None:
    with pytest.raises(ModelFileError):
        from_onnx(data)


def test_every_family_has_a_graph() -> None:
    assert {LinearModel.family, TreeModel.family, PerceptronModel.family} == set(FAMILIES)


def test_nothing_of_onnxruntimes_telemetry_is_switched_on(tmp_path: Path) -> None:
    # In a process of its own, which has never loaded onnxruntime. Its telemetry keeps a device's id and a
    # database in the cache directory; CI variables would switch it off by themselves.
    code = (
        "import numpy as np\n"
        "from tallystick.models import OnnxBackend\n"
        "from tests.made_models import make_model\n"
        "backend = OnnxBackend(make_model('linear', 1))\n"
        "print(backend.scores_inputs_many(np.zeros((1, 6), np.int16)).shape)\n"
    )
    known = ("CI", "GITHUB_", "ORT_", "TF_BUILD", "BUILD_", "JENKINS", "XDG_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(known)}
    kept |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[3], env=kept, capture_output=True, text=True
    )
    assert done.stdout.strip() == "(1, 1)", done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_without_the_extra_an_error_says_what_to_type(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError) as caught:
        OnnxBackend(make_model("linear", 1))
    assert caught.value.hint == "pip install 'tallystick[ai]'"
