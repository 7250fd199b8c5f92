from __future__ import annotations

from dataclasses import replace

import pytest
from eth_abi.abi import encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

from tallystick.decisions import (
    Panel,
    Terms,
    Until,
    answer_digest,
    answer_domain,
    challenge_commitment,
    compact_signature,
    signature_commitment,
)
from tallystick.errors import ConfigurationError

ONE, TWO, THREE = ("0x" + digit * 40 for digit in "123")
PANEL = Panel((ONE, TWO), 2, (THREE,), 1, bond=5, window_s=60, window_blocks=7)
TERMS = Terms("ab" * 32, b"i" * 32, 1, PANEL.id)
REQUEST = b"r" * 32


def test_a_panels_id_is_the_hash_of_its_abi_encoding() -> None:
    kinds = ["address[]", "uint8", "address[]", "uint8", "uint96", "uint32", "uint32"]
    for panel in (PANEL, Panel((ONE,), 1)):
        values = [
            panel.signers, panel.need, panel.watchers, panel.watch_need, panel.bond, panel.window_s,
            panel.window_blocks,
        ]  # fmt: skip
        assert panel.id == keccak(encode(kinds, values))


def test_seats_are_the_places_among_signers_and_among_watchers() -> None:
    assert [PANEL.seat_of(account) for account in (ONE, TWO, THREE, "0x" + "4" * 40)] == [0, 1, 0, None]
    assert PANEL.allows_challenges
    assert not Panel((ONE,), 1).allows_challenges


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"signers": (TWO, ONE)}, "ascending"),
        ({"signers": (ONE, ONE)}, "different"),
        ({"signers": ("0x" + "0" * 40, ONE)}, "different"),
        ({"signers": (ONE.upper(), TWO)}, "lower-case"),
        ({"signers": ("1" * 42,)}, "lower-case"),
        ({"signers": tuple(f"0x{number:040x}" for number in range(1, 34))}, "at most 32"),
        ({"signers": ()}, "need must be 1 to 0"),
        ({"need": 0}, "need must be"),
        ({"need": 3}, "need must be"),
        ({"watchers": (ONE,)}, "must not be a signer"),
        ({"watchers": (THREE, THREE)}, "different"),
        ({"watch_need": 2}, "watch_need must be"),
        ({"watch_need": -1}, "watch_need must be"),
        ({"bond": -1}, "bond must be"),
        ({"bond": 2**96}, "bond must be"),
        ({"window_s": 2**32}, "window_s must be"),
        ({"window_blocks": -1}, "window_blocks must be"),
    ],
)
def test_a_panel_that_the_contract_would_refuse_is_not_made(change: dict, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        replace(PANEL, **change)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model": "ab" * 31}, "64 hex digits"),
        ({"model": "AB" * 32}, "64 hex digits"),
        ({"input": bytes(31)}, "32 bytes"),
        ({"panel": bytes(31)}, "32 bytes"),
        ({"level": 3}, "level must be 0, 1, 2 or 4"),
        ({"level": 4}, "level 4 takes none"),
        ({"panel": bytes(32)}, "need a panel"),
        ({"step_s": 0}, "step_s must be"),
        ({"step_s": 2_592_001}, "step_s must be"),
        ({"step_blocks": 250_001}, "step_blocks must be"),
        ({"callback_gas": 2_000_001}, "callback_gas must be"),
        ({"fee": -1}, "fee must be"),
        ({"fee": 2**96}, "fee must be"),
    ],
)
def test_terms_that_the_contract_would_refuse_are_not_made(change: dict, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        replace(TERMS, **change)


def test_wallets_sign_the_same_digest() -> None:
    domain = answer_domain(chain_id=4221, oracle=ONE)
    message = {"request": REQUEST, "model": b"\xab" * 32, "input": b"i" * 32, "output": -5, "level": 2}
    types = {
        "Answer": [
            {"name": "request", "type": "bytes32"},
            {"name": "model", "type": "bytes32"},
            {"name": "input", "type": "bytes32"},
            {"name": "output", "type": "int256"},
            {"name": "level", "type": "uint8"},
        ]
    }
    signable = encode_typed_data(domain_data=domain, message_types=types, message_data=message)
    expected = keccak(b"\x19\x01" + signable.header + signable.body)
    fields = {"model": "ab" * 32, "commitment": b"i" * 32, "output": -5, "level": 2}
    assert answer_digest(REQUEST, **fields, chain_id=4221, oracle=ONE) == expected


def test_a_compact_signature_holds_r_s_and_v() -> None:
    account = Account.from_key(b"k" * 32)
    seen = set()
    for number in range(20):
        signed = account.unsafe_sign_hash(number.to_bytes(32, "big"))
        r, mixed = compact_signature(bytes(signed.signature))
        seen.add(signed.v)
        assert (r, mixed & (2**255 - 1), 27 + (mixed >> 255)) == (signed.r, signed.s, signed.v)
        assert signature_commitment(bytes(signed.signature)) == keccak(bytes(signed.signature))
    assert seen == {27, 28}


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        bytes(65),
        b"r" * 32 + b"\x01" * 32 + bytes([0]),
        b"r" * 32 + b"\x01" * 32 + bytes([29]),
        b"r" * 32 + b"\xff" * 32 + bytes([27]),
        b"r" * 32 + b"\x01" * 32 + bytes([27, 0]),
    ],
)
def test_other_forms_of_a_signature_are_refused(signature: bytes) -> None:
    for use in (compact_signature, signature_commitment):
        with pytest.raises(ConfigurationError, match="65 bytes with a low s"):
            use(signature)
    signature_commitment(b"r" * 32 + b"\x01" * 32 + bytes([27]))


def test_a_challenge_binds_request_challenger_output_and_salt() -> None:
    right = {"request": REQUEST, "challenger": ONE, "output": -3, "salt": b"s" * 32}
    others = [{"request": b"q" * 32}, {"challenger": TWO}, {"output": 3}, {"salt": b"t" * 32}]

    def made(change: dict) -> bytes:
        fields = {**right, **change}
        return challenge_commitment(fields.pop("request"), **fields)

    assert made({}) == keccak(
        encode(["bytes32", "address", "int256", "bytes32"], [REQUEST, ONE, -3, b"s" * 32])
    )
    assert len({made({}), *map(made, others)}) == 5
    for wrong in ({"salt": b""}, {"request": b""}, {"output": 2**255}):
        with pytest.raises(ConfigurationError):
            made(wrong)


def test_a_limit_is_over_when_both_its_halves_are() -> None:
    until = Until(second=100, block=10)
    assert until.is_over(second=101, block=11)
    for second, block in ((100, 11), (101, 10), (100, 10), (10**9, 10), (100, 10**9)):
        assert not until.is_over(second=second, block=block)
