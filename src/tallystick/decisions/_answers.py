"""What a desk answers, and what may honestly be said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tallystick.errors import ConfigurationError, ModelInputError
from tallystick.models import Reason
from tallystick.proof import Receipt

from ._levels import Audience, find_level

__all__ = ["Answer", "ReceiptSource", "words_for"]


class ReceiptSource(Protocol):
    """Whoever makes receipts of its statements; a `Node` does."""

    def receipt(self, id_or_index: str | int, *, disclose: Sequence[str] | None = None) -> Receipt: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """A decision with what it rests on; it exists only after its statement is durable.

    Args:
        decision: the label decided for; empty while a person has to confirm it.
        proposal: what the model proposes while a person has to confirm it; else empty.
        scores: whole numbers, one per head; of an opaque or external model in millionths; empty where a rule answered.
        probability: of the second label, or of the one decided for when there are more than two; None when unknown.
        reasons: what moved the score most, the largest first; none of an opaque or external model.
        level: ``L0`` to ``L4``.
        model: the model's hash; empty where a rule answered.
        statement: id of the statement that says so.
        flags: names of the cells that were clipped or unknown to the model.
        words: what the level means for this very answer.
        who_sees: who sees its input and the model's weights.
        until: microseconds since the epoch until which a person may confirm; None when nobody has to.
        source: makes the receipt; None where the desk's recorder makes none.
    """

    decision: str
    proposal: str
    scores: tuple[int, ...]
    probability: float | None
    reasons: tuple[Reason, ...]
    level: str
    model: str
    statement: str
    flags: tuple[str, ...]
    words: str
    who_sees: Audience
    until: int | None = None
    source: ReceiptSource | None = field(default=None, repr=False, compare=False)

    def receipt(self, *, disclose: Sequence[str] | None = None) -> Receipt:
        """Make the receipt of the answer's statement.

        Args:
            disclose: paths of sealed fields to open; None keeps all closed, an empty list opens all.

        Raises:
            ConfigurationError: the desk's recorder makes no receipts.
            DisclosureError: a field is not there, or was erased.
        """
        if self.source is None:
            raise ConfigurationError(
                "who recorded this answer makes no receipts", hint="ask at a node's desk"
            )
        return self.source.receipt(self.statement, disclose=disclose)

    @property
    def is_pending(self) -> bool:
        """Whether a person has to confirm it before it is a decision."""
        return self.until is not None

    @property
    def score(self) -> int:
        """The one score of a model with two labels.

        Raises:
            ModelInputError: there is none, or there are several.
        """
        if len(self.scores) != 1:
            raise ModelInputError(f"this answer has {len(self.scores)} scores, not one: see `scores`")
        return self.scores[0]


def words_for(
    level: str, *, reexecutable: bool, pending: bool = False, rule: str = "", about: str = ""
) -> str:
    """Return what may be said of an answer at a level.

    Args:
        level: ``L0`` to ``L4``.
        reexecutable: whether anybody with model and input computes the same score.
        pending: whether a person has to confirm it.
        rule: the name of the rule that answered in the model's place.
        about: what a foreign model says of itself.
    """
    words = find_level(level).claim
    if rule:
        words += f", by its written rule {rule}; no model was asked"
    elif reexecutable:
        words += "; whoever is given the model and the input can compute it again"
    else:
        words += "; it cannot be re-executed, so nobody can check it"
        words += f": {about}" if about else ""
    return f"a proposal that a person has to confirm: {words}" if pending else words
