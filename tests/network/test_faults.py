"""The table of faults can fail: what is lost, doubled or told otherwise shows, and nothing stays on the machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from faults import __main__ as program
from faults.checking import Verdict, check
from faults.load import Party, make_parties
from faults.namespaces import why_no_cuts
from faults.rows import FaultRow
from faults.stage import Ground
from faults.watch import longest_gap
from tests.network.hostile_proxy import hostile_proxy

from tallystick.errors import NotFoundError
from tallystick.network import Network

TOP = Path(__file__).parents[2]
WELL = FaultRow("well", said=3, anchors=1)


# -- the table, without a network -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "ends_with"),
    [
        (WELL, 0),
        (replace(WELL, lost=1), 1),
        (replace(WELL, duplicated=1), 1),
        (replace(WELL, wrong=("a block came",)), 1),
        (replace(WELL, said=0), 1),
        (replace(WELL, anchors=0), 1),
        (replace(WELL, skipped="needs root"), 2),
    ],
)
def test_the_table_ends_with_the_number_of_its_worst_row(row: FaultRow, ends_with: int) -> None:
    assert program.verdict([row]) == ends_with
    if ends_with == 1:
        assert program.verdict([WELL, row, WELL]) == 1


def test_a_skipped_fault_is_said_loudly_and_does_not_hide_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert program.verdict([WELL, FaultRow("partition 2|2", skipped="needs root")]) == 0
    assert "NOT TRIED: partition 2|2: needs root" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["full-disk", "halves", "cut-off"])
def test_what_only_root_may_do_is_skipped_with_a_reason_and_starts_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    said: list[str] = []
    with Ground(said.append) as ground:
        (row,) = program._fault(name)(ground)
    assert "root" in row.skipped or "Linux" in row.skipped
    assert said == []


def test_no_rows_are_no_success() -> None:
    assert program.verdict([]) == 2


@pytest.mark.parametrize("gives", [[], RuntimeError("no"), [replace(WELL, lost=2)]])
def test_a_fault_that_fails_or_says_nothing_fails_the_run(
    gives: list[FaultRow] | Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(_: Ground) -> list[FaultRow]:
        if isinstance(gives, Exception):
            raise gives
        return gives

    monkeypatch.setattr(program, "_fault", lambda _name: fault)
    assert program.verdict(program.run(["one"])) == 1


def test_every_name_of_the_table_is_a_fault() -> None:
    for name in program.FAULTS:
        assert callable(program._fault(name))


def test_without_the_engine_it_names_the_command_and_tries_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> Path:
        raise NotFoundError("the network's engine is not built", hint="run `make network`")

    monkeypatch.setattr(program, "find_engine", missing)
    monkeypatch.setattr(sys, "argv", ["faults"])
    assert program.main() == 2
    assert "make network" in capsys.readouterr().err


def test_the_longest_time_without_a_block_reaches_from_the_harm_to_the_recovery() -> None:
    assert longest_gap([], 10, 14) == 4
    assert longest_gap([9, 11, 12, 20], 10, 14) == 2


# -- the check, on a network ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def party(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Party]:
    """A party that was promised three statements and two anchors."""
    (found,) = make_parties(tmp_path_factory.mktemp("parties"), network.bundle, 1)
    with found.node:
        found.state("one")
        found.anchor(30)
        found.state("two")
        found.state("three")
        found.anchor(30)
        yield found


def changed(party: Party, **values: object) -> Party:
    return replace(party, **values)  # type: ignore[arg-type]


MUTANTS: dict[str, tuple[Callable[[Party], Party], str]] = {
    "a statement that is not in the journal": (
        lambda party: changed(party, acknowledged=[*party.acknowledged[:2], (2, "never said")]),
        "lost",
    ),
    "a statement at another place": (
        lambda party: changed(party, acknowledged=[(1, party.acknowledged[0][1])]),
        "lost",
    ),
    "an anchor of another root": (
        lambda party: changed(party, promised={**party.promised, 1: bytes(32)}),
        "lost",
    ),
    "an anchor that the chain has not": (
        lambda party: changed(party, promised={**party.promised, 99: bytes(32)}),
        "lost",
    ),
    "a statement acknowledged twice": (
        lambda party: changed(party, acknowledged=[*party.acknowledged, party.acknowledged[0]]),
        "duplicated",
    ),
    "a transaction without need": (
        lambda party: changed(party, deployments=party.deployments - 1),
        "duplicated",
    ),
    "work that ended": (lambda party: changed(party, wrong="ended with TypeError"), "wrong"),
}


@pytest.mark.network
def test_what_was_promised_and_kept_is_found_once(network: Network, party: Party) -> None:
    found = check(network.bundle.members, [party])
    assert found == Verdict(said=3, anchors=2)


@pytest.mark.network
@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_check_finds(network: Network, party: Party, mutant: str) -> None:
    change, where = MUTANTS[mutant]
    found = check(network.bundle.members, [change(party)])
    assert found.wrong or where == "duplicated"
    assert (found.lost > 0) == (where == "lost")
    assert (found.duplicated > 0) == (where == "duplicated")


@pytest.mark.network
def test_a_statement_that_no_anchor_covers_is_lost(network: Network, party: Party, tmp_path: Path) -> None:
    (other,) = make_parties(tmp_path, network.bundle, 1)
    with other.node:
        other.state("anchored")
        other.anchor(30)
        other.state("forgotten")
        found = check(network.bundle.members, [other])
    assert (found.said, found.anchors, found.lost) == (2, 1, 1)


@pytest.mark.network
@pytest.mark.parametrize("mode", ["forged logs", "forged head", "dead"])
def test_the_check_asks_every_member(network: Network, party: Party, mode: str) -> None:
    first, *others = network.bundle.members
    with hostile_proxy(first.rpc_url) as proxy:
        members = [replace(first, rpc_url=proxy.url), *others]
        assert check(members, [party]) == Verdict(said=3, anchors=2)
        proxy.mode = mode
        assert check(members, [party]).wrong


# -- what is left on the machine --------------------------------------------------------------------------


def namespaces(pid: int) -> list[str]:
    """Network namespaces that a run made."""
    return [path.name for path in Path("/run/netns").glob(f"tf{pid}*")]


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_nothing_is_left_on_the_machine_however_it_ends(
    engine: Path, tmp_path: Path, number: signal.Signals
) -> None:
    fault = "full-disk" if number == signal.SIGINT else "halves"
    if why_no_cuts():
        fault = "kill-one"
    with (tmp_path / "said").open("wb") as said:
        run = subprocess.Popen(
            [sys.executable, "-m", "faults", "--only", fault],
            cwd=TOP,
            stdout=said,
            stderr=said,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
    try:
        # killed while all is being started, interrupted in the middle of the harm
        reached = "the harm is done" if number == signal.SIGINT else "laid out and started"
        wait(
            lambda: (
                run.poll() is not None
                or (reached in (tmp_path / "said").read_text() and len(validators(tmp_path)) >= 3)
            ),
            90,
        )
        assert run.poll() is None, (tmp_path / "said").read_text()
        assert validators(tmp_path)
        run.send_signal(number)
        run.wait(60)
    finally:
        run.kill()
        run.wait(10)
    wait(lambda: not (processes(tmp_path) or mounts(tmp_path) or namespaces(run.pid)), 30)
    if number == signal.SIGINT:
        assert run.returncode == 130
        assert not list(tmp_path.glob("tallystick-faults-*"))


def wait(reached: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.1)


def processes(top: Path) -> list[str]:
    """Processes whose words name a directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(top) in words:
            found.append(words)
    return found


def validators(top: Path) -> list[str]:
    """Those of them that are running validators."""
    return [words for words in processes(top) if "\0start\0--home\0" in words]


def mounts(top: Path) -> list[str]:
    table = Path("/proc/mounts")
    return [line for line in table.read_text().splitlines() if str(top) in line] if table.exists() else []
