"""Evidence of two histories, in one file."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.proofs import EAST, NORTH, STRANGER, Log, fixed_randomness, make_log

from tallystick.errors import ForkError, ReceiptError, UnknownFormatError, VerificationError
from tallystick.proof import (
    compare_receipts,
    explain_fork,
    fingerprint,
    fork_of_checkpoints,
    fork_of_growth,
    fork_of_receipts,
    format_json,
    read_fork,
)
from tallystick.proof._merkle import consistency_path

LOG = make_log()
SPLIT = Log(NORTH, [*LOG.statements[:6], LOG.statements[0]])
LONGER = Log(NORTH, [*SPLIT.statements, LOG.statements[1]])
HEADS = fork_of_checkpoints(LOG.checkpoint(), SPLIT.checkpoint(), NORTH.cards)


def test_two_roots_at_one_size_convict_the_holder_of_the_keys() -> None:
    sentence = explain_fork(HEADS)
    assert fingerprint(NORTH.id) in sentence
    assert "size 7" in sentence


def consistency(log: Log, size: int) -> list[bytes]:
    return consistency_path(size, len(log.statements), node=log.node)


def grown(small: Log, size: int, large: Log, **change: Any) -> bytes:
    """Evidence from the head of one log's size and the whole of another one."""
    given = {"root": large.root(size), "proof": consistency(large, size)} | change
    return fork_of_growth(small.checkpoint(size), large.checkpoint(), NORTH.cards, **given)


def test_a_larger_tree_that_does_not_contain_the_smaller_one_convicts_the_holder_of_the_keys() -> None:
    fork = read_fork(grown(LOG, 7, LONGER))
    assert fingerprint(NORTH.id) in fork.sentence
    assert "the tree of size 8 does not contain the one of size 7" in fork.what
    assert (fork.party, fork.origin) == (NORTH.id, NORTH.origin)
    assert LOG.root(7).hex()[:16] in fork.halves[0]
    assert LONGER.root(7).hex()[:16] in fork.halves[1]


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
        grown(SPLIT, 7, LONGER),  # it does contain it
        grown(LOG, 5, LONGER),  # what they have in common
        grown(LOG, 7, LONGER, root=bytes(32)),
        grown(LOG, 7, LONGER, proof=[]),
        grown(LOG, 7, LONGER, proof=[*consistency(LONGER, 7), bytes(32)]),
        fork_of_growth(LONGER.checkpoint(), LOG.checkpoint(), NORTH.cards, root=bytes(32), proof=[]),
        fork_of_growth(
            LOG.checkpoint(),
            LONGER.checkpoint(party=STRANGER),
            NORTH.cards,
            root=SPLIT.root(7),
            proof=consistency(LONGER, 7),
        ),
        fork_of_receipts(LOG.receipt(2), LOG.receipt(3)),
        fork_of_receipts(LOG.receipt(2), make_log(EAST).receipt(2)),
        fork_of_receipts(LOG.receipt(6), SPLIT.receipt(6, checkpoint=SPLIT.checkpoint(party=STRANGER))),
    ],
    ids=range(16),
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
