"""Gas of whole transactions of ``Oracle`` over the genuine ``Models`` and 50 trees: exact, the same on every machine.

python -m benchmarks.gas_oracle             # print the figures
python -m benchmarks.gas_oracle --update    # write them to tests/contracts/gas_oracle.json, which the tests hold
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections.abc import Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.gas import CHAIN_ID, NOW_S, Measured, member_seat
from benchmarks.random_models import trees
from benchmarks.rows import Row

if TYPE_CHECKING:
    from tallystick.decisions import Panel, Terms
    from tallystick.models import TreeModel

SNAPSHOT = Path(__file__).resolve().parent.parent / "tests" / "contracts" / "gas_oracle.json"
QUORUM = "answer L1, 5 of 7"
OVERTURN = "overturn, 50 trees"
REACHES = {QUORUM: 175_000, OVERTURN: 130_000}
PANELS = ((1, 1), (3, 4), (5, 7), (10, 15))
WIDTH = 30
STEP_S, STEP_BLOCKS = 60, 3
WINDOW_S, WINDOW_BLOCKS = 600, 5
BOND = 10**18
FEE = 10**15


def gas_oracle(scale: float = 1.0) -> list[Row]:
    """Measure an answer of a quorum and an overturned one against their reaches.

    Args:
        scale: ignored; gas does not depend on how long one measures.
    """
    gas = measure()
    return [Row(f"gas-oracle {name}", gas[name], "gas", reach, "<=", {}) for name, reach in REACHES.items()]


def measure() -> dict[str, int]:
    """Send one transaction of each kind on a fresh chain.

    Returns:
        Gas of whole transactions, by name.
    """
    with tempfile.TemporaryDirectory() as folder:
        world = _World(Path(folder) / "chain")
        try:
            for need, count in PANELS:
                _measure_quorum(world, need, count)
            _measure_single(world)
            _measure_optimistic(world)
            _measure_executed(world)
        finally:
            world.chain.close()
    return world.gas


def _measure_quorum(world: _World, need: int, count: int) -> None:
    label = f"{need} of {count}"
    panel = world.open_panel(need, count, label if count == 7 else "")
    # A requester of its own each time: its account is empty, which is the dearest.
    terms, request = world.ask(1, panel, f"requester of {label}", "request L1" if count == 7 else "")
    names = world.signers(count)[:need]
    world.commit(request, terms, panel, names, "commit L1" if count == 7 else "")
    world.end(STEP_S, STEP_BLOCKS)
    world.answer(request, terms, panel, names, f"answer L1, {label}")
    if count == 7:
        seats = range(need)
        world.send("collect fees, 5 signers", "anybody", world.oracle.collect(request, seats=seats))


def _measure_single(world: _World) -> None:
    panel = world.open_panel(5, 7)
    terms, request = world.ask(0, panel, "requester of one", "request L0")
    world.answer(request, terms, panel, world.signers(7)[:1], "answer L0")
    terms, request = world.ask(0, panel, "requester of none")
    world.end(STEP_S, STEP_BLOCKS)
    world.send("refund", "anybody", world.oracle.refund(request))


def _measure_optimistic(world: _World) -> None:
    from tallystick.decisions import challenge_commitment

    panel = world.open_panel(5, 7)
    names = world.signers(7)[:5]
    for place, name in enumerate([*world.signers(7), "watcher"]):
        world.send("" if place else "deposit", name, world.oracle.deposit(5 * BOND))
    world.send("withdraw", "watcher", world.oracle.withdraw(BOND))

    terms, request = world.ask(2, panel, "requester of the right", "request L2")
    world.answer_in_window(request, terms, panel, names, world.right, named=True)
    world.end(WINDOW_S, WINDOW_BLOCKS)
    world.send("finalise", "anybody", world.oracle.finalise(request))
    world.send("collect fees and bonds, 5 signers", "anybody", world.oracle.collect(request, seats=range(5)))

    terms, request = world.ask(2, panel, "requester of the wrong")
    world.answer_in_window(request, terms, panel, names, world.right + 1)
    nonce = b"n" * 32
    challenger = world.address("watcher")
    commitment = challenge_commitment(request, challenger=challenger, output=world.right, salt=nonce)
    commit = world.oracle.commit_challenge(request, commitment=commitment)
    world.send("commit to a challenge", "watcher", commit)
    shown = world.oracle.challenge(request, words=world.words, input_salt=world.salt, salt=nonce)
    world.send(OVERTURN, "watcher", shown)
    world.send("finalise, overturned", "anybody", world.oracle.finalise(request))
    world.send("collect lost bonds, 5 signers", "anybody", world.oracle.collect(request, seats=range(5)))
    if world.oracle.answer_of(request).output != world.right:
        raise RuntimeError("a wrong answer stands")


def _measure_executed(world: _World) -> None:
    _, request = world.ask(4, None, "requester of execution", "request L4")
    call = world.oracle.execute(request, words=world.words, salt=world.salt)
    world.send("execute L4, 50 trees", "anybody", call)


class _World(Measured):
    """A chain whose clock moves, the genuine contracts, and a promoted model of 50 trees."""

    def __init__(self, path: Path) -> None:
        from web3 import Web3

        from tallystick.chain import LocalChain
        from tallystick.decisions import Oracle
        from tallystick.models import pack_inputs

        self.now_s = NOW_S
        self.chain = LocalChain(path, chain_id=CHAIN_ID, clock=lambda: self.now_s * 1_000_000)
        self.web3 = Web3(self.chain)
        self.gas: dict[str, int] = {}
        rng = random.Random(50)
        self.model: TreeModel = trees(rng, WIDTH, 50)
        # No byte of these is zero, so that nothing of the input is cheap.
        inputs = tuple(257 * rng.randint(1, 127) for _ in range(WIDTH))
        self.words, self.right = pack_inputs(inputs), self.model.scores_inputs(inputs)[0]
        self.requests = 0
        models = self._promote()
        self.oracle: Any = Oracle(self.web3, self.deploy("A", Oracle.deploy_call(models), "deploy Oracle"))

    @property
    def salt(self) -> bytes:
        """The salt of the last request's input."""
        return sha256(b"salt %d" % self.requests).digest()

    @cached_property
    def opened(self) -> dict[bytes, Panel]:
        return {}

    def address(self, name: str) -> str:
        return str(_account(name).address.lower())

    def signers(self, count: int) -> list[str]:
        """Names of a panel's signers, by their seats."""
        return sorted((f"signer {place} of {count}" for place in range(count)), key=self.address)

    def open_panel(self, need: int, count: int, label: str = "") -> Panel:
        from tallystick.decisions import Panel

        panel = Panel(
            tuple(map(self.address, self.signers(count))), need, (self.address("watcher"),), 1, BOND,
            WINDOW_S, WINDOW_BLOCKS,
        )  # fmt: skip
        if panel.id not in self.opened:
            self.send(f"open panel, {label}" if label else "", "A", self.oracle.open_panel(panel))
            self.opened[panel.id] = panel
        return panel

    def ask(self, level: int, panel: Panel | None, sender: str, name: str = "") -> tuple[Terms, bytes]:
        from tallystick.decisions import Terms
        from tallystick.models import input_commitment

        self.requests += 1
        commitment = input_commitment(self.salt, self.words)
        place = panel.id if panel else bytes(32)
        terms = Terms(
            self.model.hash, commitment, level, place, step_s=STEP_S, step_blocks=STEP_BLOCKS, fee=FEE
        )
        self.send(name, sender, self.oracle.request(terms))
        requester = self.address(sender)
        return terms, terms.id(chain_id=CHAIN_ID, oracle=self.oracle.address, requester=requester)

    def sign(self, name: str, request: bytes, terms: Terms, output: int) -> bytes:
        from tallystick.decisions import answer_digest

        digest = answer_digest(
            request,
            model=terms.model,
            commitment=terms.input,
            output=output,
            level=terms.level,
            chain_id=CHAIN_ID,
            oracle=self.oracle.address,
        )
        return bytes(_account(name).unsafe_sign_hash(digest).signature)

    def commit(
        self,
        request: bytes,
        terms: Terms,
        panel: Panel,
        names: Sequence[str],
        label: str = "",
        output: int = 0,
    ) -> None:
        from tallystick.decisions import signature_commitment

        for place, name in enumerate(names):
            commitment = signature_commitment(self.sign(name, request, terms, output or self.right))
            call = self.oracle.commit(request, seat=panel.seat_of(self.address(name)), commitment=commitment)
            self.send("" if place else label, name, call)

    def answer(
        self,
        request: bytes,
        terms: Terms,
        panel: Panel,
        names: Sequence[str],
        label: str = "",
        output: int = 0,
    ) -> None:
        output = output or self.right
        seats = {panel.seat_of(self.address(name)): name for name in names}
        signatures = {seat: self.sign(name, request, terms, output) for seat, name in seats.items()}
        self.send(label, "anybody", self.oracle.answer(request, output=output, signatures=signatures))

    def answer_in_window(
        self,
        request: bytes,
        terms: Terms,
        panel: Panel,
        names: Sequence[str],
        output: int,
        *,
        named: bool = False,
    ) -> None:
        self.send("acknowledge" if named else "", "watcher", self.oracle.acknowledge(request, seat=0))
        self.commit(request, terms, panel, names, "commit L2" if named else "", output)
        self.end(STEP_S, STEP_BLOCKS)
        self.answer(request, terms, panel, names, "answer L2, 5 of 7" if named else "", output)

    def end(self, seconds: int, blocks: int) -> None:
        self.now_s += seconds + 1
        for _ in range(blocks + 1):
            self.chain.fund(self.address("nobody in particular"), 1)

    def _promote(self) -> str:
        from tallystick.chain import Members
        from tallystick.models import Blueprints, Models

        members = self.deploy("A", Members.deploy_call([member_seat(name) for name in "ABC"], threshold=2))
        families = {
            family: self.deploy("A", Models.blueprint_call(family))
            for family in ("linear", "trees", "perceptron")
        }
        call = Models.deploy_call(members, approvals_needed=2, blueprints=Blueprints(**families))
        models = Models(self.web3, self.deploy("A", call))
        packed = self.model.packed
        if packed is None:
            raise RuntimeError("no contract can execute this model")
        for part in packed.parts:
            self.send("", "A", models.store(part))
        self.send("", "A", models.deploy(self.model))
        self.send("", "A", models.publish(self.model.hash))
        for name in "BC":
            self.send("", name, models.approve(self.model.hash))
        statement = sha256(b"statement").hexdigest()
        self.send("", "B", models.report_evaluation(self.model.hash, statement, passed=True))
        self.send("", "A", models.promote(self.model.hash))
        return str(models.address)


def _account(name: str) -> Any:
    from benchmarks import gas

    return gas._account(name)


def _main(arguments: list[str]) -> int:
    gas = measure()
    for name, value in gas.items():
        print(f"{value:>12,}  {name}")
    if arguments == ["--update"]:
        SNAPSHOT.write_text(json.dumps(gas, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        print(f"wrote {SNAPSHOT}")
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
