"""The index of ids: finds what a search through all leaf hashes finds, and is never believed when it is torn."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.errors import DamagedError, NotFoundError
from tallystick.proof import Draft, Journal, Party, _ids_index
from tallystick.testing import FaultyFiles, ForgetfulFiles

PARTY = Party.create("Clinic North")
HOME = Path("/data/journal")
COUNT = 1100


@pytest.fixture(autouse=True)
def small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ids_index, "BLOCK", 256)
    monkeypatch.setattr(_ids_index, "_SPREAD", 24)


def made() -> ForgetfulFiles:
    files = ForgetfulFiles()
    with Journal.open(HOME, party=PARTY, files=files, segment_size=20_000) as journal:
        journal.append_many([Draft("document.recorded", {"title": f"{at}"}) for at in range(COUNT)])
    return files


def indexed() -> ForgetfulFiles:
    files = made()
    with Journal.open(HOME, party=PARTY, files=files) as journal:
        journal.verify()
    assert len(files.content(HOME / "ids")) == 16 + 4 * (12 * 256 + 8)
    return files


def test_every_statement_is_found_by_its_id_and_by_its_beginning() -> None:
    with Journal.open(HOME, party=PARTY, files=made()) as journal:
        ids = [entry.id for entry in journal.entries()]
        for index, id_ in enumerate(ids):
            assert journal.index(id_) == index
            for digits in (3, 7, 16, 17, 63):
                known = [at for at, other in enumerate(ids) if other.startswith(id_[:digits])]
                assert sorted(journal.indexes(id_[:digits])) == known
        assert journal.indexes(ids[5][:20].upper()) == [5]


@pytest.mark.parametrize("text", ["", "xyz", "ab" * 33, "12 34", "é" * 6])
def test_what_is_no_beginning_of_an_id_finds_nothing(text: str) -> None:
    with Journal.read(HOME, files=indexed()) as reader:
        assert reader.indexes(text) == []


@pytest.mark.parametrize("id_", ["00" * 32, "ff" * 32, "ab" * 32, "zz" * 32, "ab"])
def test_an_unknown_id_is_said_to_be_unknown(id_: str) -> None:
    with (
        Journal.read(HOME, files=indexed()) as reader,
        pytest.raises(NotFoundError, match="no such statement"),
    ):
        reader.index(id_)


def test_lookups_build_runs_and_later_ones_read_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ids_index, "_AT_ONCE", 1)
    files, reads = made(), list[int]()

    def fault(operation: str, name: str) -> int:
        if operation == "read" and name == "00":
            reads.append(1)
        return 0

    with Journal.open(HOME, party=PARTY, files=FaultyFiles(files, fault)) as journal:
        last = journal.entry(COUNT - 1).id
        for runs in range(1, 5):
            assert journal.index(last) == COUNT - 1
            assert len(files.content(HOME / "ids")) == 16 + runs * (12 * 256 + 8)
        reads.clear()
        journal.index(last)
        assert len(reads) == 2, "the part behind the last run, and the leaf itself"


def test_hashes_that_are_not_spread_evenly_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ids_index, "_SPREAD", 1)
    with Journal.read(HOME, files=indexed()) as reader:
        assert [reader.index(entry.id) for entry in reader.entries()] == list(range(COUNT))


@pytest.mark.parametrize("place", [16, 700, 16 + 12 * 256, 4 * (12 * 256 + 8) - 1])
def test_a_torn_run_is_not_believed_and_written_again(place: int) -> None:
    files = indexed()
    whole = files.content(HOME / "ids")
    files.flip(HOME / "ids", place)
    with Journal.read(HOME, files=files) as reader:
        assert [reader.index(entry.id) for entry in reader.entries()] == list(range(COUNT))
        reader.verify()
    with Journal.open(HOME, party=PARTY, files=files) as journal:
        assert [journal.index(entry.id) for entry in journal.entries()] == list(range(COUNT))
    assert files.content(HOME / "ids") == whole


def test_verify_finds_a_run_that_checks_and_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    files = indexed()
    monkeypatch.setattr(
        _ids_index, "crc32", lambda _: int.from_bytes(files.content(HOME / "ids")[3088:3092], "big")
    )
    files.flip(HOME / "ids", 16 + 8)
    with (
        Journal.read(HOME, files=files) as reader,
        pytest.raises(DamagedError, match="index of ids from entry 0 on"),
    ):
        reader.verify()


def test_the_file_of_ids_may_be_deleted() -> None:
    files = indexed()
    files.unlink(HOME / "ids")
    with Journal.read(HOME, files=files) as reader:
        assert reader.index(reader.entry(3).id) == 3
    with Journal.open(HOME, party=PARTY, files=files) as journal:
        assert journal.index(journal.entry(3).id) == 3
