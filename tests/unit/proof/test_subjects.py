"""Keys of subjects: many made durable with one sync, torn groups cut, damaged ones refused."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.proofs import fixed_randomness

from tallystick.errors import DamagedError
from tallystick.proof import Secret
from tallystick.proof._frames import format_frame
from tallystick.proof._subjects import Subjects
from tallystick.testing._files import ForgetfulFiles

HOME = Path("/payloads")
FILE = HOME / "subjects"
STORAGE = Secret(b"\x31" * 32)
NAMES = [f"person {number}" for number in range(7)]


@pytest.fixture
def files() -> ForgetfulFiles:
    made = ForgetfulFiles()
    made.make_directory(HOME)
    made.sync_directory(HOME.parent)
    return made


def opened(files: ForgetfulFiles, seed: str = "subjects", *, write: bool = True) -> Subjects:
    return Subjects(files, HOME, STORAGE, write=write, randomness=fixed_randomness(seed))


def made(subjects: Subjects, *names: str) -> dict[str, bytes]:
    return {name: subjects.make(subjects.tag(name)) for name in names}


def test_keys_of_many_subjects_become_durable_with_one_sync(files: ForgetfulFiles) -> None:
    subjects = opened(files)
    keys = made(subjects, *NAMES)
    before = files.operations
    assert subjects.pending
    subjects.write()
    assert files.operations - before == 2, "one write, one sync"
    assert not subjects.pending
    for again in (subjects, opened(files.after_power_loss(), "again")):
        assert {name: again.find(again.tag(name)) for name in NAMES} == keys
        assert len(again) == len(NAMES)
        assert again.find(again.tag("nobody")) is None


def test_a_key_can_be_used_before_it_is_written_and_is_gone_if_it_never_was(files: ForgetfulFiles) -> None:
    subjects = opened(files)
    keys = made(subjects, "Jane")
    assert subjects.find(subjects.tag("Jane")) == keys["Jane"]
    again = opened(files.copy(), "again")
    assert again.find(again.tag("Jane")) is None


def test_a_torn_group_is_cut_as_a_whole_and_its_subjects_get_new_keys(files: ForgetfulFiles) -> None:
    subjects = opened(files)
    first = made(subjects, "Jane")
    subjects.write()
    before = len(files.content(FILE))
    made(subjects, *NAMES)
    subjects.write()
    whole = len(files.content(FILE))
    for place in range(before, whole, 16):
        for zeros in (False, True):
            torn = files.copy()
            file = torn.open(FILE, write=True)
            if zeros:
                file.pwrite(bytes(whole - place), place)
            else:
                file.truncate(place + 5)
            again = opened(torn, "again")
            assert again.find(again.tag("Jane")) == first["Jane"]
            fresh = made(again, "person 3")
            again.write()
            third = opened(torn, "third")
            assert third.find(third.tag("person 3")) == fresh["person 3"]


def test_sectors_of_a_group_may_arrive_in_any_order(files: ForgetfulFiles) -> None:
    subjects = opened(files)
    first = made(subjects, "Jane")
    subjects.write()
    subjects._file.pwrite(format_frame(random.Random(1).randbytes(76 * 40)), subjects._end)
    for seed in range(30):
        after = opened(files.after_power_loss(random.Random(seed)), "again")
        assert after.find(after.tag("Jane")) == first["Jane"]
        assert len(after) in (1, 41)


@pytest.mark.parametrize("group", [1, 3])
def test_a_damaged_frame_is_refused_and_cuts_nothing(files: ForgetfulFiles, group: int) -> None:
    subjects = opened(files)
    place = len(files.content(FILE))
    for start in range(0, 6, group):
        made(subjects, *NAMES[start : start + group])
        subjects.write()
    for offset in range(90):
        damaged = files.copy()
        damaged.flip(FILE, place + offset)
        whole = damaged.content(FILE)
        with pytest.raises(DamagedError):
            opened(damaged, "again")
        assert damaged.content(FILE) == whole


def test_a_record_that_is_damaged_while_it_is_open_is_named(files: ForgetfulFiles) -> None:
    subjects = opened(files)
    made(subjects, "Jane")
    subjects.write()
    for place in (30, 50, 90):
        damaged = files.copy()
        reader = opened(damaged, write=False)
        damaged.flip(FILE, place)
        with pytest.raises(DamagedError):
            reader.find(reader.tag("Jane"))


def test_erasing_writes_the_file_anew_without_the_key(files: ForgetfulFiles) -> None:
    subjects = opened(files)
    keys = made(subjects, *NAMES)
    subjects.write()
    waiting = made(subjects, "waiting")
    assert subjects.erase(subjects.tag("person 2"))
    assert not subjects.erase(subjects.tag("person 2"))
    assert not subjects.erase(subjects.tag("nobody"))
    assert subjects.find(subjects.tag("waiting")) == waiting["waiting"]
    subjects.write()
    for again in (subjects, opened(files.after_power_loss(), "again")):
        assert again.find(again.tag("person 2")) is None
        assert again.find(again.tag("person 6")) == keys["person 6"]
        assert again.find(again.tag("waiting")) == waiting["waiting"]


def test_erasing_any_of_many_groups_leaves_all_others_where_they_are_found(files: ForgetfulFiles) -> None:
    subjects, keys = opened(files), dict[str, bytes]()
    for number, size in enumerate([1, 3, 2, 1, 4]):
        keys |= made(subjects, *[f"{number}/{at}" for at in range(size)])
        subjects.write()
    order = list(keys)
    random.Random(3).shuffle(order)
    for name in order:
        assert subjects.erase(subjects.tag(name))
        del keys[name]
        fresh = f"after {name}"
        keys |= made(subjects, fresh)
        subjects.write()
        for again in (subjects, opened(files.after_power_loss(), "again")):
            assert {other: again.find(again.tag(other)) for other in keys} == keys
            assert again.find(again.tag(name)) is None
            assert len(again) == len(keys)


def test_a_damaged_frame_is_not_written_anew_as_a_whole_one(files: ForgetfulFiles) -> None:
    subjects = opened(files)
    made(subjects, "Jane", "John")
    subjects.write()
    for place in (17, 30, 120):
        damaged = files.copy()
        open_one = opened(damaged)
        damaged.flip(FILE, place)
        whole = damaged.content(FILE)
        with pytest.raises(DamagedError):
            open_one.erase(open_one.tag("Jane"))
        assert damaged.content(FILE) == whole


def test_a_key_that_was_never_written_can_be_erased(files: ForgetfulFiles) -> None:
    subjects = opened(files)
    made(subjects, "Jane")
    assert subjects.erase(subjects.tag("Jane"))
    assert subjects.find(subjects.tag("Jane")) is None


def test_more_keys_than_a_frame_holds_are_written_in_several(
    files: ForgetfulFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallystick.proof._subjects._GROUP", 3)
    subjects = opened(files)
    keys = made(subjects, *NAMES)
    subjects.write()
    again = opened(files.after_power_loss(), "again")
    assert {name: again.find(again.tag(name)) for name in NAMES} == keys
    assert again.erase(again.tag("person 0"))
    third = opened(files, "third")
    assert third.find(third.tag("person 1")) == keys["person 1"]


def test_frames_of_one_key_each_are_read_as_an_earlier_version_wrote_them(files: ForgetfulFiles) -> None:
    subjects = opened(files)
    keys = {}
    for name in NAMES:
        keys |= made(subjects, name)
        subjects.write()
    assert len(files.content(FILE)) == 16 + 96 * len(NAMES)
    again = opened(files, "again")
    assert {name: again.find(again.tag(name)) for name in NAMES} == keys
