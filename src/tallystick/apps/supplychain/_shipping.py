"""A lot's way through the contracts: booked, asked about, answered, decided; each step stated."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tallystick.decisions import LEVELS, OracleAnswer, Panel, make_request
from tallystick.models import IntegerModel
from tallystick.proof import Entry

from ._costs import gas_between
from ._lots import Scored
from ._nodes import Nodes
from ._parties import (
    CARRIER,
    COIN,
    INSPECTORATE,
    MAKER,
    OFFICE,
    ORACLES,
    PHARMACY,
    STEP_BLOCKS,
    STEP_S,
    WATCH,
    Cast,
)
from ._shipments import CALLBACK_GAS, LotRecord, LotTerms, lot_id
from ._stating import Asked, Stating

__all__ = ["FEE", "FREIGHT", "PRICE", "Shipped", "Shipping"]

PRICE, FREIGHT = 2 * COIN, COIN // 5
FEE: Final = 7 * 10**14  # a node's share is 10^14 wei
DECIDED_WITHIN_S: Final = 7 * 86_400
DECIDED_WITHIN_BLOCKS: Final = 1_000
SWAY: Final = 20_000  # how far from the threshold a bribed node's score lies


@dataclass(frozen=True, slots=True)
class Shipped:
    """A lot that was decided on.

    Args:
        asked: the request.
        answer: how it ended.
        record: the lot, as the contract keeps it.
        received: id of the statement of the answer.
        outcome: the statement of what became of the lot.
        seconds: from the request to the settlement.
        gas: function -> transactions, gas.
        signed: what was signed; None at L4.
        signers: names of who signed it.
        money: who -> wei in the oracle when the wrong answer stood, and at the end; only where bonds are at stake.
        challenge: what the overturning transaction cost, where there was one.
    """

    asked: Asked
    answer: OracleAnswer
    record: LotRecord
    received: str
    outcome: Entry
    seconds: float
    gas: Mapping[str, tuple[int, int]]
    signed: int | None
    signers: tuple[str, ...]
    money: Mapping[str, tuple[int, int]]
    challenge: int | None


class Shipping:
    """Ships lots.

    Args:
        cast: the parties.
        nodes: answer.
        stating: states.
        model: is asked.
        threshold: the least score that is held back.
    """

    def __init__(
        self, cast: Cast, nodes: Nodes, stating: Stating, *, model: IntegerModel, threshold: int
    ) -> None:
        self._cast, self._nodes, self._stating = cast, nodes, stating
        self._model, self._threshold = model, threshold

    def ship(
        self, lot: Scored, level: str, *, readings: Sequence[str], bribed: Collection[str] = ()
    ) -> Shipped:
        """Book a lot, ask about it at a level, and let the contract act on the answer.

        Args:
            lot: which one.
            level: ``L0``, ``L1``, ``L2`` or ``L4``.
            readings: ids of the statements of its readings.
            bribed: oracle nodes that answer the opposite.

        Returns:
            What became of it; the contract has acted, and all bonds are settled.
        """
        cast, place = self._cast, lot_id(f"{lot.trip.lot}/{level}")
        self._book(lot.trip.lot, level)
        asked = self._ask(lot, level, readings)
        before, started = asked.block - 1, time.monotonic()
        held: dict[str, int] = {}
        answer = self._answered(asked, bribed, lambda: held.update(self._purses()))
        seconds, head = time.monotonic() - started, cast.chain.head().number
        signatures: dict[str, bytes] = {}
        signed = None
        if level != "L4":
            signatures = self._nodes.signatures(asked.request, self._panel(level))
            (told,) = cast.oracle.logged("Answered", request=asked.request)
            signed = int(told.values["output"])
        links = {"answer": self._statements(asked, signatures), "challenge": self._challenges(asked)}
        received = self._stating.receive_answer(
            PHARMACY, asked, answer, signatures=signatures, signed=signed or 0, links=links
        )
        record = cast.shipments.lot(place)
        block = self._decided_at(place, record)
        outcome = self._stating.outcome(PHARMACY, asked, record, block=block, links={"answer": [received]})
        after = self._purses() if held else {}
        return Shipped(
            asked=asked,
            answer=answer,
            record=record,
            received=received,
            outcome=outcome,
            seconds=seconds,
            gas=gas_between(cast.chain, after=before, until=head),
            signed=signed,
            signers=tuple(sorted(map(cast.name_of, signatures))),
            money={name: (held[name], after[name]) for name in held},
            challenge=self._challenge_gas(asked) if answer.is_overturned else None,
        )

    def _book(self, lot: str, level: str) -> None:
        cast, now = self._cast, self._cast.chain.head()
        terms = LotTerms(
            seller=cast.address(MAKER),
            carrier=cast.address(CARRIER),
            freight=FREIGHT,
            model=self._model.hash,
            threshold=self._threshold,
            level=int(level[1:]),
            panel=bytes(32) if level == "L4" else self._panel(level).id,
            step_s=STEP_S,
            step_blocks=STEP_BLOCKS,
            until_s=now.time + DECIDED_WITHIN_S,
            until_block=now.number + DECIDED_WITHIN_BLOCKS,
        )
        reviewers = [cast.address(OFFICE), cast.address(INSPECTORATE)]
        place = lot_id(f"{lot}/{level}")
        call = cast.shipments.book(place, terms, reviewers=reviewers, price=PRICE)
        cast.send(PHARMACY, f"book/{place.hex()}", call)

    def _panel(self, level: str) -> Panel:
        return self._cast.optimistic if level == "L2" else self._cast.quorum

    def _ask(self, lot: Scored, level: str, readings: Sequence[str]) -> Asked:
        cast, shipments = self._cast, self._cast.shipments
        terms, opening = make_request(
            self._model,
            lot.row,
            level=level,
            panel=None if level == "L4" else self._panel(level),
            # The pharmacy says who may see what, before anything is shown.
            reveal=LEVELS[level].who_sees.others,
            step_s=STEP_S,
            step_blocks=STEP_BLOCKS,
            callback_gas=CALLBACK_GAS,
            fee=FEE,
        )
        request = terms.id(
            chain_id=cast.chain.chain_id, oracle=cast.oracle.address, requester=shipments.address
        )
        trip = self._stating.summarise(
            PHARMACY,
            lot=lot.trip.lot,
            row=lot.row,
            opening=opening,
            model=self._model,
            readings=readings,
        )
        self._nodes.handed.take(opening.of(request.hex()), terms.input)
        call = shipments.ask(lot_id(f"{lot.trip.lot}/{level}"), terms.input, fee=FEE)
        mined = cast.send(PHARMACY, f"ask/{trip}", call)
        return Asked(lot.trip.lot, level, request, terms, opening, lot.row, trip, mined.block)

    def _answered(
        self, asked: Asked, bribed: Collection[str], on_answered: Callable[[], None]
    ) -> OracleAnswer:
        if asked.level == "L4":
            oracle, opening = self._cast.oracle, asked.opening
            call = oracle.execute(asked.request, words=opening.words, salt=opening.salt)
            self._cast.send(PHARMACY, f"execute/{asked.request.hex()}", call)
            return self._nodes.state(asked.request)
        return self._nodes.answer(asked.request, bribed=bribed, bribe=self._opposite, on_answered=on_answered)

    def _opposite(self, right: int) -> int:
        """Say what turns the decision round: a spoiled lot is sold, a good one held back."""
        return self._threshold + (-SWAY if right >= self._threshold else SWAY)

    def _purses(self) -> dict[str, int]:
        """Wei that everybody has in the oracle, free and at stake, and what was burned."""
        oracle, names = self._cast.oracle, (*ORACLES, WATCH)
        accounts = {name: self._cast.address(name) for name in names}
        accounts["the buyer's contract"] = self._cast.shipments.address
        held = {name: oracle.account(address) for name, address in accounts.items()}
        return {name: one.free + one.locked for name, one in held.items()} | {"burned": oracle.burned()}

    def _statements(self, asked: Asked, signatures: Mapping[str, bytes]) -> list[str]:
        """The signers' own statements about a request."""
        return [
            entry.id
            for account in signatures
            for entry in self._cast.nodes[self._cast.name_of(account)].journal.entries()
            if entry.statement.kind == "answer.given"
            and entry.statement.body["request"] == asked.request.hex()
        ]

    def _challenges(self, asked: Asked) -> list[str]:
        return [
            entry.id
            for entry in self._cast.nodes[WATCH].journal.entries()
            if entry.statement.kind == "answer.challenged"
            and entry.statement.body["request"] == asked.request.hex()
        ]

    def _challenge_gas(self, asked: Asked) -> int:
        (event,) = self._cast.oracle.logged("Overturned", request=asked.request)
        receipt = self._cast.chain.ask("eth_getTransactionReceipt", event.transaction)
        return int(receipt["gasUsed"], 16)

    def _decided_at(self, lot: bytes, record: LotRecord) -> int:
        """The block in which the contract brought a lot where it stands."""
        return self._cast.shipments.logged(record.state.name.capitalize(), lot=lot)[-1].block

    def review(
        self, shipped: Shipped, *, release: bool, reasons: Mapping[str, str]
    ) -> tuple[LotRecord, Entry]:
        """Let people decide on a lot in quarantine.

        Args:
            shipped: the lot.
            release: what they say.
            reasons: party -> why.

        Returns:
            The lot as the contract keeps it now, and the statement of it.
        """
        cast, asked = self._cast, shipped.asked
        lot = lot_id(f"{asked.lot}/{asked.level}")
        said = []
        for party, reason in reasons.items():
            statement = self._stating.review(
                party, lot=asked.lot, release=release, reason=reason, about=shipped.outcome.id
            )
            call = cast.shipments.review(lot, release=release, reason=bytes.fromhex(statement))
            cast.send(party, f"review/{statement}", call)
            said.append(statement)
        record = cast.shipments.lot(lot)
        links = {"answer": [shipped.received], "review": said}
        block = self._decided_at(lot, record)
        return record, self._stating.outcome(PHARMACY, asked, record, block=block, links=links)
