"""The contract `Oracle` as somebody sees it who follows its requests: what was asked, and how far each one is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tallystick.errors import ChainError

from ._oracle_terms import OracleAnswer, OracleRequest, Panel, RequestStatus

if TYPE_CHECKING:
    from ._oracle_contract import Oracle

__all__ = ["Heads", "RequestBook", "RequestInHand"]

NOBODY = Panel(("0x" + "f" * 40,), 1)  # of a request that the contract executes itself
MAX_KEPT = 10_000  # terms in memory
PAGE_BLOCKS = 5_000  # of one log query; nodes limit it, often to 10,000


class Block(Protocol):
    """A block's number and time (POSIX seconds)."""

    @property
    def number(self) -> int: ...
    @property
    def time(self) -> int: ...


class Heads(Protocol):
    """A chain's id, newest block and balances, and whether it is an embedded one; a `Chain` is one."""

    @property
    def chain_id(self) -> int: ...
    @property
    def is_local(self) -> bool: ...
    def head(self) -> Block: ...
    def settled(self) -> int: ...
    def balance(self, address: str) -> int: ...


@dataclass(frozen=True, slots=True)
class RequestInHand:
    """A request, its panel, and how far it was at a block.

    Args:
        asked_at: number of the block that asked it.
        terms: what was asked; never changes.
        panel: who answers and who watches; never changes.
        answer: how far it is.
        head: number of the newest block.
        second: time of the newest block.
    """

    asked_at: int
    terms: OracleRequest
    panel: Panel
    answer: OracleAnswer
    head: int
    second: int

    @property
    def id(self) -> str:
        """The request's id, 64 hex digits."""
        return self.terms.id.hex()

    @property
    def level(self) -> str:
        """``L0`` to ``L4``."""
        return f"L{self.terms.level}"

    @property
    def is_open(self) -> bool:
        """Whether an answer may still come."""
        return self.answer.status is RequestStatus.OPEN and not self.is_late

    @property
    def is_late(self) -> bool:
        """Whether the deadline of the step is over."""
        return self.answer.deadline.is_over(second=self.second, block=self.head)

    @property
    def may_commit(self) -> bool:
        """Whether signers may still commit to a signature."""
        return self.is_open and self.terms.level in (1, 2) and not self._step_is_over

    @property
    def may_answer(self) -> bool:
        """Whether signatures may be shown and submitted: no commitment can follow any more."""
        everybody = len(self.answer.committed) == len(self.panel.signers)
        return self.is_open and (self.terms.level == 0 or everybody or self._step_is_over)

    @property
    def _step_is_over(self) -> bool:
        return self.answer.until.is_over(second=self.second, block=self.head)


class RequestBook:
    """Reads requests; terms and panels are kept, for they never change.

    Args:
        oracle: the contract.
        chain: where it stands.
    """

    def __init__(self, oracle: Oracle, chain: Heads) -> None:
        self.oracle, self.chain = oracle, chain
        self._terms: dict[str, tuple[OracleRequest, Panel]] = {}
        self._head: Block = chain.head()

    def look(self) -> int:
        """Look at the chain's newest block, up to which everything is read from now on; return its number."""
        self._head = self.chain.head()
        return self._head.number

    def asked_since(self, block: int) -> list[tuple[str, int]]:
        """Return the requests asked from a block up to the newest one looked at, id and block, in order."""
        last = self._head.number
        return [
            (one.values["request"].hex(), one.block)
            for first in range(block, last + 1, PAGE_BLOCKS)
            for one in self.oracle.requests(start=first, stop=min(first + PAGE_BLOCKS - 1, last))
        ]

    def read(self, request: str, asked_at: int) -> RequestInHand:
        """Read how far a request is.

        Args:
            request: 64 hex digits.
            asked_at: number of the block that asked it.

        Raises:
            ChainError: the chain logged the request and does not know it.
        """
        terms, panel = self._terms_of(request)
        answer = self.oracle.answer_of(terms.id)
        if answer is None:
            raise ChainError("the chain logged a request that it does not know")
        return RequestInHand(asked_at, terms, panel, answer, self._head.number, self._head.time)

    def digest(self, request: RequestInHand, output: int) -> bytes:
        """Return what a signer of this answer signs, 32 bytes."""
        return self.oracle.answer_digest(request.terms, output=output, chain_id=self.chain.chain_id)

    def _terms_of(self, request: str) -> tuple[OracleRequest, Panel]:
        kept = self._terms.get(request)
        if kept is not None:
            return kept
        terms = self.oracle.request_of(bytes.fromhex(request))
        panel = NOBODY if terms is None or terms.level == 4 else self.oracle.panel(terms.panel)
        if terms is None or panel is None:
            raise ChainError("the chain logged a request that it does not know")
        while len(self._terms) >= MAX_KEPT:
            del self._terms[next(iter(self._terms))]
        self._terms[request] = (terms, panel)
        return terms, panel
