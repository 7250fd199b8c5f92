"""Contracts score as the Python reference does, bit for bit, and refuse what is not a model's input."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from contract_world import World
from models_world import (
    EXTREMES,
    HIGH,
    LOW,
    Consortium,
    fields,
    found_consortium,
    inputs_near,
    linear,
    perceptron,
    trees,
)

from tallystick.chain import Call, Contract, load
from tallystick.errors import ModelInputError, RevertError
from tallystick.models import (
    Executor,
    IntegerModel,
    LinearModel,
    PerceptronModel,
    TreeModel,
    pack_inputs,
)


@pytest.fixture
def consortium(world: World) -> Consortium:
    return found_consortium(world)


def agree(executor: Executor, model: IntegerModel, inputs: tuple[int, ...]) -> None:
    expected = model.scores_inputs(inputs)
    if model.heads == 1:
        assert executor.answer(inputs) == expected[0], inputs
    else:
        assert executor.scores(inputs) == expected, inputs


# 2,000 inputs in all; `python -m benchmarks --only executors` runs 20,000.
SHAPES: list[tuple[str, int, Callable[[random.Random], IntegerModel]]] = [
    ("linear, 1 input", 100, lambda rng: linear(rng, 1)),
    ("linear, 16 inputs", 100, lambda rng: linear(rng, 16)),
    ("linear, 17 inputs, 3 heads", 150, lambda rng: linear(rng, 17, 3)),
    ("linear, 30 inputs", 250, lambda rng: linear(rng, 30)),
    ("linear, 64 inputs, 10 heads", 50, lambda rng: linear(rng, 64, 10)),
    ("linear, 256 inputs", 25, lambda rng: linear(rng, 256)),
    ("one tree of depth 1", 100, lambda rng: trees(rng, 3, 1, depth=1)),
    ("trees of depth 2", 100, lambda rng: trees(rng, 5, 3, depth=2)),
    ("trees of depth 3, 3 heads", 150, lambda rng: trees(rng, 12, 4, 3, depth=3)),
    ("26 trees", 150, lambda rng: trees(rng, 33, 26)),
    ("50 trees", 100, lambda rng: trees(rng, 30, 50)),
    ("trees, 256 inputs", 75, lambda rng: trees(rng, 256, 6)),
    ("perceptron 1-1-1", 100, lambda rng: perceptron(rng, 1, 1, shift=0)),
    ("perceptron 9-5-1", 150, lambda rng: perceptron(rng, 9, 5, shift=30)),
    ("perceptron 30-16-1", 200, lambda rng: perceptron(rng, 30, 16)),
    ("perceptron 17-18-3", 200, lambda rng: perceptron(rng, 17, 18, 3)),
]


def test_two_thousand_inputs_are_compared() -> None:
    assert sum(count for _, count, _ in SHAPES) == 2_000


@pytest.mark.parametrize(
    ("count", "make"), [shape[1:] for shape in SHAPES], ids=[shape[0] for shape in SHAPES]
)
def test_a_contract_scores_as_the_reference_does(
    consortium: Consortium, count: int, make: Callable[[random.Random], IntegerModel]
) -> None:
    rng = random.Random(20_261_122)
    models = [make(rng) for _ in range(min(5, count // 25))]
    executors = [consortium.deploy(model) for model in models]
    for number in range(count):
        model, executor = models[number % len(models)], executors[number % len(models)]
        agree(executor, model, inputs_near(rng, model))


def extreme(model: IntegerModel) -> list[tuple[int, ...]]:
    width = model.quantiser.width
    mixed = tuple((LOW, HIGH)[place % 2] for place in range(width))
    return [*((value,) * width for value in EXTREMES), mixed, mixed[::-1]]


@pytest.mark.parametrize("weight", [LOW, HIGH])
@pytest.mark.parametrize("bias", [-(2**53) + 1, 2**53 - 1])
def test_no_linear_sum_overflows_at_the_ends_of_its_parameters(
    consortium: Consortium, weight: int, bias: int
) -> None:
    model = LinearModel(**fields(256, 1), weights=((weight,) * 256,), biases=(bias,), centre=(0,) * 256)
    executor = consortium.deploy(model)
    for inputs in extreme(model):
        agree(executor, model, inputs)


@pytest.mark.parametrize("weight", [LOW, HIGH])
@pytest.mark.parametrize("bias", [-(2**53) + 1, 2**53 - 1])
def test_no_perceptrons_sum_overflows_at_the_ends_of_its_parameters(
    consortium: Consortium, weight: int, bias: int
) -> None:
    # Of 64 hidden units at 2^53 and an int16 weight the score stays just below the bound of 2^62 by the shift.
    model = PerceptronModel(
        **fields(100, 1),
        hidden_weights=((weight,) * 100,) * 64,
        hidden_biases=(bias,) * 64,
        shift=13,
        weights=((weight,) * 64,),
        biases=(-bias,),
        centre=(0,) * 100,
    )
    executor = consortium.deploy(model)
    for inputs in extreme(model):
        agree(executor, model, inputs)


def one_tree(threshold: int) -> TreeModel:
    return TreeModel(
        **fields(2, 1),
        depth=1,
        bases=(0,),
        features=bytes([1]),
        thresholds=threshold.to_bytes(2, "big", signed=True),
        leaves=(-3).to_bytes(2, "big", signed=True) + (5).to_bytes(2, "big", signed=True),
        counts=bytes(8),
    )


@pytest.mark.parametrize("threshold", EXTREMES)
def test_an_input_goes_right_only_when_it_is_greater_than_the_threshold(
    consortium: Consortium, threshold: int
) -> None:
    executor = consortium.deploy(one_tree(threshold))
    for value in {*EXTREMES, max(threshold - 1, LOW), min(threshold + 1, HIGH)}:
        assert executor.answer((HIGH, value)) == (5 if value > threshold else -3)


def test_a_threshold_of_32767_sends_every_input_left_and_one_of_minus_32768_all_others_right(
    consortium: Consortium,
) -> None:
    never, almost = consortium.deploy(one_tree(HIGH)), consortium.deploy(one_tree(LOW))
    assert {never.answer((0, value)) for value in EXTREMES} == {-3}
    assert [almost.answer((0, value)) for value in EXTREMES] == [-3, 5, 5, 5, 5, 5, 5]


@pytest.mark.parametrize("node", range(15))
def test_an_input_equal_to_a_threshold_goes_left_though_only_zeros_stand_behind_it(
    consortium: Consortium, node: int
) -> None:
    thresholds = [0] * 15
    thresholds[node] = 9
    model = TreeModel(
        **fields(2, 1),
        depth=4,
        bases=(0,),
        features=bytes(place == node for place in range(15)),
        thresholds=b"".join(value.to_bytes(2, "big") for value in thresholds),
        leaves=b"".join(value.to_bytes(2, "big") for value in range(16)),
        counts=bytes(64),
    )
    executor = consortium.deploy(model)
    for inputs in [(way, value) for way in (-1, 0, 1) for value in (8, 9, 10)]:
        agree(executor, model, inputs)


@pytest.mark.parametrize("count", [24, 25, 26, 30, 49, 255, 256, 281])
def test_trees_are_read_whole_wherever_bites_and_parts_end(consortium: Consortium, count: int) -> None:
    rng = random.Random(count)
    model = trees(rng, 4, count)
    executor = consortium.deploy(model)
    for _ in range(2):
        agree(executor, model, inputs_near(rng, model))


def test_the_trees_of_one_head_may_stand_in_two_parts(consortium: Consortium) -> None:
    rng = random.Random(3)
    model = trees(rng, 9, 100, 3)
    executor = consortium.deploy(model)
    for _ in range(3):
        agree(executor, model, inputs_near(rng, model))


def test_five_hundred_trees_answer_from_two_parts(consortium: Consortium) -> None:
    rng = random.Random(500)
    model = trees(rng, 30, 500)
    assert model.packed is not None
    assert len(model.packed.parts) == 2
    executor = consortium.deploy(model)
    for _ in range(3):
        agree(executor, model, inputs_near(rng, model))


@pytest.mark.parametrize(
    ("width", "hidden", "heads"), [(64, 200, 1), (33, 256, 16), (256, 45, 1), (16, 256, 3)]
)
def test_a_perceptron_may_be_cut_anywhere_into_parts(
    consortium: Consortium, width: int, hidden: int, heads: int
) -> None:
    rng = random.Random(width)
    model = perceptron(rng, width, hidden, heads, name="wide")
    executor = consortium.deploy(model)
    agree(executor, model, inputs_near(rng, model))


def test_with_several_heads_the_answer_is_the_first_of_the_largest_scores(consortium: Consortium) -> None:
    weights = ((1, 0), (0, 1), (0, 1), (-1, 0))
    model = LinearModel(**fields(2, 4), weights=weights, biases=(0, 0, 0, 0), centre=(0, 0))
    executor = consortium.deploy(model)
    for inputs, best in [((0, 0), 0), ((1, 2), 1), ((2, 2), 0), ((-9, 3), 3), ((-3, 3), 1), ((HIGH, LOW), 0)]:
        assert executor.answer(inputs) == best == model.answer(model.scores_inputs(inputs))


def test_an_executor_says_what_it_reads_and_gives(consortium: Consortium) -> None:
    rng = random.Random(1)
    for model in (linear(rng, 17, 3), trees(rng, 40, 2), perceptron(rng, 3, 2, 4)):
        executor = consortium.deploy(model)
        assert (executor.width(), executor.heads()) == (model.quantiser.width, model.heads)


# -- what is not an input -------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["linear", "trees", "perceptron"])
def test_an_input_of_another_length_is_refused(consortium: Consortium, family: str) -> None:
    rng = random.Random(2)
    model = {"linear": linear(rng, 17), "trees": trees(rng, 17, 2), "perceptron": perceptron(rng, 17, 2)}[
        family
    ]
    executor = consortium.deploy(model)
    agree(executor, model, (1,) * 17)
    for width in (1, 16, 33, 256):
        for ask in (executor.answer, executor.scores):
            with pytest.raises(RevertError, match=f"{family}: wrong number of words"):
                ask((0,) * width)
    with pytest.raises(ModelInputError):
        executor.answer(())
    with pytest.raises(ModelInputError):
        executor.answer((HIGH + 1,) * 17)


@pytest.mark.parametrize("family", ["linear", "trees", "perceptron"])
def test_bits_in_the_padding_are_refused(world: World, consortium: Consortium, family: str) -> None:
    rng = random.Random(2)
    model = {"linear": linear(rng, 17), "trees": trees(rng, 17, 2), "perceptron": perceptron(rng, 17, 2)}[
        family
    ]
    contract = Contract(
        world.web3, consortium.deploy(model).address, load("tallystick.models", "LinearModel")
    )
    words = pack_inputs((LOW,) * 17)
    assert contract.read("answer", words) == model.scores_inputs((LOW,) * 17)[0]
    for bit in (0, 1, 128, 239):
        with pytest.raises(RevertError, match=f"{family}: padding must be zero"):
            contract.read("answer", (words[0], words[1] | 1 << bit))
    # The next bit is the last of the 17th input: another input, not padding.
    assert contract.read("answer", (words[0], words[1] | 1 << 240)) is not None


def test_a_full_last_word_has_no_padding(consortium: Consortium) -> None:
    rng = random.Random(2)
    for model in (linear(rng, 32), trees(rng, 32, 2), perceptron(rng, 32, 2)):
        agree(consortium.deploy(model), model, (-1,) * 32)


# -- what is not a model --------------------------------------------------------------------------------


def creation(name: str, scalars: tuple[int, ...], words: tuple[int, ...], parts: list[str]) -> Call:
    return Contract.deploy_call(load("tallystick.models", name), scalars, words, parts)


def part(world: World, size: int) -> str:
    """Deploy code of 0x00 and so many bytes."""
    code = bytes(1 + size)
    prefix = b"\x61" + len(code).to_bytes(2, "big") + bytes.fromhex("80600a3d393df3")
    return world.send("A", Call(to=None, data=prefix + code)).contract


@pytest.mark.parametrize(
    ("scalars", "words", "reason"),
    [
        ((1, 17, 1, 0), (1, 2), ""),
        ((1, 17, 1, -(2**62)), (1, 2), ""),
        ((1, 17, 1, 2**62 + 1), (1, 2), "linear: bias too large"),
        ((1, 17, 1, -(2**62) - 1), (1, 2), "linear: bias too large"),
        ((1, 17, 1), (1, 2), "linear: scalars are missing"),
        ((2, 17, 1, 0), (1, 2), "linear: not a linear model"),
        ((1, 0, 1, 0), (1, 2), "linear: width"),
        ((1, 257, 1, 0), (1, 2), "linear: width"),
        ((1, -1, 1, 0), (1, 2), "linear: width"),
        ((1, 17, 2, 0), (1, 2), "linear: one bias for each head"),
        ((1, 17, 1, 0), (1,), "linear: wrong length of weights"),
        ((1, 17, 1, 0), (1, 2, 3), "linear: wrong length of weights"),
        ((1, 17, 1, 0), (), "linear: one part"),
    ],
)
def test_a_linear_executor_is_made_only_of_fitting_parameters(
    world: World, scalars: tuple[int, ...], words: tuple[int, ...], reason: str
) -> None:
    assert world.refusal("A", creation("LinearModel", scalars, words, [])) == reason
    if not reason:
        both = creation("LinearModel", scalars, words, [part(world, 64)])
        assert world.refusal("A", both) == "linear: wrong length of weights"


@pytest.mark.parametrize(
    ("scalars", "sizes", "reason"),
    [
        ((2, 17, 1, 4, 2, 0), [192], ""),
        ((2, 17, 2, 4, 130, 0, 0), [24_480, 480], ""),
        ((2, 17, 1, 4, 2, 2**62 + 1), [192], "trees: base too large"),
        ((2, 17, 1, 4, 2), [192], "trees: scalars are missing"),
        ((3, 17, 1, 4, 2, 0), [192], "trees: not trees"),
        ((2, 257, 1, 4, 2, 0), [192], "trees: width"),
        ((2, 17, 2, 4, 2, 0), [192], "trees: one base for each head"),
        ((2, 17, 1, 3, 2, 0), [192], "trees: depth must be 4"),
        ((2, 17, 1, 5, 2, 0), [192], "trees: depth must be 4"),
        ((2, 17, 1, 4, 0, 0), [], "trees: number of trees"),
        ((2, 17, 1, 4, 2_041, 0), [192], "trees: number of trees"),
        ((2, 17, 1, 4, 2, 0), [], "trees: a part is missing"),
        ((2, 17, 1, 4, 2, 0), [96], "trees: wrong length of a part"),
        ((2, 17, 1, 4, 2, 0), [193], "trees: wrong length of a part"),
        ((2, 17, 1, 4, 2, 0), [192, 96], "trees: wrong length of a part"),
        ((2, 17, 1, 4, 2, 0), [96, 96], "trees: wrong length of a part"),
        ((2, 17, 2, 4, 130, 0, 0), [480, 24_480], "trees: wrong length of a part"),
    ],
)
def test_a_tree_executor_is_made_only_of_fitting_parameters(
    world: World, scalars: tuple[int, ...], sizes: list[int], reason: str
) -> None:
    parts = [part(world, size) for size in sizes]
    assert world.refusal("A", creation("TreeModel", scalars, (), parts)) == reason
    if not reason:
        assert world.refusal("A", creation("TreeModel", scalars, (1,), parts)) == "trees: no words"


@pytest.mark.parametrize(
    ("scalars", "sizes", "reason"),
    [
        ((3, 17, 1, 2, 30, 0), [224], ""),
        ((3, 17, 1, 2, 31, 0), [224], "perceptron: shift"),
        ((3, 17, 1, 2, -1, 0), [224], "perceptron: shift"),
        ((3, 17, 1, 2, 0, 2**62 + 1), [224], "perceptron: bias too large"),
        ((3, 17, 1, 2, 0), [224], "perceptron: scalars are missing"),
        ((1, 17, 1, 2, 0, 0), [224], "perceptron: not a perceptron"),
        ((3, 0, 1, 2, 0, 0), [224], "perceptron: width"),
        ((3, 17, 2, 2, 0, 0), [224], "perceptron: one bias for each head"),
        ((3, 17, 1, 0, 0, 0), [224], "perceptron: hidden units"),
        ((3, 17, 1, 257, 0, 0), [224], "perceptron: hidden units"),
        ((3, 17, 1, 2, 0, 0), [192], "perceptron: wrong length of a part"),
        ((3, 17, 1, 2, 0, 0), [256], "perceptron: wrong length of a part"),
        ((3, 17, 1, 2, 0, 0), [], "perceptron: a part is missing"),
    ],
)
def test_a_perceptrons_executor_is_made_only_of_fitting_parameters(
    world: World, scalars: tuple[int, ...], sizes: list[int], reason: str
) -> None:
    parts = [part(world, size) for size in sizes]
    assert world.refusal("A", creation("PerceptronModel", scalars, (), parts)) == reason
    if not reason:
        assert world.refusal("A", creation("PerceptronModel", scalars, (1,), parts)) == "perceptron: no words"


@pytest.mark.parametrize(("bias", "reason"), [(2**62, ""), (2**62 + 1, "perceptron: bias too large")])
def test_a_hidden_bias_that_could_overflow_is_never_added(world: World, bias: int, reason: str) -> None:
    # No model file holds one; a body of other bytes does not get past this.
    body = bytes(32) + bias.to_bytes(32, "big") + bytes(32)
    code = b"\x00" + body
    prefix = b"\x61" + len(code).to_bytes(2, "big") + bytes.fromhex("80600a3d393df3")
    place = world.send("A", Call(to=None, data=prefix + code)).contract
    address = world.send("A", creation("PerceptronModel", (3, 1, 1, 1, 0, 7), (), [place])).contract
    if reason:
        with pytest.raises(RevertError, match=reason):
            Executor(world.web3, address).answer((5,))
    else:
        assert Executor(world.web3, address).answer((5,)) == 7
