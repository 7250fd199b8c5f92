"""What the parties of a cold chain state, step by step, each in its own journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tallystick.decisions import ChainFact, Opening, OracleAnswer, Terms
from tallystick.models import IntegerModel
from tallystick.node import Node
from tallystick.proof import (
    Draft,
    Ed25519Signer,
    Entry,
    format_did_key,
    new_secret,
    sign_as_author,
)

from ._readings import Trip, format_page
from ._shipments import LotRecord, LotState

__all__ = ["Asked", "Logger", "Stating"]

PAGE: Final = 24  # readings that a logger signs at once
_OUTCOMES: Final = {
    LotState.QUARANTINED: "shipment.quarantined",
    LotState.REJECTED: "shipment.rejected",
    LotState.RELEASED: "shipment.released",
}


@dataclass(frozen=True, slots=True)
class Logger:
    """A temperature logger with a key of its own.

    Args:
        name: its number.
        signer: signs what it reads.
    """

    name: str
    signer: Ed25519Signer = field(default_factory=lambda: Ed25519Signer(new_secret("author")))

    @property
    def key(self) -> str:
        """Its public key as a did:key."""
        return format_did_key("ed25519", self.signer.public_key)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request about a trip, as it was sent.

    Args:
        lot: number of the lot.
        level: ``L0`` to ``L4``.
        request: the request's id, 32 bytes.
        terms: what was asked.
        opening: of the input.
        row: the features.
        trip: id of the statement that summarised them.
        block: of the request.
    """

    lot: str
    level: str
    request: bytes
    terms: Terms
    opening: Opening
    row: Mapping[str, str | None]
    trip: str
    block: int


class Stating:
    """Turns what happens into statements.

    Args:
        nodes: by the parties' names.
        chain_id: of the chain that the parties share.
        oracle: address of its oracle.
        shipments: address of the contract that asks.
        simulated: whether the lots are.
    """

    def __init__(
        self, nodes: Mapping[str, Node], *, chain_id: int, oracle: str, shipments: str, simulated: bool
    ) -> None:
        self._nodes, self._chain_id, self._oracle, self._shipments = nodes, chain_id, oracle, shipments
        self._simulated = simulated
        self.network = f"eip155:{chain_id}"
        self.model = ""
        self.loggers: dict[str, str] = {}

    def register_logger(self, by: str, logger: Logger) -> None:
        """State a logger's key."""
        body = {"key": logger.key, "logger": logger.name}
        self.loggers[logger.name] = self._nodes[by].record("logger.registered", body).id

    def receive(self, by: str, logger: Logger, trip: Trip) -> list[str]:
        """State the pages that a logger signed about a trip; their ids."""
        node, drafts = self._nodes[by], []
        for page, start in enumerate(range(0, len(trip.readings), PAGE), start=1):
            content = format_page(trip.lot, page, trip.readings[start : start + PAGE])
            author = sign_as_author(content, signer=logger.signer, network=self.network, origin=node.origin)
            body = {"author": author, "logger": logger.name, "lot": trip.lot, "page": page}
            drafts.append(Draft("reading.received", body, {"logger": [self.loggers[logger.name]]}))
        return [entry.id for entry in node.record_many(drafts)]

    def summarise(
        self,
        by: str,
        *,
        lot: str,
        row: Mapping[str, str | None],
        opening: Opening,
        model: IntegerModel,
        readings: Sequence[str],
    ) -> str:
        """State the features of a trip, and the input that commits to them."""
        body = {
            "input": opening.commitment.hex(),
            "lot": lot,
            "model": model.hash,
            "simulated": self._simulated,
        }
        words = [f"{word:064x}" for word in opening.words]
        sealed = {"row": dict(row), "salt": opening.salt.hex(), "words": words}
        links = {"model": [self.model], "reading": list(readings)}
        return self._nodes[by].record("trip.summarised", body, links=links, fields=sealed).id

    def receive_answer(
        self,
        by: str,
        asked: Asked,
        answer: OracleAnswer,
        *,
        signatures: Mapping[str, bytes],
        signed: int,
        links: Mapping[str, Sequence[str]],
    ) -> str:
        """State what the oracle answered, and on whose signatures; the id.

        Args:
            by: whose journal.
            asked: the request.
            answer: how it ended.
            signatures: by the signer's account; none at L4.
            signed: what was signed, which differs from the answer when that was overturned.
            links: to the signers' own statements, and to a challenge.
        """
        terms = asked.terms
        body: dict[str, Any] = {
            "chain": ChainFact(self._chain_id, self._oracle, asked.block, asked.request.hex()).body(),
            "input": terms.input.hex(),
            "level": asked.level,
            "model": terms.model,
            "output": answer.output,
            "overturned": answer.is_overturned,
            "request": asked.request.hex(),
            "requester": self._shipments,
            "signatures": {account: signature.hex() for account, signature in signatures.items()},
            "terms": {
                "callback_gas": terms.callback_gas,
                "fee": str(terms.fee),
                "panel": terms.panel.hex(),
                "step_blocks": terms.step_blocks,
                "step_s": terms.step_s,
            },
        }
        if signatures:
            body["signed"] = signed
        every = {"trip": [asked.trip], **{label: list(ids) for label, ids in links.items() if ids}}
        return self._nodes[by].record("answer.received", body, links=every).id

    def outcome(
        self, by: str, asked: Asked, lot: LotRecord, *, block: int, links: Mapping[str, Sequence[str]]
    ) -> Entry:
        """State what the contract did with a lot; prices stay sealed."""
        fact = ChainFact(self._chain_id, self._shipments, block, asked.request.hex())
        body = {
            "chain": fact.body(),
            "level": asked.level,
            "lot": asked.lot,
            "output": lot.output,
            "reviewed": lot.reviewed,
            "simulated": self._simulated,
            "threshold": lot.terms.threshold,
        }
        sealed = {"freight": str(lot.terms.freight), "price": str(lot.price)}
        every = {label: list(ids) for label, ids in links.items() if ids}
        return self._nodes[by].record(_OUTCOMES[lot.state], body, links=every, fields=sealed)

    def review(self, by: str, *, lot: str, release: bool, reason: str, about: str) -> str:
        """State what a person says of a lot in quarantine; the id, which the contract is given."""
        body = {"lot": lot, "reason": reason, "release": release}
        return self._nodes[by].record("shipment.reviewed", body, links={"shipment": [about]}).id
