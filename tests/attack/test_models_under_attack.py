"""Who may cheat with models on a chain, and what refuses it: register one and deploy another, or vouch falsely."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

import pytest
from contract_world import World, party
from models_world import Consortium, found_consortium, linear, perceptron, store_calls, trees

from tallystick.chain import Call, Contract, load
from tallystick.errors import ModelFileError, VerificationError
from tallystick.models import Blueprints, Executor, IntegerModel, Models, ModelStage, parse_model

NOT_A_MEMBER = "models: not an active member"
REASON = sha256(b"reason").digest()
HASH = sha256(b"a model").hexdigest()
STATEMENT = sha256(b"a statement").hexdigest()


@pytest.fixture
def consortium(world: World) -> Consortium:
    return found_consortium(world)


@pytest.fixture
def rng() -> random.Random:
    return random.Random(7)


def rest(model: IntegerModel) -> bytes:
    return model.bytes[len('{"digest":"') + 64 + len('",') :]


def hashes(model: IntegerModel) -> list[bytes]:
    assert model.packed is not None
    return [sha256(part).digest() for part in model.packed.parts]


def deploy(
    models: Models, file: bytes, scalars: Sequence[int], words: Sequence[int], parts: Sequence[bytes]
) -> Call:
    """What a cheat sends: any file with any parameters."""
    return models._contract.call("deploy", file, list(scalars), list(words), list(parts))


def stored(consortium: Consortium, *models: IntegerModel) -> None:
    for model in models:
        for call in store_calls(consortium.models, model):
            consortium.world.send("cheat", call)


def scalars_of(model: IntegerModel) -> tuple[int, ...]:
    assert model.packed is not None
    return model.packed.scalars


# -- register one model and deploy another --------------------------------------------------------------


def test_the_file_of_one_model_with_the_parameters_of_another_names_neither(
    consortium: Consortium, rng: random.Random
) -> None:
    models, world = consortium.models, consortium.world
    honest, other = trees(rng, 20, 3), trees(rng, 20, 3)
    stored(consortium, honest, other)
    world.send("cheat", deploy(models, rest(honest), scalars_of(honest), [], hashes(other)))
    # Something was made, under a hash that is no file's: its digest is not that of the file's parameters.
    (made,) = models.logged("Deployed")
    assert made.values["model"].hex() not in (honest.hash, other.hash)
    assert models.executor(honest.hash) is models.executor(other.hash) is None
    file = b'{"digest":"' + made.values["digest"].hex().encode() + b'",' + rest(honest)
    assert sha256(file).digest() == made.values["model"]
    with pytest.raises(ModelFileError, match="digest"):
        parse_model(file)
    # Its twin: the honest file with its own parameters.
    world.send("cheat", deploy(models, rest(honest), scalars_of(honest), [], hashes(honest)))
    place = models.executor(honest.hash)
    assert place is not None
    assert Executor(world.web3, place).answer((3,) * 20) == honest.scores_inputs((3,) * 20)[0]


@pytest.mark.parametrize("field", range(6))
def test_no_scalar_can_be_changed_under_a_models_name(
    consortium: Consortium, rng: random.Random, field: int
) -> None:
    models, world = consortium.models, consortium.world
    model = perceptron(rng, 16, 3)
    stored(consortium, model)
    scalars = list(scalars_of(model))
    scalars[field] += 1
    world._send("cheat", deploy(models, rest(model), scalars, [], hashes(model)))
    assert models.executor(model.hash) is None
    world.send("cheat", deploy(models, rest(model), scalars_of(model), [], hashes(model)))
    assert models.executor(model.hash) is not None


def test_no_weight_inside_an_executor_can_be_changed_under_a_models_name(
    consortium: Consortium, rng: random.Random
) -> None:
    models, world = consortium.models, consortium.world
    model = linear(rng, 30)
    assert model.packed is not None
    words = [int.from_bytes(model.packed.body[at : at + 32], "big") for at in (0, 32)]
    for wrong in ([words[0] ^ 1, words[1]], [words[1], words[0]], [words[0], words[1] | 1]):
        world.send("cheat", deploy(models, rest(model), scalars_of(model), wrong, []))
    assert models.executor(model.hash) is None
    world.send("cheat", deploy(models, rest(model), scalars_of(model), words, []))
    assert models.executor(model.hash) is not None


def test_parts_cannot_be_swapped_left_out_or_doubled(consortium: Consortium, rng: random.Random) -> None:
    models, world = consortium.models, consortium.world
    model = trees(rng, 20, 510)
    stored(consortium, model)
    first, second = hashes(model)
    for wrong in ([second, first], [first, first]):
        world.send("cheat", deploy(models, rest(model), scalars_of(model), [], wrong))
        assert models.executor(model.hash) is None
    for wrong in ([first], [second], [first, second, second], []):
        reason = world.refuse("cheat", deploy(models, rest(model), scalars_of(model), [], wrong))
        assert reason in ("trees: a part is missing", "trees: wrong length of a part")
    world.send("cheat", deploy(models, rest(model), scalars_of(model), [], [first, second]))
    assert models.executor(model.hash) is not None


def test_a_contract_of_the_cheats_own_is_no_part(consortium: Consortium, rng: random.Random) -> None:
    # Code that looks like the part but does not begin with 0x00 could change itself away; it has no way in,
    # because parts are named by their hash and only what the contract itself stored has a place.
    models, world = consortium.models, consortium.world
    model = trees(rng, 20, 3)
    assert model.packed is not None
    for code in (b"\xff" + model.packed.body, b"\x00" + model.packed.body):
        prefix = b"\x61" + len(code).to_bytes(2, "big") + bytes.fromhex("80600a3d393df3")
        world.send("cheat", Call(to=None, data=prefix + code))
    call = deploy(models, rest(model), scalars_of(model), [], hashes(model))
    assert world.refuse("cheat", call) == "models: part is not stored"
    stored(consortium, model)
    world.send("cheat", call)


def test_a_stored_part_can_be_neither_called_nor_replaced(consortium: Consortium, rng: random.Random) -> None:
    models, world = consortium.models, consortium.world
    # Bytes that would destroy the contract, if an EVM ever ran them.
    body = bytes.fromhex("33ff") + bytes(30)
    world.send("cheat", models.store(body))
    place = models.part(sha256(body).digest())
    assert place is not None
    world.send("cheat", Call(to=place, data=b"\x01\x02\x03\x04", value=0))
    assert bytes(world.web3.eth.get_code(world.web3.to_checksum_address(place))) == b"\x00" + body
    assert world.refuse("cheat", models.store(body)) == "models: part is stored"
    assert models.part(sha256(body).digest()) == place


def test_the_digest_counts_at_the_beginning_of_the_file_only(
    consortium: Consortium, rng: random.Random
) -> None:
    # The cheat's file carries the honest digest too, only elsewhere. The contract writes its own digest first, and
    # the parser takes the first place only.
    models, world = consortium.models, consortium.world
    honest, other = linear(rng, 16), linear(rng, 16)
    assert other.packed is not None
    words = [int.from_bytes(other.packed.body, "big")]
    inner = f'"digest":"{honest.digest}",'.encode() + rest(honest)
    world.send("cheat", deploy(models, inner, scalars_of(other), words, []))
    assert models.executor(honest.hash) is None
    (made,) = models.logged("Deployed")
    file = b'{"digest":"' + made.values["digest"].hex().encode() + b'",' + inner
    assert sha256(file).digest() == made.values["model"]
    with pytest.raises(ModelFileError):
        parse_model(file)
    consortium.deploy(honest, "cheat")
    assert models.executor(honest.hash) is not None


def test_a_file_cannot_be_cut_so_that_another_digest_fits(consortium: Consortium, rng: random.Random) -> None:
    # The honest file as the rest behind the cheat's digest, or the honest file without its beginning.
    models, world = consortium.models, consortium.world
    honest, other = linear(rng, 16), linear(rng, 16)
    assert other.packed is not None
    words = [int.from_bytes(other.packed.body, "big")]
    for file in (honest.bytes, honest.bytes[1:], honest.bytes[11:], honest.bytes[75:], b""):
        world.send("cheat", deploy(models, file, scalars_of(other), words, []))
    assert models.executor(honest.hash) is None
    assert models.executor(other.hash) is None
    consortium.deploy(other, "cheat")
    assert models.executor(other.hash) is not None


def test_a_model_of_one_family_cannot_be_executed_as_another(
    consortium: Consortium, rng: random.Random
) -> None:
    models, world = consortium.models, consortium.world
    model = trees(rng, 16, 1)
    stored(consortium, model)
    # Three words are a linear model of three heads too, and a perceptron of one hidden unit.
    for scalars in ((1, 16, 3, 0, 0, 0), (3, 16, 1, 1, 0, 0)):
        world.send("cheat", deploy(models, rest(model), scalars, [], hashes(model)))
    assert models.executor(model.hash) is None
    consortium.deploy(model)
    assert models.executor(model.hash) is not None


def test_a_fake_executor_has_no_way_into_the_register(consortium: Consortium, rng: random.Random) -> None:
    models, world = consortium.models, consortium.world
    model = trees(rng, 20, 2)
    stored(consortium, model)
    (part,) = [models.part(name) for name in hashes(model)]
    genuine_code = load("tallystick.models", "TreeModel")
    scalars = list(scalars_of(model))
    scalars[-1] += 10**6
    fake = world.send("cheat", Contract.deploy_call(genuine_code, scalars, [], [part])).contract
    assert Executor(world.web3, fake).answer((0,) * 20) == model.scores_inputs((0,) * 20)[0] + 10**6
    assert models.executor(model.hash) is None
    assert not [
        item["name"]
        for item in load("tallystick.models", "Models").abi
        if item.get("stateMutability") not in ("view", "pure")
        and item["type"] == "function"
        and any(given["type"] == "address" for given in item["inputs"])
    ]
    genuine = consortium.deploy(model)
    assert models.executor(model.hash) == genuine.address != fake


def test_a_register_that_makes_other_executors_is_noticed(consortium: Consortium) -> None:
    world, right = consortium.world, consortium.models.blueprints()
    code = b"\xfe\x71\x00" + load("tallystick.models", "TreeModel").bytecode.replace(
        b"\x60\xf8\x1c", b"\x60\xf9\x1c", 1
    )
    prefix = b"\x61" + len(code).to_bytes(2, "big") + bytes.fromhex("80600a3d393df3")
    forged = replace(right, trees=world.send("cheat", Call(to=None, data=prefix + code)).contract)

    def register(blueprints: Blueprints) -> Models:
        call = Models.deploy_call(consortium.members.address, approvals_needed=2, blueprints=blueprints)
        return Models(world.web3, world.send("cheat", call).contract)

    register(right).check_blueprints()
    with pytest.raises(VerificationError, match="TreeModel"):
        register(forged).check_blueprints()


def test_a_blueprint_cannot_be_run(consortium: Consortium) -> None:
    world, places = consortium.world, consortium.models.blueprints()
    for place in (places.linear, places.trees, places.perceptron):
        code = bytes(world.web3.eth.get_code(world.web3.to_checksum_address(place)))
        assert code[:3] == b"\xfe\x71\x00"
        assert world._send("cheat", Call(to=place, data=b""))[0] == 0


# -- vouch falsely --------------------------------------------------------------------------------------


def test_nobody_approves_evaluates_or_overrides_for_its_own_model(consortium: Consortium) -> None:
    world, models = consortium.world, consortium.models
    consortium.publish(HASH)
    for call in (
        models.approve(HASH),
        models.report_evaluation(HASH, STATEMENT, passed=True),
        models.sign_override(HASH, REASON),
    ):
        assert world.refuse("A", call) == "models: own model"
        world.send("B", call)


def test_no_party_is_counted_twice(consortium: Consortium) -> None:
    world, models = consortium.world, consortium.models
    consortium.publish(HASH)
    for call in (models.approve(HASH), models.sign_override(HASH, REASON)):
        world.send("B", call)
        assert world.refuse("B", call) == "models: already said"
    world.send("B", models.report_evaluation(HASH, STATEMENT, passed=True))
    assert world.refuse("A", models.promote(HASH)) == "models: not enough approvals"
    world.send("C", models.approve(HASH))
    world.send("A", models.promote(HASH))


def test_strangers_have_no_say(consortium: Consortium) -> None:
    world, models = consortium.world, consortium.models
    consortium.publish(HASH)
    for call in (
        models.publish("ab" * 32),
        models.approve(HASH),
        models.report_evaluation(HASH, STATEMENT, passed=True),
        models.sign_override(HASH, REASON),
        models.promote(HASH),
        models.promote_by_override(HASH, REASON),
        models.retire(HASH),
    ):
        assert world.refuse("stranger", call) == NOT_A_MEMBER


def test_a_suspended_member_has_no_say_and_what_it_said_counts_no_longer(consortium: Consortium) -> None:
    world, models = consortium.world, consortium.models
    consortium.publish(HASH)
    for name in "BC":
        world.send(name, models.approve(HASH))
    world.send("B", models.report_evaluation(HASH, STATEMENT, passed=True))
    assert world.refusal("A", models.promote(HASH)) == ""
    consortium.suspend("B", "ACD", threshold=2)
    for call in (models.approve(HASH), models.promote(HASH), models.retire(HASH), models.publish("ab" * 32)):
        assert world.refuse("B", call) == NOT_A_MEMBER
    assert world.refuse("A", models.promote(HASH)) == "models: not enough approvals"
    world.send("D", models.approve(HASH))
    assert not models.gate_passed(HASH)
    assert world.refuse("A", models.promote(HASH)) == "models: no passed evaluation"
    world.send("D", models.report_evaluation(HASH, STATEMENT, passed=True))
    world.send("A", models.promote(HASH))


def test_a_suspended_publisher_cannot_retire_its_model(consortium: Consortium) -> None:
    world, models = consortium.world, consortium.models
    consortium.publish(HASH)
    consortium.suspend("A", "BCD", threshold=2)
    assert world.refuse("A", models.retire(HASH)) == NOT_A_MEMBER
    for name in "BC":
        world.send(name, models.retire(HASH))
    assert models.stage(HASH) is ModelStage.RETIRED


def test_the_override_of_a_suspended_member_counts_no_longer(consortium: Consortium) -> None:
    world, models = consortium.world, consortium.models
    consortium.publish(HASH)
    for name in "CD":
        world.send(name, models.approve(HASH))
    for name in "BC":
        world.send(name, models.sign_override(HASH, REASON))
    consortium.suspend("B", "ACD", threshold=2)
    call = models.promote_by_override(HASH, REASON)
    assert world.refuse("A", call) == "models: override needs two parties"
    world.send("D", models.sign_override(HASH, REASON))
    world.send("A", call)


def test_the_wish_of_a_suspended_member_retires_nothing(consortium: Consortium) -> None:
    world, models = consortium.world, consortium.models
    consortium.publish(HASH)
    world.send("B", models.retire(HASH))
    consortium.suspend("B", "ACD", threshold=2)
    world.send("C", models.retire(HASH))
    assert models.stage(HASH) is ModelStage.PUBLISHED
    world.send("D", models.retire(HASH))
    assert models.stage(HASH) is ModelStage.RETIRED


def test_one_party_alone_overrides_nothing(consortium: Consortium) -> None:
    world, models = consortium.world, consortium.models
    consortium.publish(HASH)
    for name in "BC":
        world.send(name, models.approve(HASH))
    call = models.promote_by_override(HASH, REASON)
    assert world.refuse("B", call) == "models: override needs two parties"
    world.send("B", models.sign_override(HASH, REASON))
    assert world.refuse("B", call) == "models: override needs two parties"
    # Two parties, but each for a reason of its own.
    world.send("C", models.sign_override(HASH, sha256(b"another").digest()))
    assert world.refuse("B", call) == "models: override needs two parties"
    world.send("C", models.sign_override(HASH, REASON))
    world.send("B", call)
    record = models.record(HASH)
    assert record is not None
    assert record.override_reason == REASON


def test_nothing_is_promoted_without_a_gate(consortium: Consortium) -> None:
    world, models = consortium.world, consortium.models
    consortium.publish(HASH)
    for name in "BCD":
        world.send(name, models.approve(HASH))
    for name in "ABCD":
        assert world.refuse(name, models.promote(HASH)) == "models: no passed evaluation"
    world.send("B", models.report_evaluation(HASH, STATEMENT, passed=True))
    world.send("A", models.promote(HASH))


def test_a_friends_pass_does_not_hide_a_failed_gate(consortium: Consortium) -> None:
    world, models = consortium.world, consortium.models
    consortium.publish(HASH)
    for name in "BC":
        world.send(name, models.approve(HASH))
    world.send("D", models.report_evaluation(HASH, STATEMENT, passed=False))
    world.send("B", models.report_evaluation(HASH, STATEMENT, passed=True))
    assert world.refuse("A", models.promote(HASH)) == "models: no passed evaluation"
    world.send("D", models.report_evaluation(HASH, STATEMENT, passed=True))
    world.send("A", models.promote(HASH))


def test_the_publisher_cannot_count_itself_in_by_a_new_account(consortium: Consortium) -> None:
    from contract_world import keys

    world, models = consortium.world, consortium.models
    consortium.publish(HASH)
    world.send("A", consortium.members.rotate(keys("A2")))
    assert world.refuse("A2", models.approve(HASH)) == "models: own model"
    assert world.refuse("A", models.approve(HASH)) == NOT_A_MEMBER
    world.send("A2", models.retire(HASH))
    assert models.logged("Retired")[0].values["party"] == party("A")


def test_a_retired_model_does_not_come_back(consortium: Consortium) -> None:
    world, models = consortium.world, consortium.models
    consortium.publish(HASH)
    for name in "BC":
        world.send(name, models.approve(HASH))
    world.send("B", models.report_evaluation(HASH, STATEMENT, passed=True))
    world.send("A", models.retire(HASH))
    assert world.refuse("A", models.promote(HASH)) == "models: not open for promotion"
    assert world.refuse("A", models.publish(HASH)) == "models: already published"
    assert models.stage(HASH) is ModelStage.RETIRED
