"""The contract `Oracle` and an outbox in memory, and nodes around them that can be killed between any two steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from office import Shelf, heart, row

from tallystick.chain import Account, Call, Logged
from tallystick.decisions import (
    Delivery,
    Followed,
    Holdings,
    Opening,
    Openings,
    OracleAnswer,
    OracleNode,
    OracleRequest,
    Panel,
    RequestBook,
    RequestStatus,
    SharedExchange,
    Terms,
    Until,
    Watcher,
    answer_digest,
    challenge_commitment,
    make_opening,
    signature_commitment,
)
from tallystick.errors import NotFoundError
from tallystick.models import IntegerModel
from tallystick.node import Node

CHAIN = 4221
ADDRESS = "0x" + "0a" * 20
REQUESTER = "0x" + "0b" * 20
STEP = 10
BOND = 10**18


@dataclass
class Case:
    terms: OracleRequest
    asked_at: int
    answer: OracleAnswer
    commitments: dict[int, bytes] = field(default_factory=dict)
    challenges: dict[str, tuple[int, bytes]] = field(default_factory=dict)


class StandIn:
    """As much of the contract as its followers see."""

    address = ADDRESS

    def __init__(self, panel: Panel, models: Shelf) -> None:
        self.the_panel, self.models = panel, models
        self.number, self.second = 1, 1_000
        self.cases: dict[bytes, Case] = {}
        self.calls: list[Callable[[str], None]] = []
        self.money: dict[str, int] = {}
        self.log: list[tuple[str, str]] = []  # what was done, and by whom

    # what tests do

    def ask(self, terms: Terms) -> str:
        self.mine()
        of = terms.id(chain_id=CHAIN, oracle=ADDRESS, requester=REQUESTER)
        asked = OracleRequest(
            of,
            REQUESTER,
            terms.model,
            terms.input,
            terms.level,
            terms.panel,
            terms.fee,
            0,
            STEP,
            STEP,
            ADDRESS,
        )
        status = RequestStatus.WAITING if terms.level == 2 else RequestStatus.OPEN
        none: frozenset[int] = frozenset()
        answer = OracleAnswer(
            of, status, terms.level, 0, False, False, False, Delivery.NONE, none, none, none,
            self.after(STEP), self.after(2 * STEP),
        )  # fmt: skip
        self.cases[of] = Case(asked, self.number, answer)
        return of.hex()

    def after(self, steps: int) -> Until:
        return Until(self.second + steps, self.number + steps)

    def mine(self, blocks: int = 1) -> None:
        self.number += blocks
        self.second += blocks

    def of(self, request: str) -> OracleAnswer:
        return self.cases[bytes.fromhex(request)].answer

    # what its followers read

    def requests(self, *, start: int = 0, stop: int = 2**62) -> list[Logged]:
        return [
            Logged("Requested", {"request": of}, case.asked_at, "0x")
            for of, case in self.cases.items()
            if start <= case.asked_at <= stop
        ]

    def request_of(self, of: bytes) -> OracleRequest:
        return self.cases[of].terms

    def panel(self, _: bytes) -> Panel:
        return self.the_panel

    def answer_of(self, of: bytes) -> OracleAnswer:
        return self.cases[of].answer

    def answer_digest(self, terms: OracleRequest, *, output: int, chain_id: int) -> bytes:
        return answer_digest(
            terms.id, model=terms.model, commitment=terms.input, output=output, level=terms.level,
            chain_id=chain_id, oracle=ADDRESS,
        )  # fmt: skip

    def commitment_of(self, of: bytes, *, seat: int) -> bytes | None:
        return self.cases[of].commitments.get(seat)

    def challenged_at(self, of: bytes, *, challenger: str) -> int | None:
        found = self.cases[of].challenges.get(challenger)
        return found[0] if found else None

    def account(self, account: str) -> Any:
        return SimpleNamespace(free=self.money.get(account, 0))

    # what its followers send

    def _call(self, what: str, of: bytes, do: Callable[[str, Case], None], value: int = 0) -> Call:
        def act(sender: str) -> None:
            self.mine()
            do(sender, self.cases[of])
            self.log.append((f"{what} {of.hex()}", sender))

        self.calls.append(act)
        return Call(ADDRESS, str(len(self.calls) - 1).encode(), value)

    def deposit(self, amount: int) -> Call:
        def act(sender: str) -> None:
            self.money[sender] = self.money.get(sender, 0) + amount

        self.calls.append(act)
        return Call(ADDRESS, str(len(self.calls) - 1).encode(), amount)

    def _pay(self, sender: str) -> None:
        must(self.money.get(sender, 0) >= BOND, "bond")
        self.money[sender] -= BOND

    def acknowledge(self, of: bytes, *, seat: int) -> Call:
        def do(sender: str, case: Case) -> None:
            must(self.the_panel.watchers[seat] == sender, "watcher")
            must(seat not in case.answer.acknowledged, "double")
            case.answer = replace(
                case.answer, acknowledged=case.answer.acknowledged | {seat}, status=RequestStatus.OPEN,
                until=self.after(STEP), deadline=self.after(2 * STEP),
            )  # fmt: skip

        return self._call("acknowledge", of, do)

    def commit(self, of: bytes, *, seat: int, commitment: bytes) -> Call:
        def do(sender: str, case: Case) -> None:
            must(self.the_panel.signers[seat] == sender and seat not in case.commitments, "commit")
            must(not case.answer.until.is_over(second=self.second, block=self.number), "late")
            if case.terms.level == 2:
                self._pay(sender)
            case.commitments[seat] = commitment
            case.answer = replace(case.answer, committed=case.answer.committed | {seat})

        return self._call("commit", of, do)

    def answer(self, of: bytes, *, output: int, signatures: Mapping[int, bytes]) -> Call:
        from tallystick.chain import recover_signer

        def do(sender: str, case: Case) -> None:
            must(case.answer.status is RequestStatus.OPEN, "answered")
            digest = self.answer_digest(case.terms, output=output, chain_id=CHAIN)
            for seat, signature in signatures.items():
                must(recover_signer(digest, signature) == self.the_panel.signers[seat], "signer")
                if case.terms.level:
                    must(case.commitments.get(seat) == signature_commitment(signature), "commitment")
            must(len(signatures) >= (self.the_panel.need if case.terms.level else 1), "need")
            final = case.terms.level != 2
            case.answer = replace(
                case.answer, output=output, is_final=final, signed=frozenset(signatures),
                status=RequestStatus.FINAL if final else RequestStatus.ANSWERED,
                until=self.after(STEP), deadline=self.after(STEP),
            )  # fmt: skip

        return self._call("answer", of, do)

    def commit_challenge(self, of: bytes, *, commitment: bytes) -> Call:
        def do(sender: str, case: Case) -> None:
            self._pay(sender)
            case.challenges[sender] = (self.number, commitment)

        return self._call("commit_challenge", of, do)

    def challenge(self, of: bytes, *, words: Sequence[int], input_salt: bytes, salt: bytes) -> Call:
        def do(sender: str, case: Case) -> None:
            right = score(self.models.models[case.terms.model], words)
            Opening("", input_salt, tuple(words)).check(case.terms.input)
            at, commitment = case.challenges[sender]
            must(at < self.number, "too early")
            must(
                commitment == challenge_commitment(of, challenger=sender, output=right, salt=salt),
                "commitment",
            )
            must(right != case.answer.output, "the answer stands")
            del case.challenges[sender]
            case.answer = replace(case.answer, output=right, is_overturned=True)

        return self._call("challenge", of, do)

    def finalise(self, of: bytes) -> Call:
        def do(sender: str, case: Case) -> None:
            over = case.answer.deadline.is_over(second=self.second, block=self.number)
            must(
                case.answer.status is RequestStatus.ANSWERED and (over or case.answer.is_overturned), "window"
            )
            case.answer = replace(case.answer, status=RequestStatus.FINAL, is_final=True)

        return self._call("finalise", of, do)

    def refund(self, of: bytes) -> Call:
        def do(sender: str, case: Case) -> None:
            case.answer = replace(case.answer, status=RequestStatus.REFUNDED)

        return self._call("refund", of, do)

    def collect(self, of: bytes, *, seats: Sequence[int]) -> Call:
        def do(sender: str, case: Case) -> None:
            case.answer = replace(case.answer, committed=case.answer.committed - set(seats))

        return self._call("collect", of, do)

    def release_challenge(self, of: bytes, *, challenger: str) -> Call:
        def do(sender: str, case: Case) -> None:
            must(case.challenges.pop(challenger, None) is not None, "no challenge")

        return self._call("release", of, do)


class RefusedError(Exception):
    """What a contract's revert is here."""


def must(holds: bool, why: str) -> None:
    if not holds:
        raise RefusedError(why)


def score(model: IntegerModel, words: Sequence[int]) -> int:
    from tallystick.models import unpack_inputs

    return model.answer(model.scores_inputs(unpack_inputs(words, model.quantiser.width)))


class MemoryOutbox:
    """An outbox whose intents survive what kills the node; flushing carries them out."""

    def __init__(self, oracle: StandIn, account: str) -> None:
        self._oracle, self._account = oracle, account
        self.intents: dict[str, Any] = {}

    def intent(self, intent_id: str) -> Any:
        if intent_id not in self.intents:
            raise NotFoundError("nobody put it")
        return self.intents[intent_id]

    def put(self, intent_id: str, call: Call, *, gas: int | None = None) -> None:
        assert intent_id not in self.intents
        self.intents[intent_id] = SimpleNamespace(id=intent_id, call=call, state="waiting")

    def pending(self) -> list[Any]:
        return [one for one in self.intents.values() if one.state == "waiting"]

    def flush(self, *, timeout_s: float) -> None:
        for intent in self.pending():
            try:
                self._oracle.calls[int(intent.call.data)](self._account)
                intent.state = "mined"
            except RefusedError:
                intent.state = "failed"


class Lying(Holdings):
    """Scores everything one too high."""

    def output(self, *arguments: Any, **options: Any) -> int | None:
        right = super().output(*arguments, **options)
        return None if right is None else right + 1


class Stage:
    """A panel of three signers and one watcher, a model, and openings that the requester hands out."""

    def __init__(self, path: Path, *, need: int = 2) -> None:
        self.path, self.shelf = path, Shelf()
        self.model = heart()
        self.shelf.put(self.model, "")
        self.accounts = sorted((Account(bytes([9, n]) * 16) for n in range(3)), key=lambda one: one.address)
        self.watcher_account = Account(b"w" * 32)
        signers = tuple(one.address for one in self.accounts)
        self.panel = Panel(signers, need, (self.watcher_account.address,), 1, BOND, STEP, STEP)
        self.oracle = StandIn(self.panel, self.shelf)
        self.given: dict[str, Opening] = {}
        self.exchange = SharedExchange()
        self.coins, self.unsettled = 10 * BOND, 0
        self.now = 1_795_000_000_000_000
        self.outboxes: dict[str, MemoryOutbox] = {}
        self.nodes: dict[str, Node] = {}

    is_local = True

    @property
    def chain_id(self) -> int:
        return CHAIN

    def head(self) -> Any:
        return SimpleNamespace(number=self.oracle.number, time=self.oracle.second)

    def settled(self) -> int:
        return self.oracle.number - self.unsettled

    def balance(self, address: str) -> int:
        return self.coins

    def fetch(self, request: str) -> Opening | None:
        return self.given.get(request)

    def ask(self, age: int = 70, *, level: int = 1, hand_over: bool = True, fee: int = 0) -> str:
        salt = bytes([len(self.oracle.cases)]) * 32
        opening = make_opening(self.model, row(age), lambda _: salt)
        terms = Terms(self.model.hash, opening.commitment, level, self.panel.id, STEP, STEP, fee=fee)
        request = self.oracle.ask(terms)
        if hand_over:
            self.given[request] = opening.of(request)
        return request

    def _means(self, name: str, account: str) -> tuple[Node, MemoryOutbox, dict[str, Any]]:
        if name not in self.nodes:
            heads = self.path / "heads"
            self.nodes[name] = Node.init(
                self.path / name, name=name, passphrase="x", scrypt_n=2**4, clock=self.clock, heads=heads
            )
            self.outboxes[name] = MemoryOutbox(self.oracle, account)
        followed = Followed(self.path / f"{name}.followed", chain=CHAIN, contract=ADDRESS)
        holdings = Holdings(self.shelf, Openings(self.path / f"{name}.openings"), self)
        return self.nodes[name], self.outboxes[name], {"followed": followed, "holdings": holdings}

    def signer(self, place: int, *, lies: bool = False, least_fee: int = 0) -> OracleNode:
        """Start a signer, as after a crash: only what is durable is there."""
        node, outbox, means = self._means(f"s{place}", self.accounts[place].address)
        if lies:
            means["holdings"].__class__ = Lying
        book = RequestBook(self.oracle, self)  # type: ignore[arg-type]
        return OracleNode(
            node, book, outbox, exchange=self.exchange, signer=self.accounts[place],  # type: ignore[arg-type]
            clock=self.clock, takeover_s=5, panels=[self.panel.id], least_fee=least_fee, **means,
        )  # fmt: skip

    def watcher(self) -> Watcher:
        node, outbox, means = self._means("w", self.watcher_account.address)
        book = RequestBook(self.oracle, self)  # type: ignore[arg-type]
        return Watcher(node, book, outbox, account=self.watcher_account.address, **means)  # type: ignore[arg-type]

    def clock(self) -> int:
        return self.now

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()
