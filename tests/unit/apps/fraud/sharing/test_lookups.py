from __future__ import annotations

import threading
from pathlib import Path

import pytest
from tests.unit.apps.fraud.sharing.banks import DAY, SECOND, START, Banks, make_banks

from tallystick.apps.fraud.sharing import Limits, LocalLink, lookup_totals, reconcile_lookups
from tallystick.apps.fraud.sharing._group import multiply_base
from tallystick.apps.fraud.sharing._requests import (
    format_answers,
    format_request,
    parse_answers,
    parse_request,
)
from tallystick.errors import (
    ConfigurationError,
    DeadlineError,
    EncodingError,
    NotFoundError,
    RateLimitError,
    TallystickError,
    VerificationError,
)
from tallystick.proof import Party, format_json, parse_json

POINTS = [multiply_base(bytes([n]) + bytes(31)) for n in range(1, 4)]


def request_of(banks: Banks, asker: int = 0, member: int = 1, **changed: object) -> bytes:
    said = {
        "signer": banks.nodes[asker].party.signer("author"),
        "epoch": banks.members[asker].tokens.epoch,
        "origin": banks.nodes[member].origin,
        "purpose": "payment",
        "at": banks.clock(),
        "randomness": __import__("os").urandom,
    } | changed
    return format_request(POINTS, **said)  # type: ignore[arg-type]


def test_all_banks_make_the_same_token_and_keep_it_in_memory(banks: Banks) -> None:
    made = [member.tokens.ask(["P1", "P2"], purpose="payment") for member in banks.members]
    assert made[0] == made[1] == made[2]
    assert banks.members[0].tokens.find("P1") == made[0]["P1"]
    assert banks.members[0].tokens.find("P9") is None


def test_both_sides_state_exact_counts_and_an_auditor_finds_them_equal(banks: Banks) -> None:
    banks.members[0].tokens.ask([f"P{n}" for n in range(70)], purpose="payment")
    banks.members[0].tokens.ask(["P1", "R1"], purpose="review")
    banks.members[1].tokens.ask(["P1"], purpose="report")
    for member in banks.members:
        member.settle()
    assert {"count": 70, "epoch": 1, "member": banks.nodes[1].id, "purpose": "payment"} in banks.bodies(
        0, "lookup.made"
    )
    assert {"asker": banks.nodes[0].id, "count": 1, "epoch": 1, "purpose": "review"} in banks.bodies(
        2, "lookup.served"
    )
    bundles = [node.bundle(range(node.journal.size)) for node in banks.nodes]
    assert reconcile_lookups(bundles, policy=banks.policy) == ()
    totals = {(t.asker, t.purpose): t.count for t in lookup_totals(bundles, policy=banks.policy)}
    assert totals[banks.nodes[0].id, "payment"] == 70


def test_a_bank_that_states_less_than_it_asked_is_named(banks: Banks) -> None:
    banks.members[0].tokens.ask(["P1", "P2", "P3"], purpose="payment")
    banks.members[1].settle()
    banks.members[2].settle()
    bundles = [node.bundle(range(node.journal.size)) for node in banks.nodes]
    found = reconcile_lookups(bundles, policy=banks.policy)
    assert [(d.asker, d.made, d.served) for d in found] == [(banks.nodes[0].id, 0, 3)] * 2


def test_statements_are_made_after_a_minute_or_a_number_and_lose_no_count(tmp_path: Path) -> None:
    banks = make_banks(tmp_path, stated_every=10)
    asker = banks.members[0].tokens
    asker.ask([f"P{n}" for n in range(4)], purpose="payment")
    assert "lookup.served" not in banks.kinds(1)
    banks.clock.now += 61 * SECOND
    asker.ask(["Q1"], purpose="payment")
    assert [body["count"] for body in banks.bodies(1, "lookup.served")] == [5]
    asker.ask([f"R{n}" for n in range(12)], purpose="payment")
    assert [body["count"] for body in banks.bodies(1, "lookup.served")] == [5, 12]
    banks.close()


def test_with_one_at_a_time_each_count_is_durable_before_its_answer_leaves(tmp_path: Path) -> None:
    banks = make_banks(tmp_path, stated_every=1)
    banks.members[0].tokens.ask(["P1"], purpose="payment")
    assert [body["count"] for body in banks.bodies(1, "lookup.served")] == [1]
    banks.close()


def test_beyond_the_burst_and_the_rate_a_bank_is_refused_and_that_is_counted(tmp_path: Path) -> None:
    banks = make_banks(tmp_path, limits=Limits(per_second=2.0, burst=5))
    asker = banks.members[0].tokens
    asker.ask([f"P{n}" for n in range(5)], purpose="payment")
    with pytest.raises(RateLimitError, match="2 look-ups a second after 5 at once") as refused:
        asker.ask(["Q1"], purpose="payment")
    assert refused.value.retryable
    assert "1 s" in refused.value.hint or "0 s" in refused.value.hint
    banks.clock.now += SECOND
    asker.ask(["Q1", "Q2"], purpose="payment")
    with pytest.raises(RateLimitError):
        asker.ask(["Q3"], purpose="payment")
    for member in banks.members:
        member.settle()
    assert banks.bodies(1, "lookup.served")[0]["refused"] == 2
    bundles = [node.bundle(range(node.journal.size)) for node in banks.nodes]
    assert reconcile_lookups(bundles) == ()
    banks.close()


def test_one_banks_allowance_is_not_anothers(tmp_path: Path) -> None:
    banks = make_banks(tmp_path, limits=Limits(per_second=1.0, burst=3))
    banks.members[0].tokens.ask(["P1", "P2", "P3"], purpose="payment")
    banks.members[1].tokens.ask(["P1", "P2", "P3"], purpose="payment")
    banks.close()


def test_a_bound_says_how_long_so_many_look_ups_take() -> None:
    assert Limits(per_second=1.0, burst=10_000).seconds_for(1_000_000) == 990_000
    assert Limits(per_second=1.0, burst=10_000).seconds_for(5) == 0
    with pytest.raises(ConfigurationError):
        Limits(per_second=0)


def test_a_purpose_outside_the_list_is_refused_on_both_sides(banks: Banks) -> None:
    with pytest.raises(EncodingError, match="payment, report, review"):
        banks.members[0].tokens.ask(["P1"], purpose="curiosity")
    with pytest.raises(EncodingError, match="payment, report, review"):
        banks.members[1].evaluator.evaluate(request_of(banks, purpose="curiosity"), epoch=1)


def test_a_request_is_answered_once_and_only_when_it_is_fresh(banks: Banks) -> None:
    request = request_of(banks)
    evaluator = banks.members[1].evaluator
    evaluator.evaluate(request, epoch=1)
    with pytest.raises(VerificationError, match="answered before"):
        evaluator.evaluate(request, epoch=1)
    with pytest.raises(DeadlineError, match="last 120 s"):
        evaluator.evaluate(request_of(banks, at=START - 121 * SECOND), epoch=1)


def test_a_request_for_another_member_or_by_a_stranger_is_refused(banks: Banks) -> None:
    evaluator = banks.members[1].evaluator
    with pytest.raises(VerificationError, match="another network or journal"):
        evaluator.evaluate(request_of(banks, member=2), epoch=1)
    with pytest.raises(VerificationError, match="member of the epoch"):
        evaluator.evaluate(request_of(banks, signer=Party.create("Bank Z").signer("author")), epoch=1)
    request = parse_json(request_of(banks))
    request["signature"] = request_of(banks).decode().split('"signature":"')[1][:86]
    with pytest.raises(VerificationError, match="signature"):
        evaluator.evaluate(format_json(request), epoch=1)


def test_an_epoch_that_is_not_open_here_is_not_answered_for(banks: Banks) -> None:
    with pytest.raises(TallystickError):
        banks.members[1].evaluator.evaluate(request_of(banks), epoch=2)
    banks.members[0]._shares.draw(2)
    with pytest.raises(NotFoundError, match="not open here"):
        banks.members[0].evaluator.evaluate(request_of(banks, asker=1, member=0), epoch=2)


def test_a_member_that_answers_by_another_share_is_named(banks: Banks) -> None:
    class Wrong(LocalLink):
        def evaluate(self, request: bytes, *, epoch: int) -> bytes:
            answers, proof = parse_answers(super().evaluate(request, epoch=epoch))
            return format_answers([POINTS[0], *answers[1:]], proof)

    first = banks.members[0]
    first.link([LocalLink(banks.members[1]), Wrong(banks.members[2])])
    banks_epoch = [first.tokens.epoch]
    from tallystick.apps.fraud.sharing import Tokens

    tokens = Tokens(
        banks.nodes[0],
        banks_epoch[0],
        own=lambda points: first.evaluator.own(points, epoch=1),
        links=first._links,
        name_of=first.name_of,
        clock=banks.clock,
    )
    with pytest.raises(VerificationError, match="Bank C answered by something else"):
        tokens.ask(["P1"], purpose="payment")
    assert tokens.find("P1") is None
    tokens.close()


def test_every_other_member_must_be_reachable(banks: Banks) -> None:
    from tallystick.apps.fraud.sharing import Tokens

    with pytest.raises(ConfigurationError, match="every other member"):
        Tokens(banks.nodes[0], banks.members[0].tokens.epoch, own=lambda points: [], links={})


def test_the_token_that_was_not_used_for_longest_goes_first(banks: Banks) -> None:
    from tallystick.apps.fraud.sharing import Tokens

    first = banks.members[0]
    tokens = Tokens(
        banks.nodes[0],
        first.tokens.epoch,
        own=lambda points: first.evaluator.own(points, epoch=1),
        links=first._links,
        kept=2,
        clock=banks.clock,
    )
    tokens.ask(["P1", "P2"], purpose="payment")
    assert tokens.find("P1") is not None
    tokens.ask(["P3"], purpose="payment")
    assert tokens.find("P2") is None
    assert tokens.find("P1") is not None
    tokens.close()


def test_requests_and_answers_come_back_as_they_were_written(banks: Banks) -> None:
    asked = parse_request(
        request_of(banks),
        epoch=banks.members[0].tokens.epoch,
        origin=banks.nodes[1].origin,
        policy=banks.policy,
    )
    assert (asked.asker, asked.purpose, list(asked.points)) == (banks.nodes[0].id, "payment", POINTS)
    assert parse_answers(format_answers(POINTS, b"p" * 64)) == (POINTS, b"p" * 64)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b'{"answers":[],"proof":"","type":"tallystick/evaluation","v":1}',
        b'{"answers":[1],"proof":"","type":"tallystick/evaluation","v":1}',
        b'{"answers":{},"proof":"","type":"tallystick/evaluation","v":1}',
    ],
)
def test_malformed_answers_are_refused(data: bytes) -> None:
    with pytest.raises(EncodingError):
        parse_answers(data)


@pytest.mark.parametrize("points", [[], ["A" * 43] * 65, ["short"], [7], "text"])
def test_malformed_points_are_refused(banks: Banks, points: object) -> None:
    from tallystick.proof import sign_as_author

    content = {
        "at": START,
        "points": points,
        "purpose": "payment",
        "type": "tallystick/evaluation-request",
        "v": 1,
    }
    epoch = banks.members[0].tokens.epoch
    signed = sign_as_author(
        format_json(content),
        signer=banks.nodes[0].party.signer("author"),
        network=epoch.network,
        origin=banks.nodes[1].origin,
    )
    with pytest.raises(EncodingError):
        banks.members[1].evaluator.evaluate(format_json(dict(signed)), epoch=1)


def test_nothing_is_asked_before_or_after_the_epoch(banks: Banks) -> None:
    banks.clock.now = START - DAY
    with pytest.raises(DeadlineError, match="has not begun"):
        banks.members[0].tokens.ask(["P1"], purpose="payment")
    banks.clock.now = START


def test_many_threads_that_ask_at_once_lose_no_count_and_make_the_same_tokens(banks: Banks) -> None:
    from concurrent.futures import ThreadPoolExecutor

    payees = [[f"P{n}" for n in range(first, first + 5)] for first in range(0, 40, 5)]
    with ThreadPoolExecutor(8) as threads:
        futures = [
            threads.submit(member.tokens.ask, some, purpose="payment")
            for some in payees
            for member in banks.members
        ]
        made = [future.result(timeout=60) for future in futures]
    assert made[0::3] == made[1::3] == made[2::3]
    for member in banks.members:
        member.settle()
    bundles = [node.bundle(range(node.journal.size)) for node in banks.nodes]
    assert reconcile_lookups(bundles) == ()
    assert all(total.count == 40 for total in lookup_totals(bundles))


def test_a_token_in_memory_is_found_while_counts_are_being_written_down(
    banks: Banks, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = banks.members[0].tokens
    token = tokens.ask(["DE1"], purpose="payment")["DE1"]
    is_writing, may_end = threading.Event(), threading.Event()

    def slow(_drafts: object) -> list[object]:
        is_writing.set()
        may_end.wait(20)
        return []

    monkeypatch.setattr(banks.nodes[0], "record_many", slow)
    found: list[bytes | None] = []
    writer = threading.Thread(target=tokens.settle)
    reader = threading.Thread(target=lambda: found.append(tokens.find("DE1")))
    writer.start()
    try:
        assert is_writing.wait(20)
        reader.start()
        reader.join(10)
        assert found == [token]  # before the disk was done
    finally:
        may_end.set()
        writer.join(20)


def test_a_list_can_be_posted_to_the_contract_that_holds() -> None:
    import inspect

    from tallystick.apps.fraud import holding
    from tallystick.apps.fraud.sharing import ListBoard

    wanted = list(inspect.signature(ListBoard.post_list).parameters)
    boards = [thing for name in holding.__all__ if hasattr(thing := getattr(holding, name), "post_list")]
    assert boards
    assert all(list(inspect.signature(board.post_list).parameters) == wanted for board in boards)
