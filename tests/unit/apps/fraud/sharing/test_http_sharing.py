"""Banks that share over HTTP: what one reports another sees; who is down, who lies, who asks too much."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.unit.apps.fraud.sharing.banks import DAY, SECOND, START, make_payment
from tests.unit.apps.fraud.sharing.served_banks import ServedBanks, bad_server, served_banks

from tallystick.apps.fraud.sharing import HttpMemberLink, Limits, reconcile_lookups
from tallystick.errors import (
    AccessDeniedError,
    ChainUnreachableError,
    ConfigurationError,
    DeadlineError,
    EncodingError,
    NodeUnreachableError,
    NotFoundError,
    OverloadedError,
    RateLimitError,
    TallystickError,
    VerificationError,
)

MULE = "DE89370400440532013000"


@pytest.fixture
def banks(tmp_path: Path) -> Iterator[ServedBanks]:
    with served_banks(tmp_path) as made:
        yield made


def signals(banks: ServedBanks, place: int, payee: str) -> dict[str, float]:
    found = banks.sharings[place].signals
    row = found.look([make_payment(place, payee, at=banks.clock.now)])[0].tolist()
    return dict(zip(found.names, row, strict=True))


def send(url: str, method: str, path: str, *, key: str = "", body: bytes = b"") -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_two_customers_of_one_bank_list_a_payee_at_another_over_http(banks: ServedBanks) -> None:
    assert signals(banks, 1, MULE)["payee_listed"] == 0
    banks.sharings[0].member.report(MULE, customer="c-1")
    assert signals(banks, 1, MULE)["payee_listed"] == 0  # one customer's word is not enough
    banks.sharings[0].member.report(MULE, customer="c-2")
    for place in range(3):
        found = signals(banks, place, MULE)
        assert (found["payee_listed"], found["payee_reports"], found["payee_unknown"]) == (1, 2, 0)
    assert signals(banks, 1, "DE02120300000000202051")["payee_listed"] == 0
    lists = [sharing.listed(1, at=banks.clock.now) for sharing in banks.sharings]
    assert lists[0] == lists[1] == lists[2]
    assert banks.sharings[0]._links[0].listed(1, at=banks.clock.now) == lists[0]  # type: ignore[attr-defined]


def test_every_look_up_stands_in_both_journals(banks: ServedBanks) -> None:
    banks.sharings[0].member.tokens.ask([MULE, "DE1", "DE2"], purpose="payment")
    banks.sharings[1].member.tokens.ask([MULE], purpose="review")
    for sharing in banks.sharings:
        sharing.member.settle()
    made = banks.bodies(0, "lookup.made")
    assert {(b["member"], b["count"], b["purpose"]) for b in made} == {
        (banks.nodes[at].id, 3, "payment") for at in (1, 2)
    }
    bundles = [node.bundle(range(node.journal.size)) for node in banks.nodes]
    assert reconcile_lookups(bundles, policy=banks.sharings[0].settings.policy) == ()


def test_with_a_member_down_decisions_go_on_and_say_that_nothing_was_known(banks: ServedBanks) -> None:
    assert signals(banks, 0, "DE-known")["payee_unknown"] == 0
    banks.stop[2]()
    found = signals(banks, 0, MULE)
    assert (found["payee_unknown"], found["payee_listed"]) == (1, 0)
    assert signals(banks, 0, "DE-known")["payee_unknown"] == 0  # its token is in memory
    status = banks.sharings[0].signals.status
    assert status.unknown == 1
    standing = banks.sharings[0].standing()
    assert (standing.looked, standing.unknown, standing.epoch) == (3, 1, 1)


def test_a_member_that_gave_no_answer_is_left_alone_and_the_others_allowance_is_not_spent(
    tmp_path: Path,
) -> None:
    with served_banks(tmp_path, rest_s=3_600.0) as banks:
        banks.stop[2]()
        tokens = banks.sharings[0].member.tokens
        with pytest.raises(NodeUnreachableError, match="Bank C cannot be reached"):
            tokens.ask([MULE], purpose="payment")
        for number in range(5):
            with pytest.raises(NodeUnreachableError, match="Bank C gave no answer a moment ago"):
                tokens.ask([f"DE-{number}"], purpose="payment")
        assert banks.sharings[0].standing().members == {"Bank B": True, "Bank C": False}
        banks.sharings[1].member.settle()
        assert [body["count"] for body in banks.bodies(1, "lookup.served")] == [1]


def test_a_report_that_a_member_did_not_take_is_handed_to_it_until_it_does(banks: ServedBanks) -> None:
    reporting = banks.sharings[0].member
    token = reporting.report(MULE, customer="c-1").token
    link = reporting._links[banks.nodes[2].id]
    link.close()  # type: ignore[attr-defined]
    url, link._parts = link._parts, urlsplit("http://127.0.0.1:9")  # type: ignore[attr-defined]
    reporting.report(MULE, customer="c-2")
    assert banks.sharings[0].standing().undelivered == 1
    assert banks.sharings[2].member.payees.entry(token, banks.clock.now) is None
    link._parts = url  # type: ignore[attr-defined]
    banks.clock.now += 5 * SECOND
    banks.tend(1)
    assert banks.sharings[0].standing().undelivered == 0
    assert banks.sharings[2].member.payees.entry(token, banks.clock.now) is not None


def test_a_member_that_answers_by_another_share_is_named(
    banks: ServedBanks, monkeypatch: pytest.MonkeyPatch
) -> None:
    liar = banks.sharings[1]
    monkeypatch.setattr(liar.member._shares, "share", lambda _number: (7).to_bytes(32, "little"))
    with pytest.raises(VerificationError, match="Bank B answered by something else than the share"):
        banks.sharings[0].member.tokens.ask([MULE], purpose="payment")
    assert signals(banks, 2, MULE)["payee_unknown"] == 1
    assert "Bank B answered by something else" in banks.sharings[2].standing().trouble


def test_who_tries_accounts_is_stopped_at_the_stated_rate_and_seen_by_all(tmp_path: Path) -> None:
    limits = Limits(per_second=2.0, burst=100)
    with served_banks(tmp_path, limits=limits) as banks:
        thief, tried = banks.sharings[0].member.tokens, 0
        accounts = [f"DE{number:020d}" for number in range(400)]
        for first in range(0, limits.burst, 10):
            thief.ask(accounts[first : first + 10], purpose="payment")
            tried += 10
        with pytest.raises(RateLimitError, match="was asked too often"):
            thief.ask(accounts[tried : tried + 10], purpose="payment")
        assert tried == limits.burst
        banks.clock.now += 20 * SECOND
        thief.ask(accounts[tried : tried + 40], purpose="payment")
        with pytest.raises(RateLimitError):
            thief.ask(accounts[tried + 40 : tried + 50], purpose="payment")
        for sharing in banks.sharings:
            sharing.member.settle()
        for place in (1, 2):
            served = banks.bodies(place, "lookup.served")
            assert sum(body["count"] for body in served) == limits.burst + 40
            assert sum(body.get("refused", 0) for body in served) == 20
            assert {body["asker"] for body in served} == {banks.nodes[0].id}
        # 10^6 accounts: 5.8 days at this limit, and every member's journal says so.
        assert limits.seconds_for(1_000_000) / 86_400 == pytest.approx(5.787, abs=0.01)


def test_a_hold_on_the_chain_stands_in_the_signals_until_it_ends(banks: ServedBanks) -> None:
    banks.sharings[2].member.tokens.ask([MULE], purpose="review")
    token = banks.sharings[2].member.tokens.find(MULE)
    assert token is not None
    assert signals(banks, 1, MULE)["payee_held"] == 0
    banks.readers[1].held[token] = banks.clock.now + 10 * SECOND
    assert banks.sharings[1].look_at_holds()
    assert signals(banks, 1, MULE)["payee_held"] == 1
    # A payment that names a later time of its own does not slip past it.
    live = banks.sharings[1].signals
    assert live.look([make_payment(1, MULE, at=banks.clock.now + 60 * SECOND)])[0, -2] == 1
    assert banks.sharings[1].standing().held == 1
    banks.clock.now += 11 * SECOND
    assert signals(banks, 1, MULE)["payee_held"] == 0


def test_when_the_chain_cannot_be_read_for_too_long_payees_count_as_unknown(banks: ServedBanks) -> None:
    banks.readers[0].error = ChainUnreachableError("nobody answers")
    assert not banks.sharings[0].look_at_holds()
    assert signals(banks, 0, MULE)["payee_unknown"] == 0  # the last look is young enough
    banks.clock.now += 31 * SECOND
    assert signals(banks, 0, MULE)["payee_unknown"] == 1
    assert "holds cannot be read" in banks.sharings[0].standing().trouble
    banks.readers[0].error = None
    assert banks.sharings[0].look_at_holds()
    assert signals(banks, 0, MULE)["payee_unknown"] == 0


def test_epochs_follow_the_plan_and_the_list_does_not_outlive_its_own(banks: ServedBanks) -> None:
    for customer in ("c-1", "c-2"):
        banks.sharings[0].member.report(MULE, customer=customer)
    assert signals(banks, 1, MULE)["payee_listed"] == 1
    banks.clock.now = START + 30 * DAY - SECOND
    banks.tend()
    assert [len(banks.bodies(place, "epoch.opened")) for place in range(3)] == [2, 2, 2]
    assert banks.sharings[0].standing().epoch == 1  # opened ahead, not used before its time
    banks.clock.now = START + 30 * DAY
    assert signals(banks, 1, MULE)["payee_unknown"] == 1
    banks.tend()
    assert [sharing.standing().epoch for sharing in banks.sharings] == [2, 2, 2]
    banks.sharings[1].look_at_holds()
    found = signals(banks, 1, MULE)
    assert (found["payee_listed"], found["payee_unknown"]) == (0, 0)
    banks.clock.now += 120 * SECOND
    banks.tend()
    assert [body["number"] for body in banks.bodies(0, "epoch.ended")] == [1]


def test_a_restart_within_an_epoch_goes_on_with_its_list(banks: ServedBanks) -> None:
    for customer in ("c-1", "c-2"):
        banks.sharings[0].member.report(MULE, customer=customer)
    again = banks.restart(1)
    assert again.standing().epoch == 1
    assert signals(banks, 1, MULE)["payee_listed"] == 1
    banks.tend()
    assert [len(banks.bodies(place, "epoch.opened")) for place in range(3)] == [1, 1, 1]


def test_a_restart_after_the_end_of_an_epoch_ends_it_and_joins_the_next(banks: ServedBanks) -> None:
    banks.stop[2]()
    for customer in ("c-1", "c-2"):
        with pytest.raises(NodeUnreachableError):
            banks.sharings[0].member.report(MULE, customer=customer)
    banks.sharings[0].member.undelivered.append((banks.nodes[2].id, b"of the old epoch"))
    banks.clock.now = START + 31 * DAY
    again = banks.restart(0)
    assert signals(banks, 0, MULE)["payee_unknown"] == 1
    again.tend()
    assert "epoch 2: Bank B, Bank C did not open it here yet" in again.standing().trouble
    assert [body["number"] for body in banks.bodies(0, "epoch.ended")] == [1]
    assert [body["number"] for body in banks.bodies(0, "epoch.opened")] == [1, 2]


def test_without_every_members_opening_no_epoch_is_used_and_who_is_missing_is_said(tmp_path: Path) -> None:
    with served_banks(tmp_path, opened=False) as banks:
        a, b, _ = banks.sharings
        for _ in range(2):
            a.tend()
            b.tend()
        assert "epoch 1: Bank C did not open it here yet" in a.standing().trouble
        assert signals(banks, 0, MULE)["payee_unknown"] == 1
        banks.tend()
        a.look_at_holds()
        assert signals(banks, 0, MULE)["payee_unknown"] == 0
        assert a.standing().trouble == ""


def test_a_share_that_was_drawn_before_a_crash_is_stated_after_it(tmp_path: Path) -> None:
    with served_banks(tmp_path, opened=False) as banks:
        member = banks.sharings[0].member
        member._shares.draw(1)
        banks.tend()
        assert [sharing.standing().epoch for sharing in banks.sharings] == [1, 1, 1]
        with pytest.raises(ConfigurationError, match="the next epoch must be 2"):
            member.open(1, since=START, until=START + DAY, members=[member.id, banks.nodes[1].id])


def test_what_fails_in_the_background_is_said_and_tried_again(
    banks: ServedBanks, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = banks.sharings[0]
    monkeypatch.setattr(a.member, "settle", lambda: 1 // 0)
    banks.clock.now += 61 * SECOND
    a._safely(a.tend)
    assert "sharing failed: ZeroDivisionError" in a.standing().trouble
    monkeypatch.undo()
    a._safely(a.tend)
    a.look_at_holds()
    assert a.standing().trouble == ""


def test_payees_are_looked_up_ahead_once_an_epoch(banks: ServedBanks) -> None:
    a = banks.sharings[0]
    a._ahead = lambda: [MULE, "DE-other"]
    for _ in range(3):
        a.tend()
    a.signals.shared.close()
    tokens = a.member.tokens
    assert tokens.find(MULE) is not None
    assert tokens.find("DE-other") is not None
    for sharing in banks.sharings:
        sharing.member.settle()
    assert [(b["count"], b["purpose"]) for b in banks.bodies(1, "lookup.served")] == [(2, "payment")]


def test_only_members_are_answered_each_for_itself_and_within_bounds(banks: ServedBanks) -> None:
    url, key = banks.urls[1], banks.tokens[0, 1]
    assert send(url, "GET", "/health/live")[0] == 200
    assert send(url, "GET", "/v1/share/epochs/1")[0] == 401
    assert send(url, "GET", "/v1/share/epochs/1", key="tsk_00000000_" + "a" * 43)[0] == 401
    assert send(url, "GET", "/v1/share/epochs/1", key=key)[0] == 200
    assert send(url, "GET", "/v1/share/epochs/7", key=key)[0] == 404
    assert send(url, "GET", "/v1/share/lists/2?at=5", key=key)[0] == 404
    assert send(url, "GET", "/v1/share/lists/1", key=key)[0] == 422
    assert send(url, "PUT", "/v1/share/reports", key=key)[0] == 405
    assert send(url, "GET", "/docs", key=key)[0] == 404
    assert send(url, "POST", "/v1/share/reports", key=key, body=b"x" * 70_000)[0] == 413
    assert send(url, "POST", "/v1/share/reports", key=key, body=b"{}")[0] in (400, 422)
    assert send(url, "POST", "/v1/share/evaluations/1", key=key, body=b"{}")[0] in (400, 422)
    assert send(url, "POST", "/v1/share/evaluations/9", key=key, body=b"{}")[0] in (404, 409)
    assert send(url, "GET", "/health", key=key)[0] == 200


def test_a_request_that_another_member_signed_is_refused(banks: ServedBanks) -> None:
    seen: list[bytes] = []
    link = banks.sharings[0].member._links[banks.nodes[1].id]
    evaluate = link.evaluate

    def overheard(request: bytes, *, epoch: int) -> bytes:
        seen.append(request)
        return evaluate(request, epoch=epoch)

    link.evaluate = overheard  # type: ignore[method-assign]
    banks.sharings[0].member.tokens.ask([MULE], purpose="payment")
    path = "/v1/share/evaluations/1"
    status, told = send(banks.urls[1], "POST", path, key=banks.tokens[2, 1], body=seen[0])
    assert status == 422
    assert b"signed by the member that hands it in" in told
    assert send(banks.urls[1], "POST", path, key=banks.tokens[0, 1], body=seen[0])[0] == 422  # served before


def test_while_as_many_as_may_are_answered_the_next_one_is_told_to_come_back(
    banks: ServedBanks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallystick.apps.fraud.sharing._sharing.EVALUATE_WAIT_S", 0.01)
    busy = banks.sharings[1]._evaluating
    assert all(busy.acquire(blocking=False) for _ in range(2))
    assert not busy.acquire(blocking=False)
    with pytest.raises(OverloadedError, match="Bank B cannot answer at the moment"):
        banks.sharings[0].member.tokens.ask([MULE], purpose="payment")
    busy.release()
    assert banks.sharings[0].member.tokens.ask([MULE], purpose="payment")


def test_a_member_that_asks_without_end_is_told_to_slow_down(tmp_path: Path) -> None:
    with served_banks(tmp_path, requests_per_s=5.0) as banks:
        told = [send(banks.urls[0], "GET", "/health", key=banks.tokens[1, 0])[0] for _ in range(20)]
        assert set(told) <= {200, 429}
        assert told.count(429) >= 5
        assert send(banks.urls[0], "GET", "/health", key=banks.tokens[2, 0])[0] == 200  # others are not hit


# -- the way to a member -----------------------------------------------------------------------------------


def link_to(url: str, **fields: Any) -> HttpMemberLink:
    return HttpMemberLink("did:key:z", origin="o", url=url, key="k", name="Bank X", rest_s=0.0, **fields)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 40000\r\n\r\n" + b"x" * 40_000, EncodingError),
        (b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", NodeUnreachableError),
        (b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n", AccessDeniedError),
        (b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n", NotFoundError),
        (b"HTTP/1.1 409 No\r\ncontent-length: 0\r\n\r\n", DeadlineError),
        (b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", NodeUnreachableError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort", NodeUnreachableError),
        (b"SSH-2.0-OpenSSH_9.6\r\n", NodeUnreachableError),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_an_error_of_its_kind(answer: bytes, kind: type[TallystickError]) -> None:
    with bad_server(answer) as url:
        link = link_to(url)
        with pytest.raises(kind, match="Bank X"):
            link.evaluate(b"{}", epoch=1)
        link.close()


def test_a_member_that_hangs_is_given_up_after_the_timeout() -> None:
    with bad_server(b"", wait=threading.Event()) as url:
        link = link_to(url, timeout_s=0.2)
        with pytest.raises(NodeUnreachableError, match=r"gave no answer in 0\.2 s"):
            link.evaluate(b"{}", epoch=1)
        link.close()


@pytest.mark.parametrize("url", ["ftp://a", "http://", "http://user@a/", "http://a/?x=1", "a"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        link_to(url)


def test_a_connection_is_kept_for_the_next_ask(banks: ServedBanks) -> None:
    link = banks.sharings[0]._links[0]
    assert isinstance(link, HttpMemberLink)
    link.opening(1)
    kept = [connection for _, connection in link._idle]
    link.opening(1)
    assert [connection for _, connection in link._idle] == kept
    assert kept
    assert kept[0].sock is not None
    kept[0].sock.close()  # it ended meanwhile: a fresh one takes its place, and nobody notices
    link.opening(1)
