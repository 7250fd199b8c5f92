"""Integer models score alike wherever they run, and their files are strict."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.errors import EvidenceError, ModelFileError, ModelInputError, UnknownFormatError
from tallystick.models import (
    ONE,
    YES_OR_NO,
    CategoryFeature,
    Feature,
    LinearModel,
    NumericFeature,
    Quantiser,
    fidelity_of_parameters,
    format_model,
    format_parameters,
    parse_decimal,
    parse_model,
    parse_parameters,
    units,
    weights_of,
)

INT16 = st.integers(-(2**15), 2**15 - 1)


def numeric(**changes: object) -> NumericFeature:
    fields: dict[str, object] = {
        "name": "age", "title": "age (years)", "decimals": 6, "offset": 50_000_000, "step": 2_000,
        "low": -16384, "high": 16384, "missing": 0, "gaps": True,
    }  # fmt: skip
    return NumericFeature(**{**fields, **changes})  # type: ignore[arg-type]


def category(**changes: object) -> CategoryFeature:
    fields: dict[str, object] = {"name": "sex", "title": "sex", "codes": ("female", "male"), "gaps": True}
    return CategoryFeature(**{**fields, **changes})  # type: ignore[arg-type]


def model(**changes: object) -> LinearModel:
    fields: dict[str, object] = {
        "name": "heart", "target": "heart disease", "quantiser": Quantiser((numeric(), category())),
        "labels": YES_OR_NO, "unit": ONE << 10, "threshold": 0,
        "weights": ((900, -50, 300, -300, 7),), "biases": (-123_456,), "centre": (0, 41, 1000, 3055, 41),
    }  # fmt: skip
    return LinearModel(**{**fields, **changes})  # type: ignore[arg-type]


@st.composite
def models(draw: st.DrawFn) -> LinearModel:
    features: list[Feature] = []
    for index in range(draw(st.integers(1, 4))):
        if draw(st.booleans()):
            low, high = sorted((draw(INT16), draw(INT16)))
            features.append(
                numeric(
                    name=f"n{index}",
                    decimals=draw(st.integers(0, 12)),
                    offset=draw(st.integers(-(2**50), 2**50)),
                    step=draw(st.integers(1, 2**40)),
                    low=low,
                    high=high,
                    missing=draw(st.integers(low, high)),
                    gaps=draw(st.booleans()),
                )
            )
        else:
            codes = draw(st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=4, unique=True))
            features.append(category(name=f"c{index}", codes=tuple(codes), gaps=draw(st.booleans())))
    width = sum(feature.width for feature in features)
    numbers = st.lists(INT16, min_size=width, max_size=width).map(tuple)
    return model(
        quantiser=Quantiser(tuple(features)), weights=(draw(numbers),), centre=draw(numbers),
        biases=(draw(st.integers(-(2**52), 2**52)),), unit=draw(st.integers(1, 2**40)), threshold=draw(st.integers(-(2**52), 2**52)),
    )  # fmt: skip


NUMBERS = st.one_of(
    st.none(),
    st.decimals(min_value=-1000, max_value=1000, allow_nan=False, places=6).map(str),
    st.integers(-900, 900).map(str),
    st.sampled_from(["0", "-0", "1e-9", "2.5e2", "0e999999999", "+3", "0.0000005"]),
)


@st.composite
def scored(draw: st.DrawFn) -> tuple[LinearModel, list[dict[str, str | None]]]:
    made = draw(models())
    row = st.fixed_dictionaries(
        {
            feature.name: NUMBERS
            if isinstance(feature, NumericFeature)
            else st.one_of(st.none(), st.sampled_from(feature.codes), st.just("never seen"))
            for feature in made.quantiser.features
        }
    )
    return made, draw(st.lists(row, min_size=1, max_size=5))


@given(scored())
@settings(deadline=None)
def test_numpy_and_pure_python_give_the_same_score_bit_for_bit(case: tuple[LinearModel, list]) -> None:
    made, rows = case
    try:
        expected = [made.score(row) for row in rows]
    except ModelInputError:
        with pytest.raises(ModelInputError):
            made.score_many(rows)
        return
    assert made.score_many(rows).tolist() == expected
    assert made.scores_inputs_many(made.quantiser.inputs_many(rows))[:, 0].tolist() == expected


@given(scored())
@settings(deadline=None)
def test_contributions_add_up_to_the_score_exactly(case: tuple[LinearModel, list]) -> None:
    made, rows = case
    for row in rows:
        try:
            parts = made.contributions(row)
        except ModelInputError:
            continue
        assert sum(parts.values()) + made.base_score() == made.score(row)


def test_extreme_inputs_neither_overflow_nor_differ() -> None:
    width = 400
    features = tuple(numeric(name=f"n{i}", gaps=False) for i in range(width))
    made = model(
        quantiser=Quantiser(features), weights=((-(2**15),) * width,), centre=(0,) * width, biases=(-(2**53) + 1,)
    )  # fmt: skip
    for value in (-(2**15), 2**15 - 1):
        inputs = np.full((1, width), value, dtype=np.int16)
        assert made.scores_inputs_many(inputs).tolist() == [list(made.scores_inputs([value] * width))]


@given(models())
@settings(deadline=None)
def test_a_model_file_survives_being_written_and_read(made: LinearModel) -> None:
    again = parse_model(format_model(made))
    assert again == made
    assert again.hash == made.hash
    assert len(made.hash) == 64


def test_every_flipped_byte_is_refused_or_makes_another_model() -> None:
    made = model()
    for place in range(len(made.bytes)):
        damaged = bytearray(made.bytes)
        damaged[place] ^= 1 + random.Random(place).randrange(255)
        try:
            found = parse_model(bytes(damaged))
        except EvidenceError:
            continue
        assert found.bytes == bytes(damaged)
        assert found.hash != made.hash


def fields(**changes: object) -> bytes:
    value = {**json.loads(model().bytes), **changes}
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def parameters(**changes: object) -> dict[str, object]:
    return {**json.loads(model().bytes)["parameters"], **changes}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        model().bytes + b"\n",
        model().bytes[:-1],
        fields(type="other"),
        fields(extra=1),
        fields(one=1),
        fields(digest="0" * 64),
        fields(digest=1),
        fields(labels=["no"]),
        fields(labels=["no", "no"]),
        fields(labels=["no", 1]),
        fields(labels=["a", "b", "c"]),
        fields(threshold=2**53),
        fields(unit=0),
        fields(unit=2**41),
        fields(parameters=[]),
        fields(parameters=parameters(biases=[True])),
        fields(parameters=parameters(biases=["1"])),
        fields(parameters=parameters(biases=[1, 2])),
        fields(parameters=parameters(weights=[1, 2, 3, 4, 5])),
        fields(parameters=parameters(weights=[[1, 2, 3]])),
        fields(parameters=parameters(weights=[[1, 2, 3, 4, 2**15]])),
        fields(parameters=parameters(weights=[[1, 2, 3, 4, True]])),
        fields(parameters=parameters(extra=[])),
        fields(features=[]),
        fields(features=[{"kind": "secret"}]),
        fields(features=[numeric().fields()] * 2),
        fields(features=[{**numeric().fields(), "step": 0}, category().fields()]),
        fields(features=[{**numeric().fields(), "outside": "guess"}, category().fields()]),
        fields(features=[{**numeric().fields(), "gaps": 1}, category().fields()]),
        fields(features=[numeric().fields(), {**category().fields(), "codes": ["a", "a"]}]),
        fields(features=[numeric().fields(), {**category().fields(), "codes": ["a", 1]}]),
        fields(name=""),
    ],
)
def test_a_damaged_model_file_is_refused(data: bytes) -> None:
    with pytest.raises(ModelFileError):
        parse_model(data)


@pytest.mark.parametrize("data", [fields(v=2), fields(v=0), fields(v=True), fields(family="forest")])
def test_a_later_model_file_asks_for_an_upgrade(data: bytes) -> None:
    with pytest.raises(UnknownFormatError) as caught:
        parse_model(data)
    assert "pip install -U" in caught.value.hint


def test_weights_that_could_overflow_are_refused() -> None:
    with pytest.raises(ModelFileError):
        model(biases=(2**62,))


@pytest.mark.parametrize(
    "row",
    [
        {"age": "50"},
        {"age": "50", "sex": "male", "site": "x"},
        {"age": "NaN", "sex": "male"},
        {"age": "inf", "sex": "male"},
        {"age": "fifty", "sex": "male"},
        {"age": "", "sex": "male"},
        {"age": "1e16", "sex": "male"},
        {"age": "1e15", "sex": "male"},
        {"age": "5_0", "sex": "male"},
        {"age": "٣", "sex": "male"},
    ],
)
def test_a_row_that_cannot_be_scored_is_refused_by_both_ways(row: dict[str, str | None]) -> None:
    with pytest.raises(ModelInputError):
        model().score(row)
    with pytest.raises(ModelInputError):
        model().score_many([row])


def test_a_gap_and_an_unknown_code_are_scored_as_missing() -> None:
    made = model()
    assert made.quantiser.inputs({"age": None, "sex": None}) == [0, ONE, 0, 0, ONE]
    assert made.quantiser.inputs({"age": "50", "sex": "other"}) == [0, 0, 0, 0, ONE]
    assert made.quantiser.inputs({"age": "1000", "sex": "male"}) == [16384, 0, 0, ONE, 0]


def test_inputs_of_another_type_or_shape_are_refused() -> None:
    made = model()
    with pytest.raises(ModelInputError):
        made.scores_inputs_many(np.zeros((1, 5), dtype=np.int32))
    with pytest.raises(ModelInputError):
        made.scores_inputs_many(np.zeros((1, 4), dtype=np.int16))
    with pytest.raises(ModelInputError):
        made.scores_inputs([0] * 4)
    with pytest.raises(ModelInputError):
        made.scores_inputs([2**15, 0, 0, 0, 0])


def test_reasons_name_the_largest_parts_in_plain_words() -> None:
    first, second = model().reasons({"age": "70", "sex": None}, k=2)
    assert (first.feature, first.text) == ("age", "age (years): 70, raises the score")
    assert second.text == "sex: not recorded, raises the score"
    assert abs(first.contribution) >= abs(second.contribution)
    for k in (0, 5):
        with pytest.raises(ModelInputError):
            model().reasons({"age": "70", "sex": None}, k=k)


def test_probability_and_decision_follow_the_score() -> None:
    made = model()
    assert made.probability(0) == 0.5
    assert made.decide(0)
    assert not made.decide(-1)
    assert made.probability(made.unit) == pytest.approx(0.7310585786)
    assert 0 <= made.probability(-(2**60)) < made.probability(2**60) <= 1


def test_numbers_are_read_exactly_or_not_at_all() -> None:
    assert units("2.3", 6) == 2_300_000
    assert [units(text, 0) for text in ("0.5", "1.5", "-2.5")] == [0, 2, -2]
    assert units("0e999999999999999999", 6) == 0
    assert units("0.5" + "0" * 60 + "1", 0) == 1  # rounded once: more than a half is no half
    assert units("-1." + "4" + "9" * 60, 0) == -1
    assert parse_decimal("1e15") == Decimal(10) ** 15
    with pytest.raises(ModelInputError):
        units("9007199254740992", 0)
    with pytest.raises(ModelInputError):
        parse_decimal("1" * 65)


@given(st.lists(st.integers(-(2**35), 2**35), min_size=1, max_size=20))
def test_parameters_survive_being_written_and_read_and_become_near_weights(values: list[int]) -> None:
    data = format_parameters(values)
    assert list(parse_parameters(data)) == values
    made = weights_of(data)
    for value, weight in zip(values[:-1], made.weights, strict=True):
        assert abs(weight / 2**made.shift - value / 2**24) <= 0.5 / 2**made.shift


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: b"",
        lambda data: b"x" + data,
        lambda data: data[:25],
        lambda data: data[:-8] + b"\x7f" + data[-7:],
    ],
)
def test_damaged_parameters_are_refused(damage) -> None:
    with pytest.raises(ModelFileError):
        parse_parameters(damage(format_parameters([1, 2])))


def test_parameters_of_a_later_version_ask_for_an_upgrade() -> None:
    with pytest.raises(UnknownFormatError):
        parse_parameters(format_parameters([1]).replace(b"/v1\n", b"/v2\n"))


def test_parameters_that_diverged_become_no_model() -> None:
    with pytest.raises(ModelInputError):
        weights_of(format_parameters([2**24 * 40_000, 0]))
    with pytest.raises(ModelInputError):
        format_parameters([2**63])
    with pytest.raises(ModelInputError):
        format_parameters([])


def test_fidelity_refuses_parameters_of_another_model() -> None:
    with pytest.raises(ModelInputError):
        fidelity_of_parameters(model(), [{"age": "50", "sex": "male"}], format_parameters([0] * 6))


def test_scoring_needs_neither_numpy_nor_scikit_learn() -> None:
    code = (
        "import sys\n"
        "for name in ('numpy', 'sklearn', 'scipy', 'jinja2', 'web3'): sys.modules[name] = None\n"
        "import json\n"
        "from tallystick.models import parse_model\n"
        "import tallystick.learning\n"
        "model = parse_model(sys.stdin.buffer.read())\n"
        "print(model.score({'age': '63', 'sex': 'male'}), model.reasons({'age': '63', 'sex': 'male'}, 1)[0].text)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input=model().bytes, capture_output=True, check=True)
    score = model().score({"age": "63", "sex": "male"})
    assert done.stdout.decode().strip() == f"{score} age (years): 63, raises the score"


def test_the_bytes_of_version_1_stay_as_they_are() -> None:
    # A change here is a change of format: models that were published before would have another hash.
    assert model().hash == "33349d24501a9442c02db0dc97dd93c44268393cccd2b84bdd6c9958c9fb790f"
    assert format_parameters([1, -2]) == b"tallystick/parameters/v1\n" + bytes.fromhex(
        "00000002" + "0000000000000001" + "fffffffffffffffe"
    )
