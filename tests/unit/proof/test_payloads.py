"""Payloads at rest: encrypted, erasable, readable again only with what still exists."""

from __future__ import annotations

import errno
import random
from contextlib import suppress
from pathlib import Path

import pytest
from tests.proofs import RECORD
from tests.unit.proof.shelves import HOME, STORAGE, Shelf

from tallystick.errors import (
    DamagedError,
    DisclosureError,
    StatementError,
    StorageError,
    UnknownFormatError,
    VerificationError,
)
from tallystick.proof import (
    Files,
    PayloadRef,
    Secret,
    commit_bytes,
    decode_base64url,
    open_fields,
    verify_bytes,
    verify_fields,
)
from tallystick.testing._files import FaultyFiles, ForgetfulFiles, PowerLossError

SUBJECT = "Jane Doe, born 1950"
LETTER = b"dear Jane Doe, your cholesterol is 233"
SEGMENT = HOME / "00000000000000000000.pay"


@pytest.fixture
def files() -> ForgetfulFiles:
    made = ForgetfulFiles()
    made.make_directory(HOME)
    made.sync_directory(HOME.parent)
    return made


@pytest.fixture
def shelf(files: ForgetfulFiles) -> Shelf:
    return Shelf(files)


def on(files: Files, shelf: Shelf) -> Shelf:
    """The same entries over other files."""
    return Shelf(files, list(shelf.entries), shelf.per_segment)


def everything(files: ForgetfulFiles) -> bytes:
    return b"".join(files.content(path) for path in files.paths())


def test_a_payload_comes_back_with_its_salt_before_and_after_opening_again(shelf: Shelf) -> None:
    store = shelf.open()
    letter, record = shelf.keep(store, LETTER, RECORD)
    assert letter
    assert record
    for reader in (store, shelf.open(seed="again"), shelf.open(write=False)):
        content, salt = reader.read(letter, 0)
        assert content == LETTER
        verify_bytes(decode_base64url(letter.commitment), content, salt)
        fields, salt = reader.read(record, 1)
        assert fields == RECORD
        opening = open_fields(RECORD, salt, ["amount"])
        assert verify_fields(decode_base64url(record.commitment), opening) == {"amount": 1200}


def test_references_say_the_form_and_a_rounded_size(shelf: Shelf) -> None:
    letter, record, empty = shelf.keep(shelf.open(), LETTER, RECORD, b"")
    assert letter
    assert record
    assert empty
    assert (letter.form, letter.media, letter.size) == ("bytes", "text/plain", 64)
    assert (record.form, record.media) == ("fields", "application/json")
    assert empty.size == 1


def test_equal_payloads_have_different_commitments(shelf: Shelf) -> None:
    first, second = shelf.keep(shelf.open(), b"yes", b"yes")
    assert first
    assert second
    assert first.commitment != second.commitment
    assert decode_base64url(first.commitment) != commit_bytes(b"yes", b"")


def test_nothing_of_a_payload_or_its_subject_stands_in_the_files(shelf: Shelf, files: ForgetfulFiles) -> None:
    shelf.keep(shelf.open(), LETTER, RECORD)
    whole = everything(files)
    for word in (b"Jane", b"cholesterol", b"amount", b"1200", b"reasons", SUBJECT.encode(), STORAGE.reveal()):
        assert word not in whole


def test_erasing_makes_payload_and_salt_unknowable_and_leaves_others(
    shelf: Shelf, files: ForgetfulFiles
) -> None:
    store = shelf.open()
    shelf.keep(store, LETTER)
    shelf.keep(store, b"his", subject="John")
    shelf.keep(store, b"ours", subject="")
    key = store.subject_keys([SUBJECT])[SUBJECT]
    at = files.content(HOME / "subjects").index(store._subjects.tag(SUBJECT))
    wrapped = files.content(HOME / "subjects")[at + 16 : at + 76]
    assert store.erase(SUBJECT)
    assert not store.erase(SUBJECT)
    for reader in (store, shelf.open(seed="again")):
        with pytest.raises(DisclosureError, match="erased"):
            shelf.read(reader, 0)
        assert shelf.read(reader, 1) == b"his"
        assert shelf.read(reader, 2) == b"ours"
    whole = everything(files)
    assert wrapped not in whole
    assert key not in whole


def test_erasing_somebody_unknown_does_nothing(shelf: Shelf, files: ForgetfulFiles) -> None:
    store = shelf.open()
    shelf.keep(store, LETTER)
    before = everything(files)
    assert not store.erase("nobody")
    assert everything(files) == before


def test_after_an_erasure_new_payloads_of_the_subject_have_a_new_key(shelf: Shelf) -> None:
    store = shelf.open()
    shelf.keep(store, LETTER)
    store.erase(SUBJECT)
    shelf.keep(store, b"new")
    again = shelf.open(seed="again")
    assert shelf.read(again, 1) == b"new"
    with pytest.raises((DisclosureError, DamagedError)):
        shelf.read(again, 0)


def test_an_erasure_that_fails_can_be_tried_again(shelf: Shelf, files: ForgetfulFiles) -> None:
    failing: set[str] = set()
    shelf.files = FaultyFiles(files, lambda operation, _name: errno.EIO if operation in failing else 0)
    store = shelf.open()
    shelf.keep(store, LETTER)
    failing.add("rename")
    with pytest.raises(StorageError):
        store.erase(SUBJECT)
    assert shelf.read(store, 0) == LETTER
    failing.clear()
    assert store.erase(SUBJECT)
    with pytest.raises(DisclosureError):
        shelf.read(shelf.open(seed="again"), 0)


def test_a_payload_that_was_never_kept_is_not_here(shelf: Shelf) -> None:
    store = shelf.open()
    (ref,) = shelf.keep(store, LETTER, lost=True)
    assert ref
    with pytest.raises(DisclosureError, match="not kept"):
        shelf.open(seed="again").read(ref, 0)
    with pytest.raises(DisclosureError, match="not kept"):
        store.read(ref, 7)


@pytest.mark.parametrize("content", [{"a": 1.5}, {"a.b": 1}, {"a": {"b": object()}}])
def test_a_payload_outside_its_bounds_is_refused(shelf: Shelf, content: dict[str, object]) -> None:
    with pytest.raises(StatementError):
        shelf.keep(shelf.open(), content)


def test_another_storage_key_opens_nothing(shelf: Shelf) -> None:
    shelf.keep(shelf.open(), LETTER)
    stranger = shelf.open(write=False, key=Secret(b"\x32" * 32))
    with pytest.raises((DamagedError, DisclosureError)):
        shelf.read(stranger, 0)


@pytest.mark.parametrize("path", [HOME / "subjects", SEGMENT], ids=["subjects", "payloads"])
def test_a_torn_tail_is_cut_and_what_stood_before_stays(
    shelf: Shelf, files: ForgetfulFiles, path: Path
) -> None:
    store = shelf.open()
    shelf.keep(store, LETTER)
    before = len(files.content(path))
    shelf.keep(store, b"second", subject="John", lost=True)
    whole = files.content(path)
    assert len(whole) > before
    for cut in range(before, len(whole)):
        torn = files.copy()
        torn.open(path, write=True).truncate(cut)
        after = on(torn, shelf)
        again = after.open(seed="again")
        assert after.read(again, 0) == LETTER
        after.keep(again, b"third", subject="John")
        assert after.read(after.open(seed="c"), 1) == b"third"


def test_a_power_loss_at_any_step_keeps_what_was_kept(shelf: Shelf, files: ForgetfulFiles) -> None:
    shelf.keep(shelf.open(), LETTER)
    reached = 0
    for step in range(14):
        machine = files.copy()
        machine._power_loss_at = machine.operations + step
        during = on(machine, shelf)
        try:
            during.keep(during.open(seed="b"), b"second", b"more", subject="John", lost=True)
        except PowerLossError:
            reached += 1
        for seed in range(5):
            after = on(machine.after_power_loss(random.Random(seed)), shelf)
            again = after.open(seed="c")
            assert after.read(again, 0) == LETTER
            after.keep(again, b"third", subject="John")
            assert after.read(again, 1) == b"third"
            assert after.read(after.open(seed="d"), 1) == b"third"
    assert 3 < reached < 14


def test_what_was_kept_survives_a_power_loss(shelf: Shelf, files: ForgetfulFiles) -> None:
    shelf.keep(shelf.open(), LETTER)
    shelf.keep(shelf.open(), b"second", subject="John")
    for seed in (None, 1, 2, 3):
        after = on(files.after_power_loss(None if seed is None else random.Random(seed)), shelf)
        store = after.open(seed="after")
        assert [after.read(store, at) for at in range(2)] == [LETTER, b"second"]


def test_damaged_ciphertext_is_named_and_never_returned(shelf: Shelf, files: ForgetfulFiles) -> None:
    shelf.keep(shelf.open(), LETTER)
    for place in range(16, len(files.content(SEGMENT))):
        damaged = files.copy()
        damaged.flip(SEGMENT, place)
        with pytest.raises((DamagedError, DisclosureError)):
            shelf.read(on(damaged, shelf).open(write=False), 0)


@pytest.mark.parametrize("path", [HOME / "subjects", SEGMENT, HOME / "places"], ids=str)
def test_another_file_or_a_later_version_is_refused(shelf: Shelf, files: ForgetfulFiles, path: Path) -> None:
    shelf.keep(shelf.open(), LETTER)
    later = files.copy()
    later.open(path, write=True).pwrite(b"\x02", 15)
    with pytest.raises(UnknownFormatError):
        on(later, shelf).open()
    files.flip(path, 0)
    with pytest.raises(DamagedError):
        shelf.open(write=False).read(PayloadRef("A" * 43, "bytes", "a/b", "A" * 22, 1), 0)


@pytest.mark.parametrize("name", [SEGMENT.name, "subjects"])
def test_a_failed_sync_stores_nothing_as_kept(shelf: Shelf, files: ForgetfulFiles, name: str) -> None:
    failing = set[str]()
    shelf.files = FaultyFiles(
        files, lambda operation, on: errno.EIO if operation == "sync" and on in failing else 0
    )
    store = shelf.open()
    shelf.keep(store, LETTER)
    failing.add(name)
    with pytest.raises(StorageError):
        shelf.keep(store, b"second", subject="John", lost=True)
    with suppress(StorageError):
        store.close()
    after = on(files.after_power_loss(), shelf)
    assert after.read(after.open(seed="after"), 0) == LETTER


def test_the_salt_of_another_subject_does_not_open(shelf: Shelf) -> None:
    store = shelf.open()
    (ref,) = shelf.keep(store, LETTER)
    (other,) = shelf.keep(store, LETTER, subject="John")
    assert ref
    assert other
    with pytest.raises(VerificationError):
        verify_bytes(decode_base64url(ref.commitment), LETTER, store.read(other, 1)[1])
