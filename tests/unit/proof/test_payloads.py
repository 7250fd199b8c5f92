"""Payloads at rest: encrypted, erasable, readable again only with what still exists."""

from __future__ import annotations

import errno
import random
from contextlib import suppress
from pathlib import Path

import pytest
from tests.proofs import RECORD, fixed_randomness

from tallystick.errors import (
    DamagedError,
    DisclosureError,
    StatementError,
    StorageError,
    UnknownFormatError,
    VerificationError,
)
from tallystick.proof import (
    Payload,
    PayloadRef,
    Secret,
    commit_bytes,
    decode_base64url,
    open_fields,
    verify_bytes,
    verify_fields,
)
from tallystick.proof._payloads import Payloads
from tallystick.testing._files import FaultyFiles, ForgetfulFiles, PowerLossError

HOME = Path("/payloads")
STORAGE = Secret(b"\x31" * 32)
SUBJECT = "Jane Doe, born 1950"
LETTER = b"dear Jane Doe, your cholesterol is 233"


@pytest.fixture
def files() -> ForgetfulFiles:
    made = ForgetfulFiles()
    made.make_directory(HOME)
    made.sync_directory(HOME.parent)
    return made


def opened(
    files: ForgetfulFiles, *, write: bool = True, seed: str = "payloads", key: Secret = STORAGE
) -> Payloads:
    return Payloads(HOME, key, write=write, files=files, randomness=fixed_randomness(seed))


def kept(store: Payloads, content: bytes | dict[str, object] = LETTER, subject: str = SUBJECT) -> PayloadRef:
    ref, sealed = store.commit(Payload(content, "text/plain", subject))
    store.keep([sealed])
    return ref


def everything(files: ForgetfulFiles) -> bytes:
    return b"".join(files.content(path) for path in files.paths())


def test_a_payload_comes_back_with_its_salt_before_and_after_opening_again(files: ForgetfulFiles) -> None:
    store = opened(files)
    letter, record = kept(store), kept(store, RECORD)
    for reader in (store, opened(files, seed="again"), opened(files, write=False)):
        content, salt = reader.read(letter)
        assert content == LETTER
        verify_bytes(decode_base64url(letter.commitment), content, salt)
        fields, salt = reader.read(record)
        assert fields == RECORD
        opening = open_fields(RECORD, salt, ["amount"])
        assert verify_fields(decode_base64url(record.commitment), opening) == {"amount": 1200}


def test_references_say_the_form_and_a_rounded_size(files: ForgetfulFiles) -> None:
    store = opened(files)
    letter, record = kept(store), kept(store, RECORD)
    assert (letter.form, letter.media, letter.size) == ("bytes", "text/plain", 64)
    assert (record.form, record.media) == ("fields", "application/json")
    assert kept(store, b"").size == 1


def test_equal_payloads_have_different_commitments(files: ForgetfulFiles) -> None:
    store = opened(files)
    assert kept(store).commitment != kept(store).commitment
    assert kept(store, b"yes").commitment != commit_bytes(b"yes", b"").hex()


def test_nothing_of_a_payload_or_its_subject_stands_in_the_files(files: ForgetfulFiles) -> None:
    store = opened(files)
    kept(store)
    kept(store, RECORD)
    whole = everything(files)
    for word in (b"Jane", b"cholesterol", b"amount", b"1200", b"reasons", SUBJECT.encode(), STORAGE.reveal()):
        assert word not in whole


def test_erasing_makes_payload_and_salt_unknowable_and_leaves_others(files: ForgetfulFiles) -> None:
    store = opened(files)
    hers, his, ours = kept(store), kept(store, b"his", "John"), kept(store, b"ours", "")
    key = store.subject_key(SUBJECT)
    wrapped = store._keys[store._tag(SUBJECT)]
    assert store.erase(SUBJECT)
    assert not store.erase(SUBJECT)
    for reader in (store, opened(files, seed="again")):
        with pytest.raises(DisclosureError):
            reader.read(hers)
        assert reader.read(his)[0] == b"his"
        assert reader.read(ours)[0] == b"ours"
    whole = everything(files)
    assert wrapped not in whole
    assert key not in whole


def test_erasing_somebody_unknown_does_nothing(files: ForgetfulFiles) -> None:
    store = opened(files)
    kept(store)
    before = everything(files)
    assert not store.erase("nobody")
    assert everything(files) == before


def test_after_an_erasure_new_payloads_of_the_subject_have_a_new_key(files: ForgetfulFiles) -> None:
    store = opened(files)
    old = kept(store)
    store.erase(SUBJECT)
    new = kept(store, b"new")
    again = opened(files, seed="again")
    assert again.read(new)[0] == b"new"
    with pytest.raises((DisclosureError, DamagedError)):
        again.read(old)


def test_an_erasure_that_fails_can_be_tried_again(files: ForgetfulFiles) -> None:
    failing: set[str] = set()
    faulty = FaultyFiles(files, lambda operation, _name: errno.EIO if operation in failing else 0)
    store = Payloads(HOME, STORAGE, files=faulty, randomness=fixed_randomness("payloads"))
    ref = kept(store)
    failing.add("rename")
    with pytest.raises(StorageError):
        store.erase(SUBJECT)
    assert store.read(ref)[0] == LETTER
    failing.clear()
    assert store.erase(SUBJECT)
    with pytest.raises(DisclosureError):
        opened(files, seed="again").read(ref)


def test_a_payload_that_was_never_kept_is_not_here(files: ForgetfulFiles) -> None:
    store = opened(files)
    ref, _ = store.commit(Payload(LETTER))
    with pytest.raises(DisclosureError):
        store.read(ref)


def test_a_payload_outside_its_bounds_is_refused(files: ForgetfulFiles) -> None:
    store = opened(files)
    for content in ({"a": 1.5}, {"a.b": 1}, {"a": {"b": object()}}, [1], "text"):
        with pytest.raises(StatementError):
            store.commit(Payload(content))  # type: ignore[arg-type]


def test_another_storage_key_opens_nothing(files: ForgetfulFiles) -> None:
    kept(opened(files))
    ref = kept(opened(files, seed="b"), b"second", "John")
    stranger = opened(files, write=False, key=Secret(b"\x32" * 32))
    with pytest.raises((DamagedError, DisclosureError)):
        stranger.read(ref)


@pytest.mark.parametrize("name", ["subjects", "payloads"])
def test_a_torn_tail_is_cut_and_what_stood_before_stays(files: ForgetfulFiles, name: str) -> None:
    store = opened(files)
    first = kept(store)
    before = len(files.content(HOME / name))
    kept(store, b"second", "John")
    whole = files.content(HOME / name)
    assert len(whole) > before
    for cut in range(before, len(whole)):
        torn = files.copy()
        torn.open(HOME / name, write=True).truncate(cut)
        again = opened(torn, seed="again")
        assert again.read(first)[0] == LETTER
        third = kept(again, b"third", "John")
        assert opened(torn, seed="c").read(third)[0] == b"third"


def test_a_last_key_whose_sectors_did_not_arrive_does_not_lock_its_subject_out(files: ForgetfulFiles) -> None:
    store = opened(files)
    first = kept(store)
    before = len(files.content(HOME / "subjects"))
    kept(store, b"second", "John")
    after = len(files.content(HOME / "subjects"))
    for place in (before, before + 4, before + 20, before + 40):
        torn = files.copy()
        torn.open(HOME / "subjects", write=True).pwrite(bytes(after - place), place)
        again = opened(torn, seed="again")
        assert again.read(first)[0] == LETTER
        third = kept(again, b"third", "John")
        assert again.read(third)[0] == b"third"


def test_a_power_loss_at_any_step_keeps_what_was_kept(files: ForgetfulFiles) -> None:
    store = opened(files)
    first = kept(store)
    done = files.operations
    for step in range(8):
        machine = files.copy()
        machine._power_loss_at = machine.operations + step
        with suppress(PowerLossError):
            kept(opened(machine, seed="b"), b"second", "John")
        for seed in range(5):
            after = machine.after_power_loss(random.Random(seed))
            again = opened(after, seed="c")
            assert again.read(first)[0] == LETTER
            assert again.read(kept(again, b"third", "John"))[0] == b"third"
    assert done > 0


def test_a_damaged_length_in_the_middle_of_the_keys_is_refused_and_cuts_nothing(
    files: ForgetfulFiles,
) -> None:
    store = opened(files)
    place = len(files.content(HOME / "subjects"))
    for name in ("Jane", "John", "Ann"):
        kept(store, b"x", name)
    for offset in range(4):
        damaged = files.copy()
        damaged.flip(HOME / "subjects", place + offset)
        whole = damaged.content(HOME / "subjects")
        with pytest.raises(DamagedError):
            opened(damaged, seed="again")
        assert damaged.content(HOME / "subjects") == whole


def test_damaged_ciphertext_is_named_and_never_returned(files: ForgetfulFiles) -> None:
    store = opened(files)
    start = len(files.content(HOME / "payloads"))
    ref = kept(store)
    end = len(files.content(HOME / "payloads"))
    for place in range(start + 4, end):
        damaged = files.copy()
        damaged.flip(HOME / "payloads", place)
        with pytest.raises((DamagedError, DisclosureError)):
            opened(damaged, write=False).read(ref)


def test_a_damaged_wrapped_key_is_named(files: ForgetfulFiles) -> None:
    store = opened(files)
    place = len(files.content(HOME / "subjects")) + 30
    ref = kept(store)
    kept(store, b"x", "John")
    files.flip(HOME / "subjects", place)
    with pytest.raises(DamagedError):
        opened(files, write=False).read(ref)


@pytest.mark.parametrize("name", ["subjects", "payloads"])
def test_another_file_or_a_later_version_is_refused(files: ForgetfulFiles, name: str) -> None:
    kept(opened(files))
    later = files.copy()
    later.open(HOME / name, write=True).pwrite(b"\x02", 15)
    with pytest.raises(UnknownFormatError):
        opened(later)
    files.flip(HOME / name, 0)
    with pytest.raises(DamagedError):
        opened(files)


def test_a_failed_sync_stores_nothing_as_kept(files: ForgetfulFiles) -> None:
    faulty = FaultyFiles(
        files, lambda operation, name: errno.EIO if (operation, name) == ("sync", "payloads") else 0
    )
    store = Payloads(HOME, STORAGE, files=faulty, randomness=fixed_randomness("payloads"))
    ref, sealed = store.commit(Payload(LETTER))
    with pytest.raises(StorageError):
        store.keep([sealed])
    with pytest.raises(DisclosureError):
        store.read(ref)


def test_the_salt_of_another_subject_does_not_open(files: ForgetfulFiles) -> None:
    store = opened(files)
    ref, other = kept(store), kept(store, LETTER, "John")
    with pytest.raises(VerificationError):
        verify_bytes(decode_base64url(ref.commitment), LETTER, store.read(other)[1])
