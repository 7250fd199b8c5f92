"""Replay: every decision computed again from what is sealed in it, its model and its rules, bit for bit.

What is compared: score, probability, rules that fired, action, status and its reason; the challenger's score where its
model is at hand. Reasons are not compared: they are words about these numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from tallystick.errors import ConfigurationError, DamagedError, DisclosureError
from tallystick.models import IntegerModel
from tallystick.proof import Entry

from ._detectors import Detector
from ._judging import outcome, probability_text
from ._restoring import RULES_KIND, is_ours
from ._rules import PaymentRule, RuleBook
from ._sealed import DECISION_KINDS, payment_of, unpacked

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Replayed", "replay", "replay_sealed"]

_CHUNK: Final = 2_048  # decisions that are scored together


class Records(Protocol):
    """A journal to read."""

    @property
    def size(self) -> int: ...
    def entries(
        self, start: int = 0, stop: int | None = None, *, kinds: Collection[str] | None = None
    ) -> Iterator[Entry]: ...
    def payload(self, entry: str | int | Entry) -> bytes | dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay found.

    Args:
        count: decisions that were computed again.
        differ: how many of them came out otherwise.
        first_difference: statement of the first that did; empty when none did.
        what: what differed in it, such as ``score``; empty when none did.
        unread: decisions that could not be opened, such as erased ones.
        by_model: how many were scored by each model; the empty name stands for rules alone.
    """

    count: int
    differ: int
    first_difference: str = ""
    what: str = ""
    unread: int = 0
    by_model: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _One:
    """One stored decision."""

    statement: str
    kind: str
    model: str
    rules: str
    sealed: Mapping[str, Any]


def replay(
    journal: Records,
    models: Callable[[str], IntegerModel],
    *,
    since: int = 0,
    stop: int | None = None,
    functions: Mapping[str, PaymentRule] | None = None,
) -> Replayed:
    """Compute an engine's decisions of a journal again.

    Args:
        journal: whose payloads can be opened.
        models: hash -> model.
        since: index of the first entry.
        stop: index behind the last entry; all when None.
        functions: rules that are functions of the program, by name.

    Raises:
        ConfigurationError: the rules of a decision are not in the journal, or are functions that are not given.
        DamagedError: a payload is not one that an engine seals.
        NotFoundError: a model is not there.
    """
    books = {
        entry.id: RuleBook.parse(_bytes(journal.payload(entry)), functions=functions)
        for entry in journal.entries(0, stop, kinds=(RULES_KIND,))
    }
    unread = 0

    def stored() -> Iterator[_One]:
        nonlocal unread
        for entry in journal.entries(since, journal.size if stop is None else stop, kinds=DECISION_KINDS):
            if not is_ours(entry):
                continue
            said = entry.statement
            try:
                sealed = journal.payload(entry)
            except DisclosureError:
                unread += 1
                continue
            if not isinstance(sealed, dict):
                raise DamagedError("a decision's payload is no record of fields")
            yield _One(entry.id, said.kind, said.body.get("model", ""), said.links["rules"][0], sealed)

    found = _replay(stored(), models, books)
    return Replayed(found.count, found.differ, found.first_difference, found.what, unread, found.by_model)


def replay_sealed(
    decisions: Iterable[tuple[str, str, str, Mapping[str, Any]]],
    models: Callable[[str], IntegerModel],
    book: RuleBook,
) -> Replayed:
    """Compute decisions again that were opened from receipts, such as those of a bundle.

    Args:
        decisions: statement, kind, the model's hash (empty for rules) and the opened fields of each.
        models: hash -> model.
        book: rules and policy, from the payload of the statement that they link.
    """
    stored = (_One(statement, kind, model, "", sealed) for statement, kind, model, sealed in decisions)
    return _replay(stored, models, {"": book})


def _replay(
    stored: Iterator[_One], models: Callable[[str], IntegerModel], books: Mapping[str, RuleBook]
) -> Replayed:
    known: dict[str, Detector] = {}

    def detector(model: str) -> Detector:
        if model not in known:
            known[model] = Detector(models(model))
            if known[model].hash != model:
                raise ConfigurationError("another model was given than was asked for")
        return known[model]

    count = differ = 0
    first, what = "", ""
    by_model: dict[str, int] = {}
    for chunk in _chunks(stored):
        told = _differences(chunk, detector, books)
        count += len(chunk)
        for one, difference in zip(chunk, told, strict=True):
            model = one.model if "score" in one.sealed else ""
            by_model[model] = by_model.get(model, 0) + 1
            if difference:
                differ += 1
                if not first:
                    first, what = one.statement, difference
    return Replayed(count, differ, first, what, by_model=by_model)


def _differences(
    chunk: Sequence[_One], detector: Callable[[str], Detector], books: Mapping[str, RuleBook]
) -> list[str]:
    """Return what differs in each decision; empty where nothing does."""
    told = [""] * len(chunk)
    for rules, book in books.items():
        places = [at for at, one in enumerate(chunk) if one.rules == rules]
        fired = _fired(book, [chunk[at].sealed for at in places])
        for at, found in zip(places, fired, strict=True):
            told[at] = _other_outcome(chunk[at], found, book, detector)
    if any(one.rules not in books for one in chunk):
        raise ConfigurationError("the rules that a decision was made by are not in this journal")
    for at in _other_scores(chunk, "score", detector):
        told[at] = told[at] or "score"
    for at in _other_scores(chunk, "challenger", detector):
        told[at] = told[at] or "challenger"
    return told


def _other_scores(chunk: Sequence[_One], of: str, detector: Callable[[str], Detector]) -> list[int]:
    """Return where a stored score is not the one that the stored inputs give.

    Args:
        chunk: stored decisions.
        of: ``score`` for the champion's, ``challenger`` for the challenger's.
        detector: hash -> model.
    """
    import numpy as np

    by_model: dict[str, list[tuple[int, int, bytes]]] = {}
    for at, one in enumerate(chunk):
        if of not in one.sealed:
            continue
        beside = one.sealed["challenger"] if of == "challenger" else {**one.sealed, "model": one.model}
        # A challenger with the champion's quantiser reads the champion's inputs.
        inputs = unpacked(beside.get("features") or one.sealed["features"])
        by_model.setdefault(beside["model"], []).append((at, beside["score"], inputs))
    wrong = []
    for model_hash, told in by_model.items():
        scorer = detector(model_hash).model
        rows = _matrix([inputs for _, _, inputs in told], ">i2", scorer.quantiser.width)
        scores = scorer.scores_inputs_many(rows.astype(np.int16))[:, 0].tolist()
        wrong += [at for (at, said, _), score in zip(told, scores, strict=True) if said != score]
    return wrong


def _fired(book: RuleBook, sealed: Sequence[Mapping[str, Any]]) -> list[list[PaymentRule]]:
    """Return the rules that fire on the stored facts."""
    if not sealed:
        return []
    payments = [payment_of(one) for one in sealed]
    reads = book.reads
    facts: dict[str, NDArray[np.float64]] = {}
    if reads:
        rows = [unpacked(one.get("rule_inputs", "")) for one in sealed]
        columns = _matrix(rows, ">f8", len(reads)).astype(float)
        facts = {name: columns[:, at] for at, name in enumerate(reads)}
    found: list[list[PaymentRule]] = [[] for _ in payments]
    for rule in book.rules:
        for at in rule.fired(payments, facts).nonzero()[0].tolist():
            found[at].append(rule)
    return found


def _other_outcome(
    one: _One, fired: Sequence[PaymentRule], book: RuleBook, detector: Callable[[str], Detector]
) -> str:
    """Say what follows otherwise from a stored score and the rules; empty when nothing does."""
    sealed = one.sealed
    score = sealed.get("score")
    if (one.kind == "decision.ruled") != (score is None):
        return "kind"
    if [rule.name for rule in fired] != list(sealed["rules"]):
        return "rules"
    if score is not None and probability_text(detector(one.model), score) != sealed["probability"]:
        return "probability"
    found = outcome(
        book.policy,
        score,
        fired,
        channel=sealed["payment"].get("channel", "card"),
        waits=one.kind == "decision.proposed",
        unscored=sealed.get("unscored") is True,
    )
    if (found.action, found.proposal) != (sealed["answer"], sealed.get("proposal", "")):
        return "action"
    return (
        "" if (found.status, found.status_reason) == (sealed["status"], sealed["status_reason"]) else "status"
    )


def _matrix(rows: Sequence[bytes], kind: str, width: int) -> Any:
    import numpy as np

    size = np.dtype(kind).itemsize * width
    if any(len(row) != size for row in rows):
        raise DamagedError(f"a packed field must have {size} bytes")
    return np.frombuffer(b"".join(rows), dtype=kind).reshape(len(rows), width)


def _chunks(stored: Iterator[_One]) -> Iterator[list[_One]]:
    chunk: list[_One] = []
    for one in stored:
        chunk.append(one)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _bytes(content: bytes | dict[str, Any]) -> bytes:
    if not isinstance(content, bytes):
        raise ConfigurationError("the rules' payload is no text")
    return content
