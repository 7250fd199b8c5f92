"""A node's dealings with the contract Oracle: it asks, answers with others, and lets the contract execute."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.made_models import ROWS, make_model

from tallystick.decisions import Panel, RequestStatus, SharedExchange
from tallystick.errors import (
    ConfigurationError,
    DisclosureError,
    ModelInputError,
    NotFoundError,
    RevertError,
    VerificationError,
)
from tallystick.node import Consortium

MODEL = make_model("trees", 5)
RIGHT = MODEL.score(ROWS[0])
SIGNERS = ["signers"]


@pytest.fixture
def four(tmp_path: Path) -> Iterator[Consortium]:
    with Consortium(4, directory=tmp_path / "four") as consortium:
        consortium.found_oracle()
        for node in consortium.nodes:
            node.models.publish(MODEL, "made")
        yield consortium


def panel(consortium: Consortium, **changes: int) -> Panel:
    accounts = []
    for node in consortium.nodes[1:]:
        with node.oracle() as oracle:
            accounts.append(oracle.account.address)
    return Panel(tuple(sorted(accounts)), need=2, **changes)


def test_the_contract_executes_a_deployed_model_for_whoever_shows_the_input(four: Consortium) -> None:
    a = four.nodes[0]
    a.models.deploy("made")
    with a.oracle() as oracle:
        request = oracle.request("made", ROWS[0], level="L4", reveal=["chain"], unpromoted=True)
        assert oracle.answer(request).status is RequestStatus.OPEN
        done = oracle.execute(request)
        assert (done.status, done.output) == (RequestStatus.FINAL, RIGHT)
        with pytest.raises(RevertError):
            oracle.finish(request)


def test_a_quorum_answers_what_each_of_its_signers_scored(four: Consortium) -> None:
    a, *signers = four.nodes
    exchange = SharedExchange()
    with a.oracle() as oracle:
        who = oracle.open_panel(panel(four))
        assert oracle.open_panel(panel(four)) == who
        request = oracle.request(
            "made", ROWS[0], level="L1", panel=who, reveal=SIGNERS, unpromoted=True, fee=900
        )
    for _ in range(3):
        for node in signers:
            with node.oracle() as oracle:
                service = oracle.signer(panels=[who], exchange=exchange, openings=a.workspace.openings)
                service.step(wait_s=30)
    with a.oracle() as oracle:
        said = oracle.answer(request)
    assert (said.status, said.output) == (RequestStatus.FINAL, RIGHT)
    kinds = [[entry.statement.kind for entry in node.log(kind="answer.")] for node in signers]
    assert kinds == [["answer.given"]] * 3


def test_what_a_level_shows_must_be_named_before_anything_is_sent(four: Consortium) -> None:
    with four.nodes[0].oracle() as oracle:
        who = oracle.open_panel(panel(four))
        for level, given in (("L1", []), ("L4", ["signers"])):
            with pytest.raises(DisclosureError):
                oracle.request("made", ROWS[0], level=level, panel=who if level == "L1" else "", reveal=given)
        assert list(oracle.openings) == []


def test_a_request_that_cannot_be_answered_is_refused(four: Consortium) -> None:
    wrong: list[tuple[str, str, list[str], type[Exception]]] = [
        ("L1", "", SIGNERS, ConfigurationError),
        ("L1", "ab" * 32, SIGNERS, NotFoundError),
        ("L1", "short", SIGNERS, NotFoundError),
        ("L3", "", ["prover"], ModelInputError),
        ("L4", "", ["everybody"], ModelInputError),
        ("L4", "", ["chain"], RevertError),  # neither deployed nor promoted
    ]
    with four.nodes[0].oracle() as oracle:
        for level, who, reveal, error in wrong:
            with pytest.raises(error):
                oracle.request("made", ROWS[0], level=level, panel=who, reveal=reveal)


def test_only_the_opening_of_the_very_request_is_kept(four: Consortium) -> None:
    a, b, *_ = four.nodes
    with a.oracle() as oracle:
        who = oracle.open_panel(panel(four))
        first, second = (
            oracle.request("made", row, level="L1", panel=who, reveal=SIGNERS, unpromoted=True)
            for row in ROWS[:2]
        )
        right, other = oracle.opening(first), oracle.opening(second)
    with b.oracle() as oracle:
        with pytest.raises(VerificationError):
            oracle.take(other.of(first))
        with pytest.raises(NotFoundError):
            oracle.take(right.of("ab" * 32))
        with pytest.raises(NotFoundError):
            oracle.opening(first)
        assert oracle.take(right).model == MODEL.hash
        assert oracle.opening(first) == right


def test_who_has_no_seat_cannot_serve_a_panel(four: Consortium) -> None:
    with four.nodes[0].oracle() as oracle:
        who = oracle.open_panel(panel(four))
        with pytest.raises(ConfigurationError, match="no seat"):
            oracle.signer(panels=[who], exchange=SharedExchange())


def test_bonds_are_paid_in_and_out(four: Consortium) -> None:
    with four.nodes[0].oracle() as oracle:
        oracle.deposit(700)
        assert oracle.contract.account(oracle.account.address).free == 700
        with pytest.raises(RevertError):
            oracle.withdraw(900)
        oracle.withdraw(700)
        assert oracle.contract.account(oracle.account.address).free == 0


def test_without_a_contract_there_is_nothing_to_deal_with(tmp_path: Path) -> None:
    with (
        Consortium(1, directory=tmp_path / "one") as one,
        pytest.raises(ConfigurationError, match="no Oracle contract"),
        one.nodes[0].oracle(),
    ):
        pass
