"""Who may cheat with an oracle, and what refuses it or makes it lose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from contract_world import account, address
from oracle_world import (
    BOND,
    CHAIN_ID,
    HASTY,
    MISER,
    MODEL,
    RIGHT,
    SIGNERS,
    STEP_BLOCKS,
    STEP_S,
    WATCHERS,
    WINDOW_BLOCKS,
    WINDOW_S,
    WORDS,
    WRONG,
    Asked,
    OracleWorld,
    told,
)

from tallystick.chain import Call
from tallystick.decisions import Delivery, Oracle, RequestStatus, signature_commitment

YEAR_S = 31_536_000
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@pytest.fixture
def world(tmp_path: Path) -> Iterator[OracleWorld]:
    with OracleWorld(tmp_path / "chain") as made:
        yield made


@pytest.fixture
def backed(world: OracleWorld) -> OracleWorld:
    world.rich(*SIGNERS, *WATCHERS)
    return world


# A withheld input


def test_colluders_who_withhold_the_input_get_no_l2_answer(backed: OracleWorld) -> None:
    # Requester and all signers are one; no watcher was given the opening, so none acknowledges.
    asked = backed.ask(2)
    for name in SIGNERS:
        assert backed.refuse(name, backed.commit_call(name, asked, WRONG)) == "oracle: not open"
        acknowledge = backed.oracle.acknowledge(asked.id, seat=0)
        assert backed.refuse(name, acknowledge) == "oracle: not the watcher"
    assert backed.refuse("anybody", backed.answer_call(SIGNERS, asked, WRONG)) == "oracle: not open"
    backed.end_step()
    backed.send("anybody", backed.oracle.refund(asked.id))
    assert backed.state(asked).status == RequestStatus.REFUNDED


# A copied answer


def test_a_copied_commitment_cannot_be_opened_by_the_copier(world: OracleWorld) -> None:
    asked = world.ask(1)
    world.commit(SIGNERS[:2], asked, RIGHT)
    copied = world.oracle.commitment_of(asked.id, seat=0)
    assert copied is not None
    world.send(SIGNERS[2], world.oracle.commit(asked.id, seat=2, commitment=copied))
    world.end_step()
    own = world.answer_call(SIGNERS[:3], asked, RIGHT)
    assert world.refuse("anybody", own) == "oracle: not what was committed"
    # The copied signature itself, once shown, is not the copier's.
    signatures = {0: world.sign(SIGNERS[0], asked, RIGHT), 1: world.sign(SIGNERS[1], asked, RIGHT)}
    signatures[2] = signatures[0]
    call = world.oracle.answer(asked.id, output=RIGHT, signatures=signatures)
    assert world.refuse("anybody", call) == "oracle: not the signer"


def test_who_saw_the_signatures_comes_too_late_to_commit(world: OracleWorld) -> None:
    asked = world.ask(1)
    world.commit(SIGNERS[:3], asked, RIGHT)
    early = world.answer_call(SIGNERS[:3], asked, RIGHT)
    # Sent too early it is seen by the lazy signer, who copies the output; the answer is not taken with it.
    assert world.refuse("anybody", early) == "oracle: commitments still open"
    world.end_step()
    lazy = world.commit_call(SIGNERS[3], asked, RIGHT)
    assert world.refuse(SIGNERS[3], lazy) == "oracle: too late to commit"
    world.send("anybody", early)
    assert world.state(asked).signed == frozenset({0, 1, 2})


# The signatures of others


def test_who_submits_the_signatures_of_others_earns_nothing(world: OracleWorld) -> None:
    asked = world.answered(1, names=SIGNERS[:3])
    world.settle(asked)
    assert world.money("anybody").free == 0
    assert [world.money(name).free for name in SIGNERS] == [1_000, 1_000, 1_000, 0]


@pytest.mark.parametrize("submitter", [SIGNERS[0], "asker"])
def test_nobody_earns_or_saves_by_leaving_others_out(world: OracleWorld, submitter: str) -> None:
    asked = world.ask(1)
    world.commit(SIGNERS, asked, RIGHT)
    world.send(submitter, world.answer_call(SIGNERS[:3], asked, RIGHT))
    world.settle(asked)
    assert [world.money(name).free for name in [*SIGNERS, "asker"]] == [1_000, 1_000, 1_000, 0, 0]
    assert world.oracle.burned() == 1_000


# Duplicates, strangers, malleable signatures


def test_strangers_and_duplicates_are_no_quorum(world: OracleWorld) -> None:
    asked = world.ask(0)
    stranger = {0: world.sign("stranger", asked, 1)}
    other_seat = {1: world.sign(SIGNERS[0], asked, 1)}
    for signatures in (stranger, other_seat):
        call = world.oracle.answer(asked.id, output=1, signatures=signatures)
        assert world.refuse("anybody", call) == "oracle: not the signer"

    asked = world.ask(1)
    one = world.sign(SIGNERS[0], asked, WRONG)
    for seat, name in enumerate(SIGNERS[:3]):  # all three commit to one and the same signature
        commit = world.oracle.commit(asked.id, seat=seat, commitment=signature_commitment(one))
        world.send(name, commit)
    world.end_step()
    call = world.oracle.answer(asked.id, output=WRONG, signatures=dict.fromkeys(range(3), one))
    assert world.refuse("anybody", call) == "oracle: not the signer"


@pytest.mark.parametrize("seat", [4, 5, 31])
def test_a_false_signature_does_not_sit_on_an_empty_seat(world: OracleWorld, seat: int) -> None:
    # What recovers to nobody equals the account of a seat that nobody has.
    asked = world.ask(0)
    call = told(
        world.oracle.address,
        "answer(bytes32,int256,uint32,uint256[2][])",
        asked.id,
        WRONG,
        1 << seat,
        [[0, 0]],
    )
    assert world.refuse("anybody", call) == "oracle: no such seat"
    assert world.state(asked).status == RequestStatus.OPEN


def test_a_malleable_or_empty_signature_is_refused(world: OracleWorld) -> None:
    asked = world.ask(0)
    signature = world.sign(SIGNERS[0], asked, 1)
    r, s = (int.from_bytes(signature[at : at + 32], "big") for at in (0, 32))
    mirrored = (ORDER - s) | ((28 - signature[64]) << 255 if ORDER - s < 2**255 else 0)
    kinds = "answer(bytes32,int256,uint32,uint256[2][])"
    for pair in ([r, mirrored], [0, 0], [r, 0], [0, s], [2**256 - 1, s]):
        call = told(world.oracle.address, kinds, asked.id, 1, 1, [pair])
        assert world.refuse("anybody", call) in ("oracle: signature is malleable", "oracle: not the signer")
    barely = [r, (ORDER // 2 + 1)]
    call = told(world.oracle.address, kinds, asked.id, 1, 1, [barely])
    assert world.refuse("anybody", call) == "oracle: signature is malleable"
    world.send("anybody", world.oracle.answer(asked.id, output=1, signatures={0: signature}))


# Replay


@pytest.mark.parametrize(
    "other",
    [
        {"chain_id": 1},
        {"oracle": "0x" + "11" * 20},
        {"request": b"r" * 32},
        {"model": "ab" * 32},
        {"commitment": b"c" * 32},
        {"level": 1},
        {"level": 2},
        {"output": 2},
    ],
)
def test_a_signature_over_anything_else_cannot_be_replayed(world: OracleWorld, other: dict) -> None:
    asked = world.ask(0)
    output = other.pop("output", 1)
    replayed = {0: world.sign(SIGNERS[0], asked, output, **other)}
    call = world.oracle.answer(asked.id, output=1, signatures=replayed)
    assert world.refuse("anybody", call) == "oracle: not the signer"


def test_an_answer_cannot_be_carried_to_another_request_or_oracle(world: OracleWorld) -> None:
    asked = world.ask(0)
    signatures = {0: world.sign(SIGNERS[0], asked, 1)}
    world.send("asker", world.oracle.request(replace(asked.terms, fee=1)))
    twin = world.asked(replace(asked.terms, fee=1), asked.requester)
    call = world.oracle.answer(twin.id, output=1, signatures=signatures)
    assert world.refuse("anybody", call) == "oracle: not the signer"

    second = Oracle(world.web3, world.send("deployer", Oracle.deploy_call(world.models)).contract)
    world.send("deployer", second.open_panel(world.panel))
    world.send("asker", second.request(asked.terms))
    same = asked.terms.id(chain_id=CHAIN_ID, oracle=second.address, requester=asked.requester)
    assert same != asked.id
    call = second.answer(same, output=1, signatures=signatures)
    assert world.refuse("anybody", call) == "oracle: not the signer"


# Time


def test_a_halt_of_a_year_eats_no_window(backed: OracleWorld) -> None:
    asked = backed.answered(2, WRONG)
    backed.pass_time(YEAR_S)
    for _ in range(WINDOW_BLOCKS):
        finalise = backed.oracle.finalise(asked.id)
        assert backed.refuse("anybody", finalise) == "oracle: the window still runs"
    # Those refusals took the blocks of the window; a challenge in the last of them still counts.
    asked = backed.answered(2, WRONG)
    backed.pass_time(YEAR_S)
    backed.pass_blocks(WINDOW_BLOCKS - 1)
    backed.overturn(WATCHERS[0], asked)
    assert backed.state(asked).output == RIGHT


def test_a_burst_of_blocks_eats_no_window(backed: OracleWorld) -> None:
    asked = backed.answered(2, WRONG)
    backed.pass_blocks(10 * WINDOW_BLOCKS)
    backed.pass_time(WINDOW_S)
    finalise = backed.oracle.finalise(asked.id)
    assert backed.refuse("anybody", finalise) == "oracle: the window still runs"
    backed.overturn(WATCHERS[0], asked)
    backed.send("anybody", finalise)


def test_a_halt_eats_no_step_of_a_request(backed: OracleWorld) -> None:
    asked = backed.ask(2)
    backed.pass_time(YEAR_S)
    backed.send(WATCHERS[0], backed.oracle.acknowledge(asked.id, seat=0))
    backed.pass_time(YEAR_S)
    backed.commit(SIGNERS[: STEP_BLOCKS - 1], asked, RIGHT)
    early = backed.answer_call(SIGNERS[:3], asked, RIGHT)
    assert backed.refusal("anybody", early) == "oracle: commitments still open"
    backed.commit(SIGNERS[2:3], asked, RIGHT)  # in the last block of the step
    backed.pass_blocks(STEP_BLOCKS - 1)
    backed.pass_time(YEAR_S)
    assert backed.refusal("anybody", backed.oracle.refund(asked.id)) == "oracle: too early to refund"
    backed.send("anybody", early)


def test_an_answer_after_the_deadline_is_refused(world: OracleWorld) -> None:
    for level in (0, 1, 4):
        asked = world.ask(level)
        if level == 1:
            world.commit(SIGNERS[:3], asked, RIGHT)
            world.end_step()
        world.end_step()
        late = world.answer_call(SIGNERS[: 3 if level else 1], asked, RIGHT)
        if level == 4:
            late = world.oracle.execute(asked.id, words=WORDS, salt=world.salt())
        assert world.refuse("anybody", late) == "oracle: too late to answer"
        world.send("anybody", world.oracle.refund(asked.id))


def test_half_a_deadline_is_none(world: OracleWorld) -> None:
    asked = world.ask(0)
    world.pass_time(YEAR_S)
    world.pass_blocks(STEP_BLOCKS - 1)
    assert world.refusal("anybody", world.oracle.refund(asked.id)) == "oracle: too early to refund"
    world.give(SIGNERS[:1], asked, 1)


# Self-challenge


def test_a_liar_who_challenges_itself_loses_whoever_else_it_is(backed: OracleWorld) -> None:
    # Signers, requester and challenger are one purse: it loses the part that is burned, and wins nothing.
    purse = [*SIGNERS, "asker", WATCHERS[0]]
    before = sum(backed.money(name).free + backed.money(name).locked for name in purse)
    asked = backed.answered(2, WRONG)
    backed.overturn(WATCHERS[0], asked)
    backed.send("asker", backed.oracle.finalise(asked.id))
    backed.settle(asked)
    after = sum(backed.money(name).free + backed.money(name).locked for name in purse)
    assert after - asked.terms.fee - before == -3 * BOND // 4
    assert backed.oracle.burned() == 3 * BOND // 4


def test_a_liar_who_reserves_the_challenge_does_not_keep_others_from_it(backed: OracleWorld) -> None:
    asked = backed.answered(2, WRONG)
    backed.send(SIGNERS[3], backed.commit_challenge_call(SIGNERS[3], asked))
    backed.overturn(WATCHERS[0], asked)
    assert backed.state(asked).output == RIGHT


def test_the_least_bonds_still_cost_the_liar_something(world: OracleWorld) -> None:
    panel = replace(world.panel, bond=1, need=1)
    world.rich(SIGNERS[0], WATCHERS[0], amount=10)
    world.send("anybody", world.oracle.open_panel(panel))
    asked = world.answered(2, WRONG, names=SIGNERS[:1], panel=panel.id, fee=0)
    world.overturn(WATCHERS[0], asked)
    world.send("anybody", world.oracle.finalise(asked.id))
    world.settle(asked)
    assert world.oracle.burned() == 1


# Bonds


def test_an_unbonded_signer_cannot_stand_in_an_l2_answer(backed: OracleWorld) -> None:
    backed.send(SIGNERS[2], backed.oracle.withdraw(9 * BOND + 1))
    asked = backed.ask(2)
    backed.send(WATCHERS[0], backed.oracle.acknowledge(asked.id, seat=0))
    backed.commit(SIGNERS[:2], asked, WRONG)
    call = backed.commit_call(SIGNERS[2], asked, WRONG)
    assert backed.refuse(SIGNERS[2], call) == "oracle: bond too small"
    backed.end_step()
    call = backed.answer_call(SIGNERS[:3], asked, WRONG)
    assert backed.refuse("anybody", call) == "oracle: not what was committed"


def test_a_liar_cannot_take_its_bond_away_in_time(backed: OracleWorld) -> None:
    asked = backed.answered(2, WRONG)
    for name in SIGNERS[:3]:
        backed.send(name, backed.oracle.withdraw(9 * BOND))
        assert backed.refuse(name, backed.oracle.withdraw(1)) == "oracle: not enough free money"
        collect = backed.oracle.collect(asked.id, seats=[backed.seat(name)])
        assert backed.refuse(name, collect) == "oracle: not settled yet"
    backed.overturn(WATCHERS[0], asked)
    backed.send("anybody", backed.oracle.finalise(asked.id))
    backed.settle(asked)
    assert [backed.money(name).locked + backed.money(name).free for name in SIGNERS[:3]] == [0, 0, 0]


# A front-run challenge


def test_a_bystander_cannot_steal_a_challenge_that_it_sees(backed: OracleWorld) -> None:
    backed.rich("thief")
    asked = backed.answered(2, WRONG)
    shown = backed.challenge_call(asked)
    honest = backed.commit_challenge_call(WATCHERS[0], asked)
    backed.send("thief", replace(honest))  # copies the commitment as it stands
    backed.send(WATCHERS[0], honest)
    backed.pass_blocks(1)
    # What is shown opens the commitment of its own challenger only.
    assert backed.refuse("thief", shown) == "oracle: not what was committed"
    backed.send(WATCHERS[0], shown)
    backed.send("anybody", backed.oracle.finalise(asked.id))
    backed.settle(asked)
    assert backed.money(WATCHERS[0]).free > 10 * BOND
    assert backed.money("thief").free + backed.money("thief").locked == 10 * BOND


def test_nobody_commits_and_shows_a_copied_challenge_in_one_block(backed: OracleWorld) -> None:
    asked = backed.answered(2, WRONG)
    thief = backed.stand_in(HASTY)
    backed.send("thief", told(thief, "forward(bytes)", backed.oracle.deposit(1).data, value=BOND))
    commit = backed.commit_challenge_call("", asked, challenger=thief)
    show = backed.challenge_call(asked)
    both = told(thief, "both(bytes,bytes)", commit.data, show.data)
    assert backed.refuse("thief", both) == "oracle: challenge too early"
    backed.send("thief", told(thief, "forward(bytes)", commit.data))
    backed.send("thief", told(thief, "forward(bytes)", show.data))


# Models


def test_an_unknown_or_retired_model_is_not_asked_and_gives_no_answer(world: OracleWorld) -> None:
    for model, reason in (("05" * 32, "unknown model"), ("03" * 32, "model is retired")):
        call = world.oracle.request(world.terms(1, model=model))
        assert world.refuse("asker", call) == f"oracle: {reason}"
    signed, executed = world.ask(0), world.ask(4)
    execute = world.oracle.execute(executed.id, words=WORDS, salt=world.salt())
    world.put(MODEL, 3)
    answer = world.answer_call(SIGNERS[:1], signed, 1)
    for call in (answer, execute):
        assert world.refuse("anybody", call) == "oracle: model is retired"
    world.end_step()
    world.send("anybody", world.oracle.refund(signed.id))


def test_retiring_the_model_or_swapping_its_executor_saves_no_liar(backed: OracleWorld) -> None:
    asked = backed.answered(2, WRONG)
    backed.put(MODEL, 3, executor="0x" + "00" * 20)
    backed.overturn(WATCHERS[0], asked)
    assert backed.state(asked).output == RIGHT


# Inputs


def test_an_input_that_is_not_the_committed_one_neither_answers_nor_overturns(backed: OracleWorld) -> None:
    executed = backed.ask(4)
    other = backed.oracle.execute(executed.id, words=(9, 9), salt=backed.salt())
    assert backed.refuse("anybody", other) == "oracle: not the input"
    asked = backed.answered(2, RIGHT)
    backed.send(WATCHERS[0], backed.commit_challenge_call(WATCHERS[0], asked, 9 * 3 - 9))
    assert backed.refuse(WATCHERS[0], backed.challenge_call(asked, words=(9, 9))) == "oracle: not the input"


def test_a_starved_executor_overturns_nothing(backed: OracleWorld) -> None:
    # Were a failed execution taken for another answer, a challenger would only have to send too little gas.
    asked = backed.answered(2, RIGHT)
    backed.send(WATCHERS[0], backed.commit_challenge_call(WATCHERS[0], asked, WRONG))
    for gas in range(25_000, 60_000, 2_500):
        assert send_with_gas(backed, WATCHERS[0], backed.challenge_call(asked), gas)["status"] == 0
    assert backed.state(asked).output == RIGHT


# The callback


def send_with_gas(world: OracleWorld, name: str, call: Call, gas: int) -> dict:
    world.fund(name)
    fields = {
        "chainId": CHAIN_ID, "nonce": world.web3.eth.get_transaction_count(account(name).address), "gas": gas,
        "maxFeePerGas": 10**9, "maxPriorityFeePerGas": 0, "value": call.value, "data": call.data, "type": 2,
        "to": world.web3.to_checksum_address(str(call.to)),
    }  # fmt: skip
    raw = account(name).sign_transaction(fields).raw_transaction
    return dict(world.web3.eth.get_transaction_receipt(world.web3.eth.send_raw_transaction(raw)))


def ask_back(world: OracleWorld, mode: int, inner: bytes = b"", gas: int = 300_000) -> tuple[str, Asked]:
    contract = world.asking_contract()
    world.send("asker", told(contract, "set_mode(uint256,bytes)", mode, inner))
    return contract, world.ask_by(contract, 0, callback_gas=gas)


def test_a_callback_arrives_with_the_answer(world: OracleWorld) -> None:
    contract, asked = ask_back(world, 0)
    world.give(SIGNERS[:1], asked, -9)
    assert world.state(asked).delivery == Delivery.DELIVERED
    assert world.read(contract, "request_id()") == int.from_bytes(asked.id, "big")
    assert world.read(contract, "output()") == 2**256 - 9
    assert world.read(contract, "sender()") == int(world.oracle.address, 16)
    assert (world.read(contract, "calls()"), world.read(contract, "level()")) == (1, 0)
    retry = world.oracle.retry_callback(asked.id)
    assert world.refuse("anybody", retry) == "oracle: no callback to retry"


def test_an_l2_callback_fires_at_finality_only(backed: OracleWorld) -> None:
    contract = backed.asking_contract()
    asked = backed.ask_by(contract, 2, callback_gas=300_000)
    backed.give(SIGNERS[:3], asked, WRONG)
    assert backed.read(contract, "calls()") == 0
    backed.overturn(WATCHERS[0], asked)
    assert backed.read(contract, "calls()") == 0
    backed.send("anybody", backed.oracle.finalise(asked.id))
    assert (backed.read(contract, "calls()"), backed.read(contract, "output()")) == (1, RIGHT)
    assert backed.state(asked).delivery == Delivery.DELIVERED


@pytest.mark.parametrize("mode", [1, 2, 3], ids=["reverts", "eats its gas", "answers with a megabyte"])
def test_a_callback_that_fails_does_not_lose_the_answer(world: OracleWorld, mode: int) -> None:
    contract, asked = ask_back(world, mode)
    done = world.give(SIGNERS[:1], asked, 5)
    state = world.state(asked)
    assert (state.is_final, state.output, state.delivery) == (True, 5, Delivery.FAILED)
    assert done.gas < 700_000
    retry = world.oracle.retry_callback(asked.id)
    if mode != 2:  # with all gas of a transaction it would only take long
        assert world.refuse("anybody", retry) == "oracle: callback failed again"
    world.send("asker", told(contract, "set_mode(uint256,bytes)", 0, b""))
    world.send("anybody", retry)
    assert world.state(asked).delivery == Delivery.DELIVERED
    assert world.read(contract, "calls()") == 1
    assert world.refuse("anybody", retry) == "oracle: no callback to retry"


def test_a_callback_is_never_starved_of_what_it_was_promised(world: OracleWorld) -> None:
    contract, asked = ask_back(world, 0, gas=400_000)
    call = world.answer_call(SIGNERS[:1], asked, 5)
    given = []
    for gas in range(430_000, 620_000, 10_000):
        if send_with_gas(world, "anybody", call, gas)["status"]:
            given.append(gas)
            break
        assert world.state(asked).status == RequestStatus.OPEN  # undone as a whole
    assert given
    assert world.state(asked).delivery == Delivery.DELIVERED
    assert world.read(contract, "gas_seen()") >= 400_000 - 1_000  # what its own first steps took


def test_a_callback_that_was_promised_too_little_gets_more_at_the_retry(world: OracleWorld) -> None:
    contract, asked = ask_back(world, 6, gas=100_000)
    world.give(SIGNERS[:1], asked, 5)
    assert world.state(asked).delivery == Delivery.FAILED
    starved = send_with_gas(world, "anybody", world.oracle.retry_callback(asked.id), 140_000)
    assert starved["status"] == 0
    world.send("anybody", world.oracle.retry_callback(asked.id))
    assert world.read(contract, "calls()") == 1


def test_a_retry_is_not_starved_either(world: OracleWorld) -> None:
    contract, asked = ask_back(world, 1, gas=600_000)
    world.give(SIGNERS[:1], asked, 5)
    world.send("asker", told(contract, "set_mode(uint256,bytes)", 0, b""))
    retry = world.oracle.retry_callback(asked.id)
    assert (
        send_with_gas(world, "anybody", retry, 500_000)["status"] == 0
    )  # enough for what it does, yet too little
    assert world.state(asked).delivery == Delivery.FAILED
    world.send("anybody", retry)
    assert world.read(contract, "calls()") == 1


def every_change(world: OracleWorld, asked: Asked) -> list[Call]:
    oracle, request = world.oracle, asked.id
    return [
        oracle.open_panel(replace(world.panel, bond=7)),
        oracle.deposit(1),
        oracle.withdraw(1),
        oracle.acknowledge(request, seat=0),
        oracle.commit(request, seat=0, commitment=b"c" * 32),
        world.answer_call(SIGNERS[:1], asked, 6),
        oracle.execute(request, words=WORDS, salt=bytes(32)),
        oracle.commit_challenge(request, commitment=b"c" * 32),
        world.challenge_call(asked),
        oracle.finalise(request),
        oracle.refund(request),
        oracle.retry_callback(request),
        oracle.collect(request, seats=[0]),
        oracle.release_challenge(request, challenger=address("anybody")),
        oracle.request(replace(asked.terms, fee=0, callback_gas=0)),
    ]


@pytest.mark.parametrize("place", range(15))
def test_no_callback_can_call_back_in(world: OracleWorld, place: int) -> None:
    contract, asked = ask_back(world, 0)
    call = every_change(world, asked)[place]
    world.send("asker", told(contract, "set_mode(uint256,bytes)", 4, call.data))
    world.give(SIGNERS[:1], asked, 5)
    assert world.state(asked).delivery == Delivery.DELIVERED
    assert world.read(contract, "inner_ok()") == 0
    assert world.state(asked).output == 5


def test_what_a_callback_reads_is_already_final(world: OracleWorld) -> None:
    contract = world.asking_contract()
    asked = world.ask_by(contract, 0, callback_gas=300_000)
    view = told(world.oracle.address, "answer_of(bytes32)", asked.id).data
    world.send("asker", told(contract, "set_mode(uint256,bytes)", 5, view))
    world.give(SIGNERS[:1], asked, 5)
    assert world.read(contract, "seen()") == 4 * 1000 + 1  # status FINAL, final true


def test_nobody_makes_the_oracle_call_a_contract_that_did_not_ask(world: OracleWorld) -> None:
    # The callback's receiver is no argument: a request names its sender.
    victim = world.asking_contract()
    asked = world.ask(0, sender="attacker")
    world.give(SIGNERS[:1], asked, 5)
    assert world.read(victim, "calls()") == 0
    call = world.oracle.request(world.terms(0, callback_gas=100_000))
    assert world.refuse("attacker", call) == "oracle: nobody to call back"


# Money


def test_a_receiver_that_takes_no_money_blocks_nobody(world: OracleWorld) -> None:
    miser = world.stand_in(MISER)
    asked = world.ask_by(miser, 1)
    world.give(SIGNERS[:3], asked, RIGHT)
    world.settle(asked)
    assert world.oracle.account(miser).free == 1_000
    withdraw = told(miser, "forward(bytes)", world.oracle.withdraw(1_000).data)
    assert world.refusal("anybody", withdraw) != ""
    world.send(SIGNERS[0], world.oracle.withdraw(1_000))


def test_a_withdrawal_cannot_be_repeated_while_it_is_paid(world: OracleWorld) -> None:
    contract = world.asking_contract()
    world.rich("victim", amount=1_000)
    asked = world.ask_by(contract, 0, fee=1_000)
    world.end_step()
    world.send("anybody", world.oracle.refund(asked.id))
    assert world.oracle.account(contract).free == 1_000
    for amount in (1_001, 2_000):
        call = told(contract, "forward(bytes)", world.oracle.withdraw(amount).data)
        assert world.refusal("anybody", call) == "oracle: not enough free money"
    world.send("anybody", told(contract, "forward(bytes)", world.oracle.withdraw(1_000).data))
    assert world.balance() == 1_000


def test_no_combination_of_halves_of_a_window_ends_it(backed: OracleWorld) -> None:
    for seconds, blocks in product((0, WINDOW_S // 2, WINDOW_S), (0, WINDOW_BLOCKS // 2, WINDOW_BLOCKS - 1)):
        asked = backed.answered(2)
        backed.pass_time(seconds)
        backed.pass_blocks(blocks)
        finalise = backed.oracle.finalise(asked.id)
        assert backed.refusal("anybody", finalise) == "oracle: the window still runs"


def test_steps_are_as_long_as_the_request_says(world: OracleWorld) -> None:
    asked = world.ask(1)
    state = world.state(asked)
    made = world.block()
    assert (state.until.second, state.until.block) == (world.now_s + STEP_S, made + STEP_BLOCKS)
    assert (state.deadline.second, state.deadline.block) == (
        world.now_s + 2 * STEP_S,
        made + 2 * STEP_BLOCKS,
    )
