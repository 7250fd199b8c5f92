"""The index of kinds: finds what a full walk finds, reads nothing else, is derived again, and never hides a difference."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from tallystick.errors import DamagedError
from tallystick.proof import (
    STANDARD_KINDS,
    Draft,
    Journal,
    Kind,
    Party,
    _entries,
    _kinds_index,
    format_statement,
)
from tallystick.testing import FaultyFiles, ForgetfulFiles

PARTY = Party.create("Clinic North")
HOME = Path("/data/journal")
MODEL = "ab" * 32
SOME = (["decision.made"] * 5 + ["control.set", "decision.ruled", "model.retired"]) * 40
BODIES = {
    "control.set": {"bands": {}, "mode": "rules", "reason": "r", "scope": "*", "then": "t"},
    "decision.made": {"level": "L0", "model": MODEL},
    "decision.ruled": {"rule": 'limit","kind":"control.set'},
    "model.retired": {"model": MODEL, "reason": "old"},
}


def made(files: ForgetfulFiles | None = None) -> ForgetfulFiles:
    files = files or ForgetfulFiles()
    with Journal.open(HOME, party=PARTY, files=files, segment_size=20_000) as journal:
        for start in range(0, len(SOME), 50):
            journal.append_many([Draft(kind, BODIES[kind]) for kind in SOME[start : start + 50]])
        journal._store.sync_derived()
    return files


def walked(journal: Journal, kinds: Collection[str], start: int = 0, stop: int | None = None) -> list[int]:
    return [
        entry.index
        for entry in journal.entries(start, stop)
        if any(entry.statement.kind == kind or entry.statement.kind.startswith(f"{kind.rstrip('.')}.")
               for kind in kinds)
    ]  # fmt: skip


@pytest.mark.parametrize("few", [0, 200], ids=["block by block", "one by one"])
@pytest.mark.parametrize(
    "kinds", [("control.set",), ("decision.",), ("model.retired", "decision.ruled"), ("data.",), ()]
)
def test_the_index_finds_what_a_full_walk_finds(
    kinds: tuple[str, ...], few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_entries, "_FEW", few)
    monkeypatch.setattr(_kinds_index, "BLOCK", 64)
    files = made()
    with Journal.open(HOME, party=PARTY, files=files) as journal:
        for start, stop in [(0, None), (7, 300), (300, 300), (319, 10_000)]:
            found = [entry.index for entry in journal.entries(start, stop, kinds=kinds)]
            assert found == walked(journal, kinds, start, stop)
    with Journal.read(HOME, party=PARTY, files=files) as reader:
        assert [entry.index for entry in reader.entries(kinds=kinds)] == walked(reader, kinds)
        assert all(entry.id == reader.entry(entry.index).id for entry in reader.entries(kinds=kinds))


def test_entries_of_other_kinds_are_not_read() -> None:
    reads: list[str] = []

    def fault(operation: str, name: str) -> int:
        if operation == "read":
            reads.append(name)
        return 0

    with Journal.read(HOME, files=FaultyFiles(made(), fault)) as reader:
        reads.clear()
        assert list(reader.entries(kinds=("data.registered",))) == []
        assert set(reads) == {"kinds"}
        assert len(list(reader.entries(kinds=("control.set",)))) == 40
        assert any(name.endswith(".seg") for name in reads)


def test_a_name_alone_may_be_asked_for_as_text() -> None:
    with Journal.read(HOME, files=made()) as reader:
        assert [entry.index for entry in reader.entries(kinds="control.set")] == walked(
            reader, ["control.set"]
        )


def test_a_journal_without_the_index_is_read_by_looking_inside_and_gets_it_when_it_is_opened() -> None:
    files = made()
    before = files.content(HOME / "kinds"), files.content(HOME / "kinds.names")
    for name in ("kinds", "kinds.names"):
        files.unlink(HOME / name)
    with Journal.read(HOME, files=files) as reader:
        assert [entry.index for entry in reader.entries(kinds=["control.set"])] == walked(
            reader, ["control.set"]
        )
        reader.verify()
    with Journal.open(HOME, party=PARTY, files=files) as journal:
        assert journal.recovery is not None
        assert not journal.recovery.rebuilt
    assert (files.content(HOME / "kinds"), files.content(HOME / "kinds.names")) == before


def test_what_an_older_version_appended_is_indexed_at_the_next_opening() -> None:
    files = made()
    whole = files.content(HOME / "kinds")
    cut = files.open(HOME / "kinds", write=True)
    cut.truncate(100)
    with Journal.open(HOME, party=PARTY, files=files) as journal:
        assert [entry.index for entry in journal.entries(kinds=["control.set"])] == walked(
            journal, ["control.set"]
        )
    assert files.content(HOME / "kinds") == whole


def test_a_reader_follows_names_that_appear_later() -> None:
    files = made()
    with Journal.open(HOME, party=PARTY, files=files) as journal, Journal.read(HOME, files=files) as reader:
        entry = journal.append("document.recorded", {"title": "late"})
        assert list(reader.entries(kinds=["document.recorded"])) == []
        reader.refresh()
        assert list(reader.entries(kinds=["document.recorded"])) == [entry]


def test_verify_names_an_entry_whose_stored_kind_is_wrong() -> None:
    files = made()
    files.flip(HOME / "kinds", 123, 0x03)
    with (
        Journal.read(HOME, files=files) as reader,
        pytest.raises(DamagedError, match="kind of entry 123 is") as told,
    ):
        reader.verify()
    assert "kinds" in told.value.hint


def test_kinds_beyond_the_table_are_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kinds_index, "NAMES_LIMIT", 2)
    files = made()
    assert set(files.content(HOME / "kinds")) == {0, 1, 2}
    with Journal.open(HOME, party=PARTY, files=files) as journal:
        for kinds in (["model."], ["decision.made"], ["decision.ruled", "control.set"]):
            assert [entry.index for entry in journal.entries(kinds=kinds)] == walked(journal, kinds)
        journal.verify()


def test_names_that_are_torn_are_written_anew() -> None:
    files = made()
    names, kinds = files.content(HOME / "kinds.names"), files.content(HOME / "kinds")
    file = files.open(HOME / "kinds.names", write=True)
    file.truncate(len(names) - 5)
    with Journal.open(HOME, party=PARTY, files=files) as journal:
        journal.verify()
    assert (files.content(HOME / "kinds.names"), files.content(HOME / "kinds")) == (names, kinds)


@pytest.mark.parametrize("kind", list(BODIES))
@pytest.mark.parametrize("links", [{}, {"kind": ["cd" * 32]}])
def test_the_kind_is_read_from_bytes_as_the_parser_reads_it(kind: str, links: dict[str, list[str]]) -> None:
    body = {"kind": "model.published", "nested": {"kind": "consent.granted"}, "text": '"kind":"a.b"'}
    written = format_statement(at=1, kind=kind, body=body, links=links, origin=PARTY.origin)
    assert _kinds_index.kinds_of([written.bytes]) == [kind.encode()]


def test_an_application_has_its_own_kinds_in_the_index() -> None:
    kinds = STANDARD_KINDS.extended([Kind("parcel-box.sealed", {})])
    files = ForgetfulFiles()
    with Journal.open(HOME, party=PARTY, files=files, kinds=kinds) as journal:
        journal.append("document.recorded", {"title": "x"})
        entry = journal.append("parcel-box.sealed", {})
        assert list(journal.entries(kinds=["parcel-box."])) == [entry]
