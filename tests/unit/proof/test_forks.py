"""Evidence of two histories, in one file."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.proofs import EAST, NORTH, STRANGER, Log, fixed_randomness, make_log

from tallystick.errors import ForkError, ReceiptError, UnknownFormatError, VerificationError
from tallystick.proof import compare_receipts, explain_fork, fingerprint, fork_of_receipts, format_json
from tallystick.proof._forks import fork_of_checkpoints

LOG = make_log()
SPLIT = Log(NORTH, [*LOG.statements[:6], LOG.statements[0]])
LONGER = Log(NORTH, [*SPLIT.statements, LOG.statements[1]])
HEADS = fork_of_checkpoints(LOG.checkpoint(), SPLIT.checkpoint(), NORTH.cards)


def test_two_roots_at_one_size_convict_the_holder_of_the_keys() -> None:
    sentence = explain_fork(HEADS)
    assert fingerprint(NORTH.id) in sentence
    assert "size 7" in sentence


def test_two_statements_at_one_index_convict_even_at_different_sizes() -> None:
    for other in (SPLIT, LONGER):
        with pytest.raises(ForkError) as caught:
            compare_receipts(LOG.receipt(6), other.receipt(6))
        assert NORTH.id in explain_fork(caught.value.evidence)


def test_a_split_view_is_seen_even_when_the_statements_agree() -> None:
    with pytest.raises(ForkError) as caught:
        compare_receipts(LOG.receipt(2), SPLIT.receipt(2))
    assert "two roots" in explain_fork(caught.value.evidence)


def test_receipts_of_one_history_or_of_two_journals_stand_together() -> None:
    compare_receipts(LOG.receipt(2), LOG.receipt(3))
    compare_receipts(LOG.receipt(2, size=5), LOG.receipt(2))
    compare_receipts(LOG.receipt(2), make_log(EAST).receipt(2))


def test_evidence_carries_no_opened_payload() -> None:
    opened = LOG.receipt(6, opening={"salt": "secret"})
    assert "opening" not in str(json.loads(fork_of_receipts(opened, SPLIT.receipt(6))))
    explain_fork(fork_of_receipts(opened, SPLIT.receipt(6)))


@pytest.mark.parametrize(
    "evidence",
    [
        fork_of_checkpoints(LOG.checkpoint(), LOG.checkpoint(), NORTH.cards),
        fork_of_checkpoints(LOG.checkpoint(5), SPLIT.checkpoint(7), NORTH.cards),
        fork_of_checkpoints(LOG.checkpoint(), make_log(EAST).checkpoint(), NORTH.cards),
        fork_of_checkpoints(LOG.checkpoint(), SPLIT.checkpoint(party=STRANGER), NORTH.cards),
        fork_of_checkpoints(LOG.checkpoint(), SPLIT.checkpoint(), EAST.cards),
        fork_of_checkpoints(LOG.checkpoint(), SPLIT.checkpoint(), []),
        fork_of_receipts(LOG.receipt(2), LOG.receipt(3)),
        fork_of_receipts(LOG.receipt(2), make_log(EAST).receipt(2)),
        fork_of_receipts(LOG.receipt(6), SPLIT.receipt(6, checkpoint=SPLIT.checkpoint(party=STRANGER))),
    ],
    ids=range(9),
)
def test_what_convicts_nobody_is_refused(evidence: bytes) -> None:
    with pytest.raises((VerificationError, ReceiptError)):
        explain_fork(evidence)


def test_a_key_that_was_not_yet_or_no_longer_the_journals_convicts_nobody() -> None:
    newer = NORTH.rotate(["log"], size=7, randomness=fixed_randomness("newer"))
    old_keys = fork_of_checkpoints(LOG.checkpoint(), SPLIT.checkpoint(), newer.cards)
    with pytest.raises(ReceiptError):
        explain_fork(old_keys)
    explain_fork(fork_of_checkpoints(LOG.checkpoint(party=newer), SPLIT.checkpoint(party=newer), newer.cards))


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"v": 1},
        {"checkpoints": []},
        {"checkpoints": [1, 2], "cards": []},
        {"receipts": []},
        {"receipts": [1, 2]},
        {"receipts": 5},
    ],
)
def test_a_malformed_file_is_refused(document: Any) -> None:
    if isinstance(document, dict):
        document = {"type": "tallystick/fork", "v": 1, **document}
    with pytest.raises(ReceiptError):
        explain_fork(format_json(document))


def test_a_later_version_says_to_upgrade() -> None:
    with pytest.raises(UnknownFormatError):
        explain_fork(format_json({**json.loads(HEADS), "v": 2}))
