"""The contract ``Holds`` as one bank uses it: what it does there is stated in its journal first.

- Journal, then anchor, then outbox: a request, a release, a dispute and a review are stated, and sent with the proof
  that they stand in the anchored journal. An intent's id names contract and statement.
- A crash anywhere in between leaves a statement that the contract does not know yet; `Holding.settle` sends it.
- A statement that the contract knows is never sent again; one that it would refuse (the epoch is over, the hold has
  ended) is left alone.
- Votes about epochs, models and lists are sent as they are: what they say is stated by who makes them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from tallystick.chain import Account, Anchors, Outbox, connect, hashed_id
from tallystick.errors import (
    ChainError,
    ConfigurationError,
    ConflictError,
    DeadlineError,
    NotFoundError,
    RevertError,
)
from tallystick.proof import Entry, Randomness

from ._holds import Held, Holds, HoldState
from ._stating import (
    DISPUTED,
    LEVEL,
    MAX_AGE_US,
    MAX_DURATION_US,
    RELEASED,
    REQUESTED,
    REVIEWED,
    check_links,
    prove_statement,
)

if TYPE_CHECKING:
    from tallystick.chain import Call, Chain
    from tallystick.node import Node

__all__ = ["Holding", "open_holding", "request_hold"]

_BEHIND_US: Final = 60 * 1_000_000  # by which the chain's clock may stand behind the own
_HINT: Final = "it hears active members, in a running epoch, about open holds; see what it refused"


class Holding:
    """One bank's dealings with the contract; made by `open_holding`.

    Args:
        node: whose they are.
        chain: where the contract stands.
        address: the contract's.
    """

    def __init__(self, node: Node, chain: Chain, address: str) -> None:
        settings = node.settings.chain
        if settings is None or not settings.anchors:
            raise ConfigurationError(
                "a hold needs an anchored journal", hint="set chain.anchors in tallystick.toml"
            )
        self._node, self._chain = node, chain
        self.contract = Holds(chain.web3, address)
        self._anchors = Anchors(chain.web3, settings.anchors)
        self._account = Account(node.party.secret("chain"))
        self.party: bytes = hashed_id(node.party.id)
        self._rules: dict[str, Callable[[Entry], Call | None]] = {
            DISPUTED: self._dispute,
            RELEASED: self._release,
            REQUESTED: self._place,
            REVIEWED: self._review,
        }

    def held(self, token: bytes) -> Held | None:
        """Ask whether a payee is held, before it is paid; None when it is not."""
        found = self.contract.held(token)
        # An embedded chain makes a block when something happens: its clock may stand behind.
        return found if found is not None and found.until > self._node.clock() else None

    def request(
        self,
        token: bytes,
        *,
        epoch: int,
        until: int,
        links: Mapping[str, list[str]] | None = None,
        fields: Mapping[str, object] | None = None,
        subject: str = "",
    ) -> Entry:
        """State that the others are asked not to pay a payee, anchor it, and place the hold.

        Args:
            token: the payee's, 32 bytes.
            epoch: number of the token's epoch.
            until: microseconds, within ten days less a minute: the chain's clock may stand behind.
            links: to the decision behind it; at most 2,048 bytes.
            fields: what stays sealed, for instance the reasons.
            subject: under whose key that is sealed.

        Returns:
            The statement; the hold is placed.

        Raises:
            ConfigurationError: it would end too late, or has ended. Nothing is stated here and in the next three.
            ConflictError: this bank holds this payee already.
            DeadlineError: the epoch is not running.
            StatementError: the links are too long.
            ChainError: no free place, or not mined in time: it is stated, and `settle` goes on.
            RevertError: the contract refused.
        """
        body = {"epoch": epoch, "level": LEVEL, "token": token.hex(), "until": until}
        plain = dict(links or {})
        check_links(plain)
        self._check_new(token, epoch, until)
        entry = self._node.record(REQUESTED, body, links=plain, fields=fields, subject=subject)
        self._bring(entry)
        return entry

    def execute(
        self,
        token: bytes,
        *,
        epoch: int,
        until: int,
        model: str,
        inputs: Sequence[int],
        randomness: Randomness = os.urandom,
    ) -> None:
        """Let a model on the chain place the hold (L4). The inputs become public, for ever.

        Nothing is stated: the chain itself shows model, input, score and hold.

        Args:
            token: the payee's, 32 bytes.
            epoch: number of the token's epoch.
            until: microseconds, see `request`.
            model: hash of its file; promoted, and named by enough members.
            inputs: int16, as many as the model reads.
            randomness: source of the salt.

        Raises:
            ConfigurationError, ConflictError, DeadlineError: see `request`; nothing is sent.
            ChainError: no free place, or not mined in time.
            RevertError: the model does not ask for it, is not named or not in use, or has seen this input before.
        """
        self._check_new(token, epoch, until)
        call = self.contract.execute(
            epoch=epoch,
            token=token,
            until=until,
            slot=self._free_slot(),
            model=model,
            inputs=inputs,
            salt=randomness(32),
        )
        self._send(f"execute/{token.hex()}", call)

    def release(self, token: bytes, *, links: Mapping[str, list[str]] | None = None) -> Entry:
        """State that the own hold ends, anchor it, and release it.

        Args:
            token: the payee's.
            links: to what it rests on.

        Raises:
            NotFoundError: this bank has no open hold on it; nothing is stated.
            ChainError, RevertError, StatementError: see `request`.
        """
        plain = dict(links or {})
        check_links(plain)
        self._check_open(token, self.party)
        entry = self._node.record(RELEASED, {"token": token.hex()}, links=plain)
        self._bring(entry)
        return entry

    def dispute(self, token: bytes, party: bytes, *, reason: str, subject: str = "") -> Entry:
        """State that another member's hold is disputed, and dispute it.

        Args:
            token: the payee's.
            party: who placed the hold, see `Held.placed_by`.
            reason: stays sealed; the contract gets the statement's id.
            subject: under whose key it is sealed.

        Raises:
            NotFoundError: no such hold is open; nothing is stated here and in the next one.
            ConflictError: it is the own hold, this bank has spoken of it, or it is disputed or decided.
            ChainError, RevertError: see `request`.
        """
        self._check_voice(token, party, [HoldState.STANDS])
        body = {"party": party.hex(), "token": token.hex()}
        entry = self._node.record(DISPUTED, body, fields={"reason": reason}, subject=subject)
        self._bring(entry)
        return entry

    def review(self, token: bytes, party: bytes, *, uphold: bool, reason: str, subject: str = "") -> Entry:
        """State what a person thinks of another member's hold, and say it to the contract; see `dispute`."""
        disputed = [HoldState.DISPUTED]
        self._check_voice(token, party, disputed if uphold else [HoldState.STANDS, *disputed])
        body = {"party": party.hex(), "token": token.hex(), "uphold": uphold}
        entry = self._node.record(REVIEWED, body, fields={"reason": reason}, subject=subject)
        self._bring(entry)
        return entry

    def settle(self) -> int:
        """Send what was stated and the contract does not know yet; how many transactions that took.

        Raises:
            RevertError: the contract refused one; the others are sent all the same.
            ChainError: not mined in time; it is kept and goes on later.
        """
        sent, refused = 0, None
        self._flush()
        for entry in self._unsettled():
            try:
                sent += self._bring(entry)
            except RevertError as error:
                refused = refused or error
        if refused is not None:
            raise refused
        return sent

    def _unsettled(self) -> list[Entry]:
        """Return what may still have to be sent: not too old for the contract, and not taken back since."""
        journal, oldest = self._node.journal, self._node.clock() - MAX_AGE_US
        found = [
            entry
            for entry in journal.entries(journal.disposed, kinds=self._rules.keys())
            if entry.statement.at >= oldest
        ]
        released = {e.statement.body["token"]: e.index for e in found if e.statement.kind == RELEASED}
        return [
            entry
            for entry in found
            if entry.statement.kind != REQUESTED
            or entry.index > released.get(entry.statement.body["token"], -1)
        ]

    # Votes

    def post_list(self, epoch: int, number: int, root: bytes, entries: int) -> None:
        """Post the root of the list of reported payees, once."""
        if self.contract.posted(epoch, number, self.party) != root:
            self._send(f"list/{epoch}/{number}", self.contract.post_list(epoch, number, root, entries))

    def open_epoch(self, number: int, *, agreed: bytes, since: int, until: int, share: bytes) -> None:
        """Vote for an epoch and state the fingerprint of the own share, once; see `Holds.open_epoch`."""
        call = self.contract.open_epoch(number, agreed=agreed, since=since, until=until, share=share)
        if self.party not in self.contract.shares(number):
            self._send(f"epoch/{number}", call)

    def name_model(self, model: str, *, threshold: int) -> None:
        """Vote that a model may place holds at or above a score, once; see `execute`."""
        if self.contract.threshold_of(model) != threshold:
            # A score that was named before can be voted for again: each naming begins a new turn.
            turn = len(self.contract.logged("ModelNamed", model=bytes.fromhex(model)))
            self._send(f"model/{model}/{turn}", self.contract.name_model(model, threshold=threshold))

    def end_epoch(self, number: int) -> None:
        """State that the own share is destroyed, once."""
        if self.party not in self.contract.destroyed(number):
            self._send(f"end/{number}", self.contract.end_epoch(number))

    # What a statement asks of the contract; None where it knows it already, or would refuse it by now

    def _place(self, entry: Entry) -> Call | None:
        body = entry.statement.body
        token, until = bytes.fromhex(body["token"]), body["until"]
        if (
            until <= self._node.clock()
            or self._is_used(entry)
            or self.contract.is_open(token, self.party)
            or self.contract.epoch_ended(body["epoch"])
        ):
            return None
        said = prove_statement(self._node.journal, entry, size=self._anchored(entry))
        slot = self._free_slot()
        return self.contract.place(epoch=body["epoch"], token=token, until=until, slot=slot, said=said)

    def _release(self, entry: Entry) -> Call | None:
        token = bytes.fromhex(entry.statement.body["token"])
        if self._is_used(entry) or not self.contract.is_open(token, self.party):
            return None
        ground = self.contract.hold_of(token, self.party).ground.hex()
        # A release is about the hold before it: one that was stated earlier must not end a later hold.
        with suppress(NotFoundError):  # the ground of a hold by a model is no statement
            if self._node.journal.index(ground) > entry.index:
                return None
        return self.contract.release(
            token, said=prove_statement(self._node.journal, entry, size=self._anchored(entry))
        )

    def _dispute(self, entry: Entry) -> Call | None:
        token, party = _about(entry)
        if self._has_spoken(token, party) or self.contract.hold_of(token, party).state != HoldState.STANDS:
            return None
        return self.contract.dispute(token, party, reason=bytes.fromhex(entry.id))

    def _review(self, entry: Entry) -> Call | None:
        token, party = _about(entry)
        if self._has_spoken(token, party):
            return None
        uphold = entry.statement.body["uphold"]
        return self.contract.review(token, party, uphold=uphold, reason=bytes.fromhex(entry.id))

    def _check_new(self, token: bytes, epoch: int, until: int) -> None:
        if self.contract.is_open(token, self.party):
            raise ConflictError("this bank holds this payee already", hint="release the hold before another")
        if self.contract.epoch(epoch) is None or self.contract.epoch_ended(epoch):
            raise DeadlineError(f"epoch {epoch} is not running", hint="members open the next one together")
        if not 0 < until - self._node.clock() <= MAX_DURATION_US - _BEHIND_US:
            raise ConfigurationError("a hold must end within ten days from now, less a minute")

    def _free_slot(self) -> int:
        slot = self.contract.free_slot(self.party)
        if slot is None:
            raise ChainError(
                f"this bank has {self.contract.open_limit()} open holds, as many as it may",
                hint="release one, or wait until one ends: what was stated is kept",
            )
        return slot

    def _check_open(self, token: bytes, party: bytes) -> None:
        if not self.contract.is_open(token, party):
            raise NotFoundError("no such hold is open", hint="it ended, was released or was overturned")

    def _check_voice(self, token: bytes, party: bytes, states: list[HoldState]) -> None:
        self._check_open(token, party)
        if party == self.party or self._has_spoken(token, party):
            raise ConflictError("a bank speaks once of a hold, and not of its own")
        if (state := self.contract.hold_of(token, party).state) not in states:
            raise ConflictError(f"this cannot be said of a hold that is {state.name.lower()}")

    def _has_spoken(self, token: bytes, party: bytes) -> bool:
        voices = (self.contract.voices(token, party, uphold=uphold) for uphold in (True, False))
        return not self.contract.is_open(token, party) or any(self.party in said for said in voices)

    def _is_used(self, entry: Entry) -> bool:
        return self.contract.is_used(bytes.fromhex(entry.id))

    def _anchored(self, entry: Entry) -> int:
        """Return the size of an anchored head that covers a statement; anchors the journal where none does."""
        journal = hashed_id(self._node.origin)
        head = self._anchors.heads(journal)
        if head is None or head.size <= entry.index:
            self._node.anchor(chain=self._chain)
            head = self._anchors.heads(journal)
        if head is None or head.size <= entry.index:
            raise ChainError("the journal is not anchored yet", hint="it is stated: `settle` goes on with it")
        return head.size

    def _bring(self, entry: Entry) -> bool:
        """Send what a statement asks for; False where the contract needs it no more."""
        call = self._rules[entry.statement.kind](entry)
        if call is None:
            return False
        self._send(f"{entry.statement.kind}/{entry.id}", call)
        return True

    def _send(self, what: str, call: Call) -> None:
        # Another head or place makes another call, and each call has an intent of its own.
        name = f"{self.contract.address}/{what}/{sha256(call.data).hexdigest()[:16]}"
        with self._outbox() as outbox:
            with suppress(NotFoundError):
                outbox.retry(name)  # what was refused before may be right now
            try:
                outbox.send(name, call)
            except RevertError as error:
                raise RevertError(
                    f"the contract Holds refused: {error.reason or 'no reason given'}",
                    hint=_HINT,
                    reason=error.reason,
                ) from error

    def _flush(self) -> None:
        with self._outbox() as outbox:
            outbox.flush()

    @contextmanager
    def _outbox(self) -> Iterator[Outbox]:
        # Open only while something is sent: anchoring uses the same file.
        chain, address = self._chain, self._account.address
        if chain.is_local and chain.balance(address) == 0:
            chain.fund(address)
        path = self._node.workspace.outbox(address)
        with Outbox(path, chain, account=self._account, clock=self._node.clock) as outbox:
            yield outbox


@contextmanager
def open_holding(node: Node, address: str) -> Iterator[Holding]:
    """Open a bank's dealings with the contract, and close the chain if this opened it.

    Args:
        node: the bank's.
        address: of the contract ``Holds``.

    Raises:
        ConfigurationError: the settings name no chain or no Anchors contract.
    """
    settings = node.settings.chain
    if settings is None:
        raise ConfigurationError("a hold needs a chain", hint="set [chain] in tallystick.toml")
    shared = node.shared_chain
    chain = connect(settings.profile, clock=node.clock) if shared is None else shared
    try:
        yield Holding(node, chain, address)
    finally:
        if shared is None:
            chain.close()


def request_hold(
    node: Node,
    token: bytes,
    *,
    holds: str,
    epoch: int,
    until: int,
    links: Mapping[str, list[str]] | None = None,
) -> Entry:
    """State a request, anchor it and place the hold, in one go; see `Holding.request`.

    Args:
        node: the bank's.
        token: the payee's, 32 bytes.
        holds: address of the contract.
        epoch: number of the token's epoch.
        until: microseconds, within ten days.
        links: to the decision behind it.
    """
    with open_holding(node, holds) as holding:
        return holding.request(token, epoch=epoch, until=until, links=links)


def _about(entry: Entry) -> tuple[bytes, bytes]:
    body = entry.statement.body
    return bytes.fromhex(body["token"]), bytes.fromhex(body["party"])
