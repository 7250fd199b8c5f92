"""The contract ``Oracle``: contracts and people ask a model, and see what the answer rests on.

- Writing only makes a ``Call``, which the outbox signs, sends and follows; reading raises what a contract raises.
- All money is the chain's own; what the contract owes stands in an account there until `withdraw`.
- Requests are named by the hash of their terms; `Terms.id` computes it beforehand.

    oracle = Oracle(web3, address)
    outbox.send(oracle.open_panel(panel))
    outbox.send(oracle.request(terms))
    for request in oracle.requests(start=block): ...
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tallystick.chain import Call, Contract, Logged, load
from tallystick.errors import ConfigurationError

from ._oracle_terms import (
    MAX_SIGNERS,
    NO_PANEL,
    Delivery,
    OracleAnswer,
    OracleRequest,
    Panel,
    RequestStatus,
    Terms,
    Until,
    answer_digest,
    compact_signature,
)

__all__ = ["Oracle", "OracleAccount"]

MAX_WORDS = 16
EVENTS = (
    "Acknowledged", "Answered", "CalledBack", "ChallengeCommitted", "ChallengeReleased", "Collected", "Committed",
    "Finalised", "Opened", "Overturned", "Refunded", "Requested",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class OracleAccount:
    """Money that an account has in the contract.

    Args:
        free: wei that it may withdraw or lock.
        locked: wei at stake in L2 requests, until they are settled.
    """

    free: int
    locked: int


class Oracle:
    """The contract ``Oracle`` at an address.

    Args:
        web3: a connected web3 instance.
        address: where the contract stands.
    """

    def __init__(self, web3: Any, address: str) -> None:
        self._contract = Contract(web3, address, load("tallystick.decisions", "Oracle"))
        self.address = self._contract.address

    @staticmethod
    def deploy_call(models: str) -> Call:
        """Make the call that deploys the contract.

        Args:
            models: address of the contract ``Models`` that it shall ask, for ever.
        """
        return Contract.deploy_call(load("tallystick.decisions", "Oracle"), models)

    # Panels and money

    def open_panel(self, panel: Panel) -> Call:
        """Make the call that opens a panel; anybody may, once."""
        return self._contract.call(
            "open_panel",
            list(panel.signers),
            panel.need,
            list(panel.watchers),
            panel.watch_need,
            panel.bond,
            panel.window_s,
            panel.window_blocks,
        )

    def deposit(self, amount: int) -> Call:
        """Make the call that puts wei into the sender's account, for bonds."""
        return replace(self._contract.call("deposit"), value=_amount(amount))

    def withdraw(self, amount: int) -> Call:
        """Make the call that pays free wei out to the sender."""
        return self._contract.call("withdraw", _amount(amount))

    # A request

    def request(self, terms: Terms) -> Call:
        """Make the call that asks; it carries the fee. `Terms.id` tells the request's id."""
        call = self._contract.call(
            "request",
            bytes.fromhex(terms.model),
            terms.input,
            terms.level,
            terms.panel,
            terms.step_s,
            terms.step_blocks,
            terms.callback_gas,
            terms.unpromoted,
        )
        return replace(call, value=terms.fee)

    def acknowledge(self, request: bytes, *, seat: int) -> Call:
        """Make the call by which a named watcher says that it holds an opening that the model can score.

        Args:
            request: id of an L2 request.
            seat: the watcher's place among the panel's watchers.
        """
        return self._contract.call("acknowledge", _digest(request), seat)

    def commit(self, request: bytes, *, seat: int, commitment: bytes) -> Call:
        """Make the call by which a signer commits to its signature; at L2 it locks the bond.

        Args:
            request: id of an L1 or L2 request.
            seat: the signer's place among the panel's signers.
            commitment: see `signature_commitment`.
        """
        return self._contract.call("commit", _digest(request), seat, _digest(commitment))

    def answer(self, request: bytes, *, output: int, signatures: Mapping[int, bytes]) -> Call:
        """Make the call that answers a request of L0, L1 or L2; anybody may send it.

        Args:
            request: the request's id.
            output: what all these signers signed.
            signatures: seat -> r, s, v, 65 bytes. One at L0; at least ``need``, all committed to, above.
        """
        mask = sum(1 << seat for seat in signatures)
        compact = [compact_signature(signatures[seat]) for seat in sorted(signatures)]
        return self._contract.call("answer", _digest(request), output, mask, compact)

    def execute(self, request: bytes, *, words: Sequence[int], salt: bytes) -> Call:
        """Make the call that lets the contract score the input of an L4 request, for everybody to see."""
        return self._contract.call("execute", _digest(request), _words(words), _digest(salt))

    def commit_challenge(self, request: bytes, *, commitment: bytes) -> Call:
        """Make the call by which anybody commits to a challenge; it locks one bond of the sender's account.

        Args:
            request: id of an L2 request whose window runs.
            commitment: see `challenge_commitment`.
        """
        return self._contract.call("commit_challenge", _digest(request), _digest(commitment))

    def challenge(self, request: bytes, *, words: Sequence[int], input_salt: bytes, salt: bytes) -> Call:
        """Make the call that shows the input, re-executes the model and overturns a wrong answer.

        Args:
            request: id of an L2 request.
            words: the packed input.
            input_salt: of the input's commitment.
            salt: of the challenge's commitment, which stands at least one block back.
        """
        words = _words(words)
        return self._contract.call("challenge", _digest(request), words, _digest(input_salt), _digest(salt))

    def finalise(self, request: bytes) -> Call:
        """Make the call that ends an L2 request when its window is over or its answer overturned; anybody may."""
        return self._contract.call("finalise", _digest(request))

    def refund(self, request: bytes) -> Call:
        """Make the call that ends a request without an answer after its deadline; anybody may."""
        return self._contract.call("refund", _digest(request))

    def retry_callback(self, request: bytes) -> Call:
        """Make the call that runs a failed callback again, with all the gas that the sender gives; anybody may."""
        return self._contract.call("retry_callback", _digest(request))

    def collect(self, request: bytes, *, seats: Collection[int]) -> Call:
        """Make the call that settles signers' shares and bonds of a request that has ended; anybody may.

        Args:
            request: the request's id.
            seats: of signers that stand in ``committed`` of `answer_of`.
        """
        chosen = sorted(set(seats))
        if len(chosen) > MAX_SIGNERS or any(not 0 <= seat < MAX_SIGNERS for seat in chosen):
            raise ConfigurationError(f"seats must be 0 to {MAX_SIGNERS - 1}")
        return self._contract.call("collect", _digest(request), chosen)

    def release_challenge(self, request: bytes, *, challenger: str) -> Call:
        """Make the call that settles the bond of a challenge that was not shown; anybody may.

        It comes back when the answer was overturned, and is burned when the answer stood.
        """
        return self._contract.call("release_challenge", _digest(request), challenger)

    # Views

    def models(self) -> str:
        """Read the address of the contract ``Models`` that it asks."""
        return str(self._contract.read("models"))

    def ask(self, model: str, words: Sequence[int]) -> int:
        """Let the contract score an input with a promoted model, without a request (L4)."""
        return int(self._contract.read("ask", bytes.fromhex(model), _words(words)))

    def account(self, account: str) -> OracleAccount:
        """Read what an account has in the contract."""
        return OracleAccount(*self._contract.read("account", account))

    def burned(self) -> int:
        """Read how many wei stand in the contract for ever."""
        return int(self._contract.read("burned"))

    def panel(self, panel: bytes) -> Panel | None:
        """Read a panel by its id; None when nobody opened it."""
        signers, need, watchers, watch_need, bond, window_s, window_blocks = self._contract.read(
            "panel", _digest(panel)
        )
        if not signers:
            return None
        return Panel(tuple(signers), need, tuple(watchers), watch_need, bond, window_s, window_blocks)

    def request_of(self, request: bytes) -> OracleRequest | None:
        """Read a request's terms; None for an unknown one."""
        fields = self._contract.read("request_of", _digest(request))
        requester, model, commitment, level, panel, fee, callback_gas, step_s, step_blocks, executor = fields
        if not any(model):
            return None
        found = None if executor == "0x" + "0" * 40 else str(executor)
        return OracleRequest(
            request, requester, model.hex(), commitment, level, panel, fee, callback_gas, step_s, step_blocks, found
        )  # fmt: skip

    def answer_of(self, request: bytes, *, block: int | str = "latest") -> OracleAnswer | None:
        """Read how far a request is, and its answer; None for an unknown one.

        Args:
            request: the request's id.
            block: number or tag of the block whose state answers.
        """
        fields = self._contract.read("answer_of", _digest(request), block=block)
        status, level, output, final, overturned, challenged, delivery, acks, committed, signed = fields[:10]
        if not status:
            return None
        return OracleAnswer(
            request=request,
            status=RequestStatus(status),
            level=level,
            output=output,
            is_final=final,
            is_overturned=overturned,
            is_challenged=challenged,
            delivery=Delivery(delivery),
            acknowledged=_seats(acks),
            committed=_seats(committed),
            signed=_seats(signed),
            until=Until(*fields[10:12]),
            deadline=Until(*fields[12:14]),
        )

    def commitment_of(self, request: bytes, *, seat: int) -> bytes | None:
        """Read what a signer committed to; None when it has not, or when the request was answered with it."""
        found: bytes = self._contract.read("commitment_of", _digest(request), seat)
        return found if any(found) else None

    def challenged_at(self, request: bytes, *, challenger: str) -> int | None:
        """Read the block in which an account committed to a challenge; None when none is open."""
        return int(self._contract.read("challenged_at", _digest(request), challenger)) or None

    def digest_of(self, request: bytes, *, output: int) -> bytes:
        """Ask the contract for the EIP-712 digest of an answer; `answer_digest` computes the same."""
        found: bytes = self._contract.read("digest_of", _digest(request), output)
        return found

    # Events

    def requests(self, *, start: int = 0, stop: int | str = "latest") -> Iterator[Logged]:
        """Read the events ``Requested`` of a range of blocks, oldest first; ``values["request"]`` is the id."""
        yield from self._contract.logged("Requested", start=start, stop=stop)

    def logged(
        self, event: str, *, start: int = 0, stop: int | str = "latest", request: bytes | None = None
    ) -> list[Logged]:
        """Read events of one name, oldest first.

        Args:
            event: one of ``EVENTS``; their arguments stand in the contract's source.
            start: first block.
            stop: last block, or a tag.
            request: of this request only.

        Raises:
            ConfigurationError: no such event.
        """
        if event not in EVENTS:
            raise ConfigurationError(f"event must be one of {', '.join(EVENTS)}, got {event[:40]}")
        topics: dict[str, Any] = {} if request is None else {"request": _digest(request)}
        return self._contract.logged(event, start=start, stop=stop, **topics)

    def answer_digest(self, request: OracleRequest, *, output: int, chain_id: int) -> bytes:
        """Compute the EIP-712 digest of an answer to a request of this contract."""
        return answer_digest(
            request.id,
            model=request.model,
            commitment=request.input,
            output=output,
            level=request.level,
            chain_id=chain_id,
            oracle=self.address,
        )


def _digest(value: bytes) -> bytes:
    if len(value) != len(NO_PANEL):
        raise ConfigurationError(f"a hash, an id or a salt must be {len(NO_PANEL)} bytes, got {len(value)}")
    return value


def _amount(value: int) -> int:
    if not 0 < value < 2**128:
        raise ConfigurationError(f"an amount must be > 0 wei and below 2^128, got {value}")
    return value


def _words(words: Sequence[int]) -> list[int]:
    if not 1 <= len(words) <= MAX_WORDS or any(not 0 <= word < 2**256 for word in words):
        raise ConfigurationError(f"an input must have 1 to {MAX_WORDS} words of 32 bytes, got {len(words)}")
    return list(words)


def _seats(mask: int) -> frozenset[int]:
    return frozenset(seat for seat in range(MAX_SIGNERS) if mask >> seat & 1)
