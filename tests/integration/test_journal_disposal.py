"""Disposal: old segments go, every proof stays, and a crash at any point ends in one of two whole states."""

from __future__ import annotations

import errno
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tallystick.errors import DamagedError, DisclosureError, DisposedError, StorageError, TallystickError
from tallystick.proof import (
    Draft,
    Journal,
    Party,
    Receipt,
    _kinds_index,
    _segments,
    export_tiles,
    parse_receipt,
    verify,
    verify_consistency,
    verify_inclusion,
)
from tallystick.testing import FaultyFiles, ForgetfulFiles, PowerLossError

PARTY = Party.create("Clinic North")
HOME = Path("/data/journal")
KEEP = ("model.",)
COUNT = 60
MODEL = "ab" * 32


def draft(at: int) -> Draft:
    """Every seventh statement is about a model; every third has a payload."""
    fields = {"note": f"payload {at}"} if at % 3 == 0 else None
    if at % 7 == 3:
        return Draft("model.retired", {"model": MODEL, "reason": f"number {at}"}, fields=fields)
    return Draft("document.recorded", {"title": f"number {at}"}, fields=fields, subject=f"patient {at % 4}")


def is_kept(at: int) -> bool:
    return at % 7 == 3


def made(files: ForgetfulFiles | None = None, path: Path = HOME, *, size: int = 2000) -> ForgetfulFiles:
    files = files or ForgetfulFiles()
    with Journal.open(path, party=PARTY, files=files, segment_size=size) as journal:
        fill(journal)
        journal._store.sync_derived()
    return files


def fill(journal: Journal) -> None:
    for start in range(0, COUNT, 3):
        journal.append_many([draft(at) for at in range(start, start + 3)])


def text(journal: Journal, at: int) -> str:
    body = journal.statement(at).body
    return str(body.get("title") or body.get("reason"))


def check_proofs(journal: Journal, leaves: list[bytes]) -> None:
    """Every entry's place, and every earlier head, can be proved as before."""
    head = journal.checkpoint()
    for at, leaf in enumerate(leaves):
        verify_inclusion(leaf, index=at, size=head.size, path=journal.inclusion(at), root=head.root)
        assert journal.index(leaf.hex()) == at
    for size in range(1, head.size):
        path = journal.consistency(size)
        verify_consistency(
            old_size=size, new_size=head.size, old_root=journal.root(size), new_root=head.root, path=path
        )


def disposed_to(journal: Journal) -> int:
    """First entry that was not disposed of; checks that everything before it was, but for what is kept."""
    stop = next((at for at in range(COUNT) if not is_kept(at) and is_there(journal, at)), COUNT)
    for at in range(COUNT):
        assert is_there(journal, at) is (at >= stop or is_kept(at))
    return stop


def is_there(journal: Journal, at: int) -> bool:
    try:
        assert text(journal, at) == f"number {at}"
    except DisposedError:
        return False
    return True


def check_whole(files: ForgetfulFiles, leaves: list[bytes]) -> int:
    """Open, check everything, append; how far it was disposed of."""
    with Journal.open(HOME, party=PARTY, files=files, segment_size=2000) as journal:
        stop = disposed_to(journal)
        said = [entry.statement.body for entry in journal.entries(kinds=["retention.disposed"])]
        assert [body["last"] + 1 for body in said][-1:] == ([stop] if stop else []), (
            "stated, if and only if done"
        )
        gone = [at for at in range(stop) if not is_kept(at)]
        assert journal.disposed == len(gone)
        assert journal.verify().disposed == len(gone)
        left = [entry.index for entry in journal.entries()]
        assert left == [at for at in range(journal.size) if at not in gone]
        kept = [entry.index for entry in journal.entries(kinds=KEEP)]
        assert kept == [at for at in range(COUNT) if is_kept(at)]
        for at in range(0, COUNT, 3):
            if at in gone:
                with pytest.raises(DisposedError):
                    journal.payload(at)
            else:
                assert journal.payload(at) == {"note": f"payload {at}"}
        check_proofs(journal, leaves)
        entry = journal.append("document.recorded", {"title": "after"}, payload=b"after")
        assert journal.payload(entry.id) == b"after"
        remains = {
            path.name[:20] for path in files.paths() if path.suffix == ".kept" and "segments" in path.parts
        }
        whole = {path.name[:20] for path in files.paths() if path.suffix == ".seg"}
        assert not remains & whole, "nothing is left half done"
    return stop


@pytest.fixture
def leaves() -> list[bytes]:
    with Journal.read(HOME, party=PARTY, files=WHOLE) as journal:
        return [bytes.fromhex(entry.id) for entry in journal.entries()]


WHOLE = made()


def test_old_entries_go_and_every_proof_stays(leaves: list[bytes]) -> None:
    files = WHOLE.copy()
    with Journal.open(HOME, party=PARTY, files=files, segment_size=2000) as journal:
        receipts = [journal.receipt(at).format() for at in range(COUNT)]
        could = journal.disposable(COUNT // 2)
        done = journal.dispose(COUNT // 2, keep=KEEP)
        assert (done.first, done.stop, done.segments) == (could.first, could.stop, could.segments)
        assert 20 < done.stop <= COUNT // 2
        assert done.segments > 2
        assert done.bytes > 0
        assert done.kept == sum(map(is_kept, range(done.stop)))
        said = journal.statement(journal.size - 1)
        assert said.body == {"first": 0, "keep": ["model.", "retention."], "last": done.stop - 1}
        assert disposed_to(journal) == done.stop
        check_proofs(journal, leaves)
        for data in receipts:
            verify(parse_receipt(data))
        with pytest.raises(DisposedError, match="was disposed of") as told:
            journal.receipt(0)
        assert "still verify" in told.value.hint
        assert isinstance(journal.receipt(3), Receipt)
        again = journal.dispose(COUNT // 2, keep=KEEP)
        assert again.segments == 0, "what is gone is not disposed of twice"
    assert check_whole(files, leaves) == done.stop


def test_a_second_disposal_goes_on_where_the_first_ended(leaves: list[bytes]) -> None:
    files = WHOLE.copy()
    with Journal.open(HOME, party=PARTY, files=files, segment_size=2000) as journal:
        first = journal.dispose(20, keep=KEEP)
        second = journal.dispose(journal.size, keep=KEEP)
        assert second.first == first.stop
        assert second.stop < journal.size, "the segment that is written to stays"
    assert check_whole(files, leaves) == second.stop


def test_nothing_goes_below_the_first_closed_segment() -> None:
    with Journal.open(HOME, party=PARTY, files=WHOLE.copy(), segment_size=2000) as journal:
        size = journal.size
        assert journal.dispose(2, keep=KEEP).segments == 0
        assert journal.size == size, "nothing was stated either"


def test_kinds_that_no_index_lists_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kinds_index, "NAMES_LIMIT", 1)  # document.recorded
    files = made()
    with Journal.open(HOME, party=PARTY, files=files, segment_size=2000) as journal:
        journal.dispose(40)
        disposed_to(journal)
        journal.verify()


def test_a_statement_alone_deletes_nothing() -> None:
    files = WHOLE.copy()
    with Journal.open(HOME, party=PARTY, files=files) as journal:
        journal.append("retention.disposed", {"first": 0, "last": COUNT - 1, "keep": []})
    with Journal.open(HOME, party=PARTY, files=files) as journal:
        assert journal.disposed == 0
        assert text(journal, 0) == "number 0"


def test_another_disposals_statement_ends_nothing(leaves: list[bytes]) -> None:
    files, left = WHOLE.copy(), [-1]

    def fault(asked: str, name: str) -> int:
        left[0] -= asked == "rename"
        return errno.ENOSPC if asked == "rename" and left[0] == -1 else 0

    with Journal.open(HOME, party=PARTY, files=FaultyFiles(files, fault)) as journal:
        left[0] = 2
        with pytest.raises(StorageError):
            journal.dispose(40, keep=KEEP)
        assert text(journal, 0) == "number 0"
        journal.append("retention.disposed", {"first": 0, "last": 39, "keep": []})
    with Journal.open(HOME, party=PARTY, files=files) as journal:
        assert journal.disposed == 0
        assert text(journal, 0) == "number 0"
        check_proofs(journal, leaves)
        journal.verify()
    assert not [path for path in files.paths() if path.suffix == ".kept"]


def test_damaged_remains_beside_a_segment_leave_it_whole(leaves: list[bytes]) -> None:
    files = WHOLE.copy()
    with Journal.open(HOME, party=PARTY, files=files, segment_size=2000) as journal:
        files._power_loss_at = files.operations + steps() - 2
        with suppress(PowerLossError):
            journal.dispose(40, keep=KEEP)
        files._power_loss_at = None
    after = files.after_power_loss(everything=True)
    whole = {path.name[:20] for path in after.paths() if path.suffix == ".seg"}
    half = [path for path in after.paths() if path.suffix == ".kept" and path.name[:20] in whole]
    for path in half:
        if "segments" in path.parts:
            after.flip(path, len(after.content(path)) - 20)
    with Journal.open(HOME, party=PARTY, files=after, segment_size=2000) as journal:
        check_proofs(journal, leaves)
        journal.verify()
        assert journal.dispose(40, keep=KEEP).segments == len(
            [path for path in half if "segments" in path.parts]
        )
        journal.verify()


@pytest.mark.parametrize("name", ["hashes", "kinds", "kinds.names", "offsets", "marks", "ids"])
def test_derived_files_can_still_be_derived(name: str, leaves: list[bytes]) -> None:
    files = WHOLE.copy()
    with Journal.open(HOME, party=PARTY, files=files) as journal:
        stop = journal.dispose(40, keep=KEEP).stop
    for path in files.paths():
        if path.relative_to(HOME).parts[0] == name:
            files.unlink(path)
    assert check_whole(files, leaves) == stop


def test_readers_see_the_disposal(leaves: list[bytes]) -> None:
    files = WHOLE.copy()
    with (
        Journal.open(HOME, party=PARTY, files=files) as journal,
        Journal.read(HOME, party=PARTY, files=files) as before,
    ):
        stop = journal.dispose(40, keep=KEEP).stop
        assert text(before, COUNT - 1) == f"number {COUNT - 1}"
        with pytest.raises(DisposedError):
            before.entry(0)
        assert text(before, 3) == "number 3"
        assert before.verify().disposed == before.disposed > 0
        before.refresh()
        assert disposed_to(before) == stop
        with Journal.read(HOME, party=PARTY, files=files) as reader:
            assert disposed_to(reader) == stop
            check_proofs(reader, leaves)
            reader.verify()


def test_tiles_are_exported_and_bundles_only_where_entries_are(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal", party=PARTY, segment_size=2000) as journal:
        fill(journal)
        export_tiles(journal, tmp_path / "early", entries=True)
        journal.dispose(40, keep=KEEP)
        assert export_tiles(journal, tmp_path / "tiles") > 1
        with pytest.raises(DisposedError, match=r"entries .* disposed"):
            export_tiles(journal, tmp_path / "more", entries=True)


def test_the_space_is_really_freed(tmp_path: Path) -> None:
    def blocks() -> int:
        return sum(path.stat().st_blocks for path in tmp_path.rglob("*") if path.is_file())

    with Journal.open(tmp_path / "journal", party=PARTY, segment_size=400_000) as journal:
        for number in range(6):
            journal.append_many(
                [Draft("document.recorded", {"title": f"{number} {at} {'x' * 450}"}) for at in range(1000)]
            )
        list(journal.entries())
        before = blocks()
        done = journal.dispose(journal.size)
        assert done.segments >= 4
        assert before - blocks() > 0.8 * done.bytes / 512
        assert done.bytes > 0.85 * 600 * done.stop
        journal.verify()


def steps() -> int:
    files = WHOLE.copy()
    before = files.operations
    with Journal.open(HOME, party=PARTY, files=files, segment_size=2000) as journal:
        before = files.operations
        journal.dispose(40, keep=KEEP)
    return files.operations - before


@pytest.mark.parametrize("held", [1, 3])
def test_more_segments_than_files_may_be_open(
    held: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_segments, "_HELD", held)
    with Journal.open(tmp_path / "journal", party=PARTY, segment_size=1000) as journal:
        fill(journal)
        ids = [bytes.fromhex(entry.id) for entry in journal.entries()]
        check_proofs(journal, ids)
        assert [text(journal, at) for at in range(COUNT)] == [f"number {at}" for at in range(COUNT)]
        journal.dispose(40, keep=KEEP)
        check_proofs(journal, ids)
        disposed_to(journal)
        fill(journal)
        journal.verify()
        assert len(journal._store.segments._open) <= held + 1
        assert len(journal._store.segments._remains) <= held


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["killed", "nothing synced stays", "by chance"])
def test_a_crash_at_any_step_ends_in_one_of_two_whole_states(mode: str, leaves: list[bytes]) -> None:
    chance, ends = random.Random(5), set()
    for lost in range(steps() + 1):
        files = WHOLE.copy()
        with Journal.open(HOME, party=PARTY, files=files, segment_size=2000) as journal:
            files._power_loss_at = files.operations + lost
            with suppress(PowerLossError):
                stop = journal.dispose(40, keep=KEEP).stop
            files._power_loss_at = None
        after = files.after_power_loss(chance if mode == "by chance" else None, everything=mode == "killed")
        ends.add(check_whole(after, leaves))
    assert ends == {0, stop}


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["write", "sync", "sync-directory", "rename", "unlink", "open"])
def test_a_failing_disk_loses_nothing(operation: str, leaves: list[bytes]) -> None:
    for skip in range(40):
        inner, left = WHOLE.copy(), [-1]

        def fault(asked: str, name: str, left: list[int] = left) -> int:
            left[0] -= asked == operation
            return errno.EIO if asked == operation and left[0] == -1 else 0

        with Journal.open(HOME, party=PARTY, files=FaultyFiles(inner, fault), segment_size=2000) as journal:
            left[0] = skip
            try:
                journal.dispose(40, keep=KEEP)
            except StorageError:
                pass
            else:
                return
        check_whole(inner, leaves)
    pytest.fail("more operations than expected")


def look(files: ForgetfulFiles) -> None:
    with Journal.open(HOME, party=PARTY, files=files) as journal:
        journal.verify()
        disposed_to(journal)


@pytest.mark.slow
def test_every_changed_byte_of_what_stays_is_noticed() -> None:
    whole = WHOLE.copy()
    with Journal.open(HOME, party=PARTY, files=whole) as journal:
        journal.dispose(16, keep=KEEP)
        journal._store.sync_derived()
    for path in [path for path in whole.paths() if path.suffix == ".kept" and "segments" in path.parts]:
        for place in range(len(whole.content(path))):
            files = whole.copy()
            files.flip(path, place)
            with pytest.raises(TallystickError):
                look(files)


def test_a_kept_entry_that_is_not_what_was_signed_is_named() -> None:
    files = WHOLE.copy()
    with Journal.open(HOME, party=PARTY, files=files) as journal:
        journal.dispose(40, keep=KEEP)
        remains = journal._store.segments.remains_of(3)
        remains.entry(3)
        assert remains._entries is not None
        remains._entries[3] = remains._entries[3].replace(b"number 3", b"number 4")
        with pytest.raises(DamagedError, match="entry 3 is damaged"):
            journal.entry(3)
        with pytest.raises(DamagedError, match="entry 3 is damaged"):
            journal.verify()


def test_others_append_read_and_verify_while_segments_go(tmp_path: Path) -> None:
    failures: list[BaseException] = []
    done = threading.Event()

    def work(action: object) -> None:
        try:
            while not done.is_set():
                action()  # type: ignore[operator]
        except BaseException as error:
            failures.append(error)
            raise

    with Journal.open(tmp_path / "journal", party=PARTY, segment_size=30_000) as journal:
        for _ in range(20):
            fill(journal)
        actions = (journal.verify, lambda: list(journal.entries()), lambda: journal.append_many([draft(3)]))
        threads = [threading.Thread(target=work, args=(action,)) for action in actions]
        for thread in threads:
            thread.start()
        for before in range(100, 1200, 100):
            journal.dispose(before, keep=KEEP)
        done.set()
        for thread in threads:
            thread.join(60)
        assert not failures
        assert journal.disposed > 500
        journal.verify()


CHILD = """
import sys
from tallystick.proof import Draft, Journal, Party

party = Party.load(sys.argv[1], sys.argv[2])
journal = Journal.open(sys.argv[3], party=party, segment_size=4000)
print("open", flush=True)
while True:
    for _ in range(12):
        journal.append_many([Draft("document.recorded", {"title": str(journal.size)})])
    print("appended", journal.size, flush=True)
    journal.dispose(journal.size - 20)
"""


@pytest.mark.slow
def test_kills_while_disposing_leave_a_journal_that_verifies(tmp_path: Path) -> None:
    PARTY.save(tmp_path / "keys", "four words are better", n=2)
    chance, told = random.Random(3), 0
    for _ in range(15):
        child = subprocess.Popen(
            [
                sys.executable,
                "-c",
                CHILD,
                str(tmp_path / "keys"),
                "four words are better",
                str(tmp_path / "j"),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        time.sleep(0.05 + chance.random() * 0.2)
        child.send_signal(signal.SIGKILL)
        lines = [line.split() for line in child.stdout.read().split("\n")[:-1]]
        child.stdout.close()
        child.wait()
        told = max([told, *(int(size) for word, size in lines if word == "appended")])
        with Journal.open(tmp_path / "j", party=PARTY, segment_size=4000) as journal:
            assert journal.size >= told
            said = [entry.statement.body for entry in journal.entries(kinds=["retention."])]
            journal.verify()
            left = [entry.index for entry in journal.entries()]
            gone = {at for body in said for at in range(body["first"], body["last"] + 1)}
            kept = {entry.index for entry in journal.entries(kinds=["retention."])}
            assert left == [at for at in range(journal.size) if at not in gone - kept]
            assert journal.disposed == len(gone - kept)
    assert journal.disposed > 100


def test_erased_payloads_of_kept_entries_stay_erased() -> None:
    files = ForgetfulFiles()
    with Journal.open(HOME, party=PARTY, files=files, segment_size=2000) as journal:
        for at in range(40):
            body = {"model": MODEL, "reason": f"number {at}"}
            journal.append("model.retired", body, fields={"note": "x"}, subject="patient 1")
        assert journal.erase("patient 1")
        journal.dispose(30, keep=KEEP)
        assert text(journal, 1) == "number 1"
        with pytest.raises(DisclosureError):
            journal.payload(1)
