"""Retention of a node: what may go, what always stays, what a legal hold refuses, and hashing behind the start."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tallystick.errors import (
    AccessDeniedError,
    ConfigurationError,
    DamagedError,
    DisposedError,
    LegalHoldError,
    NotFoundError,
    StatementError,
)
from tallystick.node import Node, Rehashing, RetentionSettings, Settings, backup, format_card_file, restore
from tallystick.proof import parse_receipt, verify

PASSPHRASE = "correct horse"
MODEL = "ab" * 32
START = 1_795_000_000_000_000
DAY = 86_400_000_000


class Clock:
    now = START

    def __call__(self) -> int:
        self.now += 1
        return self.now


def make(path: Path, name: str, clock: Clock) -> Node:
    return Node.init(path, name=name, passphrase=PASSPHRASE, scrypt_n=2**4, clock=clock)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bank(tmp_path: Path, clock: Clock) -> Iterator[Node]:
    """Decisions of ten days, one of them overridden, over many small segments, and nothing witnessed."""
    with make(tmp_path / "bank", "Bank", clock) as node:
        small(node)
        node.record("document.recorded", {"title": "rules"})
        for _ in range(10):
            for _ in range(10):
                body = {"level": "L0", "model": MODEL}
                node.record("decision.made", body, fields={"answer": "approve"}, subject="customer 1")
            clock.now += DAY
        early = node.journal.statement(7).id
        links = {"decision": [early]}
        sealed = {"by": "dr-7", "to": "decline"}
        node.record("decision.overridden", {"reason": "mistake"}, links=links, fields=sealed)
        yield node


def small(node: Node) -> None:
    node.journal._store.segments._segment_size = 4000


def witnessed(node: Node, tmp_path: Path, clock: Clock) -> None:
    with make(tmp_path / "witness", "Witness", clock) as witness:
        witness.import_card(format_card_file(node.party.cards))
        node.import_card(format_card_file(witness.party.cards))
        node.add_cosignatures(witness.cosign(node.ask_witness()).note)


def test_nothing_goes_that_no_anchor_or_witness_covers(bank: Node, tmp_path: Path, clock: Clock) -> None:
    assert bank.retention.covered() == 0
    assert bank.retention.dispose(older_than_days=0).segments == 0
    witnessed(bank, tmp_path, clock)
    assert bank.retention.covered() == bank.journal.size
    assert bank.retention.dispose(older_than_days=0).segments > 0


def test_nothing_goes_unless_it_is_configured_or_asked_for(bank: Node, tmp_path: Path, clock: Clock) -> None:
    witnessed(bank, tmp_path, clock)
    assert bank.retention.dispose().segments == 0
    bank.settings = replace(bank.settings, retention=RetentionSettings(decisions_days=5))
    plan = bank.retention.plan()
    assert plan.classes == ("decisions",)
    assert 50 <= plan.aged <= 61
    done = bank.retention.dispose()
    assert (done.first, done.stop) == (0, plan.segments.stop)
    assert 20 < done.stop <= plan.aged


def test_only_what_nobody_objected_to_goes(bank: Node, tmp_path: Path, clock: Clock) -> None:
    witnessed(bank, tmp_path, clock)
    receipts = [bank.receipt(at).format() for at in range(30)]
    bank.settings = replace(bank.settings, retention=RetentionSettings(decisions_days=1))
    stop = bank.retention.dispose().stop
    assert stop > 50
    assert bank.journal.statement(0).kind == "document.recorded", "of a class without days"
    assert bank.oversight.in_force(bank.journal.statement(7).id) == "decline"
    for at in (1, 6, 8, stop - 1):
        with pytest.raises(DisposedError):
            bank.journal.entry(at)
        bank.journal.inclusion(at)
    for data in receipts:
        verify(parse_receipt(data))
    assert next(bank.log(kind="decision.")).index == 7
    assert bank.find(bank.journal.entry(7).id[:10]).index == 7


def test_oversight_goes_on_after_disposal(bank: Node, tmp_path: Path, clock: Clock) -> None:
    witnessed(bank, tmp_path, clock)
    early = bank.journal.entry(3).id
    bank.retention.dispose(older_than_days=2)
    path = bank.workspace.path
    bank.close()
    with Node.open(path, passphrase=PASSPHRASE, clock=clock) as again:
        later = again.journal.entry(95).id
        again.oversight.override(later, by="dr-7", to="hold", reason="seen again")
        assert again.oversight.in_force(later) == "hold"
        with pytest.raises(DisposedError):
            again.oversight.in_force(early)


def test_a_legal_hold_refuses_disposal_and_erasure(bank: Node, tmp_path: Path, clock: Clock) -> None:
    witnessed(bank, tmp_path, clock)
    hold = bank.retention.hold("court order", by="counsel-3")
    size = bank.journal.size
    with pytest.raises(LegalHoldError, match="court order") as told:
        bank.retention.dispose(older_than_days=0)
    assert hold.statement[:12] in told.value.hint
    with pytest.raises(LegalHoldError, match="court order"):
        bank.erase("customer 1")
    assert (bank.journal.size, bank.journal.disposed) == (size, 0)
    assert bank.journal.payload(1) == {"answer": "approve"}


def test_two_different_persons_release_a_hold(bank: Node, tmp_path: Path, clock: Clock) -> None:
    witnessed(bank, tmp_path, clock)
    hold = bank.retention.hold("court order", by="counsel-3").statement
    for by, second in [("counsel-3", "counsel-3"), ("counsel-3", ""), ("counsel-3", " counsel-3")]:
        with pytest.raises((AccessDeniedError, StatementError)):
            bank.retention.release(hold, reason="over", by=by, second=second)
    # However it comes into the journal: one person releases nothing.
    links = {"hold": [hold]}
    bank.record("retention.released", {"reason": "over"}, links=links)
    bank.record("retention.released", {"reason": "over"}, links=links, fields={"by": "x", "second": "x"})
    bank.record("retention.released", {"reason": "over"}, links=links, payload=b"x, y")
    assert [one.statement for one in bank.retention.holds()] == [hold]
    bank.retention.release(hold, reason="over", by="counsel-3", second="dr-8")
    assert bank.retention.holds() == []
    assert bank.erase("customer 1")
    assert bank.retention.dispose(older_than_days=0).segments > 0
    with pytest.raises(NotFoundError, match="no such legal hold"):
        bank.retention.release(hold, reason="over", by="counsel-3", second="dr-8")


def test_a_hold_on_a_range_protects_the_segments_that_it_touches(
    bank: Node, tmp_path: Path, clock: Clock
) -> None:
    witnessed(bank, tmp_path, clock)
    hold = bank.retention.hold("audit", by="counsel-3", first=90, last=91)
    assert hold.touches(80, 91)
    assert not hold.touches(0, 90)
    assert not hold.touches(92, 99)
    assert bank.retention.dispose(older_than_days=5).segments > 0
    with pytest.raises(LegalHoldError):
        bank.retention.dispose(older_than_days=0)


def test_a_hold_with_an_end_ends_by_itself(bank: Node, clock: Clock) -> None:
    bank.retention.hold("audit", by="counsel-3", until=clock.now + DAY)
    assert len(bank.retention.holds()) == 1
    clock.now += DAY
    assert bank.retention.holds() == []
    with pytest.raises(StatementError, match="in the future"):
        bank.retention.hold("audit", by="counsel-3", until=clock.now)
    with pytest.raises(StatementError, match="before it begins"):
        bank.retention.hold("audit", by="counsel-3", first=9, last=8)


def test_who_held_and_released_is_sealed(bank: Node) -> None:
    hold = bank.retention.hold("audit", by="counsel-3").statement
    said = bank.retention.release(hold, reason="done", by="counsel-3", second="dr-8")
    for statement in (hold, said):
        assert b"counsel" not in bank.journal.entry(statement).bytes
        assert bank.journal.payload(statement)["by"] == "counsel-3"  # type: ignore[call-overload, index]


def test_a_workspace_is_backed_up_and_restored_after_disposal(
    bank: Node, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    witnessed(bank, tmp_path, clock)
    bank.retention.dispose(older_than_days=3)
    gone = bank.journal.disposed
    backup(bank, tmp_path / "saved.zip")
    bank.close()
    restore(tmp_path / "saved.zip", tmp_path / "again")
    monkeypatch.setenv("TALLYSTICK_STATE", str(tmp_path / "elsewhere"))
    with Node.open(tmp_path / "again", passphrase=PASSPHRASE, clock=clock) as again:
        assert again.journal.verify().disposed == again.journal.disposed == gone > 0
        with pytest.raises(DisposedError):
            again.journal.entry(1)
        assert again.journal.payload(7) == {"answer": "approve"}


def test_retention_is_read_from_the_settings(tmp_path: Path) -> None:
    text = 'version = 1\nname = "Bank"\n\n[retention]\ndecisions_days = 400\n'
    settings = Settings.parse(text, tmp_path)
    assert settings.retention.days() == {"decisions": 400}
    assert Settings.parse(settings.format(tmp_path), tmp_path) == settings
    with pytest.raises(ConfigurationError, match=">= 0"):
        Settings.parse(text.replace("400", "-1"), tmp_path)
    with pytest.raises(ConfigurationError, match="unknown key"):
        Settings.parse(text.replace("decisions_days", "models_days"), tmp_path)


def test_a_node_hashes_its_journal_again_behind_its_start(bank: Node) -> None:
    told: list[Rehashing] = []
    work = bank.verify_behind(share=1, tell=told.append)
    size = bank.journal.size
    bank.record("document.recorded", {"title": "meanwhile"})
    assert work.wait(30)
    assert work.is_done
    assert work.error is None
    assert work.result is not None
    assert (work.result.size, work.result.disposed, work.done) == (size, 0, size)
    assert told == [work]


def test_damage_found_behind_is_said_loudly_and_stops_nothing(
    bank: Node, caplog: pytest.LogCaptureFixture
) -> None:
    segment = next(path for path in sorted(bank.workspace.path.rglob("*.seg")))
    data = bytearray(segment.read_bytes())
    data[data.index(b'"title":"rules"') + 10] ^= 1
    segment.write_bytes(data)
    with caplog.at_level(logging.ERROR):
        work = bank.verify_behind(share=1)
        assert work.wait(30)
    assert isinstance(work.error, DamagedError)
    assert "entry 0 is damaged" in work.error.message
    assert "entry 0 is damaged" in caplog.text
    assert work.result is None
    bank.record("document.recorded", {"title": "goes on"})


def test_closing_a_node_ends_what_runs_behind(bank: Node) -> None:
    told: list[Rehashing] = []
    work = bank.verify_behind(share=0.0001, tell=told.append)
    bank.close()
    assert work.is_done
    assert told == []


def test_the_log_finds_times_and_the_last_of_a_kind_without_reading_all(
    bank: Node, tmp_path: Path, clock: Clock
) -> None:
    whole = list(bank.log())
    assert [entry.index for entry in whole] == list(range(bank.journal.size))
    witnessed(bank, tmp_path, clock)
    for disposed in (False, True):
        if disposed:
            bank.retention.dispose(older_than_days=4)
        left = list(bank.log())
        for since, until in [(0, None), (START + 3 * DAY, None), (START + 2 * DAY, START + 8 * DAY), (1, 2)]:
            fits = [e for e in left if since <= e.statement.at and (until is None or e.statement.at < until)]
            for kind in ("", "decision.made", "decision.", "document.recorded"):
                found = [e for e in fits if e.statement.kind.startswith(kind)]
                assert list(bank.log(kind=kind, since=since, until=until)) == found
                for last in (1, 2, 7, 1000):
                    assert list(bank.log(kind=kind, since=since, until=until, last=last)) == found[-last:]
    assert len(left) < len(whole)
