"""Judging a model by rows that it has not learned from, for the statement that says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tallystick.errors import ModelInputError
from tallystick.models import Evaluation, IntegerModel, evaluate

if TYPE_CHECKING:
    from tallystick.models import Gate, GateResult, GroupedEvaluation

__all__ = ["Judged", "judge", "judge_inputs"]

COHORT = "held-out rows"


@dataclass(frozen=True, slots=True)
class Judged:
    """How good a model is on some rows.

    Args:
        model: hash of its file.
        rows: how many rows were judged.
        cohort: which rows, in words.
        evaluation: the figures of a model with two labels, over groups where they were given; None for one with more.
        labels: with more labels, the figures of each against all others.
        correct: how many rows were decided right.
        verdict: what a gate said; None without one.
    """

    model: str
    rows: int
    cohort: str
    evaluation: Evaluation | GroupedEvaluation | None
    labels: Mapping[str, Evaluation]
    correct: int
    verdict: GateResult | None = None

    @property
    def gate(self) -> str:
        """Hash of the gate that was applied; empty for none."""
        return "" if self.verdict is None else self.verdict.gate

    @property
    def passed(self) -> bool | None:
        """Whether it passed its gate; "not enough data" is not passed. None without a gate."""
        return None if self.verdict is None else self.verdict.passed is True

    def figures(self) -> dict[str, Any]:
        """Return the figures as plain data of a statement's profile: decimals are text."""
        said: dict[str, Any] = {} if self.evaluation is None else self.evaluation.as_statement()
        if self.labels:
            share = f"{self.correct / self.rows:.3f}" if self.rows else "not enough data"
            said = {"accuracy": share, "labels": {k: v.as_statement() for k, v in self.labels.items()}}
        return said if self.verdict is None else said | {"gate": self.verdict.as_statement()}

    def check(self, model: str) -> None:
        """Check that a model is the one that was judged.

        Raises:
            ModelInputError: it is another one.
        """
        if model != self.model:
            raise ModelInputError(
                f"the evaluation is of model {self.model[:12]}…, got {model[:12]}…",
                hint="evaluate the very model that you publish",
            )


def judge(
    model: Any,
    rows: Any,
    labels: Sequence[Any],
    *,
    groups: Sequence[str] | None = None,
    gate: Gate | None = None,
    cohort: str = COHORT,
    resamples: int = 1000,
    seed: int = 0,
) -> Judged:
    """Judge a model by rows that it has not learned from.

    Args:
        model: an integer model, or what a fit returned.
        rows: mappings that hold the model's columns, or a float64 array of shape (rows, features).
        labels: what turned out: one of the model's labels, or its number, a row.
        groups: which group each row belongs to, in words, for figures over groups and measures of fairness.
        gate: limits that the model has to keep before it may come into use.
        cohort: which rows these are, in words that everybody may read.
        resamples: bootstrap draws behind the intervals.
        seed: of the draws.

    Raises:
        ModelInputError: rows, labels or groups do not fit the model.
        MissingExtraError: numpy is not installed.
    """
    model = getattr(model, "model", model)  # what a fit returned is taken as well
    if not isinstance(model, IntegerModel):
        raise ModelInputError(f"only integer models are judged here, got one of the family {model.family}")
    if hasattr(rows, "dtype"):
        inputs = model.quantiser.inputs_of_array(rows)
    else:
        names = model.quantiser.names
        inputs = model.quantiser.inputs_many([{n: row[n] for n in names if n in row} for row in rows])
    truth = [_place(model, label) for label in labels]
    if len(inputs) != len(truth):
        raise ModelInputError(f"there must be a label for each of {len(inputs)} rows, got {len(truth)}")
    return judge_inputs(
        model, inputs, truth, groups=groups, gate=gate, cohort=cohort, resamples=resamples, seed=seed
    )


def judge_inputs(
    model: IntegerModel,
    inputs: Any,
    truth: Sequence[int],
    *,
    groups: Sequence[str] | None = None,
    gate: Gate | None = None,
    cohort: str = COHORT,
    resamples: int = 1000,
    seed: int = 0,
) -> Judged:
    """Judge a model by quantised rows; see `judge`.

    Args:
        model: an integer model.
        inputs: int16, shape (rows, width).
        truth: the number of each row's label.
        groups: as for `judge`, like all the following.
        gate: limits.
        cohort: in words.
        resamples: bootstrap draws.
        seed: of the draws.
    """
    scores = [[int(score) for score in row] for row in model.scores_inputs_many(inputs)]
    decided = [model.labels.index(model.decision(row)) for row in scores]
    correct = sum(told == true for told, true in zip(decided, truth, strict=True))
    options: dict[str, Any] = {"resamples": resamples, "seed": seed}
    if model.heads > 1:
        if gate is not None or groups is not None:
            raise ModelInputError(f"gates and groups judge models of two labels, this one has {model.heads}")
        of_labels = {
            label: evaluate(
                [model.probability(row[head]) for row in scores], [int(t == head) for t in truth], **options
            )
            for head, label in enumerate(model.labels)
        }
        return Judged(model.hash, len(truth), cohort, None, of_labels, correct)
    chances = [model.probability(row[0]) for row in scores]
    options["threshold"] = model.probability(model.threshold)
    found, verdict = _hold(chances, truth, groups, gate, options)
    return Judged(model.hash, len(truth), cohort, found, {}, correct, verdict)


def _hold(
    chances: Sequence[float],
    truth: Sequence[int],
    groups: Sequence[str] | None,
    gate: Gate | None,
    options: Mapping[str, Any],
) -> tuple[Evaluation | GroupedEvaluation, GateResult | None]:
    """Compute the figures, and hold them to the gate where there is one."""
    from tallystick.models import check_gate, evaluate_groups

    least = {} if gate is None else {"least": gate.least}
    found: Evaluation | GroupedEvaluation = (
        evaluate(chances, truth, **options)
        if groups is None
        else evaluate_groups(chances, truth, groups, **least, **options)
    )
    verdict = None if gate is None else check_gate(gate, chances, truth, groups, **options)
    return found, verdict


def _place(model: IntegerModel, label: Any) -> int:
    if isinstance(label, str):
        if label in model.labels:
            return model.labels.index(label)
    elif int(label) == label and 0 <= label < len(model.labels):
        return int(label)
    known = ", ".join(model.labels[:6])
    raise ModelInputError(f"a label must be one of {known} or its number, got {str(label)[:20]!r}")
