"""Keccak-256 and EIP-712 of the base install against the libraries that the chain extra brings."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.errors import StatementError, TallystickError, VerificationError
from tallystick.proof import (
    Secret,
    chain_address,
    keccak256,
    public_key_of,
    typed_data_digest,
    verify_typed_data,
)

FAST = settings(max_examples=100, deadline=None)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=600))
def test_keccak_equals_the_reference_library(data: bytes) -> None:
    assert keccak256(data) == keccak(data)


@pytest.mark.parametrize("size", [0, 1, 134, 135, 136, 137, 271, 272, 273])
def test_keccak_is_right_around_its_block_size(size: int) -> None:
    assert keccak256(b"\x5a" * size) == keccak(b"\x5a" * size)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ATOMS: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXTS,
    "bytes": st.binary(max_size=40),
    "bool": st.booleans(),
    "address": st.binary(min_size=20, max_size=20).map(lambda data: "0x" + data.hex()),
    **{f"uint{bits}": st.integers(0, 2**bits - 1) for bits in (8, 16, 64, 128, 256)},
    **{f"int{bits}": st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 24, 256)},
    **{f"bytes{size}": st.binary(min_size=size, max_size=size) for size in (1, 4, 31, 32)},
}
NAMES = st.sampled_from(["a", "b", "item", "Value", "x_1"])


@st.composite
def messages(draw: st.DrawFn) -> tuple[dict[str, list[tuple[str, str]]], dict[str, Any]]:
    """Structs of structs and arrays, the message being of type ``Main``."""
    types: dict[str, list[tuple[str, str]]] = {}
    values: dict[str, st.SearchStrategy[Any]] = dict(ATOMS)
    for struct in ("Leaf", "Branch", "Main"):
        members = []
        for name in draw(st.lists(NAMES, unique=True, min_size=1, max_size=4)):
            kind = draw(st.sampled_from(sorted(values)))
            shape = draw(st.sampled_from(["", "", "[]", "[2]", "[][2]"]))
            members.append((name, kind + shape))
        types[struct] = members
        values[struct] = _struct(members, dict(values))
    reached, todo = set[str](), ["Main"]
    while todo:
        struct = todo.pop()
        reached.add(struct)
        todo += [kind.split("[")[0] for _, kind in types[struct] if kind.split("[")[0] in types]
    return {name: types[name] for name in types if name in reached}, draw(values["Main"])


def _struct(
    members: list[tuple[str, str]], values: dict[str, st.SearchStrategy[Any]]
) -> st.SearchStrategy[Any]:
    def of(kind: str) -> st.SearchStrategy[Any]:
        if not kind.endswith("]"):
            return values[kind]
        inner, _, count = kind[:-1].rpartition("[")
        bounds = {"min_size": int(count), "max_size": int(count)} if count else {"max_size": 2}
        return st.lists(of(inner), **bounds)

    return st.fixed_dictionaries({name: of(kind) for name, kind in members})


DOMAINS = st.fixed_dictionaries(
    {"name": TEXTS},
    optional={
        "version": TEXTS,
        "chainId": ATOMS["uint256"],
        "verifyingContract": ATOMS["address"],
        "salt": ATOMS["bytes32"],
    },
)
KEY = Secret(b"\x11" * 32)


@FAST
@given(messages(), DOMAINS)
def test_typed_data_equals_the_reference_library_and_its_signatures_verify(
    message: tuple[dict[str, list[tuple[str, str]]], dict[str, Any]], domain: dict[str, Any]
) -> None:
    types, value = message
    theirs = {name: [{"name": one, "type": kind} for one, kind in members] for name, members in types.items()}
    signable = encode_typed_data(domain, theirs, value)
    digest = typed_data_digest(domain=domain, types=types, primary="Main", message=value)
    assert digest == keccak(b"\x19" + signable.version + signable.header + signable.body)
    signed = Account.sign_message(signable, KEY.reveal())
    public = public_key_of("chain", KEY)
    verify_typed_data(public, bytes(signed.signature), digest)
    with pytest.raises(VerificationError):
        verify_typed_data(public, bytes(signed.signature), keccak(digest))


@FAST
@given(st.binary(min_size=32, max_size=32).filter(lambda data: 0 < int.from_bytes(data, "big") < 2**255))
def test_addresses_equal_the_reference_library(secret: bytes) -> None:
    key = public_key_of("chain", Secret(secret))
    assert chain_address(key) == Account.from_key(secret).address.lower()


WRONG = [
    ("uint8", 256), ("uint8", -1), ("uint8", True), ("uint8", "1"), ("uint8", 1.0), ("int8", 128), ("uint7", 0),
    ("uint0", 0), ("uint512", 1), ("uint", 1), ("int257", 1), ("bool", 1), ("bool", "false"), ("bytes", 5), ("bytes", "ab"),
    ("bytes", 10**12), ("bytes", [1]), ("bytes4", b"abc"), ("bytes0", b""), ("bytes33", b"a" * 33), ("bytes4", 4),
    ("string", b"a"), ("string", "\ud800"), ("address", "0x" + "g" * 40), ("address", "a" * 42), ("address", "0x" + "a " * 20),
    ("address", b"\x00" * 20), ("address", "0x12"), ("uint8[2]", [1]), ("uint8[]", "12"), ("uint8[]", {1: 2}),
    ("string[]", "ab"), ("Nobody", {}), ("Main", 5), ("Main", {}), ("uint8[", [1]), ("", 1), ("uint٨", 1),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value"), WRONG)
def test_a_value_that_does_not_fit_its_type_is_refused(kind: str, value: Any) -> None:
    with pytest.raises(StatementError):
        typed_data_digest(domain={}, types={"Main": [("a", kind)]}, primary="Main", message={"a": value})


@pytest.mark.parametrize("message", [5, None, "a", [], {}, {"b": 1}, {"a": 1, "b": 1}])
def test_a_message_must_have_exactly_its_members(message: Any) -> None:
    with pytest.raises(StatementError):
        typed_data_digest(domain={}, types={"Main": [("a", "uint8")]}, primary="Main", message=message)


def test_an_unknown_struct_or_domain_field_is_refused() -> None:
    with pytest.raises(StatementError):
        typed_data_digest(domain={}, types={}, primary="Main", message={})
    with pytest.raises(StatementError):
        typed_data_digest(domain={"network": "x"}, types={"Main": []}, primary="Main", message={})


def test_signatures_that_are_malformed_or_have_a_high_s_are_refused() -> None:
    digest = keccak(b"x")
    signature = bytes(Account.unsafe_sign_hash(digest, KEY.reveal()).signature)
    public = public_key_of("chain", KEY)
    verify_typed_data(public, signature, digest)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    high = (order - int.from_bytes(signature[32:64], "big")).to_bytes(32, "big")
    for forged in (
        signature[:64] + b"\x02", signature[:32] + high + signature[64:], signature[:-1], signature + b"\x00", b"", bytes(65),
        signature[:32] + bytes(32) + signature[64:], b"\xff" * 32 + signature[32:],
    ):  # fmt: skip
        with pytest.raises(VerificationError):
            verify_typed_data(public, forged, digest)
    for key in (b"", bytes(33), public_key_of("chain", Secret(b"\x12" * 32))):
        with pytest.raises(TallystickError):
            verify_typed_data(key, signature, digest)
    with pytest.raises(VerificationError):
        verify_typed_data(public, signature, digest[:31])
