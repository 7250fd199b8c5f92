"""Group commit with sealed payloads: new subjects and payloads of all who wait share their syncs."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest

from tallystick.errors import DisclosureError, StatementError, StorageError
from tallystick.proof import Draft, Journal, Party
from tallystick.testing import FaultyFiles, ForgetfulFiles

PARTY = Party.create("Clinic North")
HOME = Path("/data/journal")
KIND = "document.recorded"


class Syncs:
    """Counts the syncs of each file, and fails those of one."""

    def __init__(self) -> None:
        self.counted = dict[str, int]()
        self.failing = ""

    def __call__(self, operation: str, name: str) -> int:
        if operation != "sync":
            return 0
        self.counted[name] = self.counted.get(name, 0) + 1
        return errno.EIO if self.failing and name.endswith(self.failing) else 0


def draft(title: str, *, keep: bool = True) -> Draft:
    return Draft(KIND, {"title": title}, payload=title.encode(), subject=f"person {title}", keep=keep)


def test_threads_that_wait_share_one_sync_of_keys_and_one_of_payloads() -> None:
    syncs = Syncs()
    with Journal.open(HOME, party=PARTY, files=FaultyFiles(ForgetfulFiles(), syncs)) as journal:
        journal.append_many([draft("first")])
        appending = journal._appending
        assert appending
        appending._committing.acquire()
        titles = [f"t{number}" for number in range(6)]
        threads = [threading.Thread(target=journal.append_many, args=([draft(title)],)) for title in titles]
        for thread in threads:
            thread.start()
        while len(appending._queue) < len(titles):
            pass
        syncs.counted.clear()
        appending._committing.release()
        for thread in threads:
            thread.join()
        assert syncs.counted == {
            "subjects": 1,
            "00000000000000000000.pay": 1,
            "00000000000000000000.seg": 1,
            "checkpoints": 1,
        }
        for entry in journal.entries():
            assert journal.payload(entry.index) == entry.statement.body["title"].encode()


def test_a_key_that_only_salts_is_durable_with_its_statement() -> None:
    files = ForgetfulFiles()
    with Journal.open(HOME, party=PARTY, files=files) as journal:
        entry = journal.append_many([draft("x", keep=False)])[0]
        key = journal._payload_store().subject_keys(["person x"])
        after = files.after_power_loss()
        with pytest.raises(DisclosureError, match="not kept"):
            journal.payload(entry.id)
    with Journal.open(HOME, party=PARTY, files=after) as journal:
        assert journal.statement(entry.id).payload
        assert journal._payload_store().subject_keys(["person x"]) == key


@pytest.mark.parametrize("name", ["subjects", ".pay"])
def test_a_statement_is_never_acknowledged_before_its_key_and_payload(name: str) -> None:
    syncs, files = Syncs(), ForgetfulFiles()
    with Journal.open(HOME, party=PARTY, files=FaultyFiles(files, syncs)) as journal:
        journal.append_many([draft("first")])
        syncs.failing = name
        with pytest.raises(StorageError):
            journal.append_many([draft("second")])
        assert journal.size == 1
        syncs.failing = ""
        with pytest.raises(StorageError, match="has stopped"):
            journal.append_many([draft("third")])
    for survivors in (files.copy(), files.after_power_loss()):
        with Journal.open(HOME, party=PARTY, files=survivors) as journal:
            assert journal.size == 1
            assert journal.payload(0) == b"first"
            assert journal.payload(journal.append_many([draft("second")])[0].id) == b"second"


def test_a_refused_batch_leaves_nothing_and_its_subject_is_usable() -> None:
    with Journal.open(HOME, party=PARTY, files=ForgetfulFiles()) as journal:
        with pytest.raises(StatementError):
            journal.append_many(
                [draft("x"), Draft(KIND, {"title": "y"}, fields={"a": 1.5}, subject="person x")]
            )
        assert journal.size == 0
        assert journal.payload(journal.append_many([draft("x")])[0].id) == b"x"


def test_a_batch_above_the_limit_of_a_commit_keeps_all_payloads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallystick.proof._appending.COMMIT_LIMIT", 3)
    files = ForgetfulFiles()
    with Journal.open(HOME, party=PARTY, files=files, segment_size=900) as journal:
        journal.append_many([draft(f"t{number}") for number in range(10)])
    with Journal.open(HOME, party=PARTY, files=files, segment_size=900) as journal:
        assert [journal.payload(at) for at in range(10)] == [b"t%d" % number for number in range(10)]
    segments = {path.stem for path in files.paths() if path.suffix == ".seg"}
    assert {path.stem for path in files.paths() if path.suffix == ".pay"} == segments
    assert len(segments) > 1


def test_an_erased_subject_is_not_remembered() -> None:
    with Journal.open(HOME, party=PARTY, files=ForgetfulFiles()) as journal:
        entry = journal.append_many([draft("x")])[0]
        assert journal.erase("person x")
        with pytest.raises(DisclosureError, match="erased"):
            journal.payload(entry.id)
        again = journal.append_many([draft("x")])[0]
        assert journal.payload(again.id) == b"x"
        assert not journal.erase("person y")


@pytest.mark.parametrize("subject", ["\ud800", None, 7, ["x"]])
def test_a_subject_that_is_no_text_is_refused(subject: str) -> None:
    with Journal.open(HOME, party=PARTY, files=ForgetfulFiles()) as journal:
        with pytest.raises(StatementError):
            journal.append_many([Draft(KIND, {"title": "x"}, payload=b"x", subject=subject)])
        assert journal.size == 0
        assert journal.payload(journal.append_many([draft("x")])[0].id) == b"x"
