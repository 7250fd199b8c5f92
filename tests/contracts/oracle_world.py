"""Panels, signatures and contracts that tests of the oracle play with: stand-ins for models, and askers of many kinds."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import rlp
from contract_world import Done, World, account, address
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from vyper.compiler import compile_code
from vyper.compiler.settings import OptimizationLevel, Settings

from tallystick.chain import Call
from tallystick.decisions import (
    Oracle,
    OracleAccount,
    OracleAnswer,
    Panel,
    Terms,
    answer_digest,
    challenge_commitment,
    signature_commitment,
)
from tallystick.models import input_commitment

CHAIN_ID = 4221
ETHER = 10**18
STEP_S, STEP_BLOCKS = 60, 3
WINDOW_S, WINDOW_BLOCKS = 600, 4
BOND = ETHER
MODEL, OPAQUE, RETIRED, PUBLISHED, UNKNOWN = (f"{number:02x}" * 32 for number in range(1, 6))
SALT, NONCE = b"s" * 32, b"n" * 32
WORDS = (5, 7)
RIGHT = 5 * 3 - 7  # what the stand-in executor answers to WORDS
WRONG = RIGHT + 1

STAND_IN_MODELS = """
stages: HashMap[bytes32, uint8]
executors: HashMap[bytes32, address]
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

STAND_IN_EXECUTOR = """
@external
@view
def answer(x: DynArray[uint256, 16]) -> int256:
    assert len(x) == 2, "stand-in: two words"
    return convert(x[0], int256) * 3 - convert(x[1], int256)
"""

# A contract that asks, and what it does when it is answered: 0 takes it, 1 reverts, 2 eats all gas, 3 answers with
# a megabyte, 4 calls back in, 5 reads a view, 6 takes it only when it has more gas than it asked for.
ASKER = """
oracle: public(address)
mode: public(uint256)
calls: public(uint256)
sender: public(address)
request_id: public(bytes32)
output: public(int256)
level: public(uint8)
seen: public(uint256)
gas_seen: public(uint256)
inner: Bytes[1024]
inner_ok: public(bool)
@deploy
def __init__(oracle: address):
    self.oracle = oracle
@external
@payable
def __default__():
    pass
@external
def set_mode(mode: uint256, inner: Bytes[1024]):
    self.mode = mode
    self.inner = inner
@external
@payable
def forward(data: Bytes[1024]):
    raw_call(self.oracle, data, value=msg.value)
@external
def on_answer(request_id: bytes32, output: int256, level: uint8):
    self.gas_seen = msg.gas
    if self.mode == 1:
        raise "asker: I do not want it"
    if self.mode == 2:
        for i: uint256 in range(10**9):
            self.seen += 1
    if self.mode == 3:
        raw_revert(abi_encode(empty(Bytes[30000])))
    if self.mode == 4:
        answered: Bytes[32] = b""
        self.inner_ok, answered = raw_call(self.oracle, self.inner, max_outsize=32, revert_on_failure=False)
    if self.mode == 5:
        answered: Bytes[448] = raw_call(self.oracle, self.inner, max_outsize=448, is_static_call=True)
        self.seen = convert(slice(answered, 0, 32), uint256) * 1000 + convert(slice(answered, 96, 32), uint256)
    if self.mode == 6:
        assert msg.gas > 400000, "asker: more gas"
    self.sender = msg.sender
    self.calls += 1
    self.request_id = request_id
    self.output = output
    self.level = level
"""

# Takes no money.
MISER = """
oracle: address
@deploy
def __init__(oracle: address):
    self.oracle = oracle
@external
@payable
def forward(data: Bytes[1024]):
    raw_call(self.oracle, data, value=msg.value)
"""

# Commits to a challenge and shows it in one transaction.
HASTY = """
oracle: address
@deploy
def __init__(oracle: address):
    self.oracle = oracle
@external
@payable
def forward(data: Bytes[1024]):
    raw_call(self.oracle, data, value=msg.value)
@external
def both(one: Bytes[1024], two: Bytes[1024]):
    raw_call(self.oracle, one)
    raw_call(self.oracle, two)
"""


@cache
def compiled(source: str) -> bytes:
    """The creation code of a contract that only tests need."""
    settings = Settings(evm_version="cancun", optimize=OptimizationLevel.GAS)
    return bytes.fromhex(compile_code(source, output_formats=["bytecode"], settings=settings)["bytecode"][2:])


def told(to: str, signature: str, *arguments: object, value: int = 0) -> Call:
    """A call of a stand-in: ``put(bytes32,uint8,address)`` and its arguments."""
    kinds = [kind for kind in signature.partition("(")[2][:-1].split(",") if kind]
    return Call(to=to, data=keccak(text=signature)[:4] + encode(kinds, arguments), value=value)


def sorted_names(names: Sequence[str]) -> list[str]:
    return sorted(names, key=address)


SIGNERS = sorted_names([f"signer {place}" for place in range(4)])
WATCHERS = sorted_names([f"watcher {place}" for place in range(2)])


def panel_of(signers: Sequence[str] = SIGNERS, need: int = 3, **changes: object) -> Panel:
    fields = {
        "watchers": tuple(map(address, WATCHERS)), "watch_need": 1, "bond": BOND, "window_s": WINDOW_S,
        "window_blocks": WINDOW_BLOCKS,
    }  # fmt: skip
    return Panel(tuple(sorted(map(address, signers))), need, **{**fields, **changes})


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was sent."""

    id: bytes
    terms: Terms
    requester: str  # its address


class OracleWorld(World):
    """A chain with an oracle on it, stand-in models, and one panel of four signers of which three must agree."""

    def __init__(self, path: Path) -> None:
        for ending in ("", "-wal"):  # a closed SQLite file may leave the last of it in its log
            if (source := prepared().with_name("chain" + ending)).exists():
                shutil.copy(source, path.with_name(path.name + ending))
        super().__init__(path)
        self._funded = {"deployer", "anybody", "asker", *SIGNERS, *WATCHERS}
        self.models, self.executor, place = (deployed(nonce) for nonce in range(3))
        self.oracle = Oracle(self.web3, place)
        self.panel = panel_of()
        self.salts = 0

    def put(self, model: str, stage: int, executor: str = "") -> None:
        arguments = (bytes.fromhex(model), stage, executor or self.executor)
        self.send("deployer", told(self.models, "put(bytes32,uint8,address)", *arguments))

    def refusal(self, sender: str, call: Call) -> str:
        """Ask why the next block would refuse a call, with its money."""
        self.fund(sender)
        question = {
            "from": account(sender).address, "to": call.to, "data": "0x" + call.data.hex(), "gas": hex(10_000_000),
            "value": hex(call.value),
        }  # fmt: skip
        answer = self.chain.make_request("eth_call", [question, "pending"])
        return (
            str(answer["error"]["message"]).removeprefix("execution reverted: ") if "error" in answer else ""
        )

    # Money

    def rich(self, *names: str, amount: int = 10 * BOND) -> None:
        for name in names:
            self.send(name, self.oracle.deposit(amount))

    def money(self, name: str) -> OracleAccount:
        return self.oracle.account(address(name))

    def balance(self) -> int:
        return int(self.web3.eth.get_balance(self.web3.to_checksum_address(self.oracle.address)))

    # Requests

    def terms(self, level: int = 1, **changes: object) -> Terms:
        self.salts += 1
        fields: dict = {
            "model": MODEL, "input": input_commitment(self.salt(), WORDS), "level": level,
            "panel": bytes(32) if level == 4 else self.panel.id, "step_s": STEP_S, "step_blocks": STEP_BLOCKS,
            "fee": 4_000,
        }  # fmt: skip
        return Terms(**{**fields, **changes})

    def salt(self) -> bytes:
        """The salt of the last terms made."""
        return self.salts.to_bytes(32, "big")

    def ask(self, level: int = 1, sender: str = "asker", **changes: object) -> Asked:
        terms = self.terms(level, **changes)
        self.send(sender, self.oracle.request(terms))
        return self.asked(terms, address(sender))

    def asked(self, terms: Terms, requester: str) -> Asked:
        name = terms.id(chain_id=CHAIN_ID, oracle=self.oracle.address, requester=requester)
        return Asked(name, terms, requester)

    def stand_in(self, source: str) -> str:
        code = compiled(source) + encode(["address"], [self.oracle.address])
        return self.send("deployer", Call(None, code)).contract

    def asking_contract(self) -> str:
        return self.stand_in(ASKER)

    def ask_by(self, contract: str, level: int = 1, sender: str = "asker", **changes: object) -> Asked:
        """Let a contract ask."""
        terms = self.terms(level, **changes)
        call = self.oracle.request(terms)
        self.send(sender, told(contract, "forward(bytes)", call.data, value=call.value))
        return self.asked(terms, contract)

    def state(self, asked: Asked) -> OracleAnswer:
        found = self.oracle.answer_of(asked.id)
        assert found is not None
        return found

    # Signers

    def sign(self, name: str, asked: Asked, output: int, **changes: object) -> bytes:
        """Sign an answer; changes make it one to another question."""
        fields: dict = {
            "model": asked.terms.model, "commitment": asked.terms.input, "output": output,
            "level": asked.terms.level, "chain_id": CHAIN_ID, "oracle": self.oracle.address,
        }  # fmt: skip
        request = changes.pop("request", asked.id)
        return sign_digest(name, answer_digest(request, **{**fields, **changes}))

    def seat(self, name: str, panel: Panel | None = None) -> int:
        found = (panel or self.panel).seat_of(address(name))
        assert found is not None
        return found

    def commit_call(self, name: str, asked: Asked, output: int, panel: Panel | None = None) -> Call:
        commitment = signature_commitment(self.sign(name, asked, output))
        return self.oracle.commit(asked.id, seat=self.seat(name, panel), commitment=commitment)

    def commit(self, names: Sequence[str], asked: Asked, output: int, panel: Panel | None = None) -> None:
        for name in names:
            self.send(name, self.commit_call(name, asked, output, panel))

    def answer_call(
        self, names: Sequence[str], asked: Asked, output: int, panel: Panel | None = None
    ) -> Call:
        signatures = {self.seat(name, panel): self.sign(name, asked, output) for name in names}
        return self.oracle.answer(asked.id, output=output, signatures=signatures)

    def end_step(self) -> None:
        self.pass_time(STEP_S + 1)
        self.pass_blocks(STEP_BLOCKS + 1)

    def end_window(self) -> None:
        self.pass_time(WINDOW_S + 1)
        self.pass_blocks(WINDOW_BLOCKS + 1)

    def answered(
        self, level: int = 1, output: int = RIGHT, names: Sequence[str] = SIGNERS[:3], **changes: object
    ) -> Asked:
        """Ask, commit and answer; at L2 the window runs then."""
        asked = self.ask(level, **changes)
        self.give(names, asked, output)
        return asked

    def give(self, names: Sequence[str], asked: Asked, output: int) -> Done:
        if asked.terms.level == 2:
            self.send(WATCHERS[0], self.oracle.acknowledge(asked.id, seat=0))
        if asked.terms.level:
            self.commit(names, asked, output)
            self.end_step()
        return self.send("anybody", self.answer_call(names, asked, output))

    # Challenges

    def commit_challenge_call(
        self, name: str, asked: Asked, output: int = RIGHT, challenger: str = ""
    ) -> Call:
        who = challenger or address(name)
        commitment = challenge_commitment(asked.id, challenger=who, output=output, salt=NONCE)
        return self.oracle.commit_challenge(asked.id, commitment=commitment)

    def challenge_call(self, asked: Asked, **changes: object) -> Call:
        fields: dict = {"words": WORDS, "input_salt": self.salt(), "salt": NONCE}
        return self.oracle.challenge(asked.id, **{**fields, **changes})

    def overturn(self, name: str, asked: Asked) -> Done:
        self.send(name, self.commit_challenge_call(name, asked))
        return self.send(name, self.challenge_call(asked))

    def settle(self, asked: Asked) -> None:
        self.send("anybody", self.oracle.collect(asked.id, seats=self.state(asked).committed))

    def read(self, contract: str, signature: str) -> int:
        """Read a number of a stand-in."""
        data = told(contract, signature).data
        answer = self.chain.make_request("eth_call", [{"to": contract, "data": "0x" + data.hex()}, "latest"])
        return int(answer["result"], 16)


def deployed(nonce: int) -> str:
    """The address of the deployer's contract by the number of its transaction."""
    sender = bytes.fromhex(address("deployer")[2:])
    return "0x" + keccak(rlp.encode([sender, nonce]))[12:].hex()


@cache
def prepared() -> Path:
    """The chain that every test starts from, made once a process."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    nobody = "0x" + "00" * 20
    with World(folder / "chain") as world:
        for name in ("deployer", "anybody", "asker", *SIGNERS, *WATCHERS):
            world.fund(name)  # now, because funding takes a block and tests count blocks
        for code in (compiled(STAND_IN_MODELS), compiled(STAND_IN_EXECUTOR)):
            world.send("deployer", Call(None, code))
        models, executor = deployed(0), deployed(1)
        world.send("deployer", Oracle.deploy_call(models))
        stages = ((MODEL, 2, executor), (OPAQUE, 2, nobody), (RETIRED, 3, executor), (PUBLISHED, 1, executor))
        for model, stage, place in stages:
            put = told(models, "put(bytes32,uint8,address)", bytes.fromhex(model), stage, place)
            world.send("deployer", put)
        world.send("deployer", Oracle(world.web3, deployed(2)).open_panel(panel_of()))
    return folder / "chain"


def sign_digest(name: str, digest: bytes) -> bytes:
    return bytes(account(name).unsafe_sign_hash(digest).signature)
