"""The registry: which models a party has, in which version, how good they are, and which of them are in use.

- Every change is a statement in the party's journal, durable before it counts; the registry's own state is read
  from there, so a restart or a copy of the journal gives the same registry.
- Files are kept by their hash, before the statement that names them; a file that does not hash to its name is not
  the model that was published.
- A version comes into use (`promote`) only with an evaluation that passed a gate while the last one by no gate failed,
  or with an override that two different parties have signed, each with its reason. Nothing else does it.
- A version that was retired stays readable for ever, and is never in use again.

    registry = Registry(directory, journal=journal)
    version = registry.publish(model, "fraud", links={"round": [round_id]})
    registry.report(version, figures=evaluation.as_statement(), cohort="held out", gate=gate.hash, passed=True)
    registry.promote(version)
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from tallystick.errors import (
    AccessDeniedError,
    ModelFileError,
    ModelInputError,
    NotFoundError,
    RetiredModelError,
    VerificationError,
)
from tallystick.models._file import MAX_FILE_BYTES, parse_model
from tallystick.models._integer import IntegerModel
from tallystick.proof import (
    Draft,
    Entry,
    Files,
    Journal,
    OsFiles,
    Signer,
    read_whole,
    sign_as_author,
    verify_author,
    write_atomically,
)

OVERRIDE_PARTIES: Final = 2
MAX_MODEL_BYTES: Final = 512 * 2**20  # of a foreign file; ours stay far below
_OVERRIDE: Final = b"tallystick/override/v1\n"
_name = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?").fullmatch

Stage = Literal["published", "promoted", "retired"]


class RegisteredModel(Protocol):
    """What can be registered: an integer model, an opaque one or an external one."""

    @property
    def bytes(self) -> bytes: ...

    @property
    def hash(self) -> str: ...

    @property
    def family(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a model.

    Args:
        name: as it is asked for.
        number: from 1.
        hash: SHA-256 of its file, hex.
        family: "linear", "trees", "perceptron", "opaque" or "external".
        published: id of the statement that published it.
        stage: published, promoted (in use) or retired.
        parent: hash of the version that it replaces or grew from; empty for none.
        evaluations: ids of the statements that report how good it is.
        verdicts: (gate, statement id, whether it passed), the last of each gate.
        promoted: id of the statement that brought it into use; empty for none.
        overrides: reason and author key of every override that was signed for it.
    """

    name: str
    number: int
    hash: str
    family: str
    published: str
    stage: Stage = "published"
    parent: str = ""
    evaluations: tuple[str, ...] = ()
    verdicts: tuple[tuple[str, str, bool], ...] = ()
    promoted: str = ""
    overrides: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        """For example "heart@1"."""
        return f"{self.name}@{self.number}"

    @property
    def passed(self) -> tuple[str, ...]:
        """Ids of the last evaluations by each gate that passed."""
        return tuple(statement for _, statement, passed in self.verdicts if passed)

    @property
    def failed(self) -> tuple[str, ...]:
        """Ids of the last evaluations by each gate that did not pass."""
        return tuple(statement for _, statement, passed in self.verdicts if not passed)


def sign_override(
    model_hash: str, reason: str, *, signer: Signer, network: str, origin: str
) -> dict[str, str]:
    """Sign that a model may come into use although no evaluation of it passed a gate.

    Args:
        model_hash: of the model's file, hex.
        reason: why, in words that can be published.
        signer: the party's author key.
        network: name of the network.
        origin: the journal of the registry that is to carry it.

    Returns:
        What `Registry.promote` takes.
    """
    return sign_as_author(_override(model_hash, reason), signer=signer, network=network, origin=origin)


class Registry:
    """The models of one party; see the module's text.

    Args:
        directory: where files are kept, by hash; made when the first one comes.
        journal: the party's journal; writable unless the registry is only read.
        party_of: author key (did:key) -> id of the party whose card shows it, or None for a stranger.
        load: (family, bytes) -> a model of a family that is not an integer one.
        files: the disk.
    """

    def __init__(
        self,
        directory: Path,
        *,
        journal: Journal,
        party_of: Callable[[str], str | None] = lambda _key: None,
        load: Callable[[str, bytes], RegisteredModel] | None = None,
        files: Files | None = None,
    ) -> None:
        self._directory, self._journal, self._party_of, self._load = directory, journal, party_of, load
        self._files = files or OsFiles()
        self._versions: dict[str, Version] = {}  # by hash, in order of publication
        self._read = 0

    def versions(self, name: str = "") -> list[Version]:
        """All versions in order of publication, or those of one name."""
        self._catch_up()
        return [version for version in self._versions.values() if name in ("", version.name)]

    def find(self, what: str) -> Version:
        """Find a version.

        Args:
            what: "heart" (the one in use, or the newest when none ever was), "heart@2", or a hash of its file
                (at least six digits).

        Raises:
            NotFoundError: none, or several.
            RetiredModelError: a bare name of which every version that was in use is retired.
        """
        known = self.versions()
        found = [version for version in known if what in (version.hash, version.label)]
        if not found and len(what) >= 6 and re.fullmatch(r"[0-9a-f]+", what):
            found = [version for version in known if version.hash.startswith(what)]
        named = [version for version in known if version.name == what]
        if not found and named:
            found = [v for v in named if v.stage == "promoted"][-1:]
            if not found and all(version.stage == "retired" for version in named):
                raise RetiredModelError(
                    f"every version of {what} is retired",
                    hint="promote a newer version, or name one by number",
                )
            found = found or [v for v in named if v.stage == "published"][-1:]
        if len(found) != 1:
            labels = ", ".join(version.label for version in known) or "none"
            raise NotFoundError(f"expected one model {what!r}, got {len(found)}", hint=f"known: {labels}")
        return found[0]

    def lineage(self, version: Version) -> list[Version]:
        """Return the version and its ancestors that stand in this registry, newest first."""
        self._catch_up()
        line, at = [], self._versions.get(version.hash)
        while at is not None and at not in line:
            line.append(at)
            at = self._versions.get(at.parent)
        return line

    def model(self, version: Version) -> Any:
        """Read a version's file and return the model.

        Raises:
            ModelFileError: the file is not the one that was published.
            NotFoundError: the file is not kept here.
        """
        limit = MAX_FILE_BYTES if version.family in _integer_families() else MAX_MODEL_BYTES
        data = read_whole(self._files, self._place(version.hash), limit=limit)
        if hashlib.sha256(data).hexdigest() != version.hash:
            raise ModelFileError(f"the file of {version.label} is not the one that was published")
        if version.family in _integer_families():
            return parse_model(data)
        if self._load is None:
            raise ModelFileError(
                f"{version.label} is of the family {version.family}, which nothing here loads"
            )
        return self._load(version.family, data)

    def publish(
        self,
        model: RegisteredModel,
        name: str,
        *,
        links: Mapping[str, Sequence[str]] | None = None,
        parent: Version | str | None = None,
    ) -> Version:
        """Keep a model and state that it exists; the same file again changes nothing.

        Args:
            model: what to publish.
            name: 1 to 64 lower-case letters, digits, dots, hyphens and underscores.
            links: label -> ids of statements it comes from, such as "round" or "data".
            parent: the version that it replaces or grew from.

        Raises:
            ModelInputError: a name that cannot be, or this file is published under another name.
            NotFoundError: no such parent.
        """
        if not _name(name):
            raise ModelInputError("a model's name must be 1 to 64 lower-case letters, digits, ., - and _")
        self._catch_up()
        known = self._versions.get(model.hash)
        if known is not None:
            if known.name != name:
                raise ModelInputError(f"this very file is published as {known.label} already")
            return known
        before = self.find(parent) if isinstance(parent, str) else parent
        body: dict[str, Any] = {
            "family": model.family,
            "model": model.hash,
            "name": name,
            "version": 1 + max((version.number for version in self.versions(name)), default=0),
        }
        if before is not None:
            body["parent"] = before.hash
        data = model.bytes
        # The file first: a statement must never name a file that a crash here would lose.
        self._directory.mkdir(parents=True, exist_ok=True)
        write_atomically(self._files, self._place(model.hash), data)
        said = {label: list(ids) for label, ids in (links or {}).items()}
        own = isinstance(model, IntegerModel)
        media = "application/json" if own else "application/octet-stream"
        # A foreign file may be large: the statement commits to it, and it is kept here only, not twice.
        draft = Draft("model.published", body, said, payload=data, media=media, keep=own)
        self._journal.append_many([draft])
        self._catch_up()
        return self._versions[model.hash]

    def report(
        self,
        version: Version,
        *,
        figures: Mapping[str, Any],
        rows: int,
        cohort: str,
        gate: str = "",
        passed: bool | None = None,
        links: Mapping[str, Sequence[str]] | None = None,
    ) -> Version:
        """State how good a version is.

        Args:
            version: which one.
            figures: plain data of the statements' profile (decimals as text).
            rows: how many rows were judged.
            cohort: which rows, in words.
            gate: hash of the gate that was applied; empty for none.
            passed: what the gate said; "not enough data" is not passed.
            links: label -> ids, such as "data".

        Raises:
            ModelInputError: a verdict without a gate.
        """
        if bool(gate) != (passed is not None):
            raise ModelInputError("a verdict must name its gate, and a gate must have a verdict")
        body: dict[str, Any] = {
            "cohort": cohort,
            "figures": dict(figures),
            "model": version.hash,
            "rows": rows,
        }
        if gate:
            body |= {"gate": gate, "passed": bool(passed)}
        said = {label: list(ids) for label, ids in (links or {}).items()} | {"model": [version.published]}
        self._journal.append("evaluation.reported", body, links=said)
        return self._again(version)

    def promote(
        self,
        version: Version,
        *,
        override: Sequence[Mapping[str, str]] = (),
        reason: str = "",
        ask: Callable[[Version], None] | None = None,
    ) -> Version:
        """Bring a version into use.

        Args:
            version: which one.
            override: what two different known parties signed with `sign_override`, for a version whose evaluation
                did not pass.
            reason: the reason that they signed.
            ask: asked when all rules here hold, before the promotion is stated; whatever it raises refuses it.

        Raises:
            AccessDeniedError: no evaluation passed, and no override by two known parties.
            RetiredModelError: the version is retired.
            VerificationError: a signature of the override is false.
        """
        version = self._again(version)
        if version.stage == "retired":
            raise RetiredModelError(f"{version.label} is retired", hint="publish a new version")
        if version.stage == "promoted":
            return version
        links = {"evaluation": list(version.passed), "model": [version.published]}
        body: dict[str, Any] = {"model": version.hash}
        if override:
            links["override"] = self._state_override(version, override, reason)
            body["override"] = reason
        elif not version.passed or version.failed:
            raise AccessDeniedError(
                f"the last evaluation of {version.label} by a gate has not passed"
                if version.failed
                else f"no evaluation of {version.label} has passed a gate",
                hint="report one that passes, or bring an override signed by two parties with a reason",
            )
        if ask is not None:
            ask(version)
        self._journal.append("model.promoted", body, links={k: ids for k, ids in links.items() if ids})
        return self._again(version)

    def retire(self, version: Version, reason: str) -> Version:
        """Take a version out of use, for ever."""
        version = self._again(version)
        if version.stage != "retired":
            body = {"model": version.hash, "reason": reason}
            self._journal.append("model.retired", body, links={"model": [version.published]})
        return self._again(version)

    def _state_override(
        self, version: Version, override: Sequence[Mapping[str, str]], reason: str
    ) -> list[str]:
        """State each party's signature; return the statements' ids."""
        wanted, parties = _override(version.hash, reason), set()
        for part in override:
            key, content = verify_author(dict(part), origin=self._journal.origin)
            party = self._party_of(key)
            if content != wanted:
                raise VerificationError("the override was signed for another model or with another reason")
            if party is None:
                raise AccessDeniedError("an override must be signed by the author key of a known party")
            parties.add(party)
        if len(parties) < OVERRIDE_PARTIES:
            raise AccessDeniedError(
                f"an override needs {OVERRIDE_PARTIES} different parties, got {len(parties)}"
            )
        body = {"model": version.hash, "reason": reason}
        links = {"model": [version.published]}
        return [
            self._journal.append("override.signed", {**body, "author": dict(part)}, links=links).id
            for part in override
        ]

    def _again(self, version: Version) -> Version:
        self._catch_up()
        return self._versions[version.hash]

    def _place(self, model_hash: str) -> Path:
        return self._directory / f"{model_hash}.tsm"

    def _catch_up(self) -> None:
        """Read what was stated since the last look."""
        size = self._journal.size
        for entry in self._journal.entries(self._read, size, kinds=_READERS.keys()):
            _READERS[entry.statement.kind](self._versions, entry)
        self._read = size


def _override(model_hash: str, reason: str) -> bytes:
    return _OVERRIDE + f"{model_hash}\n{reason}".encode()


def _integer_families() -> set[str]:
    return {"linear", "perceptron", "trees"}


def _read_published(versions: dict[str, Version], entry: Entry) -> None:
    body = entry.statement.body
    versions.setdefault(
        body["model"],
        Version(
            body["name"],
            body["version"],
            body["model"],
            body["family"],
            entry.id,
            parent=body.get("parent", ""),
        ),
    )


def _read_evaluated(versions: dict[str, Version], entry: Entry) -> None:
    body = entry.statement.body
    known = versions.get(body["model"])
    if known is not None:
        verdicts = known.verdicts
        if "passed" in body:
            gate = body.get("gate", "")
            others = tuple(verdict for verdict in verdicts if verdict[0] != gate)
            verdicts = (*others, (gate, entry.id, body["passed"]))
        evaluations = (*known.evaluations, entry.id)
        versions[known.hash] = replace(known, evaluations=evaluations, verdicts=verdicts)


def _read_override(versions: dict[str, Version], entry: Entry) -> None:
    said = entry.statement
    known, reason = versions.get(said.body["model"]), said.body["reason"]
    try:
        key, content = verify_author(said.body.get("author"), origin=said.origin)
    except VerificationError:
        return
    if known is not None and content == _override(known.hash, reason):
        overrides = tuple(dict.fromkeys((*known.overrides, (reason, key))))
        versions[known.hash] = replace(known, overrides=overrides)


def _read_promoted(versions: dict[str, Version], entry: Entry) -> None:
    body = entry.statement.body
    known = versions.get(body["model"])
    if known is None or known.stage != "published":
        return
    # However the statement came into the journal: without what `promote` asks for it counts for nothing.
    signed = sum(reason == body.get("override") for reason, _ in known.overrides)
    if signed >= OVERRIDE_PARTIES or (known.passed and not known.failed and "override" not in body):
        versions[known.hash] = replace(known, stage="promoted", promoted=entry.id)


def _read_retired(versions: dict[str, Version], entry: Entry) -> None:
    known = versions.get(entry.statement.body["model"])
    if known is not None:
        versions[known.hash] = replace(known, stage="retired")


_READERS: dict[str, Callable[[dict[str, Version], Entry], None]] = {
    "evaluation.reported": _read_evaluated,
    "model.promoted": _read_promoted,
    "model.published": _read_published,
    "model.retired": _read_retired,
    "override.signed": _read_override,
}
