"""Every family scores alike in pure Python and numpy, survives its file, and refuses what could overflow."""

from __future__ import annotations

import json
from dataclasses import fields as dataclass_fields
from hashlib import sha256
from itertools import pairwise

import numpy as np
import pytest

from tallystick.errors import ModelFileError, ModelInputError
from tallystick.models import (
    NO_DIGEST,
    CategoryFeature,
    IntegerModel,
    LinearModel,
    NumericFeature,
    PerceptronModel,
    Quantiser,
    TreeArrays,
    TreeModel,
    input_commitment,
    pack_inputs,
    parse_model,
    unpack_inputs,
)
from tallystick.proof import keccak256

EXTREMES = np.array([-(2**15), -1, 0, 1, 2**15 - 1])


def quantiser(width: int, outside: str = "clip") -> Quantiser:
    return Quantiser(
        tuple(
            NumericFeature(f"x{n}", f"x{n}", 0, 0, 1, -(2**15), 2**15 - 1, 0, False, outside)  # type: ignore[arg-type]
            for n in range(width)
        )
    )


def fields(width: int, labels: int) -> dict[str, object]:
    return {
        "name": "made", "target": "made up", "quantiser": quantiser(width), "unit": 4096, "threshold": 0,
        "labels": tuple("abcdefgh"[:labels]),
    }  # fmt: skip


def numbers(dice: np.random.Generator, *shape: int) -> np.ndarray:
    """Random int16 with many extremes among them."""
    made = dice.integers(-(2**15), 2**15, shape)
    return np.where(dice.random(shape) < 0.3, dice.choice(EXTREMES, shape), made)


def plain(array: np.ndarray) -> tuple:
    return tuple(map(tuple, array.tolist()))


def linear(dice: np.random.Generator, width: int, labels: int = 2) -> LinearModel:
    heads = 1 if labels == 2 else labels
    return LinearModel(
        **fields(width, labels), weights=plain(numbers(dice, heads, width)),
        biases=tuple(dice.integers(-(2**50), 2**50, heads).tolist()), centre=(0,) * width,
    )  # fmt: skip


def trees(
    dice: np.random.Generator, width: int, labels: int = 2, depth: int = 4, count: int = 7
) -> TreeModel:
    heads = 1 if labels == 2 else labels
    shape = (heads * count, 2**depth - 1)
    arrays = TreeArrays(
        dice.integers(0, width, shape).astype(np.uint8),
        numbers(dice, *shape).astype(np.int16),
        numbers(dice, shape[0], 2**depth).astype(np.int16),
        dice.integers(0, 99, (shape[0], 2**depth)).astype(np.uint32),
    )
    bases = tuple(dice.integers(-(2**40), 2**40, heads).tolist())
    return TreeModel.of(arrays, **fields(width, labels), depth=depth, bases=bases)


def perceptron(
    dice: np.random.Generator, width: int, labels: int = 2, hidden: int = 5, shift: int = 9
) -> PerceptronModel:
    heads = 1 if labels == 2 else labels
    return PerceptronModel(
        **fields(width, labels), hidden_weights=plain(numbers(dice, hidden, width)), shift=shift,
        hidden_biases=tuple(dice.integers(-(2**40), 2**40, hidden).tolist()),
        weights=plain(numbers(dice, heads, hidden)), biases=tuple(dice.integers(-(2**40), 2**40, heads).tolist()),
        centre=(0,) * width,
    )  # fmt: skip


def every_family() -> list[IntegerModel]:
    dice = np.random.default_rng(7)
    made: list[IntegerModel] = [
        linear(dice, 3),
        linear(dice, 20, 4),
        perceptron(dice, 4),
        perceptron(dice, 40, 3, 17),
    ]
    return made + [trees(dice, 6, labels, depth) for depth in range(1, 9) for labels in (2, 3)]


FAMILIES = every_family()


@pytest.mark.parametrize("model", FAMILIES, ids=lambda model: f"{model.family}-{model.heads}")
def test_numpy_scores_equal_pure_python_bit_for_bit(model: IntegerModel) -> None:
    inputs = numbers(np.random.default_rng(3), 60, model.quantiser.width).astype(np.int16)
    scores = model.scores_inputs_many(inputs)
    assert scores.dtype == np.int64
    assert scores.tolist() == [list(model.scores_inputs(row)) for row in inputs.tolist()]
    assert int(np.abs(scores).max()) <= model.largest_score


@pytest.mark.parametrize("model", FAMILIES, ids=lambda model: f"{model.family}-{model.heads}")
def test_a_file_of_every_family_survives_and_names_its_parameters_first(model: IntegerModel) -> None:
    again = parse_model(model.bytes)
    assert again == model
    assert again.hash == model.hash
    assert model.bytes.startswith(b'{"digest":"' + model.digest.encode() + b'",')
    assert (model.digest == NO_DIGEST) == (isinstance(model, TreeModel) and model.depth > 4)


@pytest.mark.parametrize("model", FAMILIES, ids=lambda model: f"{model.family}-{model.heads}")
def test_a_file_with_another_digest_is_refused(model: IntegerModel) -> None:
    other = model.bytes.replace(model.digest.encode(), sha256(b"other").hexdigest().encode())
    with pytest.raises(ModelFileError, match="digest"):
        parse_model(other)


def test_one_changed_parameter_changes_digest_and_hash() -> None:
    dice = np.random.default_rng(5)
    one = trees(dice, 6)
    leaves = bytearray(one.leaves)
    leaves[-1] ^= 1
    other = TreeModel(**{**vars_of(one), "leaves": bytes(leaves)})
    assert one.digest != other.digest
    assert one.hash != other.hash


def vars_of(model: IntegerModel) -> dict[str, object]:
    return {name: getattr(model, name) for name in (field.name for field in dataclass_fields(model))}


def test_a_shallow_tree_packs_into_the_same_complete_tree_of_depth_four() -> None:
    dice = np.random.default_rng(11)
    for depth in (1, 2, 3):
        model = trees(dice, 6, depth=depth, count=3)
        assert model.packed is not None
        body = model.packed.body
        assert len(body) == 3 * 96
        inputs = numbers(dice, 40, 6).astype(np.int16)
        for row, (score,) in zip(inputs.tolist(), model.scores_inputs_many(inputs).tolist(), strict=True):
            assert packed_score(body, model.bases[0], row) == score


def packed_score(body: bytes, base: int, row: list[int]) -> int:
    """Score as a contract does, from the words alone."""
    for at in range(0, len(body), 96):
        thresholds = np.frombuffer(body[at : at + 32], ">i2")
        features, leaves = body[at + 32 : at + 64], np.frombuffer(body[at + 64 : at + 96], ">i2")
        node = 0
        for _ in range(4):
            node = 2 * node + 1 + (row[features[node]] > int(thresholds[node]))
        base += int(leaves[node - 15])
    return base


def test_parts_hold_255_trees_and_the_digest_names_them_all() -> None:
    model = trees(np.random.default_rng(2), 30, count=300)
    packed = model.packed
    assert packed is not None
    assert [len(part) for part in packed.parts] == [255 * 96, 45 * 96]
    head = b"".join(value.to_bytes(32, "big", signed=True) for value in packed.scalars)
    hashes = b"".join(sha256(piece).digest() for piece in (head, *packed.parts))
    assert packed.digest == sha256(hashes).hexdigest()


def test_parameters_that_could_overflow_are_refused_and_others_are_not() -> None:
    dice = np.random.default_rng(1)
    made = perceptron(dice, 30, shift=0)
    assert made.largest_score <= 2**62
    vast = {**vars_of(made), "hidden_biases": (2**53 - 1,) * 5, "weights": ((2**15 - 1,) * 5,)}
    with pytest.raises(ModelFileError, match="overflow"):
        PerceptronModel(**vast)


@pytest.mark.parametrize(
    "change",
    [
        {"depth": 9}, {"depth": 0}, {"features": b""}, {"features": b"\xff" * 105}, {"leaves": b"\0" * 7},
        {"counts": b"\0"}, {"bases": ()}, {"bases": (2**53,)}, {"thresholds": b"\0" * 15}, {"depth": 3},
    ],
)  # fmt: skip
def test_trees_that_do_not_fit_together_are_refused(change: dict[str, object]) -> None:
    model = trees(np.random.default_rng(1), 6)
    TreeModel(**vars_of(model))
    with pytest.raises(ModelFileError):
        TreeModel(**{**vars_of(model), **change})


@pytest.mark.parametrize(
    "change",
    [
        {"shift": 31}, {"shift": -1}, {"hidden_biases": ()}, {"hidden_weights": ((1,),)}, {"biases": (1, 2)},
        {"weights": ((2**15,) * 5,)}, {"centre": ()}, {"hidden_biases": (2**53,) * 5},
    ],
)  # fmt: skip
def test_a_perceptron_that_does_not_fit_together_is_refused(change: dict[str, object]) -> None:
    model = perceptron(np.random.default_rng(1), 4)
    PerceptronModel(**vars_of(model))
    with pytest.raises(ModelFileError):
        PerceptronModel(**{**vars_of(model), **change})


def test_several_labels_decide_for_the_first_of_the_largest_scores() -> None:
    model = linear(np.random.default_rng(1), 3, 4)
    assert model.answer([5, 9, 9, 1]) == 1
    assert model.decision([5, 9, 9, 1]) == "b"
    with pytest.raises(ModelInputError, match="scores"):
        model.score({"x0": "1", "x1": "2", "x2": "3"})


def test_words_of_inputs_are_read_back_and_junk_in_the_padding_is_refused() -> None:
    inputs = [-(2**15), -1, 0, 1, 2**15 - 1] * 4
    words = pack_inputs(inputs)
    assert list(unpack_inputs(words, 20)) == inputs
    for wrong in ((words[0],), (words[0], words[1] | 1), (*words, 0), (words[0], 2**256)):
        with pytest.raises(ModelInputError):
            unpack_inputs(wrong, 20)
    for bad in ([], [2**15], [0] * 257):
        with pytest.raises(ModelInputError):
            pack_inputs(bad)


def test_a_commitment_is_of_salt_and_words_and_asks_for_a_whole_salt() -> None:
    words = pack_inputs([1, 2, 3])
    salt = bytes(range(32))
    assert input_commitment(salt, words) == keccak256(salt + words[0].to_bytes(32, "big"))
    assert input_commitment(salt, words) != input_commitment(bytes(32), words)
    with pytest.raises(ModelInputError):
        input_commitment(salt[:31], words)


def test_a_number_outside_is_clipped_and_flagged_or_refused_by_the_models_own_rule() -> None:
    clipping, refusing = quantiser(2), quantiser(2, "refuse")
    row: dict[str, str | None] = {"x0": "99999", "x1": "5"}
    assert clipping.inputs(row) == [2**15 - 1, 5]
    assert clipping.flags(row) == ("x0",)
    assert clipping.flags({"x0": "9", "x1": "5"}) == ()
    array = np.array([[99999.0, 5.0]])
    assert clipping.inputs_of_array(array).tolist() == [[2**15 - 1, 5]]
    for refuse in (
        refusing.inputs,
        lambda one: refusing.inputs_many([one]),
        lambda _: refusing.inputs_of_array(array),
    ):
        with pytest.raises(ModelInputError, match="range"):
            refuse(row)
    assert refusing.inputs({"x0": "9", "x1": None}) == [9, 0]


def test_an_unknown_code_counts_as_missing_or_is_refused_by_the_models_own_rule() -> None:
    lenient, strict = (
        Quantiser((CategoryFeature("sex", "sex", ("f", "m"), True, outside),))
        for outside in ("clip", "refuse")
    )
    assert lenient.inputs({"sex": "x"}) == [0, 0, 4096]
    assert lenient.flags({"sex": "x"}) == ("sex",)
    for ask in (strict.inputs, lambda row: strict.inputs_many([row])):
        with pytest.raises(ModelInputError, match="codes"):
            ask({"sex": "x"})
    assert strict.inputs({"sex": "m"}) == [0, 4096, 0]
    assert strict.inputs({"sex": None}) == [0, 0, 4096]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_arrays_with_nan_or_infinity_are_refused(bad: float) -> None:
    two = quantiser(2)
    assert two.inputs_of_array(np.array([[1.5, -3.0]])).tolist() == [[2, -3]]
    with pytest.raises(ModelInputError, match="finite"):
        two.inputs_of_array(np.array([[1.0, bad]]))


@pytest.mark.parametrize(
    "array", [np.zeros((2, 3)), np.zeros(2), np.zeros((1, 2), dtype=np.float32), np.zeros((1, 2), dtype=int)]
)
def test_arrays_of_another_shape_or_type_are_refused(array: np.ndarray) -> None:
    with pytest.raises(ModelInputError, match="shape"):
        quantiser(2).inputs_of_array(array)


def test_keys_of_a_model_file_are_sorted_with_the_digest_first() -> None:
    keys = list(json.loads(FAMILIES[0].bytes))
    assert keys[0] == "digest"
    assert all(a < b for a, b in pairwise(keys))
