"""Segments of payloads: one per segment of the journal, a place per entry, whatever a crash or a disposal does."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.proof.shelves import HOME, Shelf

from tallystick.errors import DamagedError, DisclosureError, DisposedError, StorageError
from tallystick.proof import PayloadRef
from tallystick.proof._frames import format_frame
from tallystick.proof._payloads import Payloads
from tallystick.testing._files import FaultyFiles, ForgetfulFiles, PowerLossError

PER_SEGMENT = 4
PLACES = HOME / "places"


def segment(first: int, end: str = ".pay") -> Path:
    return HOME / f"{first:020}{end}"


def content(index: int) -> bytes:
    return b"%d " % index * (1 + 300 * (index % 3))


@pytest.fixture
def files() -> ForgetfulFiles:
    made = ForgetfulFiles()
    made.make_directory(HOME)
    made.sync_directory(HOME.parent)
    return made


@pytest.fixture
def shelf(files: ForgetfulFiles) -> Shelf:
    return Shelf(files, per_segment=PER_SEGMENT)


def filled(shelf: Shelf, count: int, *, close: bool = True) -> Payloads:
    """Entries 1, 4, 7, ... have no payload; batches of one and of two, none over two segments."""
    store = shelf.open(seed=str(len(shelf.entries)))
    while len(shelf.entries) < count:
        at = len(shelf.entries)
        end = min(count, (at // shelf.per_segment + 1) * shelf.per_segment)
        batch = range(at, min(at + 1 + at % 2, end))
        shelf.keep(store, *[None if index % 3 == 1 else content(index) for index in batch])
    if close:
        store.close()
    return store


def on(files: ForgetfulFiles, shelf: Shelf) -> Shelf:
    return Shelf(files, list(shelf.entries), PER_SEGMENT)


def check(
    shelf: Shelf, store: Payloads, *, gone: range = range(0), keep: frozenset[int] = frozenset()
) -> None:
    for index, ref in enumerate(shelf.entries):
        if ref is None:
            continue
        if index in gone and index not in keep:
            with pytest.raises(DisposedError):
                store.read(ref, index)
        else:
            assert store.read(ref, index)[0] == content(index)


def test_payloads_follow_the_segments_of_the_journal(shelf: Shelf, files: ForgetfulFiles) -> None:
    check(shelf, filled(shelf, 11, close=False))
    assert [path for path in files.paths() if path.suffix == ".pay"] == [segment(0), segment(4), segment(8)]
    for write in (True, False):
        check(shelf, shelf.open(write=write))


def test_after_a_clean_close_opening_looks_at_no_entry(shelf: Shelf) -> None:
    filled(shelf, 11)
    check(shelf, shelf.open())
    assert shelf.asked == []


def test_after_a_crash_opening_looks_at_the_tail_only(shelf: Shelf, files: ForgetfulFiles) -> None:
    filled(shelf, 6)
    filled(shelf, 11, close=False)
    after = on(files.copy(), shelf)
    check(after, after.open())
    assert after.asked == [(6, 8), (8, 11)]


def test_places_are_synced_every_so_often(
    shelf: Shelf, files: ForgetfulFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallystick.proof._payload_segments.SYNC_INTERVAL", 3)
    filled(shelf, 11, close=False)
    after = on(files.after_power_loss(), shelf)
    check(after, after.open())
    assert after.asked
    assert min(start for start, _ in after.asked) >= 8


@pytest.mark.parametrize("lost", ["file", "mark", "magic", "zeros"])
def test_lost_places_are_derived_again(shelf: Shelf, files: ForgetfulFiles, lost: str) -> None:
    filled(shelf, 11)
    if lost == "file":
        files.unlink(PLACES)
    elif lost == "zeros":
        files.open(PLACES, write=True).pwrite(bytes(32 + 8 * 11), 16)
    else:
        files.flip(PLACES, {"mark": 20, "magic": 3}[lost])
    store = shelf.open()
    check(shelf, store)
    store.close()
    check(shelf, shelf.open(write=False))


def test_a_changed_place_is_named_and_harms_no_other(shelf: Shelf, files: ForgetfulFiles) -> None:
    filled(shelf, 6)
    for place in range(48, len(files.content(PLACES))):
        for mask in (0x01, 0x10, 0x80):
            damaged = files.copy()
            damaged.flip(PLACES, place, mask)
            reader = on(damaged, shelf).open(write=False)
            for index, ref in enumerate(shelf.entries):
                if ref is not None and (place - 48) // 8 != index:
                    assert reader.read(ref, index)[0] == content(index)
                elif ref is not None:
                    with pytest.raises((DamagedError, DisclosureError)) as refused:
                        reader.read(ref, index)
                    assert refused.value.hint


def test_payloads_of_entries_that_were_lost_are_never_taken_for_later_ones(
    shelf: Shelf, files: ForgetfulFiles
) -> None:
    filled(shelf, 5)
    store = shelf.open(seed="lost")
    for _ in range(3):
        shelf.keep(store, b"never acknowledged", b"nor this", lost=True)
    after = on(files.copy(), shelf)
    again = after.open(seed="again")
    (ref,) = after.keep(again, None, lost=True)
    after.entries += [None, None]
    assert ref is None
    with pytest.raises(DisclosureError, match="not kept"):
        again.read(PayloadRef("A" * 43, "bytes", "a/b", "A" * 22, 1), 5)
    filled(after, 11)
    check(after, after.open(seed="third"))


def test_a_segment_that_no_entry_reached_is_begun_anew(shelf: Shelf, files: ForgetfulFiles) -> None:
    filled(shelf, 8)
    shelf.keep(shelf.open(seed="lost"), b"never acknowledged", lost=True)
    assert segment(8) in files.paths()
    store = shelf.open(seed="again")
    assert segment(8) not in files.paths()
    store.close()
    filled(shelf, 11)
    check(shelf, shelf.open())


def test_a_place_of_another_entry_gives_nothing_away(shelf: Shelf) -> None:
    store = filled(shelf, 6, close=False)
    ref = shelf.entries[0]
    assert ref
    with pytest.raises(DamagedError, match="place"):
        store.read(ref, 2)


@pytest.mark.parametrize("interval", [2, 5, 16_384])
def test_a_power_loss_at_any_point_loses_nothing_that_was_kept(
    files: ForgetfulFiles, monkeypatch: pytest.MonkeyPatch, interval: int
) -> None:
    monkeypatch.setattr("tallystick.proof._payload_segments.SYNC_INTERVAL", interval)
    point, finished = 0, False
    while not finished:
        machine = files.copy()
        machine._power_loss_at = machine.operations + point
        during = Shelf(machine, per_segment=PER_SEGMENT)
        try:
            filled(during, 6)
            filled(during, 11)
            finished = True
        except PowerLossError:
            pass
        for seed in (None, 1, 2):
            chance = None if seed is None else random.Random(1000 * point + seed)
            after = on(machine.after_power_loss(chance), during)
            check(after, after.open(seed="after"))
            filled(after, len(after.entries) + 3)
            check(after, after.open(seed="later"))
        point += 1
    assert point > 30


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_no_mark_tells_of_entries_that_were_never_durable(files: ForgetfulFiles, lost: int) -> None:
    """The same places are given twice: first to entries that a crash takes, then to others that stay."""
    shelf = Shelf(files)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tallystick.proof._payload_segments.SYNC_INTERVAL", 1)
        store = shelf.open()
        shelf.keep(store, content(0))
        shelf.keep(store, *[b"never acknowledged"] * lost, lost=True)
        store.close()
    after = on(files.after_power_loss(everything=True), shelf)
    filled(after, 4, close=False)
    machine = after.files
    assert isinstance(machine, ForgetfulFiles)
    again = on(machine.after_power_loss(), after)
    check(again, again.open(seed="again"))


def test_a_mark_that_tells_of_too_much_is_written_anew(shelf: Shelf, files: ForgetfulFiles) -> None:
    filled(shelf, 8)
    rolled_back = on(files, shelf)
    del rolled_back.entries[6:]
    filled(rolled_back, 8, close=False)
    again = on(files.after_power_loss(), rolled_back)
    check(again, again.open(seed="again"))


def filled_until_it_fails(shelf: Shelf) -> None:
    store = shelf.open()
    for number in range(20):
        shelf.keep(store, content(number), subject=f"person {number}")


@pytest.mark.parametrize("name", [".pay", "places", "subjects"])
def test_a_full_disk_leaves_nothing_half_kept(files: ForgetfulFiles, name: str) -> None:
    for skip in range(6):
        left = [skip]

        def fault(operation: str, on: str, left: list[int] = left) -> int:
            if operation != "write" or not on.endswith(name):
                return 0
            left[0] -= 1
            return errno.ENOSPC if left[0] < 0 else 0

        inner = files.copy()
        during = Shelf(FaultyFiles(inner, fault), per_segment=PER_SEGMENT)
        with pytest.raises(StorageError) as failed:
            filled_until_it_fails(during)
        assert "free some space" in failed.value.hint
        for survivors in (inner.copy(), inner.after_power_loss()):
            after = on(survivors, during)
            store = after.open(seed="after")
            check(after, store)
            after.keep(store, content(len(after.entries)), subject="person 3")
            check(after, store)


def test_disposing_frees_a_segment_and_keeps_what_is_to_be_kept(shelf: Shelf, files: ForgetfulFiles) -> None:
    store = filled(shelf, 11, close=False)
    size = len(files.content(segment(0)))
    freed = store.dispose(0, 4, [2])
    assert segment(0) not in files.paths()
    assert freed == size - len(files.content(segment(0, ".kept")))
    gone, keep = range(4), frozenset([2])
    check(shelf, store, gone=gone, keep=keep)
    assert store.dispose(0, 4, [2]) == 0
    assert store.dispose(0, 4, [0, 2]) == 0, "what is gone does not come back"
    check(shelf, store, gone=gone, keep=keep)
    store.close()
    for write in (True, False):
        check(shelf, shelf.open(write=write), gone=gone, keep=keep)
    store = filled(shelf, 15, close=False)
    assert store.dispose(0, 4, []) > 0
    assert store.dispose(4, 8, []) > 0
    check(shelf, store, gone=range(8))


def test_a_segment_without_payloads_is_disposed_of_as_nothing(shelf: Shelf, files: ForgetfulFiles) -> None:
    filled(shelf, 4)
    store = shelf.open(seed="more")
    shelf.keep(store, None, None, None, None)
    store.close()
    store = filled(shelf, 10, close=False)
    before = files.paths()
    assert store.dispose(4, 8, []) == 0
    assert files.paths() == before
    check(shelf, store)


def test_a_disposal_that_the_power_ends_anywhere_can_be_done_again(
    shelf: Shelf, files: ForgetfulFiles
) -> None:
    filled(shelf, 11)
    reached = 0
    for point in range(14):
        machine = files.copy()
        machine._power_loss_at = machine.operations + point
        during = on(machine, shelf)
        try:
            during.open(seed="b").dispose(0, 4, [0, 2])
        except PowerLossError:
            reached += 1
        for seed in range(6):
            after = on(machine.after_power_loss(random.Random(seed) if seed else None), shelf)
            store = after.open(seed="c")
            for index in (0, 2, 3, 5, 8):
                ref = after.entries[index]
                if ref is not None and index != 3:
                    assert store.read(ref, index)[0] == content(index)
            store.dispose(0, 4, [0, 2])
            check(after, store, gone=range(4), keep=frozenset([0, 2]))
            assert segment(0) not in after.files.paths()  # type: ignore[attr-defined]
            store.close()
            check(after, after.open(seed="d"), gone=range(4), keep=frozenset([0, 2]))
    assert 3 <= reached < 14


def test_a_damaged_payload_that_is_to_be_kept_stops_its_disposal(shelf: Shelf, files: ForgetfulFiles) -> None:
    filled(shelf, 11)
    files.flip(segment(0), 40)
    store = shelf.open()
    with pytest.raises(DamagedError, match="entry 0"):
        store.dispose(0, 4, [0])
    assert segment(0) in files.paths()
    assert store.dispose(0, 4, [2]) > 0


def test_lost_places_of_what_was_kept_are_found_again(shelf: Shelf, files: ForgetfulFiles) -> None:
    filled(shelf, 11, close=False).dispose(0, 4, [2])
    files.unlink(PLACES)
    store = shelf.open()
    for index in (2, 5, 6, 8):
        assert shelf.read(store, index) == content(index)
    ref = shelf.entries[0]
    assert ref
    with pytest.raises((DisposedError, DisclosureError)):
        store.read(ref, 0)


def test_a_reader_hears_of_a_disposal_by_another_process(shelf: Shelf) -> None:
    store = filled(shelf, 11, close=False)
    reader = shelf.open(write=False)
    store.dispose(0, 4, [2])
    check(shelf, reader, gone=range(4), keep=frozenset([2]))


def test_a_reader_hears_of_what_is_let_go_later(shelf: Shelf) -> None:
    store = filled(shelf, 11, close=False)
    store.dispose(0, 4, [0, 2, 3])
    reader = shelf.open(write=False)
    check(shelf, reader, gone=range(4), keep=frozenset([0, 2, 3]))
    store.dispose(0, 4, [2])
    check(shelf, reader, gone=range(4), keep=frozenset([2]))


def test_the_one_file_of_an_earlier_version_is_taken_over(shelf: Shelf, files: ForgetfulFiles) -> None:
    filled(shelf, 4)
    files.rename(segment(0), HOME / "payloads")
    files.unlink(PLACES)
    store = filled(shelf, 11, close=False)
    assert HOME / "payloads" not in files.paths()
    check(shelf, store)


@pytest.mark.parametrize("count", [5, 6, 7, 8, 9])
def test_the_one_file_of_an_earlier_version_gives_only_what_is_disposed_of(
    files: ForgetfulFiles, count: int
) -> None:
    whole = Shelf(files)
    filled(whole, count)
    files.unlink(PLACES)
    files.rename(segment(0), HOME / "payloads")
    later = on(files, whole)
    store = filled(later, 15, close=False)
    check(later, store)
    store.dispose(0, 4, [2])
    check(later, store, gone=range(4), keep=frozenset([2]))
    check(later, on(files.after_power_loss(), later).open(), gone=range(4), keep=frozenset([2]))
    store.dispose(4, 8, [5])
    check(later, store, gone=range(8), keep=frozenset([2, 5]))
    store.close()
    files.unlink(PLACES)
    again = later.open()
    for index in (2, 5, 8, 9, 11, 12):
        assert later.read(again, index) == content(index)


def test_many_segments_do_not_keep_many_files_open(
    files: ForgetfulFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallystick.proof._payload_segments._OPEN_LIMIT", 3)
    shelf = Shelf(files, per_segment=1)
    store = shelf.open()
    for index in range(12):
        shelf.keep(store, content(index))
    for _ in range(2):
        check(shelf, store)
        assert len(store._segments._open) <= 3
    shelf.keep(store, content(12))
    check(shelf, store)


def flip_first(files: ForgetfulFiles) -> None:
    files.flip(segment(0, ".kept"), 30)


def drop(files: ForgetfulFiles) -> None:
    files.unlink(segment(0, ".kept"))


@pytest.mark.parametrize("harm", [flip_first, drop])
def test_what_is_kept_of_a_segment_is_checked_too(
    shelf: Shelf, files: ForgetfulFiles, harm: Callable[[ForgetfulFiles], None]
) -> None:
    filled(shelf, 11, close=False).dispose(0, 4, [2])
    reader = shelf.open(write=False)
    harm(files)
    with pytest.raises(DamagedError):
        shelf.read(reader, 2)


def test_a_frame_that_reaches_beyond_the_end_does_not_swallow_what_follows(
    shelf: Shelf, files: ForgetfulFiles
) -> None:
    store = filled(shelf, 3, close=False)
    frame = format_frame(bytes(range(256)) * 4)
    files.open(segment(0), write=True).pwrite(frame[:64], store._segments._end)
    after = on(files.copy(), shelf)
    store = after.open(seed="after")
    after.keep(store, content(3))
    check(after, after.open(seed="third"))
