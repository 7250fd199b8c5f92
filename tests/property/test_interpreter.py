"""The quicker inner loop does what py-evm's own does: same gas, output, logs and state, on programs of all kinds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from eth.vm.forks.cancun.computation import CancunComputation
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tallystick.chain._blocks import EMPTY_ROOT
from tallystick.chain._executor import (
    _NOWHERE,
    _execution_context,
    _gas_used,
    _Message,
    _Overlay,
    _State,
)
from tallystick.chain._transactions import intrinsic_gas

# py-evm warns of SELFDESTRUCT, which random bytes contain
pytestmark = pytest.mark.filterwarnings("ignore:SELFDESTRUCT:DeprecationWarning")

CALLER = b"\x0a" * 20
CONTRACT = b"\x0c" * 20
OTHER = b"\x0d" * 20
BLOCK = replace(_NOWHERE, number=7, timestamp=1_795_000_000, chain_id=4_221, ancestors=(b"\x01" * 32,))


class PlainState(_State):
    computation_class = CancunComputation


def run(kind: type[Any], code: bytes, data: bytes, gas: int, other: bytes) -> tuple[Any, ...]:
    overlay = _Overlay({})
    state = kind(overlay, _execution_context(BLOCK), EMPTY_ROOT)
    state.set_balance(CALLER, 10**18)
    state.set_code(CONTRACT, code)
    state.set_code(OTHER, other)
    state.set_storage(CONTRACT, 1, 5)
    state.lock_changes()
    message = _Message(
        sender=CALLER, to=CONTRACT, data=data, value=3, gas=gas, max_fee_per_gas=0, access_list=(),
        intrinsic_gas=intrinsic_gas(CONTRACT, data, ()),
    )  # fmt: skip
    if gas < message.intrinsic_gas:
        return ("refused",)
    done = state.apply_transaction(message)
    state.persist()
    # which of two fatal errors is met first may differ; that the frame is undone and its gas gone may not
    reverted = done.is_error and type(done.error).__name__ == "Revert"
    return (
        done.is_error,
        reverted,
        done.output,
        _gas_used(gas, done),
        done.get_log_entries(),
        state.state_root,
    )


def same(code: bytes, data: bytes = b"", gas: int = 200_000, other: bytes = b"") -> tuple[Any, ...]:
    quick, plain = (run(kind, code, data, gas, other) for kind in (_State, PlainState))
    assert quick == plain, f"{code.hex()} {data.hex()} {gas}"
    return quick


WORDS = st.one_of(
    st.sampled_from([0, 1, 2, 31, 32, 33, 64, 255, 256, 2**160 + 2, 2**255, 2**256 - 1]),
    st.integers(0, 2**256 - 1),
    st.integers(0, 600),
)


def push(value: int) -> bytes:
    width = (value.bit_length() + 7) // 8
    return bytes([0x5F + width]) + value.to_bytes(width, "big")


INLINED = [
    *(0x01, 0x02, 0x03, 0x10, 0x11, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1B, 0x1C),
    *(0x35, 0x36, 0x50, 0x51, 0x52, 0x56, 0x57, 0x5B, 0x5F, 0x80, 0x81, 0x8F, 0x90, 0x91, 0x9F),
]
OWN = [
    *(
        0x00,
        0x04,
        0x06,
        0x0A,
        0x0B,
        0x12,
        0x13,
        0x1A,
        0x1D,
        0x20,
        0x30,
        0x33,
        0x34,
        0x37,
        0x39,
        0x3D,
        0x3E,
        0x42,
    ),
    *(
        0x46,
        0x48,
        0x53,
        0x54,
        0x55,
        0x58,
        0x59,
        0x5A,
        0x5C,
        0x5D,
        0x5E,
        0xA0,
        0xA1,
        0xF1,
        0xF3,
        0xFA,
        0xFD,
        0xFE,
        0x0C,
    ),
]
PIECES = st.one_of(
    WORDS.map(push),
    st.sampled_from(INLINED).map(lambda op: bytes([op])),
    st.sampled_from(INLINED + OWN).map(lambda op: bytes([op])),
    st.tuples(WORDS, st.integers(0, 200)).map(lambda two: push(two[0]) + push(two[1]) + b"\x52"),
    # a call of the precompile, sizes and gas drawn
    st.tuples(st.integers(0, 300), st.integers(0, 200), st.integers(0, 300), st.integers(0, 100), WORDS).map(
        lambda five: b"".join(push(five[at]) for at in (3, 2, 1, 0)) + push(2) + push(five[4]) + b"\xfa"
    ),
    st.sampled_from([OTHER, CONTRACT, bytes(19) + b"\x01", bytes(19) + b"\x04"]).map(
        lambda to: b"\x60\x40\x5f\x60\x40\x5f" + b"\x73" + to + b"\x61\x40\x00\xfa\x3d"
    ),
)
# many short programs die on an empty stack: some words lie ready
PROGRAMS = st.tuples(st.lists(WORDS.map(push), max_size=18), st.lists(PIECES, max_size=60)).map(
    lambda two: b"".join([*two[0], *two[1]])
)


@settings(max_examples=300, deadline=None)
@given(
    PROGRAMS, st.binary(max_size=70), st.integers(21_000, 80_000), st.lists(PIECES, max_size=20).map(b"".join)
)
@example(b"", b"", 30_000, b"")
@example(bytes.fromhex("5b600056"), b"", 60_000, b"")  # a loop that only gas ends
@example(bytes.fromhex("600456605b"), b"", 60_000, b"")  # a jump into data
@example(bytes.fromhex("7f"), b"", 60_000, b"")  # a push cut short
@example(bytes.fromhex("5a5f52595fa0"), b"", 60_000, b"")  # shows gas and memory
def test_random_programs_end_alike(code: bytes, data: bytes, gas: int, other: bytes) -> None:
    same(code, data, gas, other)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=120), st.binary(max_size=40))
def test_random_bytes_end_alike(code: bytes, data: bytes) -> None:
    same(code, data)


@pytest.mark.parametrize("op", [0x01, 0x02, 0x03, 0x10, 0x11, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1B, 0x1C])
@settings(max_examples=30, deadline=None)
@given(WORDS, WORDS, st.booleans())
def test_arithmetic_is_alike_on_numbers_and_on_bytes(op: int, one: int, two: int, loaded: bool) -> None:
    # a word that was loaded from memory lies on the stack as bytes, a pushed one as a number
    words = b"".join(push(word) + (b"\x5f\x52\x5f\x51" if loaded else b"") for word in (one, two))
    failed, *_ = same(words + bytes([op]) + bytes.fromhex("5f5260205ff3"))
    assert not failed


@settings(max_examples=60, deadline=None)
@given(st.integers(21_000, 24_000))
def test_gas_runs_out_alike_around_the_precompile(gas: int) -> None:
    same(bytes.fromhex("60206040608060206002" + "612710" + "fa60405260405160005500"), b"", gas)


def test_both_stop_at_the_stacks_limit() -> None:
    for piece in (b"\x5f", b"\x60\x01", b"\x36", b"\x5f\x51\x80"):
        for count in (1_022, 1_023, 1_024, 1_025):
            same(piece * count, gas=200_000)


def test_a_hash_by_the_precompile_is_a_hash() -> None:
    failed, _, output, *_ = same(bytes.fromhex("602060005f5f600261ffff" + "fa" + "60205ff3"))
    assert not failed
    assert output.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_what_a_program_logs_is_alike() -> None:
    failed, _, _, _, logs, _ = same(bytes.fromhex("6005" + "5f52" + "6007" + "6020" + "5f" + "a1"))
    assert not failed
    assert logs == ((CONTRACT, (7,), (5).to_bytes(32, "big")),)
