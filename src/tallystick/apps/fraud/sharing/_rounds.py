"""Rounds of masked sums between banks that only a network connects: each fetches what the others hand in.

    due        everybody draws a key for the masks, signs it together with what is counted, and shows it
    key        everybody fetches all keys; from then on the own vector is fixed, stated, and shown
    vector     everybody fetches all vectors with the statements that bind them, and adds them up

- A round that a member misses, or begins again with another key, gives nobody a table: the masks do not cancel, and that is
  seen by the keys that each vector names. The next one comes by the plan. A round is never held twice.
- What a round was made of is kept, so that its table is computed again after a restart, and by anybody else.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from tallystick.errors import ConfigurationError, NotFoundError, TallystickError, VerificationError
from tallystick.learning import LaneSite
from tallystick.proof import (
    Draft,
    OsFiles,
    check_format,
    decode_base64url,
    encode_base64url,
    format_did_key,
    format_json,
    parse_json,
    parse_receipt,
    sign_as_author,
    verify,
    verify_author,
    write_atomically,
)

from ._member import Member
from ._risk import RiskCounts, RiskHistory, RiskRule, agree, close_round, lanes_of, risk_again, values_of

__all__ = ["Counts", "RoundDesk", "RoundLink", "RoundPlan"]

PART_LIMIT: Final = 32 * 1024 * 1024  # bytes
KEPT: Final = 32  # rounds whose parts stay on the disk
_KEY: Final = "tallystick/round-key"
_VECTOR: Final = "tallystick/round-vector"
_KEPT: Final = "tallystick/risk-round"


class Counts(Protocol):
    """Who counts the own payments; `JournalCounts` is one."""

    def __call__(self, rule: RiskRule, *, before: int, find: Callable[[str], bytes | None]) -> RiskCounts:
        """Count by a rule what was known before a time (microseconds); `find` gives a payee's token, or None."""
        ...


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """When rounds are held and what is counted; the same for all members.

    Args:
        since: microseconds; round n is due n periods after it.
        every: microseconds of a period; a day is right.
        terminals: ids that banks share, each once.
        rule: what is counted and kept back.
    """

    since: int
    every: int
    terminals: tuple[str, ...] = ()
    rule: RiskRule = field(default_factory=RiskRule)

    def __post_init__(self) -> None:
        if self.every < 1 or self.since < 0 or len(set(self.terminals)) != len(self.terminals):
            raise ConfigurationError("a round needs a period, and every terminal once")

    def due(self, at: int) -> int:
        """The newest round that is due; 0 for none."""
        return max(0, (at - self.since) // self.every)

    def known_at(self, number: int) -> int:
        """From when on a round's table is used: a twenty-fourth of a period after it was due."""
        return self.since + number * self.every + self.every // 24


class RoundLink(Protocol):
    """The way to a member that takes part."""

    @property
    def party(self) -> str:
        """Its party id."""
        ...

    def round_part(self, epoch: int, number: int, part: str) -> bytes:
        """Read what it hands in: ``key`` or ``vector``."""
        ...


@dataclass(slots=True)
class _Round:
    """One round as it goes on here."""

    number: int
    epoch: int
    run: str
    agreement: bytes
    site: LaneSite
    key: bytes  # the own signed part
    keys: dict[str, bytes]  # party -> key, the own one too
    bound: str = ""
    vector: bytes = b""  # the own part, once it is fixed
    updates: dict[str, bytes] = field(default_factory=dict)
    statements: list[str] = field(default_factory=list)


class RoundDesk:
    """Where one bank takes part in rounds.

    Args:
        member: the bank's side of sharing.
        links: the ways to all other members of the epoch.
        plan: see `RoundPlan`.
        counts: counts the bank's own payments.
        risks: takes the tables.
        directory: where parts of rounds are kept.
    """

    def __init__(
        self,
        member: Member,
        links: Sequence[RoundLink],
        *,
        plan: RoundPlan,
        counts: Counts,
        risks: RiskHistory,
        directory: Path,
    ) -> None:
        self._member, self._links, self._plan = member, list(links), plan
        self._counts, self._risks, self._directory = counts, risks, directory
        self._files = OsFiles()
        self._now: _Round | None = None
        self._over = 0  # newest round that is held, or will not be
        self._lock = threading.Lock()

    @property
    def over(self) -> int:
        """The newest round that is held, or will not be held any more; 0 for none."""
        return self._over

    def resume(self) -> int:
        """Take up the tables of rounds before a restart; how many."""
        found = 0
        for path in sorted(self._directory.glob("round-*.json"), key=_number_of)[-KEPT:]:
            try:
                kept = check_format(parse_json(path.read_bytes(), limit=PART_LIMIT), _KEPT)
                updates = [decode_base64url(text) for text in kept["updates"].values()]
                self._risks.add(risk_again(kept["agreement"].encode(), updates))
            except (TallystickError, AttributeError, KeyError, TypeError, OSError):
                continue  # a table less: decisions use the one before, or the prior
            found += 1
            self._over = max(self._over, _number_of(path))
        return found

    def part(self, epoch: int, number: int, part: str) -> bytes:
        """Return what this bank hands in.

        Raises:
            NotFoundError: another round, or it has not come so far.
        """
        now = self._now
        found = b"" if now is None or (now.epoch, now.number) != (epoch, number) else now.vector
        if part == "key" and now is not None and (now.epoch, now.number) == (epoch, number):
            found = now.key
        if not found:
            raise NotFoundError("this round has not come so far here")
        return found

    def turn(self, now: int) -> str:
        """Do what is due; what is waited for, or nothing.

        Raises:
            TallystickError: what a member handed in does not hold; the round is given up.
        """
        with self._lock:
            number = self._plan.due(now)
            if number <= self._over:
                return ""
            if self._now is None or self._now.number != number:
                self._now = self._begin(number)
                if self._now is None:
                    return ""
            try:
                return self._go_on(self._now)
            except VerificationError:
                if self._now.vector:
                    self._over = number  # the vectors do not fit together: no second try with the same counts
                self._now.keys = {self._member.id: self._now.keys[self._member.id]}
                raise

    def _begin(self, number: int) -> _Round | None:
        epoch = self._member.tokens.epoch
        run = f"shared risk, epoch {epoch.number}, round {number}"
        taken = self._member.bank.journal.entries(kinds=("update.committed",))
        if any(entry.statement.body.get("run") == run for entry in taken):
            self._over = number  # a crash came in between, and its key is gone
            return None
        agreement = agree(self._plan.terminals, self._plan.rule, self._plan.known_at(number))
        site = LaneSite(self._member.id)
        said = {
            "agreement": hashlib.sha256(agreement).hexdigest(),
            "key": site.public_key.hex(),
            "run": run,
            "type": _KEY,
            "v": 1,
        }
        signed = sign_as_author(
            format_json(said),
            signer=self._member.bank.party.signer("author"),
            network=epoch.network,
            origin=self._member.bank.origin,
        )
        own = {self._member.id: site.public_key}
        return _Round(number, epoch.number, run, agreement, site, format_json(dict(signed)), own)

    def _go_on(self, now: _Round) -> str:
        missing = self._fetch(now, "key", now.keys, self._read_key)
        if missing:
            return f"round {now.number}: no key of {', '.join(missing)} yet"
        if not now.vector:
            self._commit(now)
        missing = self._fetch(now, "vector", now.updates, self._read_vector)
        if missing:
            return f"round {now.number}: no vector of {', '.join(missing)} yet"
        table = risk_again(now.agreement, list(now.updates.values()))
        close_round(self._member, now.statements, now.updates, number=now.number, run=now.run)
        self._keep(now)
        self._risks.add(table)
        self._over = now.number
        return ""

    def _fetch(
        self, now: _Round, part: str, into: dict[str, bytes], read: Callable[[_Round, str, bytes], bytes]
    ) -> list[str]:
        missing = []
        for link in self._links:
            if link.party not in into:
                try:
                    given = link.round_part(now.epoch, now.number, part)
                except TallystickError:
                    missing.append(self._member.name_of(link.party))
                    continue
                into[link.party] = read(now, link.party, given)
        return missing

    def _read_key(self, now: _Round, party: str, data: bytes) -> bytes:
        pinned, name = self._member.policy.by_id[party], self._member.name_of(party)
        card = pinned.cards[-1]
        network = self._member.tokens.epoch.network
        key, content = verify_author(parse_json(data, limit=PART_LIMIT), origin=card.origin, network=network)
        said: Mapping[str, Any] = check_format(parse_json(content, limit=PART_LIMIT), _KEY)
        if key != format_did_key("ed25519", card.keys["author"]):
            raise VerificationError(f"{name} handed in a key that somebody else signed")
        if said.get("agreement") != hashlib.sha256(now.agreement).hexdigest() or said.get("run") != now.run:
            raise VerificationError(
                f"{name} counts something else in this round", hint="compare [risk] in share.toml"
            )
        return _hex(said.get("key"))

    def _commit(self, now: _Round) -> None:
        bound = format_json(
            {
                "agreement": hashlib.sha256(now.agreement).hexdigest(),
                "epoch": self._member.tokens.epoch.id.hex(),
                "keys": {party: key.hex() for party, key in now.keys.items()},
                "run": now.run,
            }
        )
        digest = hashlib.sha256(bound).digest()
        plan = self._plan
        values = self._values(now.number)
        now.site.meet(now.keys, run=digest)
        update = now.site.vector(now.number, lanes_of(plan.terminals, plan.rule), values)
        opened = {"round": now.number, "run": now.run, "sites": len(now.keys)}
        committed = {"round": now.number, "run": now.run, "update": hashlib.sha256(update).hexdigest()}
        entries = self._member.bank.record_many(
            [
                Draft("round.opened", opened, payload=now.agreement, media="application/json"),
                Draft("update.committed", committed, payload=update),
            ]
        )
        now.statements = [entry.id for entry in entries]
        now.bound, now.updates[self._member.id] = digest.hex(), update
        receipt = self._member.bank.receipt(entries[1].index).format()
        now.vector = format_json(
            {
                "bound": now.bound,
                "receipt": encode_base64url(receipt),
                "type": _VECTOR,
                "update": encode_base64url(update),
                "v": 1,
            }
        )

    def _values(self, number: int) -> dict[str, int]:
        """Count the own payments, as far as the members agreed to count them."""
        plan = self._plan
        counted = self._counts(
            plan.rule, before=plan.since + number * plan.every, find=self._member.tokens.find
        )
        known = set(plan.terminals)
        terminals = {name: count for name, count in counted.terminals.items() if name in known}
        return values_of(RiskCounts(terminals, counted.buckets), plan.rule)

    def _read_vector(self, now: _Round, party: str, data: bytes) -> bytes:
        name = self._member.name_of(party)
        said: Mapping[str, Any] = check_format(parse_json(data, limit=PART_LIMIT), _VECTOR)
        try:
            receipt = parse_receipt(decode_base64url(said["receipt"]))
            update = decode_base64url(said["update"])
        except (KeyError, TypeError) as error:
            raise VerificationError(f"{name} handed in something that is no vector") from error
        if said.get("bound") != now.bound:
            raise VerificationError(f"{name} masked its counts with other keys: this round gives no sum")
        verify(receipt, policy=self._member.policy)
        statement = receipt.statement
        told = statement.body.get("run"), statement.body.get("update")
        if (
            statement.party != party
            or statement.kind != "update.committed"
            or told != (now.run, hashlib.sha256(update).hexdigest())
        ):
            raise VerificationError(f"{name} handed in another vector than the one that it stated")
        return update

    def _keep(self, now: _Round) -> None:
        kept = {
            "agreement": now.agreement.decode(),
            "run": now.run,
            "type": _KEPT,
            "updates": {party: encode_base64url(update) for party, update in now.updates.items()},
            "v": 1,
        }
        self._files.make_directory(self._directory)
        write_atomically(self._files, self._directory / f"round-{now.number}.json", format_json(kept))
        for old in sorted(self._directory.glob("round-*.json"), key=_number_of)[:-KEPT]:
            self._files.unlink(old)


def _hex(text: Any) -> bytes:
    try:
        key = bytes.fromhex(text)
    except (TypeError, ValueError):
        key = b""
    if len(key) != 32:
        raise VerificationError("a key of a round must be 32 bytes")
    return key


def _number_of(path: Path) -> int:
    digits = path.stem.rpartition("-")[2]
    return int(digits) if digits.isdigit() else 0
