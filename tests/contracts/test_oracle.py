"""Panels, money, requests and the answers that are final at once: L0, L1 and L4."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from contract_world import address
from oracle_world import (
    BOND,
    CHAIN_ID,
    MODEL,
    OPAQUE,
    PUBLISHED,
    RIGHT,
    SIGNERS,
    STEP_BLOCKS,
    STEP_S,
    WATCHERS,
    WORDS,
    Asked,
    OracleWorld,
    panel_of,
    sorted_names,
    told,
)

from tallystick.chain import Call, load
from tallystick.decisions import Delivery, Oracle, OracleAccount, RequestStatus, Terms, signature_commitment
from tallystick.errors import ConfigurationError, RevertError


@pytest.fixture
def world(tmp_path: Path) -> Iterator[OracleWorld]:
    with OracleWorld(tmp_path / "chain") as made:
        yield made


def test_the_contract_fits_on_a_chain() -> None:
    assert len(load("tallystick.decisions", "Oracle").runtime) + 32 <= 24_576  # EIP-170; one immutable


def test_an_oracle_asks_one_contract_models_for_ever(world: OracleWorld) -> None:
    assert world.oracle.models() == world.models
    refused = Oracle.deploy_call(address("nobody"))
    answer = world.chain.make_request(
        "eth_call", [{"data": "0x" + refused.data.hex(), "from": world.models}, "latest"]
    )
    assert "oracle: models is not a contract" in answer["error"]["message"]


# Panels


def test_a_panel_stands_under_the_hash_of_its_content(world: OracleWorld) -> None:
    assert world.oracle.panel(world.panel.id) == world.panel
    largest = panel_of([f"one of many {place}" for place in range(32)], 32, watchers=(), watch_need=0)
    world.send("anybody", world.oracle.open_panel(largest))
    assert world.oracle.panel(largest.id) == largest
    assert world.oracle.panel(bytes(32)) is None


def test_a_panel_is_opened_once(world: OracleWorld) -> None:
    assert world.refuse("anybody", world.oracle.open_panel(world.panel)) == "oracle: panel exists"
    world.send("anybody", world.oracle.open_panel(replace(world.panel, bond=BOND + 1)))


def raw_panel(
    world: OracleWorld, signers: list[str], need: int, watchers: list[str], watch_need: int
) -> Call:
    """A panel that the typed class would refuse."""
    signature = "open_panel(address[],uint8,address[],uint8,uint96,uint32,uint32)"
    return told(world.oracle.address, signature, signers, need, watchers, watch_need, BOND, 1, 1)


def test_the_contract_refuses_malformed_panels_itself(world: OracleWorld) -> None:
    one, two, three = sorted(address(name) for name in ("one", "two", "three"))
    world.send("anybody", raw_panel(world, [one, two], 2, [three], 1))
    wrong = {
        "oracle: need does not fit": ([one, two], 3, [three], 1),
        "oracle: watch_need does not fit": ([one, two], 2, [three], 2),
        "oracle: signers not ascending": ([two, one], 2, [three], 1),
        "oracle: watchers not ascending": ([one], 1, [three, two], 1),
        "oracle: a watcher signs": ([one, two], 2, [two], 1),
    }
    for reason, content in wrong.items():
        assert world.refusal("anybody", raw_panel(world, *content)) == reason
    for content in (([one], 0, [], 0), ([], 0, [], 0), ([], 1, [], 0)):
        assert world.refusal("anybody", raw_panel(world, *content)) == "oracle: need does not fit"
    for signers in ([one, one], ["0x" + "00" * 20, one]):
        assert (
            world.refusal("anybody", raw_panel(world, signers, 1, [], 0)) == "oracle: signers not ascending"
        )
    assert world.refusal("anybody", raw_panel(world, sorted(map(address, map(str, range(33)))), 1, [], 0))


# Money


def test_money_goes_in_and_out_of_ones_own_account(world: OracleWorld) -> None:
    world.send("A", world.oracle.deposit(1_000))
    world.send("A", world.oracle.withdraw(400))
    assert world.money("A") == OracleAccount(free=600, locked=0)
    assert world.balance() == 600
    assert world.refuse("A", world.oracle.withdraw(601)) == "oracle: not enough free money"
    assert world.refuse("B", world.oracle.withdraw(1)) == "oracle: not enough free money"
    world.send("A", world.oracle.withdraw(600))
    assert world.balance() == 0


def test_money_that_nobody_would_own_is_not_taken(world: OracleWorld) -> None:
    world.fund("A")
    assert world.refusal("A", Call(world.oracle.address, b"", 5)) != ""
    assert world.refusal("A", replace(world.oracle.open_panel(panel_of(SIGNERS, 2)), value=5)) != ""


# Requests


def test_a_request_is_kept_under_the_hash_of_its_terms(world: OracleWorld) -> None:
    asked = world.ask(1)
    found = world.oracle.request_of(asked.id)
    assert found is not None
    assert (found.requester, found.model, found.input) == (asked.requester, MODEL, asked.terms.input)
    assert (found.level, found.panel, found.fee) == (1, world.panel.id, 4_000)
    assert (found.step_s, found.step_blocks, found.executor) == (STEP_S, STEP_BLOCKS, world.executor)
    (logged,) = world.oracle.requests(start=world.block())
    assert logged.values["request"] == asked.id
    assert logged.values["requester"] == asked.requester
    state = world.state(asked)
    assert (state.status, state.level, state.has_output) == (RequestStatus.OPEN, 1, False)


def test_nothing_is_known_of_a_request_that_nobody_made(world: OracleWorld) -> None:
    assert world.oracle.request_of(bytes(32)) is None
    assert world.oracle.answer_of(bytes(32)) is None


def test_the_same_terms_can_be_asked_once_by_each(world: OracleWorld) -> None:
    asked = world.ask(1)
    assert world.refuse("asker", world.oracle.request(asked.terms)) == "oracle: request exists"
    world.send("other", world.oracle.request(asked.terms))
    world.send("asker", world.oracle.request(replace(asked.terms, fee=1)))


def test_every_term_is_part_of_the_requests_id(world: OracleWorld) -> None:
    terms = world.terms(1)
    name = {"chain_id": 1, "oracle": "0x" + "11" * 20, "requester": "0x" + "22" * 20}
    others = [
        replace(terms, model=PUBLISHED), replace(terms, input=bytes(32)), replace(terms, level=2),
        replace(terms, panel=b"p" * 32), replace(terms, step_s=1), replace(terms, step_blocks=1),
        replace(terms, callback_gas=1), replace(terms, unpromoted=True), replace(terms, fee=1),
    ]  # fmt: skip
    ids = {terms.id(**name), *(other.id(**name) for other in others)}
    ids |= {terms.id(**{**name, key: value}) for key, value in
            [("chain_id", 2), ("oracle", "0x" + "33" * 20), ("requester", "0x" + "33" * 20)]}  # fmt: skip
    assert len(ids) == 1 + len(others) + 3


def raw_request(world: OracleWorld, **changes: object) -> Call:
    """A request that `Terms` would refuse."""
    fields: dict = {
        "model": bytes.fromhex(MODEL), "input": b"i" * 32, "level": 1, "panel": world.panel.id, "step_s": 1,
        "step_blocks": 1, "callback_gas": 0, "unpromoted": False,
    }  # fmt: skip
    value = changes.pop("value", 0)
    signature = "request(bytes32,bytes32,uint8,bytes32,uint32,uint32,uint32,bool)"
    return told(world.oracle.address, signature, *{**fields, **changes}.values(), value=value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": b"u" * 32}, "oracle: unknown model"),
        ({"model": b"\x03" * 32}, "oracle: model is retired"),
        ({"model": b"\x04" * 32}, "oracle: model is not promoted"),
        ({"model": b"\x02" * 32, "level": 2}, "oracle: model has no executor"),
        ({"model": b"\x02" * 32, "level": 4, "panel": bytes(32)}, "oracle: model has no executor"),
        ({"input": bytes(32)}, "oracle: no input commitment"),
        ({"level": 3}, "oracle: level is not served"),
        ({"level": 5}, "oracle: level is not served"),
        ({"level": 255}, "oracle: level is not served"),
        ({"panel": b"p" * 32}, "oracle: unknown panel"),
        ({"panel": bytes(32)}, "oracle: unknown panel"),
        ({"level": 4}, "oracle: no panel at L4"),
        ({"step_s": 0}, "oracle: a step takes time and blocks"),
        ({"step_blocks": 0}, "oracle: a step takes time and blocks"),
        ({"step_s": 2_592_001}, "oracle: step too long"),
        ({"step_blocks": 250_001}, "oracle: step too long"),
        ({"callback_gas": 2_000_001}, "oracle: too much callback gas"),
        ({"callback_gas": 1}, "oracle: nobody to call back"),
    ],
)
def test_a_request_that_cannot_be_served_is_refused(world: OracleWorld, changes: dict, reason: str) -> None:
    assert world.refusal("asker", raw_request(world)) == ""
    assert world.refusal("asker", raw_request(world, **changes)) == reason


def test_an_opaque_model_is_asked_at_the_levels_that_need_no_executor(world: OracleWorld) -> None:
    for level in (0, 1):
        asked = world.ask(level, model=OPAQUE)
        found = world.oracle.request_of(asked.id)
        assert found is not None
        assert found.executor is None


def test_a_model_that_nobody_promoted_is_asked_by_who_accepts_it(world: OracleWorld) -> None:
    asked = world.ask(4, model=PUBLISHED, unpromoted=True)
    world.send("anybody", world.oracle.execute(asked.id, words=WORDS, salt=world.salt()))
    assert world.state(asked).output == RIGHT


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bond": 0}, "oracle: panel has no bond"),
        ({"watch_need": 0}, "oracle: panel needs no watcher"),
        ({"window_s": 0}, "oracle: panel has no window"),
        ({"window_blocks": 0}, "oracle: panel has no window"),
    ],
)
def test_a_panel_without_stake_watchers_or_window_serves_no_l2(
    world: OracleWorld, changes: dict, reason: str
) -> None:
    panel = replace(world.panel, **changes)
    assert not panel.allows_challenges
    world.send("anybody", world.oracle.open_panel(panel))
    assert world.refusal("asker", world.oracle.request(world.terms(2, panel=panel.id))) == reason
    world.ask(1, panel=panel.id)


# L0


def test_one_signature_answers_at_l0_and_earns_the_whole_fee(world: OracleWorld) -> None:
    asked = world.ask(0)
    world.give([SIGNERS[2]], asked, -7)
    state = world.state(asked)
    assert (state.status, state.is_final, state.output, state.level) == (RequestStatus.FINAL, True, -7, 0)
    assert state.signed == frozenset({2})
    world.settle(asked)
    assert world.money(SIGNERS[2]).free == 4_000
    assert world.money("asker").free == 0


def test_two_signatures_or_none_do_not_answer_at_l0(world: OracleWorld) -> None:
    asked = world.ask(0)
    for names in (SIGNERS[:2], []):
        assert world.refuse("anybody", world.answer_call(names, asked, 1)) == "oracle: one signature at L0"
    assert (
        world.refusal(SIGNERS[0], world.commit_call(SIGNERS[0], asked, 1))
        == "oracle: level takes no commitment"
    )


# L1


def test_k_of_n_committed_signatures_answer_at_l1(world: OracleWorld) -> None:
    asked = world.ask(1)
    done = world.give([SIGNERS[0], SIGNERS[1], SIGNERS[3]], asked, RIGHT)
    state = world.state(asked)
    assert (state.status, state.is_final, state.output, state.level) == (RequestStatus.FINAL, True, RIGHT, 1)
    assert state.signed == frozenset({0, 1, 3})
    (logged,) = world.oracle.logged("Answered", start=done.block, request=asked.id)
    assert (logged.values["output"], logged.values["level"], logged.values["signed"]) == (RIGHT, 1, 0b1011)


def test_the_fee_is_shared_by_the_panels_number_and_the_rest_goes_back(world: OracleWorld) -> None:
    asked = world.answered(1, fee=4_003)
    world.settle(asked)
    assert [world.money(name).free for name in SIGNERS] == [1_000, 1_000, 1_000, 0]
    assert world.money("asker").free == 1_003
    assert world.money("anybody").free == 0


def test_a_share_is_collected_once_and_by_those_who_signed(world: OracleWorld) -> None:
    asked = world.answered(1)
    world.send("anybody", world.oracle.collect(asked.id, seats=[1]))
    for seats in ([1], [3], [0, 1], [31]):
        assert (
            world.refuse("anybody", world.oracle.collect(asked.id, seats=seats))
            == "oracle: nothing to collect"
        )
    for seat in (32, 64, 255):  # beyond the seats stand other bits of the same word
        raw = told(world.oracle.address, "collect(bytes32,uint8[])", asked.id, [seat])
        assert world.refuse("anybody", raw) == "oracle: nothing to collect"
    world.send("anybody", world.oracle.collect(asked.id, seats=[0, 2]))
    assert world.state(asked).committed == frozenset()


def test_nothing_is_collected_before_the_answer(world: OracleWorld) -> None:
    asked = world.ask(1)
    world.commit(SIGNERS[:1], asked, RIGHT)
    assert world.refuse("anybody", world.oracle.collect(asked.id, seats=[0])) == "oracle: not settled yet"


def test_an_answer_waits_for_the_step_of_commitments(world: OracleWorld) -> None:
    asked = world.ask(1)
    world.commit(SIGNERS[:3], asked, RIGHT)
    call = world.answer_call(SIGNERS[:3], asked, RIGHT)
    assert world.refuse("anybody", call) == "oracle: commitments still open"
    world.commit(SIGNERS[3:], asked, RIGHT)  # all have: nobody is left to copy
    world.send("anybody", call)


def test_too_few_signatures_are_no_quorum(world: OracleWorld) -> None:
    asked = world.ask(1)
    world.commit(SIGNERS, asked, RIGHT)
    call = world.answer_call(SIGNERS[:2], asked, RIGHT)
    assert world.refuse("anybody", call) == "oracle: too few signatures"
    world.send("anybody", world.answer_call(SIGNERS[1:], asked, RIGHT))


def test_a_signature_that_was_not_committed_does_not_count(world: OracleWorld) -> None:
    asked = world.ask(1)
    world.commit(SIGNERS[:3], asked, RIGHT)
    world.end_step()
    late = world.answer_call(SIGNERS[1:], asked, RIGHT)
    assert world.refuse("anybody", late) == "oracle: not what was committed"
    other = world.answer_call(SIGNERS[:3], asked, RIGHT + 1)
    assert world.refuse("anybody", other) == "oracle: not what was committed"
    world.send("anybody", world.answer_call(SIGNERS[:3], asked, RIGHT))


def test_a_signer_commits_once_in_time_and_from_its_own_seat(world: OracleWorld) -> None:
    asked = world.ask(1)
    call = world.commit_call(SIGNERS[0], asked, RIGHT)
    assert world.refuse(SIGNERS[1], call) == "oracle: not the signer"
    assert world.refuse("stranger", call) == "oracle: not the signer"
    empty = world.oracle.commit(asked.id, seat=0, commitment=bytes(32))
    assert world.refuse(SIGNERS[0], empty) == "oracle: commitment is empty"
    beyond = world.oracle.commit(asked.id, seat=32, commitment=b"c" * 32)
    assert world.refuse(SIGNERS[0], beyond) == "oracle: not the signer"
    world.send(SIGNERS[0], call)
    commitment = signature_commitment(world.sign(SIGNERS[0], asked, RIGHT))
    assert world.oracle.commitment_of(asked.id, seat=0) == commitment
    assert world.oracle.commitment_of(asked.id, seat=1) is None
    assert world.refuse(SIGNERS[0], call) == "oracle: already committed"
    world.end_step()
    assert (
        world.refuse(SIGNERS[1], world.commit_call(SIGNERS[1], asked, RIGHT)) == "oracle: too late to commit"
    )


def test_a_request_is_answered_once(world: OracleWorld) -> None:
    asked = world.answered(1)
    assert world.refuse("anybody", world.answer_call(SIGNERS[:3], asked, RIGHT)) == "oracle: not open"
    assert world.refuse("anybody", world.oracle.refund(asked.id)) == "oracle: nothing to refund"
    assert world.refuse("anybody", world.oracle.finalise(asked.id)) == "oracle: nothing to finalise"


def test_mask_and_signatures_must_fit(world: OracleWorld) -> None:
    asked = world.ask(1)
    world.commit(SIGNERS, asked, RIGHT)
    call = world.answer_call(SIGNERS, asked, RIGHT)
    for mask, reason in ((0b0111, "more signatures than seats"), (0b11111, "no such seat")):
        changed = bytearray(call.data)
        changed[4 + 2 * 32 + 31] = mask
        assert world.refusal("anybody", replace(call, data=bytes(changed))) == f"oracle: {reason}"
    fewer = bytearray(world.answer_call(SIGNERS[:3], asked, RIGHT).data)
    fewer[4 + 2 * 32 + 31] = 0b1111
    assert world.refusal("anybody", replace(call, data=bytes(fewer))) == "oracle: fewer signatures than seats"
    world.send("anybody", call)


def test_python_and_the_contract_agree_on_what_is_signed(world: OracleWorld) -> None:
    asked = world.ask(0)
    found = world.oracle.request_of(asked.id)
    assert found is not None
    for output in (0, -1, 2**255 - 1, -(2**255)):
        expected = world.oracle.answer_digest(found, output=output, chain_id=CHAIN_ID)
        assert world.oracle.digest_of(asked.id, output=output) == expected


def test_the_largest_panel_answers(world: OracleWorld) -> None:
    names = sorted_names([f"one of many {place}" for place in range(32)])
    panel = panel_of(names, 32)
    world.send("anybody", world.oracle.open_panel(panel))
    asked = world.ask(1, panel=panel.id)
    world.commit(names, asked, RIGHT, panel)
    world.send("anybody", world.answer_call(names, asked, RIGHT, panel))
    world.settle(asked)
    assert {world.money(name).free for name in names} == {125}


# L4


def test_the_contract_executes_the_model_itself_at_l4(world: OracleWorld) -> None:
    asked = world.ask(4)
    world.send("runner", world.oracle.execute(asked.id, words=WORDS, salt=world.salt()))
    state = world.state(asked)
    assert (state.status, state.is_final, state.output, state.level) == (RequestStatus.FINAL, True, RIGHT, 4)
    assert (state.signed, state.delivery) == (frozenset(), Delivery.NONE)
    assert world.money("runner").free == 4_000


def test_only_an_l4_request_is_executed(world: OracleWorld) -> None:
    for level in (0, 1, 2):
        asked = world.ask(level)
        if level == 2:
            world.send(WATCHERS[0], world.oracle.acknowledge(asked.id, seat=0))
        call = world.oracle.execute(asked.id, words=WORDS, salt=world.salt())
        assert world.refuse("runner", call) == "oracle: level is not executed"
    executed = world.ask(4)
    assert (
        world.refuse("anybody", world.answer_call(SIGNERS[:3], executed, 1))
        == "oracle: level takes no signature"
    )
    assert (
        world.refuse(SIGNERS[0], world.commit_call(SIGNERS[0], executed, 1))
        == "oracle: level takes no commitment"
    )


def test_a_request_is_executed_and_paid_once(world: OracleWorld) -> None:
    asked = world.ask(4)
    call = world.oracle.execute(asked.id, words=WORDS, salt=world.salt())
    world.send("runner", call)
    assert world.refuse("runner", call) == "oracle: not open"
    late = world.ask(4)
    call = world.oracle.execute(late.id, words=WORDS, salt=world.salt())
    world.end_step()
    world.send("anybody", world.oracle.refund(late.id))
    assert world.refuse("runner", call) == "oracle: not open"
    assert world.money("runner").free == 4_000


def test_another_input_or_salt_is_not_executed(world: OracleWorld) -> None:
    asked = world.ask(4)
    for words, salt in (((5, 8), world.salt()), (WORDS, bytes(32)), ((5, 7, 0), world.salt())):
        call = world.oracle.execute(asked.id, words=words, salt=salt)
        assert world.refuse("runner", call) == "oracle: not the input"
    world.send("runner", world.oracle.execute(asked.id, words=WORDS, salt=world.salt()))


def test_a_promoted_model_can_be_asked_without_a_request(world: OracleWorld) -> None:
    assert world.oracle.ask(MODEL, WORDS) == RIGHT
    for model, reason in ((PUBLISHED, "is not promoted"), (OPAQUE, "has no executor")):
        with pytest.raises(RevertError, match=f"oracle: model {reason}"):
            world.oracle.ask(model, WORDS)


# Out of time


@pytest.mark.parametrize("level", [0, 1, 2, 4])
def test_a_request_without_an_answer_is_refunded_after_its_deadline(world: OracleWorld, level: int) -> None:
    asked = world.ask(level)
    early = world.oracle.refund(asked.id)
    assert world.refuse("anybody", early) == "oracle: too early to refund"
    world.end_step()
    if level == 1:  # the step for the answer comes after that for commitments
        assert world.refuse("anybody", early) == "oracle: too early to refund"
        world.end_step()
    world.send("anybody", early)
    assert world.state(asked).status == RequestStatus.REFUNDED
    assert world.money("asker").free == 4_000
    assert world.refuse("anybody", early) == "oracle: nothing to refund"


def test_answers_and_refunds_never_stand_open_together(world: OracleWorld) -> None:
    asked = world.ask(0)
    answer, back = world.answer_call(SIGNERS[:1], asked, 3), world.oracle.refund(asked.id)
    for _ in range(STEP_BLOCKS + 3):
        world.pass_time(STEP_S // (STEP_BLOCKS + 1))
        world.pass_blocks(1)
        reasons = {world.refusal("anybody", answer), world.refusal("anybody", back)}
        assert reasons in ({"", "oracle: too early to refund"}, {"", "oracle: too late to answer"})
    assert reasons == {"", "oracle: too late to answer"}


def test_the_typed_class_refuses_what_the_contract_would(world: OracleWorld) -> None:
    oracle = world.oracle
    refused = [
        lambda: oracle.deposit(0),
        lambda: oracle.withdraw(-1),
        lambda: oracle.execute(bytes(32), words=(), salt=bytes(32)),
        lambda: oracle.execute(bytes(32), words=[0] * 17, salt=bytes(32)),
        lambda: oracle.execute(bytes(31), words=[0], salt=bytes(32)),
        lambda: oracle.challenge(bytes(32), words=[-1], input_salt=bytes(32), salt=bytes(32)),
        lambda: oracle.collect(bytes(32), seats=[32]),
        lambda: oracle.answer(bytes(32), output=1, signatures={0: bytes(65)}),
        lambda: oracle.logged("Nothing"),
    ]
    for attempt in refused:
        with pytest.raises(ConfigurationError):
            attempt()


def test_requests_are_found_by_their_blocks(world: OracleWorld) -> None:
    asked: list[Asked] = [world.ask(1), world.ask(0), world.ask(4)]
    assert [found.values["request"] for found in world.oracle.requests()] == [one.id for one in asked]
    assert [found.values["level"] for found in world.oracle.requests()] == [1, 0, 4]
    assert list(world.oracle.requests(start=world.block() + 1)) == []


def test_terms_of_another_level_need_no_panel() -> None:
    with pytest.raises(ConfigurationError, match="level 4 takes none"):
        Terms(MODEL, bytes(32), 4, b"p" * 32)
