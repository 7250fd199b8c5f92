"""Whatever people do, in whatever order and at whatever time: nothing is acted on that its rules do not allow."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.decisions import Band, Control, Deadlines, Effect, Oversight
from tallystick.errors import DisclosureError, InputError, NotFoundError
from tallystick.proof import Draft, Entry, Party, PayloadRef, format_statement

START = 1_795_000_000_000_000
SECOND = 1_000_000
DEADLINES = Deadlines(confirm_s=10, appeal_s=40, review_s=20)
ORIGIN = Party.create("Clinic").origin
PEOPLE = ("ann", "ben", "cid", "dan")
REF = PayloadRef("A" * 43, "fields", "application/json", "A" * 22, 1)


class Memory:
    """A journal in memory, and its party."""

    def __init__(self) -> None:
        self.listed: list[Entry] = []
        self.sealed: dict[str, dict[str, Any]] = {}
        self.now = START

    @property
    def journal(self) -> Memory:
        return self

    @property
    def size(self) -> int:
        return len(self.listed)

    def entries(
        self, start: int = 0, stop: int | None = None, *, kinds: Collection[str] | None = None
    ) -> Iterator[Entry]:
        for entry in self.listed[start:stop]:
            if kinds is None or entry.statement.kind in kinds:
                yield entry

    def entry(self, id_or_index: str | int) -> Entry:
        for entry in self.listed:
            if entry.id == id_or_index:
                return entry
        raise NotFoundError("no such statement")

    def payload(self, id_or_index: str | int) -> dict[str, Any]:
        id_ = self.listed[id_or_index].id if isinstance(id_or_index, int) else id_or_index
        if id_ not in self.sealed:
            raise DisclosureError("no payload")
        return self.sealed[id_]

    def record_many(self, drafts: Sequence[Draft]) -> list[Entry]:
        made = []
        for draft in drafts:
            self.now += 1
            said = format_statement(
                at=self.now, kind=draft.kind, body=draft.body, origin=ORIGIN, links=draft.links, payload=REF
            )
            entry = Entry(self.size, said.bytes)
            self.listed.append(entry)
            self.sealed[entry.id] = dict(draft.fields or {})
            made.append(entry)
        return made


DEEDS = st.lists(
    st.tuples(
        st.sampled_from(["appeal", "confirm", "override", "raw", "review", "wait", "uphold"]),
        st.integers(0, 2),  # which decision
        st.sampled_from(PEOPLE),
        st.integers(0, 25),  # seconds
    ),
    max_size=25,
)


def decide(memory: Memory, kind: str) -> str:
    until = {"then": "no decision is made", "until": memory.now + 10 * SECOND}
    body = {"level": "L0", "model": "00" * 32, **(until if kind == "decision.proposed" else {})}
    return memory.record_many([Draft(kind, body, fields={"answer": "yes", "asked_by": "ann"})])[0].id


def do(memory: Memory, oversight: Oversight, deed: str, decision: str, by: str) -> None:
    if deed == "appeal":
        oversight.appeal(decision, by=by)
    elif deed == "confirm":
        oversight.confirm(decision, by=by)
    elif deed == "override":
        oversight.override(decision, by=by, to="no", reason="otherwise")
    elif deed == "raw":  # past the rules, as anybody with the journal's keys can
        fields = {"by": by, "to": "no"}
        links = {"decision": [decision]}
        memory.record_many([Draft("decision.reviewed", {"outcome": "overturned"}, links, fields=fields)])
        memory.record_many([Draft("decision.confirmed", {}, links, fields=fields)])
    else:
        oversight.review(decision, by=by, to="no" if deed == "review" else "")


@settings(max_examples=150, deadline=None)
@given(DEEDS)
def test_what_counts_follows_from_the_journal_alone_and_never_without_the_people_it_takes(
    deeds: list[tuple[str, int, str, int]],
) -> None:
    memory = Memory()
    oversight = Oversight(memory, deadlines=DEADLINES, clock=lambda: memory.now)
    decisions = [decide(memory, kind) for kind in ("decision.made", "decision.proposed", "decision.made")]
    for deed, which, by, seconds in deeds:
        decision = decisions[which]
        if deed == "wait":
            memory.now += seconds * SECOND
            continue
        with suppress(InputError):
            do(memory, oversight, deed, decision, by)
        again = Oversight(memory, deadlines=DEADLINES, clock=lambda: memory.now)
        for one in decisions:
            effect = oversight.effect(one)
            assert again.effect(one) is effect
            check(memory, oversight, one, effect)
        assert again.waiting() == oversight.waiting()


def check(memory: Memory, oversight: Oversight, decision: str, effect: Effect) -> None:
    """What must hold, read from the journal in another way than the code does."""
    about = [
        (entry.statement, memory.sealed[entry.id])
        for entry in memory.listed
        if decision in entry.statement.links.get("decision", ())
    ]
    people = {
        kind: {sealed["by"] for said, sealed in about if said.kind == kind}
        for kind in ("decision.confirmed", "decision.reviewed")
    }
    try:
        label = oversight.in_force(decision)
    except InputError:
        label = ""
    assert bool(label) == effect.may_be_acted_on
    kind = memory.entry(decision).statement.kind
    if kind == "decision.proposed" and label == "yes":
        assert people["decision.confirmed"] - {"ann"}, "who asked confirmed"
    appeals = [said for said, _ in about if said.kind == "decision.appealed"]
    if appeals and effect is Effect.IN_FORCE:
        assert len(people["decision.reviewed"] - {"ann"}) >= 2
    if appeals and effect is Effect.APPEALED:
        assert memory.now < appeals[0].body["until"]


@given(
    st.lists(
        st.tuples(st.sampled_from(["normal", "confirm", "rules", "refuse"]), st.booleans(), st.booleans()),
        max_size=12,
    )
)
@settings(max_examples=150, deadline=None)
def test_a_control_gets_less_strict_only_with_two_persons(steps: list[tuple[str, bool, bool]]) -> None:
    memory = Memory()
    oversight = Oversight(memory, deadlines=DEADLINES, clock=lambda: memory.now)
    model = "00" * 32
    for mode, has_bands, has_second in steps:
        before = oversight.control(model)
        bands = (Band("high", low=0),) if has_bands and mode == "confirm" else ()
        try:
            oversight.set_control(
                Control(mode, bands), by="ann", reason="x", second="ben" if has_second else ""
            )
        except InputError:
            assert oversight.control(model) == before
            assert not has_second
            continue
        after = oversight.control(model)
        assert has_second or after.strictness >= before.strictness
        # Scores for which a person was asked are still not decided by the model alone.
        for scores in ((5,), (-5,)):
            asked = before.asks_a_person(scores) or before.strictness > 1
            assert has_second or not asked or after.asks_a_person(scores) or after.strictness > 1
