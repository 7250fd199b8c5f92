"""What is decided about each payment of a batch: numbers in, verdicts out; no clock, no disk, no state.

Live decisions and their replay go through the same `outcome`, so what replays equal was decided so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tallystick.apps.fraud.payments import Payment
from tallystick.decisions import Control
from tallystick.errors import ConfigurationError, ModelInputError

from ._decision import Action, ReasonCode
from ._detectors import Detector, Detectors
from ._policy import DecisionPolicy, stricter
from ._reasons import Explaining, Words, of_rules
from ._rules import PaymentRule, RuleBook

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Judging", "Outcome", "Verdict", "outcome", "probability_text"]

NO_RULE: Final = ReasonCode("R00", "rules decide alone, and none fired")
UNSCORED: Final = ReasonCode("M99", "the model refuses such numbers: a person has to look")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What follows from a score and rules.

    Args:
        action: what happens.
        proposal: what the model and the rules say, where a person has to confirm it first; else empty.
        status: pacs.002 status.
        status_reason: its reason code, or empty.
    """

    action: Action
    proposal: str
    status: str
    status_reason: str


@dataclass(slots=True)
class Verdict:
    """What is decided about one payment."""

    outcome: Outcome
    reasons: tuple[ReasonCode, ...]
    rules: tuple[str, ...]
    score: int | None = None
    probability: str = ""
    inputs: bytes = b""  # the champion's, int16 big-endian
    facts: bytes = b""  # what the rules read, float64 big-endian
    challenger: tuple[str, int, bytes] | None = None  # model, score, its inputs where they are others
    unscored: bool = False


def outcome(
    policy: DecisionPolicy,
    score: int | None,
    fired: Sequence[PaymentRule],
    *,
    channel: str,
    waits: bool = False,
    unscored: bool = False,
) -> Outcome:
    """Decide.

    Args:
        policy: thresholds.
        score: the champion's; None where rules decide alone.
        fired: the rules that fired.
        channel: the payment's.
        waits: whether a person has to confirm first.
        unscored: there is no score because the champion refused the numbers.
    """
    action = policy.ruled if score is None else policy.of_score(score)
    if unscored:
        action = stricter(action, policy.unscored)
    status_reason = ""
    for rule in fired:
        if stricter(action, rule.action) != action:
            action, status_reason = rule.action, rule.status_reason
    proposal = ""
    if waits:
        proposal, action = action, stricter(action, "hold")
    action = policy.in_channel(action, channel)
    return Outcome(action, proposal, *policy.status(action, status_reason))


def probability_text(detector: Detector, score: int) -> str:
    """Return the probability of fraud as it is stated: six decimals."""
    return f"{detector.model.probability(score):.6f}"


class Judging:
    """Judges batches with fixed models, rules and columns.

    Args:
        detectors: champion and challenger.
        book: rules and policy.
        names: the columns: features, then signals.
        words: see `Explaining`.

    Raises:
        ConfigurationError: a model or a rule reads a column that is not there.
    """

    def __init__(self, detectors: Detectors, book: RuleBook, names: Sequence[str], words: Words) -> None:
        self.detectors, self.book = detectors, book
        place = {name: at for at, name in enumerate(names)}
        missing = [name for name in book.reads if name not in place]
        if missing:
            raise ConfigurationError(
                f"the rules read {len(missing)} columns that are not there: {missing[0][:40]}"
            )
        self._reads = {name: place[name] for name in book.reads}
        champion, challenger = detectors.champion, detectors.challenger
        self._columns = champion.columns(names) if champion else []
        self._explaining = Explaining(champion.model, self._columns, words) if champion else None
        self._beside = challenger.columns(names) if challenger else []
        self._same = (
            champion is not None
            and challenger is not None
            and champion.model.quantiser == challenger.model.quantiser
        )

    def judge(
        self, payments: Sequence[Payment], numbers: NDArray[np.float64], control: Control
    ) -> tuple[list[Verdict], NDArray[np.int16] | None, NDArray[np.int64] | None]:
        """Judge a batch.

        Args:
            payments: in order.
            numbers: all columns, float64, shape (payments, columns).
            control: what counts now; not ``refuse``.

        Returns:
            A verdict for each, and the inputs and scores of those that were scored, for drift.
        """
        facts = {name: numbers[:, at] for name, at in self._reads.items()}
        fired = self._fired(payments, facts)
        packed = self._packed_facts(facts, len(payments))
        if self.detectors.champion is None or control.mode == "rules":
            return [self._ruled(*one) for one in zip(payments, fired, packed, strict=True)], None, None
        inputs, known = _inputs(self.detectors.champion, numbers[:, self._columns])
        scores = self.detectors.champion.model.scores_inputs_many(inputs)[:, 0]
        scored = self._scored(payments, numbers, inputs, scores.tolist(), fired, control)
        beside = self._challenged(numbers, inputs)
        stored = _packed(inputs)
        verdicts = []
        for at, verdict in enumerate(scored):
            if known[at]:
                verdict.inputs, verdict.challenger = stored[at], beside[at]
            else:
                verdict = self._ruled(payments[at], fired[at], b"", unscored=True)
            verdict.facts = packed[at]
            verdicts.append(verdict)
        if all(known):
            return verdicts, inputs, scores
        return verdicts, inputs[known], scores[known]

    def _fired(self, payments: Sequence[Payment], facts: dict[str, Any]) -> list[list[PaymentRule]]:
        found: list[list[PaymentRule]] = [[] for _ in payments]
        for rule in self.book.rules:
            said = rule.fired(payments, facts)
            for at in said.nonzero()[0].tolist():
                found[at].append(rule)
        return found

    def _packed_facts(self, facts: dict[str, Any], count: int) -> list[bytes]:
        if not facts:
            return [b""] * count
        import numpy as np

        return _packed(np.stack(list(facts.values()), axis=1))

    def _ruled(
        self, payment: Payment, fired: list[PaymentRule], facts: bytes, *, unscored: bool = False
    ) -> Verdict:
        found = outcome(self.book.policy, None, fired, channel=payment.channel, unscored=unscored)
        reasons = of_rules(fired, UNSCORED if unscored else NO_RULE)
        return Verdict(found, reasons, tuple(rule.name for rule in fired), facts=facts, unscored=unscored)

    def _scored(
        self,
        payments: Sequence[Payment],
        numbers: NDArray[np.float64],
        inputs: NDArray[np.int16],
        scores: Sequence[int],
        fired: Sequence[list[PaymentRule]],
        control: Control,
    ) -> list[Verdict]:
        champion, explaining, policy = self.detectors.champion, self._explaining, self.book.policy
        assert champion is not None
        assert explaining is not None
        confirms = control.mode == "confirm"
        outcomes = [
            outcome(
                policy,
                score,
                rules,
                channel=payment.channel,
                waits=confirms and control.asks_a_person((score,)),
            )
            for payment, score, rules in zip(payments, scores, fired, strict=True)
        ]
        alerts = [one.action != "approve" for one in outcomes]
        reasons = explaining.explain(inputs, numbers, payments=payments, alerts=alerts, fired=fired)
        return [
            Verdict(one, why, tuple(rule.name for rule in rules), score, probability_text(champion, score))
            for one, why, rules, score in zip(outcomes, reasons, fired, scores, strict=True)
        ]

    def _challenged(
        self, numbers: NDArray[np.float64], inputs: NDArray[np.int16]
    ) -> list[tuple[str, int, bytes] | None]:
        challenger = self.detectors.challenger
        if challenger is None:
            return [None] * len(inputs)
        if self._same:
            scores = challenger.model.scores_inputs_many(inputs)[:, 0].tolist()
            return [(challenger.hash, score, b"") for score in scores]
        own, known = _inputs(challenger, numbers[:, self._beside])
        scores = challenger.model.scores_inputs_many(own)[:, 0].tolist()
        return [
            (challenger.hash, score, stored) if fits else None
            for score, stored, fits in zip(scores, _packed(own), known, strict=True)
        ]


def _inputs(detector: Detector, numbers: NDArray[np.float64]) -> tuple[NDArray[np.int16], list[bool]]:
    """Quantise a batch; one payment whose numbers the model refuses must not fail the others."""
    import numpy as np

    quantiser = detector.model.quantiser
    numbers = np.ascontiguousarray(numbers, dtype=np.float64)
    try:
        return quantiser.inputs_of_array(numbers), [True] * len(numbers)
    except ModelInputError:
        inputs = np.zeros((len(numbers), quantiser.width), dtype=np.int16)
        known = []
        for at in range(len(numbers)):
            try:
                inputs[at] = quantiser.inputs_of_array(numbers[at : at + 1])[0]
                known.append(True)
            except ModelInputError:
                known.append(False)
        return inputs, known


def _packed(rows: Any) -> list[bytes]:
    """Return each row's bytes, big-endian."""
    data = rows.astype(rows.dtype.newbyteorder(">")).tobytes()
    size = rows.shape[1] * rows.dtype.itemsize
    return [data[at : at + size] for at in range(0, len(data), size)]
