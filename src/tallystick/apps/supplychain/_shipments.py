"""The contract ``Shipments``: lots under escrow that a model's answer releases or quarantines.

shipments = Shipments(chain.web3, address)
outbox.send("book/7", shipments.book(lot_id("VX-7"), terms, reviewers=[a, b], price=10**18))
outbox.send("ask/7", shipments.ask(lot_id("VX-7"), commitment, fee=7_000))
shipments.lot(lot_id("VX-7")).state
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

from tallystick.chain import Call, Contract, Logged, load
from tallystick.errors import ConfigurationError
from tallystick.proof import keccak256

__all__ = ["CALLBACK_GAS", "LotRecord", "LotState", "LotTerms", "Shipments", "lot_id"]

CALLBACK_GAS = 250_000  # what the contract asks `Oracle` to bring with an answer
MAX_REVIEWERS = 8
EVENTS = ("Asked", "Booked", "Paid", "Quarantined", "Rejected", "Released", "Reopened", "Reviewed")


class LotState(IntEnum):
    """Where a lot stands."""

    UNKNOWN = 0
    BOOKED = 1
    ASKED = 2
    RELEASED = 3
    QUARANTINED = 4
    REJECTED = 5


@dataclass(frozen=True, slots=True)
class LotTerms:
    """What a booking fixes.

    Args:
        seller: account that gets the price.
        carrier: account that gets the freight.
        freight: wei of what is sent with the booking.
        model: hash of the model's file, 64 hex digits.
        threshold: the least score that is not released.
        level: assurance level that the answer must have: 0, 1, 2 or 4.
        panel: id of the oracle's panel, 32 bytes; zero at level 4.
        step_s: least seconds of each step of the request.
        step_blocks: least blocks of the same.
        until_s: second, since the epoch, after which an undecided lot is rejected.
        until_block: block after which it is; both must have passed.
    """

    seller: str
    carrier: str
    freight: int
    model: str
    threshold: int
    level: int
    panel: bytes
    step_s: int
    step_blocks: int
    until_s: int
    until_block: int

    def fields(self) -> tuple[Any, ...]:
        """Return the terms as the contract takes them."""
        return (
            self.seller, self.carrier, self.freight, bytes.fromhex(self.model), self.threshold, self.level,
            self.panel, self.step_s, self.step_blocks, self.until_s, self.until_block,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class LotRecord:
    """A lot as the contract keeps it.

    Args:
        state: where it stands.
        price: wei for the seller.
        request: the last request's id; 32 zero bytes before.
        output: the answer; 0 before, see ``state``.
        reviewed: whether people had the last word.
        terms: what the booking fixed.
    """

    state: LotState
    price: int
    request: bytes
    output: int
    reviewed: bool
    terms: LotTerms


def lot_id(name: str) -> bytes:
    """Return a lot's name in the contract: Keccak-256 of its text, 32 bytes."""
    return keccak256(name.encode())


class Shipments:
    """The contract ``Shipments`` at an address.

    Args:
        web3: a connected web3 instance.
        address: where the contract stands.
    """

    def __init__(self, web3: Any, address: str) -> None:
        self._contract = Contract(web3, address, load("tallystick.apps.supplychain", "Shipments"))
        self.address: str = self._contract.address

    @staticmethod
    def deploy_call(*, oracle: str, members: str, buyer: str) -> Call:
        """Make the call that deploys the contract, bound to these three for ever.

        Args:
            oracle: address of ``Oracle``.
            members: address of ``Members``.
            buyer: account that books, pays and asks.
        """
        return Contract.deploy_call(load("tallystick.apps.supplychain", "Shipments"), oracle, members, buyer)

    def book(self, lot: bytes, terms: LotTerms, *, reviewers: Sequence[str], price: int) -> Call:
        """Make the call that books a lot and puts price and freight under escrow.

        Args:
            lot: see `lot_id`.
            terms: what the booking fixes.
            reviewers: 2 to 8 accounts of different parties.
            price: wei for the seller.
        """
        if not 2 <= len(reviewers) <= MAX_REVIEWERS:
            raise ConfigurationError(f"reviewers must be 2 to {MAX_REVIEWERS}, got {len(reviewers)}")
        call = self._contract.call("book", lot, terms.fields(), list(reviewers))
        return replace(call, value=price + terms.freight)

    def ask(self, lot: bytes, commitment: bytes, *, fee: int) -> Call:
        """Make the call that asks the booked model about a trip.

        Args:
            lot: a booked lot.
            commitment: of the packed input, see `input_commitment`.
            fee: wei for the oracle.
        """
        return replace(self._contract.call("ask", lot, commitment), value=fee)

    def reopen(self, lot: bytes) -> Call:
        """Make the call that lets a lot be asked about again whose request ended without an answer."""
        return self._contract.call("reopen", lot)

    def review(self, lot: bytes, *, release: bool, reason: bytes) -> Call:
        """Make the call by which a reviewer says what shall become of a quarantined lot.

        Args:
            lot: a quarantined lot.
            release: whether it may go.
            reason: SHA-256 of the reason, or the id of the statement that gives it; 32 bytes.
        """
        return self._contract.call("review", lot, release, reason)

    def expire(self, lot: bytes) -> Call:
        """Make the call that ends a lot that nobody decided in time; anybody may."""
        return self._contract.call("expire", lot)

    def reclaim(self) -> Call:
        """Make the call that brings what the oracle owes to this contract here, for the buyer."""
        return self._contract.call("reclaim")

    def withdraw(self, amount: int) -> Call:
        """Make the call that pays the sender's credit out."""
        return self._contract.call("withdraw", amount)

    def lot(self, lot: bytes) -> LotRecord:
        """Read a lot; its state is ``UNKNOWN`` where nobody booked it."""
        state, price, request, output, reviewed, terms = self._contract.read("lot", lot)
        seller, carrier, freight, model, *rest = terms
        return LotRecord(
            LotState(state), price, request, output, reviewed,
            LotTerms(seller, carrier, freight, model.hex(), *rest),
        )  # fmt: skip

    def credit(self, account: str) -> int:
        """Read how many wei an account may withdraw."""
        return int(self._contract.read("credit", account))

    def reviewers(self, lot: bytes) -> tuple[str, ...]:
        """Read who may review a lot."""
        return tuple(self._contract.read("reviewers", lot))

    def voices(self, lot: bytes, *, release: bool) -> tuple[bytes, ...]:
        """Read which parties spoke for a release, or against it."""
        return tuple(self._contract.read("voices", lot, release))

    def logged(self, event: str, *, start: int = 0, **topics: bytes) -> list[Logged]:
        """Read events of one name, oldest first.

        Raises:
            ConfigurationError: no such event.
        """
        if event not in EVENTS:
            raise ConfigurationError(f"event must be one of {', '.join(EVENTS)}, got {event[:40]}")
        named: dict[str, Any] = dict(topics)
        return self._contract.logged(event, start=start, **named)
