"""How fast decisions become durable with their sealed records, and what a million of them cost to open.

A decision is a statement with links to model and permit and a sealed record of some 25 fields: the payment, reasons,
the scored inputs. Rates are CPU seconds of one core, medians of five; the customers are drawn from 10,000. The first
figures of a quiet machine are the ones to compare: syncs and neighbours weigh on a busy one.
"""

from __future__ import annotations

import base64
import random
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.rows import Row
from tallystick.proof import Draft, Journal, OsFiles, Party, Secret
from tallystick.proof._frames import format_frame
from tallystick.proof._subjects import RECORD_SIZE, SUBJECTS_MAGIC, Subjects

BATCH = 64
CUSTOMERS = 10_000
RUNS = 5
MILLION = 1_000_000
PAYLOAD_BATCH = 4096


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


def _record(chance: random.Random, number: int) -> dict[str, Any]:
    """What a fraud decision seals."""
    at = 1_795_000_000_000_000 + number
    return {
        "answer": "approve",
        "features": base64.b64encode(chance.randbytes(90)).decode(),
        "payment": {
            "amount": 1 + chance.randrange(10**6),
            "at": at,
            "channel": "instant",
            "currency": "EUR",
            "customer": f"customer {number % CUSTOMERS}",
            "device": "d-9a8b7c",
            "id": f"payment-{number:012}",
            "payee": f"payee {chance.randrange(10**9)}",
            "terminal": "t17",
        },
        "probability": "0.0123",
        "reasons": [
            {"code": f"T{place:02}", "text": "the amount is far above what this customer usually pays"}
            for place in range(4)
        ],
        "received_at": at,
        "rules": [],
        "score": -12_345,
        "status": "ACCP",
        "status_reason": "",
    }


def _decisions(
    chance: random.Random, first: int, count: int, links: dict[str, list[str]], *, sealed: bool
) -> list[list[Draft]]:
    drafts = [
        Draft(
            "decision.made",
            {"level": "L0", "model": "ab" * 32},
            links={label: list(ids) for label, ids in links.items()},
            fields=_record(chance, number) if sealed else None,
            subject=f"customer {chance.randrange(CUSTOMERS)}",
        )
        for number in range(first, first + count)
    ]
    return [drafts[start : start + BATCH] for start in range(0, count, BATCH)]


def decision_append(scale: float = 1.0) -> list[Row]:
    """Durable decisions with sealed records in batches of 64, then what a million payloads and subjects cost."""
    count = max(20, round(160 * scale)) * BATCH
    rates, bare, tables = list[float](), list[float](), list[float]()
    chance, party = random.Random(1), Party.create("Bench")
    with _directory() as home, Journal.open(home / "journal", party=party) as journal:
        model, permit = (journal.append("document.recorded", {"title": title}).id for title in ("m", "p"))
        links = {"model": [model], "permit": [permit]}
        for start in range(0, CUSTOMERS, PAYLOAD_BATCH):
            names = range(start, min(CUSTOMERS, start + PAYLOAD_BATCH))
            journal.append_many(_payloads(names, CUSTOMERS))
        for run in range(RUNS):
            sealed = _decisions(chance, run * count, count, links, sealed=True)
            plain = _decisions(chance, run * count, count, links, sealed=False)
            first = journal.size
            rates.append(count / _cpu_s(lambda work=sealed: [journal.append_many(batch) for batch in work]))
            entries = [entry.bytes for entry in journal.entries(first, first + count)]
            tables.append(_sqlite_rate(home / f"{run}.db", entries, len(str(sealed[0][0].fields))))
            bare.append(count / _cpu_s(lambda work=plain: [journal.append_many(batch) for batch in work]))
    peers = {
        "statements alone": statistics.median(bare),
        "SQLite, FULL, same bytes in clear": statistics.median(tables),
    }
    rows = [Row("decision-append", statistics.median(rates), "1/s", 15_000, ">=", peers)]
    return rows + _opening(round(MILLION * scale)) + _subjects(round(MILLION * scale))


def _sqlite_rate(path: Path, entries: list[bytes], size: int) -> float:
    """Rows a second of the same sizes, nothing hashed, sealed or signed, committed in batches of 64."""
    table = sqlite3.connect(path, isolation_level=None)
    table.execute("PRAGMA synchronous=FULL")
    table.execute("CREATE TABLE decisions (id INTEGER PRIMARY KEY, statement BLOB, record BLOB)")
    record = bytes(size)

    def work() -> None:
        for start in range(0, len(entries), BATCH):
            table.execute("BEGIN")
            rows = [(entry, record) for entry in entries[start : start + BATCH]]
            table.executemany("INSERT INTO decisions (statement, record) VALUES (?, ?)", rows)
            table.execute("COMMIT")

    spent = _cpu_s(work)
    table.close()
    return len(entries) / spent


def _payloads(numbers: range, subjects: int) -> list[Draft]:
    return [
        Draft(
            "document.recorded",
            {"title": "x"},
            payload=b"reading %d" % at,
            subject=f"customer {at % subjects}",
        )
        for at in numbers
    ]


def _opening(count: int) -> list[Row]:
    """Open a journal's payloads and read one, in a process of its own; against one of a thousandth of their number."""
    party, few = Party.create("Bench"), max(100, count // 1000)
    with _directory() as home:
        party.save(home / "keys", "bench", n=2)
        for name, number in (("many", count), ("few", few)):
            with Journal.open(home / name, party=party) as journal:
                for start in range(0, number, PAYLOAD_BATCH):
                    journal.append_many(_payloads(range(start, min(number, start + PAYLOAD_BATCH)), 100))
        many_s, many_mb = _child(home, "many")
        few_s, few_mb = _child(home, "few")
    told = {f"{few:,} payloads": few_s}
    return [
        Row("decision-append/open", many_s, "s", 0.5, "<=", told),
        Row("decision-append/memory", max(0.0, many_mb - few_mb), "MB", 20, "<="),
    ]


def _child(home: Path, name: str) -> tuple[float, float]:
    command = [sys.executable, "-m", "benchmarks.decisions_journal", str(home), name]
    found = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(RUNS)]
    spent, used = zip(*[map(float, line.split()) for line in found], strict=True)
    return statistics.median(spent), statistics.median(used)


def _subjects(count: int) -> list[Row]:
    """Open the file of a million subjects' keys, of which commits added four at a time."""
    chance = random.Random(1)
    with _directory() as home:
        with (home / "subjects").open("wb") as file:
            file.write(SUBJECTS_MAGIC)
            for _ in range(count // 4):
                file.write(format_frame(chance.randbytes(4 * RECORD_SIZE)))
        spent, used = _child(home, "subjects")
    return [
        Row("decision-append/subjects", spent, "s", 3, "<="),
        Row("decision-append/subjects-mem", used, "MB", 250, "<="),
    ]


def _measured() -> None:
    """One measured process: ``directory name``; prints CPU seconds of opening and its largest resident memory in MB."""
    home, name = Path(sys.argv[1]), sys.argv[2]
    if name == "subjects":
        before = time.process_time()
        Subjects(OsFiles(), home, Secret(b"s" * 32), write=True).close()
    else:
        party = Party.load(home / "keys", "bench")
        with Journal.open(home / name, party=party) as journal:
            before = time.process_time()
            journal.payload(7)
    spent = time.process_time() - before
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(spent, used / (1_000_000 if sys.platform == "darwin" else 1_000))


if __name__ == "__main__":
    _measured()
