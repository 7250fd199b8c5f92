"""Banks hold payees through their nodes: stated, anchored, placed, read by the others; through crashes too."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tallystick.apps.fraud import APP
from tallystick.apps.fraud.holding import Held, Holding, Holds, HoldState, open_holding, request_hold
from tallystick.chain import Account, Outbox
from tallystick.errors import (
    ChainError,
    ConfigurationError,
    ConflictError,
    DeadlineError,
    NotFoundError,
    RevertError,
    StatementError,
)
from tallystick.node import Consortium, Node
from tallystick.proof import STANDARD_KINDS, parse_statement

DAY = 86_400 * 1_000_000
TOKEN, OTHER = sha256(b"a payee").digest(), sha256(b"another payee").digest()
BANKS = ("Bank A", "Bank B", "Bank C", "Bank D")


class Banks:
    """Four banks, the contract, and an epoch that runs; the clock stands still until it is moved."""

    def __init__(self, path: Path, open_limit: int = 2) -> None:
        self.now = 1_795_459_200_000_000
        self.consortium = Consortium(
            BANKS, directory=path, clock=self.clock, kinds=STANDARD_KINDS.extended(APP.kinds)
        )
        self.nodes = dict(zip("ABCD", self.consortium.nodes, strict=True))
        models = self.consortium.found_models(approvals=1)
        settings = self.nodes["A"].settings.chain
        assert settings is not None
        call = Holds.deploy_call(anchors=settings.anchors, models=models, open_limit=open_limit)
        node, chain = self.nodes["A"], self.consortium.chain
        account = Account(node.party.secret("chain"))
        with Outbox(
            node.workspace.outbox(account.address), chain, account=account, clock=self.clock
        ) as outbox:
            self.holds = outbox.send("holds", call).contract
        since = self.now - DAY
        for name in "ABC":
            with self.holding(name) as holding:
                for _ in range(2):  # a vote is sent once, however often it is asked for
                    holding.open_epoch(
                        1,
                        agreed=b"e" * 32,
                        since=since,
                        until=since + 90 * DAY,
                        share=name.encode() * 32,
                    )

    def clock(self) -> int:
        self.now += 1
        return self.now

    def holding(self, name: str) -> Any:
        return open_holding(self.nodes[name], self.holds)

    def until(self) -> int:
        return self.now + 5 * DAY

    def close(self) -> None:
        self.consortium.close()


@pytest.fixture
def banks(tmp_path: Path) -> Iterator[Banks]:
    made = Banks(tmp_path / "banks")
    try:
        yield made
    finally:
        made.close()


def placed(banks: Banks, name: str = "A", token: bytes = TOKEN) -> str:
    with banks.holding(name) as holding:
        return str(holding.request(token, epoch=1, until=banks.until()).id)


def test_a_bank_reads_what_another_placed_and_finds_the_statement_behind_it(banks: Banks) -> None:
    decision = banks.nodes["A"].record("document.recorded", {"title": "a decision"}).id
    until = banks.until()
    entry = request_hold(
        banks.nodes["A"], TOKEN, holds=banks.holds, epoch=1, until=until, links={"decision": [decision]}
    )
    with banks.holding("B") as holding:
        held = holding.held(TOKEN)
        assert held == Held(until, "L0", banks_party(banks, "A"))
        assert holding.held(OTHER) is None
        ground = holding.contract.hold_of(TOKEN, held.placed_by).ground
    receipt = banks.nodes["A"].receipt(ground.hex())
    assert receipt.statement.id == entry.id
    assert parse_statement(receipt.statement.bytes).body["token"] == TOKEN.hex()
    assert receipt.statement.links == {"decision": [decision]}
    banks.consortium.audit()


def banks_party(banks: Banks, name: str) -> bytes:
    return sha256(banks.nodes[name].party.id.encode()).digest()


def test_a_sealed_reason_stays_off_the_chain_and_the_hold_stands(banks: Banks) -> None:
    with banks.holding("A") as holding:
        entry = holding.request(
            TOKEN, epoch=1, until=banks.until(), fields={"why": "a mule"}, subject="payee"
        )
        assert holding.contract.is_open(TOKEN, holding.party)
    assert b"mule" not in entry.statement.bytes
    assert entry.statement.payload is not None


def test_holds_are_disputed_reviewed_and_released_from_nodes(banks: Banks) -> None:
    placed(banks)
    by = banks_party(banks, "A")
    with banks.holding("B") as holding:
        reason = holding.dispute(TOKEN, by, reason="our customer for ten years")
        with pytest.raises(ConflictError, match="once"):
            holding.review(TOKEN, by, uphold=True, reason="another thought")
        (event,) = holding.contract.logged("Disputed", token=TOKEN)
        assert event.values["reason"].hex() == reason.id
    for name in "CD":
        with banks.holding(name) as holding:
            holding.review(TOKEN, by, uphold=True, reason="two of our customers lost money to it")
    with banks.holding("A") as holding:
        assert holding.contract.hold_of(TOKEN, by).state is HoldState.UPHELD
        holding.release(TOKEN)
        assert holding.held(TOKEN) is None
        assert holding.contract.record(by).released == 1
        holding.request(TOKEN, epoch=1, until=banks.until())
    assert not any(b"customer" in e.statement.bytes for e in banks.nodes["B"].journal.entries())


def test_what_the_contract_would_refuse_is_not_even_stated(banks: Banks) -> None:
    placed(banks)
    sizes = {name: node.journal.size for name, node in banks.nodes.items()}
    own = banks_party(banks, "A")
    with banks.holding("A") as holding:
        with pytest.raises(ConflictError, match="already"):
            holding.request(TOKEN, epoch=1, until=banks.until())
        with pytest.raises(DeadlineError, match="epoch 2"):
            holding.request(OTHER, epoch=2, until=banks.until())
        for until in (banks.now, banks.now + 11 * DAY):
            with pytest.raises(ConfigurationError, match="ten days"):
                holding.request(OTHER, epoch=1, until=until)
        with pytest.raises(StatementError, match="2048 bytes"):
            holding.request(
                OTHER, epoch=1, until=banks.until(), links={"decision": [f"{n:064x}" for n in range(40)]}
            )
        with pytest.raises(ConflictError, match="not of its own"):
            holding.dispute(TOKEN, own, reason="a second thought")
    with banks.holding("B") as holding:
        with pytest.raises(NotFoundError, match="no such hold"):
            holding.release(TOKEN)
        with pytest.raises(NotFoundError, match="no such hold"):
            holding.dispute(OTHER, own, reason="none")
        with pytest.raises(ConflictError, match="stands"):
            holding.review(TOKEN, own, uphold=True, reason="nobody disputes it")
    assert {name: node.journal.size for name, node in banks.nodes.items()} == sizes


def test_a_bank_with_as_many_holds_as_it_may_states_and_places_later(banks: Banks) -> None:
    placed(banks)
    placed(banks, token=OTHER)
    third = b"3" * 32
    with banks.holding("A") as holding:
        with pytest.raises(ChainError, match="2 open holds"):
            holding.request(third, epoch=1, until=banks.until())
        holding.release(TOKEN)
        assert holding.settle() == 1
        assert holding.held(third) is not None
        assert holding.settle() == 0


@pytest.mark.parametrize("where", ["before anchoring", "before sending", "after sending"])
def test_a_crash_leaves_nothing_behind_that_settling_does_not_finish(
    banks: Banks, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    class CrashError(Exception):
        pass

    def crash(*_: object, **__: object) -> None:
        raise CrashError

    def send_and_crash(self: Outbox, name: str, call: Any, **more: Any) -> None:
        real(self, name, call, **more)
        raise CrashError

    real = Outbox.send
    patches = {
        "before anchoring": (Node, "anchor", crash),
        "before sending": (Outbox, "send", crash),
        "after sending": (Outbox, "send", send_and_crash),
    }
    with monkeypatch.context() as patched:
        patched.setattr(*patches[where])
        with pytest.raises(CrashError):
            placed(banks)
    sent_already = where == "after sending"
    with banks.holding("A") as holding:
        assert (holding.held(TOKEN) is not None) == sent_already
        assert holding.settle() == (0 if sent_already else 1)
        assert holding.held(TOKEN) is not None
        assert holding.settle() == 0
        assert len(holding.contract.logged("Placed", token=TOKEN)) == 1


def test_a_transaction_that_waits_in_the_outbox_is_finished_and_not_sent_twice(
    banks: Banks, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Outbox.flush

    def flush(self: Outbox, *, timeout_s: float | None = None) -> Any:
        waits = any("hold.requested" in intent.id for intent in self.pending())
        return [] if waits else real(self, timeout_s=timeout_s)

    with monkeypatch.context() as patched:
        patched.setattr(Outbox, "flush", flush)
        with pytest.raises(ChainError, match="not mined yet"):
            placed(banks)
    with banks.holding("A") as holding:
        assert holding.held(TOKEN) is None
        assert holding.settle() == 0
        assert holding.held(TOKEN) is not None
        assert len(holding.contract.logged("Placed", token=TOKEN)) == 1


def test_a_request_that_was_taken_back_is_not_placed_later(
    banks: Banks, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = banks.nodes["A"]
    body = {"epoch": 1, "level": "L0", "token": TOKEN.hex(), "until": banks.until()}
    node.record("hold.requested", body)
    node.record("hold.released", {"token": TOKEN.hex()})
    with banks.holding("A") as holding:
        assert holding.settle() == 0
        assert holding.held(TOKEN) is None
        node.record("hold.requested", {**body, "until": banks.until()})
        assert holding.settle() == 1
        assert holding.held(TOKEN) is not None


def test_requests_that_are_over_or_too_old_are_left_alone(banks: Banks) -> None:
    node = banks.nodes["A"]
    body = {"epoch": 1, "level": "L0", "token": TOKEN.hex(), "until": banks.now + DAY}
    node.record("hold.requested", body)
    node.record("hold.requested", {**body, "token": OTHER.hex(), "until": banks.now + 16 * DAY})
    banks.now += 8 * DAY
    with banks.holding("A") as holding:
        assert holding.settle() == 0


def test_what_the_contract_refuses_is_told_and_the_rest_is_sent(banks: Banks) -> None:
    node = banks.nodes["A"]
    body = {"epoch": 1, "level": "L0", "until": banks.now + 11 * DAY}
    node.record("hold.requested", {**body, "token": TOKEN.hex()})
    node.record("hold.requested", {**body, "token": OTHER.hex(), "until": banks.until()})
    with banks.holding("A") as holding:
        with pytest.raises(RevertError, match="must end within ten days"):
            holding.settle()
        assert holding.held(OTHER) is not None
        banks.now += 2 * DAY
        banks.consortium.chain.fund("0x" + "11" * 20, 1)  # an embedded chain tells the time of its last block
        assert holding.settle() == 1  # by now it ends soon enough
        assert holding.held(TOKEN) is not None


def test_members_post_a_list_and_end_an_epoch_once_each(banks: Banks) -> None:
    for name in "ABC":
        with banks.holding(name) as holding:
            for _ in range(2):
                holding.post_list(1, 1, b"r" * 32, 7)
    with banks.holding("A") as holding:
        found = holding.contract.list_root(1)
        assert found is not None
        assert (found.number, found.root, found.entries, found.votes) == (1, b"r" * 32, 7, 3)
        with pytest.raises(RevertError, match="number of the list"):
            holding.post_list(1, 1, b"x" * 32, 7)
    for name in "ABC":
        with banks.holding(name) as holding:
            for _ in range(2):
                holding.end_epoch(1)
            is_over = holding.contract.epoch_ended(1)
    assert is_over


def promoted(banks: Banks) -> Any:
    """A linear model that bank A put on the chain and the others let into use."""
    from benchmarks.random_models import linear

    from tallystick.models import Models, deploy_model

    model = linear(random.Random(3), 5)
    settings = banks.nodes["A"].settings.chain
    assert settings is not None
    models, reason = Models(banks.consortium.chain.web3, settings.models), b"r" * 32
    with outbox_of(banks, "A") as outbox:
        deploy_model(outbox, models, model)
        outbox.send("publish", models.publish(model.hash))
    for name in "BC":
        with outbox_of(banks, name) as outbox:
            outbox.send("approve", models.approve(model.hash))
            outbox.send("sign", models.sign_override(model.hash, reason))
    with outbox_of(banks, "A") as outbox:
        outbox.send("promote", models.promote_by_override(model.hash, reason))
    return model


def outbox_of(banks: Banks, name: str) -> Outbox:
    node = banks.nodes[name]
    account = Account(node.party.secret("chain"))
    return Outbox(
        node.workspace.outbox(account.address), banks.consortium.chain, account=account, clock=banks.clock
    )


def test_a_model_on_the_chain_places_a_hold_that_its_bank_releases(banks: Banks) -> None:
    model, inputs = promoted(banks), (1, -2, 3, -4, 5)
    score = model.scores_inputs(inputs)[0]
    for threshold in (score + 1, score, score + 1, score):
        for name in "ABC":
            with banks.holding(name) as holding:
                holding.name_model(model.hash, threshold=threshold)
                holding.name_model(model.hash, threshold=threshold)
        assert holding.contract.threshold_of(model.hash) == threshold
        if threshold > score:
            with banks.holding("A") as holding, pytest.raises(RevertError, match="does not ask for it"):
                holding.execute(TOKEN, epoch=1, until=banks.until(), model=model.hash, inputs=inputs)
    with banks.holding("A") as holding:
        holding.execute(TOKEN, epoch=1, until=banks.until(), model=model.hash, inputs=inputs)
        with pytest.raises(ConflictError, match="already"):
            holding.execute(TOKEN, epoch=1, until=banks.until(), model=model.hash, inputs=inputs)
        held = holding.held(TOKEN)
        assert held is not None
        assert held.level == "L4"
        holding.release(TOKEN)
        assert holding.held(TOKEN) is None


def test_what_a_crash_left_of_disputes_and_reviews_is_said_once(
    banks: Banks, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed(banks)
    by = banks_party(banks, "A")
    with monkeypatch.context() as patched:
        patched.setattr(Holding, "_send", lambda *_: None)
        with banks.holding("B") as holding:
            holding.dispute(TOKEN, by, reason="our customer")
    for expected in (1, 0):
        with banks.holding("B") as holding:
            assert holding.settle() == expected
    with monkeypatch.context() as patched:
        patched.setattr(Holding, "_send", lambda *_: None)
        with banks.holding("C") as holding:
            holding.review(TOKEN, by, uphold=True, reason="seen it")
    for expected in (1, 0):
        with banks.holding("C") as holding:
            assert holding.settle() == expected
            assert holding.contract.voices(TOKEN, by, uphold=True) == (holding.party,)


def test_a_hold_that_has_ended_by_the_own_clock_is_none(banks: Banks) -> None:
    placed(banks)
    banks.now += 5 * DAY
    with banks.holding("B") as holding:
        assert holding.held(TOKEN) is None


def test_a_node_without_a_chain_or_anchors_is_told_what_is_missing(tmp_path: Path, banks: Banks) -> None:
    with (
        Node.init(tmp_path / "alone", name="Alone", passphrase="p" * 12, scrypt_n=2**12) as node,
        pytest.raises(ConfigurationError, match="needs a chain"),
        open_holding(node, banks.holds),
    ):
        pass
    settings = banks.nodes["A"].settings.chain
    assert settings is not None
    banks.nodes["A"].set_chain(replace(settings, anchors=""))
    with pytest.raises(ConfigurationError, match="anchored journal"), banks.holding("A"):
        pass
