"""Model cards as CycloneDX 1.7 ML-BOM, each part marked with how far it can be trusted.

- The same inputs give the same bytes: no clock, no random serial number (it follows from the card's own hash).
- A part is "proved" only where the caller names a statement whose receipt it has verified, a "signed claim" where a
  party said it under its name, and an "unsigned claim" otherwise. Which it is stands in the component's properties,
  named ``tallystick:standing:<part>``, and the statement in ``tallystick:statement:<part>``. This file cannot check
  receipts: it says what it was told.
- Figures are decimal texts with their 95% interval; where there is not enough data the card says so.

    card = make_card(model, evaluation=evaluated, uses=["triage by a nurse"], proved={"evaluation": statement_id})

Source: CycloneDX 1.7 JSON schema (ECMA-424), modelCard; https://cyclonedx.org/docs/1.7/json/
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tallystick.errors import ModelInputError
from tallystick.models._evaluation import Evaluation, Interval
from tallystick.models._fairness import GroupedEvaluation
from tallystick.models._features import CategoryFeature, Feature
from tallystick.models._gates import GateResult
from tallystick.models._integer import IntegerModel
from tallystick.models._linear import LinearModel
from tallystick.models._perceptron import PerceptronModel
from tallystick.models._scored import ForeignModel
from tallystick.models._trees import TreeModel
from tallystick.proof import format_json

CARD_DEPTH: Final = 12  # how deep a card nests
MAX_TEXTS: Final = 100
MAX_CHARACTERS: Final = 2000
PARTS: Final = ("evaluation", "fairness", "gate", "limits", "model", "training", "uses", "users")
_FIGURES: Final = ("accuracy", "auroc", "average_precision", "brier", "calibration_error")
_STATEMENT: Final = re.compile("[0-9a-f]{64}")
_FAMILIES: Final = {
    "linear": "logistic regression",
    "trees": "gradient-boosted trees",
    "perceptron": "neural network",
    "opaque": "unknown: only the file's hash is vouched for",
    "external": "unknown: somebody else's program answers",
}


@dataclass(frozen=True, slots=True)
class Training:
    """What a model has learned from.

    Args:
        name: which data, in words.
        statements: ids of the statements that the model's own links to.
        rows: how many rows, in words; empty where nobody says.
    """

    name: str
    statements: tuple[str, ...] = ()
    rows: str = ""


@dataclass(frozen=True, slots=True)
class _Said:
    """What a card is made of, by part; parts that are empty say nothing."""

    model: IntegerModel | ForeignModel
    version: str
    evaluation: Evaluation | GroupedEvaluation | None
    gate: GateResult | None
    training: Sequence[Training]
    uses: Sequence[str]
    users: Sequence[str]
    limits: Sequence[str]
    proved: Mapping[str, str] = field(default_factory=dict)
    signed: Mapping[str, str] = field(default_factory=dict)

    @property
    def parts(self) -> list[str]:
        told = {
            "evaluation": self.evaluation is not None,
            "fairness": isinstance(self.evaluation, GroupedEvaluation),
            "gate": self.gate is not None,
            "limits": bool(self.limits),
            "model": True,
            "training": bool(self.training),
            "users": bool(self.users),
            "uses": bool(self.uses),
        }
        return [part for part in PARTS if told[part]]


def make_card(
    model: IntegerModel | ForeignModel,
    *,
    version: str = "",
    evaluation: Evaluation | GroupedEvaluation | None = None,
    gate: GateResult | None = None,
    training: Sequence[Training] = (),
    uses: Sequence[str] = (),
    users: Sequence[str] = (),
    limits: Sequence[str] = (),
    proved: Mapping[str, str] | None = None,
    signed: Mapping[str, str] | None = None,
) -> bytes:
    """Write a model's card.

    Args:
        model: of any kind.
        version: for example "heart@1".
        evaluation: how good it is on held-out rows, over groups for measures of fairness.
        gate: what a gate said about it.
        training: what it has learned from.
        uses: what it is meant for.
        users: who is meant to use it.
        limits: what it must not be used for, or is known to do badly.
        proved: from part to the id of a statement whose receipt the caller has verified. Parts are evaluation,
            fairness, gate, limits, model, training, users and uses.
        signed: from part to the id of a statement in which a party says it, that was not verified here.

    Returns:
        Canonical JSON, the same for the same arguments.

    Raises:
        ModelInputError: a text is empty or too long, a part is unknown, not in the card or both proved and signed,
            or a statement's id is not one.
    """
    said = _Said(model, version, evaluation, gate, training, uses, users, limits, proved or {}, signed or {})
    _check(said)
    body: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.7.schema.json",
        "bomFormat": "CycloneDX",
        "components": [_component(said)],
        "specVersion": "1.7",
        "version": 1,
    }
    content = hashlib.sha256(format_json(body, depth=CARD_DEPTH)).hexdigest()
    body["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'tallystick:card:{content}')}"
    return format_json(body, depth=CARD_DEPTH)


def _check(said: _Said) -> None:
    texts = [*said.uses, *said.users, *said.limits, *(one.name for one in said.training)]
    texts += [one.rows for one in said.training if one.rows] + ([said.version] if said.version else [])
    if len(texts) > MAX_TEXTS or any(not 0 < len(text) <= MAX_CHARACTERS for text in texts):
        raise ModelInputError(
            f"a card must have at most {MAX_TEXTS} texts of 1 to {MAX_CHARACTERS} characters"
        )
    both = said.proved.keys() & said.signed.keys()
    if both:
        raise ModelInputError(f"a part is either proved or a signed claim, got both for {min(both)}")
    named = said.proved.keys() | said.signed.keys()
    if not named <= set(said.parts):
        raise ModelInputError(
            f"the card has no part {min(named - set(said.parts))[:40]!r}",
            hint=f"it has: {', '.join(said.parts)}",
        )
    ids = [
        *said.proved.values(),
        *said.signed.values(),
        *(i for one in said.training for i in one.statements),
    ]
    if not all(_STATEMENT.fullmatch(one) for one in ids):
        raise ModelInputError("a statement's id must be 64 hexadecimal digits")


def _component(said: _Said) -> dict[str, Any]:
    model = said.model
    made: dict[str, Any] = {
        "bom-ref": f"model:{model.hash}",
        "hashes": [{"alg": "SHA-256", "content": model.hash}],
        "modelCard": _card(said),
        "name": model.name,
        "properties": [
            {"name": f"tallystick:{name}", "value": value}
            for name, value in sorted([*_facts(model), *_standings(said)])
        ],
        "type": "machine-learning-model",
    }
    if isinstance(model, IntegerModel):
        made["description"] = model.target
    if said.version:
        made["version"] = said.version
    return made


def _facts(model: IntegerModel | ForeignModel) -> Iterator[tuple[str, str]]:
    yield "family", model.family
    yield "re-executable", "yes" if model.reexecutable else "no"
    if isinstance(model, IntegerModel):
        yield "digest", model.digest
        features = [one.fields() for one in model.quantiser.features]
        yield "quantiser", hashlib.sha256(format_json(features)).hexdigest()


def _standings(said: _Said) -> Iterator[tuple[str, str]]:
    for part in said.parts:
        standing = "unsigned claim"
        if part in said.proved:
            standing = "proved"
        elif part in said.signed:
            standing = "signed claim"
        yield f"standing:{part}", standing
        statement = said.proved.get(part) or said.signed.get(part)
        if statement:
            yield f"statement:{part}", statement


def _card(said: _Said) -> dict[str, Any]:
    card: dict[str, Any] = {"modelParameters": _parameters(said)}
    if said.evaluation is not None:
        card["quantitativeAnalysis"] = {"performanceMetrics": list(_metrics(said.evaluation))}
    considerations: dict[str, Any] = {
        "fairnessAssessments": _assessments(said),
        "technicalLimitations": [*said.limits, *_own_limits(said.model)],
        "useCases": list(said.uses),
        "users": list(said.users),
    }
    told = {name: value for name, value in considerations.items() if value}
    if told:
        card["considerations"] = told
    if said.gate is not None:
        card["properties"] = [
            {"name": "tallystick:gate", "value": said.gate.gate},
            {"name": "tallystick:gate:passed", "value": _verdict(said.gate)},
            *({"name": "tallystick:gate:line", "value": line.text()} for line in said.gate.lines),
        ]
    return card


def _verdict(gate: GateResult) -> str:
    return "not enough data" if gate.passed is None else "yes" if gate.passed else "no"


def _own_limits(model: IntegerModel | ForeignModel) -> list[str]:
    return [] if isinstance(model, IntegerModel) else [model.words]


def _parameters(said: _Said) -> dict[str, Any]:
    model = said.model
    made: dict[str, Any] = {
        "approach": {"type": "supervised"},
        "architectureFamily": _FAMILIES.get(model.family, model.family),
        "modelArchitecture": _architecture(model),
        "outputs": [{"format": text} for text in _outputs(model)],
        "task": "classification" if model.labels else "unknown",
    }
    if not isinstance(model, IntegerModel):
        del made["approach"]  # nobody vouches for how somebody else's model came to be
    else:
        made["inputs"] = [{"format": _input(feature)} for feature in model.quantiser.features]
    if said.training:
        made["datasets"] = [_dataset(one) for one in said.training]
    return made


def _architecture(model: IntegerModel | ForeignModel) -> str:
    if isinstance(model, LinearModel):
        return f"{model.quantiser.width} inputs, integer weights"
    if isinstance(model, TreeModel):
        return f"{model.trees} integer trees of depth {model.depth} for each of {model.heads} scores"
    if isinstance(model, PerceptronModel):
        return f"{model.quantiser.width} inputs, {model.hidden} hidden units (ReLU), {model.heads} scores, in integers"
    return "not known"


def _outputs(model: IntegerModel | ForeignModel) -> list[str]:
    if not model.labels:
        return ["a score"]
    if isinstance(model, IntegerModel) and model.heads == 1:
        return [f"whole number; {model.labels[1]} from {model.threshold}, else {model.labels[0]}"]
    return [f"score of {label}; the largest decides" for label in model.labels]


def _input(feature: Feature) -> str:
    if isinstance(feature, CategoryFeature):
        return f"{feature.name} ({feature.title}): one of {', '.join(feature.codes)}"[:MAX_CHARACTERS]
    return f"{feature.name} ({feature.title}): number with {feature.decimals} decimals"


def _dataset(one: Training) -> dict[str, Any]:
    properties = [{"name": "tallystick:statement", "value": statement} for statement in one.statements]
    if one.rows:
        properties.append({"name": "tallystick:rows", "value": one.rows})
    made: dict[str, Any] = {"name": one.name, "type": "dataset"}
    return made | ({"contents": {"properties": properties}} if properties else {})


def _metrics(found: Evaluation | GroupedEvaluation) -> Iterator[dict[str, Any]]:
    overall = found.overall if isinstance(found, GroupedEvaluation) else found
    yield from _figures(overall, "all rows", str(overall.count))
    if isinstance(found, GroupedEvaluation):
        for name, group in found.groups.items():
            yield from _figures(group, f"group: {name}", found.counts[name])
        for measure, figure in found.fairness.items():
            yield _metric(measure, "between groups", figure, found.why_not.get(measure, ""))


def _figures(found: Evaluation, about: str, rows: str) -> Iterator[dict[str, Any]]:
    yield {"slice": about, "type": "rows", "value": rows}
    for name in _FIGURES:
        yield _metric(name, about, getattr(found, name), found.why_not)


def _metric(name: str, about: str, figure: Interval | None, why_not: str) -> dict[str, Any]:
    if figure is None:
        return {"slice": about, "type": name, "value": why_not}
    bounds = {"lowerBound": f"{figure.low:.3f}", "upperBound": f"{figure.high:.3f}"}
    return {"confidenceInterval": bounds, "slice": about, "type": name, "value": f"{figure.value:.3f}"}


def _assessments(said: _Said) -> list[dict[str, str]]:
    if not isinstance(said.evaluation, GroupedEvaluation):
        return []
    held = "" if said.gate is None else f"held to gate {said.gate.gate}, passed: {_verdict(said.gate)}"
    counts = said.evaluation.counts
    return [
        {"groupAtRisk": name, "harms": f"may be decided wrongly more often than other groups; {counts[name]} rows measured"}
        | ({"mitigationStrategy": held} if held else {})
        for name in said.evaluation.groups
    ]  # fmt: skip
