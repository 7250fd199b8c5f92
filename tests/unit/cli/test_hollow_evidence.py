"""Files that are intact but show nothing: none of them may end as if the policy were met."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.proofs import NORTH, STRANGER, Log

from tallystick.cli._app import run
from tallystick.errors import VerificationError
from tallystick.proof import (
    PinnedParty,
    Policy,
    format_bundle,
    format_policy,
    parse_bundle,
    verify_bundle,
)
from tallystick.proof._forks import fork_of_receipts

POLICY = Policy("mine", (PinnedParty("North", NORTH.cards),))


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.json"
    path.write_bytes(format_policy(POLICY))
    return path


def test_a_bundle_without_receipts_proves_nothing(
    tmp_path: Path, mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "empty.zip"
    path.write_bytes(format_bundle([]))
    assert run(["verify", str(path), "--policy", str(mine)]) == 1
    assert "intact" not in capsys.readouterr().out
    with pytest.raises(VerificationError, match="no receipt"):
        verify_bundle(parse_bundle(path.read_bytes()), policy=POLICY)


def test_evidence_of_a_strangers_fork_does_not_meet_a_policy(
    tmp_path: Path, mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    receipts = []
    for title in ("one", "two"):
        log = Log(STRANGER)
        log.record(body={"title": title})
        receipts.append(log.receipt(0))
    path = tmp_path / "decision.receipt.json"
    path.write_bytes(fork_of_receipts(*receipts))
    assert run(["verify", str(path), "--policy", str(mine)]) == 1
    assert "signed two histories" in capsys.readouterr().out.replace("\n  ", " ")
    assert run(["verify", str(path), "--json"]) == 1
    assert '"intact": false' in capsys.readouterr().out


def test_what_proves_too_little_is_not_called_false(
    tmp_path: Path, mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Log(STRANGER)
    log.record()
    path = tmp_path / "r.json"
    path.write_bytes(log.receipt(0).format())
    assert run(["verify", str(path), "--policy", str(mine)]) == 1
    said = capsys.readouterr().out
    assert "FALSE" not in said
    assert "less than your policy asks" in said
