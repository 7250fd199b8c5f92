"""The oracle over the genuine `Models` and executors of every family."""

from __future__ import annotations

import random
from dataclasses import replace
from hashlib import sha256

import pytest
from contract_world import World, address
from models_world import FAMILIES, found_consortium, linear, perceptron, trees

from tallystick.decisions import Oracle, RequestStatus, Terms, challenge_commitment, signature_commitment
from tallystick.models import IntegerModel, input_commitment, pack_inputs

BOND = 10**18
SALT, NONCE = b"s" * 32, b"n" * 32


def model_of(family: str) -> IntegerModel:
    rng = random.Random(family)
    if family == "linear":
        return linear(rng, 17)
    return trees(rng, 12, 5) if family == "trees" else perceptron(rng, 16, 3)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_wrong_answer_of_every_family_is_overturned_by_the_genuine_model(world: World, family: str) -> None:
    from oracle_world import panel_of, sign_digest

    model = model_of(family)
    inputs = [number - 3 for number in range(model.quantiser.width)]
    words, right = pack_inputs(inputs), model.scores_inputs(inputs)[0]
    consortium = found_consortium(world)
    consortium.deploy(model)
    consortium.publish(model.hash)
    oracle = Oracle(
        world.web3, world.send("deployer", Oracle.deploy_call(consortium.models.address)).contract
    )
    panel = panel_of(["one", "two"], 2, watchers=(address("watcher"),))
    world.send("deployer", oracle.open_panel(panel))
    for name in ("one", "two", "watcher"):
        world.send(name, oracle.deposit(2 * BOND))

    terms = Terms(model.hash, input_commitment(SALT, words), 2, panel.id, step_s=1, step_blocks=1)
    assert world.refuse("asker", oracle.request(terms)) == "oracle: model is not promoted"
    for name in "BC":
        world.send(name, consortium.models.approve(model.hash))
    statement = sha256(b"statement").hexdigest()
    world.send("B", consortium.models.report_evaluation(model.hash, statement, passed=True))
    world.send("A", consortium.models.promote(model.hash))
    world.send("asker", oracle.request(terms))
    request = terms.id(chain_id=4221, oracle=oracle.address, requester=address("asker"))
    found = oracle.request_of(request)
    assert found is not None

    world.send("watcher", oracle.acknowledge(request, seat=0))
    digest = oracle.answer_digest(found, output=right + 1, chain_id=4221)
    signatures = {}
    for name in ("one", "two"):
        seat = panel.signers.index(address(name))
        signatures[seat] = sign_digest(name, digest)
        commitment = signature_commitment(signatures[seat])
        world.send(name, oracle.commit(request, seat=seat, commitment=commitment))
    world.send("anybody", oracle.answer(request, output=right + 1, signatures=signatures))

    world.send("A", consortium.models.retire(model.hash))  # saves no liar
    bound = challenge_commitment(request, challenger=address("watcher"), output=right, salt=NONCE)
    world.send("watcher", oracle.commit_challenge(request, commitment=bound))
    world.send("watcher", oracle.challenge(request, words=words, input_salt=SALT, salt=NONCE))
    state = oracle.answer_of(request)
    assert state is not None
    assert (state.status, state.output, state.is_overturned) == (RequestStatus.ANSWERED, right, True)
    later = replace(terms, fee=1)
    assert world.refuse("asker", oracle.request(later)) == "oracle: model is retired"
