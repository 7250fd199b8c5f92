"""The fraud service over HTTP: how many decisions a second, signed, explained and durable, and how long each takes.

- Payments are SIMULATED, those of the bank's own customers on the days after its history.
- Server and load generator share this machine's cores; latency counts from when a request should have left.
- The rate is held for the whole time; the median service has answered everything, or the row says what was left.
- The cost of the audit: the most that the same service answers with and without statements.
- The same load is sent to a copy of the bank in memory: the difference is what the disk's own waits add.
- wrk's figure for /health/live is what the framework and the server below it can do at all.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from benchmarks.disk import in_memory, sync_waits
from benchmarks.fraud_bank import LATER, TOP, RunningBank, make_bank, running
from benchmarks.rows import Row

RATE = 1_000.0
STRETCH = 2_000.0
SECONDS = 60.0
REACH_P99_MS = 25.0
MOST_SECONDS = 12.0  # of a run that looks for the most that is answered
TOO_MUCH = 4_000.0  # offered there, so that payments always wait
ROUNDS = 3
MOST_WAITING = 128  # requests on their way there
WRK_S = 5
_DECIDED = re.compile(r'^tallystick_decisions_total\{action="(\w+)"\} ([0-9.e+]+)$', re.MULTILINE)


def fraud_http(scale: float) -> list[Row]:
    """Measure the service."""
    seconds = max(5.0, SECONDS * scale)
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place) / "bank"
        key = make_bank(directory, later=int(LATER * max(scale, 0.1)))
        sent = Sent()
        memory = _without_disk(Path(place), key, seconds)
        with running(directory, key) as bank:
            ceiling = _wrk(bank)
            held = _load(bank, sent, RATE, seconds)
            alerts, disk = _alerts(bank), sync_waits(Path(place))
            stretch = _load(bank, sent, STRETCH, max(5.0, seconds / 3))
        with_statements, without = Most(0.0, 0.0), Most(0.0, 0.0)
        for _ in range(ROUNDS):  # in turn, so that a slow minute of the machine meets both
            with running(directory, key) as bank:
                with_statements = max(with_statements, _most(bank, sent, scale))
            with running(directory, key, statements=False) as bank:
                without = max(without, _most(bank, sent, scale))
    cost = 100.0 * (1.0 - with_statements.per_s / without.per_s)
    peers = {"wrk /health/live": ceiling, "alerts %": alerts} if ceiling else {"alerts %": alerts}
    cpu = {"without statements": without.per_s, "cpu us": with_statements.cpu_us, "without": without.cpu_us}
    return [
        Row("fraud-http/held", _figure(held, "answered_per_s"), "1/s", RATE * 0.98, ">=", peers),
        Row("fraud-http/p99", _figure(held, "p99_ms"), "ms", REACH_P99_MS, "<=", {"p50": _figure(held, "p50_ms"), "p90": _figure(held, "p90_ms"), **memory, **disk}),
        Row("fraud-http/stretch", _figure(stretch, "answered_per_s"), "1/s", RATE, ">=",
            {"p50 ms": _figure(stretch, "p50_ms"), "p99 ms": _figure(stretch, "p99_ms")}),
        Row("fraud-http/most", with_statements.per_s, "1/s", RATE, ">=", cpu),
        Row("fraud-http/audit cost", cost, "%", 25.0, "<="),
    ]  # fmt: skip


def _without_disk(place: Path, key: str, seconds: float) -> dict[str, float]:
    with in_memory(place) as copy:
        if copy is None:
            return {}
        with running(copy / "bank", key) as bank:
            report = _load(bank, Sent(), RATE, seconds)
    return {"p99 in memory": _figure(report, "p99_ms")}


@dataclass(slots=True)
class Sent:
    """How many of a bank's payments were sent: none is sent twice."""

    count: int = 0


@dataclass(frozen=True, slots=True, order=True)
class Most:
    """The most that was answered while payments always waited.

    Args:
        per_s: decisions a second.
        cpu_us: the service's processor time for each, microseconds; 0 where the system does not tell.
    """

    per_s: float
    cpu_us: float


def _load(
    bank: RunningBank, sent: Sent, rate: float, seconds: float, *, warm_s: float = 5.0, connections: int = 64
) -> dict[str, Any]:
    words = [sys.executable, "-m", "benchmarks.load", "--url", bank.url, "--key", bank.key]
    words += ["--rate", str(rate), "--seconds", str(seconds), "--warm", str(warm_s)]
    words += ["--connections", str(connections), "--payments", str(bank.payments), "--skip", str(sent.count)]
    done = subprocess.run(words, cwd=TOP, capture_output=True, text=True, check=False, timeout=seconds + 120)
    if not done.stdout.strip():
        raise RuntimeError(f"the load generator failed: {done.stderr.strip().splitlines()[-1:]}")
    report: dict[str, Any] = json.loads(done.stdout)
    sent.count += report["sent"]
    if report["ran_out"]:
        raise RuntimeError(f"the bank's payments ran out after {sent.count}")
    wrong = {status: count for status, count in report["statuses"].items() if status not in ("200", "503")}
    if wrong:
        raise RuntimeError(f"the service answered {wrong}")
    return report


def _most(bank: RunningBank, sent: Sent, scale: float) -> Most:
    """Offer more than can be answered."""
    before = _cpu_s(bank)
    report = _load(bank, sent, TOO_MUCH, max(4.0, MOST_SECONDS * scale), warm_s=3.0, connections=MOST_WAITING)
    answered = int(report["statuses"].get("200", 0))
    return Most(_figure(report, "answered_per_s"), 1e6 * (_cpu_s(bank) - before) / max(answered, 1))


def _cpu_s(bank: RunningBank) -> float:
    """Processor time of the service so far, seconds."""
    place = Path(f"/proc/{bank.process.pid}/stat")
    if not place.exists():
        return 0.0
    fields = place.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _alerts(bank: RunningBank) -> float:
    """Percent of the decisions so far that did not approve."""
    request = Request(f"{bank.url}/metrics", headers={"Authorization": f"Bearer {bank.key}"})
    with urlopen(request, timeout=10) as answer:
        told = answer.read().decode()
    counts = {found[1]: float(found[2]) for found in _DECIDED.finditer(told)}
    return 100.0 * (1.0 - counts.get("approve", 0.0) / max(sum(counts.values()), 1.0))


def _figure(report: dict[str, Any], name: str) -> float:
    return float(report[name] or 0.0)


def _wrk(bank: RunningBank) -> float:
    """Requests a second for the least that the service can be asked; 0 where wrk is not installed."""
    if shutil.which("wrk") is None:
        return 0.0
    words = ["wrk", "-t1", "-c32", f"-d{WRK_S}s", f"{bank.url}/health/live"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    found = re.search(r"Requests/sec:\s*([0-9.]+)", done.stdout)
    return float(found[1]) if found else 0.0
