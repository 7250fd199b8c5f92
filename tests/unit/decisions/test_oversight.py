"""People stay in charge: kill switch, confirmation, appeal, four eyes, override; and every deadline fails closed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from office import DAY, Office, heart, row

from tallystick.decisions import Band, Control, Deadlines, Effect
from tallystick.errors import (
    AccessDeniedError,
    ConfigurationError,
    DeadlineError,
    DisclosureError,
    InputError,
    ModelInputError,
    NotFoundError,
    StatementError,
)

HIGH = Control("confirm", (Band("high risk", low=0),))


def set_control(office: Office, control: Control, **options: str) -> str:
    return office.oversight.set_control(control, by="boss", reason="drift was seen", **options)


# -- the kill switch -----------------------------------------------------------------------------------------


def test_a_refusing_control_stops_every_answer_and_two_persons_lift_it(office: Office) -> None:
    set_control(office, Control("refuse"))
    with pytest.raises(AccessDeniedError, match="switched it off"):
        office.ask()
    assert office.kinds() == ["control.set"]
    with pytest.raises(AccessDeniedError, match="two different persons"):
        set_control(office, Control())
    with pytest.raises(AccessDeniedError, match="two different persons"):
        set_control(office, Control(), second="boss")
    set_control(office, Control(), second="deputy")
    assert office.ask().decision == "yes"


def test_the_rules_only_control_lets_the_written_rule_decide(office: Office) -> None:
    control = set_control(office, Control("rules"))
    answer = office.ask(60, subject="patient 17")
    assert (answer.decision, answer.model, answer.scores) == ("no", "", ())
    assert "no model was asked" in answer.words
    statement = office.node.journal.statement(answer.statement)
    assert (statement.kind, statement.body) == ("decision.ruled", {"rule": "over-65"})
    assert statement.links == {"control": [control]}
    assert office.oversight.in_force(answer.statement) == "no"


def test_without_a_written_rule_the_rules_only_control_refuses(office: Office) -> None:
    set_control(office, Control("rules"))
    with pytest.raises(AccessDeniedError, match="no written rule"):
        office.desk_with(rule=None).ask("heart", row(60))


def test_a_control_of_one_model_leaves_the_others_alone(office: Office) -> None:
    set_control(office, Control("refuse"), scope=heart().hash)
    with pytest.raises(AccessDeniedError):
        office.ask()
    assert office.desk.ask("route", row(70)).decision == "middle"


def test_of_two_controls_the_stricter_counts(office: Office) -> None:
    set_control(office, Control("refuse"), scope=heart().hash)
    set_control(office, HIGH)
    assert office.oversight.control(heart().hash).mode == "refuse"
    assert office.oversight.control("00" * 32).mode == "confirm"


def test_a_control_whose_time_is_over_refuses_until_a_person_sets_it_anew(office: Office) -> None:
    set_control(office, Control("rules", until=office.now + 60_000_000))
    assert office.ask().level == "L0"
    office.pass_time(60)
    with pytest.raises(AccessDeniedError, match="time is over"):
        office.ask()
    statement = next(entry.statement for entry in office.node.log(kind="control.set"))
    assert statement.body["then"] == "refuse"


def test_a_control_set_while_an_answer_is_on_its_way_keeps_it_back(office: Office) -> None:
    recorder = office.node

    class Slow:
        def record_many(self, drafts: list[object]) -> object:
            office.oversight.set_control(Control("refuse"), by="boss", reason="now")
            return recorder.record_many(drafts)  # type: ignore[arg-type]

    desk = office.desk_with()
    desk._recorder = Slow()  # type: ignore[assignment]
    with pytest.raises(AccessDeniedError, match="on its way"):
        desk.ask("heart", row(70))


def test_a_control_that_was_recorded_without_the_rules_does_not_count(office: Office) -> None:
    set_control(office, Control("refuse"))
    loose = Control().body(scope="all", reason="because")
    office.node.record("control.set", loose, fields={"by": "boss"})
    office.node.record("control.set", loose)
    office.node.record("control.set", {**loose, "mode": "anything"}, fields={"by": "x", "second": "y"})
    office.node.record("control.set", {**loose, "bands": [{"low": 1}]}, fields={"by": "x", "second": "y"})
    with pytest.raises(AccessDeniedError):
        office.ask()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Control("sometimes"),
        lambda: Control("refuse", (Band("all"),)),
        lambda: Control("confirm", (Band("empty", 5, 5),)),
    ],
)
def test_a_control_that_makes_no_sense_is_refused(make: Callable[[], Control]) -> None:
    with pytest.raises(ConfigurationError):
        make()


def test_fewer_questions_to_people_count_as_looser(office: Office) -> None:
    set_control(office, HIGH)
    set_control(office, Control("confirm", (Band("high risk", low=0), Band("very low", high=-(10**6)))))
    for looser in (HIGH, Control("confirm", (Band("low", high=0),))):
        with pytest.raises(AccessDeniedError):
            set_control(office, looser)
    set_control(office, Control("confirm"))
    with pytest.raises(AccessDeniedError):
        set_control(office, HIGH)


def test_prolonging_a_controls_time_takes_two_persons(office: Office) -> None:
    set_control(office, Control("confirm", until=office.now + 60_000_000))
    for longer in (Control("confirm"), Control("rules"), Control("rules", until=office.now + 61_000_000)):
        with pytest.raises(AccessDeniedError):
            set_control(office, longer)
    set_control(office, Control("rules", until=office.now + 60_000_000))
    set_control(office, Control("refuse"))


# -- a person confirms ---------------------------------------------------------------------------------------


def test_in_the_risk_band_an_answer_waits_for_a_person_and_beside_it_does_not(office: Office) -> None:
    set_control(office, HIGH)
    assert office.ask(30).decision == "no"
    answer = office.ask(70)
    assert (answer.decision, answer.proposal, answer.is_pending) == ("", "yes", True)
    assert answer.words.startswith("a proposal that a person has to confirm")
    assert office.oversight.effect(answer.statement) is Effect.PENDING
    with pytest.raises(AccessDeniedError, match="pending"):
        office.oversight.in_force(answer.statement)
    office.oversight.confirm(answer.statement, by="dr-2")
    assert office.oversight.in_force(answer.statement) == "yes"


@pytest.mark.parametrize("scope", ["heart", "heart@1", "All", "", "AB" * 32])
def test_a_control_that_would_stop_no_model_is_refused(office: Office, scope: str) -> None:
    with pytest.raises(StatementError, match="scope"):
        set_control(office, Control("refuse"), scope=scope)


def test_who_asked_cannot_confirm(office: Office) -> None:
    set_control(office, HIGH)
    answer = office.ask(70, by="dr-1")
    with pytest.raises(AccessDeniedError, match="four eyes"):
        office.oversight.confirm(answer.statement, by="dr-1")
    assert office.oversight.effect(answer.statement) is Effect.PENDING


def test_who_asked_cannot_bring_a_proposal_into_force_by_an_override_either(office: Office) -> None:
    set_control(office, HIGH)
    answer = office.ask(70, by="dr-1")
    with pytest.raises(AccessDeniedError, match="four eyes"):
        office.oversight.override(answer.statement, by="dr-1", to=answer.proposal, reason="quicker")
    with pytest.raises(AccessDeniedError, match="pending"):
        office.oversight.in_force(answer.statement)
    office.oversight.override(answer.statement, by="dr-2", to="no", reason="other findings")
    assert office.oversight.in_force(answer.statement) == "no"


def test_what_nobody_confirms_in_time_lapses_for_good(office: Office) -> None:
    set_control(office, HIGH)
    answer = office.ask(70)
    body = office.node.journal.statement(answer.statement).body
    assert (body["until"], body["then"]) == (answer.until, "no decision is made")
    office.pass_time(600)
    assert office.oversight.effect(answer.statement) is Effect.LAPSED
    with pytest.raises(DeadlineError):
        office.oversight.confirm(answer.statement, by="dr-2")
    with pytest.raises(DeadlineError):
        office.oversight.override(answer.statement, by="dr-2", to="no", reason="late")
    with pytest.raises(AccessDeniedError, match="lapsed"):
        office.oversight.in_force(answer.statement)


def test_only_what_waits_can_be_confirmed_and_only_once(office: Office) -> None:
    with pytest.raises(InputError, match="does not wait"):
        office.oversight.confirm(office.ask(70).statement, by="dr-2")
    set_control(office, HIGH)
    answer = office.ask(70)
    office.oversight.confirm(answer.statement, by="dr-2")
    with pytest.raises(InputError, match="does not wait"):
        office.oversight.confirm(answer.statement, by="dr-3")


def test_a_person_may_decide_otherwise_than_was_proposed(office: Office) -> None:
    set_control(office, HIGH)
    answer = office.ask(70)
    office.oversight.override(answer.statement, by="dr-2", to="no", reason="other findings", note="see X-ray")
    assert office.oversight.in_force(answer.statement) == "no"
    with pytest.raises(InputError, match="does not wait"):
        office.oversight.confirm(answer.statement, by="dr-3")


# -- appeal and review ---------------------------------------------------------------------------------------


def test_two_persons_who_agree_overturn_a_decision_after_an_appeal(office: Office) -> None:
    decision = office.ask(70).statement
    office.oversight.appeal(decision, by="patient 17", grounds="wrong age", subject="patient 17")
    assert office.oversight.effect(decision) is Effect.APPEALED
    assert office.oversight.in_force(decision) == "yes"
    office.oversight.review(decision, by="dr-2", to="no")
    assert [(one.asks, one.heard) for one in office.oversight.waiting()] == [("review", 1)]
    second = office.oversight.review(decision, by="dr-3", to="no")
    assert office.oversight.effect(decision) is Effect.OVERRIDDEN
    assert office.oversight.in_force(decision) == "no"
    assert office.oversight.waiting() == []
    override = list(office.node.log(kind="decision.overridden"))[-1].statement
    assert override.links["decision"] == [decision]
    assert second == list(office.node.log(kind="decision.reviewed"))[-1].id


def test_two_persons_who_agree_uphold_a_decision(office: Office) -> None:
    decision = office.ask(70).statement
    office.oversight.appeal(decision, by="patient 17")
    office.oversight.review(decision, by="dr-2")
    office.oversight.review(decision, by="dr-3")
    assert office.oversight.effect(decision) is Effect.IN_FORCE
    with pytest.raises(InputError, match="settled"):
        office.oversight.review(decision, by="dr-4")
    with pytest.raises(InputError, match="already"):
        office.oversight.appeal(decision, by="patient 17")


def test_persons_who_disagree_leave_it_open_for_a_third(office: Office) -> None:
    decision = office.ask(70).statement
    office.oversight.appeal(decision, by="patient 17")
    office.oversight.review(decision, by="dr-2", to="no")
    office.oversight.review(decision, by="dr-3")
    assert office.oversight.effect(decision) is Effect.APPEALED
    office.oversight.review(decision, by="dr-4")
    assert office.oversight.in_force(decision) == "yes"
    assert office.oversight.effect(decision) is Effect.IN_FORCE


@pytest.mark.parametrize(
    ("by", "words"), [("dr-2", "has reviewed"), ("dr-1", "asked"), ("patient 17", "appealed")]
)
def test_neither_asker_nor_appellant_nor_the_same_person_twice_are_four_eyes(
    office: Office, by: str, words: str
) -> None:
    decision = office.ask(70, by="dr-1").statement
    office.oversight.appeal(decision, by="patient 17")
    office.oversight.review(decision, by="dr-2", to="no")
    with pytest.raises(AccessDeniedError, match=words):
        office.oversight.review(decision, by=by, to="no")
    assert office.oversight.effect(decision) is Effect.APPEALED


def test_one_person_cannot_settle_a_review_by_an_override(office: Office) -> None:
    decision = office.ask(70).statement
    office.oversight.appeal(decision, by="patient 17")
    office.oversight.review(decision, by="dr-2", to="no")
    with pytest.raises(AccessDeniedError, match="two persons settle"):
        office.oversight.override(decision, by="dr-2", to="no", reason="I know better")


def test_a_review_that_does_not_come_in_time_suspends_the_decision_and_a_late_one_still_counts(
    office: Office,
) -> None:
    decision = office.ask(70).statement
    appeal = office.oversight.appeal(decision, by="patient 17")
    assert office.node.journal.statement(appeal).body["then"] == "nobody may act on the decision"
    office.pass_time(7 * DAY)
    assert office.oversight.effect(decision) is Effect.SUSPENDED
    with pytest.raises(AccessDeniedError, match="suspended"):
        office.oversight.in_force(decision)
    office.oversight.review(decision, by="dr-2")
    office.oversight.review(decision, by="dr-3")
    assert office.oversight.in_force(decision) == "yes"


def test_an_appeal_comes_in_time_or_not_at_all(office: Office) -> None:
    first, second = office.ask(70).statement, office.ask(71).statement
    office.pass_time(30 * DAY - 1)
    office.oversight.appeal(first, by="patient 17")
    office.pass_time(2)
    with pytest.raises(DeadlineError):
        office.oversight.appeal(second, by="patient 18")


def test_what_is_no_decision_or_was_never_appealed_cannot_be_reviewed(office: Office) -> None:
    with pytest.raises(NotFoundError):
        office.oversight.appeal("00" * 32, by="patient 17")
    with pytest.raises(StatementError, match="expected a decision"):
        office.oversight.appeal(office.shelf.find("heart").published, by="patient 17")
    with pytest.raises(NotFoundError, match="expected a decision"):
        office.oversight.effect(office.shelf.find("heart").published)
    with pytest.raises(InputError, match="nobody appealed"):
        office.oversight.review(office.ask(70).statement, by="dr-2")


def test_who_acts_must_be_named(office: Office) -> None:
    decision = office.ask(70).statement
    with pytest.raises(ModelInputError):
        office.oversight.override(decision, by="", to="no", reason="x")
    with pytest.raises(ModelInputError):
        office.oversight.override(decision, by="dr-2", to="", reason="x")


def test_persons_and_labels_stand_in_no_readable_byte(office: Office) -> None:
    decision = office.ask(70).statement
    office.oversight.appeal(decision, by="patient 17", grounds="wrong age")
    office.oversight.review(decision, by="dr-2", to="nope")
    office.oversight.review(decision, by="dr-3", to="nope")
    written = b"".join(entry.bytes for entry in office.node.journal.entries())
    for word in (b"patient 17", b"dr-2", b"dr-3", b"nope", b"wrong age"):
        assert word not in written


def test_the_state_is_the_same_after_a_restart(office: Office) -> None:
    appealed, overridden = office.ask(70).statement, office.ask(71).statement
    office.oversight.appeal(appealed, by="patient 17")
    office.oversight.review(appealed, by="dr-2", to="no")
    office.oversight.override(overridden, by="dr-2", to="no", reason="other findings")
    set_control(office, HIGH)
    pending = office.ask(72).statement
    before = office.oversight.waiting()
    office.restart()
    assert office.oversight.waiting() == before
    assert office.oversight.effect(overridden) is Effect.OVERRIDDEN
    assert office.oversight.control(heart().hash).mode == "confirm"
    with pytest.raises(AccessDeniedError):
        office.oversight.review(appealed, by="dr-2", to="no")
    office.oversight.review(appealed, by="dr-3", to="no")
    office.oversight.confirm(pending, by="dr-4")
    assert [office.oversight.in_force(one) for one in (appealed, overridden, pending)] == ["no", "no", "yes"]


def test_statements_that_broke_the_rules_count_for_nothing_however_they_came_in(office: Office) -> None:
    decision = office.ask(70, by="dr-1").statement
    office.oversight.appeal(decision, by="patient 17")
    office.oversight.review(decision, by="dr-2", to="no")
    links = {"decision": [decision]}
    for by in ("dr-1", "dr-2", "patient 17"):
        office.node.record(
            "decision.reviewed", {"outcome": "overturned"}, links=links, fields={"by": by, "to": "no"}
        )
    office.node.record("decision.reviewed", {"outcome": "overturned"}, links=links)
    office.node.record("decision.reviewed", {"outcome": "burned"}, links=links, fields={"by": "dr-9"})
    office.node.record("decision.overridden", {"reason": "x"}, links=links, fields={"by": "dr-2", "to": "no"})
    assert office.oversight.effect(decision) is Effect.APPEALED


def test_what_was_erased_fails_closed(office: Office) -> None:
    decision = office.ask(70, subject="patient 17").statement
    office.oversight.appeal(decision, by="patient 17", subject="patient 17")
    office.node.journal.erase("patient 17")
    office.restart()
    with pytest.raises(DisclosureError):
        office.oversight.in_force(decision)
    with pytest.raises(AccessDeniedError, match="cannot be known"):
        office.oversight.review(decision, by="dr-2", to="no")


def test_a_person_can_sign_her_appeal_herself(office: Office) -> None:
    from tallystick.proof import sign_as_author, verify_author

    signer = office.node.party.signer("author")
    author = sign_as_author(b"I object", signer=signer, network="test", origin=office.node.origin)
    appeal = office.oversight.appeal(office.ask(70).statement, by="patient 17", author=author)
    body = office.node.journal.statement(appeal).body
    assert verify_author(body["author"], origin=office.node.origin)[1] == b"I object"


def test_deadlines_must_be_positive() -> None:
    with pytest.raises(ModelInputError):
        Deadlines(confirm_s=0)
