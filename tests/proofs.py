"""Builders that the tests of `proof` share: parties with fixed keys, a journal in memory, its receipts and policies."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tallystick.proof import (
    AnchorClaim,
    AnchorPolicy,
    AnchorReading,
    Checkpoint,
    Party,
    PayloadRef,
    PinnedParty,
    Policy,
    Receipt,
    Statement,
    WitnessPolicy,
    add_cosignatures,
    anchor_note_text,
    commit_bytes,
    commit_fields,
    cosign_note,
    derive_salt,
    encode_base64url,
    format_note,
    format_statement,
    leaf_hash,
    root_of,
)
from tallystick.proof._checkpoints import sign_checkpoint
from tallystick.proof._commitments import padded_size
from tallystick.proof._merkle import consistency_path, inclusion_path

AT = 1_795_000_000_000_000  # microseconds
TIME_S = AT // 1_000_000
GENESIS = "0x" + "ab" * 32
CONTRACT = "0x" + "cd" * 20
CHAIN_ID = 4221
SUBJECT_KEY = b"\x07" * 32
NONCE = b"\x09" * 16
RECORD = {"amount": 1200, "reasons": ["age", "rate"], "subject": {"code": "x"}}


def fixed_randomness(seed: str) -> Callable[[int], bytes]:
    """Bytes that are the same in every run, so that vectors and failures repeat."""
    count = 0

    def randomness(size: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_256(f"{seed}/{count}".encode()).digest(size)

    return randomness


def make_party(name: str, *, seed: str = "", journal: str = "main") -> Party:
    return Party.create(name, journal=journal, randomness=fixed_randomness(seed or name))


NORTH = make_party("Clinic North")
EAST = make_party("Clinic East")
SOUTH = make_party("Clinic South")
WEST = make_party("Clinic West")
STRANGER = make_party("Mallory")
WITNESSES = (EAST, SOUTH, WEST)


@dataclass
class Log:
    """One party's journal, in memory and able to lie."""

    party: Party
    statements: list[Statement] = field(default_factory=list)

    def record(
        self,
        *,
        kind: str = "document.recorded",
        body: Mapping[str, Any] | None = None,
        links: Mapping[str, list[str]] | None = None,
        payload: PayloadRef | None = None,
    ) -> Statement:
        statement = format_statement(
            at=AT + len(self.statements),
            kind=kind,
            body={"title": f"entry {len(self.statements)}"} if body is None else body,
            links=links,
            origin=self.party.origin,
            payload=payload,
        )
        self.statements.append(statement)
        return statement

    def leaves(self, size: int | None = None) -> list[bytes]:
        return [leaf_hash(statement.bytes) for statement in self.statements[:size]]

    def node(self, level: int, index: int) -> bytes:
        return root_of(self.leaves()[index << level : (index + 1) << level])

    def root(self, size: int | None = None) -> bytes:
        return root_of(self.leaves(size))

    def checkpoint(
        self,
        size: int | None = None,
        *,
        witnesses: Sequence[Party] = (),
        time_s: int = TIME_S,
        party: Party | None = None,
    ) -> Checkpoint:
        size = len(self.statements) if size is None else size
        signed = sign_checkpoint(
            self.party.origin, size, self.root(size), (party or self.party).signer("log")
        )
        return cosigned(signed, witnesses, time_s=time_s)

    def receipt(
        self,
        index: int,
        *,
        size: int | None = None,
        witnesses: Sequence[Party] = (),
        anchor: AnchorClaim | None = None,
        opening: Mapping[str, Any] | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Receipt:
        checkpoint = checkpoint or self.checkpoint(size, witnesses=witnesses)
        path = inclusion_path(index, size=checkpoint.size, node=self.node)
        cards = {party.id: party.cards for party in (self.party, *witnesses)}
        return Receipt(self.statements[index], index, tuple(path), checkpoint, cards, anchor, opening)

    def anchor(self, size: int, *, checkpoint_size: int, noted_by: Sequence[Party] = ()) -> AnchorClaim:
        low, high = sorted((size, checkpoint_size))
        path = tuple(consistency_path(low, high, node=self.node))
        claim = AnchorClaim(CHAIN_ID, GENESIS, CONTRACT, 8814, "0x" + "ef" * 32, size, self.root(size), path)
        return with_note(claim, self.party.origin, noted_by) if noted_by else claim


def cosigned(checkpoint: Checkpoint, witnesses: Sequence[Party], *, time_s: int = TIME_S) -> Checkpoint:
    lines = [
        cosign_note(checkpoint.text, party.card.witness_name, party.signer("witness"), time_s=time_s + place)
        for place, party in enumerate(witnesses)
    ]
    return add_cosignatures(checkpoint, lines) if lines else checkpoint


def with_note(claim: AnchorClaim, origin: str, witnesses: Sequence[Party]) -> AnchorClaim:
    """The claim with a note that these parties cosigned."""
    text = anchor_note_text(claim, origin)
    lines = [
        cosign_note(text, party.card.witness_name, party.signer("witness"), time_s=TIME_S + 60)
        for party in witnesses
    ]
    return replace(claim, note=format_note(text, lines).decode())


def make_log(party: Party = NORTH, size: int = 7) -> Log:
    """A journal of some documents; entry 3 has a payload of fields, entry 4 one of bytes."""
    log = Log(party)
    for place in range(size):
        if place == 3:
            log.record(kind="decision.made", body={"model": "0" * 64, "level": "L0"}, payload=fields_ref())
        elif place == 4:
            log.record(payload=bytes_ref(b"the letter"))
        else:
            log.record()
    return log


def record_salt() -> bytes:
    return derive_salt(SUBJECT_KEY, NONCE)


def fields_ref(record: Mapping[str, Any] | None = None) -> PayloadRef:
    commitment = commit_fields(RECORD if record is None else record, record_salt())
    return PayloadRef(
        encode_base64url(commitment), "fields", "application/json", encode_base64url(NONCE), 128
    )


def bytes_ref(content: bytes) -> PayloadRef:
    commitment = commit_bytes(content, record_salt())
    return PayloadRef(
        encode_base64url(commitment),
        "bytes",
        "text/plain",
        encode_base64url(NONCE),
        padded_size(len(content)),
    )


def pinned(*parties: Party) -> tuple[PinnedParty, ...]:
    return tuple(PinnedParty(party.name, party.cards) for party in parties)


CHAIN = AnchorPolicy(CHAIN_ID, GENESIS, CONTRACT, local=False, need=2)


def make_policy(
    *,
    parties: Sequence[Party] = (NORTH, *WITNESSES),
    witnesses: Sequence[Party] = WITNESSES,
    need: int = 2,
    faulty: int = 0,
    anchor: AnchorPolicy | None = CHAIN,
    ask: Sequence[str] = ("party",),
) -> Policy:
    quorum = WitnessPolicy(tuple(party.id for party in witnesses), need, faulty) if witnesses else None
    return Policy("Regulator", pinned(*parties), quorum, anchor, tuple(ask))


def reading(claim: AnchorClaim, endpoint: str, **changes: Any) -> AnchorReading:
    """What an honest endpoint says of this claim, with changes."""
    honest = AnchorReading(
        endpoint, claim.chain_id, claim.genesis, claim.root, claim.block, claim.block_hash, TIME_S + 30
    )
    return replace(honest, **changes)


def endpoints(*names: str, **changes: Any) -> Callable[[AnchorClaim, bytes], list[AnchorReading]]:
    """An anchor reader whose endpoints all agree with the claim, but for the changes."""
    return lambda claim, _journal: [reading(claim, name, **changes) for name in names]
