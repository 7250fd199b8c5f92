"""Kinds of statements: what may stand in a statement's body.

A kind is data: a name ``noun.verb`` and its fields. Append is strict; at verification an unknown kind is
``claimed: unknown kind`` and no failure, because a later Tallystick or another application may know it.

Field types: ``text`` (1 to 500 characters), ``count`` (integer >= 0), ``integer``, ``flag``, ``digest``
(64 hex digits), ``decimal`` (a number as text), ``names`` (list of texts), ``object`` (any JSON of the
profile). A trailing ``?`` makes a field optional. Every body may carry ``author``: bytes that somebody else
signed (see ``author_message``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tallystick.errors import StatementError
from tallystick.proof._encoding import JSON_INTEGER_LIMIT, check_json

__all__ = ["STANDARD_KINDS", "Kind", "Kinds"]

TEXT_LIMIT = 500  # characters
NAMES_LIMIT = 200  # items

_kind_name = re.compile(r"[a-z][a-z0-9]{0,31}(?:-[a-z0-9]{1,31})*\.[a-z][a-z0-9]{0,31}").fullmatch
_digest = re.compile(r"[0-9a-f]{64}").fullmatch
_decimal = re.compile(r"-?(?:0|[1-9][0-9]{0,30})(?:\.[0-9]{1,30})?").fullmatch

_Check = Callable[[Any], object]


def _is_text(value: Any) -> bool:
    return type(value) is str and 1 <= len(value) <= TEXT_LIMIT


def _is_object(value: Any) -> bool:
    check_json(value, depth=6)
    return True


_TYPES: dict[str, _Check] = {
    "count": lambda value: type(value) is int and 0 <= value <= JSON_INTEGER_LIMIT,
    "decimal": lambda value: type(value) is str and _decimal(value),
    "digest": lambda value: type(value) is str and _digest(value),
    "flag": lambda value: type(value) is bool,
    "integer": lambda value: type(value) is int and abs(value) <= JSON_INTEGER_LIMIT,
    "names": lambda value: type(value) is list and len(value) <= NAMES_LIMIT and all(map(_is_text, value)),
    "object": _is_object,
    "text": _is_text,
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of statement.

    Args:
        name: ``noun.verb``, lower case.
        fields: field name -> type, with ``?`` behind the type of an optional one.
        title: what it says, for people.
    """

    name: str
    fields: Mapping[str, str]
    title: str = ""
    _checks: dict[str, _Check] = field(init=False, repr=False, compare=False)
    _required: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not _kind_name(self.name):
            raise StatementError("a kind's name must be noun.verb in lower case")
        unknown = {kind.rstrip("?") for kind in self.fields.values()} - set(_TYPES)
        if unknown:
            raise StatementError(
                f"expected field types {', '.join(sorted(_TYPES))}, got {', '.join(sorted(unknown))}"
            )
        checks = {name: _TYPES[kind.rstrip("?")] for name, kind in self.fields.items()}
        object.__setattr__(self, "_checks", {**checks, "author": _is_object})
        required = tuple(name for name, kind in self.fields.items() if not kind.endswith("?"))
        object.__setattr__(self, "_required", required)

    def check(self, body: Mapping[str, Any]) -> None:
        """Check a body against this kind.

        Raises:
            StatementError: a field is missing, unknown or of another type.
        """
        checks = self._checks
        for name, value in body.items():
            check = checks.get(name)
            if check is None:
                raise StatementError(f"{self.name} has no field {name!r}", hint=self._hint())
            if not check(value):
                raise StatementError(f"{self.name}: field {name!r} must be {self.fields[name].rstrip('?')}")
        for name in self._required:
            if name not in body:
                raise StatementError(f"{self.name} needs the field {name!r}", hint=self._hint())

    def _hint(self) -> str:
        fields = ", ".join(f"{name}: {kind}" for name, kind in sorted(self.fields.items()))
        return f"fields of {self.name}: {fields}"


class Kinds:
    """An immutable set of kinds."""

    __slots__ = ("_kinds",)

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._kinds = {kind.name: kind for kind in kinds}

    def __contains__(self, name: object) -> bool:
        return name in self._kinds

    def __iter__(self) -> Any:
        return iter(sorted(self._kinds.values(), key=lambda kind: kind.name))

    def extended(self, kinds: Iterable[Kind]) -> Kinds:
        """These kinds and an application's own.

        Raises:
            StatementError: a name is taken with other fields.
        """
        merged = dict(self._kinds)
        for kind in kinds:
            if merged.setdefault(kind.name, kind) != kind:
                raise StatementError(f"the kind {kind.name} exists already with other fields")
        return Kinds(merged.values())

    def check(self, name: str, body: Mapping[str, Any]) -> None:
        """Check a body against its kind, strictly.

        Raises:
            StatementError: unknown kind, or a body that does not fit.
        """
        kind = self._kinds.get(name)
        if kind is None:
            raise StatementError(
                f"unknown kind {name!r}", hint=f"known kinds: {', '.join(sorted(self._kinds))}"
            )
        kind.check(body)


STANDARD_KINDS = Kinds(
    [
        Kind("access.allowed", {"purpose": "text", "chain": "object?"}, "access was given"),
        Kind(
            "access.denied", {"purpose": "text", "reason": "text", "chain": "object?"}, "access was refused"
        ),
        Kind(
            "anchor.made", {"chain": "object", "root": "digest", "size": "count"}, "a head stands on a chain"
        ),
        Kind(
            "answer.challenged",
            {"chain": "object", "model": "digest", "request": "digest"},
            "an oracle's answer is wrong",
        ),
        Kind(
            "answer.given",
            {"chain": "object", "level": "text", "model": "digest", "request": "digest"},
            "an oracle answers a contract",
        ),
        Kind("card.issued", {"card": "digest", "number": "count"}, "the party's next card"),
        Kind(
            "chain.moved",
            {"chain": "object", "root": "digest", "size": "count", "was": "object"},
            "heads go to another chain from here on",
        ),
        Kind("consent.granted", {"purpose": "text", "chain": "object?", "until": "text?"}, "a consent"),
        Kind("consent.revoked", {"chain": "object?"}, "a consent ends"),
        Kind(
            "control.set",
            {
                "bands": "object",
                "mode": "text",
                "reason": "text",
                "scope": "text",
                "then": "text",
                "until": "count?",
            },
            "how far a model may decide",
        ),
        Kind("data.assessed", {"findings": "count", "report": "object"}, "what was found in a data set"),
        Kind("data.registered", {"rows": "text", "schema": "text", "licence": "text?"}, "a data set exists"),
        Kind("decision.appealed", {"then": "text", "until": "count"}, "an affected person objects"),
        Kind("decision.confirmed", {}, "a person confirms what a model proposed"),
        Kind("decision.made", {"model": "digest", "level": "text", "permit": "object?"}, "a model decided"),
        Kind("decision.overridden", {"reason": "text"}, "a person decided otherwise"),
        Kind(
            "decision.proposed",
            {"level": "text", "model": "digest", "permit": "object?", "then": "text", "until": "count"},
            "a model proposes, a person decides",
        ),
        Kind("decision.reviewed", {"outcome": "text"}, "a person looked at a decision again"),
        Kind("decision.ruled", {"permit": "object?", "rule": "text"}, "a rule decided in a model's place"),
        Kind("document.recorded", {"title": "text"}, "a document, of any form"),
        Kind(
            "endpoint.quarantined",
            {
                "block": "count?",
                "endpoint": "text",
                "member": "text?",
                "reason": "text",
                "seconds": "count",
                "words": "text",
            },
            "a member's endpoint said what others contradict, or lags",
        ),
        Kind("erasure.done", {"out_of_reach": "names"}, "keys and ciphertext are gone"),
        Kind(
            "evaluation.reported",
            {
                "cohort": "text",
                "figures": "object",
                "gate": "digest?",
                "model": "digest",
                "passed": "flag?",
                "rows": "count",
            },
            "how good a model is",
        ),
        Kind(
            "log.checked",
            {
                "anchored": "count?",
                "compared": "count",
                "party": "text",
                "root": "digest",
                "since": "count",
                "size": "count",
            },
            "another party's log was followed, and everything fitted",
        ),
        Kind(
            "log.doubted",
            {"party": "text", "size": "count", "what": "text"},
            "another party's log did not fit what it showed before",
        ),
        Kind(
            "log.forked",
            {"evidence": "digest", "party": "text", "size": "count", "what": "text"},
            "another party's log signed two histories",
        ),
        Kind("model.approved", {"model": "digest"}, "a party approves another party's model"),
        Kind(
            "model.published",
            {"family": "text", "model": "digest", "name": "text", "parent": "digest?", "version": "count"},
            "a model exists",
        ),
        Kind("model.promoted", {"model": "digest", "override": "text?"}, "a model is in use"),
        Kind("model.retired", {"model": "digest", "reason": "text"}, "a model is no longer in use"),
        Kind("override.signed", {"model": "digest", "reason": "text"}, "a party lets a model pass its gate"),
        Kind(
            "retention.disposed",
            {"first": "count", "keep": "names?", "last": "count"},
            "old entries are gone, but for some kinds",
        ),
        Kind(
            "retention.held",
            {"first": "count?", "last": "count?", "reason": "text", "until": "count?"},
            "a legal hold: nothing is disposed of or erased",
        ),
        Kind("retention.released", {"reason": "text"}, "a legal hold ends"),
        Kind(
            "round.closed",
            {"aggregate": "digest", "round": "count", "run": "text", "updates": "count"},
            "a round's result",
        ),
        Kind(
            "round.opened",
            {"round": "count", "run": "text", "sites": "count", "model": "digest?"},
            "a round begins",
        ),
        Kind(
            "update.committed",
            {"round": "count", "run": "text", "update": "digest"},
            "a site's update, sealed",
        ),
    ]
)
