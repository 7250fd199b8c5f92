"""What several endpoints say is weighed by members, and by what it means."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.chain._agreement import Said, agreed_height, meaning, weigh


def said(*answers: tuple[str, str]) -> list[Said]:
    return [
        Said(place, member, {"result": what}, what.encode()) for place, (member, what) in enumerate(answers)
    ]


def test_what_enough_members_say_is_chosen_and_the_others_are_named() -> None:
    verdict = weigh(said(("a", "yes"), ("b", "no"), ("c", "yes")), 2)
    assert verdict.chosen is not None
    assert verdict.chosen.meaning == b"yes"
    assert [other.member for other in verdict.others] == ["b"]


def test_too_few_choose_nothing_and_name_nobody() -> None:
    assert weigh(said(("a", "yes"), ("b", "no")), 2).chosen is None
    assert weigh(said(("a", "yes"), ("b", "no")), 2).others == ()
    assert weigh([], 1).chosen is None


def test_many_endpoints_of_one_member_are_one_voice() -> None:
    assert weigh(said(*[("a", "no")] * 9, ("b", "yes")), 2).chosen is None


@pytest.mark.parametrize("third", [("e", "yes"), ("e", "no"), ("e", "maybe")])
def test_two_answers_that_both_find_enough_members_are_none(third: tuple[str, str]) -> None:
    verdict = weigh(said(("a", "yes"), ("b", "yes"), ("c", "no"), ("d", "no"), third), 2)
    assert verdict.split
    assert verdict.chosen is None


@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from(["x", "y", "z"])), max_size=9),
    st.integers(1, 4),
)
def test_a_chosen_answer_always_has_enough_members_and_no_rival(
    answers: list[tuple[str, str]], need: int
) -> None:
    verdict = weigh(said(*answers), need)
    voices = {what: {member for member, other in answers if other == what} for _, what in answers}
    enough = [what for what, members in voices.items() if len(members) >= need]
    assert (verdict.chosen is not None) == (len(enough) == 1)
    if verdict.chosen is not None:
        assert verdict.chosen.meaning.decode() == enough[0]


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 10**9)),
    st.integers(2, 4),
    st.integers(0, 10**12),
)
def test_one_member_alone_never_raises_the_agreed_height(
    heads: dict[str, int], need: int, claim: int
) -> None:
    honest = agreed_height(heads, need)
    raised = agreed_height({**heads, "liar": claim}, need)
    most = max(heads.values(), default=0)
    if honest is not None:
        assert raised is not None
        assert honest <= raised <= max(most, honest)
    elif raised is not None:
        assert raised <= most


RECEIPT = {
    "blockHash": "0xAB",
    "blockNumber": "0x1",
    "status": "0x1",
    "transactionHash": "0x01",
    "logs": [{"address": "0xCd", "data": "0x", "topics": ["0xEE"], "logIndex": "0x0"}],
}


def of(method: str, result: Any) -> bytes:
    return meaning(method, {"result": result})


def test_letters_and_fields_of_one_engine_do_not_count() -> None:
    other = {**RECEIPT, "blockHash": "0xab", "type": "0x2", "contractAddress": None}
    assert of("eth_getTransactionReceipt", RECEIPT) == of("eth_getTransactionReceipt", other)


@pytest.mark.parametrize(
    "change",
    [{"status": "0x0"}, {"blockHash": "0xac"}, {"logs": []}, {"gasUsed": "0x9"}, {"contractAddress": "0x1"}],
)
def test_what_a_receipt_means_counts(change: dict[str, Any]) -> None:
    assert of("eth_getTransactionReceipt", RECEIPT) != of("eth_getTransactionReceipt", {**RECEIPT, **change})


def test_a_changed_log_changes_the_receipt_the_block_and_the_query() -> None:
    log = {**RECEIPT["logs"][0], "data": "0x01"}  # type: ignore[dict-item]
    assert of("eth_getLogs", RECEIPT["logs"]) != of("eth_getLogs", [log])
    assert of("eth_getTransactionReceipt", RECEIPT) != of(
        "eth_getTransactionReceipt", {**RECEIPT, "logs": [log]}
    )
    assert of("eth_getBlockReceipts", [RECEIPT]) != of("eth_getBlockReceipts", [{**RECEIPT, "logs": [log]}])


def test_two_refusals_are_compared_by_what_they_carry() -> None:
    one = {"error": {"code": 3, "message": "execution reverted", "data": "0xAA"}}
    same = {"error": {"code": -32000, "message": "VM Exception: revert", "data": "0xaa"}}
    other = {"error": {"code": 3, "message": "execution reverted", "data": "0xbb"}}
    assert meaning("eth_call", one) == meaning("eth_call", same)
    assert meaning("eth_call", one) != meaning("eth_call", other)
    assert meaning("eth_call", one) != of("eth_call", "0xaa")
