"""The contract ``Holds``: payees that a member asks the others not to pay.

holds = Holds(chain.web3, address)
outbox.send("hold/1", holds.place(epoch=1, token=token, until=until, slot=holds.free_slot(party), said=proof))
holds.held(token)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from tallystick.chain import Call, Contract, Logged, load
from tallystick.errors import ConfigurationError
from tallystick.models import pack_inputs

from ._stating import StatedProof

__all__ = ["EpochRecord", "Held", "HoldRecord", "HoldState", "Holds", "ListRecord", "MemberRecord"]

MAX_OPEN: Final = 256
DIGEST: Final = 32
PENDING: Final = "pending"  # what ends by time is asked of the next block: the last one may be long ago
EVENTS = (
    "Disputed", "EpochEnded", "EpochOpened", "Executed", "ListCounted", "ListPosted", "ModelNamed", "ModelVoted",
    "Overturned", "Placed", "Released", "Reviewed", "ShareDestroyed", "ShareStated", "Upheld",
)  # fmt: skip


class HoldState(IntEnum):
    """How a hold stands; whether it is open depends on the time too."""

    NONE = 0
    STANDS = 1
    DISPUTED = 2
    UPHELD = 3
    RELEASED = 4
    OVERTURNED = 5


@dataclass(frozen=True, slots=True)
class Held:
    """The open hold on a payee that ends last.

    Args:
        until: microseconds.
        level: ``L0`` on a bank's word, ``L4`` on a model that the contract asked.
        placed_by: SHA-256 of the party's id.
    """

    until: int
    level: str
    placed_by: bytes


@dataclass(frozen=True, slots=True)
class HoldRecord:
    """A member's last hold on a token.

    Args:
        state: how it stands.
        level: ``L0`` or ``L4``.
        slot: which of the member's places it takes while it is open.
        until: microseconds, as placed.
        review_until: microseconds at which a disputed hold ends; 0 where nobody disputed it.
        review_block: block that must have come before that.
        ground: id of the statement behind it, or the commitment to the model's input; 32 bytes.
    """

    state: HoldState
    level: str
    slot: int
    until: int
    review_until: int
    review_block: int
    ground: bytes


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """What became of a member's holds.

    Args:
        placed: all of them.
        executed: those of L4.
        released: by itself.
        overturned: by two others, or because nobody upheld them.
        upheld: after a dispute.
        disputes: others' holds that it disputed.
    """

    placed: int
    executed: int
    released: int
    overturned: int
    upheld: int
    disputes: int

    @property
    def overturned_rate(self) -> float:
        """Share of the holds that were overturned; 0 before the first."""
        return self.overturned / self.placed if self.placed else 0.0


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """An epoch as it was opened.

    Args:
        since: microseconds.
        until: microseconds.
        id: hash of what the members agreed on, 32 bytes.
        ended: whether votes ended it early.
    """

    since: int
    until: int
    id: bytes
    ended: bool


@dataclass(frozen=True, slots=True)
class ListRecord:
    """The list of reported payees that counts.

    Args:
        number: of the list.
        root: RFC 9162 root.
        entries: how many.
        votes: how many parties posted it.
    """

    number: int
    root: bytes
    entries: int
    votes: int


class Holds:
    """The contract ``Holds`` at an address.

    Args:
        web3: a connected web3 instance.
        address: where the contract stands.
    """

    def __init__(self, web3: Any, address: str) -> None:
        self._contract = Contract(web3, address, load("tallystick.apps.fraud", "Holds"))
        self.address: str = self._contract.address

    @staticmethod
    def deploy_call(
        *, anchors: str, models: str, open_limit: int = 64, review_s: int = 86_400, review_blocks: int = 0
    ) -> Call:
        """Make the call that deploys the contract, bound to these for ever.

        Args:
            anchors: address of ``Anchors``.
            models: address of ``Models``, bound to the same ``Members``.
            open_limit: open holds that a member may have, 1 to 256.
            review_s: least seconds of a review, at most ten days.
            review_blocks: least blocks of it; 0 on a chain that makes no empty blocks.
        """
        artifact = load("tallystick.apps.fraud", "Holds")
        return Contract.deploy_call(artifact, anchors, models, open_limit, review_s, review_blocks)

    # Holds

    def place(self, *, epoch: int, token: bytes, until: int, slot: int, said: StatedProof) -> Call:
        """Make the call that places a hold on a decision in one's own anchored journal.

        Args:
            epoch: number of the running epoch that the token belongs to.
            token: the payee's, 32 bytes.
            until: microseconds, within ten days.
            slot: a free place, see `free_slot`.
            said: the statement ``hold.requested``.
        """
        return self._contract.call("place", epoch, _digest(token), until, slot, said.fields())

    def execute(
        self,
        *,
        epoch: int,
        token: bytes,
        until: int,
        slot: int,
        model: str,
        inputs: Sequence[int],
        salt: bytes,
    ) -> Call:
        """Make the call that lets a model place a hold; the inputs become public.

        Args:
            epoch: number of the running epoch that the token belongs to.
            token: the payee's, 32 bytes.
            until: microseconds, within ten days.
            slot: a free place, see `free_slot`.
            model: hash of its file, 64 hex digits.
            inputs: int16, as many as the model reads.
            salt: 32 bytes, see `input_commitment`.
        """
        words = list(pack_inputs(inputs))
        digests = bytes.fromhex(model), words, _digest(salt)
        return self._contract.call("execute", epoch, _digest(token), until, slot, *digests)

    def release(self, token: bytes, *, said: StatedProof) -> Call:
        """Make the call that releases one's own hold; ``said`` is the statement ``hold.released``."""
        return self._contract.call("release", _digest(token), said.fields())

    def dispute(self, token: bytes, party: bytes, *, reason: bytes) -> Call:
        """Make the call that disputes another member's hold.

        Args:
            token: the payee's.
            party: who placed it, SHA-256 of the party's id.
            reason: its SHA-256, or the id of the statement that gives it.
        """
        return self._contract.call("dispute", _digest(token), _digest(party), _digest(reason))

    def review(self, token: bytes, party: bytes, *, uphold: bool, reason: bytes) -> Call:
        """Make the call that speaks for or against another member's hold; see `dispute`."""
        return self._contract.call("review", _digest(token), _digest(party), uphold, _digest(reason))

    def settle(self, token: bytes, party: bytes) -> Call:
        """Make the call that writes down that a disputed hold lapsed; anybody may."""
        return self._contract.call("settle", _digest(token), _digest(party))

    def held(self, token: bytes) -> Held | None:
        """Read whether a payee is held; None when no hold is open."""
        until, level, placed_by = self._contract.read("held", _digest(token), block=PENDING)
        return Held(until, f"L{level}", placed_by) if until else None

    def hold_of(self, token: bytes, party: bytes) -> HoldRecord:
        """Read a member's last hold on a token; its state is ``NONE`` where there was none."""
        state, level, *rest = self._contract.read("hold_of", _digest(token), _digest(party))
        return HoldRecord(HoldState(state), f"L{level}", *rest)

    def is_open(self, token: bytes, party: bytes) -> bool:
        """Read whether a member's hold on a token is open now."""
        return bool(self._contract.read("is_open", _digest(token), _digest(party), block=PENDING))

    def holders(self, token: bytes) -> tuple[bytes, ...]:
        """Read who ever placed a hold on a token."""
        return tuple(self._contract.read("holders", _digest(token)))

    def voices(self, token: bytes, party: bytes, *, uphold: bool) -> tuple[bytes, ...]:
        """Read which parties spoke for or against a member's present hold."""
        return tuple(self._contract.read("voices", _digest(token), _digest(party), uphold))

    def free_slot(self, party: bytes) -> int | None:
        """Read the first free place of a member; None when it has as many open holds as it may."""
        found, slot = self._contract.read("free_slot", _digest(party), block=PENDING)
        return int(slot) if found else None

    def open_count(self, party: bytes) -> int:
        """Read how many open holds a member has."""
        return int(self._contract.read("open_count", _digest(party), block=PENDING))

    def open_limit(self) -> int:
        """Read how many open holds a member may have."""
        return int(self._contract.read("open_limit"))

    def record(self, party: bytes) -> MemberRecord:
        """Read what became of a member's holds."""
        return MemberRecord(*self._contract.read("record", _digest(party)))

    def is_used(self, statement: bytes) -> bool:
        """Read whether a statement has placed or released a hold."""
        return bool(self._contract.read("used", _digest(statement)))

    # Models

    def name_model(self, model: str, *, threshold: int) -> Call:
        """Make the call that votes for a model and the least score at which it places a hold."""
        return self._contract.call("name_model", bytes.fromhex(model), threshold)

    def threshold_of(self, model: str) -> int | None:
        """Read the least score at which a model places a hold; None where it was not named."""
        named, threshold = self._contract.read("model_named", bytes.fromhex(model))
        return int(threshold) if named else None

    # Epochs

    def open_epoch(self, number: int, *, agreed: bytes, since: int, until: int, share: bytes) -> Call:
        """Make the call that votes for an epoch and states the fingerprint of one's key share.

        Args:
            number: above all that were opened.
            agreed: hash of what the members agreed on, 32 bytes.
            since: microseconds.
            until: microseconds, at most 400 days later.
            share: commitment to the sender's share, or its hash.
        """
        return self._contract.call("open_epoch", number, _digest(agreed), since, until, _digest(share))

    def end_epoch(self, number: int) -> Call:
        """Make the call that states that one's share is destroyed."""
        return self._contract.call("end_epoch", number)

    def epoch(self, number: int) -> EpochRecord | None:
        """Read an epoch; None when it was not opened."""
        since, until, id_, _, ended = self._contract.read("epoch", number)
        return EpochRecord(since, until, id_, ended) if until else None

    def epoch_count(self) -> int:
        """Read the number of the epoch that was opened last."""
        return int(self._contract.read("epoch_count"))

    def epoch_ended(self, number: int) -> bool:
        """Read whether an epoch is over, by time or by votes."""
        return bool(self._contract.read("epoch_ended", number, block=PENDING))

    def shares(self, number: int) -> dict[bytes, bytes]:
        """Read who stated a share of an epoch, and the fingerprints."""
        return dict(zip(*self._contract.read("shares", number), strict=True))

    def destroyed(self, number: int) -> tuple[bytes, ...]:
        """Read who stated that its share is destroyed."""
        return tuple(self._contract.read("destroyed", number))

    # The list of reported payees

    def post_list(self, epoch: int, number: int, root: bytes, entries: int) -> Call:
        """Make the call that posts the list's root; it counts when enough members posted the same."""
        return self._contract.call("post_list", epoch, number, _digest(root), entries)

    def list_root(self, epoch: int) -> ListRecord | None:
        """Read the list that counts; None where none does."""
        number, root, votes = self._contract.read("list_root", epoch)
        entries = int(self._contract.read("list_entries", epoch))
        return ListRecord(number, root, entries, votes) if number else None

    def posted(self, epoch: int, number: int, party: bytes) -> bytes | None:
        """Read which root a member posted under a number; None where it did not."""
        found = bytes(self._contract.read("posted", epoch, number, _digest(party)))
        return found if any(found) else None

    def logged(self, event: str, *, start: int = 0, **topics: bytes | int) -> list[Logged]:
        """Read events of one name, oldest first.

        Raises:
            ConfigurationError: no such event.
        """
        if event not in EVENTS:
            raise ConfigurationError(f"event must be one of {', '.join(EVENTS)}, got {event[:40]}")
        named: dict[str, Any] = dict(topics)
        return self._contract.logged(event, start=start, **named)


def _digest(value: bytes) -> bytes:
    if len(value) != DIGEST:
        raise ConfigurationError(f"a token, party, root or salt must have {DIGEST} bytes, got {len(value)}")
    return value
