"""A chain with the contract `Holds` on it, members with journals, and models that score what they are told.

python tests/contracts/holds_world.py    # writes the gas snapshot, after a change on purpose
"""

from __future__ import annotations

import atexit
import json
import random
import shutil
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from types import SimpleNamespace
from typing import Any

from contract_world import Done, World, journal, party
from models_world import found_consortium, trees
from oracle_world import compiled, told
from reference_tree import Tree

from tallystick.apps.fraud.holding import (
    Held,
    HoldRecord,
    Holds,
    HoldState,
    StatedProof,
    prove_statement,
)
from tallystick.chain import Anchors, Call, Members
from tallystick.proof import Statement, format_json

SNAPSHOT = Path(__file__).with_name("gas_holds.json")
US = 1_000_000
HOUR, DAY = 3_600 * US, 86_400 * US
EPOCH, EPOCH_ID = 1, b"e" * 32
TOKEN, OTHER = sha256(b"a payee").digest(), sha256(b"another payee").digest()
MODEL = "ab" * 32
THRESHOLD = 100
INPUTS = (5,) * 16 + (7,) * 16  # two words
SALT = b"s" * 32
REASON = b"r" * 32
REVIEW_S, REVIEW_BLOCKS = 86_400, 3
OPEN_LIMIT = 3
STOOD, DISPUTED, UPHELD = HoldState.STANDS, HoldState.DISPUTED, HoldState.UPHELD
RELEASED, OVERTURNED = HoldState.RELEASED, HoldState.OVERTURNED

STAND_IN_MODELS = """
members: public(address)
stages: HashMap[bytes32, uint8]
executors: HashMap[bytes32, address]
@deploy
def __init__(members: address):
    self.members = members
@external
def put(model: bytes32, stage: uint8, executor: address):
    self.stages[model] = stage
    self.executors[model] = executor
@external
@view
def stage(model: bytes32) -> uint8:
    return self.stages[model]
@external
@view
def executor(model: bytes32) -> address:
    return self.executors[model]
"""

# Answers the same to everything, until it is told otherwise.
STAND_IN_EXECUTOR = """
score: int256
@external
def put(score: int256):
    self.score = score
@external
@view
def answer(x: DynArray[uint256, 16]) -> int256:
    assert len(x) == 2, "stand-in: two words"
    return self.score
"""


class StatedTree(Tree):
    """A Merkle tree over leaves that are given one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.leaves: list[bytes] = []

    def leaf(self, index: int) -> bytes:
        return self.leaves[index]


class HoldsWorld(World):
    """Members A to E, of whom three are a majority; their journals; stand-in models; the contract; a running epoch."""

    def __init__(self, path: Path, *, is_founded: bool = True) -> None:
        if is_founded:
            for ending in ("", "-wal"):  # a closed SQLite file may leave the last of it in its log
                if (source := prepared()["folder"] / f"chain{ending}").exists():
                    shutil.copy(source, path.with_name(path.name + ending))
        super().__init__(path)
        self.trees: dict[str, StatedTree] = {}
        self._sizes: dict[str, int] = {}
        self._numbers = 0
        if is_founded:
            self.take(prepared())

    def take(self, places: dict[str, Any]) -> None:
        """Know what stands on a chain that was prepared."""
        self._funded = {"deployer", "anybody", *"ABCDE"}
        self.members = Members(self.web3, places["members"])
        self.anchored = Anchors(self.web3, places["anchors"])
        self.models, self.executor = places["models"], places["executor"]
        self.holds = Holds(self.web3, places["holds"])

    def found_holds(self) -> None:
        self.members = self.found("ABCDE", 3)
        self.anchored = self.anchors(self.members)
        self.models = self.put("Models", STAND_IN_MODELS, self.members.address)
        self.executor = self.put("Executor", STAND_IN_EXECUTOR)
        self.promote()
        self.deploy(self.models)
        self.open_epoch()

    def deploy(self, models: str) -> None:
        self.holds = Holds(self.web3, self.send("deployer", self.deploy_call(models=models)).contract)

    def deploy_call(self, **changes: Any) -> Call:
        fields: dict[str, Any] = {
            "anchors": self.anchored.address, "models": "", "open_limit": OPEN_LIMIT, "review_s": REVIEW_S,
            "review_blocks": REVIEW_BLOCKS,
        }  # fmt: skip
        return Holds.deploy_call(**{**fields, **changes})

    def put(self, name: str, source: str, *arguments: str) -> str:
        """Deploy a stand-in."""
        code = compiled(source) + b"".join(bytes.fromhex(a[2:]).rjust(32, b"\0") for a in arguments)
        return self.send("deployer", Call(None, code)).contract

    def promote(self, model: str = MODEL, *, stage: int = 2, executor: str = "") -> None:
        arguments = bytes.fromhex(model), stage, executor or self.executor
        self.send("deployer", told(self.models, "put(bytes32,uint8,address)", *arguments))

    def score(self, value: int) -> None:
        self.send("deployer", told(self.executor, "put(int256)", value))

    def suspend(self, name: str, voters: str, threshold: int = 3) -> None:
        self.pass_vote(self.members, self.members.propose_suspend(party(name), threshold=threshold), voters)

    @property
    def now(self) -> int:
        """Microseconds of the next block."""
        return self.now_s * US

    def pass_us(self, microseconds: int) -> None:
        self.pass_time(microseconds // US)

    # Epochs

    def epoch_call(self, name: str, number: int = EPOCH, **changes: Any) -> Call:
        fields: dict[str, Any] = {
            "agreed": EPOCH_ID, "since": 1_795_000_000 * US, "until": 1_795_000_000 * US + 90 * DAY,
            "share": share(name),
        }  # fmt: skip
        return self.holds.open_epoch(number, **{**fields, **changes})

    def open_epoch(self, number: int = EPOCH, voters: str = "ABC", **changes: Any) -> None:
        for name in voters:
            self.send(name, self.epoch_call(name, number, **changes))

    # Statements

    def state(
        self,
        name: str,
        kind: str,
        body: dict[str, Any],
        *,
        at: int | None = None,
        anchor: bool = True,
        **more: Any,
    ) -> StatedProof:
        """State something in a member's journal, anchor it, and take it apart for the contract."""
        self._numbers += 1
        document = {
            "at": self.now - US + self._numbers if at is None else at,
            "body": body,
            "kind": kind,
            "links": {"decision": ["dd" * 32]},
            "origin": f"did:key:{name}/main",
            "v": 1,
            **more,
        }
        data = format_json(document)
        statement = Statement(document["at"], kind, body, document["links"], document["origin"], None, data)
        return self.add(name, statement, anchor=anchor)

    def add(self, name: str, statement: Statement, *, anchor: bool = True) -> StatedProof:
        tree = self.trees.setdefault(name, StatedTree())
        tree.leaves.append(bytes.fromhex(statement.id))
        if anchor:
            self.anchor_journal(name)
        entry = SimpleNamespace(index=len(tree.leaves) - 1, statement=statement)
        return prove_statement(SimpleNamespace(inclusion=tree.inclusion), entry, size=len(tree.leaves))

    def anchor_journal(self, name: str) -> Done:
        tree = self.trees[name]
        size, old = len(tree.leaves), self._sizes.get(name, 0)
        proof = tree.consistency(old, size) if old else []
        call = self.anchored.anchor(journal(name), size=size, root=tree.root(size), proof=proof)
        self._sizes[name] = size
        return self.send(name, call)

    def requested(
        self,
        name: str,
        token: bytes = TOKEN,
        *,
        until: int | None = None,
        epoch: int = EPOCH,
        level: str = "L0",
        **more: Any,
    ) -> StatedProof:
        ends = self.now + 5 * DAY if until is None else until
        body = {"epoch": epoch, "level": level, "token": token.hex(), "until": ends}
        return self.state(name, "hold.requested", body, **more)

    # Holds

    def place_call(
        self,
        said: StatedProof,
        token: bytes = TOKEN,
        *,
        until: int | None = None,
        slot: int = 0,
        epoch: int = EPOCH,
    ) -> Call:
        ends = self.now + 5 * DAY if until is None else until
        return self.holds.place(epoch=epoch, token=token, until=ends, slot=slot, said=said)

    def placed(
        self, name: str = "A", token: bytes = TOKEN, *, until: int | None = None, slot: int | None = None
    ) -> Done:
        """State a request and place the hold."""
        ends = self.now + 5 * DAY if until is None else until
        said = self.requested(name, token, until=ends)
        where = self.holds.free_slot(party(name)) if slot is None else slot
        assert where is not None
        return self.send(name, self.place_call(said, token, until=ends, slot=where))

    def execute_call(self, token: bytes = TOKEN, *, until: int | None = None, **changes: Any) -> Call:
        fields: dict[str, Any] = {
            "epoch": EPOCH, "slot": 0, "model": MODEL, "inputs": INPUTS, "salt": SALT,
            "until": self.now + 5 * DAY if until is None else until,
        }  # fmt: skip
        return self.holds.execute(token=token, **{**fields, **changes})

    def named(self, threshold: int = THRESHOLD, voters: str = "ABC", model: str = MODEL) -> None:
        for name in voters:
            self.send(name, self.holds.name_model(model, threshold=threshold))

    def release_call(self, name: str = "A", token: bytes = TOKEN, **more: Any) -> Call:
        said = self.state(name, "hold.released", {"token": token.hex()}, **more)
        return self.holds.release(token, said=said)

    def disputed(self, by: str = "B", name: str = "A", token: bytes = TOKEN) -> Done:
        return self.send(by, self.holds.dispute(token, party(name), reason=REASON))

    def review_call(
        self, *, uphold: bool, name: str = "A", token: bytes = TOKEN, reason: bytes = REASON
    ) -> Call:
        return self.holds.review(token, party(name), uphold=uphold, reason=reason)

    def reviewed(self, by: str, *, uphold: bool, name: str = "A", token: bytes = TOKEN) -> Done:
        return self.send(by, self.review_call(uphold=uphold, name=name, token=token))

    def hold(self, name: str = "A", token: bytes = TOKEN) -> HoldRecord:
        return self.holds.hold_of(token, party(name))

    def held(self, token: bytes = TOKEN) -> Held | None:
        return self.holds.held(token)


@cache
def prepared() -> dict[str, Any]:
    """The chain that every test starts from, made once a process, and where its contracts stand."""
    folder = Path(mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with HoldsWorld(folder / "chain", is_founded=False) as world:
        for name in ("deployer", "anybody", *"ABCDE"):
            world.fund(name)  # now, because funding takes a block and tests count blocks
        world.found_holds()
        return {
            "folder": folder,
            "members": world.members.address,
            "anchors": world.anchored.address,
            "models": world.models,
            "executor": world.executor,
            "holds": world.holds.address,
        }


def share(name: str) -> bytes:
    return sha256(b"share " + name.encode()).digest()


def measure() -> dict[str, int]:
    """Gas of whole transactions: holds behind a journal of 10,000 statements, a model of 50 trees over 30 inputs."""
    gas: dict[str, int] = {}
    with TemporaryDirectory() as place, HoldsWorld(Path(place) / "chain", is_founded=False) as world:
        founded = found_consortium(world, "ABCDE", threshold=3)
        world.members, world.anchored = founded.members, world.anchors(founded.members)
        world.deploy(founded.models.address)
        dice = random.Random(7)
        model = trees(dice, 30, 50)
        founded.deploy(model)
        founded.publish(model.hash, "A")
        reason = sha256(b"measured").digest()
        for name in "BC":
            world.send(name, founded.models.approve(model.hash))
            world.send(name, founded.models.sign_override(model.hash, reason))
        world.send("A", founded.models.promote_by_override(model.hash, reason))
        for name in "ABC":
            done = world.send(name, world.epoch_call(name))
        gas["open an epoch, last voice"] = done.gas
        for name in "ABC":
            done = world.send(name, world.holds.name_model(model.hash, threshold=-(2**60)))
        gas["name a model, last voice"] = done.gas
        for name in "ABC":
            done = world.send(name, world.holds.post_list(EPOCH, 1, b"l" * 32, 400))
        gas["post a list, last voice"] = done.gas
        tree = world.trees.setdefault("A", StatedTree())
        tree.leaves += [sha256(b"filler %d" % number).digest() for number in range(9_999)]
        until = world.now + 5 * DAY
        said = world.requested("A", until=until)
        gas["place"] = world.send("A", world.place_call(said, until=until)).gas
        gas["release"] = world.send("A", world.release_call("A")).gas
        said = world.requested("A", until=until)
        gas["place again"] = world.send("A", world.place_call(said, until=until)).gas
        inputs = [dice.randint(-9_000, 9_000) for _ in range(30)]
        call = world.execute_call(OTHER, model=model.hash, inputs=inputs, slot=1)
        gas["execute, 50 trees"] = world.send("A", call).gas
        gas["dispute"] = world.disputed().gas
        gas["review, first voice"] = world.reviewed("C", uphold=True).gas
        gas["review, upheld"] = world.reviewed("D", uphold=True).gas
        world.reviewed("C", uphold=False, token=OTHER)
        gas["review, overturned"] = world.reviewed("D", uphold=False, token=OTHER).gas
    return gas


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(measure(), indent=2, sort_keys=True) + "\n", encoding="utf-8")
