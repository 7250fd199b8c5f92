"""The seven oracle nodes and the watcher as they really run, and what a bribed node does in their place."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tallystick.decisions import (
    Followed,
    Holdings,
    Openings,
    OracleAnswer,
    OracleNode,
    Panel,
    RequestBook,
    RequestInHand,
    RequestStatus,
    SharedExchange,
    Watcher,
)
from tallystick.errors import DefectError, NotFoundError
from tallystick.models import IntegerModel

from ._parties import ORACLES, WATCH, Cast

__all__ = ["Bribe", "Nodes"]

PASSES: Final = 40  # more than any request here takes
WAIT_S: Final = 30
Bribe = Callable[[int], int]
"""What a bribed node says in place of the right output."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A version of a model, as the registry of each node knows it."""

    hash: str
    published: str
    stage: str = "promoted"


class _OneModel:
    """A source of the one model of this pilot."""

    def __init__(self, model: IntegerModel, published: str) -> None:
        self._model, self._known = model, _Known(model.hash, published)

    def find(self, what: str) -> _Known:
        if what != self._model.hash:
            raise NotFoundError("this node serves another model")
        return self._known

    def model(self, version: Any) -> IntegerModel:
        return self._model


class _Bribed(Holdings):
    """Holds what an honest node holds, and answers what it is paid for."""

    def __init__(self, *means: Any) -> None:
        super().__init__(*means)
        self.bribe: Bribe = _honest

    def output(self, request: RequestInHand, *, also_retired: bool = False) -> int | None:
        right = super().output(request, also_retired=also_retired)
        return None if right is None else self.bribe(right)


class Nodes:
    """Seven oracle nodes and a watcher in one process, each with a workspace, an account and an outbox of its own.

    Args:
        cast: the parties.
        model: the one that they serve.
        published: the statement that published it.
        directory: where the pharmacy hands out openings.
    """

    def __init__(self, cast: Cast, model: IntegerModel, *, published: str, directory: Path) -> None:
        self._cast = cast
        self._models = _OneModel(model, published)
        self.handed = Openings(directory)
        exchange = SharedExchange()
        self._followers: dict[str, OracleNode] = {}
        self._held: dict[str, _Bribed] = {}
        for name in ORACLES:
            means = self._means(name)
            self._held[name] = means["holdings"]
            self._followers[name] = OracleNode(
                **means,
                exchange=exchange,
                signer=cast.accounts[name],
                panels=[cast.quorum.id, cast.optimistic.id],
            )
        self._watcher = Watcher(**self._means(WATCH), account=cast.address(WATCH))

    def _means(self, name: str) -> dict[str, Any]:
        cast, node, oracle = self._cast, self._cast.nodes[name], self._cast.oracle
        path = node.workspace.followed("oracle", oracle.address)
        followed = Followed(path, chain=cast.chain.chain_id, contract=oracle.address)
        return {
            "node": node,
            "book": RequestBook(oracle, cast.chain),
            "outbox": cast.outbox(name),
            "holdings": _Bribed(self._models, Openings(node.workspace.openings), self.handed),
            "followed": followed,
        }

    def answer(
        self,
        request: bytes,
        *,
        bribed: Collection[str] = (),
        bribe: Bribe | None = None,
        on_answered: Callable[[], None] = lambda: None,
    ) -> OracleAnswer:
        """Let everybody follow a request until it has ended and all money is settled.

        Args:
            request: its id.
            bribed: names of the nodes that lie.
            bribe: what they say.
            on_answered: called once when an L2 answer stands and its window runs.

        Returns:
            How it ended.

        Raises:
            DefectError: it does not end.
        """
        for name, held in self._held.items():
            held.bribe = bribe if bribe is not None and name in bribed else _honest
        told = False
        for _ in range(PASSES):
            for follower in self._followers.values():
                follower.step(wait_s=WAIT_S)
            found = self.state(request)
            if found.status is RequestStatus.ANSWERED and not told:
                on_answered()
                told = True
            self._watcher.step(wait_s=WAIT_S)
            found = self.state(request)
            if found.status is RequestStatus.FINAL and not found.committed:
                return found
        raise DefectError("the oracle nodes did not end a request")

    def state(self, request: bytes) -> OracleAnswer:
        """Read how far a request is."""
        found = self._cast.oracle.answer_of(request)
        if found is None:
            raise DefectError("the oracle does not know the request")
        return found

    def signatures(self, request: bytes, panel: Panel) -> dict[str, bytes]:
        """Return the signatures that the answer's transaction carried, by the signer's account."""
        (answered,) = self._cast.oracle.logged("Answered", request=request)
        transaction = self._cast.chain.ask("eth_getTransactionByHash", answered.transaction)
        # Behind the selector: request, output, mask, place and number of the signatures, two words each (EIP-2098).
        data = bytes.fromhex(transaction["input"][2:])[4:]
        words = [int.from_bytes(data[at : at + 32], "big") for at in range(0, len(data), 32)]
        seats = [seat for seat in range(32) if words[2] >> seat & 1]
        found = {}
        for place, seat in enumerate(seats):
            r, packed = words[5 + 2 * place], words[6 + 2 * place]
            s, v = packed % 2**255, 27 + (packed >> 255)
            found[panel.signers[seat]] = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v])
        return found


def _honest(right: int) -> int:
    return right
