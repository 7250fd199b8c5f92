"""Rounds of masked sums over HTTP: all get the sums, nobody a bank's own; who is missing, who restarts, who lies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.unit.apps.fraud.sharing.banks import DAY, SECOND, START, make_payment
from tests.unit.apps.fraud.sharing.served_banks import Counted, ServedBanks, served_banks

from tallystick.apps.fraud.sharing import RiskCounts, RiskHistory, RiskRule, RoundDesk, RoundPlan
from tallystick.errors import ConfigurationError, NotFoundError
from tallystick.proof import encode_base64url

RULE = RiskRule(floor=5, least=20, weight=50.0, bucket_bits=4)
PLAN = RoundPlan(START, DAY, ("T1", "T2"), RULE)
COUNTS = [
    RiskCounts({"T1": (100, 10), "T2": (50, 0), "own": (9, 9)}, {3: (40, 4)}),
    RiskCounts({"T1": (200, 5), "T2": (50, 0)}, {3: (40, 0)}),
    RiskCounts({"T1": (100, 5)}, {}),
]


@contextmanager
def due(directory: Path, plan: RoundPlan = PLAN) -> Iterator[ServedBanks]:
    with served_banks(directory, rounds=plan, counts=COUNTS) as banks:
        banks.clock.now = START + DAY + SECOND
        for sharing in banks.sharings:
            sharing.look_at_holds()
        yield banks


def go_on(banks: ServedBanks, times: int = 3) -> list[bool]:
    for _ in range(times):
        said = [sharing.hold_rounds() for sharing in banks.sharings]
    return said


def table(banks: ServedBanks, place: int) -> RiskHistory:
    return banks.sharings[place].signals.shared.risks


def test_all_banks_get_the_sums_and_use_them_from_the_agreed_time_on(tmp_path: Path) -> None:
    with due(tmp_path) as banks:
        assert go_on(banks) == [True, True, True]
        for place in range(3):
            assert table(banks, place).at(PLAN.known_at(1) - 1) is None
            found = table(banks, place).at(PLAN.known_at(1))
            assert found is not None
            assert found.terminals == {"T1": (400, 20), "T2": (100, 0)}
            assert found.buckets == {3: (80, 4)}
            kinds = [entry.statement.kind for entry in banks.nodes[place].journal.entries()]
            assert [kinds.count(k) for k in ("round.opened", "update.committed", "round.closed")] == [1, 1, 1]
        banks.clock.now = PLAN.known_at(1)
        seen = banks.sharings[1].signals
        row = seen.look([make_payment(1, "DE1", at=banks.clock.now, terminal="T1")])[0]
        assert row[2] == pytest.approx((20 + 0.04 * 50) / 450)
        assert banks.sharings[1].standing().round == 1


def test_nothing_is_held_before_it_is_due_and_nothing_twice(tmp_path: Path) -> None:
    with due(tmp_path) as banks:
        banks.clock.now = START + DAY - SECOND
        assert go_on(banks) == [True, True, True]
        assert table(banks, 0).at(START + 30 * DAY) is None
        banks.clock.now = START + DAY
        go_on(banks, 6)
        assert len(banks.bodies(0, "round.opened")) == 1
        banks.clock.now = START + 2 * DAY
        go_on(banks)
        assert [body["round"] for body in banks.bodies(0, "round.closed")] == [1, 2]


def test_without_a_member_there_is_no_sum_and_it_is_named(tmp_path: Path) -> None:
    with due(tmp_path) as banks:
        a, b, _ = banks.sharings
        for _ in range(3):
            assert not a.hold_rounds()
            assert not b.hold_rounds()
        assert a.standing().trouble == "round 1: no key of Bank C yet"
        assert banks.bodies(0, "update.committed") == []  # nothing left the bank, masked or not
        go_on(banks)
        assert table(banks, 0).at(START + 2 * DAY) is not None


def test_a_member_that_begins_again_with_another_key_ends_the_round_and_the_next_one_is_held(
    tmp_path: Path,
) -> None:
    with due(tmp_path) as banks:
        a, b, c = banks.sharings
        a.hold_rounds(), b.hold_rounds()
        c.hold_rounds()
        assert b._rounds is not None
        b._rounds._now = None  # a crash before it stated its vector
        go_on(banks, 4)
        assert {sharing.standing().round for sharing in (a, c)} == {1}
        assert all(table(banks, place).at(START + 9 * DAY) is None for place in (0, 2))
        banks.clock.now = START + 2 * DAY
        go_on(banks, 4)
        assert all(table(banks, place).at(START + 9 * DAY) is not None for place in range(3))


def test_members_that_count_different_things_get_no_sum_and_are_told_why(tmp_path: Path) -> None:
    with due(tmp_path) as banks:
        assert banks.sharings[1]._rounds is not None
        banks.sharings[1]._rounds._plan = RoundPlan(START, DAY, ("T1",), RULE)
        go_on(banks)
        assert banks.sharings[0].standing().trouble == "Bank B counts something else in this round"
        assert banks.bodies(0, "update.committed") == []


def test_a_vector_that_was_not_stated_is_refused_and_its_member_named(tmp_path: Path) -> None:
    with due(tmp_path) as banks:
        liar = banks.sharings[1]._rounds
        assert liar is not None
        for _ in range(2):
            banks.sharings[2].hold_rounds()
            banks.sharings[0].hold_rounds()
            banks.sharings[1].hold_rounds()
        assert liar._now is not None
        told = json.loads(liar._now.vector)
        told["update"] = encode_base64url(bytes(len(liar._now.updates[banks.nodes[1].id])))
        liar._now.vector = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
        assert banks.sharings[0]._rounds is not None
        banks.sharings[0]._rounds._over = 0
        fresh = banks.sharings[0]._rounds._now
        assert fresh is not None
        fresh.updates.pop(banks.nodes[1].id, None)
        assert not banks.sharings[0].hold_rounds()
        assert "Bank B handed in another vector than the one that it stated" in (
            banks.sharings[0].standing().trouble
        )


def test_tables_outlive_a_restart(tmp_path: Path) -> None:
    with due(tmp_path) as banks:
        go_on(banks)
        before = table(banks, 0).at(START + 2 * DAY)
        risks, sharing = RiskHistory(), banks.sharings[0]
        desk = RoundDesk(
            sharing.member, sharing._links, plan=PLAN, counts=Counted(COUNTS[0]), risks=risks,
            directory=banks.nodes[0].workspace.path / "sharing" / "rounds",
        )  # fmt: skip
        assert desk.resume() == 1
        assert desk.over == 1
        assert risks.at(START + 2 * DAY) == before
        assert desk.turn(banks.clock.now) == ""
        (banks.nodes[0].workspace.path / "sharing" / "rounds" / "round-1.json").write_bytes(b"{}")
        assert desk.resume() == 0  # a damaged file is a table less, and nothing else


def test_a_round_that_a_crash_cut_off_is_not_begun_again(tmp_path: Path) -> None:
    with due(tmp_path) as banks:
        for sharing in banks.sharings:
            sharing.hold_rounds()
        for sharing in banks.sharings:
            sharing.hold_rounds()
        desk = banks.sharings[0]._rounds
        assert desk is not None
        desk._now, desk._over = None, 0
        assert desk.turn(banks.clock.now) == ""
        assert len(banks.bodies(0, "update.committed")) == 1


def test_parts_of_a_round_that_is_not_held_are_not_there(tmp_path: Path) -> None:
    with due(tmp_path) as banks:
        with pytest.raises(NotFoundError):
            banks.sharings[0].round_part(1, 1, "key")
        banks.sharings[0].hold_rounds()
        assert banks.sharings[0].round_part(1, 1, "key")
        for epoch, number, part in ((1, 1, "vector"), (2, 1, "key"), (1, 2, "key")):
            with pytest.raises(NotFoundError):
                banks.sharings[0].round_part(epoch, number, part)


def test_a_plan_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        RoundPlan(START, 0)
    with pytest.raises(ConfigurationError):
        RoundPlan(START, DAY, ("T1", "T1"))
