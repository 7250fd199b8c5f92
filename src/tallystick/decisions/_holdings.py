"""What an oracle node or a watcher holds to score a request by itself: models, and openings that fit."""

from __future__ import annotations

import logging
from typing import Any

from tallystick.errors import (
    DamagedError,
    EvidenceError,
    InputError,
    MissingExtraError,
    ModelInputError,
    NotFoundError,
    RetiredModelError,
    TallystickError,
)
from tallystick.models import IntegerModel, unpack_inputs

from ._asking import ModelSource
from ._openings import Opening, Openings, OpeningSource
from ._requests import RequestInHand

__all__ = ["Holdings"]

_log = logging.getLogger(__name__)


class Holdings:
    """Models by hash and openings by request.

    Args:
        models: finds models by hash.
        openings: what is kept already.
        source: asked for an opening that is not kept; it may give anything, so everything is checked.
        forget: whether an opening is deleted when its request has ended; it holds the input. Not for a store in which
            one keeps what opens one's own requests.
    """

    def __init__(
        self, models: ModelSource, openings: Openings, source: OpeningSource, *, forget: bool = False
    ) -> None:
        self._models, self._openings, self._source, self._forget = models, openings, source, forget
        self._loaded: dict[str, IntegerModel | None] = {}  # None: nobody can compute that one again

    def output(self, request: RequestInHand, *, also_retired: bool = False) -> int | None:
        """Compute what the request's model answers to the committed input; None while that cannot be done.

        Args:
            request: as the chain shows it.
            also_retired: whether a retired model is scored too; a watcher must, a node must not.
        """
        model, opening = self._model(request.terms.model, also_retired=also_retired), self.opening(request)
        if model is None or opening is None:
            return None
        try:
            inputs = unpack_inputs(opening.words, model.quantiser.width)
        except ModelInputError as error:
            _log.warning("request %s: the committed input does not fit the model: %s", request.id[:12], error)
            return None
        return model.answer(model.scores_inputs(inputs))

    def opening(self, request: RequestInHand) -> Opening | None:
        """Return the request's opening, checked against its commitment and kept; None while there is none."""
        for source in (self._openings, self._source):
            try:
                found = source.fetch(request.id)
                if found is None:
                    continue
                found = found.of(request.id)
                found.check(request.terms.input)
                if source is not self._openings:
                    self._openings.take(found, request.terms.input)
            except TallystickError as error:
                # One requester's mistake, or one damaged file, must not stop the answers to all others.
                _log.warning("request %s: %s", request.id[:12], error)
                continue
            return found
        return None

    def ended(self, request: str) -> None:
        """Hear that nothing will be due for a request any more."""
        if self._forget:
            self._openings.drop(request)

    def published(self, model: str) -> str:
        """Return the statement that published a model; empty when it is not known here."""
        try:
            return self._models.find(model).published
        except (NotFoundError, RetiredModelError):
            return ""

    def _model(self, model: str, *, also_retired: bool) -> IntegerModel | None:
        try:
            version = self._models.find(model)
            if version.stage == "retired" and not also_retired:
                return None
            if model in self._loaded:
                return self._loaded[model]
            found: Any = self._models.model(version)
        except (DamagedError, EvidenceError, InputError, MissingExtraError) as error:
            # Anybody may ask for any model that is published: one that cannot be opened must not stop the others.
            _log.warning("a model that is asked for cannot be scored here: %s", error)
            return None
        # What was opened in vain is not opened again: it may be large, and who asks has paid a fee of nothing.
        self._loaded[model] = found if isinstance(found, IntegerModel) and found.hash == model else None
        return self._loaded[model]
