"""Verification: what follows from a receipt and the verifier's own policy, line by line.

The word ``proved`` is earned, never assumed:

- "stands at n of this journal": the inclusion path holds and the journal's key signed the checkpoint.
- "by NAME": the policy pins that party's cards.
- "witnessed": cosignatures satisfy the policy's quorum; the receipt's own list of witnesses counts nothing.
- "anchored": enough endpoints of the verifier read the same root, or enough witnesses of the policy cosigned
  that they did; never on a chain that one operator runs.
- "not later than": a cosignature's or a block's time that stands behind one of the lines above.
- What does not follow is ``claimed``; what is not there is ``missing``; what is false raises.

No network and no clock: an anchor is read by a function that the caller passes in.

Example:
    >>> from tallystick.proof import Policy, verify
    >>> report = verify(data, policy=Policy.read("mine.json"))        # doctest: +SKIP
    >>> for line in report.lines: print(line.standing, line.text)     # doctest: +SKIP
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from tallystick.errors import (
    CardError,
    DisclosureError,
    EncodingError,
    NoteError,
    PolicyError,
    ProofError,
    VerificationError,
)
from tallystick.proof._anchors import AnchorClaim, ReadAnchor, anchor_note_text
from tallystick.proof._authors import verify_author
from tallystick.proof._cards import Card, cosigner_keys, fingerprint, log_key_at, verify_cards
from tallystick.proof._checkpoints import Checkpoint, verify_checkpoint
from tallystick.proof._commitments import verify_bytes, verify_fields
from tallystick.proof._encoding import decode_base64, decode_base64url
from tallystick.proof._kinds import STANDARD_KINDS, Kinds
from tallystick.proof._merkle import leaf_hash, verify_consistency, verify_inclusion
from tallystick.proof._notes import Note, NoteKey, parse_note, verify_note
from tallystick.proof._policies import Policy
from tallystick.proof._receipts import Receipt, parse_receipt
from tallystick.proof._wording import joined, moment, plain, short_origin, shown

__all__ = ["Line", "Report", "Standing", "journal_id", "verify"]

Standing = Literal["proved", "claimed", "missing"]


CLOCK_TOLERANCE_S = 300  # a claimed time may lie this far behind the proved "not later than"

_STANDINGS: tuple[Standing, ...] = ("proved", "claimed", "missing")
_TOPICS = ("inclusion", "party", "witnesses", "anchor", "time", "payload", "author", "kind", "level")


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that a report says.

    Args:
        standing: ``proved``, ``claimed`` or ``missing``.
        topic: stable word for programs: inclusion, party, witnesses, anchor, time, payload, author, kind, level.
        text: the sentence for people.
    """

    standing: Standing
    topic: str
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was found about one receipt.

    Args:
        kind: the statement's kind.
        statement_id: its id.
        by: the party's name, the verifier's own for it if pinned.
        lines: in the order in which people want to read them.
        policy: whether a policy was used; without one nobody the verifier named vouches for anything.
        opened: payload fields or bytes that were opened and hold.
    """

    kind: str
    statement_id: str
    by: str
    lines: tuple[Line, ...]
    policy: bool
    opened: Any = None

    @property
    def exit_code(self) -> int:
        """0 everything that the policy asks is proved, 3 intact but no policy."""
        return 0 if self.policy else 3

    def standing(self, topic: str) -> Standing | None:
        """The best standing among the lines of a topic."""
        found = {line.standing for line in self.lines if line.topic == topic}
        return next((standing for standing in _STANDINGS if standing in found), None)


@lru_cache(maxsize=512)
def _verified_chain(cards: tuple[Card, ...]) -> Card:
    return verify_cards(cards)


@lru_cache(maxsize=128)
def _verified_checkpoint(checkpoint: Checkpoint, log_key: bytes) -> None:
    """Remembering a signature that verified is safe: all inputs are in the key, and failures raise."""
    verify_checkpoint(checkpoint, log_key)


@lru_cache(maxsize=512)
def _cosigned(note: Note, keys: frozenset[NoteKey]) -> tuple[tuple[NoteKey, int], ...]:
    return tuple(verify_note(note, keys).items())


def verify(
    receipt: Receipt | bytes,
    *,
    policy: Policy | None = None,
    read_anchor: ReadAnchor | None = None,
    payload: bytes | None = None,
    kinds: Kinds = STANDARD_KINDS,
) -> Report:
    """Verify a receipt against the verifier's policy.

    Args:
        receipt: parsed, or the file's bytes.
        policy: whom the verifier trusts; without it names stay claimed.
        read_anchor: asks the verifier's own endpoints.
        payload: the payload's bytes, to be held against the commitment.
        kinds: kinds that the verifier knows.

    Returns:
        The report; everything in it is intact, and everything that the policy asks is proved.

    Raises:
        VerificationError: something is false, or the policy asks what is not proved (``report`` tells which).
        DisclosureError: a payload is given, but the receipt opens none.
        ReceiptError: malformed.
        UnknownFormatError: a later version.
    """
    if not isinstance(receipt, Receipt):
        receipt = parse_receipt(receipt)
    check = _Check(receipt, policy, kinds)
    try:
        check.inclusion()
        check.witnesses()
        check.anchor(read_anchor)
        check.claims()
        check.payload(payload)
    except (CardError, EncodingError, NoteError, ProofError) as error:
        raise VerificationError(error.message, hint=error.hint) from error
    report = check.report()
    if policy is not None:
        _enforce(policy, report)
    return report


def _enforce(policy: Policy, report: Report) -> None:
    # A place in the journal that is not proved (a revoked key signed alone) meets no policy, whatever it asks.
    unmet = [topic for topic in ("inclusion", *policy.ask) if report.standing(topic) != "proved"]
    if unmet:
        raise VerificationError(
            f"your policy asks {', '.join(policy.ask)}; not proved: {', '.join(unmet)}",
            hint="ask the issuer for a newer receipt, or change your policy",
            report=report,
        )


class _Check:
    """One verification in progress; each step adds lines or raises."""

    def __init__(self, receipt: Receipt, policy: Policy | None, kinds: Kinds) -> None:
        self.receipt, self.policy, self.kinds = receipt, policy, kinds
        self.party = receipt.statement.party
        self.lines: list[Line] = []
        self.bounds: list[tuple[int, str]] = []  # proved "not later than": POSIX seconds, whose word
        self.opened: Any = None
        self.chains: dict[str, tuple[Card, ...]] = {}
        self.chain = self._chain(self.party)
        self.pinned = policy is not None and self.party in policy.by_id
        self.quorum = False

    def add(self, standing: Standing, topic: str, text: str) -> None:
        self.lines.append(Line(standing, topic, text))

    def report(self) -> Report:
        statement = self.receipt.statement
        lines = tuple(
            sorted(self.lines, key=lambda line: (_STANDINGS.index(line.standing), _TOPICS.index(line.topic)))
        )
        return Report(
            statement.kind,
            statement.id,
            self.name(statement.party),
            lines,
            self.policy is not None,
            self.opened,
        )

    def _chain(self, party: str) -> tuple[Card, ...]:
        """Cards of a party, verified; empty when nobody gave any."""
        if party not in self.chains:
            self.chains[party] = self._merged(party)
        return self.chains[party]

    def _merged(self, party: str) -> tuple[Card, ...]:
        """The receipt's cards and the policy's must tell one story; the longer one counts."""
        carried = self.receipt.cards.get(party, ())
        pinned = self.policy.by_id[party].cards if self.policy and party in self.policy.by_id else ()
        longer, shorter = (carried, pinned) if len(carried) >= len(pinned) else (pinned, carried)
        if longer[: len(shorter)] != shorter:
            raise VerificationError(
                "the cards in the receipt are not those that your policy pins for this party"
            )
        if longer:
            try:
                _verified_chain(longer)
            except CardError as error:
                raise VerificationError(error.message) from error
        return longer

    def name(self, party: str) -> str:
        """The verifier's own name for a pinned party; anybody else's name is only what its card claims."""
        if self.policy is not None and party in self.policy.by_id:
            return self.policy.by_id[party].name
        chain = self._chain(party)
        return f"{chain[-1].name} (unconfirmed)" if chain else "an unknown party"

    def inclusion(self) -> None:
        """The statement stands in the journal, and the journal's key says so."""
        receipt = self.receipt
        statement, checkpoint = receipt.statement, receipt.checkpoint
        if not self.chain:
            raise VerificationError("the receipt carries no card of the journal's party")
        # One party, one origin: a second journal for another audience is not this party's journal.
        if statement.origin != checkpoint.origin or statement.origin != self.chain[-1].origin:
            raise VerificationError("statement, checkpoint and card must name the same journal")
        verify_inclusion(
            leaf_hash(statement.bytes),
            index=receipt.index,
            size=checkpoint.size,
            path=receipt.path,
            root=checkpoint.root,
        )
        self.log_key = log_key_at(self.chain, checkpoint.size)
        _verified_checkpoint(checkpoint, self.log_key)
        self.revoked = self.log_key in {key for card in self.chain for key in card.revoked}

    def _standing_lines(self, *, anchored: bool) -> None:
        receipt, party = self.receipt, self.party
        journal = (
            f"{self.name(party)}'s journal"
            if self.pinned
            else f"journal {short_origin(receipt.statement.origin)}"
        )
        place = f"it stands at {receipt.index:,} of {journal} (root {receipt.checkpoint.root.hex()[:8]}…)"
        # After a revocation only what others saw before still stands: anyone may hold that key now.
        doubtful = self.revoked and not (self.quorum or anchored)
        if doubtful:
            self.add("claimed", "inclusion", f"{place}, signed by a key that its owner has revoked")
        else:
            self.add("proved", "inclusion", place)
        if self.pinned and not doubtful:
            self.add("proved", "party", f"by {self.name(party)}: your policy pins its cards")
        else:
            why = ", whom your policy does not name" if self.policy is not None and not self.pinned else ""
            self.add("claimed", "party", f"by {self.chain[-1].name}{why}; fingerprint {fingerprint(party)}")

    def witnesses(self) -> None:
        """Who cosigned the journal's checkpoint, and whether that is enough for the policy."""
        party, note = self.party, self.receipt.checkpoint.parsed()
        quorum = self.policy.witnesses if self.policy else None
        members = [other for other in quorum.parties if other != party] if quorum else []
        counted = self._times(note, members)
        others = self._times(note, [other for other in self.receipt.cards if other not in (*members, party)])
        if quorum and self._met(len(counted), len(members)):
            self.quorum = True
            names = joined([self.name(other) for other in counted])
            asks = f"your policy asks {quorum.need} of {len(members)}"
            self.add("proved", "witnesses", f"{names} witnessed that journal ({asks})")
            # With at most f liars, the (f+1)-th earliest time is not before some honest witness's.
            time_s, witness = sorted((time_s, other) for other, time_s in counted.items())[quorum.faulty]
            self.bounds.append((time_s, f"{self.name(witness)}'s cosignature"))
        elif counted or others:
            names = joined([self.name(other) for other in (*counted, *others)])
            why = (
                "; your policy names no witnesses"
                if not quorum
                else f"; your policy asks {quorum.need}, {len(counted)} count"
            )
            self.add("claimed", "witnesses", f"witnessed by {names}{why if self.policy else ''}")
        else:
            self.add("missing", "witnesses", "nobody has witnessed this head of the journal")

    def _met(self, count: int, eligible: int) -> bool:
        assert self.policy is not None
        assert self.policy.witnesses is not None
        try:
            self.policy.witnesses.check(eligible)
        except PolicyError:
            return False  # a journal of an outsider, for which the quorum would not exclude two histories
        return count >= self.policy.witnesses.need

    def _times(self, note: Note, parties: Sequence[str]) -> dict[str, int]:
        """Cosignature time of each party that signed; a false cosignature of a known key raises."""
        times = {}
        for party in parties:
            chain = self._chain(party)
            keys = frozenset(cosigner_keys(chain)) if chain else frozenset()
            signed = _cosigned(note, keys)
            if signed:
                times[party] = min(time_s for _, time_s in signed)
        return times

    def anchor(self, read_anchor: ReadAnchor | None) -> None:
        """Whether the head stands on the chain that the policy names."""
        claim = self.receipt.anchor
        if claim is None:
            self._standing_lines(anchored=False)
            self.add("missing", "anchor", "no anchor on a chain")
            return
        self._consistent(claim)
        place = f"anchored on chain {claim.chain_id}, block {claim.block:,}"
        proved, why = self._anchored(claim, read_anchor)
        self._standing_lines(anchored=proved)
        self.add("proved" if proved else "claimed", "anchor", f"{place}{why}")

    def _consistent(self, claim: AnchorClaim) -> None:
        checkpoint = self.receipt.checkpoint
        if self.receipt.index >= claim.size:
            raise VerificationError("the anchor is of a head before this statement")
        heads = sorted(
            [(checkpoint.size, checkpoint.root), (claim.size, claim.root)], key=lambda head: head[0]
        )
        verify_consistency(
            old_size=heads[0][0], new_size=heads[1][0], old_root=heads[0][1], new_root=heads[1][1],
            path=claim.consistency,
        )  # fmt: skip

    def _anchored(self, claim: AnchorClaim, read_anchor: ReadAnchor | None) -> tuple[bool, str]:
        wanted = self.policy.anchor if self.policy else None
        if wanted is None:
            return False, "" if self.policy is None else "; your policy names no chain"
        if (claim.chain_id, claim.genesis, claim.contract) != (
            wanted.chain_id,
            wanted.genesis,
            wanted.contract,
        ):
            return False, "; not the chain and contract that your policy names"
        local = "; one operator runs that chain, so this is its word" if wanted.local else ""
        agreed, dissent, time_s = self._readings(claim, read_anchor)
        if agreed >= wanted.need:
            for endpoint in dissent:
                self.add(
                    "claimed",
                    "anchor",
                    f"endpoint {endpoint} does not have this anchor: ask its operator why",
                )
            if not local:
                self.bounds.append((time_s, f"block {claim.block:,}"))
            return not local, f", as {agreed} of your endpoints {'says' if agreed == 1 else 'say'}{local}"
        if dissent:
            raise VerificationError(f"{joined(dissent)} of your endpoints does not have this anchor")
        noted = self._noted(claim)
        if noted:
            return not local, f", as {joined(noted)} saw on their own nodes{local}"
        asked = f"; {agreed} of the {wanted.need} endpoints that your policy needs" if agreed else ""
        return False, local or asked or "; no endpoint of yours was asked (--rpc)"

    def _readings(self, claim: AnchorClaim, read_anchor: ReadAnchor | None) -> tuple[int, list[str], int]:
        """How many distinct endpoints agree, which do not, and the latest block time that the agreeing give."""
        if read_anchor is None:
            return 0, [], 0
        agreed, dissent = dict[str, int](), list[str]()
        for reading in read_anchor(claim, journal_id(self.receipt.statement.origin)):
            said = (reading.chain_id, reading.genesis, reading.root, reading.block, reading.block_hash)
            if said == (claim.chain_id, claim.genesis, claim.root, claim.block, claim.block_hash):
                agreed[reading.endpoint] = reading.time
            else:
                dissent.append(reading.endpoint)
        return len(agreed), dissent, max(agreed.values(), default=0)

    def _noted(self, claim: AnchorClaim) -> list[str]:
        """Names of the policy's witnesses whose anchor notes reach the quorum; else nothing."""
        quorum = self.policy.witnesses if self.policy else None
        if not claim.note or quorum is None:
            return []
        party = self.party
        note = parse_note(claim.note.encode())
        if note.text != anchor_note_text(claim, self.receipt.statement.origin):
            raise VerificationError("the anchor note speaks of another anchor")
        members = [other for other in quorum.parties if other != party]
        times = self._times(note, members)
        if not self._met(len(times), len(members)):
            return []
        return [self.name(other) for other in times]

    def claims(self) -> None:
        """Times, the kind and the level: what the issuer says, and what nobody has shown."""
        statement = self.receipt.statement
        if self.bounds:
            time_s, whose = min(self.bounds)
            self.add("proved", "time", f"not later than {moment(time_s)} ({whose})")
        said, doubt = statement.at // 1_000_000, ""
        if self.bounds and said > min(self.bounds)[0] + CLOCK_TOLERANCE_S:
            doubt = ", which was wrong: others saw it before"
        self.add("claimed", "time", f"at {moment(said)}, by {self.name(statement.party)}'s clock{doubt}")
        if "author" in statement.body:
            key, _ = verify_author(statement.body["author"], origin=statement.origin)
            self.add(
                "proved",
                "author",
                f"it carries words that the key {short_origin(key)} signed for this journal",
            )
        if statement.kind not in self.kinds:
            self.add("claimed", "kind", f"unknown kind {statement.kind}: upgrade, or ask its application")
        if "level" in statement.body:
            level = plain(str(statement.body["level"]))
            self.add(
                "missing",
                "level",
                f"nobody here has re-run the model (level {level}); `tallystick trace` tries",
            )

    def payload(self, payload: bytes | None) -> None:
        """Hold an opened payload, or opened fields, against the commitment."""
        ref, opening = self.receipt.statement.payload, self.receipt.opening
        if ref is None:
            if payload is not None or opening is not None:
                raise VerificationError("the statement has no payload to open")
            return
        commitment = decode_base64url(ref.commitment, size=32)
        if opening is None:
            if payload is not None:
                # Nothing false is shown: the file was just not given with what opens it.
                raise DisclosureError(
                    "the receipt carries no salt to hold the payload against",
                    hint="ask its issuer to open it: `tallystick disclose`",
                )
            text = f"the payload has the commitment {ref.commitment[:8]}…  (open it: ask for a disclosure)"
            self.add("claimed", "payload", text)
        elif ref.form == "fields":
            if payload is not None:
                raise VerificationError("this payload is opened field by field; leave --payload out")
            self.opened = verify_fields(commitment, opening)
            for path, value in self.opened.items():
                self.add("proved", "payload", f"it states {plain(path)} = {shown(value)}")
            self.add("claimed", "payload", f"that what it states is true is {self.name(self.party)}'s word")
        else:
            self._bytes(commitment, opening, payload)

    def _bytes(self, commitment: bytes, opening: Any, payload: bytes | None) -> None:
        if not set(opening) <= {"payload", "salt"} or "salt" not in opening:
            raise EncodingError("an opening of bytes must have a salt")
        salt = decode_base64url(opening["salt"], size=32)
        if "payload" in opening:
            carried = decode_base64(opening["payload"])
            if payload is not None and payload != carried:
                raise VerificationError("the payload you gave is not the one in the receipt")
            payload = carried
        if payload is None:
            self.add("claimed", "payload", "the payload can be checked: give it with --payload FILE")
            return
        verify_bytes(commitment, payload, salt)
        self.opened = payload
        self.add(
            "proved", "payload", f"the payload is the one that was committed to ({len(payload):,} bytes)"
        )


def journal_id(origin: str) -> bytes:
    """A journal's id on a chain: SHA-256 of its origin; 32 bytes."""
    return hashlib.sha256(origin.encode()).digest()
