"""Power loss at every point of an append run: what was acknowledged is there, once, in order; mutants are caught."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tallystick.errors import TallystickError
from tallystick.proof import Draft, Journal, Party
from tallystick.testing import ForgetfulFiles, PowerLossError

PARTY = Party.create("Clinic North")
HOME = Path("/data/journal")
ROUNDS = 7


class Clock:
    def __init__(self) -> None:
        self.now = 1_795_000_000_000_000

    def __call__(self) -> int:
        self.now += 1
        return self.now


def payload_of(opening: int, number: int) -> bytes | None:
    """Every second batch has payloads, small ones and one over several sectors."""
    return None if number % 2 else b"%d" % opening * (1 + 700 * (number // 4))


def run(files: ForgetfulFiles, acknowledged: list[str]) -> None:
    """Open, append in batches of different sizes over small segments, close, open again, append."""
    clock = Clock()
    for opening in range(2):
        with Journal.open(HOME, party=PARTY, files=files, clock=clock, segment_size=1500) as journal:
            for number in range(ROUNDS):
                drafts = [
                    Draft(
                        "document.recorded",
                        {"title": f"{opening}-{number}-{item}" + "x" * (40 * number)},
                        payload=payload_of(opening, number),
                        subject=f"patient {number % 3}",
                    )
                    for item in range(1 + number % 3)
                ]
                acknowledged += [entry.statement.body["title"] for entry in journal.append_many(drafts)]


def check(files: ForgetfulFiles, acknowledged: list[str]) -> None:
    """What anybody was told of stands there, once and in order; the journal verifies, and goes on."""
    clock = Clock()
    clock.now += 1_000_000
    with Journal.open(HOME, party=PARTY, files=files, clock=clock, segment_size=1500) as journal:
        titles = [entry.statement.body["title"] for entry in journal.entries()]
        assert titles[: len(acknowledged)] == acknowledged
        assert len(set(titles)) == len(titles)
        journal.verify()
        for entry in journal.entries():
            title = entry.statement.body["title"]
            if entry.statement.payload is not None and title != "after":
                opening, number, _ = title.rstrip("x").split("-")
                assert journal.payload(entry.index) == payload_of(int(opening), int(number))
        entry = journal.append("document.recorded", {"title": "after"}, payload=b"after", subject="patient 0")
        assert journal.payload(entry.id) == b"after"
        assert journal.statement(entry.id).body == {"title": "after"}
        journal.verify()
    with Journal.read(HOME, party=PARTY, files=files) as reader:
        assert reader.size == len(titles) + 1
        reader.verify()


def operations() -> int:
    files = ForgetfulFiles()
    run(files, [])
    return files.operations


def honest(name: str) -> bool:
    return False


def lost_power_at(
    point: int, *, lying_syncs: Callable[[str], bool] = honest
) -> tuple[ForgetfulFiles, list[str]]:
    files, acknowledged = ForgetfulFiles(power_loss_at=point, lying_syncs=lying_syncs), list[str]()
    with pytest.raises(PowerLossError):
        run(files, acknowledged)
    return files, acknowledged


def test_nothing_acknowledged_is_lost_when_all_unsynced_writes_are() -> None:
    for point in range(operations()):
        files, acknowledged = lost_power_at(point)
        check(files.after_power_loss(), acknowledged)


def test_nothing_acknowledged_is_lost_when_all_unsynced_writes_survive() -> None:
    for point in range(operations()):
        files, acknowledged = lost_power_at(point)
        check(files.after_power_loss(everything=True), acknowledged)


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_when_unsynced_sectors_and_names_survive_at_random() -> None:
    for seed in range(6):
        for point in range(operations()):
            files, acknowledged = lost_power_at(point)
            check(files.after_power_loss(random.Random(1000 * seed + point)), acknowledged)


def test_a_second_power_loss_during_recovery_loses_nothing() -> None:
    first_points = range(40, operations(), 17)
    for point in first_points:
        files, acknowledged = lost_power_at(point)
        survivors = files.after_power_loss(random.Random(point))
        for second in range(0, 40, 3):
            again = survivors.copy()
            again._power_loss_at = second
            try:
                check(again, acknowledged)
            except PowerLossError:
                check(again.after_power_loss(random.Random(second)), acknowledged)


@pytest.mark.parametrize(
    "lying_syncs",
    [
        lambda name: True,
        lambda name: name.endswith(".seg"),
        lambda name: name == "checkpoints",
        lambda name: name.endswith(".pay"),
        lambda name: name == "subjects",
    ],
    ids=["every file", "segments", "checkpoints", "payloads", "keys of subjects"],
)
def test_a_journal_without_its_syncs_is_caught_by_this_tier(lying_syncs: Callable[[str], bool]) -> None:
    caught = 0
    points = range(10, operations(), 5)
    for point in points:
        files, acknowledged = lost_power_at(point, lying_syncs=lying_syncs)
        try:
            check(files.after_power_loss(), acknowledged)
        except (AssertionError, TallystickError):
            caught += 1
    assert caught > len(points) // 2


def test_a_journal_without_directory_syncs_is_caught_by_this_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ForgetfulFiles, "sync_directory", lambda files, path: files._step())
    files, acknowledged = lost_power_at(operations() - 1)
    with pytest.raises((AssertionError, TallystickError)):
        check(files.after_power_loss(), acknowledged)
