"""Shadow mode: the present scorer goes on deciding, Tallystick states what it decided and scores beside it.

This is how a bank starts: nothing of its system changes, and from the first day on its decisions can be proved. What
is stated is the present scorer's decision, under its own hash; ours stands beside it, sealed, and decides nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from tallystick.apps.fraud.features import FeatureSource
from tallystick.apps.fraud.payments import Payment
from tallystick.errors import DataError
from tallystick.models import IntegerModel
from tallystick.proof import Clock, Draft, Entry, system_clock

from ._present import PresentScorer

__all__ = ["Observed", "Recorder", "Shadow"]

BATCH: Final = 512  # payments that are stated together


class Recorder(Protocol):
    """Whoever makes statements durable; a `Node` does."""

    def record_many(self, drafts: Sequence[Draft]) -> Sequence[Entry]: ...


@dataclass(frozen=True, slots=True)
class Observed:
    """One payment with both scores.

    Args:
        payment: which one.
        present: the present scorer's score, its own scale.
        alert: whether the present scorer raised an alert: it decided.
        score: ours, integer.
        statement: id of the statement.
    """

    payment: Payment
    present: float
    alert: bool
    score: int
    statement: str


class Shadow:
    """Observes the present scorer.

    Args:
        recorder: makes the statements durable.
        present: what decides today.
        model: ours.
        features: where our model's numbers come from.
        published: statement that published the present scorer's description; linked when given.
        beside: statement that published our model; linked when given.
        clock: microseconds since the epoch.

    Raises:
        DataError: our model reads a column that is not among the features.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        present: PresentScorer,
        model: IntegerModel,
        features: FeatureSource,
        published: str = "",
        beside: str = "",
        clock: Clock = system_clock,
    ) -> None:
        names = list(features.names)
        missing = [name for name in model.quantiser.names if name not in names]
        if missing:
            raise DataError(
                f"the model reads {len(missing)} columns that are no features, such as {missing[0]}"
            )
        self._columns = [names.index(name) for name in model.quantiser.names]
        self._recorder, self._present, self._model, self._features = recorder, present, model, features
        self._links = {
            label: [statement] for label, statement in (("model", published), ("beside", beside)) if statement
        }
        self._clock = clock

    def observe(self, payments: Sequence[Payment]) -> list[Observed]:
        """State what the present scorer decided about payments, with our score beside it.

        Args:
            payments: in the order of their arrival.

        Returns:
            One for each payment; its statement is durable.

        Raises:
            DataError, ScorerError, ScorerUnreachableError: the present scorer said nothing usable; nothing of that
                batch was stated.
            StorageError: it could not be recorded.
        """
        observed = []
        for start in range(0, len(payments), BATCH):
            observed += self._observe(payments[start : start + BATCH])
        return observed

    def _observe(self, payments: Sequence[Payment]) -> list[Observed]:
        received = self._clock()
        features = self._features.take(payments)
        said = self._present.say(payments, features)
        inputs = self._model.quantiser.inputs_of_array(features[:, self._columns])
        scores = self._model.scores_inputs_many(inputs)[:, 0].tolist()
        stored = [base64.b64encode(row.astype(">i2").tobytes()).decode() for row in inputs]
        drafts = [
            Draft(
                "decision.made",
                {"level": "L0", "model": self._present.hash},
                self._links,
                fields={
                    "answer": "review" if one.alert else "approve",
                    "beside": {"features": packed, "model": self._model.hash, "score": score},
                    "payment": payment.record(),
                    "received_at": received,
                    # Decimals travel as text: a statement holds no floats.
                    "score": f"{one.score:.6f}",
                },
                subject=payment.customer,
            )
            for payment, one, score, packed in zip(payments, said, scores, stored, strict=True)
        ]
        entries = self._recorder.record_many(drafts)
        return [
            Observed(payment, one.score, one.alert, score, entry.id)
            for payment, one, score, entry in zip(payments, said, scores, entries, strict=True)
        ]
