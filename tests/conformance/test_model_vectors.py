"""Model files mean the same to a reader that was written from the documents alone."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from tests.conformance import second_scorer as second
from tests.made_models import make_model

from tallystick.errors import ModelFileError
from tallystick.models import input_commitment, pack_inputs, parse_model

MODELS = json.loads((Path(__file__).parent / "vectors" / "models.json").read_text())


@pytest.mark.parametrize("vector", MODELS, ids=lambda vector: vector["hash"][:8])
def test_both_readers_give_the_inputs_scores_and_labels_of_the_vectors(vector: dict[str, Any]) -> None:
    ours, theirs = parse_model(vector["file"].encode()), second.read(vector["file"].encode())
    assert ours.hash == vector["hash"] == hashlib.sha256(vector["file"].encode()).hexdigest()
    assert ours.digest == second.digest_of(theirs) == vector["digest"]
    for answer in vector["answers"]:
        row, scores = answer["row"], [int(score) for score in answer["scores"]]
        assert ours.quantiser.inputs(row) == second.inputs_of(theirs, row) == answer["inputs"]
        assert list(ours.scores(row)) == second.scores_of(theirs, answer["inputs"]) == scores
        assert ours.decision(scores) == second.label_of(theirs, scores) == answer["decision"]


@pytest.mark.parametrize("vector", MODELS, ids=lambda vector: vector["hash"][:8])
def test_both_readers_refuse_a_file_whose_digest_is_another(vector: dict[str, Any]) -> None:
    other = vector["file"].replace(vector["digest"], "12" * 32).encode()
    with pytest.raises(ModelFileError):
        parse_model(other)
    with pytest.raises(ValueError, match="model file"):
        second.read(other)


@pytest.mark.parametrize("family", ["linear", "perceptron", "trees"])
def test_both_readers_agree_on_many_models_that_no_vector_shows(family: str) -> None:
    for seed in range(25):
        labels, depth = (2, 3, 5)[seed % 3], 1 + seed % 8
        options = {"depth": depth} if family == "trees" else {}
        model = make_model(family, seed, labels=labels, **options)
        theirs = second.read(model.bytes)
        dice = second.inputs_of(theirs, {"age": str(seed), "sex": "male", "dose": str(-seed * 77)})
        assert list(model.scores_inputs(dice)) == second.scores_of(theirs, dice)
        assert model.digest == second.digest_of(theirs)


def test_the_commitment_of_an_input_is_what_another_keccak_gives() -> None:
    found = input_commitment(bytes(32), pack_inputs([1, -1]))
    assert found.hex() == "4c871ce1dc43652bcbae794036ca7a78ac150576f058da0e0a15875727f36d6f"
