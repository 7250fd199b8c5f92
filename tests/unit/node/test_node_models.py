"""A node's models: stated first, known to the contract afterwards, and in use only when both say so."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.made_models import ROWS, make_model

from tallystick.chain import Profile
from tallystick.errors import (
    AccessDeniedError,
    ChainUnreachableError,
    ConfigurationError,
    DisclosureError,
    ModelInputError,
    NotFoundError,
    RetiredModelError,
    RevertError,
)
from tallystick.models import LinearModel, NumericFeature, PerceptronModel, Quantiser
from tallystick.node import Consortium, Node
from tallystick.testing import Consortium as PublicConsortium

GATE = "ab" * 32
REASON = "the only model for children"


def small(bias: int = 0, name: str = "risk") -> LinearModel:
    feature = NumericFeature("x", "x", 0, 0, 1, -100, 100, 0, False, "refuse")
    return LinearModel(
        name, "illness", Quantiser((feature,)), ("no", "yes"), 4096, 0, ((41,),), (bias,), (0,)
    )


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with Node.init(tmp_path / "bank", name="Bank", passphrase="correct horse", scrypt_n=2**4) as made:
        yield made


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Consortium]:
    with PublicConsortium(3, directory=tmp_path / "three") as consortium:
        consortium.found_models(approvals=1)
        yield consortium


def passed(node: Node, model: LinearModel, name: str = "risk") -> None:
    """Publish a model, and report an evaluation that passed, as this party's own statements."""
    version = node.models.registry.publish(model, name)
    node.models.registry.report(version, figures={}, rows=9, cohort="held out", gate=GATE, passed=True)


def test_an_answer_is_durable_and_names_the_very_model(node: Node) -> None:
    version = node.models.publish(small(), "risk")
    answer = node.ask("risk", {"x": "7"}, subject="patient 1", by="dr-7")
    said = node.journal.statement(node.journal.index(answer.statement))
    assert (said.kind, said.body["model"], said.links["model"]) == (
        "decision.made",
        version.hash,
        [version.published],
    )
    assert (answer.decision, answer.score, answer.level) == ("yes", 287, "L0")
    assert node.ask(version, {"x": "-7"}).decision == "no"
    assert [one.decision for one in node.ask_many("risk@1", [{"x": "1"}, {"x": "-1"}])] == ["yes", "no"]


@pytest.mark.parametrize(
    ("model", "row", "error"),
    [
        ("fraud", {"x": "1"}, NotFoundError),
        ("risk", {"x": "NaN"}, ModelInputError),
        ("risk", {"x": "inf"}, ModelInputError),
        ("risk", {"x": "1e9"}, ModelInputError),
        ("risk", {"y": "1"}, ModelInputError),
    ],
)
def test_what_cannot_be_scored_gets_no_answer_and_leaves_no_statement(
    node: Node, model: str, row: dict[str, str | None], error: type[Exception]
) -> None:
    node.models.publish(small(), "risk")
    size = node.journal.size
    with pytest.raises(error):
        node.ask(model, row)
    assert node.journal.size == size


def test_a_retired_model_answers_nothing_any_more(node: Node) -> None:
    version = node.models.publish(small(), "risk")
    assert node.ask("risk", {"x": "1"}).decision == "yes"
    node.models.retire(version, "a better one came")
    with pytest.raises(RetiredModelError):
        node.ask("risk", {"x": "1"})
    with pytest.raises(RetiredModelError):
        node.ask("risk@1", {"x": "1"})


def test_a_level_that_shows_the_input_to_others_must_be_meant_and_is_the_contracts(node: Node) -> None:
    node.models.publish(small(), "risk")
    with pytest.raises(DisclosureError) as shown:
        node.ask("risk", {"x": "1"}, level="L1")
    assert "signers" in shown.value.hint
    with pytest.raises(ConfigurationError, match="contract Oracle"):
        node.ask("risk", {"x": "1"}, level="L1", reveal=("signers",))
    with pytest.raises(ModelInputError, match="level"):
        node.ask("risk", {"x": "1"}, level="L9")


def test_deadlines_of_the_settings_count(node: Node) -> None:
    assert node.oversight.deadlines.confirm_s == node.settings.oversight.confirm_s


@pytest.mark.parametrize("family", ["linear", "trees", "perceptron"])
def test_a_model_is_judged_by_rows_and_the_figures_are_stated(node: Node, family: str) -> None:
    model = make_model(family, 3)
    dice = random.Random(1)
    rows = [{**dice.choice(ROWS), "age": str(dice.randrange(20, 90))} for _ in range(200)]
    truth = [model.labels[dice.random() < 0.5] for _ in rows]
    judged = node.models.evaluate(model, rows, truth, resamples=50)
    version = node.models.publish(model, "made", evaluation=judged)
    (report,) = version.evaluations
    body = node.journal.statement(node.journal.index(report)).body
    assert (body["rows"], body["cohort"], body["figures"]["rows"]) == (200, "held-out rows", 200)
    assert version.passed == ()


def test_a_model_of_several_labels_is_judged_label_by_label(node: Node) -> None:
    model = make_model("linear", 4, labels=3)
    truth = [model.decision(model.scores(row)) for row in ROWS]
    judged = node.models.evaluate(model, ROWS, truth, resamples=10)
    assert judged.correct == len(ROWS)
    assert set(judged.figures()["labels"]) == set(model.labels)


def test_an_array_is_judged_like_its_rows(node: Node) -> None:
    x = np.arange(-50.0, 50.0)[:, None]
    truth = [int(value > 3) for value in x[:, 0]]
    rows = [{"x": str(int(value))} for value in x[:, 0]]
    by_rows = node.models.evaluate(small(), rows, truth, resamples=20)
    assert node.models.evaluate(small(), x, truth, resamples=20) == by_rows


@pytest.mark.parametrize("truth", [["perhaps"] * 4, [2] * 4, [0.5] * 4, [0, 1], [-1] * 4])
def test_labels_that_the_model_does_not_know_are_refused(node: Node, truth: list[object]) -> None:
    with pytest.raises(ModelInputError):
        node.models.evaluate(make_model("linear", 1), ROWS, truth)


def test_an_evaluation_of_another_model_is_not_reported(node: Node) -> None:
    judged = node.models.evaluate(small(1), [{"x": "1"}] * 3, [1, 0, 1], resamples=5)
    with pytest.raises(ModelInputError, match="is of model"):
        node.models.publish(small(2), "risk", evaluation=judged)


def test_a_model_comes_into_use_when_others_approved_and_judged_it(three: Consortium) -> None:
    a, b, _ = three.nodes
    passed(a, small())
    assert a.models.settle() == 1
    with pytest.raises(RevertError, match="not enough approvals"):
        a.models.promote("risk")
    assert a.models.find("risk").stage == "published"
    passed(b, small())
    b.models.approve("risk")
    assert a.models.promote("risk").stage == "promoted"
    assert a.models.chain_stage("risk") == "promoted"
    assert [n.models.settle() for n in three.nodes] == [0, 0, 0]


def test_a_promotion_that_the_contract_refuses_is_none(three: Consortium) -> None:
    a, b, _ = three.nodes
    passed(a, small())
    a.models.settle()
    version = b.models.registry.publish(small(), "risk")
    b.models.registry.report(version, figures={}, rows=9, cohort="c", gate=GATE, passed=False)
    b.models.approve("risk")
    size = a.journal.size
    with pytest.raises(RevertError, match="no passed evaluation"):
        a.models.promote("risk")
    assert (a.journal.size, a.models.find("risk").stage) == (size, "published")


def test_an_override_of_two_others_counts_here_and_in_the_contract(three: Consortium) -> None:
    a, b, c = three.nodes
    version = a.models.publish(small(), "risk")
    b.models.publish(small(), "risk")
    b.models.approve("risk")
    signed = [n.models.sign_override(version.hash, REASON, origin=a.origin) for n in (b, c)]
    with pytest.raises(AccessDeniedError):
        a.models.promote(version, override=signed[:1], reason=REASON)
    with pytest.raises(AccessDeniedError):
        a.models.promote(version)
    assert a.models.promote(version, override=signed, reason=REASON).stage == "promoted"
    with a.models.on_chain() as contract:
        record = contract.models.record(version.hash)
    assert record is not None
    assert record.override_reason is not None


def test_what_a_crash_left_unsent_is_sent_later_and_nothing_twice(three: Consortium) -> None:
    a = three.nodes[0]
    # The registry alone states and does not send: as if the process had died in between.
    version = a.models.registry.publish(small(), "risk")
    assert a.models.chain_stage(version) == "unknown"
    assert (a.models.settle(), a.models.settle()) == (1, 0)
    a.models.registry.retire(version, "never used")
    assert (a.models.settle(), a.models.settle()) == (1, 0)
    assert a.models.chain_stage(version) == "retired"


def test_what_the_contract_refuses_or_nobody_answers_is_stated_all_the_same_and_says_so(
    three: Consortium,
) -> None:
    a = three.nodes[0]
    said = a.settings.chain
    assert said is not None
    a.set_chain(replace(said, profile=Profile("chain", urls=("http://127.0.0.1:9",))))
    with pytest.raises(ChainUnreachableError) as caught:
        a.models.publish(small(), "risk")
    assert "model settle" in caught.value.__notes__[0]
    assert a.models.find("risk").stage == "published"
    a.set_chain(said)
    a.share_chain(three.chain)
    assert a.models.settle() == 1


def test_a_promotion_that_a_crash_left_unstated_is_stated_by_doing_it_again(three: Consortium) -> None:
    a, b, _ = three.nodes
    passed(a, small())
    a.models.settle()
    passed(b, small())
    b.models.approve("risk")
    version = a.models.find("risk")
    with a.models.on_chain() as contract:
        contract.promote(version)
    assert (a.models.chain_stage(version), a.models.find("risk").stage) == ("promoted", "published")
    assert a.models.promote("risk").stage == "promoted"


def test_what_was_in_use_before_there_was_a_contract_is_promoted_there_too(tmp_path: Path) -> None:
    with Consortium(3, directory=tmp_path / "later") as later:
        a, b, _ = later.nodes
        passed(a, small())
        assert a.models.promote("risk").stage == "promoted"
        later.found_models(approvals=1)
        with pytest.raises(RevertError, match="not enough approvals"):
            a.models.promote("risk")
        passed(b, small())
        b.models.approve("risk")
        a.models.promote("risk")
        assert a.models.chain_stage("risk") == "promoted"


def test_a_model_that_others_retired_on_the_chain_is_retired_here(three: Consortium) -> None:
    a, b, _ = three.nodes
    version = a.models.publish(small(), "risk")
    b.models.retire(b.models.publish(small(), "risk"), "we found a leak")
    assert a.models.chain_stage(version) == "retired"
    assert a.models.find("risk").stage == "published"
    a.models.settle()
    with pytest.raises(RetiredModelError):
        a.ask("risk", {"x": "1"})


def test_a_deployed_model_answers_on_the_chain_what_it_answers_here(three: Consortium) -> None:
    from tallystick.models import Executor

    a = three.nodes[0]
    model = make_model("trees", 2)
    version = a.models.publish(model, "made")
    deployed = a.models.deploy(version)
    assert a.models.deploy("made").executor == deployed.executor
    executor = Executor(three.chain.web3, deployed.executor)
    inputs = model.quantiser.inputs(ROWS[0])
    assert executor.answer(inputs) == model.answer(model.scores_inputs(inputs))
    deep = a.models.publish(make_model("trees", 2, depth=6), "deep")
    with pytest.raises(ModelInputError, match="no contract can execute"):
        a.models.deploy(deep)


def test_without_a_contract_nothing_is_asked_of_a_chain(node: Node) -> None:
    passed(node, small())
    assert node.models.promote("risk").stage == "promoted"
    with pytest.raises(ConfigurationError, match="no Models contract"):
        node.models.settle()


def test_a_model_that_cannot_be_explained_answers_without_reasons_and_invents_none(node: Node) -> None:
    names = [f"x{place}" for place in range(30)]
    features = tuple(NumericFeature(name, name, 0, 0, 1, -100, 100, 0, False) for name in names)
    model = PerceptronModel(
        "wide", "illness", Quantiser(features), ("no", "yes"), 4096, 0, ((9,) * 30,) * 2, (1, 2), 3, ((5, -2),), (0,),
        (0,) * 30,
    )  # fmt: skip
    row = dict.fromkeys(names, "7")
    node.models.publish(model, "wide")
    answer = node.ask("wide", row)
    assert (answer.decision, answer.reasons) == (model.decision(model.scores(row)), ())
    node.models.publish(make_model("perceptron", 1), "small")
    assert len(node.ask("small", ROWS[0]).reasons) == 3
