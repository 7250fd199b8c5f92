"""A desk answers only what is durable, says what it rests on, and hides what is about a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from office import Office, heart, row

from tallystick.decisions import ChainFact, Desk
from tallystick.errors import (
    AccessDeniedError,
    ConfigurationError,
    DefectError,
    DisclosureError,
    ModelInputError,
    NotFoundError,
    RetiredModelError,
    StatementError,
    StorageError,
)
from tallystick.models import Scored
from tallystick.proof import Draft, Entry


class Broken:
    """A journal on a full disk."""

    def record_many(self, drafts: Sequence[Draft]) -> Sequence[Entry]:
        raise StorageError("the disk is full")


class Forgetful:
    """A journal that acknowledges nothing."""

    def record_many(self, drafts: Sequence[Draft]) -> Sequence[Entry]:
        return []


def test_an_answer_carries_what_the_model_says_and_the_statement_that_says_so(office: Office) -> None:
    model, answer = heart(), office.ask(70, k=2)
    assert (answer.decision, answer.score) == ("yes", model.score(row(70)))
    assert answer.probability == model.probability(answer.score)
    assert answer.reasons == model.reasons(row(70), 2)
    assert (answer.level, answer.model, answer.is_pending) == ("L0", model.hash, False)
    statement = office.node.journal.statement(answer.statement)
    assert statement.kind == "decision.made"
    assert statement.body == {"level": "L0", "model": model.hash}
    assert statement.links == {"model": [office.shelf.find("heart").published]}


def test_input_score_reasons_and_asker_stand_in_the_sealed_payload_only(office: Office) -> None:
    answer = office.ask(70, subject="patient 17")
    entry = office.node.journal.entry(answer.statement)
    sealed = office.node.journal.payload(answer.statement)
    assert isinstance(sealed, dict)
    assert (sealed["input"], sealed["score"], sealed["asked_by"]) == (row(70), answer.score, "dr-1")
    for word in (b"dr-1", b"patient", b"age", str(answer.score).encode()):
        assert word not in entry.bytes


def test_erasing_the_subject_makes_the_input_unknowable(office: Office) -> None:
    answer = office.ask(70, subject="patient 17")
    office.node.journal.erase("patient 17")
    with pytest.raises(DisclosureError):
        office.node.journal.payload(answer.statement)


def test_several_labels_give_several_scores_and_the_largest_one_decides(office: Office) -> None:
    answer = office.desk.ask("route", row(100))
    assert (answer.decision, answer.scores) == ("middle", (100, 150, -95))
    with pytest.raises(ModelInputError, match="3 scores"):
        _ = answer.score


def test_clipped_and_unknown_cells_are_flagged_and_others_are_not(office: Office) -> None:
    assert office.ask(70).flags == ()
    assert office.desk.ask("heart", row(9_999, "other")).flags == ("age", "sex")


def test_many_rows_are_answered_in_order_and_stated_together(office: Office) -> None:
    answers = office.desk.ask_many("heart", [row(30), row(80)], subjects=["a", "b"])
    assert [answer.decision for answer in answers] == ["no", "yes"]
    assert office.kinds() == ["decision.made", "decision.made"]


def test_no_rows_give_no_answers_and_no_statement(office: Office) -> None:
    assert office.desk.ask_many("heart", []) == []
    assert office.kinds() == []


@pytest.mark.parametrize("bad", [{}, {"age": "NaN", "sex": "male"}, {"age": "seventy", "sex": "male"}])
def test_an_input_that_does_not_fit_is_refused_and_nothing_is_stated(
    office: Office, bad: dict[str, str | None]
) -> None:
    with pytest.raises(ModelInputError):
        office.desk.ask_many("heart", [row(70), bad])
    assert office.kinds() == []


def test_subjects_must_be_as_many_as_rows(office: Office) -> None:
    with pytest.raises(ModelInputError, match="subject for each"):
        office.desk.ask_many("heart", [row(70)], subjects=["a", "b"])


def test_an_unknown_and_a_retired_model_are_not_asked_and_a_published_one_is(office: Office) -> None:
    with pytest.raises(NotFoundError):
        office.desk.ask("lungs", row(70))
    office.publish(heart("old"), stage="retired")
    with pytest.raises(RetiredModelError):
        office.desk.ask("old", row(70))
    office.publish(heart("new"), stage="published")
    assert office.desk.ask("new", row(70)).decision == "yes"


def test_a_source_that_gives_another_model_than_it_named_is_found_out(office: Office) -> None:
    version = office.shelf.find("heart")
    office.shelf.models[version.hash] = heart(bias=5)
    with pytest.raises(DefectError, match="another model"):
        office.desk.ask("heart", row(70))


@pytest.mark.parametrize(("recorder", "error"), [(Broken(), StorageError), (Forgetful(), DefectError)])
def test_nothing_is_answered_when_it_could_not_be_recorded(
    office: Office, recorder: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        Desk(recorder, office.shelf).ask("heart", row(70))


def test_a_statement_or_a_fact_on_a_chain_can_be_the_permit_and_is_linked(office: Office) -> None:
    consent = office.node.record("consent.granted", {"purpose": "TREAT"}).id
    by_statement = office.node.journal.statement(office.ask(permit=consent).statement)
    assert by_statement.links["permit"] == [consent]
    fact = ChainFact(4221, "0x" + "ab" * 20, 8_702, "4471")
    by_fact = office.node.journal.statement(office.ask(permit=fact).statement)
    assert by_fact.body["permit"] == {
        "block": 8_702,
        "chain": 4221,
        "contract": "0x" + "ab" * 20,
        "id": "4471",
    }


def test_a_permit_that_is_no_statements_id_is_refused(office: Office) -> None:
    with pytest.raises(StatementError):
        office.ask(permit="yes please")
    assert office.kinds() == []


def test_a_refused_permit_gives_no_answer_and_a_granted_one_does(office: Office) -> None:
    seen = []

    def check(permit: Any, model: str, subject: str) -> bool:
        seen.append((model, subject))
        return subject != "patient 13"

    desk = office.desk_with(check_permit=check)
    assert desk.ask("heart", row(70), subject="patient 17").decision == "yes"
    with pytest.raises(AccessDeniedError, match="not permitted"):
        desk.ask_many("heart", [row(70), row(70)], subjects=["patient 17", "patient 13"])
    assert office.kinds() == ["decision.made"]
    assert seen[0] == (heart().hash, "patient 17")


def test_more_statements_can_be_linked(office: Office) -> None:
    data = office.node.record("data.registered", {"rows": "1-10", "schema": "heart/1"}).id
    answer = office.desk.ask("heart", row(70), links={"data": [data]})
    assert office.node.journal.statement(answer.statement).links["data"] == [data]


def test_an_answer_gives_its_receipt_closed_or_opened_as_told(office: Office) -> None:
    answer = office.ask(70)
    closed, opened = answer.receipt(), answer.receipt(disclose=["answer"])
    assert closed.statement.id == answer.statement
    assert closed.opening is None
    assert opened.opening is not None
    assert [(one["path"], one["value"]) for one in opened.opening["fields"]] == [("answer", "yes")]
    with pytest.raises(DisclosureError):
        answer.receipt(disclose=["no such field"])


def test_without_somebody_who_makes_receipts_there_is_none(office: Office) -> None:
    class Bare:
        record_many = office.node.record_many

    answer = Desk(Bare(), office.shelf).ask("heart", row(70))
    with pytest.raises(ConfigurationError, match="no receipts"):
        answer.receipt()


def test_the_words_say_no_more_than_one_node_said_so(office: Office) -> None:
    answer = office.ask()
    assert answer.words.startswith("this node said so")
    assert answer.who_sees.others == ()


class Foreign:
    """A model that is not the product's own."""

    reexecutable = False
    words = "the score comes from elsewhere"
    labels = ("fine", "fraud")
    name, bytes, hash = "foreign", b"{}", "f0" * 32

    def __init__(self, family: str) -> None:
        self.family, self.asked = family, 0

    def score_row(self, row: Any) -> Scored:
        self.asked += 1
        return Scored("fraud", (750_000,), 1_000_000, 0.75)


def test_an_opaque_models_answer_says_that_nobody_can_check_it(office: Office) -> None:
    office.publish(Foreign("opaque"))
    answer = office.desk.ask("foreign", row(70))
    assert (answer.decision, answer.scores, answer.probability) == ("fraud", (750_000,), 0.75)
    assert "cannot be re-executed" in answer.words
    assert answer.words.endswith("the score comes from elsewhere")
    assert (answer.reasons, answer.flags) == ((), ())
    assert "cannot be re-executed" not in office.ask().words


def test_somebody_elses_program_gets_the_row_only_when_the_caller_said_so(office: Office) -> None:
    model = Foreign("external")
    office.publish(model)
    with pytest.raises(DisclosureError, match="somebody else's program"):
        office.desk.ask("foreign", row(70))
    assert (model.asked, office.kinds()) == (0, ["model.published"])
    answer = office.desk.ask("foreign", row(70), reveal=("scorer",))
    assert answer.decision == "fraud"
    assert answer.who_sees.others == ("scorer",)
