"""A witness cosigns only what follows what it has seen, and remembers before it signs."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.proofs import AT, EAST, NORTH, STRANGER, TIME_S, Log, fixed_randomness, make_log

from tallystick.errors import (
    CardError,
    DamagedError,
    ForkError,
    LockedError,
    NoteError,
    ProofError,
    RollbackError,
    StorageError,
    UnknownFormatError,
    WitnessConflictError,
)
from tallystick.proof import (
    COSIGNATURE,
    NoteKey,
    Witness,
    add_cosignatures,
    anchor_note_text,
    cosign_note,
    explain_fork,
    format_json,
    format_note,
    parse_note,
    verify_note,
)
from tallystick.proof._checkpoints import sign_checkpoint
from tallystick.proof._merkle import EMPTY_ROOT, consistency_path
from tallystick.testing._files import FaultyFiles, ForgetfulFiles

STATE = Path("/witness.json")
KEY = NoteKey(EAST.card.witness_name, EAST.card.keys["witness"], COSIGNATURE)
LOG = make_log(size=9)
SPLIT = Log(NORTH, [*LOG.statements[:4], *LOG.statements[5:]])


@pytest.fixture
def files() -> ForgetfulFiles:
    return ForgetfulFiles()


def opened(files: ForgetfulFiles, *, create: bool = False) -> Witness:
    return (Witness.create if create else Witness)(EAST, STATE, clock=lambda: AT, files=files)


@pytest.fixture
def witness(files: ForgetfulFiles) -> Witness:
    return opened(files, create=True)


def cosign(witness: Witness, size: int, old: int = 0, *, log: Log = LOG) -> object:
    proof = consistency_path(old, size, node=log.node) if old else []
    return witness.cosign(log.checkpoint(size).note, cards=NORTH.cards, old_size=old, proof=proof)


def test_a_first_and_a_following_head_are_cosigned_with_the_time(witness: Witness) -> None:
    for old, size in ((0, 3), (3, 7), (7, 7), (7, 9)):
        checkpoint = LOG.checkpoint(size)
        proof = consistency_path(old, size, node=LOG.node) if old else []
        line = witness.cosign(checkpoint.note, cards=NORTH.cards, old_size=old, proof=proof)
        note = add_cosignatures(checkpoint, [line]).parsed()
        assert verify_note(note, [KEY]) == {KEY: TIME_S}
        assert witness.size(NORTH.origin) == size
    assert witness.size("nobody") == 0
    assert witness.head("nobody") is None


def test_what_was_seen_survives_a_new_start(files: ForgetfulFiles, witness: Witness) -> None:
    cosign(witness, 5)
    again = opened(files.after_power_loss())
    assert again.size(NORTH.origin) == 5
    head = again.head(NORTH.origin)
    assert head is not None
    assert head.head == LOG.checkpoint(5).head


@pytest.mark.parametrize(("old", "size"), [(0, 7), (4, 7), (6, 7), (7, 7)])
def test_a_caller_with_another_size_in_mind_is_told_the_right_one(
    witness: Witness, old: int, size: int
) -> None:
    cosign(witness, 5)
    with pytest.raises(WitnessConflictError) as caught:
        cosign(witness, size, old)
    assert caught.value.size == 5
    assert witness.size(NORTH.origin) == 5


def test_an_older_head_is_a_conflict(witness: Witness) -> None:
    cosign(witness, 7)
    with pytest.raises(WitnessConflictError):
        witness.cosign(LOG.checkpoint(5).note, cards=NORTH.cards, old_size=7, proof=[])


def test_two_roots_at_one_size_are_a_fork_with_evidence(witness: Witness) -> None:
    cosign(witness, 7)
    with pytest.raises(ForkError) as caught:
        cosign(witness, 7, 7, log=SPLIT)
    assert "size 7" in explain_fork(caught.value.evidence)
    assert witness.size(NORTH.origin) == 7


def test_a_larger_head_of_another_history_is_not_cosigned(witness: Witness) -> None:
    cosign(witness, 6)
    right = consistency_path(6, 8, node=SPLIT.node)
    for proof in ([], [b"\x00" * 32], right[:-1], [right[0], *right[:-1]]):
        with pytest.raises(ProofError):
            witness.cosign(SPLIT.checkpoint(8).note, cards=NORTH.cards, old_size=6, proof=proof)
    # The proof that fits the other history tells what it had at that size: it convicts whoever signed both.
    with pytest.raises(ForkError) as caught:
        witness.cosign(SPLIT.checkpoint(8).note, cards=NORTH.cards, old_size=6, proof=right)
    assert "the tree of size 8 does not contain the one of size 6" in explain_fork(caught.value.evidence)
    assert witness.size(NORTH.origin) == 6


def test_two_openings_of_one_state_do_not_cosign_two_histories(
    files: ForgetfulFiles, witness: Witness
) -> None:
    other = opened(files)
    cosign(witness, 7)
    with pytest.raises(WitnessConflictError):
        cosign(other, 7, log=SPLIT)
    with pytest.raises(ForkError):
        cosign(other, 7, 7, log=SPLIT)
    assert other.size(NORTH.origin) == 7


def test_while_another_process_cosigns_this_one_waits(files: ForgetfulFiles, witness: Witness) -> None:
    held = files.lock(STATE.with_name("witness.json.lock"))
    with pytest.raises(LockedError):
        cosign(witness, 7)
    held.close()
    cosign(witness, 7)


def test_a_head_that_is_not_signed_by_its_journal_is_refused(witness: Witness) -> None:
    forged = LOG.checkpoint(5, party=STRANGER)
    with pytest.raises(NoteError):
        witness.cosign(forged.note, cards=NORTH.cards, old_size=0, proof=[])
    bare = format_note(forged.text, [cosign_note(forged.text, "x", STRANGER.signer("witness"), time_s=1)])
    with pytest.raises(NoteError):
        witness.cosign(bare, cards=NORTH.cards, old_size=0, proof=[])
    assert witness.size(NORTH.origin) == 0


def test_cards_that_do_not_verify_or_are_of_another_journal_are_refused(witness: Witness) -> None:
    with pytest.raises(CardError):
        witness.cosign(LOG.checkpoint(5).note, cards=[], old_size=0, proof=[])
    with pytest.raises(WitnessConflictError):
        witness.cosign(LOG.checkpoint(5).note, cards=EAST.cards, old_size=0, proof=[])


def test_a_retired_log_key_gets_no_cosignature(witness: Witness) -> None:
    newer = NORTH.rotate(["log"], size=5, randomness=fixed_randomness("newer"))
    with pytest.raises(NoteError):
        witness.cosign(LOG.checkpoint(5).note, cards=newer.cards, old_size=0, proof=[])
    witness.cosign(LOG.checkpoint(5, party=newer).note, cards=newer.cards, old_size=0, proof=[])


def test_the_empty_journal_has_one_root(witness: Witness) -> None:
    for root in (b"\x00" * 32, LOG.root(1)):
        forged = sign_checkpoint(NORTH.origin, 0, root, NORTH.signer("log"))
        with pytest.raises(ProofError):
            witness.cosign(forged.note, cards=NORTH.cards, old_size=0, proof=[])
    empty = sign_checkpoint(NORTH.origin, 0, EMPTY_ROOT, NORTH.signer("log"))
    witness.cosign(empty.note, cards=NORTH.cards, old_size=0, proof=[])
    with pytest.raises(ProofError):
        witness.cosign(LOG.checkpoint(3).note, cards=NORTH.cards, old_size=0, proof=[b"\x00" * 32])
    cosign(witness, 3)


def test_nothing_is_signed_when_the_state_cannot_be_written(files: ForgetfulFiles, witness: Witness) -> None:
    for operation in ("open", "write", "sync", "rename", "sync-directory"):

        def fault(asked: str, name: str, operation: str = operation) -> int:
            reading = (asked, name) == ("open", STATE.name)
            return errno.ENOSPC if asked == operation and "lock" not in name and not reading else 0

        failing = Witness(EAST, STATE, clock=lambda: AT, files=FaultyFiles(files.copy(), fault))
        with pytest.raises(StorageError):
            cosign(failing, 5)
    cosign(witness, 5)


def test_the_state_is_durable_before_the_cosignature_leaves() -> None:
    for step in range(30):
        files = ForgetfulFiles()
        witness = opened(files, create=True)
        files._power_loss_at = files.operations + step
        try:
            cosign(witness, 5)
        except Exception as error:
            if type(error).__name__ != "PowerLossError":
                raise
            continue
        # It was signed: then even a machine that loses everything that was not synced remembers.
        assert opened(files.after_power_loss()).size(NORTH.origin) == 5
        return
    pytest.fail("cosigning never finished")


def test_a_witness_without_its_state_refuses_to_go_on(files: ForgetfulFiles, witness: Witness) -> None:
    files.unlink(STATE)
    with pytest.raises(RollbackError) as caught:
        opened(files)
    assert "rotate" in caught.value.hint
    with pytest.raises(RollbackError):
        cosign(witness, 5)


def test_a_state_is_never_started_over_another(files: ForgetfulFiles, witness: Witness) -> None:
    cosign(witness, 5)
    with pytest.raises(RollbackError):
        opened(files, create=True)
    assert opened(files).size(NORTH.origin) == 5


def test_the_state_of_another_key_is_refused(files: ForgetfulFiles, witness: Witness) -> None:
    newer = EAST.rotate(["witness"], size=0, randomness=fixed_randomness("newer"))
    with pytest.raises(RollbackError):
        Witness(newer, STATE, files=files)
    with pytest.raises(RollbackError):
        Witness(STRANGER, STATE, files=files)


def test_a_damaged_or_later_state_is_refused(files: ForgetfulFiles, witness: Witness) -> None:
    cosign(witness, 5)
    honest = json.loads(files.content(STATE))
    head = honest["heads"][0]
    for change in (
        {"heads": [{**head, "note": None}]}, {"heads": [{**head, "note": "x"}]}, {"heads": [{**head, "size": 4}]},
        {"heads": [{**head, "origin": "x"}]}, {"heads": [{**head, "root": head["root"][:-1]}]}, {"heads": 5}, {"heads": [5]},
        {"heads": [{}]},
    ):  # fmt: skip
        _overwrite(files, format_json({**honest, **change}))
        with pytest.raises(DamagedError):
            opened(files)
    _overwrite(files, format_json({**honest, "v": 2}))
    with pytest.raises(UnknownFormatError):
        opened(files)
    _overwrite(files, b"")
    with pytest.raises(DamagedError):
        opened(files)


def _overwrite(files: ForgetfulFiles, data: bytes) -> None:
    file = files.open(STATE, write=True)
    file.truncate(0)
    file.pwrite(data, 0)


def test_an_attested_anchor_is_cosigned_as_a_note_of_its_own(witness: Witness) -> None:
    claim = LOG.anchor(5, checkpoint_size=7)
    line = witness.attest_anchor(claim, NORTH.origin)
    text = anchor_note_text(claim, NORTH.origin)
    assert verify_note(parse_note(format_note(text, [line])), [KEY]) == {KEY: TIME_S}
    with pytest.raises(NoteError):
        verify_note(
            parse_note(format_note(anchor_note_text(replace(claim, block=1), NORTH.origin), [line])), [KEY]
        )


def test_a_newer_cosignature_replaces_an_older_one_of_the_same_key() -> None:
    checkpoint = LOG.checkpoint(5, witnesses=(EAST,))
    newer = cosign_note(checkpoint.text, EAST.card.witness_name, EAST.signer("witness"), time_s=TIME_S + 7)
    merged = add_cosignatures(checkpoint, [newer])
    assert verify_note(merged.parsed(), [KEY]) == {KEY: TIME_S + 7}
    assert merged.head == checkpoint.head
