"""Policies: a verifier's own file, read strictly, refused when it could never be met or would prove nothing."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.proofs import CHAIN, EAST, NORTH, SOUTH, STRANGER, WEST, make_policy

from tallystick.errors import NotFoundError, PolicyError, StorageError, UnknownFormatError
from tallystick.proof import Endpoint, Party, PinnedParty, Policy, WitnessPolicy, format_policy, parse_policy

FULL = make_policy(
    anchor=replace(CHAIN, endpoints=(Endpoint("a", "http://a"), Endpoint("b", "http://b"))),
    ask=("party", "witnesses", "anchor"),
)
DOCUMENT: dict[str, Any] = json.loads(format_policy(FULL))


def read(**changes: Any) -> Policy:
    return parse_policy(json.dumps({**DOCUMENT, **changes}).encode())


@pytest.mark.parametrize(
    "policy", [FULL, make_policy(), make_policy(witnesses=(), anchor=None)], ids=["full", "usual", "least"]
)
def test_a_policy_is_read_back_in_any_spacing(policy: Policy) -> None:
    data = format_policy(policy)
    assert parse_policy(data) == policy
    assert parse_policy(json.dumps(json.loads(data)).encode()) == policy


def test_what_is_left_out_has_a_safe_default() -> None:
    short = {name: value for name, value in DOCUMENT.items() if name not in ("ask", "witnesses", "anchor")}
    policy = parse_policy(json.dumps(short).encode())
    assert (policy.ask, policy.witnesses, policy.anchor) == (("party",), None, None)


WITNESSES, ANCHOR, PARTIES = DOCUMENT["witnesses"], DOCUMENT["anchor"], DOCUMENT["parties"]


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "x"}, {"more": 1}, {"ask": []}, {"name": ""}, {"name": 5}, {"name": "a\nb"}, {"name": "x" * 501}, {"parties": {}}, {"parties": [5]},
        {"parties": [{}]}, {"parties": [{"name": "A", "cards": []}]}, {"parties": [{"name": "A", "cards": ["x"]}]},
        {"parties": [{"name": "A", "cards": [5]}]}, {"parties": [{"name": "A", "cards": ["\ud800"]}]}, {"parties": [*PARTIES, PARTIES[0]]},
        {"parties": [*PARTIES, {**PARTIES[0], "name": "again"}]}, {"parties": []}, {"ask": ["luck"]}, {"ask": "party"}, {"ask": [[]]},
        {"ask": None}, {"witnesses": None}, {"witnesses": {}}, {"witnesses": {**WITNESSES, "parties": ["Nobody"]}},
        {"witnesses": {**WITNESSES, "parties": [EAST.name, EAST.name]}}, {"witnesses": {**WITNESSES, "parties": []}},
        {"witnesses": {**WITNESSES, "need": 0}}, {"witnesses": {**WITNESSES, "need": 1}}, {"witnesses": {**WITNESSES, "need": 4}},
        {"witnesses": {**WITNESSES, "need": True}}, {"witnesses": {**WITNESSES, "need": 2.0}}, {"witnesses": {**WITNESSES, "faulty": 1}},
        {"witnesses": {**WITNESSES, "faulty": -1}}, {"witnesses": {**WITNESSES, "more": 1}}, {"anchor": []}, {"anchor": {}},
        {"anchor": {**ANCHOR, "local": True}}, {"anchor": {**ANCHOR, "local": 0}}, {"anchor": {**ANCHOR, "chain_id": "1"}},
        {"anchor": {**ANCHOR, "genesis": "0x"}}, {"anchor": {**ANCHOR, "contract": "x"}}, {"anchor": {**ANCHOR, "need": 0}},
        {"anchor": {**ANCHOR, "endpoints": [{"name": "a"}]}}, {"anchor": {**ANCHOR, "endpoints": ANCHOR["endpoints"] * 2}},
    ],
    ids=lambda changes: repr(changes)[:50],
)  # fmt: skip
def test_a_malformed_policy_or_one_that_proves_nothing_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        read(**changes)


@pytest.mark.parametrize("missing", ["witnesses", "anchor"])
def test_asking_for_what_the_policy_does_not_name_is_refused(missing: str) -> None:
    with pytest.raises(PolicyError):
        parse_policy(
            json.dumps({name: value for name, value in DOCUMENT.items() if name != missing}).encode()
        )


def test_a_field_named_twice_is_refused() -> None:
    text = format_policy(FULL).decode()
    for double in ('"ask": []', '"v": 1', '"witnesses": {}'):
        with pytest.raises(PolicyError):
            parse_policy(text.replace("{", "{" + double + ",", 1).encode())


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"nul", b"\xff", b"[" * 100_000, b"5", b"x" * (4 * 1024 * 1024 + 1)],
    ids=lambda data: repr(data[:8]),
)
def test_what_is_no_policy_is_refused(data: bytes) -> None:
    with pytest.raises(PolicyError):
        parse_policy(data)


def test_depth_is_bounded_even_where_a_library_raised_pythons_own_limit() -> None:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000_000)
    try:
        with pytest.raises(PolicyError):
            parse_policy(b"[" * 1_000_000)
    finally:
        sys.setrecursionlimit(before)


def test_a_later_version_says_to_upgrade() -> None:
    for version in (2, "1", True, 1.0, None):
        with pytest.raises(UnknownFormatError):
            read(v=version)


def test_a_contract_may_be_written_in_mixed_case() -> None:
    policy = read(anchor={**ANCHOR, "contract": ANCHOR["contract"].upper().replace("0X", "0x")})
    assert policy.anchor == FULL.anchor


def test_a_quorum_must_be_one_that_two_histories_cannot_both_have() -> None:
    quorum = WitnessPolicy(("a", "b", "c", "d"), need=3, faulty=1)
    quorum.check(4)
    for wrong, eligible in (
        (quorum, 5),
        (quorum, 2),
        (replace(quorum, faulty=2), 4),
        (replace(quorum, need=2), 4),
    ):
        with pytest.raises(PolicyError):
            wrong.check(eligible)


def test_a_members_own_journal_has_one_witness_fewer() -> None:
    # Two of two others: enough. With three members and need 3, no member's journal could ever be witnessed.
    make_policy(parties=(EAST, SOUTH, WEST), witnesses=(EAST, SOUTH, WEST), need=2)
    with pytest.raises(PolicyError):
        make_policy(parties=(EAST, SOUTH, WEST), witnesses=(EAST, SOUTH, WEST), need=3)


def test_one_organisation_is_pinned_once_under_one_name() -> None:
    for parties in (
        (PinnedParty("A", NORTH.cards), PinnedParty("B", NORTH.cards)),
        (PinnedParty("A", NORTH.cards), PinnedParty("A", EAST.cards)),
    ):
        with pytest.raises(PolicyError):
            Policy("mine", parties)


def test_cards_that_do_not_verify_are_refused() -> None:
    newer = Party.create("x").rotate([], size=0)
    text = [card.bytes.decode() for card in newer.cards]
    for cards in (
        text[1:],
        text[::-1],
        [text[0], STRANGER.card.bytes.decode()],
        [text[0].replace('"name":"x"', '"name":"y"')],
    ):
        with pytest.raises(PolicyError):
            read(parties=[*PARTIES, {"name": "x", "cards": cards}])
    assert read(parties=[*PARTIES, {"name": "x", "cards": text}]).by_id[newer.id].name == "x"


def test_a_policy_file_that_is_missing_or_no_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        Policy.read(tmp_path / "none")
    with pytest.raises(StorageError):
        Policy.read(tmp_path)
    (tmp_path / "mine.json").write_bytes(format_policy(FULL))
    assert Policy.read(tmp_path / "mine.json") == FULL
