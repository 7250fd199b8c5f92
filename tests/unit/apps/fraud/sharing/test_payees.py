from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.unit.apps.fraud.sharing.banks import DAY, START, Banks, Clock, make_banks, make_nodes

from tallystick.apps.fraud.sharing import (
    LocalLink,
    PayeeList,
    format_token_proof,
    parse_token_proof,
)
from tallystick.errors import (
    DeadlineError,
    DisclosureError,
    EncodingError,
    OverloadedError,
    RateLimitError,
    VerificationError,
)
from tallystick.proof import Receipt, root_of

HOUR = DAY // 24


def receipts_of(banks: Banks, place: int) -> list[Receipt]:
    from tallystick.apps.fraud.sharing._payees import DISCLOSED

    node = banks.nodes[place]
    entries = [entry for entry in node.journal.entries() if entry.statement.kind in DISCLOSED]
    return [node.receipt(e.index, disclose=DISCLOSED[e.statement.kind]) for e in entries]


def test_two_customers_of_two_banks_make_an_entry_and_one_does_not(banks: Banks) -> None:
    a, b, c = banks.members
    token = a.report("P1", customer="alice", at=START).token
    assert c.payees.entry(token, START + HOUR) is None
    a.report("P1", customer="alice", at=START + 1)
    assert c.payees.entry(token, START + HOUR) is None
    b.report("P1", customer="bob", at=START + 2)
    for member in banks.members:
        entry = member.payees.entry(token, START + HOUR)
        assert entry is not None
        assert (entry.reports, entry.since, entry.disputed) == (2, START + 2, False)


def test_two_customers_of_one_bank_make_an_entry(banks: Banks) -> None:
    token = banks.members[0].report("P1", customer="alice").token
    banks.members[0].report("P1", customer="anna")
    assert banks.members[1].payees.entry(token, START) is not None


def test_the_list_is_seen_as_of_a_moment(banks: Banks) -> None:
    a, b, c = banks.members
    token = a.report("P1", customer="alice", at=START).token
    banks.clock.now += HOUR
    b.report("P1", customer="bob", at=START + HOUR - 1)
    assert c.payees.entry(token, START + HOUR - 2) is None
    assert c.payees.entry(token, START + HOUR - 1) is not None


def test_an_entry_expires_and_a_customer_who_reports_again_renews_hers(tmp_path: Path) -> None:
    banks = make_banks(tmp_path, days=2)
    a, b, c = banks.members
    token = a.report("P1", customer="alice", at=START).token
    b.report("P1", customer="bob", at=START)
    assert c.payees.entry(token, START + 2 * DAY - 1) is not None
    assert c.payees.entry(token, START + 2 * DAY) is None
    banks.clock.now += DAY
    a.report("P1", customer="alice", at=START + DAY)
    b.report("P1", customer="bob", at=START + DAY)
    assert c.payees.entry(token, START + 2 * DAY) is not None
    assert c.payees.entry(token, START + 3 * DAY) is None
    banks.close()


def test_the_end_of_the_epoch_empties_the_list(tmp_path: Path) -> None:
    banks = make_banks(tmp_path, until=START + DAY)
    token = banks.members[0].report("P1", customer="alice").token
    banks.members[0].report("P1", customer="anna")
    assert banks.members[0].payees.entry(token, START + DAY - 1) is not None
    assert banks.members[0].payees.entry(token, START + DAY) is None
    banks.close()


def test_a_dispute_suspends_what_one_bank_alone_reported_and_only_marks_what_two_did(banks: Banks) -> None:
    a, b, c = banks.members
    token = a.report("P1", customer="alice").token
    a.report("P1", customer="anna")
    c.dispute("P1", reason="it is the rent account of a school", at=START + 1)
    assert b.payees.entry(token, START) is not None
    assert b.payees.entry(token, START + 1) is None
    b.report("P1", customer="bob", at=START + 2)
    entry = a.payees.entry(token, START + 2)
    assert entry is not None
    assert entry.disputed
    assert entry.reports == 3


def test_two_members_remove_an_entry_and_the_reporters_overturn_rate_shows_it(banks: Banks) -> None:
    a, b, c = banks.members
    token = a.report("P1", customer="alice").token
    a.report("P1", customer="anna")
    kept = a.report("P2", customer="alice").token
    b.remove(token, reason="looked into it", at=START + 1)
    assert c.payees.entry(token, START + 1) is not None
    b.remove(token, reason="still", at=START + 2)
    assert c.payees.entry(token, START + 2) is not None
    c.remove(token, reason="looked into it too", at=START + 3)
    assert [m.payees.entry(token, START + 3) for m in banks.members] == [None] * 3
    record = b.payees.record_of(a.id)
    assert (record.reports, record.overturned) == (3, 2)
    assert record.overturn_rate == pytest.approx(2 / 3)
    assert b.payees.record_of(b.id).overturn_rate == 0
    assert kept in c.payees.tokens


def test_a_removed_payee_needs_two_new_reports(banks: Banks) -> None:
    a, b, c = banks.members
    token = a.report("P1", customer="alice").token
    b.report("P1", customer="bob")
    b.remove(token, reason="wrong", at=START + 1)
    c.remove(token, reason="wrong", at=START + 1)
    a.report("P1", customer="alice", at=START + 2)
    assert c.payees.entry(token, START + 2) is None
    a.report("P1", customer="arthur", at=START + 3)
    assert c.payees.entry(token, START + 3) is not None


def test_a_report_taken_back_counts_no_more(banks: Banks) -> None:
    a, b, c = banks.members
    token = a.report("P1", customer="alice").token
    b.report("P1", customer="bob")
    b.withdraw("P1", customer="bob", at=START + 5)
    assert c.payees.entry(token, START + 4) is not None
    assert c.payees.entry(token, START + 5) is None
    assert c.payees.record_of(b.id).overturned == 1


def test_a_customer_is_told_apart_for_one_payee_and_not_known_again_for_another(banks: Banks) -> None:
    a = banks.members[0]
    first = a.report("P1", customer="alice")
    again = a.report("P1", customer="alice", at=START + 1)
    other = a.report("P2", customer="alice")
    assert first.reporter == again.reporter != other.reporter


def test_members_see_token_tag_and_time_and_neither_customer_nor_payment(banks: Banks) -> None:
    banks.members[0].report("P1", customer="alice", payment="ab" * 32)
    receipt = receipts_of(banks, 0)[0]
    assert receipt.opening is not None
    assert {field["path"] for field in receipt.opening["fields"]} == {"at", "reporter", "token"}
    data = receipt.format()
    assert b"alice" not in data
    assert ("ab" * 32).encode() not in data
    assert dict(receipt.statement.body) == {"epoch": 1}


def test_everybody_who_has_the_same_receipts_has_the_same_root_in_whatever_order_they_came(
    banks: Banks,
) -> None:
    a, b, c = banks.members
    chance = random.Random(5)
    banks.clock.now += HOUR
    for number in range(12):
        at = START + number * HOUR // 100
        for member in chance.sample(banks.members, 2):
            member.report(f"P{number % 7}", customer=f"c{number % 5}", at=at)
    token = a.tokens.find("P3") or a.tokens.ask(["P3"], purpose="review")["P3"]
    a.remove(token, reason="wrong", at=START + HOUR)
    b.remove(token, reason="wrong", at=START + HOUR)
    c.dispute("P1", reason="ours", at=START + HOUR)
    receipts = [receipt for place in range(3) for receipt in receipts_of(banks, place)]
    expected = a.payees.statement(1, at=START + 2 * HOUR)
    assert expected.entries
    for _ in range(3):
        chance.shuffle(receipts)
        other = PayeeList(a.tokens.epoch, policy=banks.policy, clock=banks.clock)
        for receipt in [*receipts, receipts[0]]:
            other.receive(receipt.format())
        assert other.statement(1, at=START + 2 * HOUR).root == expected.root
    assert b.payees.statement(1, at=START + 2 * HOUR).root == c.payees.statement(1, at=START + 2 * HOUR).root


def test_what_stood_on_the_list_and_what_did_not_is_proved_against_the_stated_root(banks: Banks) -> None:
    a, b, c = banks.members
    for number in range(9):
        a.report(f"P{number}", customer="alice")
        b.report(f"P{number}", customer="bob")
    posted: list[tuple[int, int, bytes, int]] = []

    class Board:
        def post_list(self, epoch: int, number: int, root: bytes, entries: int) -> None:
            posted.append((epoch, number, root, entries))

    stated = a.state_list(board=Board())
    assert posted == [(1, 1, stated.root, 9)]
    assert banks.bodies(0, "list.stated") == [stated.body]
    tokens = c.tokens.ask([*(f"P{n}" for n in range(9)), *(f"Q{n}" for n in range(20))], purpose="payment")
    for payee, token in tokens.items():
        proof = parse_token_proof(format_token_proof(stated.prove(token)))
        entry = proof.verify(token, root=stated.root)
        assert (entry is not None) == payee.startswith("P")
    assert a.state_list().number == 2


def test_a_proof_of_another_token_or_root_or_with_a_gap_does_not_hold(banks: Banks) -> None:
    from tallystick.apps.fraud.sharing._sorted_tree import SortedTree, TokenProof

    entries = [bytes([n * 10]) * 32 + b"x" for n in range(1, 8)]
    tree = SortedTree(entries)
    absent = tree.prove(bytes([15]) * 32)
    assert absent.verify(bytes([15]) * 32, root=tree.root) is None
    listed = bytes([20]) * 32
    wide = TokenProof(7, (tree.prove(bytes([10]) * 32).places[0], tree.prove(bytes([30]) * 32).places[0]))
    edge = TokenProof(7, tree.prove(bytes([30]) * 32).places)
    for proof in (absent, wide, edge, TokenProof(0, ()), TokenProof(7, ())):
        with pytest.raises(VerificationError):
            proof.verify(listed, root=tree.root)
    with pytest.raises(VerificationError):
        tree.prove(listed).verify(listed, root=SortedTree(entries[1:]).root)
    assert tree.prove(bytes(32)).verify(bytes(32), root=tree.root) is None
    assert tree.prove(b"\xff" * 32).verify(b"\xff" * 32, root=tree.root) is None
    empty = SortedTree([])
    assert empty.root == root_of([])
    assert empty.prove(listed).verify(listed, root=empty.root) is None
    with pytest.raises(EncodingError):
        SortedTree([entries[0], entries[0]])


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b'{"places":[],"size":-1,"type":"tallystick/token-proof","v":1}',
        b'{"places":[1],"size":1,"type":"tallystick/token-proof","v":1}',
        b'{"places":[{"entry":"","index":0,"path":[]}],"size":1,"type":"tallystick/token-proof","v":1}',
        b'{"places":[{"entry":"","index":0}],"size":1,"type":"tallystick/token-proof","v":1}',
    ],
)
def test_a_malformed_proof_is_refused(data: bytes) -> None:
    with pytest.raises(EncodingError):
        parse_token_proof(data)


def test_a_receipt_that_is_closed_or_of_another_kind_epoch_or_party_is_refused(
    banks: Banks, tmp_path: Path
) -> None:
    a, b, _ = banks.members
    a.report("P1", customer="alice")
    receipt = receipts_of(banks, 0)[0]
    with pytest.raises(DisclosureError):
        b.payees.receive(receipt.without_opening())
    opened = banks.nodes[0].receipt(0)
    with pytest.raises(VerificationError, match="reported, disputed, withdrawn or removed"):
        b.payees.receive(opened)
    other = banks.nodes[0].record(
        "payee.reported", {"epoch": 9}, fields={"at": START, "reporter": "x", "token": "y"}
    )
    with pytest.raises(VerificationError, match="epoch 1"):
        b.payees.receive(banks.nodes[0].receipt(other.index, disclose=["at", "reporter", "token"]))
    nodes, _ = make_nodes(tmp_path / "elsewhere", ["Bank Z"], Clock())
    foreign = nodes[0].record(
        "payee.reported", {"epoch": 1}, fields={"at": START, "reporter": "x", "token": "y"}
    )
    with pytest.raises(VerificationError, match="member"):
        b.payees.receive(nodes[0].receipt(foreign.index, disclose=["at", "reporter", "token"]))
    nodes[0].close()


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"at": "now", "reporter": "A" * 22, "token": "A" * 43}, EncodingError),
        ({"at": START, "reporter": "A", "token": "A" * 43}, EncodingError),
        ({"at": START, "reporter": 7, "token": "A" * 43}, EncodingError),
        ({"at": START, "reporter": "A" * 22, "token": "A"}, EncodingError),
        ({"at": START + DAY, "reporter": "A" * 22, "token": "A" * 43}, DeadlineError),
        ({"at": START - 1, "reporter": "A" * 22, "token": "A" * 43}, DeadlineError),
    ],
)
def test_fields_that_do_not_fit_are_refused(
    banks: Banks, fields: dict[str, object], error: type[Exception]
) -> None:
    entry = banks.nodes[0].record("payee.reported", {"epoch": 1}, fields=fields)
    with pytest.raises(error):
        banks.members[1].payees.receive(
            banks.nodes[0].receipt(entry.index, disclose=["at", "reporter", "token"])
        )


def test_a_member_that_is_away_gets_the_report_later(banks: Banks) -> None:
    class Away(LocalLink):
        away = True

        def send_report(self, receipt: bytes) -> None:
            if self.away:
                raise OverloadedError("not now")
            super().send_report(receipt)

    a, b, c = banks.members
    link = Away(c)
    a.link([LocalLink(b), link])
    token = a.report("P1", customer="alice").token
    assert b.payees.words(token)
    assert not c.payees.words(token)
    assert a.deliver() == 1
    link.away = False
    assert a.deliver() == 0
    assert len(c.payees.words(token)) == 1
    assert c.payees.received_at(c.payees.words(token)[0].statement) == START
    assert c.payees.received_at("00" * 32) is None


def test_without_an_epoch_there_is_no_list(tmp_path: Path) -> None:
    banks = make_banks(tmp_path, opened=False)
    with pytest.raises(DeadlineError, match="no epoch"):
        banks.members[0].report("P1", customer="alice")
    with pytest.raises(DeadlineError, match="no epoch"):
        _ = banks.members[0].payees
    banks.close()


def test_a_report_that_all_would_refuse_is_not_stated(banks: Banks) -> None:
    before = banks.nodes[0].journal.size
    with pytest.raises(DeadlineError):
        banks.members[0].report("P1", customer="alice", at=START + HOUR)
    assert banks.nodes[0].journal.size == before


def test_a_bank_that_floods_the_others_with_reports_is_stopped(
    banks: Banks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallystick.apps.fraud.sharing._payees.WORDS_PER_BANK", 3)
    a, b, c = banks.members
    for number in range(3):
        a.report(f"P{number}", customer="alice")
    with pytest.raises(RateLimitError, match="at most 3"):
        a.report("P9", customer="alice")
    token = b.report("P1", customer="bob").token
    assert c.payees.entry(token, START) is not None
