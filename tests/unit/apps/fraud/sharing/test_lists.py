"""The list's root at agreed moments: stated, posted, and held against what the others posted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.unit.apps.fraud.sharing.banks import START
from tests.unit.apps.fraud.sharing.served_banks import ServedBanks, served_banks

from tallystick.apps.fraud.sharing import ListDesk, ListPlan
from tallystick.apps.fraud.sharing._lists import parse_listed
from tallystick.errors import ConfigurationError, EncodingError, NodeUnreachableError, RevertError

SECOND = 1_000_000
HOUR = 3_600 * SECOND
MULE = "DE89370400440532013000"
PLAN = ListPlan(every_s=3_600, settle_s=600)


class Board:
    """The contract, as members see it: a root once for each number."""

    def __init__(self) -> None:
        self.roots: dict[tuple[int, int, str], bytes] = {}
        self.refuses = False

    def of(self, party: str) -> Any:
        board = self

        class Mine:
            def post_list(self, epoch: int, number: int, root: bytes, entries: int) -> None:
                if board.refuses:
                    raise RevertError("holds: number of the list")
                board.roots[epoch, number, party] = root

            def posted(self, epoch: int, number: int, who: str) -> bytes | None:
                return board.roots.get((epoch, number, who))

        return Mine()


@pytest.fixture
def banks(tmp_path: Path) -> Iterator[ServedBanks]:
    with served_banks(tmp_path) as made:
        yield made


def desks(banks: ServedBanks, board: Board | None) -> list[ListDesk]:
    made = []
    for sharing in banks.sharings:
        mine = board.of(sharing.member.id) if board else None
        made.append(ListDesk(sharing.member, sharing._links, plan=PLAN, board=mine))
    return made


def report(banks: ServedBanks, place: int = 0, payee: str = MULE) -> bytes:
    member = banks.sharings[place].member
    member.report(payee, customer="c-1")
    return member.report(payee, customer="c-2").token


def standings(desk: ListDesk) -> list[str]:
    return [one.standing for one in desk.agreements]


def until(banks: ServedBanks, number: int) -> int:
    banks.clock.now = START + number * HOUR + 601 * SECOND
    return banks.clock.now


def lose(banks: ServedBanks, place: int, of: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what one bank says from another."""

    def lost(_receipt: bytes) -> None:
        raise NodeUnreachableError("it is lost")

    monkeypatch.setattr(banks.sharings[place]._links[of], "send_report", lost)


@pytest.mark.parametrize("on_chain", [True, False])
def test_members_that_heard_the_same_agree_on_each_list(banks: ServedBanks, on_chain: bool) -> None:
    made = desks(banks, Board() if on_chain else None)
    assert [desk.turn(banks.clock.now) for desk in made] == ["", "", ""]
    assert [desk.number for desk in made] == [0, 0, 0]
    report(banks)
    now = until(banks, 1)
    for _ in range(2):
        assert [desk.turn(now) for desk in made] == ["", "", ""]
    assert [standings(desk) for desk in made] == [["same", "same"]] * 3
    bodies = [banks.bodies(place, "list.stated") for place in range(3)]
    assert bodies[0] == bodies[1] == bodies[2]
    assert [(body["number"], body["as_of"], body["entries"]) for body in bodies[0]] == [(1, START + HOUR, 1)]


def test_a_list_is_stated_once_also_over_a_restart_and_a_missed_one_is_left_out(banks: ServedBanks) -> None:
    report(banks)
    board = Board()
    desks(banks, board)[0].turn(until(banks, 1))
    desks(banks, board)[0].turn(banks.clock.now)
    desks(banks, board)[0].turn(until(banks, 5))
    assert [body["number"] for body in banks.bodies(0, "list.stated")] == [1, 5]
    assert [number for _, number, _ in board.roots] == [1, 5]


def test_a_word_that_came_late_before_a_restart_changes_no_root_that_was_stated(banks: ServedBanks) -> None:
    board = Board()
    now = until(banks, 1)
    for desk in desks(banks, board):
        desk.turn(now)
    member = banks.sharings[0].member
    member.report(MULE, customer="c-1", at=START + HOUR // 2)
    member.report(MULE, customer="c-2", at=START + HOUR // 2)
    own = board.roots.pop((1, 1, member.id))  # it died between stating and posting
    again = desks(banks, board)[0]
    assert again.turn(now) == ""
    assert board.roots[1, 1, member.id] == own
    assert standings(again) == ["same", "same"]
    assert len(banks.bodies(0, "list.stated")) == 1


def test_a_member_that_heard_nothing_is_named_until_it_heard_and_agrees(
    banks: ServedBanks, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = desks(banks, Board())
    reporting = banks.sharings[0].member
    reporting.report(MULE, customer="c-1")
    lose(banks, 0, 1, monkeypatch)  # Bank A to Bank C
    reporting.report(MULE, customer="c-2")
    now = until(banks, 1)
    for desk in made:
        desk.turn(now)
    assert made[0].turn(now) == "Bank C has another list 1: 0 payees only there, 1 only here"
    assert made[2].turn(now) == (
        "Bank A has another list 1: 1 payees only there, 0 only here; "
        "Bank B has another list 1: 1 payees only there, 0 only here"
    )
    monkeypatch.undo()
    banks.sharings[0].member.deliver()
    assert [desk.turn(now) for desk in made] == ["", "", ""]
    assert standings(made[0]) == ["same", "late"]
    now = until(banks, 2)
    for _ in range(2):
        assert [desk.turn(now) for desk in made] == ["", "", ""]
    assert standings(made[0]) == ["same", "same"]


def test_a_member_that_keeps_a_payee_off_its_list_is_named(banks: ServedBanks) -> None:
    made = desks(banks, Board())
    token = report(banks)
    del banks.sharings[1].member.payees._words[token]
    now = until(banks, 1)
    for desk in made:
        desk.turn(now)
    assert "Bank B has another list 1: 0 payees only there, 1 only here" in made[0].turn(now)
    assert "Bank B" in made[2].turn(now)


def test_a_member_that_posts_another_root_than_it_serves_is_named_when_it_does_so_again(
    banks: ServedBanks,
) -> None:
    board = Board()
    made = desks(banks, board)
    liar = banks.nodes[1].id
    said = []
    for number in (1, 2, 3):
        now = until(banks, number)
        board.roots[1, number, liar] = bytes([number]) * 32
        said.append(made[0].turn(now))
    assert said == ["", "", "Bank B posted another list than it serves, 3 times in a row"]


def test_a_member_that_does_not_show_another_list_is_named_and_one_that_is_away_is_waited_for(
    banks: ServedBanks,
) -> None:
    board = Board()
    made = desks(banks, board)
    banks.stop[1]()
    now = until(banks, 1)
    assert made[0].turn(now) == ""
    assert standings(made[0]) == ["waits", "waits"]
    board.roots[1, 1, banks.nodes[1].id] = bytes(31) + b"\1"
    assert made[0].turn(now) == "Bank B has another list 1, and does not show it"


def test_a_root_that_cannot_be_posted_is_said_and_tried_again(banks: ServedBanks) -> None:
    board = Board()
    board.refuses = True
    sharing = banks.sharings[0]
    sharing._lists = desks(banks, board)[0]
    until(banks, 1)
    assert not sharing.state_lists()
    assert "the list's root: holds: number of the list" in sharing.standing().trouble
    board.refuses = False
    assert sharing.state_lists()
    assert sharing.standing().list == 1
    assert sharing.standing().lists == {"Bank B": "waits", "Bank C": "waits"}
    assert len(board.roots) == len(banks.bodies(0, "list.stated")) == 1


def test_a_list_is_stated_and_compared_in_the_background(
    banks: ServedBanks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallystick.apps.fraud.sharing._sharing.LISTS_EVERY_S", 0.02)
    until(banks, 1)
    seen = threading.Event()
    sharing = banks.sharings[0]
    turn = sharing.state_lists

    def watched() -> bool:
        found = turn()
        seen.set()
        return found

    monkeypatch.setattr(sharing, "state_lists", watched)
    sharing.start()
    assert seen.wait(20)
    assert banks.bodies(0, "list.stated")


@pytest.mark.parametrize("change", [
    {"type": "x"}, {"v": 2}, {"epoch": 2}, {"as_of": 1}, {"entries": None}, {"entries": [1]}, {"entries": [{}]},
    {"entries": [{"token": "00", "reports": 2, "since": 1, "disputed": False}]},
    {"entries": [{"token": "00" * 32, "reports": -1, "since": 1, "disputed": False}]},
    {"entries": [{"token": "00" * 32, "reports": 2, "since": "1", "disputed": False}]},
    {"entries": [{"token": "00" * 32, "reports": 2, "since": 1, "disputed": 0}]},
    {"entries": [{"token": "zz" * 32, "reports": 2, "since": 1, "disputed": False}]},
])  # fmt: skip
def test_what_a_member_serves_as_its_list_is_read_strictly(
    banks: ServedBanks, change: dict[str, Any]
) -> None:
    report(banks)
    at = until(banks, 1)
    sharing = banks.sharings[0]
    served = sharing.listed(1, at=at)
    own = sharing.member.payees.statement(1, at=at)
    assert parse_listed(served, own) == own.entries
    with pytest.raises(EncodingError):
        parse_listed(orjson.dumps({**orjson.loads(served), **change}), own)
    with pytest.raises(EncodingError):
        parse_listed(b"{", own)


@pytest.mark.parametrize("plan", [(5, 0), (100_000, 0), (60, -1)])
def test_a_plan_that_cannot_be_is_refused(plan: tuple[int, int]) -> None:
    with pytest.raises(ConfigurationError):
        ListPlan(*plan)
