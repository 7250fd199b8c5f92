from __future__ import annotations

import random
from hashlib import sha256
from pathlib import Path

import pytest
from contract_world import World, address, keys, party
from models_world import (
    FAMILIES,
    Consortium,
    found_consortium,
    linear,
    perceptron,
    store_calls,
    trees,
)

from tallystick.chain import Account, Chain, Outbox, Profile, connect, load
from tallystick.errors import (
    ConfigurationError,
    ModelInputError,
    NotFoundError,
    RevertError,
    VerificationError,
)
from tallystick.models import (
    NO_DIGEST,
    Blueprints,
    Deployed,
    Executor,
    IntegerModel,
    Models,
    ModelStage,
    deploy_model,
    deploy_models,
)

NOT_A_MEMBER = "models: not an active member"
OWN = "models: own model"
CLOSED = "models: not open for judgement"
H1, H2, H3 = (sha256(b"model %d" % number).hexdigest() for number in range(3))
S1, S2 = (sha256(b"statement %d" % number).hexdigest() for number in range(2))
REASON = sha256(b"the ward has no other").digest()


@pytest.fixture
def consortium(world: World) -> Consortium:
    return found_consortium(world)


@pytest.fixture
def models(consortium: Consortium) -> Models:
    return consortium.models


@pytest.fixture
def rng() -> random.Random:
    return random.Random(11)


def some(rng: random.Random, family: str) -> IntegerModel:
    return {"linear": linear(rng, 20), "trees": trees(rng, 20, 3), "perceptron": perceptron(rng, 20, 3)}[
        family
    ]


# -- parts and executors --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [32, 9_600, 24_480])
def test_a_part_stands_behind_a_zero_byte_under_its_hash(world: World, models: Models, size: int) -> None:
    body = random.Random(size).randbytes(size)
    digest = sha256(body).digest()
    assert models.part(digest) is None
    world.send("stranger", models.store(body))
    place = models.part(digest)
    assert place is not None
    assert bytes(world.web3.eth.get_code(world.web3.to_checksum_address(place))) == b"\x00" + body
    (stored,) = models.logged("Stored", part=digest)
    assert stored.values["place"] == place
    assert world.refuse("A", models.store(body)) == "models: part is stored"


def test_a_part_is_whole_words(world: World, models: Models) -> None:
    for size in (0, 31, 33, 24_512):
        with pytest.raises(ConfigurationError, match="whole words"):
            models.store(bytes(size))
    for size in (0, 33):  # the contract says so too
        assert world.refuse("A", models._contract.call("store", bytes(size))) == "models: whole words"
    assert world.refusal("A", models._contract.call("store", bytes(24_480))) == ""
    assert world.refusal("A", models._contract.call("store", bytes(24_512))) != ""


@pytest.mark.parametrize("family", FAMILIES)
def test_an_executor_stands_under_the_hash_of_the_models_file(
    world: World, consortium: Consortium, rng: random.Random, family: str
) -> None:
    models, model = consortium.models, some(rng, family)
    assert models.executor(model.hash) is None
    executor = consortium.deploy(model, "stranger")
    assert models.executor(model.hash) == executor.address
    (deployed,) = models.logged("Deployed", model=bytes.fromhex(model.hash))
    assert deployed.values["digest"].hex() == model.digest
    assert deployed.values["executor"] == executor.address
    assert model.packed is not None
    assert deployed.values["scalars"] == model.packed.scalars
    parts = [sha256(part).digest() for part in model.packed.parts]
    assert deployed.values["parts"] == (() if family == "linear" else tuple(parts))
    assert world.refuse("A", models.deploy(model)) == "models: already deployed"
    # Nobody published it: an executor alone means nothing but that it executes this file's parameters.
    assert models.stage(model.hash) is ModelStage.UNKNOWN
    assert models.record(model.hash) is None


def test_an_executor_waits_for_all_parts_of_its_model(
    world: World, consortium: Consortium, rng: random.Random
) -> None:
    models, model = consortium.models, trees(rng, 20, 300)
    first, second = store_calls(models, model)
    world.send("A", second)
    assert world.refuse("A", models.deploy(model)) == "models: part is not stored"
    world.send("B", first)
    world.send("C", models.deploy(model))


@pytest.mark.parametrize(
    ("scalars", "reason"),
    [
        ((), "models: scalars are missing"),
        ((0, 1, 1, 0), "models: unknown family"),
        ((4, 1, 1, 0), "models: unknown family"),
        ((-1, 1, 1, 0), "models: unknown family"),
        ((1, 20, 1, 0), "linear: wrong length of weights"),
        ((1, 1, 1, 0), ""),
    ],
)
def test_an_executor_is_made_only_of_fitting_scalars(
    world: World, models: Models, scalars: tuple[int, ...], reason: str
) -> None:
    assert world.refusal("A", models._contract.call("deploy", b"", scalars, [1], [])) == reason


def test_words_and_parts_exclude_each_other(world: World, models: Models) -> None:
    world.send("A", models.store(bytes(32)))
    call = models._contract.call("deploy", b"", (1, 1, 1, 0), [0], [sha256(bytes(32)).digest()])
    assert world.refuse("A", call) == "models: words or parts"


def test_a_linear_model_stands_inside_up_to_sixteen_words(consortium: Consortium, rng: random.Random) -> None:
    inside, outside = linear(rng, 256), linear(rng, 17, 9)
    for model, count in ((inside, 0), (outside, 1)):
        executor = consortium.deploy(model)
        assert len(consortium.models.logged("Stored")) == count
        inputs = (-5,) * model.quantiser.width
        assert executor.scores(inputs) == model.scores_inputs(inputs)


def test_what_no_contract_can_execute_is_refused_before_anything_is_sent(
    models: Models, rng: random.Random
) -> None:
    deep = trees(rng, 5, 1, depth=5)
    assert deep.digest == NO_DIGEST
    with pytest.raises(ModelInputError, match="no contract can execute"):
        models.deploy(deep)
    with pytest.raises(ModelInputError, match="at most 120000 bytes"):
        models.deploy(perceptron(rng, 200, 100))


# -- publishing -----------------------------------------------------------------------------------------


def test_a_member_publishes_a_model_with_its_parent(world: World, models: Models) -> None:
    world.send("A", models.publish(H1))
    done = world.send("B", models.publish(H2, parent=H1))
    record = models.record(H2)
    assert record is not None
    assert (record.stage, record.publisher, record.parent) == (ModelStage.PUBLISHED, party("B"), H1)
    assert (record.published_block, record.promoted_block, record.retired_block) == (done.block, 0, 0)
    assert (record.executor, record.override_reason) == (None, None)
    assert models.stage(H2) is ModelStage.PUBLISHED
    first = models.record(H1)
    assert first is not None
    assert first.parent is None
    logged = models.logged("Published")
    assert [log.values["model"].hex() for log in logged] == [H1, H2]
    assert logged[1].values["publisher"] == party("B")


def test_a_record_names_the_executor_whenever_it_was_deployed(
    consortium: Consortium, rng: random.Random
) -> None:
    models = consortium.models
    before, after = linear(rng, 5), linear(rng, 6)
    made = consortium.deploy(before)
    consortium.publish(before.hash)
    consortium.publish(after.hash)
    later = consortium.deploy(after)
    for model, executor in ((before, made), (after, later)):
        record = models.record(model.hash)
        assert record is not None
        assert record.executor == executor.address


def test_publishing_is_refused_to_strangers_twice_and_under_unknown_parents(
    world: World, models: Models
) -> None:
    assert world.refuse("stranger", models.publish(H1)) == NOT_A_MEMBER
    assert world.refuse("A", models.publish("0" * 64)) == "models: hash is empty"
    assert world.refuse("A", models.publish(H2, parent=H1)) == "models: unknown parent"
    assert world.refuse("A", models.publish(H1, parent=H1)) == "models: unknown parent"
    world.send("A", models.publish(H1))
    assert world.refuse("A", models.publish(H1)) == "models: already published"
    assert world.refuse("B", models.publish(H1)) == "models: already published"


# -- approvals, evaluations and promotion ---------------------------------------------------------------


def test_enough_approvals_and_a_passed_evaluation_promote(world: World, consortium: Consortium) -> None:
    models = consortium.models
    consortium.publish(H1)
    world.send("B", models.approve(H1))
    assert world.refuse("A", models.promote(H1)) == "models: not enough approvals"
    world.send("C", models.approve(H1))
    assert models.approvals(H1) == (party("B"), party("C"))
    assert world.refuse("A", models.promote(H1)) == "models: no passed evaluation"
    reported = world.send("D", models.report_evaluation(H1, S1, passed=True))
    assert models.gate_passed(H1)
    (evaluation,) = models.evaluations(H1)
    assert (evaluation.party, evaluation.statement, evaluation.passed) == (party("D"), S1, True)
    assert evaluation.block == reported.block
    promoted = world.send("A", models.promote(H1))
    record = models.record(H1)
    assert record is not None
    assert (record.stage, record.promoted_block) == (ModelStage.PROMOTED, promoted.block)
    assert record.override_reason is None
    (event,) = models.logged("Promoted", model=bytes.fromhex(H1))
    assert (event.values["party"], event.values["override_reason"]) == (party("A"), bytes(32))
    assert [log.values["party"] for log in models.logged("Approved")] == [party("B"), party("C")]
    assert models.logged("Evaluated")[0].values["passed"] is True


def test_what_concerns_an_unknown_a_promoted_or_a_retired_model_is_refused(
    world: World, consortium: Consortium
) -> None:
    models = consortium.models
    promote_by_gate(consortium, H1)
    consortium.publish(H2)
    world.send("A", models.retire(H2))
    for model in (H1, H2, H3):
        for call in (
            models.approve(model),
            models.report_evaluation(model, S1, passed=True),
            models.sign_override(model, REASON),
        ):
            assert world.refuse("D", call) == CLOSED
        for call in (models.promote(model), models.promote_by_override(model, REASON)):
            assert world.refuse("D", call) == "models: not open for promotion"


def promote_by_gate(consortium: Consortium, model: str) -> None:
    world, models = consortium.world, consortium.models
    consortium.publish(model)
    for name in "BC":
        world.send(name, models.approve(model))
    world.send("B", models.report_evaluation(model, S1, passed=True))
    world.send("C", models.promote(model))


def test_a_failed_evaluation_stands_until_its_party_reports_another(
    world: World, consortium: Consortium
) -> None:
    models = consortium.models
    consortium.publish(H1)
    for name in "BC":
        world.send(name, models.approve(H1))
    world.send("B", models.report_evaluation(H1, S1, passed=False))
    world.send("C", models.report_evaluation(H1, S2, passed=True))
    assert not models.gate_passed(H1)
    assert world.refuse("A", models.promote(H1)) == "models: no passed evaluation"
    world.send("B", models.report_evaluation(H1, S2, passed=True))
    assert [(found.party, found.passed) for found in models.evaluations(H1)] == [
        (party("B"), True),
        (party("C"), True),
    ]
    world.send("A", models.promote(H1))


def test_an_evaluation_names_its_statement(world: World, consortium: Consortium) -> None:
    consortium.publish(H1)
    call = consortium.models.report_evaluation(H1, "0" * 64, passed=True)
    assert world.refuse("B", call) == "models: statement is empty"
    world.send("B", consortium.models.report_evaluation(H1, S1, passed=True))


def test_two_parties_override_the_gate_with_one_reason_and_it_stays_visible(
    world: World, consortium: Consortium
) -> None:
    models = consortium.models
    consortium.publish(H1)
    for name in "BC":
        world.send(name, models.approve(H1))
    world.send("D", models.report_evaluation(H1, S1, passed=False))
    for name in "BC":
        world.send(name, models.sign_override(H1, REASON))
    assert models.overrides(H1, REASON) == (party("B"), party("C"))
    assert world.refuse("A", models.promote(H1)) == "models: no passed evaluation"
    world.send("A", models.promote_by_override(H1, REASON))
    record = models.record(H1)
    assert record is not None
    assert (record.stage, record.override_reason) == (ModelStage.PROMOTED, REASON)
    (event,) = models.logged("Promoted")
    assert event.values["override_reason"] == REASON
    assert [log.values["party"] for log in models.logged("OverrideSigned")] == [party("B"), party("C")]


def test_an_override_replaces_the_gate_but_not_the_approvals(world: World, consortium: Consortium) -> None:
    models = consortium.models
    consortium.publish(H1)
    for name in "BC":
        world.send(name, models.sign_override(H1, REASON))
    assert world.refuse("A", models.promote_by_override(H1, REASON)) == "models: not enough approvals"
    for name in "BC":
        world.send(name, models.approve(H1))
    assert world.refuse("A", models.promote_by_override(H1, bytes(32))) == "models: reason is empty"
    assert world.refuse("B", models.sign_override(H1, bytes(32))) == "models: reason is empty"
    world.send("A", models.promote_by_override(H1, REASON))


# -- retirement -----------------------------------------------------------------------------------------


def test_a_publisher_retires_its_model_at_once_and_for_ever(world: World, consortium: Consortium) -> None:
    models = consortium.models
    promote_by_gate(consortium, H1)
    done = world.send("A", models.retire(H1))
    record = models.record(H1)
    assert record is not None
    assert (record.stage, record.retired_block) == (ModelStage.RETIRED, done.block)
    assert world.refuse("A", models.retire(H1)) == "models: already retired"
    assert world.refuse("A", models.publish(H1)) == "models: already published"
    (event,) = models.logged("Retired")
    assert event.values["party"] == party("A")
    assert models.logged("RetirementAsked") == []


def test_enough_others_retire_a_model_too(world: World, consortium: Consortium) -> None:
    models = consortium.models
    consortium.publish(H1)
    world.send("B", models.retire(H1))
    assert models.stage(H1) is ModelStage.PUBLISHED
    assert world.refuse("B", models.retire(H1)) == "models: already said"
    world.send("C", models.retire(H1))
    assert models.stage(H1) is ModelStage.RETIRED
    assert [log.values["party"] for log in models.logged("RetirementAsked")] == [party("B"), party("C")]


def test_only_what_is_known_can_be_retired_and_only_by_members(world: World, consortium: Consortium) -> None:
    models = consortium.models
    assert world.refuse("A", models.retire(H1)) == "models: unknown model"
    consortium.publish(H1)
    assert world.refuse("stranger", models.retire(H1)) == NOT_A_MEMBER
    world.send("A", models.retire(H1))


# -- the contract and its typed class -------------------------------------------------------------------


def test_the_contract_says_what_it_was_bound_to(consortium: Consortium) -> None:
    models = consortium.models
    assert models.members() == consortium.members.address
    assert models.approvals_needed() == 2
    models.check_blueprints()
    assert len({models.blueprints().linear, models.blueprints().trees, models.blueprints().perceptron}) == 3


def test_the_contract_is_made_only_beside_contracts_that_exist(world: World, consortium: Consortium) -> None:
    right = consortium.models.blueprints()
    members = consortium.members.address
    nobody = address("nobody")

    def refusal(members: str, blueprints: Blueprints) -> str:
        return world.refusal("A", Models.deploy_call(members, approvals_needed=1, blueprints=blueprints))

    assert refusal(members, right) == ""
    assert refusal(nobody, right) == "models: members is no contract"
    for wrong in (
        Blueprints(nobody, right.trees, right.perceptron),
        Blueprints(right.linear, nobody, right.perceptron),
        Blueprints(right.linear, right.trees, nobody),
    ):
        assert refusal(members, wrong) == "models: blueprint is missing"
    for approvals in (0, 65):
        with pytest.raises(ConfigurationError, match="approvals must be 1 to 64"):
            Models.deploy_call(members, approvals_needed=approvals, blueprints=right)


def test_executors_of_other_code_are_noticed(world: World, consortium: Consortium) -> None:
    right = consortium.models.blueprints()
    for wrong in (
        Blueprints(right.trees, right.linear, right.perceptron),
        Blueprints(right.linear, right.trees, consortium.members.address),
    ):
        call = Models.deploy_call(consortium.members.address, approvals_needed=1, blueprints=wrong)
        models = Models(world.web3, world.send("A", call).contract)
        with pytest.raises(VerificationError, match="must make executors of the published"):
            models.check_blueprints()


@pytest.mark.parametrize("name", ["LinearModel", "Models", "PerceptronModel", "TreeModel"])
def test_the_contracts_fit_on_a_chain(name: str) -> None:
    artifact = load("tallystick.models", name)
    assert len(artifact.runtime) <= 24_576  # EIP-170; immutables come behind it
    source = Path(__file__).resolve().parents[2] / "src/tallystick/models/contracts" / f"{name}.vy"
    assert artifact.source_sha256 == sha256(source.read_bytes()).hexdigest()


def test_the_typed_class_checks_hashes(models: Models) -> None:
    for text in ("", "ab", "g" * 64, H1.upper(), "0x" + H1):
        with pytest.raises(ConfigurationError, match="64 lower-case hex digits"):
            models.approve(text)
    with pytest.raises(ConfigurationError, match="32 bytes"):
        models.sign_override(H1, b"reason")


# -- by the outbox --------------------------------------------------------------------------------------


@pytest.fixture
def chain(world: World, consortium: Consortium, tmp_path: Path):
    world.chain.close()
    with connect(Profile.of(str(tmp_path / "chain"))) as made:
        yield made


def account(chain: Chain, name: bytes = b"sender") -> Account:
    made = Account(sha256(name).digest())
    chain.fund(made.address)
    return made


def transactions(chain: Chain, who: Account) -> int:
    return chain.nonce(who.address)


def test_a_model_is_deployed_once_however_often_it_is_asked_for(
    consortium: Consortium, chain: Chain, tmp_path: Path, rng: random.Random
) -> None:
    who = account(chain)
    with Outbox(tmp_path / "outbox.db", chain, account=who) as outbox:
        models = deploy_models(outbox, chain.web3, members=consortium.members.address, approvals_needed=2)
        again = deploy_models(outbox, chain.web3, members=consortium.members.address, approvals_needed=2)
        assert again.address == models.address
        assert transactions(chain, who) == 4
        models.check_blueprints()
        model = trees(rng, 20, 260)
        deployed = deploy_model(outbox, models, model)
        assert transactions(chain, who) == 7
        assert deploy_model(outbox, models, model) == deployed
        assert transactions(chain, who) == 7
        assert len(deployed.parts) == 2
        assert deployed.gas_used > 5_000_000
        inputs = (7,) * 20
        assert Executor(chain.web3, deployed.executor).scores(inputs) == model.scores_inputs(inputs)


def test_what_another_deployed_is_used(
    consortium: Consortium, chain: Chain, tmp_path: Path, rng: random.Random
) -> None:
    model = trees(rng, 20, 3)
    models = Models(chain.web3, consortium.models.address)
    with Outbox(tmp_path / "one.db", chain, account=account(chain, b"one")) as outbox:
        first = deploy_model(outbox, models, model)
    with Outbox(tmp_path / "two.db", chain, account=account(chain, b"two")) as outbox:
        assert deploy_model(outbox, models, model) == Deployed(first.executor, first.parts, 0)
        with pytest.raises(NotFoundError):
            outbox.intent(f"{models.address}/deploy/{model.hash}")


def test_a_deployment_goes_on_where_it_stopped(
    consortium: Consortium, chain: Chain, tmp_path: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, who = trees(rng, 20, 300), account(chain)
    models = Models(chain.web3, consortium.models.address)
    send, sent = Outbox.send, []

    def dies_after_its_second(self: Outbox, *args, **kwargs):
        mined = send(self, *args, **kwargs)
        sent.append(mined)
        if len(sent) == 2:
            raise KeyboardInterrupt
        return mined

    monkeypatch.setattr(Outbox, "send", dies_after_its_second)
    with Outbox(tmp_path / "outbox.db", chain, account=who) as outbox, pytest.raises(KeyboardInterrupt):
        deploy_model(outbox, models, model)
    assert models.executor(model.hash) is None
    with Outbox(tmp_path / "outbox.db", chain, account=who) as outbox:
        deployed = deploy_model(outbox, models, model)
    assert len(sent) == transactions(chain, who) == 3
    assert deployed.gas_used == sum(mined.gas_used for mined in sent)


def test_somebody_faster_with_the_same_model_does_no_harm(
    consortium: Consortium, chain: Chain, tmp_path: Path, rng: random.Random
) -> None:
    model = trees(rng, 20, 3)
    models = Models(chain.web3, consortium.models.address)
    with Outbox(tmp_path / "slow.db", chain, account=account(chain, b"slow")) as slow:
        slow.put(f"{models.address}/deploy/{model.hash}", models.deploy(model))
        with Outbox(tmp_path / "fast.db", chain, account=account(chain, b"fast")) as fast:
            first = deploy_model(fast, models, model)
        assert deploy_model(slow, models, model) == Deployed(first.executor, first.parts, 0)
        assert slow.pending() == []


def test_a_refused_deployment_is_tried_again_when_it_can_succeed(
    consortium: Consortium, chain: Chain, tmp_path: Path, rng: random.Random
) -> None:
    model = trees(rng, 20, 3)
    models = Models(chain.web3, consortium.models.address)
    with Outbox(tmp_path / "outbox.db", chain, account=account(chain)) as outbox:
        with pytest.raises(RevertError, match="part is not stored"):
            outbox.send(f"{models.address}/deploy/{model.hash}", models.deploy(model))
        deployed = deploy_model(outbox, models, model)
        assert models.executor(model.hash) == deployed.executor


# -- rotations ------------------------------------------------------------------------------------------


def test_a_party_speaks_with_its_present_account_only_and_once(world: World, consortium: Consortium) -> None:
    models = consortium.models
    consortium.publish(H1)
    world.send("B", models.approve(H1))
    world.send("B", consortium.members.rotate(keys("B2")))
    assert world.refuse("B", models.approve(H1)) == NOT_A_MEMBER
    assert world.refuse("B2", models.approve(H1)) == "models: already said"
    # What it said with its old account goes on counting.
    world.send("C", models.approve(H1))
    world.send("B2", models.report_evaluation(H1, S1, passed=True))
    world.send("B2", models.promote(H1))
