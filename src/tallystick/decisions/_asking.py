"""The desk where a party asks its models: an answer leaves only after the statement of it is durable.

- Fails closed: an unknown or retired model, an input that does not fit, a permit that is refused, a control that
  stops models, or a journal that cannot write ends in an error, and no answer.
- Input, scores, reasons and who asked stand in the sealed payload; everybody may read only the model's hash, the
  level and what permitted it.
- A control that was set while the answer was on its way counts: the answer is kept back then.

    desk = Desk(node, registry, oversight=Oversight(node))
    answer = desk.ask("heart", row, permit=permit_id, subject="patient 17")
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tallystick.errors import (
    AccessDeniedError,
    DefectError,
    ModelInputError,
    RetiredModelError,
)
from tallystick.models import ForeignModel, IntegerModel, Reason, Row, Scored, ask_row
from tallystick.proof import Clock, Draft, Entry, system_clock

from ._answers import Answer, words_for
from ._controls import Control
from ._levels import LEVELS, before_revealing
from ._oversight import THEN_LAPSES, Oversight

__all__ = ["ChainFact", "CheckPermit", "Desk", "ModelSource", "ModelVersion", "Permit", "Recorder", "Rule"]

LEVEL: Final = "L0"  # what a desk can promise: its own word
MAX_KEPT: Final = 32  # models kept in memory
_EXACT: Final = 2**53 - 1  # what JSON holds exactly; a larger score is written as text


class Recorder(Protocol):
    """Whoever makes statements durable; a `Node` does."""

    def record_many(self, drafts: Sequence[Draft]) -> Sequence[Entry]: ...


class ModelVersion(Protocol):
    """One version of a model, as a registry knows it."""

    @property
    def hash(self) -> str: ...
    @property
    def published(self) -> str: ...
    @property
    def stage(self) -> str: ...


class ModelSource(Protocol):
    """Where models come from; the registry is one."""

    def find(self, what: str) -> ModelVersion: ...
    def model(self, version: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class ChainFact:
    """Something that stands on a chain, as statements refer to it.

    Args:
        chain: the chain's id.
        contract: its address, 0x hex.
        block: number of the block.
        id: which fact of the contract's.
    """

    chain: int
    contract: str
    block: int
    id: str

    def body(self) -> dict[str, Any]:
        """Return it as it stands in a statement's body."""
        return {"block": self.block, "chain": self.chain, "contract": self.contract, "id": self.id}


@dataclass(frozen=True, slots=True)
class Rule:
    """A written rule that decides while models are switched off.

    Args:
        name: by which people find its text.
        decide: row -> label.
    """

    name: str
    decide: Callable[[Row], str]


Permit = str | ChainFact
"""The id of a statement, or a fact on a chain."""

CheckPermit = Callable[[Permit | None, str, str], bool]
"""(permit, model's hash, subject) -> whether the ask is permitted."""


@dataclass(frozen=True, slots=True)
class _Answered:
    """What a model says of one row, with its reasons where it can give them."""

    scored: Scored
    reasons: tuple[Reason, ...] = ()
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Asked:
    """What all rows of one ask share."""

    version: ModelVersion
    control: Control
    permit: Permit | None
    links: Mapping[str, Sequence[str]]
    by: str


class Desk:
    """Where a party asks its models.

    Args:
        recorder: makes the statements durable, and the answers' receipts where it can (see `ReceiptSource`).
        models: finds models by name or hash.
        oversight: the controls that count; without it none do.
        check_permit: may refuse an ask; everything is permitted when None.
        rule: decides in the mode ``rules``; without one that mode refuses.
        clock: microseconds since the epoch.
    """

    def __init__(
        self,
        recorder: Recorder,
        models: ModelSource,
        *,
        oversight: Oversight | None = None,
        check_permit: CheckPermit | None = None,
        rule: Rule | None = None,
        clock: Clock = system_clock,
    ) -> None:
        self._recorder, self._models, self._oversight = recorder, models, oversight
        self._check_permit, self._rule, self._clock = check_permit, rule, clock
        self._source: Any = recorder if hasattr(recorder, "receipt") else None
        self._kept: dict[str, Any] = {}

    def ask(
        self,
        model: str,
        row: Row,
        *,
        permit: Permit | None = None,
        subject: str = "",
        k: int = 3,
        by: str = "",
        links: Mapping[str, Sequence[str]] | None = None,
        reveal: Collection[str] = (),
    ) -> Answer:
        """Ask a model about one row; see `ask_many`."""
        return self.ask_many(
            model, [row], permit=permit, subjects=[subject], k=k, by=by, links=links, reveal=reveal
        )[0]

    def ask_many(
        self,
        model: str,
        rows: Sequence[Row],
        *,
        permit: Permit | None = None,
        subjects: Sequence[str] | None = None,
        k: int = 3,
        by: str = "",
        links: Mapping[str, Sequence[str]] | None = None,
        reveal: Collection[str] = (),
    ) -> list[Answer]:
        """Ask a model about several rows: all are stated and answered, or none is.

        Args:
            model: name, name and version, or hash.
            rows: the model's columns, one mapping a row.
            permit: the statement or the fact on a chain that permits it; linked.
            subjects: whom each row is about; her key seals it. Nobody in particular when None.
            k: reasons an answer, 1 to 4.
            by: who asks; sealed, and barred from confirming and reviewing.
            links: label -> ids of more statements, such as the data that a row comes from.
            reveal: ``("scorer",)`` where the model is somebody else's program: it gets the rows.

        Returns:
            One answer a row, in order; each one's statement is durable.

        Raises:
            AccessDeniedError: the permit or a control refuses.
            DisclosureError: an external model, and `reveal` does not say that it may see the rows.
            ModelInputError: a row does not fit; nothing was stated.
            NotFoundError: there is no such model.
            RetiredModelError: it is not in use any more.
            StorageError: it could not be recorded, so there is no answer.
        """
        whom = [""] * len(rows) if subjects is None else subjects
        if len(whom) != len(rows):
            raise ModelInputError(f"there must be a subject for each of {len(rows)} rows, got {len(whom)}")
        version = self._version(model)
        for subject in dict.fromkeys(whom):
            self._ask_permit(permit, version.hash, subject)
        control = Control() if self._oversight is None else self._oversight.control(version.hash)
        if control.mode == "refuse":
            raise AccessDeniedError(
                "no model decides here now: a person has switched it off, or a control's time is over",
                hint="two persons can set another control",
            )
        if not rows:
            return []
        asked = _Asked(version, control, permit, links or {}, by)
        if control.mode == "rules":
            return self._ask_rule(asked, rows, whom)
        return self._ask_model(asked, rows, whom, k, reveal)

    def _version(self, model: str) -> ModelVersion:
        version = self._models.find(model)
        if version.stage == "retired":
            raise RetiredModelError("this model is retired", hint="ask the version that replaced it")
        if version.stage not in ("published", "promoted"):
            raise RetiredModelError(f"a model must be published or promoted, this one is {version.stage}")
        return version

    def _ask_permit(self, permit: Permit | None, model: str, subject: str) -> None:
        if self._check_permit is not None and self._check_permit(permit, model, subject) is not True:
            raise AccessDeniedError(
                "this ask is not permitted", hint="ask the data's owner for a permit that covers it"
            )

    def _load(self, version: ModelVersion) -> Any:
        model = self._kept.get(version.hash)
        if model is None:
            model = self._models.model(version)
            if model.hash != version.hash:
                raise DefectError("the source of models gave another model than it named")
            while len(self._kept) >= MAX_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[version.hash] = model
        return model

    def _ask_model(
        self, asked: _Asked, rows: Sequence[Row], whom: Sequence[str], k: int, reveal: Collection[str]
    ) -> list[Answer]:
        model = self._load(asked.version)
        # Somebody else's program gets the row as soon as it is asked.
        sees = before_revealing(LEVEL, reveal, external=model.family == "external").who_sees
        found = [_answer(model, row, k) for row in rows]
        waits = [asked.control.asks_a_person(one.scored.scores) for one in found]
        until = None if self._oversight is None else self._until(self._oversight)
        drafts = [
            _draft(asked, row, one, subject, until if wait else None)
            for row, one, subject, wait in zip(rows, found, whom, waits, strict=True)
        ]
        entries = self._record(asked, drafts)
        about = "" if model.reexecutable else model.words
        return [
            Answer(
                decision="" if wait else one.scored.decision,
                proposal=one.scored.decision if wait else "",
                scores=one.scored.scores,
                probability=one.scored.probability,
                reasons=one.reasons,
                level=LEVEL,
                model=asked.version.hash,
                statement=entry.id,
                flags=one.flags,
                words=words_for(LEVEL, reexecutable=model.reexecutable, pending=wait, about=about),
                who_sees=sees,
                until=until if wait else None,
                source=self._source,
            )
            for one, wait, entry in zip(found, waits, entries, strict=True)
        ]

    def _ask_rule(self, asked: _Asked, rows: Sequence[Row], whom: Sequence[str]) -> list[Answer]:
        rule = self._rule
        if rule is None:
            raise AccessDeniedError("models are switched off and there is no written rule to decide")
        labels = [rule.decide(row) for row in rows]
        drafts = [
            Draft(
                "decision.ruled",
                {"rule": rule.name, **_permit_body(asked.permit)},
                _links(asked, control=asked.control.statement),
                fields={"answer": label, "input": dict(row), **({"asked_by": asked.by} if asked.by else {})},
                subject=subject,
            )
            for row, label, subject in zip(rows, labels, whom, strict=True)
        ]
        words = words_for(LEVEL, reexecutable=False, rule=rule.name)
        sees = LEVELS[LEVEL].who_sees
        return [
            Answer(label, "", (), None, (), LEVEL, "", entry.id, (), words, sees, source=self._source)
            for label, entry in zip(labels, self._record(asked, drafts), strict=True)
        ]

    def _until(self, oversight: Oversight) -> int:
        return self._clock() + oversight.deadlines.confirm_s * 1_000_000

    def _record(self, asked: _Asked, drafts: Sequence[Draft]) -> Sequence[Entry]:
        entries = self._recorder.record_many(drafts)
        if len(entries) != len(drafts):
            raise DefectError(f"expected {len(drafts)} statements to be durable, got {len(entries)}")
        if self._oversight is not None:
            now = self._oversight.control(asked.version.hash)
            if now != asked.control:
                # What was stated stands, but nobody gets to act on it by this answer.
                raise AccessDeniedError("a control was set while the answer was on its way", hint="ask again")
        return entries


def _answer(model: IntegerModel | ForeignModel, row: Row, k: int) -> _Answered:
    scored = ask_row(model, row)
    if isinstance(model, IntegerModel):
        reasons = model.reasons(row, k) if model.explains else ()
        return _Answered(scored, reasons, model.quantiser.flags(row))
    return _Answered(scored)


def _draft(asked: _Asked, row: Row, answered: _Answered, subject: str, until: int | None) -> Draft:
    scored = answered.scored
    sealed: dict[str, Any] = {
        "answer": scored.decision,
        "input": dict(row),
        "reasons": [
            {"contribution": _whole(reason.contribution), "feature": reason.feature, "text": reason.text}
            for reason in answered.reasons
        ],
    }
    if scored.probability is not None:
        sealed["probability"] = f"{scored.probability:.4f}"
    if len(scored.scores) == 1:
        sealed["score"] = _whole(scored.scores[0])
    elif scored.scores:
        sealed["scores"] = [_whole(score) for score in scored.scores]
    if answered.flags:
        sealed["flags"] = list(answered.flags)
    if asked.by:
        sealed["asked_by"] = asked.by
    body: dict[str, Any] = {"level": LEVEL, "model": asked.version.hash, **_permit_body(asked.permit)}
    links = _links(asked, model=asked.version.published)
    if until is None:
        return Draft("decision.made", body, links, fields=sealed, subject=subject)
    body |= {"then": THEN_LAPSES, "until": until}
    return Draft("decision.proposed", body, links, fields=sealed, subject=subject)


def _permit_body(permit: Permit | None) -> dict[str, Any]:
    return {"permit": permit.body()} if isinstance(permit, ChainFact) else {}


def _links(asked: _Asked, **own: str) -> dict[str, list[str]]:
    links = {label: list(ids) for label, ids in asked.links.items()}
    links.update({label: [statement] for label, statement in own.items() if statement})
    if isinstance(asked.permit, str):
        links["permit"] = [asked.permit]
    return links


def _whole(number: int) -> int | str:
    return number if abs(number) <= _EXACT else str(number)
