"""Tiles exported by C2SP tlog-tiles: paths, contents, and an outsider who needs nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.errors import DamagedError, RollbackError
from tallystick.proof import Draft, Journal, Party, leaf_hash, parse_checkpoint
from tallystick.proof._merkle import inclusion_path, root_of, verify_inclusion
from tallystick.proof._tiles import export_tiles, tile_path
from tallystick.testing import ForgetfulFiles

PARTY = Party.create("Clinic North")
HOME, OUT = Path("/data/journal"), Path("/public/log")


def grown(files: ForgetfulFiles, size: int) -> Journal:
    journal = Journal.open(HOME, party=PARTY, files=files)
    count = size - journal.size
    journal.append_many([Draft("document.recorded", {"title": f"t{at}"}) for at in range(count)])
    return journal


@pytest.mark.parametrize(
    ("level", "index", "width", "path"),
    [
        (0, 0, 256, "tile/0/000"),
        (0, 999, 256, "tile/0/999"),
        (1, 1000, 256, "tile/1/x001/000"),
        (0, 1234067, 256, "tile/0/x001/x234/067"),
        (0, 273, 17, "tile/0/273.p/17"),
        ("entries", 0, 1, "tile/entries/000.p/1"),
    ],
)
def test_paths_are_spelled_as_the_standard_says(level: int | str, index: int, width: int, path: str) -> None:
    assert tile_path(level, index, width) == path


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 600])
def test_an_outsider_rebuilds_the_root_from_the_tiles_alone(size: int) -> None:
    files = ForgetfulFiles()
    with grown(files, size) as journal:
        export_tiles(journal, OUT, files=files)
        head = parse_checkpoint(files.content(OUT / "checkpoint"))
        assert head == journal.checkpoint()
        leaves: list[bytes] = []
        for index in range(-(-size // 256)):
            width = min(256, size - 256 * index)
            data = files.content(OUT / tile_path(0, index, width))
            assert len(data) == 32 * width
            leaves += [data[at : at + 32] for at in range(0, len(data), 32)]
        assert root_of(leaves) == head.root
        if size > 300:
            path = inclusion_path(
                300, size=size, node=lambda level, at: root_of(leaves[at << level : (at + 1) << level])
            )
            verify_inclusion(leaves[300], index=300, size=size, path=path, root=head.root)


def test_full_upper_tiles_hash_full_lower_ones() -> None:
    files = ForgetfulFiles()
    with grown(files, 600) as journal:
        export_tiles(journal, OUT, files=files)
    upper = files.content(OUT / tile_path(1, 0, 2))
    for index in range(2):
        lower = files.content(OUT / tile_path(0, index))
        assert (
            root_of([lower[at : at + 32] for at in range(0, len(lower), 32)])
            == upper[32 * index : 32 * index + 32]
        )


def test_entries_are_exported_only_when_asked_for() -> None:
    files = ForgetfulFiles()
    with grown(files, 300) as journal:
        export_tiles(journal, OUT, files=files)
        assert not any("entries" in path.parts for path in files.paths())
        export_tiles(journal, OUT, files=files, entries=True)
        data = files.content(OUT / "tile/entries/000") + files.content(OUT / "tile/entries/001.p/44")
        found = []
        while data:
            size = int.from_bytes(data[:2], "big")
            found.append(leaf_hash(data[2 : 2 + size]).hex())
            data = data[2 + size :]
        assert found == [entry.id for entry in journal.entries()]


def test_an_export_continues_where_the_last_one_ended() -> None:
    files = ForgetfulFiles()
    with grown(files, 300) as journal:
        assert export_tiles(journal, OUT, files=files) == 4
        assert export_tiles(journal, OUT, files=files) == 1
    before = {path: files.content(path) for path in files.paths() if "tile" in path.parts}
    with grown(files, 520) as journal:
        assert export_tiles(journal, OUT, files=files) == 4
    assert all(files.content(path) == data for path, data in before.items())


def test_a_rolled_back_journal_does_not_overwrite_its_newer_export() -> None:
    files = ForgetfulFiles()
    with grown(files, 10) as journal:
        export_tiles(journal, OUT, files=files)
    elsewhere = ForgetfulFiles()
    for path in files.paths():
        if path.is_relative_to(OUT):
            for parent in reversed(path.parents):
                elsewhere.make_directory(parent)
            elsewhere.open(path, write=True, create=True).pwrite(files.content(path), 0)
    with grown(elsewhere, 5) as journal, pytest.raises(RollbackError):
        export_tiles(journal, OUT, files=elsewhere)
    assert elsewhere.content(OUT / "checkpoint") == files.content(OUT / "checkpoint")


@pytest.mark.parametrize("level", ["00", "08"])
def test_damaged_hashes_are_not_exported(level: str) -> None:
    files = ForgetfulFiles()
    grown(files, 600).close()
    files.flip(HOME / "hashes" / level, 5)
    with Journal.read(HOME, party=PARTY, files=files) as journal, pytest.raises(DamagedError):
        export_tiles(journal, OUT, files=files)
    assert not files.exists(OUT / "checkpoint")


def test_exported_files_are_readable_by_others(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "j", party=PARTY) as journal:
        journal.append("document.recorded", {"title": "x"})
        assert export_tiles(journal, tmp_path / "log") == 2
    assert (tmp_path / "log" / "tile" / "0" / "000.p" / "1").stat().st_mode & 0o444 == 0o444
    assert (tmp_path / "log" / "checkpoint").read_bytes() == journal.checkpoint().note
