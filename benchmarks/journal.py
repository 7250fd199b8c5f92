"""How fast and small the journal is: durable append, full path, re-verification, proofs, memory.

Figures are CPU seconds of one core, medians of five. Every function takes a ``scale``: 1 measures at the sizes that the
reaches speak of, less is a quick look.
"""

from __future__ import annotations

import hashlib
import importlib
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.rows import Row
from tallystick.proof import Draft, Journal, Party, format_statement, parse_receipt, verify, verify_inclusion

BATCH = 4096
RUNS = 5
ENTRY_SIZE = 300  # bytes
MILLION = 1_000_000


@contextmanager
def _directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="tallystick-bench-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def _cpu_s(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def _ready(count: int, origin: str, first: int) -> list[bytes]:
    """Formatted statements of `ENTRY_SIZE` bytes."""
    bare = len(format_statement(at=first, kind="document.recorded", body={"title": ""}, origin=origin).bytes)
    title = "x" * (ENTRY_SIZE - bare)
    pattern = format_statement(at=first, kind="document.recorded", body={"title": title}, origin=origin).bytes
    head, tail = pattern.split(b"%d" % first)
    return [head + b"%d" % at + tail for at in range(first, first + count)]


def _fill(journal: Journal, count: int) -> None:
    at = time.time_ns() // 1000 - count
    for start in range(0, count, BATCH):
        journal.append_ready(_ready(min(BATCH, count - start), journal.origin, at + start))


def append(scale: float = 1.0) -> list[Row]:
    """Durable append of ready statements in batches, checkpoint signed, synced twice a batch."""
    party, batches = Party.create("Bench"), max(2, round(48 * scale))
    rates, walls, peers = list[float](), list[float](), list[float]()
    with _directory() as home:
        for run in range(RUNS):
            with Journal.open(home / str(run), party=party) as journal:
                first = time.time_ns() // 1000
                work = [_ready(BATCH, party.origin, first + BATCH * number) for number in range(batches)]
                wall = time.perf_counter()
                spent = _cpu_s(
                    lambda journal=journal, work=work: [journal.append_ready(batch) for batch in work]
                )
                walls.append(batches * BATCH / (time.perf_counter() - wall))
                rates.append(batches * BATCH / spent)
            peers.append(_pymerkle_appends([entry for batch in work[:5] for entry in batch]))
    rate = statistics.median(rates)
    rows = [Row("append", rate, "1/s", 400_000, ">=", {"wall clock": statistics.median(walls)})]
    if all(peers):
        # Own and peer's figures of one run stand next to each other in time, so the machine's moods cancel.
        ratio = statistics.median(own / peer for own, peer in zip(rates, peers, strict=True))
        rows.append(
            Row("append/peer", ratio, "x", 4, ">=", {"pymerkle 7 in memory (1/s)": statistics.median(peers)})
        )
    return rows


def _pymerkle_appends(entries: list[bytes]) -> float:
    """Appends a second of pymerkle's tree in memory; 0 when it is not installed. GPL: for comparison only."""
    try:
        pymerkle = importlib.import_module("pymerkle")
    except ImportError:
        return 0.0
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    spent = _cpu_s(lambda: [tree.append_entry(entry) for entry in entries])
    return len(entries) / spent


def record(scale: float = 1.0) -> list[Row]:
    """The full path: schema, encoding, salted commitment, durable append."""
    batches, rates = max(2, round(24 * scale)), []
    party = Party.create("Bench")
    with _directory() as home:
        for run in range(RUNS):
            with Journal.open(home / str(run), party=party) as journal:
                work = [
                    [
                        Draft(
                            "document.recorded",
                            {"title": f"{number}/{at}"},
                            payload=b"reading %d" % at,
                            keep=False,
                        )
                        for at in range(BATCH)
                    ]
                    for number in range(batches)
                ]
                spent = _cpu_s(
                    lambda journal=journal, work=work: [journal.append_many(drafts) for drafts in work]
                )
                rates.append(batches * BATCH / spent)
    return [Row("record", statistics.median(rates), "1/s", 120_000, ">=")]


def reverify(scale: float = 1.0) -> list[Row]:
    """All hashes of a journal from disk, against one SHA-256 pass over each entry in a Python loop."""
    count, ratios = round(MILLION * scale), []
    party = Party.create("Bench")
    with _directory() as home:
        with Journal.open(home / "journal", party=party) as journal:
            _fill(journal, count)
        with Journal.read(home / "journal", party=party) as journal:
            for _ in range(RUNS):
                plain = _cpu_s(lambda: _plain_pass(count))
                ratios.append(_cpu_s(journal.verify) / plain)
    return [Row("reverify", statistics.median(ratios), "x", 4, "<=", {"plain loop": 1.0})]


def _plain_pass(count: int) -> None:
    sha256, entries = hashlib.sha256, [b"%300d" % number for number in range(1000)]
    for _ in range(count // 1000):
        for entry in entries:
            sha256(entry).digest()


def inclusion(scale: float = 1.0) -> list[Row]:
    """Proofs at a million statements: made from disk (entry and path hashed again), verified, as whole receipts."""
    count, asked = round(MILLION * scale), max(200, round(10_000 * scale))
    party, chance = Party.create("Bench"), random.Random(1)
    made, checked, whole = [], [], []
    with _directory() as home:
        with Journal.open(home / "journal", party=party) as journal:
            _fill(journal, count)
        with Journal.read(home / "journal", party=party) as journal:
            head = journal.checkpoint()
            for _ in range(RUNS):
                places = [chance.randrange(count) for _ in range(asked)]
                paths: list[list[bytes]] = []
                made.append(
                    asked
                    / _cpu_s(lambda paths=paths, places=places: paths.extend(map(journal.inclusion, places)))
                )
                leaves = [bytes.fromhex(journal.entry(place).id) for place in places]
                proofs = list(zip(leaves, places, paths, strict=True))
                checked.append(asked / _cpu_s(lambda proofs=proofs: _check(proofs, head.size, head.root)))
                receipts = [journal.receipt(place).format() for place in places[: asked // 10]]
                whole.append(
                    len(receipts)
                    / _cpu_s(lambda receipts=receipts: [verify(parse_receipt(data)) for data in receipts])
                )
    return [
        Row("inclusion/make", statistics.median(made), "1/s", 20_000, ">="),
        Row("inclusion/verify", statistics.median(checked), "1/s", 60_000, ">="),
        Row("inclusion/receipt", statistics.median(whole), "1/s", 6_000, ">="),
    ]


def _check(proofs: list[tuple[bytes, int, list[bytes]]], size: int, root: bytes) -> None:
    for leaf, index, path in proofs:
        verify_inclusion(leaf, index=index, size=size, path=path, root=root)


def memory(scale: float = 1.0) -> list[Row]:
    """Largest resident memory of a process that appends, and of one that verifies, a million statements."""
    count = round(MILLION * scale)
    with _directory() as home:
        used = {work: _child_memory(work, home, count) for work in ("append", "verify")}
    return [Row(f"memory/{work}", megabytes, "MB", 200, "<=") for work, megabytes in used.items()]


def _child_memory(work: str, home: Path, count: int) -> float:
    command = [sys.executable, "-m", "benchmarks.journal", work, str(home), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def _child() -> None:
    """One measured process: ``append|verify directory count``; prints its largest resident memory in MB."""
    work, home, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if work == "append":
        party = Party.create("Bench")
        with Journal.open(home / "journal", party=party) as journal:
            _fill(journal, count)
    else:
        with Journal.read(home / "journal") as journal:
            journal.verify()
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(used / (1_000_000 if sys.platform == "darwin" else 1_000))


if __name__ == "__main__":
    _child()
