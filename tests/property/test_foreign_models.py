"""Descriptions of foreign models, and the ways to run integer ones, for whatever hypothesis thinks of."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.made_models import EXTREMES, QUANTISER, make_model

from tallystick.errors import ModelFileError, ModelInputError, UnknownFormatError
from tallystick.models import (
    ExternalDescription,
    JsonField,
    OnnxBackend,
    OpaqueDescription,
    OpaqueModel,
    TreeArrays,
    TreeModel,
    describe_onnx,
    from_onnx,
    parse_external,
    to_onnx,
)

INT16 = st.one_of(st.sampled_from(EXTREMES), st.integers(-(2**15), 2**15 - 1))
WIDTH = QUANTISER.width
ROWS = st.lists(st.lists(INT16, min_size=WIDTH, max_size=WIDTH), min_size=1, max_size=9)
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), min_size=1, max_size=20)
DECIMAL = st.decimals(-1000, 1000, places=3).map(str)
PATH = st.text("abcdefghij_-.0123456789", min_size=1, max_size=12)


@st.composite
def tree_models(draw: st.DrawFn) -> TreeModel:
    depth, trees = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    inner, leaves = 2**depth - 1, 2**depth

    def array(strategy: st.SearchStrategy[int], columns: int, kind: type) -> Any:
        cells = draw(st.lists(strategy, min_size=trees * columns, max_size=trees * columns))
        return np.array(cells, dtype=kind).reshape(trees, columns)

    return TreeModel.of(
        TreeArrays(
            array(st.integers(0, WIDTH - 1), inner, np.uint8), array(INT16, inner, np.int16),
            array(INT16, leaves, np.int16), array(st.integers(0, 2**32 - 1), leaves, np.uint32),
        ),
        name="drawn", target="drawn", quantiser=QUANTISER, labels=("no", "yes"), unit=1, threshold=0, depth=depth,
        bases=(draw(st.integers(-(2**53) + 1, 2**53 - 1)),),
    )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(model=tree_models(), rows=ROWS)
def test_drawn_trees_score_alike_in_python_numpy_and_onnx(model: TreeModel, rows: list[list[int]]) -> None:
    inputs = np.array(rows, dtype=np.int16)
    expected = [list(model.scores_inputs(row)) for row in rows]
    assert model.scores_inputs_many(inputs).tolist() == expected
    assert OnnxBackend(model).scores_inputs_many(inputs).tolist() == expected


@settings(max_examples=30, deadline=None)
@given(
    family=st.sampled_from(("linear", "perceptron", "trees")), seed=st.integers(0, 10**6),
    labels=st.integers(2, 6), rows=ROWS,
)  # fmt: skip
def test_every_family_scores_alike_in_python_numpy_and_onnx(
    family: str, seed: int, labels: int, rows: list[list[int]]
) -> None:
    model = make_model(family, seed, labels=labels)
    inputs = np.array(rows, dtype=np.int16)
    expected = [list(model.scores_inputs(row)) for row in rows]
    assert model.scores_inputs_many(inputs).tolist() == expected
    assert OnnxBackend.read(to_onnx(model)).scores_inputs_many(inputs).tolist() == expected


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 5), place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_an_onnx_file_with_a_changed_bit_never_gives_another_model(seed: int, place: int, bit: int) -> None:
    model = make_model(("linear", "perceptron", "trees")[seed % 3], seed, depth=1)
    data = bytearray(to_onnx(model))
    data[place % len(data)] ^= 1 << bit
    # A bit may be one that protocol buffers do not mind; then what is read is the very model all the same.
    with contextlib.suppress(ModelFileError, UnknownFormatError):
        assert from_onnx(bytes(data)) == model


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_foreign_file_with_a_changed_bit_is_refused_or_served_never_a_crash(place: int, bit: int) -> None:
    description = OpaqueDescription("made", "made", ("no", "yes"), "scores", probabilities=False)
    data = bytearray(describe_onnx(to_onnx(make_model("trees", 1, depth=1)), description))
    data[place % len(data)] ^= 1 << bit
    with contextlib.suppress(ModelFileError, UnknownFormatError):
        model = OpaqueModel(bytes(data))
        with contextlib.suppress(ModelInputError):
            model.score_many({"inputs": np.ones((2, WIDTH), np.int16)})


@st.composite
def fields(draw: st.DrawFn) -> JsonField:
    kind = draw(st.sampled_from(("number", "integer", "text", "flag")))
    bounds = sorted(draw(st.lists(st.decimals(-1000, 1000, places=2), min_size=2, max_size=2)))
    low, high = map(str, bounds) if kind in ("number", "integer") and draw(st.booleans()) else ("", "")
    return JsonField(draw(PATH), kind, low, high, draw(st.booleans()))


@st.composite
def descriptions(draw: st.DrawFn) -> ExternalDescription:
    def several() -> list[JsonField]:
        return draw(st.lists(fields(), min_size=1, max_size=4, unique_by=lambda field: field.name))

    score = JsonField("the score", "number")
    return ExternalDescription(
        draw(TEXT), draw(TEXT), tuple(draw(st.lists(TEXT, min_size=2, max_size=2, unique=True))),
        draw(st.sampled_from(("https://a.example/b?c=d", "http://127.0.0.1:8000"))), tuple(several()),
        (*several(), score), score.name, "", draw(DECIMAL), draw(st.booleans()), draw(st.integers(1, 60_000)),
        draw(st.integers(1, 10)), draw(st.booleans()),
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(description=descriptions())
def test_a_description_survives_its_bytes(description: ExternalDescription) -> None:
    assert parse_external(description.bytes) == description


@settings(max_examples=200, deadline=None)
@given(description=descriptions(), place=st.integers(0, 10**6), byte=st.binary(min_size=0, max_size=2))
def test_parsing_accepts_exactly_what_formatting_makes(
    description: ExternalDescription, place: int, byte: bytes
) -> None:
    data = description.bytes
    at = place % len(data)
    changed = data[:at] + byte + data[at + 1 :]
    try:
        parsed = parse_external(changed)
    except (ModelFileError, UnknownFormatError):
        return
    assert parsed.bytes == changed


@settings(max_examples=40, deadline=None)
@given(
    labels=st.lists(TEXT, min_size=2, max_size=300, unique=True),
    columns=st.lists(TEXT, max_size=300, unique=True),
    name=TEXT,
)
def test_a_description_of_any_length_stands_in_the_onnx_file_as_it_was_written(
    labels: list[str], columns: list[str], name: str
) -> None:
    description = OpaqueDescription(name, "target", tuple(labels), "p", tuple(columns))
    proto = onnx.ModelProto.FromString(
        describe_onnx(onnx.ModelProto(ir_version=7).SerializeToString(), description)
    )
    assert [entry.value.encode() for entry in proto.metadata_props] == [description.format()]
