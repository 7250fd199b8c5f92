"""Members that cheat: who tries accounts, who answers wrong, who reports the innocent, who keeps a share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.apps.fraud.sharing.banks import DAY, SECOND, START, Banks, make_banks

from tallystick.apps.fraud.sharing import (
    Limits,
    PayeeList,
    RiskCounts,
    RiskRule,
    Shares,
    TokenProof,
    hold_risk_round,
    lookup_totals,
    reconcile_lookups,
)
from tallystick.apps.fraud.sharing._group import add, multiply, multiply_base, subtract
from tallystick.apps.fraud.sharing._payees import DISCLOSED
from tallystick.apps.fraud.sharing._requests import format_request
from tallystick.apps.fraud.sharing._tokens import blind, finish
from tallystick.errors import (
    ConfigurationError,
    ConflictError,
    DeadlineError,
    RateLimitError,
    ReceiptError,
    VerificationError,
)
from tallystick.proof import encode_base64url

IBANS = [f"DE{n:020d}" for n in range(1_000_000, 1_000_400)]
LIMITS = Limits(per_second=2.0, burst=100)


@pytest.fixture
def banks(tmp_path: Path) -> Iterator[Banks]:
    made = make_banks(tmp_path, limits=LIMITS)
    yield made
    made.close()


def reported(banks: Banks, payee: str) -> bytes:
    banks.members[1].report(payee, customer="alice")
    return banks.members[2].report(payee, customer="bob").token


def test_a_member_that_tries_a_range_of_accounts_is_stopped_at_the_stated_rate_and_seen_by_all(
    banks: Banks,
) -> None:
    token = reported(banks, IBANS[250])
    thief, tried = banks.members[0].tokens, 0
    for account in IBANS:
        try:
            thief.ask([account], purpose="payment")
        except RateLimitError:
            break
        tried += 1
    assert tried == LIMITS.burst
    assert thief.find(IBANS[250]) is None

    banks.clock.now += 40 * SECOND
    for account in IBANS[tried:]:
        try:
            thief.ask([account], purpose="payment")
        except RateLimitError:
            break
        tried += 1
    # The cost: one look-up an account at every other member, no more than the burst and the rate give.
    assert tried == LIMITS.burst + 40 * LIMITS.per_second
    assert thief.find(IBANS[tried]) is None
    assert LIMITS.seconds_for(1_000_000) == pytest.approx(
        999_900 / 2
    )  # 5.8 days for 10^6 accounts at this limit
    assert Limits().seconds_for(1_000_000) / 86_400 == pytest.approx(11.46, abs=0.01)  # days at the usual one

    for member in banks.members:
        member.settle()
    bundles = [node.bundle(range(node.journal.size)) for node in banks.nodes]
    for place in (1, 2):
        stated = [b for b in banks.bodies(place, "lookup.served") if b["asker"] == banks.nodes[0].id]
        assert sum(int(str(body["count"])) for body in stated) == tried
        assert sum(int(str(body.get("refused", 0))) for body in stated) == 2
    totals = lookup_totals(bundles[1:], policy=banks.policy)
    mine = next(total for total in totals if total.asker == banks.nodes[0].id)
    assert (mine.purpose, mine.count) == ("payment", tried)
    assert banks.kinds(0).count("decision.made") == 0  # look-ups for payments, and not one payment
    assert token in banks.members[0].payees.tokens


def test_a_thief_that_leaves_its_look_ups_out_of_its_journal_is_named_by_all_others(banks: Banks) -> None:
    thief = banks.members[0]
    thief.tokens.ask(IBANS[:50], purpose="payment")
    thief.tokens._tally.clear()
    for member in banks.members:
        member.settle()
    found = reconcile_lookups(
        [node.bundle(range(node.journal.size)) for node in banks.nodes], policy=banks.policy
    )
    assert [(d.asker, d.member, d.made, d.served) for d in found] == sorted(
        (banks.nodes[0].id, banks.nodes[place].id, 0, 50) for place in (1, 2)
    )


def test_with_the_whole_list_and_its_own_share_a_member_cannot_test_one_account(banks: Banks) -> None:
    token = reported(banks, IBANS[7])
    listed = banks.members[0].payees.statement(1, at=START)
    assert len(listed.entries) == 1
    own = Shares(banks.nodes[0].workspace.path / "sharing" / "shares.json", banks.nodes[0].party).share(1)
    epoch = banks.members[0].tokens.epoch
    for account in IBANS[:20]:
        item = blind(account, epoch=epoch.id, randomness=os.urandom)
        guesses = [
            [multiply(own, item.point)],
            [multiply(own, item.point)] * 3,
            [multiply(own, item.point), *(point for point in epoch.commitments.values())],
        ]
        assert all(finish(item, guess, epoch=epoch.id) != token for guess in guesses)


def test_two_of_three_members_together_cannot_test_one_account_either(banks: Banks) -> None:
    token = reported(banks, IBANS[7])
    epoch = banks.members[0].tokens.epoch
    pair = [
        Shares(banks.nodes[place].workspace.path / "sharing" / "shares.json", banks.nodes[place].party).share(
            1
        )
        for place in (0, 1)
    ]
    item = blind(IBANS[7], epoch=epoch.id, randomness=os.urandom)
    partial = [multiply(share, item.point) for share in pair]
    third = epoch.commitments[banks.nodes[2].id]
    assert finish(item, partial, epoch=epoch.id) != token
    assert finish(item, [*partial, third], epoch=epoch.id) != token
    all_three = Shares(banks.nodes[2].workspace.path / "sharing" / "shares.json", banks.nodes[2].party).share(
        1
    )
    # The twin: with the third share it is the token. So it is the missing share that protects, nothing else.
    assert finish(item, [*partial, multiply(all_three, item.point)], epoch=epoch.id) == token


def test_after_one_member_destroyed_its_share_the_others_with_all_they_kept_make_no_token(
    banks: Banks,
) -> None:
    token = reported(banks, IBANS[7])
    kept = [
        Shares(banks.nodes[place].workspace.path / "sharing" / "shares.json", banks.nodes[place].party).share(
            1
        )
        for place in (0, 1)
    ]
    banks.members[2].end()
    path = banks.nodes[2].workspace.path / "sharing" / "shares.json"
    with pytest.raises(DeadlineError):
        Shares(path, banks.nodes[2].party).share(1)
    with pytest.raises(DeadlineError):
        banks.members[0].tokens.ask([IBANS[8]], purpose="payment")
    epoch = banks.members[0].tokens.epoch
    item = blind(IBANS[7], epoch=epoch.id, randomness=os.urandom)
    assert finish(item, [multiply(share, item.point) for share in kept], epoch=epoch.id) != token


def test_what_a_member_sees_of_two_askers_does_not_tell_whether_they_ask_about_one_payee(
    banks: Banks,
) -> None:
    epoch = banks.members[0].tokens.epoch
    same = [blind(IBANS[0], epoch=epoch.id, randomness=os.urandom).point for _ in range(2)]
    assert same[0] != same[1]
    requests = [
        format_request(
            [point],
            signer=banks.nodes[place].party.signer("author"),
            epoch=epoch,
            origin=banks.nodes[2].origin,
            purpose="payment",
            at=START,
            randomness=os.urandom,
        )
        for place, point in enumerate(same)
    ]
    assert IBANS[0].encode() not in b"".join(requests)


def test_a_request_overheard_on_the_way_cannot_be_used_to_spend_the_askers_allowance(banks: Banks) -> None:
    epoch = banks.members[0].tokens.epoch
    request = format_request(
        [multiply_base(b"\x05" + bytes(31))],
        signer=banks.nodes[0].party.signer("author"),
        epoch=epoch,
        origin=banks.nodes[1].origin,
        purpose="payment",
        at=START,
        randomness=os.urandom,
    )
    banks.members[1].evaluator.evaluate(request, epoch=1)
    for _ in range(3):
        with pytest.raises(VerificationError):
            banks.members[1].evaluator.evaluate(request, epoch=1)
    with pytest.raises(VerificationError):
        banks.members[2].evaluator.evaluate(request, epoch=1)
    banks.members[1].settle()
    assert [body["count"] for body in banks.bodies(1, "lookup.served")] == [1]


def test_the_last_member_to_open_cannot_choose_the_key_of_all(tmp_path: Path) -> None:
    banks = make_banks(tmp_path, opened=False)
    parties = [member.id for member in banks.members]
    said = [member.open(1, since=START, until=START + DAY, members=parties) for member in banks.members]
    chosen = multiply_base(b"\x09" + bytes(31))
    others = add([bytes.fromhex(said[place].statement.body["commitment"]) for place in (0, 1)])
    body = {**said[2].statement.body, "commitment": subtract(chosen, others).hex()}
    forged = banks.nodes[2].receipt(banks.nodes[2].record("epoch.opened", body).index)
    with pytest.raises(VerificationError, match="does not know the share"):
        banks.members[0].join([*said[:2], forged])
    banks.close()


def test_an_innocent_payee_reported_by_invented_customers_is_suspended_removed_and_counted(
    banks: Banks,
) -> None:
    liar, fair, payees_bank = banks.members
    token = liar.report("the rival's shop", customer="invented 1").token
    liar.report("the rival's shop", customer="invented 2")
    # The stated limit: until somebody objects, it is listed everywhere.
    assert fair.payees.entry(token, START) is not None
    assert {word.bank for word in fair.payees.words(token)} == {liar.id}
    payees_bank.dispute("the rival's shop", reason="our customer since 1998", at=START + SECOND)
    assert fair.payees.entry(token, START + SECOND) is None
    fair.remove(token, reason="no such payments", at=START + 2 * SECOND)
    payees_bank.remove(token, reason="no such payments", at=START + 3 * SECOND)
    for member in (fair, payees_bank):
        assert member.payees.entry(token, START + 3 * SECOND) is None
        assert member.payees.record_of(liar.id).overturn_rate == 1.0
    # It cannot say afterwards that it was not itself.
    receipt = banks.nodes[0].receipt(
        next(e.index for e in banks.nodes[0].journal.entries() if e.statement.kind == "payee.reported"),
        disclose=DISCLOSED["payee.reported"],
    )
    assert (
        PayeeList(fair.tokens.epoch, policy=banks.policy, clock=banks.clock).receive(receipt).bank == liar.id
    )


def test_one_customer_in_several_spellings_lists_nobody(banks: Banks) -> None:
    honest = banks.members[0]
    for customer in ("DE89370400440532013000", "DE89 3704 0044 0532 0130 00", " de89370400440532013000 "):
        token = honest.report("a shop", customer=customer).token
    assert honest.payees.entry(token, START) is None
    with pytest.raises(ConfigurationError, match="must name the customer"):
        honest.report("a shop", customer=" ")
    honest.report("a shop", customer="another")
    assert honest.payees.entry(token, START) is not None


def test_a_round_is_not_held_again_with_other_counts_to_see_what_one_bank_changed(banks: Banks) -> None:
    counts = [RiskCounts({"T": (100 + place, 3)}, {}) for place in range(3)]
    said: dict[str, Any] = {"terminals": ["T"], "known_at": START + DAY, "rule": RiskRule(bucket_bits=0)}
    hold_risk_round(banks.members, counts, number=1, **said)
    counts[0] = RiskCounts({"T": (107, 4)}, {})
    with pytest.raises(ConflictError, match="held before"):
        hold_risk_round(banks.members, counts, number=1, **said)
    hold_risk_round(banks.members, counts, number=2, **said)


def test_a_member_cannot_fill_the_others_disks_with_large_receipts(banks: Banks) -> None:
    token = banks.members[0].report("a shop", customer="one").token
    notes = {f"note{number}": "x" * 1_000 for number in range(80)}
    opened = {"at": START, "reporter": encode_base64url(bytes(16)), "token": encode_base64url(token)}
    entry = banks.nodes[0].record("payee.reported", {"epoch": 1}, fields={**notes, **opened})
    large = banks.nodes[0].receipt(entry.index, disclose=(*opened, *notes))
    for receipt in (large, large.format()):
        with pytest.raises(ReceiptError, match="at most"):
            banks.members[1].payees.receive(receipt)
    banks.members[1].payees.receive(banks.nodes[0].receipt(entry.index, disclose=tuple(opened)))


def test_one_member_alone_removes_nothing_however_often_it_says_so(banks: Banks) -> None:
    token = reported(banks, IBANS[0])
    for second in range(5):
        banks.members[0].remove(token, reason="I am its bank", at=START + second)
    assert banks.members[1].payees.entry(token, START + SECOND) is not None


def test_another_members_report_cannot_be_changed_or_taken_back(banks: Banks) -> None:
    token = reported(banks, IBANS[0])
    word = banks.members[0].payees.words(token)[0]
    banks.members[0]._say(
        "payee.withdrawn",
        {},
        token,
        START + 1,
        {"reporter": __import__("base64").urlsafe_b64encode(word.reporter).decode().rstrip("=")},
        subject="",
    )
    assert banks.members[2].payees.entry(token, START + 1) is not None
    receipt = next(
        banks.nodes[1].receipt(e.index, disclose=DISCLOSED[e.statement.kind])
        for e in banks.nodes[1].journal.entries()
        if e.statement.kind == "payee.reported"
    )
    changed = receipt.format().replace(b'"value":1790000000000000', b'"value":1790000000000001')
    assert changed != receipt.format()
    with pytest.raises(VerificationError):
        banks.members[2].payees.receive(changed)


def test_a_decision_cannot_claim_afterwards_that_a_payee_was_listed_when_it_was_not(banks: Banks) -> None:
    token = reported(banks, IBANS[0])
    other = banks.members[0].tokens.ask([IBANS[1]], purpose="payment")[IBANS[1]]
    stated = banks.members[0].state_list()
    for proof in (stated.prove(token), stated.prove(other)):
        assert proof.verify(token, root=stated.root) is not None
        assert proof.verify(other, root=stated.root) is None
    forged = TokenProof(1, stated.prove(token).places)
    with pytest.raises(VerificationError):
        forged.verify(token, root=bytes(32))


def test_no_journal_holds_a_token_a_tag_a_customer_or_an_account_in_clear(banks: Banks) -> None:
    token = reported(banks, IBANS[0])
    banks.members[0].dispute(IBANS[0], reason="ours")
    secrets = [token, token.hex().encode(), b"alice", b"bob", IBANS[0].encode()]
    secrets += [word.reporter for word in banks.members[0].payees.words(token) if word.reporter]
    for node in banks.nodes:
        stored = b"".join(path.read_bytes() for path in node.workspace.path.rglob("*") if path.is_file())
        assert not any(secret in stored for secret in secrets)
        statements = b"".join(entry.statement.bytes for entry in node.journal.entries())
        assert not any(secret in statements for secret in secrets)
