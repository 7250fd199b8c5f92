"""How far a model may decide: by itself, with a person who confirms, not at all.

- Modes, each stricter than the one before: ``normal``, ``confirm`` (answers in the given bands of the score wait for
  a person), ``rules`` (a written rule decides in the model's place), ``refuse`` (nobody decides).
- A control is for one model or for all; of the two the stricter counts.
- A control whose time is over does not fall back to what was before: it becomes ``refuse`` until a person sets it anew.
- Anybody may make a control stricter; two different persons are needed to make it less strict.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tallystick.errors import AccessDeniedError, ConfigurationError, StatementError, TallystickError

from ._persons import is_same_person
from ._seen import Seen

__all__ = ["EVERY_MODEL", "MODES", "Band", "Control", "Controls"]

MODES: Final = ("normal", "confirm", "rules", "refuse")
EVERY_MODEL: Final = "all"
AT_EXPIRY: Final = "refuse"
_model_hash = re.compile(r"[0-9a-f]{64}").fullmatch


@dataclass(frozen=True, slots=True)
class Band:
    """A part of the range of scores.

    Args:
        name: what it means for people, for example "high risk".
        low: the least score in it; None for no bound.
        high: the first score above it; None for no bound.
    """

    name: str
    low: int | None = None
    high: int | None = None

    def holds(self, score: int) -> bool:
        """Say whether a score lies in it."""
        return (self.low is None or score >= self.low) and (self.high is None or score < self.high)


@dataclass(frozen=True, slots=True)
class Control:
    """One setting.

    Args:
        mode: of `MODES`.
        bands: with ``confirm``: the scores that a person has to confirm; all of them when empty.
        until: microseconds since the epoch after which it becomes ``refuse``; None for no end.
        statement: id of the statement that set it; empty for the first state of things.

    Raises:
        ConfigurationError: no such mode, or bands that do not belong.
    """

    mode: str = "normal"
    bands: tuple[Band, ...] = ()
    until: int | None = None
    statement: str = ""

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigurationError(f"a mode must be one of {', '.join(MODES)}, got {self.mode[:20]!r}")
        if self.bands and self.mode != "confirm":
            raise ConfigurationError("bands belong to the mode confirm only")
        if any(None not in (band.low, band.high) and band.low >= band.high for band in self.bands):  # type: ignore[operator]
            raise ConfigurationError("a band must begin below its end")

    @property
    def strictness(self) -> int:
        """Where the mode stands in `MODES`."""
        return MODES.index(self.mode)

    def at(self, now: int) -> Control:
        """Return what counts at a time: itself, or ``refuse`` when its time is over."""
        if self.until is not None and now >= self.until:
            return Control(AT_EXPIRY, statement=self.statement)
        return self

    def asks_a_person(self, scores: tuple[int, ...]) -> bool:
        """Say whether an answer with these scores has to be confirmed.

        Args:
            scores: one per head, the largest counts; empty for a model without integer scores, which always asks.
        """
        if self.mode != "confirm":
            return False
        return not self.bands or not scores or any(band.holds(max(scores)) for band in self.bands)

    def body(self, *, scope: str, reason: str) -> dict[str, Any]:
        """Return the body of ``control.set``."""
        bands = [
            {
                "name": band.name,
                **{key: value for key in ("low", "high") if (value := getattr(band, key)) is not None},
            }
            for band in self.bands
        ]
        until = {} if self.until is None else {"until": self.until}
        return {
            "bands": bands,
            "mode": self.mode,
            "reason": reason,
            "scope": scope,
            "then": AT_EXPIRY,
            **until,
        }

    @staticmethod
    def of(body: Mapping[str, Any], *, statement: str = "") -> Control:
        """Read the body of ``control.set``.

        Raises:
            ConfigurationError: it is not one that `body` makes.
        """
        try:
            bands = tuple(Band(band["name"], band.get("low"), band.get("high")) for band in body["bands"])
            return Control(body["mode"], bands, body.get("until"), statement)
        except (AttributeError, KeyError, TypeError) as error:
            raise ConfigurationError("a control's bands cannot be read") from error


class Controls:
    """The controls as the statements of a journal tell them, in order."""

    def __init__(self) -> None:
        self._set: dict[str, Control] = {}

    def for_model(self, model: str, now: int) -> Control:
        """Return what counts for a model now: the stricter of its own control and the one for all models.

        Args:
            model: its hash.
            now: microseconds since the epoch.
        """
        own, general = (self._set.get(scope, Control()).at(now) for scope in (model, EVERY_MODEL))
        if own.mode == general.mode == "confirm" and own.bands and general.bands:
            return Control("confirm", (*own.bands, *general.bands), statement=own.statement)
        if own.mode == general.mode == "confirm":
            return own if not own.bands else general
        return max(own, general, key=lambda control: control.strictness)

    def objection(self, seen: Seen) -> TallystickError | None:
        """Say why a ``control.set`` does not count; None when it does."""
        try:
            control = Control.of(seen.body, statement=seen.id)
        except ConfigurationError as error:
            return error
        if seen.sealed is None:
            return StatementError("who set a control must be known")
        if seen.body["scope"] != EVERY_MODEL and not _model_hash(seen.body["scope"]):
            # A kill switch that names no model would stop none, and nobody would notice.
            return StatementError(f"the scope of a control must be a model's hash or {EVERY_MODEL}")
        by, second = seen.sealed.get("by"), seen.sealed.get("second")
        before = self._set.get(seen.body["scope"], Control()).at(seen.at)
        if not by:
            return StatementError("who sets a control must be named")
        if _is_looser(control, before) and (not second or is_same_person(by, second)):
            return AccessDeniedError(
                f"two different persons are needed to go from {before.mode} to {control.mode}",
                hint="name the second person too; making a control stricter takes one",
            )
        return None

    def see(self, seen: Seen) -> None:
        """Take a statement up; one that breaks the rules changes nothing."""
        if self.objection(seen) is None:
            self._set[seen.body["scope"]] = Control.of(seen.body, statement=seen.id)


def _is_looser(control: Control, before: Control) -> bool:
    if control.strictness < before.strictness or _lasts_longer(control, before):
        return True
    if control.mode != "confirm" or before.mode != "confirm":
        return False
    # Every band that was confirmed must still be: fewer questions to people count as looser.
    return bool(control.bands) and (not before.bands or not set(before.bands) <= set(control.bands))


def _lasts_longer(control: Control, before: Control) -> bool:
    """Say whether it puts off the end at which everything would have been refused."""
    if before.until is None or control.mode == AT_EXPIRY:
        return False
    return control.until is None or control.until > before.until
