"""Shadow mode: the present scorer goes on deciding, Tallystick states what it decided and scores beside it.

This is how a bank starts: nothing of its system changes, and from the first day on its decisions can be proved. What
is stated is the present scorer's decision, under its own hash; ours stands beside it, sealed, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tallystick.apps.fraud.features import FeatureSource
from tallystick.apps.fraud.payments import Payment
from tallystick.models import IntegerModel
from tallystick.proof import Clock, system_clock

from ._present import PresentScorer
from ._stating import Observed, Ours, Recorder, draft_of

__all__ = ["Observed", "Recorder", "Shadow"]

BATCH: Final = 512  # payments that are stated together


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
        self._ours = Ours(model, features.names)
        self._recorder, self._present, self._features = recorder, present, features
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
        scored = self._ours.score(features)
        drafts = [
            draft_of(
                payment,
                one,
                ours,
                scorer=self._present.hash,
                model=self._ours.hash,
                links=self._links,
                received=received,
            )
            for payment, one, ours in zip(payments, said, scored, strict=True)
        ]
        entries = self._recorder.record_many(drafts)
        return [
            Observed(payment, one.score, one.alert, ours[0], entry.id)
            for payment, one, ours, entry in zip(payments, said, scored, entries, strict=True)
        ]
