"""Damage at rest: every changed byte of a journal is detected, or lies in a derivable file that is written anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.errors import DamagedError, TallystickError
from tallystick.proof import Draft, Journal, Party, _recovery
from tallystick.testing import FaultyFiles, ForgetfulFiles

PARTY = Party.create("Clinic North")
HOME = Path("/data/journal")
TITLES = [f"number {at}" for at in range(7)]
# Everything in these can be computed from segments and checkpoints; a lock holds no truth at all.
DERIVABLE = {"hashes", "kinds", "kinds.names", "offsets", "marks", "lock"}


def made() -> ForgetfulFiles:
    files = ForgetfulFiles()
    with Journal.open(HOME, party=PARTY, files=files, segment_size=1000) as journal:
        for start in range(0, len(TITLES), 2):
            journal.append_many(
                [Draft("document.recorded", {"title": title}) for title in TITLES[start : start + 2]]
            )
        journal._store.sync_derived()
    assert sum(path.suffix == ".seg" for path in files.paths()) > 1
    return files


def derivable(path: Path) -> bool:
    return path.relative_to(HOME).parts[0] in DERIVABLE


def use(files: ForgetfulFiles, *, write: bool) -> None:
    """Open, read everything by place and in a walk, verify; raises unless all is as it was."""
    opened = (
        Journal.open(HOME, party=PARTY, files=files, segment_size=1000)
        if write
        else Journal.read(HOME, party=PARTY, files=files)
    )
    with opened as journal:
        assert journal.size == len(TITLES)
        assert [journal.statement(at).body["title"] for at in range(journal.size)] == TITLES
        assert [entry.statement.body["title"] for entry in journal.entries()] == TITLES
        for size in range(1, journal.size + 1):
            journal.inclusion(0, size)
            journal.consistency(size)
        journal.verify()


@pytest.fixture(params=["tail", "whole"])
def hashed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let opening hash only the very tail again, as in a large journal, or all of it."""
    if request.param == "tail":
        monkeypatch.setattr(_recovery, "TAIL", 1)
    return str(request.param)


@pytest.mark.slow
@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_every_changed_byte_is_detected_or_written_anew(hashed: str, mask: int) -> None:
    whole = made()
    quiet = set()
    for path in whole.paths():
        for place in range(len(whole.content(path))):
            files = whole.copy()
            files.flip(path, place, mask)
            try:
                use(files, write=True)
            except TallystickError:
                assert len(files.content(path)) >= len(whole.content(path)), "a refusal cuts nothing"
                files.flip(path, place, mask)
                use(files, write=True)
            else:
                assert derivable(path), f"byte {place} of {path} was changed and nobody noticed"
                # The second mark (what is synced) is written again when there is more to sync.
                end = 32 if path.name == "marks" else None
                assert path.name == "lock" or files.content(path)[:end] == whole.content(path)[:end], (
                    "derived anew"
                )
                quiet.add(path.name)
    assert quiet <= {"00", "01", "02", "kinds", "kinds.names", "offsets", "marks", "lock"}


@pytest.mark.slow
@pytest.mark.parametrize("mask", [0x01, 0xFF])
def test_a_reader_never_shows_what_was_not_signed(mask: int) -> None:
    whole = made()
    for path in whole.paths():
        for place in range(len(whole.content(path))):
            files = whole.copy()
            files.flip(path, place, mask)
            try:
                use(files, write=False)
            except TallystickError:
                continue
            # A reader has no use for the lock, nor for the mark of what is synced (its second cell).
            assert path.name == "lock" or (path.name == "marks" and place >= 32), f"byte {place} of {path}"


@pytest.mark.parametrize("index", range(len(TITLES)))
def test_a_changed_entry_is_named(hashed: str, index: int) -> None:
    files = made()
    wanted = f'"title":"{TITLES[index]}"'.encode()
    path = next(path for path in files.paths() if path.suffix == ".seg" and wanted in files.content(path))
    files.flip(path, files.content(path).index(wanted) + 10)
    with (
        pytest.raises(DamagedError, match=f"entry {index} is damaged") as refused,
        Journal.open(HOME, party=PARTY, files=files) as journal,
    ):
        journal.verify()
    assert refused.value.hint
    if hashed == "tail":
        with (
            pytest.raises(DamagedError, match=f"entry {index} is damaged"),
            Journal.read(HOME, party=PARTY, files=files) as reader,
        ):
            reader.statement(index)


@pytest.mark.parametrize("name", ["hashes", "kinds", "kinds.names", "offsets", "marks"])
def test_derivable_files_may_be_deleted(name: str) -> None:
    files = made()
    before = {path: files.content(path) for path in files.paths()}
    for path in files.paths():
        if path.relative_to(HOME).parts[0] == name:
            files.unlink(path)
    use(files, write=True)
    after = {path: files.content(path) for path in files.paths()}
    assert {path: data for path, data in after.items() if path.name not in ("lock", "marks")} == {
        path: data for path, data in before.items() if path.name not in ("lock", "marks")
    }


@pytest.mark.parametrize("name", ["checkpoints", "journal.json", "segments"])
def test_what_cannot_be_derived_must_not_be_missing(name: str) -> None:
    files = made()
    for path in files.paths():
        if path.relative_to(HOME).parts[0] == name:
            files.unlink(path)
    left = files.paths()
    with pytest.raises(TallystickError):
        use(files, write=True)
    assert set(left) <= set(files.paths())


@pytest.mark.parametrize("number", [0, 1])
def test_a_missing_segment_is_refused(number: int) -> None:
    files = made()
    segments = [path for path in files.paths() if path.suffix == ".seg"]
    files.unlink(segments[number])
    with pytest.raises(DamagedError, match=f"entry {int(segments[number].stem)} is damaged"):
        use(files, write=True)


def test_a_truncated_segment_is_refused_and_names_the_first_entry_that_is_gone() -> None:
    files = made()
    segment = [path for path in files.paths() if path.suffix == ".seg"][-1]
    files.open(segment, write=True).truncate(len(files.content(segment)) - 1)
    with pytest.raises(DamagedError, match="entry 6 is damaged"):
        use(files, write=True)


def test_truncated_checkpoints_are_a_rollback_only_an_outsider_sees() -> None:
    files = made()
    with Journal.read(HOME, party=PARTY, files=files) as reader:
        head = reader.checkpoint()
        first = [found.size for found in reader._store.heads.walk()]
    assert first == [0, 2, 4, 6, 7]
    path = HOME / "checkpoints"
    files.open(path, write=True).truncate(len(files.content(path)) - 16)
    with pytest.raises(TallystickError):
        Journal.open(HOME, party=PARTY, files=files, remembered=[head])


def test_bytes_between_two_segments_are_noticed() -> None:
    files = made()
    segment = next(path for path in files.paths() if path.suffix == ".seg")
    files.open(segment, write=True).pwrite(b"more", len(files.content(segment)))
    with pytest.raises(DamagedError):
        use(files, write=False)


@pytest.mark.parametrize("marks", [True, False], ids=["with marks", "without marks"])
def test_a_lost_sector_amid_the_checkpoints_is_damage_and_not_a_torn_end(marks: bool) -> None:
    files = made()
    path = HOME / "checkpoints"
    frame = next(at for at in range(16, 2000, 16) if files.content(path)[at + 12 :].startswith(b"did:key:"))
    length = int.from_bytes(files.content(path)[frame : frame + 4], "big")
    files.open(path, write=True).pwrite(bytes(64), 16 * ((frame + length) // 16) + 64)
    if not marks:
        files.unlink(HOME / "marks")
    before = files.content(path)
    with pytest.raises(DamagedError, match="checkpoints"):
        use(files, write=True)
    assert files.content(path) == before


def test_checkpoints_that_end_before_the_head_are_noticed() -> None:
    files = made()
    with Journal.read(HOME, party=PARTY, files=files) as reader:
        file = files.open(HOME / "checkpoints", write=True)
        last = max(at for at in range(16, file.size(), 16) if file.pread(8, at + 12) == b"did:key:")
        file.truncate(last)
        with pytest.raises(DamagedError, match="ends before the head"):
            reader.verify()


def test_opening_reads_only_the_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    files, reads = ForgetfulFiles(), list[str]()
    with Journal.open(HOME, party=PARTY, files=files, segment_size=5000) as journal:
        for _ in range(20):
            journal.append_many([Draft("document.recorded", {"title": f"number {at}"}) for at in range(20)])
        journal._store.sync_derived()
    monkeypatch.setattr(_recovery, "TAIL", 10)

    def fault(operation: str, name: str) -> int:
        if operation == "read" and name.endswith(".seg"):
            reads.append(name)
        return 0

    with Journal.open(HOME, party=PARTY, files=FaultyFiles(files, fault)) as journal:
        segments = sorted(path.name for path in files.paths() if path.suffix == ".seg")
        assert len(segments) > 5
        assert set(reads) <= set(segments[-2:])
        assert journal.recovery is not None
        assert journal.recovery.derived_from == journal.size - 10
