"""Disks that are full or broken: a typed error with a hint, nothing more is signed, what was acknowledged stays."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tallystick.errors import LockedError, NotFoundError, StorageError
from tallystick.proof import Draft, Journal, OsFiles, Party, read_whole, write_atomically
from tallystick.testing import FaultyFiles, ForgetfulFiles

PARTY = Party.create("Clinic North")
HOME = Path("/data/journal")
KIND = "document.recorded"


def drafts(*titles: str) -> list[Draft]:
    return [Draft(KIND, {"title": title}, payload=b"content") for title in titles]


class Plan:
    """Fail the nth operation of a kind, once."""

    def __init__(self) -> None:
        self.operation, self.number, self.left = "", 0, -1
        self.asked = list[tuple[str, str]]()

    def __call__(self, operation: str, name: str) -> int:
        if operation == "read":
            return 0
        self.asked.append((operation, name))
        if operation == self.operation:
            self.left -= 1
            if self.left == -1:
                return self.number
        return 0

    def arm(self, operation: str, *, skip: int, number: int) -> None:
        self.operation, self.left, self.number = operation, skip, number


def points(operation: str) -> list[int]:
    plan = Plan()
    with Journal.open(HOME, party=PARTY, files=FaultyFiles(ForgetfulFiles(), plan)) as journal:
        plan.asked.clear()
        journal.append_many(drafts("second"))
        return list(range(sum(asked == operation for asked, _ in plan.asked)))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("operation", ["write", "sync", "sync-directory", "rename", "make-directory", "open"])
def test_a_failing_disk_stops_the_journal_and_loses_nothing(operation: str, number: int) -> None:
    tried = points(operation)
    assert tried
    for skip in tried:
        plan, inner = Plan(), ForgetfulFiles()
        with Journal.open(HOME, party=PARTY, files=FaultyFiles(inner, plan)) as journal:
            journal.append_many([Draft(KIND, {"title": "first"})])
            head = journal.checkpoint()
            plan.arm(operation, skip=skip, number=number)
            try:
                journal.append_many(drafts("second"))
            except StorageError as error:
                failure = error
            else:
                continue  # the append needs fewer such operations when files are there already
            assert os.strerror(number).lower() in failure.message
            assert ("free some space" in failure.hint) is (number == errno.ENOSPC)
            assert journal.checkpoint() == head, "nothing new is shown"
            assert journal.statement(0).body == {"title": "first"}
            if plan.asked[-1] != ("write", "marks"):  # half a mark tells a reader nothing, and it says so
                with Journal.read(HOME, files=inner) as reader:
                    assert reader.checkpoint() == head, "nor in another process"
            asked = len(plan.asked)
            with pytest.raises(StorageError, match="has stopped"):
                journal.append(KIND, {"title": "third"})
            assert len(plan.asked) == asked, "a failed sync or write is never tried again"
        check(inner.copy())
        check(inner.after_power_loss())


def check(files: ForgetfulFiles) -> None:
    with Journal.open(HOME, party=PARTY, files=files) as journal:
        titles = [entry.statement.body["title"] for entry in journal.entries()]
        assert titles in (["first"], ["first", "second"])
        journal.verify()
        entry = journal.append(KIND, {"title": "third"}, payload=b"more")
        assert journal.payload(entry.id) == b"more"


@pytest.mark.parametrize("skip", range(4))
def test_what_a_failed_sync_left_in_the_cache_only_is_not_trusted(skip: int) -> None:
    inner = ForgetfulFiles()

    class Forgetting(Plan):
        def __call__(self, operation: str, name: str) -> int:
            number = super().__call__(operation, name)
            if number:
                inner.forget_pending()
            return number

    plan = Forgetting()
    with Journal.open(HOME, party=PARTY, files=FaultyFiles(inner, plan)) as journal:
        journal.append_many([Draft(KIND, {"title": "first"})])
        plan.arm("sync", skip=skip, number=errno.EIO)
        with pytest.raises(StorageError):
            journal.append_many(drafts("second"))
    with Journal.open(HOME, party=PARTY, files=inner) as journal:
        size = journal.size
    with Journal.open(HOME, party=PARTY, files=inner.after_power_loss()) as journal:
        assert journal.size == size, "what was shown after the fault is still there"
        journal.verify()


def test_every_waiting_thread_hears_of_the_failure() -> None:
    plan = Plan()
    with Journal.open(HOME, party=PARTY, files=FaultyFiles(ForgetfulFiles(), plan)) as journal:
        appending = journal._appending
        assert appending is not None
        appending._committing.acquire()
        errors = list[BaseException]()

        def work(title: str) -> None:
            try:
                journal.append(KIND, {"title": title})
            except StorageError as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(5)]
        for thread in threads:
            thread.start()
        while len(appending._queue) < 5:
            pass
        plan.arm("sync", skip=0, number=errno.EIO)
        appending._committing.release()
        for thread in threads:
            thread.join()
        assert len(errors) == 5
        assert journal.size == 0


def failing(number: int) -> Callable[..., int]:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
def test_real_files_wrap_what_the_system_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    if not hasattr(os, call):
        pytest.skip(f"this system has no os.{call}")
    with Journal.open(tmp_path / "j", party=PARTY) as journal:
        journal.append(KIND, {"title": "first"})
        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing(errno.EIO))
            with pytest.raises(StorageError, match="input/output error") as failed:
                journal.append(KIND, {"title": "second"})
            assert "system log" in failed.value.hint
        with pytest.raises(StorageError, match="has stopped"):
            journal.append(KIND, {"title": "third"})
    with Journal.open(tmp_path / "j", party=PARTY) as journal:
        assert journal.size == 1
        journal.verify()


def test_short_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.pwrite
    monkeypatch.setattr(
        os, "pwrite", lambda number, data, offset: whole(number, data[: max(1, len(data) // 3)], offset)
    )
    with Journal.open(tmp_path / "j", party=PARTY) as journal:
        journal.append_many([Draft(KIND, {"title": f"t{at}"}) for at in range(50)])
        journal.verify()
    with Journal.open(tmp_path / "j", party=PARTY) as journal:
        assert journal.size == 50


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_device_that_is_full_is_named_as_such() -> None:
    file = OsFiles().open(Path("/dev/full"), write=True)
    with pytest.raises(StorageError, match="no space left") as failed:
        file.pwrite(b"x", 0)
    assert "free some space" in failed.value.hint
    file.close()


LIMITED = """
import sys
from tallystick.errors import StorageError
from tallystick.proof import Draft, Journal, Party

party = Party.load(sys.argv[1], "p")
journal = Journal.open(sys.argv[2], party=party)
count = 0
try:
    while True:
        journal.append("document.recorded", {"title": f"number {count}", })
        count += 1
except StorageError as error:
    print(count, error.message, error.hint, sep="|")
"""


def test_a_real_limit_of_the_system_stops_a_real_journal(tmp_path: Path) -> None:
    PARTY.save(tmp_path / "keys", "p", n=2)

    def limit() -> None:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))

    ran = subprocess.run(
        [sys.executable, "-B", "-c", LIMITED, str(tmp_path / "keys"), str(tmp_path / "j")],
        preexec_fn=limit,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    count, message, hint = ran.stdout.strip().split("|")
    assert int(count) > 5
    assert "file too large" in message
    assert "limit" in hint
    with Journal.open(tmp_path / "j", party=PARTY) as journal:
        assert [entry.statement.body["title"] for entry in journal.entries()] == [
            f"number {at}" for at in range(int(count))
        ]
        journal.verify()


def test_an_atomic_write_leaves_the_old_content_when_it_fails() -> None:
    plan, inner = Plan(), ForgetfulFiles()
    inner.make_directory(Path("/data"))
    files, path = FaultyFiles(inner, plan), Path("/data/state")
    write_atomically(files, path, b"old")
    for operation in ("open", "write", "sync", "rename"):
        plan.arm(operation, skip=0, number=errno.ENOSPC)
        with pytest.raises(StorageError):
            write_atomically(files, path, b"new")
        assert read_whole(files, path, limit=10) == b"old"
        assert inner.list(Path("/data")) == ["state"]
    write_atomically(files, path, b"new")
    assert read_whole(files, path, limit=10) == b"new"


def test_atomic_writes_survive_a_power_loss_once_they_return() -> None:
    files = ForgetfulFiles()
    files.make_directory(Path("/data"))
    files.sync_directory(Path("/"))
    write_atomically(files, Path("/data/state"), b"old")
    write_atomically(files, Path("/data/state"), b"new")
    assert files.after_power_loss().content(Path("/data/state")) == b"new"


def test_real_files_refuse_what_is_not_there_or_held(tmp_path: Path) -> None:
    files = OsFiles()
    with pytest.raises(NotFoundError):
        files.open(tmp_path / "none")
    with pytest.raises(NotFoundError):
        files.list(tmp_path / "none")
    with pytest.raises(StorageError):
        files.unlink(tmp_path / "none")
    with pytest.raises(StorageError):
        files.rename(tmp_path / "none", tmp_path / "more")
    lock = files.lock(tmp_path / "lock")
    with pytest.raises(LockedError, match=str(os.getpid())):
        files.lock(tmp_path / "lock")
    lock.close()
    files.lock(tmp_path / "lock").close()


def test_files_are_private(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "j", party=PARTY) as journal:
        journal.append(KIND, {"title": "x"}, payload=b"y")
    for path in [tmp_path / "j", *(tmp_path / "j").rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
