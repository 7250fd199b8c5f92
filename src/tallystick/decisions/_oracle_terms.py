"""What the contract ``Oracle`` is told and what it answers, as values; and what is signed and hashed for it.

Nothing here needs a chain: a base install computes a request's id, verifies a signer's signature over an answer's
digest, and makes the commitments of signers and challengers.

- A request's id hashes all its terms, its requester, the chain and the contract: nobody can put another in its place,
  and who asks knows it beforehand.
- A signature is its own salt: a signer commits to the hash of its signature, which nobody else can compute.
- A challenge commits to the right output, so nobody can join who has only seen that somebody challenges.

Source: EIP-712 (typed data), EIP-2098 (compact signatures), EIP-2 (low s).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from tallystick.errors import ConfigurationError
from tallystick.proof import keccak256, typed_data_digest

__all__ = [
    "Delivery",
    "OracleAnswer",
    "OracleRequest",
    "Panel",
    "RequestStatus",
    "Terms",
    "Until",
    "answer_digest",
    "answer_domain",
    "challenge_commitment",
    "compact_signature",
    "signature_commitment",
]

MAX_SIGNERS: Final = 32
MAX_WATCHERS: Final = 16
MAX_AMOUNT: Final = 2**96  # wei, of a fee or a bond
MAX_STEP_S: Final = 2_592_000  # 30 days
MAX_STEP_BLOCKS: Final = 250_000
MAX_WINDOW: Final = 2**32
MAX_CALLBACK_GAS: Final = 2_000_000
CHAIN_LEVELS: Final = (0, 1, 2, 4)
NO_PANEL: Final = bytes(32)
ANSWER_TYPES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "Answer": (
        ("request", "bytes32"),
        ("model", "bytes32"),
        ("input", "bytes32"),
        ("output", "int256"),
        ("level", "uint8"),
    )
}
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


class RequestStatus(IntEnum):
    """Where a request stands."""

    UNKNOWN = 0
    WAITING = 1
    """L2 only: too few named watchers have acknowledged that they hold the opening."""
    OPEN = 2
    """Commitments and an answer are taken."""
    ANSWERED = 3
    """L2 only: the window runs, or a challenge has overturned the answer and `finalise` may be sent."""
    FINAL = 4
    REFUNDED = 5
    """No answer in time; the fee went back."""


class Delivery(IntEnum):
    """What became of a callback."""

    NONE = 0
    """None is asked for, or the answer is not final yet."""
    DELIVERED = 1
    FAILED = 2
    """It reverted; the answer stands, and anybody may send `retry_callback`."""


@dataclass(frozen=True, slots=True)
class Until:
    """A limit in time and in blocks: it is over when both are passed, so that a halt of the chain cannot eat it.

    Args:
        second: last second, since the epoch, as blocks tell it.
        block: last block.
    """

    second: int
    block: int

    def is_over(self, *, second: int, block: int) -> bool:
        """Tell whether a block with this number and time stands behind the limit."""
        return second > self.second and block > self.block


@dataclass(frozen=True, slots=True)
class Panel:
    """Who answers, who watches, and what is at stake; named by the hash of its content and never changed.

    Args:
        signers: 1 to 32 accounts, ascending, 0x and 40 lower-case hex digits. A signer's place is its *seat*.
        need: how many of them must answer alike.
        watchers: up to 16 accounts, ascending, none of them a signer. A watcher's place is its seat, too.
        watch_need: how many of them must hold the opening before an L2 request takes answers.
        bond: wei that each signer and each challenger of an L2 answer puts at stake.
        window_s: least seconds in which an L2 answer may be challenged; challenges committed to by then may be
            shown for as long again.
        window_blocks: least blocks of the same.

    Raises:
        ConfigurationError: out of these bounds.
    """

    signers: tuple[str, ...]
    need: int
    watchers: tuple[str, ...] = ()
    watch_need: int = 0
    bond: int = 0
    window_s: int = 0
    window_blocks: int = 0

    def __post_init__(self) -> None:
        _check_accounts("signers", self.signers, MAX_SIGNERS)
        _check_accounts("watchers", self.watchers, MAX_WATCHERS)
        if set(self.signers) & set(self.watchers):
            raise ConfigurationError("a watcher must not be a signer of the same panel")
        if not 1 <= self.need <= len(self.signers):
            raise ConfigurationError(f"need must be 1 to {len(self.signers)} signers, got {self.need}")
        if not 0 <= self.watch_need <= len(self.watchers):
            raise ConfigurationError(
                f"watch_need must be 0 to {len(self.watchers)} watchers, got {self.watch_need}"
            )
        _check_below("bond", self.bond, MAX_AMOUNT)
        _check_below("window_s", self.window_s, MAX_WINDOW)
        _check_below("window_blocks", self.window_blocks, MAX_WINDOW)

    @property
    def id(self) -> bytes:
        """The panel's name on every chain: Keccak-256 of its content, 32 bytes."""
        # As the contract does: abi_encode of all fields in their order, arrays behind their offsets.
        lists: list[int | str] = [len(self.signers), *self.signers, len(self.watchers), *self.watchers]
        offset = 7 * 32
        words: tuple[int | str, ...] = (
            offset, self.need, offset + 32 * (1 + len(self.signers)), self.watch_need, self.bond,
            self.window_s, self.window_blocks, *lists,
        )  # fmt: skip
        return keccak256(b"".join(map(_word, words)))

    @property
    def allows_challenges(self) -> bool:
        """Whether L2 requests may name this panel: there are a bond, a watcher and a window."""
        return bool(self.bond and self.watch_need and self.window_s and self.window_blocks)

    def seat_of(self, account: str) -> int | None:
        """The seat of a signer or, with seats of their own, of a watcher; None for a stranger."""
        for accounts in (self.signers, self.watchers):
            if account.lower() in accounts:
                return accounts.index(account.lower())
        return None


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked, of whom, and on which conditions.

    Args:
        model: the model's hash, 64 hex digits.
        input: `input_commitment` of the packed input, 32 bytes; a fresh salt for each request.
        level: 0 signed, 1 quorum, 2 optimistic, 4 executed by the contract.
        panel: id of a panel; 32 zero bytes for level 4.
        step_s: least seconds of each step: acknowledging (L2), committing (L1, L2), answering; at most 30 days.
        step_blocks: least blocks of the same; at most 250,000.
        callback_gas: gas for ``on_answer`` of the requester, which must be a contract then; 0 for no callback.
        unpromoted: accept a model that is published, but not promoted.
        fee: wei for the signers, or for whoever executes.

    Raises:
        ConfigurationError: out of these bounds.
    """

    model: str
    input: bytes
    level: int
    panel: bytes = NO_PANEL
    step_s: int = 60
    step_blocks: int = 5
    callback_gas: int = 0
    unpromoted: bool = False
    fee: int = 0

    def __post_init__(self) -> None:
        if len(self.model) != 64 or set(self.model) - set("0123456789abcdef"):
            raise ConfigurationError("a model must be named by 64 hex digits")
        if len(self.input) != 32 or len(self.panel) != 32:
            raise ConfigurationError("an input's commitment and a panel's id must be 32 bytes")
        if self.level not in CHAIN_LEVELS:
            raise ConfigurationError(f"level must be 0, 1, 2 or 4 on a chain, got {self.level}")
        if (self.level == 4) != (self.panel == NO_PANEL):
            raise ConfigurationError("levels 0, 1 and 2 need a panel, level 4 takes none")
        steps = (("step_s", self.step_s, MAX_STEP_S), ("step_blocks", self.step_blocks, MAX_STEP_BLOCKS))
        for name, value, most in steps:
            if not 1 <= value <= most:
                raise ConfigurationError(f"{name} must be 1 to {most}, got {value}")
        _check_below("callback_gas", self.callback_gas, MAX_CALLBACK_GAS + 1)
        _check_below("fee", self.fee, MAX_AMOUNT)

    def id(self, *, chain_id: int, oracle: str, requester: str) -> bytes:
        """The request's id, 32 bytes, known before it is sent.

        Args:
            chain_id: EIP-155 chain id.
            oracle: address of the contract.
            requester: account that sends the request.
        """
        words: tuple[int | str | bytes, ...] = (
            chain_id, oracle, requester, bytes.fromhex(self.model), self.input, self.level, self.panel,
            self.step_s, self.step_blocks, self.callback_gas, int(self.unpromoted), self.fee,
        )  # fmt: skip
        return keccak256(b"".join(map(_word, words)))


@dataclass(frozen=True, slots=True)
class OracleRequest:
    """A request as the contract keeps it.

    Args:
        id: 32 bytes.
        requester: who asked, gets what is left over, and is called back.
        model: hash, 64 hex digits.
        input: commitment, 32 bytes.
        level: 0, 1, 2 or 4.
        panel: id of the panel; 32 zero bytes for level 4.
        fee: wei.
        callback_gas: 0 for no callback.
        step_s: least seconds of each step.
        step_blocks: least blocks of each step.
        executor: contract that re-executes the model; None when the model has none.
    """

    id: bytes
    requester: str
    model: str
    input: bytes
    level: int
    panel: bytes
    fee: int
    callback_gas: int
    step_s: int
    step_blocks: int
    executor: str | None


@dataclass(frozen=True, slots=True)
class OracleAnswer:
    """How far a request is, and its answer.

    Args:
        request: id, 32 bytes.
        status: where it stands.
        level: 0, 1, 2 or 4.
        output: the score, or the number of the label; 0 while there is none, see ``has_output``.
        is_final: whether the output can no longer change.
        is_overturned: whether it is the challenger's, in the place of the signers'.
        is_challenged: whether somebody has committed to a challenge, which makes the window longer.
        delivery: what became of the callback.
        acknowledged: seats of the watchers that said they hold the opening.
        committed: seats of the signers that have committed and whose money is not settled yet.
        signed: seats of the signers whose signatures the answer carried.
        until: end of the step that runs. Status WAITING: for acknowledgements; OPEN: for commitments (L1, L2) or for
            the answer (L0, L4); ANSWERED: of the window.
        deadline: until when the next step is taken. WAITING: as ``until``; OPEN: for the answer; ANSWERED: from then
            on it can be finalised, the grace for challenges included when it is challenged. `refund` or `finalise`
            may be sent when this is over.
    """

    request: bytes
    status: RequestStatus
    level: int
    output: int
    is_final: bool
    is_overturned: bool
    is_challenged: bool
    delivery: Delivery
    acknowledged: frozenset[int]
    committed: frozenset[int]
    signed: frozenset[int]
    until: Until
    deadline: Until

    @property
    def has_output(self) -> bool:
        """Whether there is an output."""
        return self.status in (RequestStatus.ANSWERED, RequestStatus.FINAL)


def answer_domain(*, chain_id: int, oracle: str) -> dict[str, Any]:
    """The EIP-712 domain of answers: one chain, one contract."""
    return {"name": "Tallystick Oracle", "version": "1", "chainId": chain_id, "verifyingContract": oracle}


def answer_digest(
    request: bytes, *, model: str, commitment: bytes, output: int, level: int, chain_id: int, oracle: str
) -> bytes:
    """The EIP-712 digest that a signer signs.

    Args:
        request: the request's id.
        model: the model's hash, 64 hex digits.
        commitment: the input's, 32 bytes.
        output: int256.
        level: 0, 1 or 2.
        chain_id: EIP-155 chain id.
        oracle: address of the contract.

    Returns:
        32 bytes.

    Raises:
        StatementError: a value does not fit its type.
    """
    message = {
        "request": request,
        "model": bytes.fromhex(model),
        "input": commitment,
        "output": output,
        "level": level,
    }
    domain = answer_domain(chain_id=chain_id, oracle=oracle)
    return typed_data_digest(domain=domain, types=ANSWER_TYPES, primary="Answer", message=message)


def signature_commitment(signature: bytes) -> bytes:
    """What a signer commits to: Keccak-256 of its signature, r, s, v (27 or 28), 65 bytes."""
    _check_signature(signature)
    return keccak256(signature)


def compact_signature(signature: bytes) -> tuple[int, int]:
    """A signature in two words, as the contract takes it: r, and s with v in its top bit (EIP-2098)."""
    _check_signature(signature)
    r, s = (int.from_bytes(signature[at : at + 32], "big") for at in (0, 32))
    return r, s | (signature[64] - 27) << 255


def challenge_commitment(request: bytes, *, challenger: str, output: int, salt: bytes) -> bytes:
    """What a challenger commits to: Keccak-256 of request, challenger, the right output and a salt of 32 bytes."""
    if len(request) != 32 or len(salt) != 32 or not -(2**255) <= output < 2**255:
        raise ConfigurationError("a challenge needs a request and a salt of 32 bytes, and an int256")
    return keccak256(request + _word(challenger) + _word(output) + salt)


def _word(value: int | str | bytes) -> bytes:
    if isinstance(value, str):
        return bytes.fromhex(value.removeprefix("0x")).rjust(32, b"\0")
    return value if isinstance(value, bytes) else (value % 2**256).to_bytes(32, "big")


def _check_signature(signature: bytes) -> None:
    s = int.from_bytes(signature[32:64], "big")
    if len(signature) != 65 or signature[64] not in (27, 28) or not 0 < s <= _HALF_ORDER:
        raise ConfigurationError("a signature must be r, s, v: 65 bytes with a low s and v 27 or 28")


def _check_accounts(name: str, accounts: tuple[str, ...], most: int) -> None:
    for account in accounts:
        if len(account) != 42 or not account.startswith("0x") or set(account[2:]) - set("0123456789abcdef"):
            raise ConfigurationError(f"{name} must be addresses of 0x and 40 lower-case hex digits")
    if len(accounts) > most or list(accounts) != sorted(set(accounts)) or "0x" + "0" * 40 in accounts:
        raise ConfigurationError(
            f"{name} must be at most {most} different accounts, ascending, got {len(accounts)}"
        )


def _check_below(name: str, value: int, limit: int) -> None:
    if not 0 <= value < limit:
        raise ConfigurationError(f"{name} must be >= 0 and below {limit}, got {value}")
