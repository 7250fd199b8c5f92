"""share.toml: what it says is taken, what it cannot mean is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.apps.fraud.sharing.banks import DAY, START, Clock, make_nodes

from tallystick.apps.fraud.sharing import EpochPlan, Limits, ShareSettings, links_of
from tallystick.errors import ConfigurationError, NotFoundError
from tallystick.proof import format_policy

FILE = """version = 1
policy = "policy.json"
patience_ms = 7

[listen]
port = 9000

[epochs]
number = 3
since = 2026-12-01T00:00:00Z
days = 30

[holds]
contract = "0x00"

[risk]
terminals = "terminals.txt"
floor = 9

[unknown]
action = "hold"
amount = 5

[[member]]
party = "{b}"
url = "https://bank-b.example:8491"
key_file = "b.key"
per_second = 5.0
burst = 20
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    nodes, policy = make_nodes(tmp_path, ["Bank A", "Bank B"], Clock())
    for node in nodes:
        node.close()
    (tmp_path / "policy.json").write_bytes(format_policy(policy))
    (tmp_path / "terminals.txt").write_text("T2\nT1\n\nT2\n")
    (tmp_path / "b.key").write_text("tsk_key\n")
    (tmp_path / "b.key").chmod(0o600)
    made = tmp_path / "share.toml"
    made.write_text(FILE.format(b=nodes[1].id))
    return made


def changed(file: Path, old: str, new: str) -> Path:
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new))
    return file


def test_what_it_says_is_taken(file: Path) -> None:
    said = ShareSettings.read(file)
    since = 1_796_083_200_000_000
    assert said.epochs == EpochPlan(3, since, 30 * DAY)
    assert (said.host, said.port, said.patience_ms, said.days) == ("127.0.0.1", 9000, 7, 30)
    assert (said.unknown_action, said.unknown_amount) == ("hold", 5)
    assert said.holds is not None
    assert said.rounds is not None
    assert (said.rounds.since, said.rounds.terminals, said.rounds.rule.floor) == (since, ("T1", "T2"), 9)
    (peer,) = said.peers
    assert (peer.key, peer.limits) == ("tsk_key", Limits(5.0, 20))
    assert "tsk_key" not in repr(said)
    (link,) = links_of(said)
    assert link.party == peer.party
    link.close()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("patience_ms", "patiense_ms"),
        ("version = 1", "version = 2"),
        ("port = 9000", 'port = "9000"'),
        ("[listen]", "[listening]"),
        ("days = 30\n\n[holds]", "days = 30.5\n\n[holds]"),
        ("2026-12-01T00:00:00Z", "2026-12-01T00:00:00"),
        ('action = "hold"', 'action = "shrug"'),
        ("patience_ms = 7", "patience_ms = 2000"),
        ("number = 3\n", ""),
        ("policy = ", "policy : "),
        ("burst = 20", "burst = 0"),
        ("[[member]]", "[member]"),
        ("party = ", 'party = "did:key:unknown" #'),
        ('url = "https://bank-b.example:8491"\n', ""),
        ('contract = "0x00"', 'contract = "0x00"\nevery_s = 60'),
    ],
)
def test_what_it_cannot_mean_is_refused(file: Path, old: str, new: str) -> None:
    with pytest.raises(ConfigurationError):
        ShareSettings.read(changed(file, old, new))


def test_a_key_that_others_may_read_is_refused(file: Path) -> None:
    (file.parent / "b.key").chmod(0o644)
    with pytest.raises(ConfigurationError, match="owner's alone"):
        ShareSettings.read(file)
    (file.parent / "b.key").chmod(0o600)
    (file.parent / "b.key").write_text("two\nlines")
    with pytest.raises(ConfigurationError, match="one API key"):
        ShareSettings.read(file)


@pytest.mark.parametrize("name", ["policy.json", "terminals.txt", "b.key", "share.toml"])
def test_a_file_that_is_not_there_is_named(file: Path, name: str) -> None:
    (file.parent / name).unlink()
    with pytest.raises(NotFoundError):
        ShareSettings.read(file)


def test_epochs_come_one_after_the_other_without_a_gap() -> None:
    plan = EpochPlan(3, START, 30 * DAY)
    assert plan.at(START - 1) is None
    assert [plan.at(START), plan.at(START + 30 * DAY - 1), plan.at(START + 30 * DAY)] == [3, 3, 4]
    assert plan.times(4) == (plan.times(3)[1], START + 60 * DAY)
    with pytest.raises(ConfigurationError):
        EpochPlan(0, START, DAY)
    with pytest.raises(ConfigurationError):
        EpochPlan(1, START, 500 * DAY)
