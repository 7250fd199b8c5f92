"""A model card is valid CycloneDX 1.7, the same for the same model, and says what of it is proved."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from tests.made_models import make_model

from tallystick.errors import ModelInputError
from tallystick.models import Gate, Scored, Training, check_gate, evaluate, evaluate_groups, make_card

PROOF, CLAIM = "a" * 64, "b" * 64
FAMILIES = ["linear", "trees", "perceptron"]


@dataclass(frozen=True)
class SomebodyElses:
    """Stands in for an opaque or external model."""

    family: str = "external"
    reexecutable: bool = False
    words: str = "somebody else's program answers"
    name: str = "scorer"
    labels: tuple[str, ...] = ()
    bytes: bytes = b"x"
    hash: str = "c" * 64

    def score_row(self, row: object) -> Scored:
        raise NotImplementedError


def rows() -> tuple[list[float], list[int], list[str]]:
    dice = np.random.default_rng(1)
    p = dice.random(300)
    groups = np.where(dice.random(300) < 0.5, "a", "b").astype(object)
    groups[:7] = "few"
    return p.tolist(), (dice.random(300) < p).astype(int).tolist(), groups.tolist()


def whole() -> dict[str, Any]:
    p, y, groups = rows()
    return {
        "version": "made@2",
        "evaluation": evaluate_groups(p, y, groups, resamples=20),
        "gate": check_gate(Gate.of({"auroc": 0.5, "worst_group_auroc": 0.5}), p, y, groups, resamples=20),
        "training": [Training("four hospitals' rows", (CLAIM,), "1,200 to 1,300"), Training("others")],
        "uses": ["triage by a nurse"],
        "users": ["nurses"],
        "limits": ["not for children"],
        "proved": {"evaluation": PROOF, "gate": PROOF},
        "signed": {"training": CLAIM},
    }


def check(card: bytes) -> dict[str, Any]:
    """Hold a card to the published schema, and return it."""
    found = JsonStrictValidator(SchemaVersion.V1_7).validate_str(card.decode())
    assert found is None, found
    return json.loads(card)


def properties(card: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in card["components"][0]["properties"]}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("labels", [2, 3])
def test_cards_of_every_family_keep_the_published_schema(family: str, labels: int) -> None:
    model = make_model(family, 1, labels=labels)
    for arguments in ({}, whole()):
        card = check(make_card(model, **arguments))
        component = card["components"][0]
        assert component["type"] == "machine-learning-model"
        assert component["hashes"] == [{"alg": "SHA-256", "content": model.hash}]
        assert properties(card)["tallystick:digest"] == model.digest


def test_the_schema_that_cards_are_held_to_refuses_another_document() -> None:
    card = json.loads(make_card(make_model("linear", 1)))
    card["components"][0]["modelCard"]["kindness"] = "much"
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(json.dumps(card)) is not None


def test_a_card_of_a_foreign_model_says_that_nobody_can_repeat_it() -> None:
    card = check(make_card(SomebodyElses()))
    component = card["components"][0]
    assert properties(card)["tallystick:re-executable"] == "no"
    assert component["modelCard"]["considerations"]["technicalLimitations"] == [
        "somebody else's program answers"
    ]
    assert "approach" not in component["modelCard"]["modelParameters"]


def test_the_same_arguments_give_the_same_bytes_and_others_another_serial_number() -> None:
    model = make_model("trees", 1)
    assert make_card(model, **whole()) == make_card(model, **whole())
    numbers = {
        json.loads(card)["serialNumber"]
        for card in (make_card(model), make_card(model, uses=["x"]), make_card(make_model("trees", 2)))
    }
    assert len(numbers) == 3


def test_every_part_says_whether_it_is_proved_or_claimed() -> None:
    found = properties(check(make_card(make_model("trees", 1), **whole())))
    standings = {name.rpartition(":")[2]: value for name, value in found.items() if ":standing:" in name}
    assert standings == {
        "evaluation": "proved", "fairness": "unsigned claim", "gate": "proved", "limits": "unsigned claim",
        "model": "unsigned claim", "training": "signed claim", "users": "unsigned claim", "uses": "unsigned claim",
    }  # fmt: skip
    statements = {name.rpartition(":")[2]: value for name, value in found.items() if ":statement:" in name}
    assert statements == {"evaluation": PROOF, "gate": PROOF, "training": CLAIM}


def test_nothing_is_proved_unless_the_caller_says_so() -> None:
    told = {name: value for name, value in whole().items() if name not in ("proved", "signed")}
    found = properties(check(make_card(make_model("linear", 1), **told)))
    assert {value for name, value in found.items() if ":standing:" in name} == {"unsigned claim"}


def test_figures_stand_with_their_interval_and_missing_ones_with_their_reason() -> None:
    told = whole()
    card = check(make_card(make_model("trees", 1), **told))["components"][0]["modelCard"]
    metrics = {(m["slice"], m["type"]): m for m in card["quantitativeAnalysis"]["performanceMetrics"]}
    auroc = told["evaluation"].overall.auroc
    assert metrics["all rows", "auroc"] == {
        "slice": "all rows", "type": "auroc", "value": f"{auroc.value:.3f}",
        "confidenceInterval": {"lowerBound": f"{auroc.low:.3f}", "upperBound": f"{auroc.high:.3f}"},
    }  # fmt: skip
    assert metrics["group: few", "rows"]["value"] == "fewer than 20"
    missing = metrics["between groups", "worst_group_auroc"]
    assert missing["value"].startswith("not enough data")
    assert "confidenceInterval" not in missing
    gate = [one["value"] for one in card["properties"]]
    assert gate[:2] == [told["gate"].gate, "not enough data"]
    assert {one["groupAtRisk"] for one in card["considerations"]["fairnessAssessments"]} == {"a", "b", "few"}


def test_a_card_takes_an_evaluation_without_groups() -> None:
    p, y, _ = rows()
    card = check(make_card(make_model("linear", 1), evaluation=evaluate(p, y, resamples=5)))
    slices = {
        one["slice"]
        for one in card["components"][0]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    }
    assert slices == {"all rows"}
    assert "tallystick:standing:fairness" not in properties(card)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"uses": [""]}, "1 to 2000 characters"),
        ({"limits": ["x" * 2001]}, "1 to 2000 characters"),
        ({"users": ["x"] * 101}, "at most 100 texts"),
        ({"proved": {"kindness": PROOF}}, "no part 'kindness'"),
        ({"proved": {"evaluation": PROOF}}, "no part 'evaluation'"),
        ({"proved": {"model": PROOF}, "signed": {"model": CLAIM}}, "got both for model"),
        ({"proved": {"model": "yes"}}, "64 hexadecimal digits"),
        ({"training": [Training("rows", ("ABC",))]}, "64 hexadecimal digits"),
    ],
)
def test_cards_that_would_say_nothing_or_too_much_are_refused(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(ModelInputError, match=match):
        make_card(make_model("linear", 1), **arguments)
