"""A chain with a model, an oracle and a panel on it, whose clock stands still until it is moved.

The tests of the oracle node play in it too: what is measured is what is tested.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tallystick.chain import Account, Call
    from tallystick.decisions import Exchange, Opening, OracleAnswer, OracleNode, Terms, Watcher
    from tallystick.models import IntegerModel
    from tallystick.node import Node

START_S = 1_795_000_000
STEP_S, STEP_BLOCKS = 60, 2
WINDOW_S, WINDOW_BLOCKS = 600, 3
BOND = 10**15
GAS = 25_000_000
COINS = 10**20


def small_trees(seed: int = 7, *, trees: int = 50, width: int = 30) -> IntegerModel:
    """Make a model of random trees of depth 4."""
    from tallystick.models import NumericFeature, Quantiser, TreeModel

    dice = random.Random(seed)
    features = tuple(
        NumericFeature(f"f{place}", f"feature {place}", 0, 0, 1, -32_768, 32_767, 0, False)
        for place in range(width)
    )
    nodes, leaves = trees * 15, trees * 16

    def int16(count: int, most: int) -> bytes:
        return b"".join(dice.randint(-most, most).to_bytes(2, "big", signed=True) for _ in range(count))

    return TreeModel(
        name="watched", target="something", quantiser=Quantiser(features), labels=("no", "yes"), unit=256, threshold=0,
        depth=4, bases=(0,), features=bytes(dice.randrange(width) for _ in range(nodes)),
        thresholds=int16(nodes, 1_000), leaves=int16(leaves, 3_000), counts=bytes(4 * leaves),
    )  # fmt: skip


class Town:
    """Where the oracle stands.

    Args:
        path: a directory; what stands there already is opened again, as after a crash.
        model: the one that is asked.
        signers: how many.
        need: how many of them must agree.
    """

    def __init__(self, path: Path, model: IntegerModel, *, signers: int = 3, need: int = 2) -> None:
        from tallystick.chain import Account, Outbox, Profile, connect
        from tallystick.decisions import ExchangeDirectory, Openings, Oracle, Panel

        path.mkdir(exist_ok=True)
        self.path, self.model = path, model
        self._now = path / "now"
        is_new = not (path / "chain").exists()
        if is_new:
            self.set_clock(START_S)
        self.chain = connect(Profile("town", path=path / "chain"), create=True, clock=self.clock)
        self.member, self.asker, self.watching = (
            Account(sha256(name).digest()) for name in (b"member", b"asker", b"w")
        )
        made = [Account(sha256(bytes([place])).digest()) for place in range(signers)]
        self.signers = sorted(made, key=lambda one: one.address)
        addresses = tuple(one.address for one in self.signers)
        self.panel = Panel(addresses, need, (self.watching.address,), 1, BOND, WINDOW_S, WINDOW_BLOCKS)
        self._nodes: dict[str, Node] = {}
        self._outboxes: dict[str, Outbox] = {}
        if is_new:
            for account in (self.member, self.asker, self.watching, *self.signers):
                self.chain.fund(account.address, COINS)
            (path / "oracle").write_text(self._found())
        self.oracle = Oracle(self.chain.web3, (path / "oracle").read_text())
        self.handed = Openings(path / "handed")  # what the requester hands to whoever asks it
        self.exchange: Exchange = ExchangeDirectory(path / "shown")

    def _found(self) -> str:
        from tallystick.chain import Keys, Members, Outbox, Seat, hashed_id
        from tallystick.decisions import Oracle
        from tallystick.models import deploy_model, deploy_models

        keys = Keys(self.member.address, self.member.address, sha256(b"card").digest())
        seat = Seat(hashed_id("did:key:town"), hashed_id("did:key:town/main"), keys)
        founding = Members.deploy_call([seat], threshold=1, delay_s=0, delay_blocks=0, lifetime_s=10_000)
        with Outbox(self.path / "founding.db", self.chain, account=self.member, clock=self.clock) as outbox:
            members = outbox.send("members", founding).contract
            models = deploy_models(outbox, self.chain.web3, members=members, approvals_needed=1)
            deploy_model(outbox, models, self.model)
            outbox.send("publish", models.publish(self.model.hash))
            place = outbox.send("oracle", Oracle.deploy_call(models.address)).contract
            outbox.send("panel", Oracle(self.chain.web3, place).open_panel(self.panel))
        return place

    # -- time ------------------------------------------------------------------------------------------------

    def clock(self) -> int:
        """Return the town's time in microseconds."""
        return int(self._now.read_text()) * 1_000_000

    def set_clock(self, second: int) -> None:
        """Set the town's time, POSIX seconds."""
        fresh = self.path / "now.new"
        fresh.write_text(str(second))
        fresh.replace(self._now)

    def pass_time(self, seconds: int, *, blocks: int) -> None:
        """Let time and blocks pass."""
        self.set_clock(self.clock() // 1_000_000 + seconds)
        for _ in range(blocks):
            self.chain.fund(self.member.address, 1)

    # -- what the requester does -------------------------------------------------------------------------------

    def send(self, *sent: tuple[Account, Call]) -> None:
        """Send calls that must succeed, in one block."""
        nonces: dict[str, int] = {}
        raws = []
        for account, call in sent:
            nonce = nonces.setdefault(account.address, self.chain.nonce(account.address))
            nonces[account.address] += 1
            raws.append(
                account.sign(
                    call,
                    chain_id=self.chain.chain_id,
                    nonce=nonce,
                    gas=2_000_000,
                    max_fee=10**9,
                    max_priority_fee=0,
                )
            )
        for found in self.chain.provider.send_many(raws):
            if isinstance(found, Exception):
                raise found
            receipt = self.chain.receipt("0x" + found.hex())
            if receipt is None or not receipt.succeeded:
                raise RuntimeError("a call was refused that must succeed")

    def ask(self, rows: Sequence[dict[str, str | None]], *, level: int = 2) -> list[str]:
        """Ask about rows, and hand the openings out; return the requests' ids."""
        return [request for request, _ in self.ask_openly(rows, level=level)]

    def ask_openly(
        self, rows: Sequence[dict[str, str | None]], *, level: int = 2
    ) -> list[tuple[str, Opening]]:
        """Ask about rows; return what opens each request."""
        from tallystick.decisions import Terms, make_opening

        asked, calls = [], []
        for row in rows:
            opening = make_opening(self.model, row)
            terms = Terms(
                self.model.hash,
                opening.commitment,
                level,
                self.panel.id,
                STEP_S,
                STEP_BLOCKS,
                unpromoted=True,
            )
            asked.append((self.id_of(terms), opening))
            calls.append((self.asker, self.oracle.request(terms)))
        for request, opening in asked:
            self.handed.take(opening.of(request), opening.commitment)
        self.send(*calls)
        return asked

    def id_of(self, terms: Terms) -> str:
        """Return the id that a request will have."""
        requester = self.asker.address
        return terms.id(chain_id=self.chain.chain_id, oracle=self.oracle.address, requester=requester).hex()

    def state(self, request: str) -> OracleAnswer:
        """Read how far a request is."""
        found = self.oracle.answer_of(bytes.fromhex(request))
        if found is None:
            raise RuntimeError("unknown request")
        return found

    def answer(self, outputs: dict[str, int]) -> None:
        """Let the first signers that are needed answer as told, right or wrong, past every rule of an honest node."""
        from tallystick.decisions import signature_commitment

        answering = self.signers[: self.panel.need]
        commits, answers = [], []
        for request, output in outputs.items():
            terms = self.oracle.request_of(bytes.fromhex(request))
            assert terms is not None
            digest = self.oracle.answer_digest(terms, output=output, chain_id=self.chain.chain_id)
            signatures = {seat: one.sign_digest(digest) for seat, one in enumerate(answering)}
            for seat, signer in enumerate(answering):
                commitment = signature_commitment(signatures[seat])
                commits.append((signer, self.oracle.commit(terms.id, seat=seat, commitment=commitment)))
            answers.append((self.asker, self.oracle.answer(terms.id, output=output, signatures=signatures)))
        self.send(*commits)
        if len(answering) < len(self.signers):
            self.pass_time(STEP_S + 1, blocks=STEP_BLOCKS + 1)
        self.send(*answers)

    # -- who follows -------------------------------------------------------------------------------------------

    def find(self, what: str) -> Any:
        """Be a source of models: the one model, in use."""
        from types import SimpleNamespace

        from tallystick.errors import NotFoundError

        if what != self.model.hash:
            raise NotFoundError("there is one model here")
        return SimpleNamespace(hash=what, published="", stage="promoted")

    def _means(self, name: str, account: Account) -> tuple[Node, Any, Any, dict[str, Any]]:
        from tallystick.chain import Outbox
        from tallystick.decisions import Followed, Holdings, Openings, RequestBook
        from tallystick.node import Node

        if name not in self._nodes:
            place, options = (
                self.path / name,
                {"passphrase": "x", "clock": self.clock, "heads": self.path / "heads"},
            )
            if place.exists():
                self._nodes[name] = Node.open(place, **options)  # type: ignore[arg-type]
            else:
                self._nodes[name] = Node.init(place, name=name, scrypt_n=2**4, **options)  # type: ignore[arg-type]
            self._outboxes[name] = Outbox(
                self.path / f"{name}.db", self.chain, account=account, clock=self.clock
            )
        contract, number = self.oracle.address, self.chain.chain_id
        followed = Followed(self.path / f"{name}.followed", chain=number, contract=contract)
        models = _OneModel(self)
        holdings = Holdings(models, Openings(self.path / f"{name}.openings"), self.handed)
        means = {"followed": followed, "holdings": holdings}
        return self._nodes[name], RequestBook(self.oracle, self.chain), self._outboxes[name], means

    def signer(self, place: int, **options: Any) -> OracleNode:
        """Start the oracle node of one signer."""
        from tallystick.decisions import OracleNode

        account = self.signers[place]
        node, book, outbox, means = self._means(f"signer{place}", account)
        given: dict[str, Any] = {
            "exchange": self.exchange,
            "signer": account,
            "panels": [self.panel.id],
            "clock": self.clock,
            "takeover_s": 5,
        }
        return OracleNode(node, book, outbox, **{**given, **means, **options})

    def watcher(self) -> Watcher:
        """Start the honest watcher."""
        from tallystick.decisions import Watcher

        node, book, outbox, means = self._means("watcher", self.watching)
        return Watcher(node, book, outbox, account=self.watching.address, **means)

    def node(self, name: str) -> Node:
        """Return the node of a follower that was started."""
        return self._nodes[name]

    def close(self) -> None:
        """Close everything."""
        for outbox in self._outboxes.values():
            outbox.close()
        for node in self._nodes.values():
            node.close()
        self.chain.close()


class _OneModel:
    def __init__(self, town: Town) -> None:
        self.find, self._model = town.find, town.model

    def model(self, _: object) -> IntegerModel:
        return self._model
