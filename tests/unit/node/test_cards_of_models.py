"""A node's model card says what the journal bears out, and marks the rest as claims."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.errors import ModelInputError
from tallystick.models import Gate, LinearModel, NumericFeature, Quantiser
from tallystick.node import Judged, Node

PARTS = ("evaluation", "fairness", "gate")


def small(bias: int = 0) -> LinearModel:
    feature = NumericFeature("x", "x", 0, 0, 1, -100, 100, 0, False, "refuse")
    return LinearModel(
        "risk", "illness", Quantiser((feature,)), ("no", "yes"), 4096, 0, ((41,),), (bias,), (0,)
    )


def judged(node: Node, *, first: int = -80, bias: int = 0) -> Judged:
    places = range(first, 80)
    rows, labels = [{"x": str(x)} for x in places], [int(x > 0) for x in places]
    groups, gate = ["ab"[x % 2] for x in places], Gate.of({"auroc": 0.9, "worst_group_auroc": 0.9})
    return node.models.evaluate(small(bias), rows, labels, groups=groups, gate=gate)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with Node.init(tmp_path / "bank", name="Bank", passphrase="correct horse", scrypt_n=2**4) as made:
        yield made


def read(card: bytes) -> tuple[dict[str, str], dict[str, str]]:
    """Return the standings by part, and the statements that they name."""
    facts = {one["name"]: one["value"] for one in json.loads(card)["components"][0]["properties"]}
    standing, statement = "tallystick:standing:", "tallystick:statement:"
    return (
        {fact.removeprefix(standing): said for fact, said in facts.items() if fact.startswith(standing)},
        {fact.removeprefix(statement): said for fact, said in facts.items() if fact.startswith(statement)},
    )


def test_who_published_the_file_is_proved_and_what_is_added_is_a_claim(node: Node) -> None:
    data = node.record("document.recorded", {"title": "rows"})
    version = node.models.publish(small(), "risk", links={"data": [data.id]})
    card = node.models.card("risk", uses=["triage"], limits=["children"])
    standings, statements = read(card)
    assert standings == {
        "limits": "unsigned claim", "model": "proved", "training": "signed claim", "uses": "unsigned claim"
    }  # fmt: skip
    assert statements == {"model": version.published, "training": version.published}
    component = json.loads(card)["components"][0]
    assert component["version"] == "risk@1"
    assert component["modelCard"]["modelParameters"]["datasets"][0]["contents"]["properties"] == [
        {"name": "tallystick:statement", "value": data.id}
    ]


def test_figures_become_signed_claims_when_the_very_same_were_reported(node: Node) -> None:
    node.models.publish(small(), "risk")
    found = judged(node)
    standings, _ = read(node.models.card("risk", found))
    assert {standings[part] for part in PARTS} == {"unsigned claim"}
    version = node.models.report("risk", found)
    standings, statements = read(node.models.card("risk", found))
    assert {standings[part] for part in PARTS} == {"signed claim"}
    assert {statements[part] for part in PARTS} == {version.evaluations[-1]}
    standings, _ = read(node.models.card("risk", judged(node, first=-70)))
    assert {standings[part] for part in PARTS} == {"unsigned claim"}


def test_figures_of_another_model_are_refused(node: Node) -> None:
    node.models.publish(small(), "risk")
    with pytest.raises(ModelInputError, match="the evaluation is of model"):
        node.models.card("risk", judged(node, bias=1))
