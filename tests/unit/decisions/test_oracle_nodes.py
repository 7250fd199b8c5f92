"""Oracle nodes answer each request once, whoever lies, dies or stays silent; the watcher overturns what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from office import heart, row
from stand_in import ADDRESS, BOND, CHAIN, STEP, Stage

from tallystick.decisions import Followed, Opening, RequestStatus, Revealed, follow, make_opening
from tallystick.errors import ChainError, ChainUnreachableError, StorageError


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.close()


def run(stage: Stage, *nodes: Any, rounds: int = 1, blocks: int = 0) -> None:
    """Let everybody look, some blocks pass, and so on."""
    for _ in range(rounds):
        for node in nodes:
            node.step()
        stage.oracle.mine(blocks)


def given(stage: Stage, place: int, request: str) -> int:
    """How often a signer's journal says that it answered a request."""
    entries = stage.nodes[f"s{place}"].journal.entries()
    return sum(one.statement.body.get("request") == request for one in entries)


def done(stage: Stage, what: str, request: str) -> list[str]:
    """Who did something on the contract."""
    return [who for deed, who in stage.oracle.log if deed == f"{what} {request}"]


def test_a_quorum_commits_shows_and_answers_once(stage: Stage) -> None:
    request = stage.ask(70)
    nodes = [stage.signer(place) for place in range(3)]
    run(stage, *nodes)
    assert len(done(stage, "commit", request)) == 3
    assert stage.exchange.shown(request) == []
    run(stage, *nodes, rounds=3)
    answer = stage.oracle.of(request)
    assert (answer.output, answer.is_final) == (heart().score(row(70)), True)
    assert len(done(stage, "answer", request)) == 1
    assert [given(stage, place, request) for place in range(3)] == [1, 1, 1]
    run(stage, *nodes, rounds=2)
    assert stage.oracle.of(request).committed == frozenset()
    assert [node.step() for node in nodes] == [0, 0, 0]


def test_what_is_stated_seals_the_answer_and_names_the_request(stage: Stage) -> None:
    request = stage.ask(70)
    node = stage.signer(0)
    node.step()
    (entry,) = stage.nodes["s0"].journal.entries()
    assert entry.statement.kind == "answer.given"
    assert entry.statement.body["chain"] == {"block": 2, "chain": CHAIN, "contract": ADDRESS, "id": request}
    assert str(heart().score(row(70))).encode() not in entry.bytes
    assert node.answered(request) == heart().score(row(70))
    assert node.answered("00" * 32) is None


def test_one_signer_answers_at_level_zero(stage: Stage) -> None:
    request = stage.ask(70, level=0)
    nodes = [stage.signer(place) for place in range(3)]
    run(stage, *nodes, rounds=2)
    assert stage.oracle.of(request).output == heart().score(row(70))
    assert len(done(stage, "answer", request)) == 1


def test_a_liar_is_outvoted(stage: Stage) -> None:
    request = stage.ask(70)
    nodes = [stage.signer(0, lies=True), stage.signer(1), stage.signer(2)]
    run(stage, *nodes)
    stage.oracle.mine(STEP + 1)
    for _ in range(4):
        run(stage, *nodes)
        stage.now += 5_000_000
    assert stage.oracle.of(request).output == heart().score(row(70))


def test_an_honest_node_does_not_submit_what_it_holds_to_be_wrong(stage: Stage) -> None:
    request = stage.ask(70)
    liars, honest = [stage.signer(0, lies=True), stage.signer(1, lies=True)], stage.signer(2)
    run(stage, *liars, honest)
    for place, liar in enumerate(liars):  # they show their answers, and leave the submission to others
        output = liar.answered(request)
        assert output is not None
        terms = stage.oracle.cases[bytes.fromhex(request)].terms
        digest = stage.oracle.answer_digest(terms, output=output, chain_id=CHAIN)
        account = stage.accounts[place]
        stage.exchange.show(Revealed(request, output, account.address, account.sign_digest(digest)))
    for _ in range(5):
        run(stage, honest)
        stage.now += 5_000_000
    assert stage.oracle.of(request).status is RequestStatus.OPEN


def test_without_a_quorum_there_is_no_answer_and_the_fee_goes_back(stage: Stage) -> None:
    request = stage.ask(70)
    nodes = [stage.signer(0, lies=True), stage.signer(1)]
    run(stage, *nodes)
    stage.oracle.mine(STEP + 1)
    run(stage, *nodes, rounds=3)
    assert stage.oracle.of(request).status is RequestStatus.OPEN
    stage.oracle.mine(STEP + 1)
    for _ in range(4):
        run(stage, *nodes)
        stage.now += 5_000_000
    assert stage.oracle.of(request).status is RequestStatus.REFUNDED
    assert stage.oracle.of(request).committed == frozenset()


def test_when_the_first_signer_stays_silent_the_next_one_submits(stage: Stage) -> None:
    request = stage.ask(70)
    nodes = {stage.accounts[place].address: stage.signer(place) for place in range(3)}
    run(stage, *nodes.values())
    order = sorted(nodes, key=lambda signer: sha256(f"{request}{signer}".encode()).digest())
    nodes[order[0]].step()  # it shows its answer, and is never seen again
    del nodes[order[0]]
    run(stage, *nodes.values(), rounds=2)
    assert done(stage, "answer", request) == []
    stage.now += 5_000_000
    run(stage, *nodes.values())
    assert done(stage, "answer", request) == [order[1]]
    assert stage.oracle.of(request).signed == {0, 1, 2}


def test_signatures_that_are_false_foreign_or_not_committed_are_not_used(stage: Stage) -> None:
    request = stage.ask(70)
    honest = [stage.signer(0), stage.signer(1)]
    run(stage, *honest)
    stage.oracle.mine(STEP + 1)
    right = heart().score(row(70))
    liar, digest = stage.accounts[2], stage.oracle.answer_digest
    terms = stage.oracle.cases[bytes.fromhex(request)].terms
    good = liar.sign_digest(digest(terms, output=right, chain_id=CHAIN))
    stranger = stage.watcher_account
    for signer, signature in (
        (liar.address, good),  # never committed
        (liar.address, bytes(65)),
        (stage.accounts[0].address, good),  # another's name
        (stranger.address, stranger.sign_digest(digest(terms, output=right, chain_id=CHAIN))),
        ("0x" + "99" * 20, good),
    ):
        stage.exchange._shown.clear()
        honest[1]._shown.clear()
        stage.exchange.show(Revealed(request, right, signer, signature))
        run(stage, honest[1])
        assert stage.oracle.of(request).status is RequestStatus.OPEN
    honest[1]._shown.clear()
    for _ in range(3):
        run(stage, *honest)
        stage.now += 5_000_000
    assert stage.oracle.of(request).signed == {0, 1}


def test_a_signature_of_the_other_parity_is_found_out_although_it_was_committed_to(stage: Stage) -> None:
    from tallystick.decisions import signature_commitment

    request = stage.ask(70)
    nodes = [stage.signer(0), stage.signer(1)]
    terms = stage.oracle.cases[bytes.fromhex(request)].terms
    right, liar = heart().score(row(70)), stage.accounts[2]
    good = liar.sign_digest(stage.oracle.answer_digest(terms, output=right, chain_id=CHAIN))
    spoiled = good[:64] + bytes([55 - good[64]])
    commit = stage.oracle.commit(terms.id, seat=2, commitment=signature_commitment(spoiled))
    stage.oracle.calls[int(commit.data)](liar.address)
    stage.exchange.show(Revealed(request, right, liar.address, spoiled))
    run(stage, *nodes)
    stage.oracle.mine(STEP + 1)
    for _ in range(3):
        run(stage, *nodes)
        stage.now += 5_000_000
    assert stage.oracle.of(request).signed == {0, 1}


def test_an_opening_that_does_not_fit_is_not_answered_and_the_right_one_is(stage: Stage) -> None:
    request = stage.ask(70, hand_over=False)
    node = stage.signer(0)
    node.step()
    wrong = make_opening(heart(), row(30), lambda size: bytes(size)).of(request)
    stage.given[request] = wrong
    node.step()
    assert given(stage, 0, request) == 0
    stage.given[request] = Opening(request, bytes(32), make_opening(heart(), row(70)).words)
    node.step()
    assert given(stage, 0, request) == 1


def test_an_unknown_and_a_retired_model_are_not_answered(stage: Stage) -> None:
    request = stage.ask(70)
    stage.shelf.put(stage.model, "", stage="retired")
    node = stage.signer(0)
    node.step()
    stage.shelf.versions.clear()
    node.step()
    assert given(stage, 0, request) == 0
    stage.shelf.put(stage.model, "")
    node.step()
    assert given(stage, 0, request) == 1


def test_after_the_deadline_nothing_is_answered(stage: Stage) -> None:
    request = stage.ask(70)
    stage.oracle.mine(2 * STEP + 1)
    assert stage.signer(0).step() == 0
    assert given(stage, 0, request) == 0


def test_requests_of_others_are_passed_over(stage: Stage) -> None:
    stage.ask(70)
    node = stage.signer(0)
    node._account = "0x" + "99" * 20
    assert node.step() == 0


def test_requests_to_a_panel_that_was_not_joined_are_passed_over(stage: Stage) -> None:
    request = stage.ask(70)
    node = stage.signer(0)
    node._panels = frozenset({b"another panel"})
    assert node.step() == 0
    assert given(stage, 0, request) == 0


def test_a_fee_below_the_least_is_not_worked_for_and_one_that_reaches_it_is(stage: Stage) -> None:
    seats = len(stage.panel.signers)
    cheap, dear = stage.ask(70, fee=7 * seats - 1), stage.ask(71, fee=7 * seats)
    stage.signer(0, least_fee=7).step()
    assert [given(stage, 0, request) for request in (cheap, dear)] == [0, 1]


def test_a_bond_that_cannot_be_paid_stands_in_nobodys_way(stage: Stage) -> None:
    first, second = stage.ask(70, level=2), stage.ask(71, level=2)
    stage.coins = BOND + BOND // 2
    node = stage.signer(0)
    stage.watcher().step()
    node.step()
    assert [stage.oracle.of(one).committed for one in (first, second)] == [{0}, frozenset()]
    assert stage.outboxes["s0"].pending() == []
    stage.coins = 3 * BOND
    node.step()
    assert stage.oracle.of(second).committed == {0}


def test_a_damaged_opening_is_fetched_again(stage: Stage) -> None:
    request = stage.ask(70)
    stage.signer(0)
    (stage.path / "s0.openings" / f"{request}.json").write_bytes(b"{}")
    stage.signer(0).step()
    assert given(stage, 0, request) == 1


@pytest.mark.parametrize("forget", [True, False])
def test_the_input_of_a_request_that_has_ended_is_forgotten_where_asked_for(
    stage: Stage, forget: bool
) -> None:
    stage.ask(70, level=0)
    node = stage.signer(0)
    node._holdings._forget = forget
    kept = []
    for _ in range(5):
        unfinished = node.step()
        kept.append((unfinished, len(list((stage.path / "s0.openings").iterdir()))))
        stage.now += 5_000_000
    assert (1, 1) in kept
    assert kept[-1] == (0, 0 if forget else 1)


def test_a_source_that_fails_for_one_request_leaves_the_others_alone(stage: Stage) -> None:
    bad, good = stage.ask(70), stage.ask(71)
    fetch = stage.fetch

    def failing(request: str) -> Opening | None:
        if request == bad:
            raise ChainError("the requester's node does not answer")
        return fetch(request)

    stage.fetch = failing  # type: ignore[method-assign]
    stage.signer(0).step()
    assert (given(stage, 0, bad), given(stage, 0, good)) == (0, 1)


def test_following_goes_on_through_a_chain_that_does_not_answer_and_stops_when_told(stage: Stage) -> None:
    request = stage.ask(70, level=0)
    node = stage.signer(0)
    step, pauses, failures = node.step, [], iter([ChainError("busy"), ChainUnreachableError("gone")])

    def failing(*, wait_s: float = 0) -> int:
        for failure in failures:
            raise failure
        return step(wait_s=wait_s)

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        stage.now += 5_000_000

    node.step = failing  # type: ignore[method-assign]
    follow(node, is_stopped=lambda: len(pauses) >= 6, sleep=sleep, pause_s=1)
    assert pauses == [2, 4, 1, 1, 1, 1]
    assert stage.oracle.of(request).is_final


def test_following_stops_when_the_disk_fails(stage: Stage) -> None:
    node = stage.signer(0)

    def failing(*, wait_s: float = 0) -> int:
        raise StorageError("the disk is full")

    node.step = failing  # type: ignore[method-assign]
    with pytest.raises(StorageError):
        follow(node, is_stopped=lambda: False, sleep=lambda _: None)


def test_the_block_moves_on_only_past_what_is_finished(stage: Stage) -> None:
    stage.ask(70, level=0)
    node = stage.signer(0)
    for _ in range(3):
        node.step()
        stage.now += 5_000_000
    stage.ask(71, hand_over=False)
    asked_at = stage.oracle.number
    stage.ask(72, level=0)
    for _ in range(4):
        node.step()
        stage.now += 5_000_000
    remembered = Followed(stage.path / "s0.followed", chain=CHAIN, contract=ADDRESS)
    assert remembered.block == asked_at


def test_an_idle_chain_is_followed_too_but_never_past_what_is_settled(stage: Stage) -> None:
    stage.oracle.mine(12_000)  # more than one page of logs
    node = stage.signer(0)
    node.step()
    assert node._followed.block == 12_001
    stage.unsettled = 5
    stage.oracle.mine(3)
    request = stage.ask(70)
    stage.oracle.mine(12_000)
    node.step()
    assert node._followed.block == stage.oracle.number - 5
    assert given(stage, 0, request) == 0  # its deadline was over
    late = stage.ask(71)
    node.step()
    assert given(stage, 0, late) == 1


# -- optimistic answers --------------------------------------------------------------------------------------


def optimistic(stage: Stage, *, lies: bool) -> tuple[str, list[Any]]:
    request = stage.ask(70, level=2)
    nodes = [stage.signer(place, lies=lies) for place in range(3)]
    watcher = stage.watcher()
    run(stage, *nodes, watcher, *nodes)
    stage.oracle.mine(STEP + 1)
    for _ in range(4):
        run(stage, *nodes)
        stage.now += 5_000_000
    return request, [*nodes, watcher]


def test_colluders_are_overturned_by_one_honest_watcher(stage: Stage) -> None:
    request, everybody = optimistic(stage, lies=True)
    wrong = heart().score(row(70)) + 1
    assert (stage.oracle.of(request).status, stage.oracle.of(request).output) == (
        RequestStatus.ANSWERED,
        wrong,
    )
    run(stage, everybody[-1], rounds=3)
    assert stage.oracle.of(request).output == wrong - 1
    assert stage.oracle.of(request).is_overturned
    run(stage, everybody[-1], rounds=2)
    assert stage.oracle.of(request).status is RequestStatus.FINAL
    run(stage, everybody[-1], rounds=2)
    assert not stage.oracle.of(request).committed & stage.oracle.of(request).signed
    assert everybody[-1].challenged() == [request]
    assert everybody[-1].step() == 0


def test_while_a_commitment_may_follow_no_signature_is_shown(stage: Stage) -> None:
    request = stage.ask(70)
    nodes = [stage.signer(0), stage.signer(1)]
    run(stage, *nodes, rounds=3)
    assert stage.exchange.shown(request) == []
    stage.oracle.mine(STEP + 1)
    run(stage, *nodes)
    assert len(stage.exchange.shown(request)) == 2


def test_on_a_network_a_challenge_is_shown_only_after_a_block_has_passed(stage: Stage) -> None:
    stage.is_local = False
    request, everybody = optimistic(stage, lies=True)
    run(stage, everybody[-1], rounds=3)
    assert done(stage, "challenge", request) == []
    assert len(done(stage, "commit_challenge", request)) == 1
    stage.oracle.mine()
    run(stage, everybody[-1])
    assert done(stage, "challenge", request) == [stage.watcher_account.address]


def test_a_challenge_that_another_came_before_gets_its_bond_back(stage: Stage) -> None:
    stage.is_local = False
    request, everybody = optimistic(stage, lies=True)
    run(stage, everybody[-1], rounds=2)
    case = stage.oracle.cases[bytes.fromhex(request)]
    case.answer = replace(
        case.answer,
        output=heart().score(row(70)),
        is_overturned=True,
        is_final=True,
        status=RequestStatus.FINAL,
    )
    run(stage, everybody[-1], rounds=2)
    assert case.challenges == {}
    assert done(stage, "challenge", request) == []
    assert everybody[-1].step() == 0


def test_a_right_answer_is_never_challenged_and_ends_with_its_window(stage: Stage) -> None:
    request, everybody = optimistic(stage, lies=False)
    run(stage, *everybody, rounds=3)
    assert everybody[-1].challenged() == []
    stage.oracle.mine(STEP + 1)
    for _ in range(4):
        run(stage, *everybody)
        stage.now += 5_000_000
    assert stage.oracle.of(request).is_final
    assert stage.oracle.of(request).output == heart().score(row(70))
    assert [node.step() for node in everybody] == [0, 0, 0, 0]


def test_a_watcher_is_done_with_a_right_answer_when_its_window_is_over(stage: Stage) -> None:
    _, everybody = optimistic(stage, lies=False)
    assert everybody[-1].step() == 1
    stage.oracle.mine(STEP + 1)
    assert everybody[-1].step() == 0


def test_a_watcher_without_the_opening_does_not_say_that_it_holds_it(stage: Stage) -> None:
    request = stage.ask(70, level=2, hand_over=False)
    watcher = stage.watcher()
    watcher.step()
    stage.given[request] = make_opening(heart(), row(30)).of(request)
    watcher.step()
    assert stage.oracle.of(request).acknowledged == frozenset()
    stage.given[request] = Opening(request, bytes(32), make_opening(heart(), row(70)).words)
    watcher.step()
    assert stage.oracle.of(request).acknowledged == {0}


def test_several_bonds_at_once_are_all_covered(stage: Stage) -> None:
    for age in (60, 70, 80):
        stage.ask(age, level=2)
    nodes = [stage.signer(0), stage.signer(1)]
    run(stage, *nodes, stage.watcher(), *nodes)
    assert all(case.answer.committed == {0, 1} for case in stage.oracle.cases.values())
    assert set(stage.oracle.money.values()) == {0}


# -- killed at any step --------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process is gone; nothing catches this."""


def kill_after(node: Any, step: int) -> None:
    """Make a node die at its so-manieth deed, before or after it was done."""
    deeds = [0]

    def deadly(deed: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any, **options: Any) -> Any:
            deeds[0] += 1
            if deeds[0] == step:
                raise Killed
            found = deed(*arguments, **options)
            deeds[0] += 1
            if deeds[0] == step:
                raise Killed
            return found

        return act

    class Recording:
        journal = node._node.journal
        record_many = staticmethod(deadly(node._node.record_many))

    class Sending:
        intent = node._outbox.intent
        pending = node._outbox.pending
        put = staticmethod(deadly(node._outbox.put))
        flush = staticmethod(deadly(node._outbox.flush))

    node._node, node._outbox = Recording(), Sending()
    node._followed.remember = deadly(node._followed.remember)


@pytest.mark.parametrize("step", range(1, 25))
def test_a_signer_killed_at_any_deed_neither_loses_nor_doubles_an_answer(stage: Stage, step: int) -> None:
    request = stage.ask(70, level=2)
    helper, watcher = stage.signer(1), stage.watcher()
    watcher.step()
    victim = stage.signer(0)
    kill_after(victim, step)
    for turn in range(12):
        try:
            victim.step()
        except Killed:
            victim = stage.signer(0)
            victim.step()
        run(stage, helper)
        if turn in (2, 6):
            stage.oracle.mine(STEP + 1)
        stage.now += 5_000_000
    assert stage.oracle.of(request).is_final
    assert stage.oracle.of(request).output == heart().score(row(70))
    assert given(stage, 0, request) == 1
    assert len(done(stage, "commit", request)) == 2
    assert len(done(stage, "answer", request)) == 1


@pytest.mark.parametrize("step", range(1, 20))
def test_a_watcher_killed_at_any_deed_still_overturns_and_challenges_once(stage: Stage, step: int) -> None:
    request, _ = optimistic(stage, lies=True)
    watcher = stage.watcher()
    kill_after(watcher, step)
    for _ in range(6):
        try:
            watcher.step()
        except Killed:
            watcher = stage.watcher()
    assert stage.oracle.of(request).is_overturned
    assert stage.oracle.of(request).is_final
    assert len(done(stage, "commit_challenge", request)) == 1
    assert len(done(stage, "challenge", request)) == 1


def test_a_full_disk_lets_nothing_leave(stage: Stage) -> None:
    request = stage.ask(70)
    node = stage.signer(0)

    class Full:
        journal = stage.nodes["s0"].journal

        def record_many(self, drafts: object) -> object:
            raise StorageError("the disk is full")

    node._node = Full()  # type: ignore[assignment]
    with pytest.raises(StorageError):
        node.step()
    assert stage.outboxes["s0"].intents == {}
    assert stage.oracle.of(request).committed == frozenset()


def test_an_answer_that_was_erased_is_not_given_a_second_time(stage: Stage) -> None:
    request = stage.ask(70)
    stage.signer(0).step()
    stage.nodes["s0"].journal.erase("")
    node = stage.signer(0)
    stage.outboxes["s0"].intents.clear()
    stage.oracle.cases[bytes.fromhex(request)].answer = stage.oracle.of(request).__class__(
        **{
            name: frozenset() if name == "committed" else getattr(stage.oracle.of(request), name)
            for name in stage.oracle.of(request).__slots__
        }
    )
    node.step()
    assert given(stage, 0, request) == 1
    assert stage.outboxes["s0"].intents == {}


def test_a_request_that_the_chain_logged_and_does_not_know_is_an_error(stage: Stage) -> None:
    stage.ask(70)
    stage.oracle.request_of = lambda of: None  # type: ignore[assignment,method-assign,return-value]
    with pytest.raises(ChainError):
        stage.signer(0).step()
