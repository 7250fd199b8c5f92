"""What a member tells the others: written, read, and held against the others' parts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from tests.unit.network.made_parts import gentx, part, parts

from tallystick.errors import ConfigurationError, EncodingError, TallystickError, UnknownFormatError
from tallystick.network._parts import NetworkTerms, check_parts, format_part, parse_part


def test_a_part_is_read_back_as_it_was_written() -> None:
    one = part("bank-a")
    assert parse_part(format_part(one)) == one
    without = part("bank-b", cards=())
    assert parse_part(format_part(without)) == without
    assert (without.party_account, len(one.party_account)) == ("", 42)


@pytest.mark.parametrize(
    "field", ["account", "at", "cards", "gentx", "host", "name", "node_id", "p2p_port", "terms"]
)
def test_a_part_without_one_of_its_fields_or_with_another_type_is_refused(field: str) -> None:
    document = orjson.loads(format_part(part("bank-a")))
    for wrong in (
        {**document, field: 1.5},
        {**document, field: None},
        {k: v for k, v in document.items() if k != field},
    ):
        with pytest.raises(TallystickError):
            parse_part(orjson.dumps(wrong, option=orjson.OPT_SORT_KEYS) + b"\n")


@pytest.mark.parametrize(
    "change",
    [
        {"host": "example.org"},
        {"host": "1.2.3.4:5"},
        {"name": "Bank A"},
        {"name": "../bank"},
        {"node_id": "12"},
        {"p2p_port": 0},
        {"at": -1},
        {"surplus": 1},
        {"gentx": {}},
        {"gentx": {"body": {"messages": [{"@type": "/cosmos.bank.v1beta1.MsgSend"}]}}},
        {"account": "cosmos1aaaa"},
        {"gentx": gentx("bank-b", NetworkTerms())},
    ],
)
def test_a_part_that_was_changed_into_nonsense_is_refused(change: dict[str, Any]) -> None:
    document = {**orjson.loads(format_part(part("bank-a"))), **change}
    with pytest.raises(EncodingError):
        parse_part(orjson.dumps(document, option=orjson.OPT_SORT_KEYS) + b"\n")


def test_a_later_version_is_named_as_such() -> None:
    document = {**orjson.loads(format_part(part("bank-a"))), "v": 2}
    with pytest.raises(UnknownFormatError):
        parse_part(orjson.dumps(document, option=orjson.OPT_SORT_KEYS))


def test_parts_that_fit_are_put_in_the_order_of_their_names() -> None:
    assert [one.name for one in check_parts(parts()[::-1])] == ["bank-a", "bank-b", "bank-c", "bank-d"]


def test_too_few_members_for_the_faults_asked_for_are_refused() -> None:
    with pytest.raises(
        ConfigurationError, match="to bear 1 faulty validators a network needs 4 members, got 3"
    ):
        check_parts(parts("a b c"))
    with pytest.raises(ConfigurationError, match="needs 7 members, got 4"):
        check_parts(parts(terms=NetworkTerms(faulty=2, spare=200)))
    assert len(check_parts(parts("a", terms=NetworkTerms(faulty=0)))) == 1


def test_parts_for_different_terms_are_refused() -> None:
    mixed = [*parts("a b c"), part("d", 3, terms=NetworkTerms(block_time_ms=500))]
    with pytest.raises(ConfigurationError, match="different terms"):
        check_parts(mixed)


def test_what_two_members_have_in_common_is_named() -> None:
    good = parts()
    first = good[0]
    for wrong, what in (
        (replace(good[1], name="bank-a"), "name"),
        (replace(good[1], node_id=first.node_id), "node id"),
        (replace(good[1], p2p_port=first.p2p_port), "address"),
        (replace(good[1], cards=first.cards), "party"),
        (replace(first, name="other", node_id="ab" * 20, p2p_port=1, cards=()), "validator key"),
    ):
        with pytest.raises(ConfigurationError, match=f"two parts have the same {what}"):
            check_parts([first, wrong, *good[2:]])


def test_a_member_that_stakes_another_amount_than_agreed_is_refused() -> None:
    good = parts()
    greedy = replace(good[0], gentx=gentx("bank-a", NetworkTerms(stake=2000)))
    with pytest.raises(ConfigurationError, match="stake what the terms say"):
        check_parts([greedy, *good[1:]])


@pytest.mark.parametrize(
    "wrong",
    [
        {"engine": "other"},
        {"network_id": "Nine Thousand"},
        {"chain_id": 0},
        {"block_time_ms": 10},
        {"faulty": -1},
        {"stake": 0},
        {"pocket": -1},
        {"spare": 500},
    ],
)
def test_terms_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        NetworkTerms(**wrong)


@pytest.mark.parametrize("faulty", [1, 2, 3, 5, 10])
def test_the_faulty_cannot_stake_a_third_with_what_they_have_and_cannot_let_anybody_in(faulty: int) -> None:
    stake, members = 1_000_000, 3 * faulty + 1
    spare = -(-stake // (2 * faulty + 1))
    NetworkTerms(faulty=faulty, stake=stake, spare=spare)
    assert 3 * faulty * (stake + spare) < members * stake + faulty * spare
    assert 2 * faulty * spare < stake <= (2 * faulty + 1) * spare
    with pytest.raises(ConfigurationError, match="spare must be below"):
        NetworkTerms(faulty=faulty, stake=stake, spare=-(-stake // (2 * faulty)))
