"""Gates: the limits that a model must keep on held-out rows before it may come into use.

- A gate says which measures, with which limits, and how many rows a rate needs in every group. Its hash stands in the
  statement of an evaluation, so that nobody can choose the limits afterwards.
- Compared is the *worse* end of the 95% interval: the upper end with an "at most", the lower end with an "at least".
  A gate guards people against harm, so the burden of proof is the model's: it passes when the rows rule out that a
  limit is broken, not when they merely fail to show it. Few rows therefore make it harder to pass, never easier.
- "Not enough data" is no verdict: the result is None then, which never counts as passed.

    gate = Gate.of({"auroc": 0.8, "equal_opportunity_difference": 0.1})
    result = check_gate(gate, probabilities, labels, groups)
    assert result.passed is True
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Final, Literal

from tallystick.errors import EncodingError, ModelFileError, ModelInputError, StatementError
from tallystick.models._evaluation import LEAST_OF_EACH_CLASS, Interval, evaluate
from tallystick.models._fairness import LEAST_IN_GROUP, GroupedEvaluation, evaluate_groups
from tallystick.models._numbers import parse_decimal
from tallystick.proof import format_json, parse_json

Sense = Literal["at least", "at most"]

GATE_TYPE: Final = "tallystick/gate"
GATE_VERSION: Final = 1
MAX_GATE_BYTES: Final = 4096
MAX_LEAST: Final = 1_000_000
LIMIT_DECIMALS: Final = 6
OVERALL: Final[Mapping[str, Sense]] = {
    "accuracy": "at least",
    "auroc": "at least",
    "average_precision": "at least",
    "brier": "at most",
    "calibration_error": "at most",
}
BETWEEN_GROUPS: Final[Mapping[str, Sense]] = {
    "calibration_in_groups": "at most",
    "demographic_parity_difference": "at most",
    "demographic_parity_ratio": "at least",
    "equal_opportunity_difference": "at most",
    "false_positive_rate_gap": "at most",
    "false_positive_rate_ratio": "at least",
    "worst_group_auroc": "at least",
}
MEASURES: Final[Mapping[str, Sense]] = {**OVERALL, **BETWEEN_GROUPS}
NO_DATA: Final = "not enough data"


@dataclass(frozen=True)
class Gate:
    """Limits, each a decimal text from 0 to 1 with at most six decimals and no trailing zeros.

    Args:
        limits: (measure, limit) in the order of measures; at least one.
        least: how many rows a rate needs in every group, 5 to 1,000,000.

    Raises:
        ModelFileError: an unknown measure, one twice or out of order, or a number out of its bounds.
    """

    limits: tuple[tuple[str, str], ...]
    least: int = LEAST_IN_GROUP

    def __post_init__(self) -> None:
        names = [name for name, _ in self.limits]
        unknown = sorted(set(names) - MEASURES.keys())
        if unknown:
            raise ModelFileError(
                f"a gate must name known measures, got {unknown[0][:40]!r}",
                hint=f"known are: {', '.join(MEASURES)}",
            )
        if not names or names != sorted(set(names)):
            raise ModelFileError("a gate must have limits, each measure once and in order")
        for name, text in self.limits:
            if text != _limit(name, text):
                raise ModelFileError(f"the limit of {name} must be written {_limit(name, text)}, got {text}")
        if type(self.least) is not int or not LEAST_OF_EACH_CLASS <= self.least <= MAX_LEAST:
            raise ModelFileError(f"rows needed must be {LEAST_OF_EACH_CLASS} to {MAX_LEAST}")

    @classmethod
    def of(cls, limits: Mapping[str, float | str], *, least: int = LEAST_IN_GROUP) -> Gate:
        """Make a gate of numbers, as a person writes them.

        Args:
            limits: from measure to limit, 0 to 1.
            least: how many rows a rate needs in every group.

        Raises:
            ModelFileError: as for `Gate`.
        """
        return cls(tuple(sorted((name, _limit(name, str(limit))) for name, limit in limits.items())), least)

    @cached_property
    def bytes(self) -> bytes:
        """The gate as its only canonical bytes."""
        return format_json(self.as_dict())

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the bytes, in hex: the gate's name in a statement."""
        return hashlib.sha256(self.bytes).hexdigest()

    @property
    def needs_groups(self) -> bool:
        """Whether a measure compares groups."""
        return any(name in BETWEEN_GROUPS for name, _ in self.limits)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data without floats."""
        return {"least": self.least, "limits": dict(self.limits), "type": GATE_TYPE, "v": GATE_VERSION}


def _limit(name: str, text: str) -> str:
    """Return a limit as it is written."""
    try:
        value = parse_decimal(text)
    except ModelInputError as error:
        raise ModelFileError(f"the limit of {name[:40]} must be a number") from error
    if not 0 <= value <= 1 or value != round(value, LIMIT_DECIMALS):
        raise ModelFileError(
            f"the limit of {name[:40]} must be 0 to 1 with at most {LIMIT_DECIMALS} decimals"
        )
    written = f"{abs(value):.{LIMIT_DECIMALS}f}".rstrip("0")
    return written.rstrip(".")


def parse_gate(data: bytes) -> Gate:
    """Read a gate; accepts exactly what `Gate.bytes` makes.

    Raises:
        ModelFileError: malformed, not canonical, of a later version, or see `Gate`.
    """
    try:
        told = parse_json(data, limit=MAX_GATE_BYTES)
    except (EncodingError, StatementError) as error:
        raise ModelFileError(
            "a gate must be canonical JSON", hint="make it with Gate.of(...).bytes"
        ) from error
    if type(told) is not dict or told.keys() != {"least", "limits", "type", "v"} or told["type"] != GATE_TYPE:
        raise ModelFileError("a gate must have exactly the fields least, limits, type and v")
    if told["v"] != GATE_VERSION or type(told["v"]) is not int:
        raise ModelFileError(
            f"a gate must have version {GATE_VERSION}", hint="a later tallystick may read it"
        )
    limits = told["limits"]
    if type(limits) is not dict or any(type(text) is not str for text in limits.values()):
        raise ModelFileError("a gate's limits must be decimal texts")
    return Gate(tuple(sorted(limits.items())), told["least"])


@dataclass(frozen=True, slots=True)
class GateLine:
    """What one measure says.

    Args:
        measure: its name.
        sense: whether the limit is the least or the most.
        limit: as the gate has it.
        interval: the figure; None when there is not enough data.
        passed: whether the worse end of the interval keeps the limit; None when there is not enough data.
        why_not: why there is no figure; empty otherwise.
    """

    measure: str
    sense: Sense
    limit: str
    interval: Interval | None
    passed: bool | None
    why_not: str

    @property
    def compared(self) -> float | None:
        """The end of the interval that was compared with the limit."""
        if self.interval is None:
            return None
        return self.interval.low if self.sense == "at least" else self.interval.high

    def text(self) -> str:
        """Return for example "auroc 0.87 [0.83, 0.91], at least 0.8 at its lower end: passed"."""
        said = NO_DATA if self.passed is None else "passed" if self.passed else "failed"
        end = "lower" if self.sense == "at least" else "upper"
        figure = self.why_not if self.interval is None else self.interval.text(3)
        return f"{self.measure} {figure}, {self.sense} {self.limit} at its {end} end: {said}"


@dataclass(frozen=True, slots=True)
class GateResult:
    """What a gate says about a model.

    Args:
        gate: the gate's hash.
        passed: True when every line passed, False when one failed, else None: not enough data.
        lines: one for each limit.
        counts: rows of each group; empty without groups.
    """

    gate: str
    passed: bool | None
    lines: tuple[GateLine, ...]
    counts: Mapping[str, str]

    def as_statement(self) -> dict[str, Any]:
        """Return plain data without floats, for a statement's body."""
        return {
            "groups": dict(self.counts),
            "lines": [line.text() for line in self.lines],
            "passed": NO_DATA if self.passed is None else self.passed,
        }


def check_gate(
    gate: Gate,
    probabilities: Sequence[float],
    labels: Sequence[int],
    groups: Sequence[str] | None = None,
    *,
    threshold: float = 0.5,
    resamples: int = 1000,
    seed: int = 0,
) -> GateResult:
    """Hold a model's probabilities to a gate.

    Args:
        gate: the limits.
        probabilities: 0 to 1, one per row.
        labels: 0 or 1, one per row.
        groups: which group each row belongs to; without, measures between groups have not enough data.
        threshold: the least probability that counts as a yes.
        resamples: bootstrap draws, at least 1.
        seed: of the draws.

    Raises:
        ModelInputError: see `evaluate_groups`.
        MissingExtraError: numpy is not installed.
    """
    options: dict[str, Any] = {"threshold": threshold, "resamples": resamples, "seed": seed}
    if groups is None:
        overall = evaluate(probabilities, labels, **options)
        none = f"{NO_DATA}: no groups were given"
        found = GroupedEvaluation(
            overall, {}, dict.fromkeys(BETWEEN_GROUPS), dict.fromkeys(BETWEEN_GROUPS, none), gate.least
        )
    else:
        found = evaluate_groups(probabilities, labels, groups, least=gate.least, **options)
    return hold(gate, found)


def hold(gate: Gate, found: GroupedEvaluation) -> GateResult:
    """Hold figures to a gate.

    Raises:
        ModelInputError: the figures are of another count of rows needed than the gate's.
    """
    if found.least != gate.least:
        raise ModelInputError(f"the figures must need {gate.least} rows as the gate does, got {found.least}")
    lines = tuple(_line(name, limit, found) for name, limit in gate.limits)
    verdicts = [line.passed for line in lines]
    passed = False if False in verdicts else None if None in verdicts else True
    return GateResult(gate.hash, passed, lines, found.counts)


def _line(name: str, limit: str, found: GroupedEvaluation) -> GateLine:
    sense = MEASURES[name]
    if name in OVERALL:
        figure: Interval | None = getattr(found.overall, name)
        why_not = found.overall.why_not if figure is None else ""
    else:
        figure, why_not = found.fairness[name], found.why_not.get(name, "")
    if figure is None:
        return GateLine(name, sense, limit, None, None, why_not)
    bound = float(Decimal(limit))
    passed = figure.low >= bound if sense == "at least" else figure.high <= bound
    return GateLine(name, sense, limit, figure, passed, "")
