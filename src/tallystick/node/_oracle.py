"""The contract `Oracle` as one party uses it: it asks, hands openings out, answers as a signer, watches as a watcher.

- An opening is kept before its request is sent: whoever loses it could never be answered.
- Everything is sent through the outbox of the party's account; an intent is named by contract and request, so that a
  command that is typed again after a crash goes on and sends nothing twice.
- What a signer answers and what a watcher challenges is stated in the journal first; see `decisions`.

with node.oracle() as oracle:
    request = oracle.request("risk", row, level="L4", reveal=["chain"])
    oracle.execute(request)
    oracle.answer(request).output
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallystick.errors import ConfigurationError, NotFoundError

from ._endpoint_stating import stating
from ._sending import open_outbox, send_once

if TYPE_CHECKING:
    from tallystick.chain import Account, Call, Chain, Outbox
    from tallystick.decisions import (
        Exchange,
        Holdings,
        Opening,
        Openings,
        OpeningSource,
        Oracle,
        OracleAnswer,
        OracleNode,
        OracleRequest,
        Panel,
        RequestBook,
        Watcher,
    )
    from tallystick.models import Row

    from ._deciding import Deciding

__all__ = ["OracleDealings", "open_oracle"]


class OracleDealings:
    """One party's dealings with the contract `Oracle`; made by `Node.oracle`.

    Args:
        node: whose they are.
        chain: where the contract stands.
        outbox: of this party's account.
        account: it asks, signs, watches and pays.
        address: the contract's.
    """

    def __init__(self, node: Deciding, chain: Chain, outbox: Outbox, account: Account, address: str) -> None:
        from tallystick.decisions import Openings, Oracle

        self._node, self._outbox = node, outbox
        self.chain, self.account = chain, account
        self.contract: Oracle = Oracle(chain.web3, address)
        self.openings: Openings = Openings(node.workspace.openings)

    # -- asking ----------------------------------------------------------------------------------------------

    def open_panel(self, panel: Panel) -> str:
        """Open a panel of signers and watchers, once; its id in hex."""
        if self.contract.panel(panel.id) is None:
            self._send(f"panel/{panel.id.hex()}", self.contract.open_panel(panel))
        return panel.id.hex()

    def panel(self, panel: str) -> Panel:
        """Read a panel by its id in hex.

        Raises:
            NotFoundError: nobody opened it.
        """
        found = self.contract.panel(_bytes32(panel, "a panel"))
        if found is None:
            raise NotFoundError("nobody opened this panel", hint="see `tallystick oracle panel --help`")
        return found

    def request(
        self, model: str, row: Row, *, level: str, panel: str = "", reveal: Collection[str] = (), **terms: Any
    ) -> str:
        """Ask the contract; the request's id in hex.

        Args:
            model: name or hash of a model that is known here.
            row: its columns.
            level: ``L0``, ``L1``, ``L2`` or ``L4``.
            panel: id in hex of who answers; empty for ``L4``.
            reveal: who may see the input or the weights, see `before_revealing`.
            terms: see `make_request`: fee, step_s, step_blocks, callback_gas, unpromoted.

        Raises:
            DisclosureError: the level shows more than `reveal` names.
            ModelInputError: the row does not fit, or no contract can execute the model.
            RevertError: the contract refused.
        """
        from tallystick.decisions import make_request

        found = self._node.models.model(model)
        who = self.panel(panel) if panel else None
        said, opening = make_request(found, row, level=level, panel=who, reveal=reveal, **terms)
        request = said.id(
            chain_id=self.chain.chain_id, oracle=self.contract.address, requester=self.account.address
        ).hex()
        # The opening first: a crash behind this line leaves an opening of no request, the other way round a
        # request that nobody can answer.
        self.openings.take(opening.of(request), opening.commitment)
        self._send(f"request/{request}", self.contract.request(said))
        return request

    def take(self, opening: Opening) -> OracleRequest:
        """Keep the opening of a request, after checking it against what the request committed to.

        Raises:
            NotFoundError: the contract knows no such request.
            VerificationError: it opens something else; nothing is kept.
        """
        found = self.terms(opening.request)
        self.openings.take(opening, found.input)
        return found

    def opening(self, request: str) -> Opening:
        """Return the opening that is kept of a request.

        Raises:
            NotFoundError: none is.
        """
        found = self.openings.fetch(request)
        if found is None:
            raise NotFoundError(
                "the opening of this request is not kept here", hint="ask who made the request"
            )
        return found

    def terms(self, request: str) -> OracleRequest:
        """Read what was asked.

        Raises:
            NotFoundError: the contract knows no such request.
        """
        found = self.contract.request_of(_bytes32(request, "a request"))
        if found is None:
            raise NotFoundError(
                "the contract knows no such request", hint="is chain.oracle the right contract?"
            )
        return found

    def answer(self, request: str) -> OracleAnswer:
        """Read how far a request is, and its answer.

        Raises:
            NotFoundError: the contract knows no such request.
        """
        found = self.contract.answer_of(_bytes32(request, "a request"))
        if found is None:
            raise NotFoundError(
                "the contract knows no such request", hint="is chain.oracle the right contract?"
            )
        return found

    def execute(self, request: str) -> OracleAnswer:
        """Let the contract execute the model of an L4 request; everybody can read the input then."""
        opening = self.opening(request)
        call = self.contract.execute(bytes.fromhex(request), words=opening.words, salt=opening.salt)
        self._send(f"execute/{request}", call)
        return self.answer(request)

    def finish(self, request: str) -> OracleAnswer:
        """End a request whose time is over: finalise an answer, or refund what was not answered."""
        from tallystick.decisions import RequestStatus

        answered = self.answer(request).status is RequestStatus.ANSWERED
        of = bytes.fromhex(request)
        call = self.contract.finalise(of) if answered else self.contract.refund(of)
        self._send(f"{'finalise' if answered else 'refund'}/{request}", call)
        return self.answer(request)

    def deposit(self, amount: int) -> None:
        """Put wei into this party's account in the contract, for bonds."""
        self._send(f"deposit/{self.chain.head().number}/{amount}", self.contract.deposit(amount))

    def withdraw(self, amount: int) -> None:
        """Let the contract pay free wei out."""
        self._send(f"withdraw/{self.chain.head().number}/{amount}", self.contract.withdraw(amount))

    # -- serving ---------------------------------------------------------------------------------------------

    def signer(
        self,
        *,
        panels: Sequence[str],
        exchange: Exchange | Path,
        openings: OpeningSource | Path | None = None,
        least_fee: int = 0,
    ) -> OracleNode:
        """Make the service that answers as a signer; see `OracleNode` and `follow`.

        Args:
            panels: ids in hex of the panels that this party has joined.
            exchange: where signers show each other their answers, or a directory that they share.
            openings: where openings come from that are not kept here, or a directory of them.
            least_fee: wei that this signer's share of a fee must reach.
        """
        from tallystick.decisions import ExchangeDirectory, Followed, OracleNode

        for panel in panels:
            if self.panel(panel).seat_of(self.account.address) is None:
                raise ConfigurationError(f"account {self.account.address} has no seat in panel {panel[:12]}…")
        return OracleNode(
            self._node,
            self._book(),
            self._outbox,
            holdings=self._holdings(openings),
            exchange=ExchangeDirectory(exchange) if isinstance(exchange, Path) else exchange,
            signer=self.account,
            followed=Followed(
                self._node.workspace.followed("oracle", self.contract.address),
                chain=self.chain.chain_id,
                contract=self.contract.address,
            ),
            panels=[bytes.fromhex(panel) for panel in panels],
            least_fee=least_fee,
            clock=self._node.clock,
        )

    def watcher(self, *, openings: OpeningSource | Path | None = None) -> Watcher:
        """Make the service that scores every L2 answer again and challenges a wrong one; see `Watcher`."""
        from tallystick.decisions import Followed, Watcher

        followed = Followed(
            self._node.workspace.followed("watcher", self.contract.address),
            chain=self.chain.chain_id,
            contract=self.contract.address,
        )
        return Watcher(
            self._node,
            self._book(),
            self._outbox,
            account=self.account.address,
            holdings=self._holdings(openings),
            followed=followed,
        )

    def _book(self) -> RequestBook:
        from tallystick.decisions import RequestBook

        return RequestBook(self.contract, self.chain)

    def _holdings(self, openings: OpeningSource | Path | None) -> Holdings:
        from tallystick.decisions import Holdings, Openings

        source = Openings(openings) if isinstance(openings, Path) else openings
        return Holdings(self._node.models.registry, self.openings, source or self.openings)

    def _send(self, what: str, call: Call) -> None:
        name = f"{self.contract.address}/{what}"
        send_once(self._outbox, name, call, contract="Oracle", hint="see `tallystick oracle status REQUEST`")


def _bytes32(text: str, what: str) -> bytes:
    if len(text) != 64 or set(text) - set("0123456789abcdef"):
        raise NotFoundError(f"{what} is named by 64 hex digits, got {len(text)} characters")
    return bytes.fromhex(text)


@contextmanager
def open_oracle(node: Deciding) -> Iterator[OracleDealings]:
    """Open the way to the contract `Oracle`, and close what was opened.

    Raises:
        ConfigurationError: the settings name no contract.
    """
    settings = node.settings.chain
    if settings is None or not settings.oracle:
        raise ConfigurationError(
            "the settings name no Oracle contract", hint="set chain.oracle in tallystick.toml"
        )
    with (
        open_outbox(node.workspace, settings, node.party, clock=node.clock, chain=node.shared_chain) as (
            chain,
            account,
            outbox,
        ),
        stating(node.record_many, chain),
    ):
        yield OracleDealings(node, chain, outbox, account, settings.oracle)
