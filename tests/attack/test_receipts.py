"""Forged, edited and misused receipts: each is refused, or proves nothing that was not true before."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.proofs import (
    CHAIN,
    EAST,
    NONCE,
    NORTH,
    RECORD,
    SOUTH,
    STRANGER,
    TIME_S,
    WEST,
    cosigned,
    endpoints,
    fields_ref,
    fixed_randomness,
    make_log,
    make_party,
    make_policy,
    reading,
    record_salt,
    with_note,
)

from tallystick.errors import (
    DisclosureError,
    EvidenceError,
    PolicyError,
    ReceiptError,
    TallystickError,
    UnknownFormatError,
    VerificationError,
)
from tallystick.proof import (
    Kind,
    Kinds,
    NoteSignature,
    Party,
    PayloadRef,
    Receipt,
    Report,
    Standing,
    commit_bytes,
    cosign_note,
    encode_base64,
    encode_base64url,
    format_json,
    format_note,
    format_receipt,
    leaf_hash,
    open_fields,
    parse_note,
    parse_receipt,
    sign_note,
    verify,
)
from tallystick.proof._cards import format_card
from tallystick.proof._checkpoints import sign_checkpoint
from tallystick.proof._commitments import _field_hash
from tallystick.proof._merkle import root_from_inclusion

LOG = make_log()
OPENING = open_fields(RECORD, record_salt(), ["amount"])
RECEIPT = LOG.receipt(
    3,
    witnesses=(EAST, SOUTH),
    anchor=LOG.anchor(6, checkpoint_size=7, noted_by=(EAST, SOUTH)),
    opening=OPENING,
)
DATA = format_receipt(RECEIPT)
ALL = ("party", "witnesses", "anchor", "payload")
POLICY = make_policy(ask=ALL)
HONEST = verify(DATA, policy=POLICY)
PLAIN = LOG.receipt(3)


def proved(report: Report) -> set[str]:
    return {line.text for line in report.lines if line.standing == "proved"}


def standing(receipt: Receipt, topic: str, **options: Any) -> Standing | None:
    options.setdefault("policy", make_policy())
    return verify(receipt, **options).standing(topic)


# Bytes ----------------------------------------------------------------------------------------------------


def test_the_honest_receipt_proves_everything_that_the_policy_asks() -> None:
    assert {topic for topic in ALL if HONEST.standing(topic) == "proved"} == set(ALL)
    assert HONEST.exit_code == 0


@pytest.mark.parametrize("mask", [0x01, 0x04, 0x20, 0x80])
def test_every_flipped_byte_is_detected_or_changes_no_line(mask: int) -> None:
    for place in range(len(DATA)):
        forged = DATA[:place] + bytes([DATA[place] ^ mask]) + DATA[place + 1 :]
        try:
            report = verify(forged, policy=POLICY)
        except EvidenceError:
            continue
        assert report == HONEST, f"byte {place} can be changed"


def test_without_a_policy_no_flipped_byte_proves_more() -> None:
    honest = verify(DATA)
    assert honest.exit_code == 3
    for place in range(len(DATA)):
        forged = DATA[:place] + bytes([DATA[place] ^ 0x01]) + DATA[place + 1 :]
        try:
            report = verify(forged)
        except EvidenceError:
            continue
        assert proved(report) <= proved(honest), f"byte {place}"
        assert report.statement_id == honest.statement_id


@pytest.mark.parametrize("cut", [0, 1, 2, 100, len(DATA) // 2, len(DATA) - 1])
def test_a_receipt_that_is_cut_short_is_malformed(cut: int) -> None:
    with pytest.raises(ReceiptError):
        verify(DATA[:cut], policy=POLICY)


def test_one_newline_may_follow_a_receipt_and_nothing_else() -> None:
    assert verify(DATA + b"\n", policy=POLICY) == HONEST
    for tail in (b"\n\n", b" ", b"\r\n", b"\x00", DATA):
        with pytest.raises(ReceiptError):
            verify(DATA + tail, policy=POLICY)


# Edits with everything recomputed that does not need a key ---------------------------------------------------


def _flip(text: str) -> Iterator[str]:
    """A text with other content of the same shape: digits, base64 and words changed."""
    for place in range(0, len(text), max(1, len(text) // 24)):
        character = text[place]
        if character.isascii() and character.isalnum():
            other = (
                "1" if character == "0" else "0" if character.isdigit() else "A" if character != "A" else "B"
            )
            yield text[:place] + other + text[place + 1 :]
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        return
    for place in range(0, len(raw), max(1, len(raw) // 40)):
        yield encode_base64(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])


def _edits(value: Any) -> Iterator[Any]:
    """Every value that differs from this one in one leaf, one missing or one doubled item."""
    if isinstance(value, dict):
        for key in value:
            yield {name: item for name, item in value.items() if name != key}
            for edited in _edits(value[key]):
                yield {**value, key: edited}
    elif isinstance(value, list):
        for place in range(len(value)):
            yield value[:place] + value[place + 1 :]
            yield [*value, value[place]]
            for edited in _edits(value[place]):
                yield [*value[:place], edited, *value[place + 1 :]]
        if len(value) > 1:
            yield value[::-1]
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1, 0)
    elif isinstance(value, str):
        yield from _flip(value)
        lines = value.split("\n")
        for place in range(len(lines)):
            yield "\n".join([*lines[:place], *lines[place + 1 :]])
            yield "\n".join([*lines[:place], lines[place], *lines[place:]])
            yield from (
                "\n".join([*lines[:place], line, *lines[place + 1 :]]) for line in _flip(lines[place])
            )
    yield from (None, 7, "", [], {})


def test_no_edit_that_is_made_canonical_again_proves_anything_new() -> None:
    document = json.loads(DATA)
    count = 0
    for edited in _edits(document):
        try:
            report = verify(format_json(edited), policy=make_policy())
        except TallystickError:
            continue
        count += 1
        assert report.statement_id == HONEST.statement_id
        assert proved(report) <= proved(HONEST) | {
            # One cosignature or opened field fewer is a weaker sentence of the same kind.
            line.text
            for line in verify(replace(RECEIPT, opening=None), policy=make_policy()).lines
        }
    assert count > 0


def _forge_body(statement: bytes) -> bytes:
    document = json.loads(statement)
    document["body"]["level"] = "L4"
    return format_json(document)


@pytest.mark.parametrize("resign", ["nobody", "stranger"])
def test_a_changed_statement_with_a_new_root_is_not_signed_by_the_journal(resign: str) -> None:
    forged = parse_receipt(DATA)
    data = _forge_body(forged.statement.bytes)
    root = root_from_inclusion(leaf_hash(data), index=3, size=7, path=forged.path)
    signer = STRANGER.signer("log")
    new = sign_checkpoint(NORTH.origin, 7, root, signer)
    lines = parse_note(forged.checkpoint.note).signatures
    kept = lines if resign == "nobody" else [sign_note(new.text, NORTH.origin, signer), *lines[1:]]
    document = json.loads(DATA)
    document["statement"] = encode_base64(data)
    head = document["proof"].split("\n\n")[0]
    document["proof"] = head + "\n\n" + format_note(new.text, kept).decode()
    for policy in (POLICY, None):
        with pytest.raises(VerificationError):
            verify(format_json(document), policy=policy)


# The proof ----------------------------------------------------------------------------------------------------


def test_the_path_of_another_entry_does_not_hold() -> None:
    for other in (2, 4, 6):
        with pytest.raises(VerificationError):
            verify(replace(PLAIN, path=LOG.receipt(other).path))


def test_swapped_hashes_of_a_path_do_not_hold() -> None:
    path = PLAIN.path
    assert len(path) == 3
    with pytest.raises(VerificationError):
        verify(replace(PLAIN, path=(path[1], path[0], path[2])))


def test_another_place_in_the_journal_does_not_hold() -> None:
    for index in (0, 2, 4, 6, 7, 2**40):
        with pytest.raises(VerificationError):
            verify(replace(PLAIN, index=index))


@pytest.mark.parametrize("path", [(), PLAIN.path[:-1], (*PLAIN.path, b"\x00" * 32)])
def test_a_path_that_is_too_short_or_too_long_does_not_hold(path: tuple[bytes, ...]) -> None:
    with pytest.raises(VerificationError):
        verify(replace(PLAIN, path=path))


def test_the_checkpoint_of_another_size_does_not_hold() -> None:
    for size in (4, 5, 6):
        with pytest.raises(VerificationError):
            verify(replace(PLAIN, checkpoint=LOG.checkpoint(size)))


def test_the_checkpoint_of_another_journal_does_not_hold() -> None:
    other = make_log(EAST)
    with pytest.raises(VerificationError):
        verify(replace(PLAIN, checkpoint=other.checkpoint()))


def test_a_checkpoint_without_the_journals_signature_does_not_hold() -> None:
    lines = RECEIPT.checkpoint.parsed().signatures[1:]
    bare = replace(RECEIPT.checkpoint, note=format_note(RECEIPT.checkpoint.text, lines))
    with pytest.raises(VerificationError):
        verify(replace(RECEIPT, checkpoint=bare))


def test_a_checkpoint_signed_twice_by_its_journal_is_refused() -> None:
    line = PLAIN.checkpoint.parsed().signatures[0]
    twice = replace(PLAIN.checkpoint, note=format_note(PLAIN.checkpoint.text, [line, line]))
    with pytest.raises(VerificationError):
        verify(replace(PLAIN, checkpoint=twice))


# Witnesses ----------------------------------------------------------------------------------------------------


def test_a_quorum_of_the_policys_witnesses_is_proved_and_one_fewer_is_not() -> None:
    assert standing(LOG.receipt(3, witnesses=(EAST, SOUTH)), "witnesses") == "proved"
    assert standing(LOG.receipt(3, witnesses=(EAST,)), "witnesses") == "claimed"
    assert standing(LOG.receipt(3), "witnesses") == "missing"


def test_dropped_cosignatures_fail_a_policy_that_asks_witnesses() -> None:
    for witnesses in ((), (EAST,), (SOUTH,)):
        with pytest.raises(VerificationError) as caught:
            verify(LOG.receipt(3, witnesses=witnesses), policy=make_policy(ask=("party", "witnesses")))
        report = caught.value.report
        assert isinstance(report, Report)
        assert report.standing("witnesses") != "proved"


def test_cosignatures_of_strangers_do_not_count() -> None:
    others = [make_party(f"Mallory {number}") for number in range(5)]
    receipt = LOG.receipt(3, witnesses=(EAST, *others))
    assert standing(receipt, "witnesses") == "claimed"
    # Naming oneself like a witness of the policy does not help either.
    namesakes = [make_party(party.name, seed=f"fake {party.name}") for party in (SOUTH, WEST)]
    assert standing(LOG.receipt(3, witnesses=(EAST, *namesakes)), "witnesses") == "claimed"


def test_the_journals_own_party_does_not_count_as_its_witness() -> None:
    policy = make_policy(witnesses=(NORTH, EAST, SOUTH), need=2)
    assert standing(LOG.receipt(3, witnesses=(NORTH, EAST)), "witnesses", policy=policy) == "claimed"
    assert standing(LOG.receipt(3, witnesses=(EAST, SOUTH)), "witnesses", policy=policy) == "proved"


def test_one_witness_line_twice_is_refused() -> None:
    checkpoint = LOG.checkpoint(witnesses=(EAST,))
    lines = checkpoint.parsed().signatures
    twice = replace(checkpoint, note=format_note(checkpoint.text, [*lines, lines[-1]]))
    with pytest.raises(VerificationError):
        verify(LOG.receipt(3, checkpoint=twice), policy=make_policy())


def test_one_witness_at_two_times_is_refused() -> None:
    once, again = LOG.checkpoint(witnesses=(EAST,)), LOG.checkpoint(witnesses=(EAST,), time_s=TIME_S + 9)
    lines = [*once.parsed().signatures, again.parsed().signatures[-1]]
    twice = replace(once, note=format_note(once.text, lines))
    with pytest.raises(VerificationError):
        verify(LOG.receipt(3, checkpoint=twice), policy=make_policy())


def rotated(party: Party, *, compromised: bool = False, role: Any = "witness", size: int = 0) -> Party:
    seed = fixed_randomness(f"{party.name} second")
    return party.rotate([role], size=size, compromised=compromised, randomness=seed)


def two_keyed(witness: Party, newer: Party) -> Receipt:
    """A receipt that one witness cosigned with its old and with its new key."""
    checkpoint = cosigned(LOG.checkpoint(witnesses=(witness,)), (newer,))
    receipt = LOG.receipt(3, checkpoint=checkpoint)
    return replace(receipt, cards={**receipt.cards, witness.id: newer.cards})


def test_a_witness_with_two_keys_counts_once() -> None:
    newer = rotated(EAST)
    assert newer.card.keys["witness"] != EAST.card.keys["witness"]
    policy = make_policy(parties=(NORTH, newer, SOUTH, WEST), witnesses=(newer, SOUTH, WEST))
    assert standing(two_keyed(EAST, newer), "witnesses", policy=policy) == "claimed"
    with_another = two_keyed(EAST, newer)
    more = cosigned(with_another.checkpoint, (SOUTH,))
    receipt = replace(with_another, checkpoint=more, cards={**with_another.cards, SOUTH.id: SOUTH.cards})
    assert standing(receipt, "witnesses", policy=policy) == "proved"


def test_a_revoked_witness_key_does_not_count() -> None:
    newer = rotated(EAST, compromised=True)
    receipt = LOG.receipt(3, witnesses=(EAST, SOUTH))
    policy = make_policy(parties=(NORTH, newer, SOUTH, WEST), witnesses=(newer, SOUTH, WEST))
    assert standing(receipt, "witnesses", policy=policy) == "claimed"
    # The receipt may bring the card that revokes, too.
    told = replace(receipt, cards={**receipt.cards, EAST.id: newer.cards})
    assert standing(told, "witnesses") == "claimed"


def test_a_false_cosignature_of_a_witness_is_an_error_and_not_a_lesser_line() -> None:
    checkpoint = LOG.checkpoint(witnesses=(EAST, SOUTH))
    lines = checkpoint.parsed().signatures
    other = cosign_note(LOG.checkpoint(5).text, WEST.card.witness_name, WEST.signer("witness"), time_s=TIME_S)
    forged = replace(checkpoint, note=format_note(checkpoint.text, [*lines, other]))
    with pytest.raises(VerificationError):
        verify(LOG.receipt(3, checkpoint=forged), policy=make_policy())


def test_a_plain_signature_of_the_witness_key_is_no_cosignature() -> None:
    checkpoint = LOG.checkpoint(witnesses=(EAST,))
    plain = sign_note(checkpoint.text, SOUTH.card.witness_name, SOUTH.signer("witness"))
    forged = replace(checkpoint, note=format_note(checkpoint.text, [*checkpoint.parsed().signatures, plain]))
    assert standing(LOG.receipt(3, checkpoint=forged), "witnesses") == "claimed"


def test_a_cosignature_whose_time_is_changed_is_false() -> None:
    checkpoint = LOG.checkpoint(witnesses=(EAST, SOUTH))
    first, east, south = checkpoint.parsed().signatures
    for time_s in (0, 1, TIME_S - 1, 2**63, 2**64 - 1):
        earlier = NoteSignature(east.name, east.key_id, time_s.to_bytes(8, "big") + east.signature[8:])
        forged = replace(checkpoint, note=format_note(checkpoint.text, [first, earlier, south]))
        with pytest.raises(VerificationError):
            verify(LOG.receipt(3, checkpoint=forged), policy=make_policy())


def test_liars_that_the_policy_allows_for_cannot_move_the_proved_time() -> None:
    honest = cosigned(LOG.checkpoint(), (SOUTH, WEST), time_s=TIME_S + 500)
    early = cosigned(honest, (EAST,), time_s=1)
    receipt = LOG.receipt(3, checkpoint=early)
    fourth = make_party("Clinic Coast")
    members = (EAST, SOUTH, WEST, fourth)
    report = verify(
        receipt, policy=make_policy(parties=(NORTH, *members), witnesses=members, need=3, faulty=1)
    )
    (line,) = [line for line in report.lines if line.topic == "time" and line.standing == "proved"]
    assert "Clinic South" in line.text
    assert "1970" not in line.text


def test_a_policy_whose_quorum_two_histories_could_have_is_refused() -> None:
    with pytest.raises(PolicyError):
        make_policy(need=1)
    with pytest.raises(PolicyError):
        make_policy(need=2, faulty=1)
    with pytest.raises(PolicyError):
        make_policy(need=4)


def test_for_an_outsiders_journal_a_quorum_that_two_histories_could_have_does_not_count() -> None:
    # Two of three for a member's own journal; all four may sign an outsider's, and 2 * 2 > 4 does not hold.
    members = (NORTH, EAST, SOUTH, WEST)
    policy = make_policy(parties=members, witnesses=members, need=2, ask=())
    assert standing(LOG.receipt(3, witnesses=(EAST, SOUTH)), "witnesses", policy=policy) == "proved"
    outside = make_log(STRANGER).receipt(3, witnesses=(EAST, SOUTH))
    assert standing(outside, "witnesses", policy=policy) == "claimed"


# Cards --------------------------------------------------------------------------------------------------------


def test_calling_oneself_another_party_is_only_claimed() -> None:
    fake = make_party(NORTH.name, seed="fake north")
    receipt = make_log(fake).receipt(3, witnesses=(EAST, SOUTH))
    with pytest.raises(VerificationError) as caught:
        verify(receipt, policy=make_policy())
    report = caught.value.report
    assert isinstance(report, Report)
    assert report.standing("party") == "claimed"
    assert not any(NORTH.name in text and "unconfirmed" not in text for text in proved(report))
    assert report.by != NORTH.name


def test_renaming_oneself_does_not_change_the_name_that_the_policy_gave() -> None:
    renamed = STRANGER.rotate([], size=0, name=NORTH.name)
    log = make_log(STRANGER)
    receipt = replace(log.receipt(3), cards={STRANGER.id: renamed.cards})
    report = verify(receipt, policy=make_policy(parties=(NORTH, STRANGER, EAST, SOUTH, WEST)))
    assert report.by == STRANGER.name
    assert NORTH.name not in " ".join(proved(report))


def test_a_receipt_without_cards_proves_nothing_and_a_policy_can_bring_them() -> None:
    bare = replace(PLAIN, cards={})
    with pytest.raises(VerificationError):
        verify(bare)
    assert standing(bare, "party") == "proved"


def test_cards_of_another_party_do_not_stand_in() -> None:
    with pytest.raises(VerificationError):
        verify(replace(PLAIN, cards={EAST.id: EAST.cards}))
    document = json.loads(format_receipt(PLAIN))
    document["cards"] = {NORTH.id: [card.bytes.decode() for card in EAST.cards]}
    with pytest.raises(ReceiptError):
        verify(format_json(document))


def test_a_truncated_card_chain_does_not_bring_a_retired_log_key_back() -> None:
    newer = rotated(NORTH, role="log", size=5, compromised=True)
    old_key = LOG.receipt(3)  # size 7, signed by the key that was replaced at size 5
    with pytest.raises(VerificationError):
        verify(old_key, policy=make_policy(parties=(newer, EAST, SOUTH, WEST)))
    with pytest.raises(VerificationError):
        verify(replace(old_key, cards={NORTH.id: newer.cards}))
    fresh = LOG.receipt(3, checkpoint=LOG.checkpoint(party=newer))
    assert standing(fresh, "party", policy=make_policy(parties=(newer, EAST, SOUTH, WEST))) == "proved"


def test_two_card_chains_of_one_party_are_an_error() -> None:
    one, two = rotated(NORTH, role="log", size=5), NORTH.rotate([], size=5, name="North Clinic")
    receipt = replace(PLAIN, cards={NORTH.id: one.cards})
    with pytest.raises(VerificationError):
        verify(receipt, policy=make_policy(parties=(two, EAST, SOUTH, WEST)))


def test_a_card_chain_with_a_gap_or_a_foreign_card_does_not_verify() -> None:
    second = rotated(NORTH, role="log", size=99)
    third = second.rotate([], size=99, name="North")
    foreign = EAST.rotate([], size=99, name="East")
    for cards in (
        (third.cards[0], third.cards[2]),
        third.cards[1:],
        third.cards[::-1],
        (*NORTH.cards, foreign.cards[1]),
        (*NORTH.cards, *NORTH.cards),
    ):
        with pytest.raises(VerificationError):
            verify(replace(PLAIN, cards={NORTH.id: cards}))


def revoked_after(size: int) -> Party:
    return NORTH.rotate(
        ["log"], size=size, compromised=True, randomness=fixed_randomness("north after theft")
    )


def test_after_a_revocation_only_what_others_saw_still_stands() -> None:
    newer = revoked_after(50)
    policy = make_policy(parties=(newer, EAST, SOUTH, WEST))
    for seen in (LOG.receipt(3, witnesses=(EAST, SOUTH)), anchored(noted_by=(EAST, SOUTH))):
        assert standing(seen, "inclusion", policy=policy) == "proved"
        assert standing(seen, "party", policy=policy) == "proved"
    read = {"policy": policy, "read_anchor": endpoints("a", "b")}
    assert standing(anchored(), "party", **read) == "proved"


@pytest.mark.parametrize("asked", [(), ("party",), ("payload",)])
def test_a_revoked_key_alone_never_meets_a_policy(asked: tuple[str, ...]) -> None:
    newer = revoked_after(50)
    policy = make_policy(parties=(newer, EAST, SOUTH, WEST), ask=asked)
    for receipt in (
        LOG.receipt(3, opening=OPENING),
        LOG.receipt(3, opening=OPENING, witnesses=(EAST,)),
        LOG.receipt(3, opening=OPENING, anchor=LOG.anchor(7, checkpoint_size=7)),
    ):
        with pytest.raises(VerificationError) as caught:
            verify(receipt, policy=policy)
        report = caught.value.report
        assert isinstance(report, Report)
        assert report.standing("inclusion") == report.standing("party") == "claimed"


def test_without_a_policy_a_revoked_key_proves_no_place() -> None:
    receipt = replace(LOG.receipt(3), cards={NORTH.id: revoked_after(50).cards})
    assert standing(receipt, "inclusion", policy=None) == "claimed"


def test_a_second_journal_of_a_party_is_refused() -> None:
    second = make_party(NORTH.name, journal="private")
    assert second.id == NORTH.id
    assert second.origin != NORTH.origin
    log = make_log(second)
    receipt = log.receipt(3)
    with pytest.raises(VerificationError):
        verify(receipt, policy=make_policy())
    with pytest.raises(VerificationError):
        verify(replace(receipt, cards={NORTH.id: NORTH.cards}))


def test_a_card_of_another_journal_cannot_follow() -> None:
    second = make_party(NORTH.name, journal="private").rotate([], size=0)
    with pytest.raises(VerificationError):
        verify(replace(PLAIN, cards={NORTH.id: (*NORTH.cards, second.cards[1])}))


def test_a_first_card_that_begins_later_leaves_earlier_checkpoints_without_a_key() -> None:
    late = late_party()
    log = make_log(late)
    assert standing(log.receipt(3), "inclusion", policy=None) == "proved"
    with pytest.raises(VerificationError):
        verify(log.receipt(3, size=5))


def late_party() -> Party:
    """A party whose first card says that its log key signs from size 7 on."""
    party = make_party("Late")
    card = party.card
    later = format_card(
        party=card.party, number=1, name=card.name, journal=card.journal, keys=card.keys, since=7, before="",
        revoked=(), signers=[party.signer("card")],
    )  # fmt: skip
    return Party((later,), party._secrets)


# Anchors ------------------------------------------------------------------------------------------------------


def anchored(size: int = 6, *, noted_by: tuple[Party, ...] = (), **changes: Any) -> Receipt:
    claim = replace(LOG.anchor(size, checkpoint_size=7), **changes)
    if noted_by:
        claim = with_note(claim, NORTH.origin, noted_by)
    return LOG.receipt(3, anchor=claim)


def test_an_anchor_is_proved_by_enough_endpoints_and_by_no_fewer() -> None:
    assert standing(anchored(), "anchor", read_anchor=endpoints("a", "b")) == "proved"
    assert standing(anchored(), "anchor", read_anchor=endpoints("a")) == "claimed"
    assert standing(anchored(), "anchor", read_anchor=endpoints()) == "claimed"
    assert standing(anchored(), "anchor") == "claimed"
    assert standing(LOG.receipt(3), "anchor") == "missing"


def test_one_endpoint_that_answers_twice_counts_once() -> None:
    assert standing(anchored(), "anchor", read_anchor=endpoints("a", "a")) == "claimed"


@pytest.mark.parametrize(
    "changes",
    [
        {"root": None, "block": 0, "block_hash": ""},
        {"root": b"\x00" * 32},
        {"block": 8815},
        {"block_hash": "0x" + "00" * 32},
        {"chain_id": 1},
        {"genesis": "0x" + "00" * 32},
    ],
)
def test_endpoints_that_say_otherwise_make_the_anchor_false(changes: dict[str, Any]) -> None:
    with pytest.raises(VerificationError):
        verify(anchored(), policy=make_policy(), read_anchor=endpoints("a", "b", **changes))
    # One that agrees and one that does not are no two that agree.
    mixed = lambda claim, journal: [reading(claim, "a"), reading(claim, "b", **changes)]  # noqa: E731
    with pytest.raises(VerificationError):
        verify(anchored(), policy=make_policy(), read_anchor=mixed)


def test_a_dissenting_endpoint_beside_enough_others_is_named() -> None:
    some = lambda claim, _journal: [  # noqa: E731
        reading(claim, "a"), reading(claim, "b"), reading(claim, "stale", root=None, block=0),
    ]  # fmt: skip
    report = verify(anchored(), policy=make_policy(), read_anchor=some)
    assert report.standing("anchor") == "proved"
    assert any("stale" in line.text and line.standing == "claimed" for line in report.lines)


@pytest.mark.parametrize(
    "changes",
    [{"chain_id": 1}, {"genesis": "0x" + "00" * 32}, {"contract": "0x" + "00" * 20}],
)
def test_an_anchor_of_another_chain_or_contract_is_only_claimed(changes: dict[str, Any]) -> None:
    receipt = anchored(noted_by=(EAST, SOUTH), **changes)
    assert standing(receipt, "anchor", read_anchor=endpoints("a", "b")) == "claimed"
    with pytest.raises(VerificationError):
        verify(receipt, policy=make_policy(ask=("anchor",)), read_anchor=endpoints("a", "b"))


def test_an_anchored_head_before_the_statement_says_nothing_of_it() -> None:
    for size in (1, 3):
        with pytest.raises(VerificationError):
            verify(anchored(size), policy=make_policy(), read_anchor=endpoints("a", "b"))
    assert standing(anchored(4), "anchor", read_anchor=endpoints("a", "b")) == "proved"


def test_a_forged_consistency_proof_makes_the_anchor_false() -> None:
    honest = LOG.anchor(6, checkpoint_size=7)
    other = make_log(size=5)
    other.record(body={"title": "another history"})
    for claim in (
        replace(honest, consistency=()),
        replace(honest, consistency=honest.consistency[::-1]),
        replace(honest, consistency=(*honest.consistency, b"\x00" * 32)),
        replace(honest, root=other.root()),
        replace(honest, size=5),
        replace(honest, size=7),
    ):
        with pytest.raises(VerificationError):
            verify(LOG.receipt(3, anchor=claim), policy=make_policy(), read_anchor=endpoints("a", "b"))


def test_a_larger_anchored_head_is_held_against_the_checkpoint_too() -> None:
    claim = LOG.anchor(7, checkpoint_size=5)
    receipt = LOG.receipt(3, size=5, anchor=claim)
    assert standing(receipt, "anchor", read_anchor=endpoints("a", "b")) == "proved"
    with pytest.raises(VerificationError):
        verify(replace(receipt, anchor=replace(claim, root=b"\x11" * 32)))


def test_an_anchor_at_the_checkpoints_own_size_needs_its_root() -> None:
    claim = LOG.anchor(7, checkpoint_size=7)
    assert claim.consistency == ()
    assert standing(LOG.receipt(3, anchor=claim), "anchor", read_anchor=endpoints("a", "b")) == "proved"
    with pytest.raises(VerificationError):
        verify(LOG.receipt(3, anchor=replace(claim, root=b"\x11" * 32)))


def test_an_anchor_on_a_local_chain_is_never_proved() -> None:
    policy = make_policy(anchor=replace(CHAIN, local=True))
    receipt = anchored(noted_by=(EAST, SOUTH, WEST))
    assert standing(receipt, "anchor", policy=policy) == "claimed"
    assert standing(receipt, "anchor", policy=policy, read_anchor=endpoints("a", "b")) == "claimed"
    with pytest.raises(PolicyError):
        make_policy(anchor=replace(CHAIN, local=True), ask=("anchor",))


def test_notes_of_a_quorum_prove_an_anchor_and_fewer_do_not() -> None:
    assert standing(anchored(noted_by=(EAST, SOUTH)), "anchor") == "proved"
    assert standing(anchored(noted_by=(EAST,)), "anchor") == "claimed"
    assert standing(anchored(noted_by=(EAST, STRANGER)), "anchor") == "claimed"
    assert standing(anchored(noted_by=(EAST, NORTH)), "anchor") == "claimed"
    policy = make_policy(witnesses=(NORTH, EAST, SOUTH), need=2)
    assert standing(anchored(noted_by=(EAST, NORTH)), "anchor", policy=policy) == "claimed"
    assert standing(anchored(noted_by=(EAST, SOUTH)), "anchor", policy=policy) == "proved"


def test_a_note_about_another_anchor_is_an_error() -> None:
    for change in ({"block": 1}, {"size": 5}, {"root": b"\x00" * 32}, {"chain_id": 1}):
        note = with_note(
            replace(LOG.anchor(6, checkpoint_size=7), **change), NORTH.origin, (EAST, SOUTH)
        ).note
        with pytest.raises(VerificationError):
            verify(anchored(note=note), policy=make_policy())
    other = with_note(LOG.anchor(6, checkpoint_size=7), EAST.origin, (EAST, SOUTH)).note
    with pytest.raises(VerificationError):
        verify(anchored(note=other), policy=make_policy())


def test_a_cosigned_checkpoint_is_no_anchor_note_and_the_other_way_round() -> None:
    cosigned_head = LOG.checkpoint(6, witnesses=(EAST, SOUTH)).note.decode()
    with pytest.raises(VerificationError):
        verify(anchored(note=cosigned_head), policy=make_policy())
    note = anchored(noted_by=(EAST, SOUTH)).anchor
    assert note is not None
    document = json.loads(DATA)
    document["proof"] = document["proof"].split("\n\n")[0] + "\n\n" + note.note
    with pytest.raises(ReceiptError):
        verify(format_json(document))


def test_a_policy_without_a_chain_proves_no_anchor() -> None:
    policy = make_policy(anchor=None)
    receipt = anchored(noted_by=(EAST, SOUTH))
    assert standing(receipt, "anchor", policy=policy, read_anchor=endpoints("a", "b")) == "claimed"
    assert standing(receipt, "anchor", policy=None, read_anchor=endpoints("a", "b")) == "claimed"


def test_the_latest_of_the_agreeing_block_times_is_the_bound() -> None:
    both = lambda claim, _journal: [  # noqa: E731
        reading(claim, "a", time=100), reading(claim, "b", time=4_000_000_000),
    ]  # fmt: skip
    report = verify(anchored(), policy=make_policy(), read_anchor=both)
    (line,) = [line for line in report.lines if line.topic == "time" and line.standing == "proved"]
    assert "2096" in line.text


# Openings -----------------------------------------------------------------------------------------------------


def opened(opening: Any, index: int = 3) -> Receipt:
    return LOG.receipt(index, opening=opening)


def test_an_opened_field_is_proved_and_another_value_is_refused() -> None:
    report = verify(opened(OPENING), policy=make_policy())
    assert report.standing("payload") == "proved"
    assert report.opened == {"amount": 1200}
    for value in (1201, "1200", None, [1200], True):
        forged = {**OPENING, "fields": [{**OPENING["fields"][0], "value": value}]}
        with pytest.raises(VerificationError):
            verify(opened(forged), policy=make_policy())


def test_an_opened_field_under_another_path_or_salt_is_refused() -> None:
    field = OPENING["fields"][0]
    for forged in ({**field, "path": "rate"}, {**field, "salt": encode_base64url(b"\x00" * 32)}):
        with pytest.raises(VerificationError):
            verify(opened({**OPENING, "fields": [forged]}), policy=make_policy())


def test_a_field_that_is_opened_twice_is_refused() -> None:
    with pytest.raises(VerificationError):
        verify(opened({**OPENING, "fields": OPENING["fields"] * 2}), policy=make_policy())


def test_the_opening_of_another_record_is_refused() -> None:
    other = open_fields({**RECORD, "amount": 1}, record_salt(), ["amount"])
    with pytest.raises(VerificationError):
        verify(opened(other), policy=make_policy())
    salted = open_fields(RECORD, b"\x01" * 32, ["amount"])
    with pytest.raises(VerificationError):
        verify(opened(salted), policy=make_policy())


def test_an_opening_without_fields_proves_no_payload() -> None:
    receipt = opened({**OPENING, "fields": []})
    assert standing(receipt, "payload") != "proved"
    with pytest.raises(VerificationError):
        verify(receipt, policy=make_policy(ask=("payload",)))


@pytest.mark.parametrize(
    "opening",
    [
        {},
        {"fields": [], "hashes": []},
        {**OPENING, "extra": 1},
        {**OPENING, "hashes": dict.fromkeys(OPENING["hashes"], 1)},
        {**OPENING, "hashes": OPENING["hashes"][::-1]},
        {**OPENING, "hashes": [*OPENING["hashes"], OPENING["hashes"][-1]]},
        {**OPENING, "fields": {"path": 1}},
        {**OPENING, "fields": [{**OPENING["fields"][0], "extra": 1}]},
        {**OPENING, "fields": [{"path": "amount"}]},
        {**OPENING, "fields": ["amount"]},
        {**OPENING, "salt": 5},
        {**OPENING, "salt": OPENING["salt"][:-1]},
        {"salt": encode_base64url(record_salt()), "payload": ""},
    ],
)
def test_a_malformed_opening_is_refused(opening: dict[str, Any]) -> None:
    with pytest.raises(VerificationError):
        verify(format_receipt(opened(opening)), policy=make_policy())


SALT = encode_base64url(record_salt())
LETTER = {"payload": encode_base64(b"the letter"), "salt": SALT}


def test_an_opened_payload_is_proved_wherever_its_bytes_come_from() -> None:
    assert standing(opened(LETTER, 4), "payload") == "proved"
    assert standing(opened({"salt": SALT}, 4), "payload", payload=b"the letter") == "proved"
    assert standing(opened({"salt": SALT}, 4), "payload") == "claimed"
    assert standing(LOG.receipt(4), "payload") == "claimed"


def test_a_payload_with_a_wrong_salt_or_other_bytes_is_refused() -> None:
    wrong = encode_base64url(b"\x05" * 32)
    for opening, payload in (
        ({**LETTER, "salt": wrong}, None),
        ({**LETTER, "payload": encode_base64(b"the Letter")}, None),
        ({"salt": SALT}, b"the Letter"),
        (LETTER, b"the Letter"),
        ({**LETTER, "salt": encode_base64url(record_salt()[:31])}, None),
        ({**LETTER, "more": 1}, None),
        ({"payload": LETTER["payload"]}, None),
        ({**LETTER, "payload": 5}, None),
    ):
        with pytest.raises(VerificationError):
            verify(opened(opening, 4), policy=make_policy(), payload=payload)


def test_a_payload_for_a_closed_receipt_is_wrong_use_and_no_finding() -> None:
    with pytest.raises(DisclosureError):
        verify(opened(None, 4), policy=make_policy(), payload=b"the letter")


def test_a_statement_without_a_payload_opens_nothing() -> None:
    with pytest.raises(VerificationError):
        verify(LOG.receipt(0, opening=LETTER))
    with pytest.raises(VerificationError):
        verify(LOG.receipt(0), payload=b"")
    with pytest.raises(VerificationError):
        verify(opened(OPENING), payload=b"x")


def test_an_opening_of_bytes_does_not_open_fields_nor_the_other_way_round() -> None:
    with pytest.raises(VerificationError):
        verify(opened(LETTER, 3))
    with pytest.raises(VerificationError):
        verify(opened(OPENING, 4))


# What is said ---------------------------------------------------------------------------------------------------


def test_an_unknown_kind_is_claimed_and_no_failure() -> None:
    log = make_log(size=3)
    log.record(kind="comet.sighted", body={"tail": "long"})
    receipt = log.receipt(3)
    assert standing(receipt, "kind") == "claimed"
    assert standing(receipt, "kind", kinds=Kinds([Kind("comet.sighted", {"tail": "text"})])) is None
    assert standing(receipt, "inclusion") == "proved"


@pytest.mark.parametrize(
    "text", ["x\nproved  anchored in block 7", "a\x1b[2Jb", "b\r\rproved", "c\u202eevil"]
)
def test_no_text_of_an_issuer_can_look_like_a_line_of_the_report(text: str) -> None:
    log = make_log(size=3)
    record = {text: text, "v": [text]} if text.isascii() and text.isprintable() else {"v": [text]}
    log.record(kind="decision.made", body={"model": "0" * 64, "level": text}, payload=fields_ref(record))
    opening = open_fields(record, record_salt(), ["v"])
    report = verify(log.receipt(3, opening=opening), policy=make_policy())
    assert all(line.text.isprintable() for line in report.lines)


def test_a_path_of_an_issuer_cannot_look_like_a_line_of_the_report() -> None:
    """An issuer who does not use our program commits to any path."""
    path, own, salt = "amount is 1\n  proved   anchored", b"\x01" * 32, b"\x02" * 32
    hashes = [_field_hash(own, path, 1)]
    commitment = encode_base64url(commit_bytes(b"".join(hashes), salt))
    log = make_log(size=3)
    log.record(payload=PayloadRef(commitment, "fields", "application/json", encode_base64url(NONCE), 1))
    opening = {
        "fields": [{"path": path, "salt": encode_base64url(own), "value": 1}],
        "hashes": [encode_base64url(hashes[0])],
        "salt": encode_base64url(salt),
    }
    with pytest.raises(VerificationError):
        verify(log.receipt(3, opening=opening), policy=make_policy())


def test_the_issuers_time_is_never_proved() -> None:
    for receipt in (PLAIN, RECEIPT):
        report = verify(receipt, policy=make_policy(), read_anchor=endpoints("a", "b"))
        said = [line for line in report.lines if line.topic == "time" and line.text.startswith("at ")]
        assert [line.standing for line in said] == ["claimed"]


@pytest.mark.parametrize("asked", ["party", "witnesses", "anchor", "payload"])
def test_what_a_policy_asks_and_is_not_proved_raises_with_the_report(asked: str) -> None:
    receipt = make_log(STRANGER).receipt(3)
    with pytest.raises(VerificationError) as caught:
        verify(receipt, policy=make_policy(ask=(asked,)))
    report = caught.value.report
    assert isinstance(report, Report)
    assert report.standing(asked) != "proved"
    assert asked in caught.value.message


def test_what_is_false_raises_without_a_report() -> None:
    with pytest.raises(VerificationError) as caught:
        verify(replace(PLAIN, index=2), policy=make_policy())
    assert caught.value.report is None


def test_exit_codes_tell_a_policy_from_none() -> None:
    assert verify(PLAIN, policy=make_policy()).exit_code == 0
    assert verify(PLAIN).exit_code == 3


def test_later_versions_say_what_to_do() -> None:
    document = json.loads(DATA)
    for change in ({"v": 2}, {"v": "1"}, {"v": True}, {"v": None}):
        with pytest.raises(UnknownFormatError) as caught:
            verify(format_json({**document, **change}))
        assert "upgrade" in caught.value.hint
    statement = json.loads(base64.b64decode(document["statement"]))
    later = encode_base64(format_json({**statement, "v": 2}))
    with pytest.raises(UnknownFormatError):
        verify(format_json({**document, "statement": later}))
