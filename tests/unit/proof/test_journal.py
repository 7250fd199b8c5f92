"""The journal as its users see it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.errors import (
    ClockError,
    ConfigurationError,
    DisclosureError,
    LockedError,
    NoteError,
    NotFoundError,
    RollbackError,
    StatementError,
    StorageError,
    UnknownFormatError,
)
from tallystick.proof import (
    ClockBounds,
    Draft,
    Journal,
    Party,
    format_statement,
    leaf_hash,
    parse_statement,
    verify,
    verify_consistency,
    verify_inclusion,
)
from tallystick.testing import ForgetfulFiles

PARTY = Party.create("Clinic North")
OTHER = Party.create("Clinic South")
HOME = Path("/data/journal")
KIND = "document.recorded"
START = 1_795_000_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def files() -> ForgetfulFiles:
    return ForgetfulFiles()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(files: ForgetfulFiles, clock: Clock) -> Iterator[Journal]:
    with Journal.open(HOME, party=PARTY, files=files, clock=clock) as opened:
        yield opened


def fill(journal: Journal, count: int) -> list[str]:
    return [
        entry.id for entry in journal.append_many([Draft(KIND, {"title": f"t{at}"}) for at in range(count)])
    ]


def ready(at: int, title: str = "x") -> bytes:
    return format_statement(at=at, kind=KIND, body={"title": title}, origin=PARTY.origin).bytes


def test_a_new_journal_has_a_signed_checkpoint_of_size_zero(journal: Journal) -> None:
    assert journal.size == journal.checkpoint().size == 0
    assert list(journal.entries()) == []
    journal.verify()


def test_an_appended_statement_can_be_read_by_id_and_by_index(journal: Journal) -> None:
    entry = journal.append(KIND, {"title": "protocol"}, links={"about": ["ab" * 32]})
    assert (entry.index, journal.size) == (0, 1)
    assert journal.statement(entry.id) == journal.statement(0) == entry.statement
    assert entry.statement.body == {"title": "protocol"}
    assert entry.id == leaf_hash(entry.bytes).hex() == journal.entry(0).id
    assert entry == journal.entry(entry.id)


def test_what_was_appended_is_there_after_opening_again(files: ForgetfulFiles, clock: Clock) -> None:
    with Journal.open(HOME, party=PARTY, files=files, clock=clock) as journal:
        ids = fill(journal, 5)
    with Journal.open(HOME, party=PARTY, files=files, clock=clock) as journal:
        ids += fill(journal, 3)
        assert [entry.id for entry in journal.entries()] == ids
        assert [entry.id for entry in journal.entries(2, 4)] == ids[2:4]
        journal.verify()


def test_every_prefix_has_inclusion_and_consistency_proofs(journal: Journal) -> None:
    ids = [entry for count in (1, 2, 3, 5, 8) for entry in fill(journal, count)]
    for size in range(1, journal.size + 1):
        root = journal.root(size)
        for index in range(size):
            path = journal.inclusion(index, size)
            verify_inclusion(bytes.fromhex(ids[index]), index=index, size=size, path=path, root=root)
        path = journal.consistency(size, journal.size)
        verify_consistency(
            old_size=size, new_size=journal.size, old_root=root, new_root=journal.checkpoint().root, path=path
        )
    assert journal.root() == journal.checkpoint().root


def test_what_lies_beyond_the_journal_is_not_found(journal: Journal) -> None:
    fill(journal, 2)
    for ask in (
        lambda: journal.statement(2),
        lambda: journal.statement(-1),
        lambda: journal.statement("00" * 32),
        lambda: journal.statement("zz"),
        lambda: journal.inclusion(2),
        lambda: journal.inclusion(0, 3),
        lambda: journal.root(3),
        lambda: journal.consistency(1, 3),
    ):
        with pytest.raises(NotFoundError):
            ask()


@pytest.mark.parametrize(
    "draft",
    [
        Draft("no.such", {"title": "x"}),
        Draft(KIND, {}),
        Draft(KIND, {"title": 1}),
        Draft(KIND, {"title": 1.5}),
        Draft(KIND, {"title": float("nan")}),
        Draft(KIND, {"title": "x", "more": "y"}),
        Draft(KIND, {"title": "\ud800"}),
        Draft(KIND, [("title", "x")]),  # type: ignore[arg-type]
        Draft(KIND, {"title": "x"}, links={"a": ["short"]}),
        Draft(KIND, {"title": "x"}, links={"A": ["ab" * 32]}),
        Draft(KIND, {"title": "x"}, payload=b"x", media="No Media"),
        Draft(KIND, {"title": "x"}, payload="text"),  # type: ignore[arg-type]
        Draft(KIND, {"title": "x"}, payload=b"x", fields={"a": 1}),
        Draft(KIND, {"title": "x"}, fields={"a": 1.5}),
        Draft(KIND, {"title": "x"}, at=START - 1),
        Draft(KIND, {"title": "x"}, at=START + 3_600_000_000),
        Draft(KIND, {"title": "x"}, at=1.5),  # type: ignore[arg-type]
        Draft("data.assessed", {"findings": 1, "report": {"long": "x" * 70_000}}),
    ],
)
@pytest.mark.parametrize("place", [0, 1])
def test_a_batch_with_one_bad_draft_leaves_nothing_behind(journal: Journal, draft: Draft, place: int) -> None:
    journal.append(KIND, {"title": "first"})
    good = Draft(KIND, {"title": "good"})
    with pytest.raises(StatementError):
        journal.append_many([draft, good] if place == 0 else [good, draft])
    assert journal.size == 1
    assert journal.append(KIND, {"title": "next"}).index == 1
    journal.verify()


def test_times_strictly_increase_even_when_the_clock_stands(journal: Journal) -> None:
    fill(journal, 3)
    fill(journal, 2)
    assert [entry.statement.at for entry in journal.entries()] == [START + step for step in range(5)]


def test_a_small_step_back_of_the_clock_is_bridged(journal: Journal, clock: Clock) -> None:
    fill(journal, 1)
    clock.now -= 60_000_000
    fill(journal, 1)
    assert [entry.statement.at for entry in journal.entries()] == [START, START + 1]


def test_a_clock_that_went_back_is_refused_until_it_is_right(
    journal: Journal, clock: Clock, files: ForgetfulFiles
) -> None:
    fill(journal, 1)
    clock.now -= 3_600_000_000
    with pytest.raises(ClockError) as refused:
        fill(journal, 1)
    assert "clock" in refused.value.hint
    with pytest.raises(ClockError):
        journal.append_ready([ready(START + 1)])
    assert journal.size == 1
    clock.now = START + 7
    fill(journal, 1)
    assert journal.statement(1).at == START + 7


def test_the_clock_is_checked_against_what_an_earlier_process_wrote(
    files: ForgetfulFiles, clock: Clock
) -> None:
    with Journal.open(HOME, party=PARTY, files=files, clock=clock) as journal:
        fill(journal, 1)
    clock.now -= 3_600_000_000
    with Journal.open(HOME, party=PARTY, files=files, clock=clock) as journal, pytest.raises(ClockError):
        fill(journal, 1)


def test_a_clock_that_jumped_far_ahead_locks_no_journal(journal: Journal, clock: Clock) -> None:
    fill(journal, 1)
    clock.now += 70 * 366 * 86_400_000_000
    with pytest.raises(ClockError) as refused:
        fill(journal, 1)
    assert "idle_days" in refused.value.hint
    clock.now = START + 7
    fill(journal, 1)
    assert journal.size == 2


def test_after_a_clock_that_was_ahead_the_owner_can_go_on(files: ForgetfulFiles, clock: Clock) -> None:
    hour = 3_600_000_000
    clock.now += hour
    with Journal.open(HOME, party=PARTY, files=files, clock=clock) as journal:
        fill(journal, 1)
    clock.now -= hour
    bounds = ClockBounds(behind_s=3600)
    with Journal.open(HOME, party=PARTY, files=files, clock=clock, bounds=bounds) as journal:
        fill(journal, 1)
        assert journal.statement(1).at == journal.statement(0).at + 1


def test_a_given_time_is_kept(journal: Journal) -> None:
    entry = journal.append_many([Draft(KIND, {"title": "x"}, at=START + 5)])[0]
    assert entry.statement.at == START + 5


def test_ready_statements_are_appended_as_they_are(journal: Journal) -> None:
    statements = [ready(START + step) for step in range(3)]
    assert journal.append_ready(statements) == 0
    assert journal.append_ready([]) == 3
    assert [entry.bytes for entry in journal.entries()] == statements
    journal.append(KIND, {"title": "y"})
    assert journal.statement(3).at == START + 3


@pytest.mark.parametrize(
    "bad",
    [b"", b"{}", b'{"at":}', b'{"at":12x,"v":1}', b"x" * 70_000, ready(START), ready(START + 3_600_000_000)],
)
def test_ready_statements_are_checked_for_size_and_time(journal: Journal, bad: bytes) -> None:
    journal.append(KIND, {"title": "x"})
    with pytest.raises(StatementError):
        journal.append_ready([ready(START + 5), bad])
    assert journal.size == 1


def test_a_kept_payload_opens_and_an_erased_one_does_not(journal: Journal) -> None:
    hers = journal.append(KIND, {"title": "x"}, payload=b"pressure 120/80", subject="anna")
    his = journal.append(KIND, {"title": "x"}, fields={"age": 61, "drug": {"name": "a"}}, subject="ben")
    assert journal.payload(hers.id) == b"pressure 120/80"
    assert journal.payload(his.index) == {"age": 61, "drug": {"name": "a"}}
    assert journal.erase("anna") is True
    assert journal.erase("anna") is False
    with pytest.raises(DisclosureError):
        journal.payload(hers.id)
    assert journal.payload(his.id) == {"age": 61, "drug": {"name": "a"}}
    journal.verify()


def test_payloads_open_after_opening_again_and_for_a_reader_with_keys(
    files: ForgetfulFiles, clock: Clock
) -> None:
    with Journal.open(HOME, party=PARTY, files=files, clock=clock) as journal:
        entry = journal.append(KIND, {"title": "x"}, payload=b"secret")
    with Journal.open(HOME, party=PARTY, files=files, clock=clock) as journal:
        assert journal.payload(entry.id) == b"secret"
    with Journal.read(HOME, party=PARTY, files=files) as reader:
        assert reader.payload(entry.id) == b"secret"
    with Journal.read(HOME, files=files) as reader, pytest.raises(DisclosureError):
        reader.payload(entry.id)


def test_a_statement_without_payload_has_none_to_open(journal: Journal) -> None:
    fill(journal, 1)
    with pytest.raises(DisclosureError):
        journal.payload(0)


def test_a_receipt_verifies_closed_and_opened(journal: Journal) -> None:
    whole = journal.append(KIND, {"title": "x"}, payload=b"all of it")
    parts = journal.append(KIND, {"title": "x"}, fields={"age": 61, "name": "n"})
    fill(journal, 3)
    for receipt in (
        journal.receipt(whole.id),
        journal.receipt(whole.id, disclose=[]),
        journal.receipt(parts.index, disclose=["age"]),
        journal.receipt(parts.index, disclose=[]),
        journal.receipt(parts.index, checkpoint=journal.checkpoint()),
    ):
        verify(receipt)
    with pytest.raises(DisclosureError):
        journal.receipt(whole.id, disclose=["age"])
    with pytest.raises(DisclosureError):
        journal.receipt(parts.id, disclose=["none"])


def test_a_commitment_without_keeping_opens_with_the_callers_copy(journal: Journal) -> None:
    entry = journal.append_many([Draft(KIND, {"title": "x"}, payload=b"mine", keep=False)])[0]
    assert entry.statement.payload is not None
    assert entry.statement.payload.size == 4
    with pytest.raises(DisclosureError):
        journal.payload(entry.id)


def test_a_second_writer_is_refused_and_a_reader_is_not(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "j", party=PARTY) as journal:
        fill(journal, 2)
        with pytest.raises(LockedError, match=r"process [0-9]+ writes"):
            Journal.open(tmp_path / "j", party=PARTY)
        with Journal.read(tmp_path / "j", party=PARTY) as reader:
            assert reader.size == 2
            with pytest.raises(StorageError, match="reading only"):
                fill(reader, 1)
    with Journal.open(tmp_path / "j", party=PARTY) as journal:
        assert journal.size == 2


def test_a_reader_sees_growth_when_it_asks(files: ForgetfulFiles, journal: Journal) -> None:
    fill(journal, 2)
    with Journal.read(HOME, files=files) as reader:
        fill(journal, 3)
        assert reader.size == 2
        with pytest.raises(NotFoundError):
            reader.statement(2)
        assert reader.refresh().size == reader.size == 5
        assert reader.statement(4).body == {"title": "t2"}
        reader.verify()


def test_threads_share_commits_and_lose_nothing(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "j", party=PARTY) as journal:
        seen: dict[str, int] = {}

        def work(name: int) -> None:
            for number in range(20):
                entry = journal.append(KIND, {"title": f"{name}-{number}"})
                seen[entry.id] = entry.index

        threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(seen.values()) == list(range(160))
        assert {entry.id: entry.index for entry in journal.entries()} == seen
        times = [entry.statement.at for entry in journal.entries()]
        assert times == sorted(set(times))
        heads = list(journal._store.heads.walk())
        assert len(heads) < 160, "appends that wait together share a checkpoint"
        journal.verify()


def test_another_partys_journal_is_refused(files: ForgetfulFiles, journal: Journal) -> None:
    journal.close()
    with pytest.raises(ConfigurationError, match="another party"):
        Journal.open(HOME, party=OTHER, files=files)
    with pytest.raises(NoteError):
        Journal.read(HOME, cards=OTHER.cards, files=files)


def test_there_is_nothing_to_read_where_no_journal_is(files: ForgetfulFiles, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        Journal.read(HOME, files=files)
    with pytest.raises(NotFoundError):
        Journal.read(tmp_path / "none")


def test_a_directory_with_other_things_is_not_made_a_journal(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("private")
    with pytest.raises(ConfigurationError, match="letters"):
        Journal.open(tmp_path, party=PARTY)
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]


@pytest.mark.parametrize("name", ["checkpoints", "segments/00000000000000000000.seg", "marks"])
def test_a_later_format_is_refused_with_what_to_do(files: ForgetfulFiles, clock: Clock, name: str) -> None:
    with Journal.open(HOME, party=PARTY, files=files, clock=clock) as journal:
        fill(journal, 2)
    files.flip(HOME / name, 15, 0x03)
    with (
        pytest.raises(UnknownFormatError) as refused,
        Journal.open(HOME, party=PARTY, files=files) as journal,
    ):
        journal.statement(0)
    assert "upgrade" in refused.value.hint


def test_a_restored_backup_refuses_to_sign_below_a_remembered_head(
    files: ForgetfulFiles, clock: Clock
) -> None:
    with Journal.open(HOME, party=PARTY, files=files, clock=clock) as journal:
        fill(journal, 2)
        backup = files.copy()
        fill(journal, 2)
        remembered = journal.checkpoint()
    with pytest.raises(RollbackError, match="only 2 entries") as refused:
        Journal.open(HOME, party=PARTY, files=backup, remembered=[remembered])
    assert "backup" in refused.value.hint
    with pytest.raises(RollbackError):
        Journal.read(HOME, files=backup, remembered=[remembered])
    with Journal.open(HOME, party=PARTY, files=files, remembered=[remembered]) as journal:
        assert journal.size == 4


def test_a_backup_that_grew_differently_refuses_to_sign(files: ForgetfulFiles, clock: Clock) -> None:
    with Journal.open(HOME, party=PARTY, files=files, clock=clock) as journal:
        fill(journal, 2)
        backup = files.copy()
        fill(journal, 2)
        remembered = journal.checkpoint()
    with Journal.open(HOME, party=PARTY, files=backup, clock=clock) as journal:
        journal.append_many([Draft(KIND, {"title": f"other {at}"}) for at in range(5)])
    with pytest.raises(RollbackError, match="another root"):
        Journal.open(HOME, party=PARTY, files=backup, remembered=[remembered])


def test_a_head_file_outside_the_journal_catches_a_restored_backup(
    files: ForgetfulFiles, clock: Clock
) -> None:
    files.make_directory(Path("/data"))
    files.make_directory(Path("/elsewhere"))
    head_file = Path("/elsewhere/head")
    with Journal.open(HOME, party=PARTY, files=files, clock=clock, head_file=head_file) as journal:
        fill(journal, 2)
    backup = {path: files.content(path) for path in files.paths() if path.is_relative_to(HOME)}
    with Journal.open(HOME, party=PARTY, files=files, clock=clock, head_file=head_file) as journal:
        fill(journal, 2)
    for path in files.paths():
        if path.is_relative_to(HOME):
            file = files.open(path, write=True)
            file.truncate(0)
            file.pwrite(backup.get(path, b""), 0)
    with pytest.raises(RollbackError):
        Journal.open(HOME, party=PARTY, files=files, clock=clock, head_file=head_file)
    with Journal.open(HOME, party=PARTY, files=files, clock=clock) as journal:
        assert journal.size == 2, "without the memory it is a healthy younger journal"


def test_a_journal_that_is_gone_is_not_begun_anew_when_somebody_remembers_it(
    files: ForgetfulFiles, journal: Journal
) -> None:
    fill(journal, 1)
    with pytest.raises(RollbackError, match="no journal here"):
        Journal.open(Path("/data/empty"), party=PARTY, files=files, remembered=[journal.checkpoint()])


def test_a_card_made_at_a_larger_size_shows_a_rollback(files: ForgetfulFiles, journal: Journal) -> None:
    fill(journal, 1)
    journal.close()
    with pytest.raises(RollbackError, match="made at size 9"):
        Journal.open(HOME, party=PARTY.rotate(["log"], size=9), files=files)


def test_a_rotated_log_key_takes_the_head_over(files: ForgetfulFiles, clock: Clock) -> None:
    with Journal.open(HOME, party=PARTY, files=files, clock=clock) as journal:
        fill(journal, 3)
        root = journal.root()
    rotated = PARTY.rotate(["log"], size=3)
    with Journal.open(HOME, party=rotated, files=files, clock=clock) as journal:
        assert journal.checkpoint().head == (PARTY.origin, 3, root)
        verify(journal.receipt(0))
        fill(journal, 2)
        journal.verify()
    with Journal.open(HOME, party=rotated, files=files, clock=clock) as journal:
        assert journal.size == 5
    with pytest.raises(NoteError, match="not signed"):
        Journal.open(HOME, party=PARTY, files=files, clock=clock)


def test_cosigned_checkpoints_are_kept_and_used_for_receipts(files: ForgetfulFiles, journal: Journal) -> None:
    fill(journal, 2)
    seen = journal.checkpoint()
    assert journal.cosigned() is None
    journal.add_cosignatures(seen.note)
    fill(journal, 2)
    assert journal.cosigned() == seen.note
    assert journal.cosigned(2) is None
    assert journal.receipt(0).checkpoint == seen
    assert journal.receipt(3).checkpoint == journal.checkpoint()
    with Journal.read(HOME, files=files) as reader:
        assert reader.cosigned() == seen.note
        with pytest.raises(StorageError):
            reader.add_cosignatures(seen.note)
    with pytest.raises(NoteError):
        journal.add_cosignatures(b"junk")


def test_a_closed_journal_refuses_and_closes_twice(journal: Journal) -> None:
    fill(journal, 1)
    journal.close()
    journal.close()
    with pytest.raises(StorageError, match="closed"):
        fill(journal, 1)


def test_every_entry_is_a_statement_that_parses_to_itself(journal: Journal) -> None:
    fill(journal, 3)
    for entry in journal.entries():
        assert parse_statement(entry.bytes) == entry.statement
        assert repr(entry).startswith(f"Entry(index={entry.index}")
        assert len({entry, journal.entry(entry.index)}) == 1
