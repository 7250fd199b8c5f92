"""The scorer that decides today: somebody else's program, its dumped trees, or its scores in a file.

It goes on deciding. What it said is stated and proved as its word; only of dumped trees can the score be computed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Protocol

from tallystick.apps.fraud.payments import Payment
from tallystick.errors import ConfigurationError, DataError
from tallystick.models import ExternalModel, IntegerModel
from tallystick.proof import format_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["AskedScorer", "DumpedScorer", "FileScorer", "PresentScorer", "Said", "SaidScorer"]

MAX_NAME: Final = 200  # characters


@dataclass(frozen=True, slots=True)
class Said:
    """What the present scorer said of one payment.

    Args:
        score: higher is more suspicious; its own scale.
        alert: whether it stopped the payment or had it looked at.
    """

    score: float
    alert: bool


class PresentScorer(Protocol):
    """Whatever decides today."""

    @property
    def hash(self) -> str:
        """SHA-256 hex of what is known of it: its description, its trees, or how its file was read."""
        ...

    @property
    def words(self) -> str:
        """What may honestly be said of its answers."""
        ...

    def say(self, payments: Sequence[Payment], features: NDArray[np.float64]) -> list[Said]:
        """Return what it says of each payment.

        Args:
            payments: in the order of their arrival.
            features: ours, float64, shape (payments, features); for scorers that read them.
        """
        ...


class FileScorer:
    """Scores that were exported beside the payments.

    Args:
        said: payment id -> what it said.
        source: where they come from, in words; stands in the statement's model description.
    """

    words: Final = "the scores come from a file: that its scorer gave them is the bank's word"

    def __init__(self, said: Mapping[str, Said], *, source: str) -> None:
        self._said = said
        self.description: dict[str, Any] = {"source": source, "type": "tallystick/scores-in-a-file", "v": 1}
        self.hash = sha256(format_json(self.description)).hexdigest()

    def say(self, payments: Sequence[Payment], features: NDArray[np.float64]) -> list[Said]:
        """Look each payment's score up.

        Raises:
            DataError: a payment has none.
        """
        found = [self._said.get(payment.id) for payment in payments]
        missing = sum(one is None for one in found)
        if missing:
            raise DataError(f"{missing} of {len(payments)} payments have no score in the file")
        return [one for one in found if one is not None]


class SaidScorer:
    """A scorer that says itself what it decided, with each payment that it brings.

    Args:
        name: which one, in words, such as "our scorer v7"; another name is another scorer.

    Raises:
        ConfigurationError: a name of no or too many characters.
    """

    words: Final = "what it decided is what was brought with each payment: the bank's word"

    def __init__(self, name: str) -> None:
        if not 0 < len(name) <= MAX_NAME or not name.isprintable():
            raise ConfigurationError(f"a scorer's name must have 1 to {MAX_NAME} printable characters")
        self.name = name
        self.description: dict[str, Any] = {"source": name, "type": "tallystick/scores-as-said", "v": 1}
        self.hash = sha256(format_json(self.description)).hexdigest()


class DumpedScorer:
    """The present scorer's own trees (XGBoost, LightGBM), read from their dump as an integer model.

    Args:
        model: as `from_dump` made it; its columns are looked up among the features by name.
        names: what the features' columns are called.
        alert_from: least score that is an alert, in the model's integer units; its own threshold when None.

    Raises:
        DataError: it reads a column that is not among the features.
    """

    words: Final = "its score can be computed again from its own trees"

    def __init__(self, model: IntegerModel, *, names: Sequence[str], alert_from: int | None = None) -> None:
        places = {name: place for place, name in enumerate(names)}
        missing = [name for name in model.quantiser.names if name not in places]
        if missing:
            raise DataError(
                f"the dump reads {len(missing)} columns that are no features, such as {missing[0]}"
            )
        self._columns = [places[name] for name in model.quantiser.names]
        self.model, self.hash = model, model.hash
        self._alert_from = model.threshold if alert_from is None else alert_from

    def say(self, payments: Sequence[Payment], features: NDArray[np.float64]) -> list[Said]:
        """Score each payment's features."""
        inputs = self.model.quantiser.inputs_of_array(features[:, self._columns])
        scores = self.model.scores_inputs_many(inputs)[:, 0].tolist()
        return [Said(float(score), score >= self._alert_from) for score in scores]


class AskedScorer:
    """A scorer behind HTTP; it is asked as it is asked today, one payment a time.

    Args:
        model: with the description of what is asked and what comes back.
        alert: the label that means an alert; the model's second one when empty.
    """

    words: Final = "which program answered behind that address is its operator's word"

    def __init__(self, model: ExternalModel, *, alert: str = "") -> None:
        self._model, self.hash = model, model.hash
        self._alert = alert or model.labels[1]

    def say(self, payments: Sequence[Payment], features: NDArray[np.float64]) -> list[Said]:
        """Ask about each payment.

        Raises:
            ScorerError: an answer that does not fit its description.
            ScorerUnreachableError: no answer in time.
        """
        said, wanted = [], [field.name for field in self._model.description.request]
        for payment in payments:
            known = payment.record()
            row = {name: str(known[name]) if name in known else None for name in wanted}
            scored = self._model.score_row(row)
            score = scored.probability if scored.probability is not None else max(scored.scores, default=0)
            said.append(Said(float(score), scored.decision == self._alert))
        return said
