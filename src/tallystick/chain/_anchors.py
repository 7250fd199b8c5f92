"""The contract ``Anchors``: the heads of the members' journals.

- Only the writer that ``Members`` binds to a journal anchors; a new head is larger and carries an RFC 9162
  consistency proof from the head before, which the contract checks.
- Every anchored root stays readable by its size for ever. The block of an anchoring is that of its event; every
  event names the block of the anchoring before it, so ``history`` asks for single blocks only and works at
  endpoints that limit the range of a log query.
- A new epoch, opened by a vote in ``Members``, starts from any size; what was anchored before stays readable.

    anchors = Anchors(web3, address)
    outbox.send(anchors.anchor(journal, size=size, root=root, proof=proof))
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tallystick.errors import ChainError, ConfigurationError

from ._artifacts import load
from ._calls import Call
from ._contract import Contract, Logged
from ._words import checked_account, checked_count, checked_digest, found_digest

if TYPE_CHECKING:
    from web3 import Web3

__all__ = ["Anchoring", "Anchors", "Head"]

MAX_CONSISTENCY = 65
MAX_INCLUSION = 64


@dataclass(frozen=True, slots=True)
class Head:
    """A journal's last head in one epoch.

    Args:
        size: number of statements.
        root: RFC 9162 root, 32 bytes.
        block: number of the block that anchored it.
    """

    size: int
    root: bytes
    block: int


@dataclass(frozen=True, slots=True)
class Anchoring:
    """One anchoring, as its event tells it.

    Args:
        journal: SHA-256 of the journal's origin.
        epoch: of the journal, from 1.
        size: number of statements.
        root: RFC 9162 root, 32 bytes.
        block: number of the block that anchored it.
        transaction: hash of the transaction, ``0x`` and 64 hex digits.
        previous_size: size of the head before it in this epoch, 0 for the first.
        previous_block: the block of that head, 0 for the first.
    """

    journal: bytes
    epoch: int
    size: int
    root: bytes
    block: int
    transaction: str
    previous_size: int
    previous_block: int


class Anchors:
    """The contract ``Anchors`` at an address.

    Args:
        web3: a connected web3 instance.
        address: where the contract stands.
    """

    def __init__(self, web3: Web3, address: str) -> None:
        self._contract = Contract(web3, address, load("tallystick.chain", "Anchors"))
        self.address = self._contract.address

    @staticmethod
    def deploy_call(members: str) -> Call:
        """Make the call that deploys the contract.

        Args:
            members: address of the contract ``Members`` that it shall ask, for ever.
        """
        return Contract.deploy_call(load("tallystick.chain", "Anchors"), checked_account(members))

    def anchor(self, journal: bytes, *, size: int, root: bytes, proof: Sequence[bytes] = ()) -> Call:
        """Make the call that anchors a head; only the journal's writer may send it.

        Args:
            journal: SHA-256 of the journal's origin.
            size: number of statements, more than the head's in this epoch.
            root: RFC 9162 root.
            proof: consistency proof from the head of this epoch; empty for its first head.
        """
        if len(proof) > MAX_CONSISTENCY:
            raise ConfigurationError(
                f"a consistency proof must be at most {MAX_CONSISTENCY} hashes, got {len(proof)}"
            )
        path = [checked_digest(node) for node in proof]
        return self._contract.call(
            "anchor", checked_digest(journal), checked_count(size), checked_digest(root), path
        )

    def members(self) -> str:
        """Read the address of the contract ``Members`` that says who may anchor."""
        return str(self._contract.read("members"))

    def heads(self, journal: bytes, *, block: int | str = "latest") -> Head | None:
        """Read the head of a journal's current epoch; None when nothing is anchored in it."""
        return _head(self._contract.read("heads", checked_digest(journal), block=block))

    def head_in(self, journal: bytes, *, epoch: int) -> Head | None:
        """Read the last head of one epoch, also of one that is over; None when it has none."""
        return _head(self._contract.read("head_in", checked_digest(journal), checked_count(epoch)))

    def epoch(self, journal: bytes) -> int:
        """Read a journal's current epoch: from 1, 0 for an unknown journal."""
        return int(self._contract.read("epoch", checked_digest(journal)))

    def roots(self, journal: bytes, *, size: int) -> bytes | None:
        """Read the root anchored at a size, in the latest epoch that anchored that size; None when none did."""
        return found_digest(self._contract.read("roots", checked_digest(journal), checked_count(size)))

    def root_in(self, journal: bytes, *, epoch: int, size: int) -> bytes | None:
        """Read the root anchored at a size in one epoch; None when it was not."""
        return found_digest(
            self._contract.read("root_in", checked_digest(journal), checked_count(epoch), checked_count(size))
        )

    def epoch_of(self, journal: bytes, *, size: int, root: bytes) -> int | None:
        """Read the latest epoch in which this very head was anchored; None when it never was."""
        return (
            int(
                self._contract.read(
                    "epoch_of", checked_digest(journal), checked_count(size), checked_digest(root)
                )
            )
            or None
        )

    def includes(
        self,
        journal: bytes,
        *,
        size: int,
        index: int,
        leaf: bytes,
        proof: Sequence[bytes],
        epoch: int | None = None,
    ) -> bool:
        """Ask the contract whether a statement stands in a journal under an anchored head.

        Args:
            journal: SHA-256 of the journal's origin.
            size: size of an anchored head; it need not be the last.
            index: place of the statement, from 0.
            leaf: RFC 9162 leaf hash of the statement.
            proof: inclusion proof.
            epoch: the one epoch that counts; any of them when None.
        """
        if len(proof) > MAX_INCLUSION:
            return False
        place = (
            checked_count(size),
            checked_count(index),
            checked_digest(leaf),
            [checked_digest(node) for node in proof],
        )
        if epoch is None:
            return bool(self._contract.read("includes", checked_digest(journal), *place))
        return bool(self._contract.read("includes_in", checked_digest(journal), checked_count(epoch), *place))

    def anchored_at(
        self, journal: bytes, size: int, *, start: int = 0, stop: int | str = "latest"
    ) -> Anchoring | None:
        """Find the latest anchoring of a size, with its block, by one log query.

        Args:
            journal: SHA-256 of the journal's origin.
            size: number of statements.
            start: first block to look in; endpoints may limit the range, see ``history``.
            stop: last block to look in, or a tag.
        """
        found = self._contract.logged(
            "Anchored", start=start, stop=stop, journal=checked_digest(journal), size=checked_count(size)
        )
        return _anchoring(found[-1]) if found else None

    def history(self, journal: bytes, *, epoch: int | None = None) -> Iterator[Anchoring]:
        """Walk back from the head of an epoch to its first anchoring, newest first, one block at a time.

        Args:
            journal: SHA-256 of the journal's origin.
            epoch: the current one when None.

        Raises:
            ChainError: the endpoint keeps back an event that its own state says must be there.
        """
        number = self.epoch(journal) if epoch is None else epoch
        head = self.head_in(journal, epoch=number)
        size, block = (head.size, head.block) if head else (0, 0)
        while size:
            logs = self._contract.logged(
                "Anchored", start=block, stop=block, journal=checked_digest(journal), size=size, epoch=number
            )
            if len(logs) != 1:
                raise ChainError(f"block {block} must hold one anchoring of size {size}, got {len(logs)}")
            anchoring = _anchoring(logs[0])
            yield anchoring
            size, block = anchoring.previous_size, anchoring.previous_block


def _anchoring(logged: Logged) -> Anchoring:
    return Anchoring(block=logged.block, transaction=logged.transaction, **logged.values)


def _head(fields: tuple[int, bytes, int]) -> Head | None:
    return Head(*fields) if fields[0] else None
