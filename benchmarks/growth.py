"""What ten million decisions do to a journal, and what disposal gives back.

Statements are decisions of about 400 bytes with a payload commitment; of every million, `SEALED` decisions take the full
path with a sealed payload of a fraud decision's shape, the others come as ready statements. Rates are CPU seconds of one
core, wall clock beside them. ``scale`` shrinks the journal.
"""

from __future__ import annotations

import gc
import os
import random
import resource
import shutil
import statistics
import sys
import tempfile
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from benchmarks.rows import Row
from tallystick.decisions import Control
from tallystick.errors import DisposedError, LegalHoldError
from tallystick.node import Node, format_card_file
from tallystick.proof import Draft, Journal, format_statement, parse_receipt, verify, verify_inclusion

MILLION = 1_000_000
BATCH = 2048  # ready statements that one pair of syncs makes durable
SMALL = 128  # decisions with sealed payloads, as a service batches them
SEALED = 20_000  # of every million
ASKED = 2_000  # proofs that a median is taken over
DAY = 86_400
MODEL = "ab" * 32
PASSPHRASE = "four words are better"


@contextmanager
def _bank() -> Iterator[tuple[Path, Node]]:
    top = Path(tempfile.mkdtemp(prefix="tallystick-bench-"))
    os.environ["TALLYSTICK_STATE"] = str(top / "state")
    try:
        node = Node.init(top / "bank", name="Bank", passphrase=PASSPHRASE)
        try:
            yield top, node
        finally:
            node.close()
    finally:
        shutil.rmtree(top)


class _Spent:
    """CPU and wall seconds of what runs inside, and the rate of its median stretch.

    A stretch is long enough to hold one sync of everything derived; the median of many leaves the machine's moods out.
    """

    def __init__(self, stretch: int = 65_536) -> None:
        self.cpu_s = self.wall_s = 0.0
        self.count = 0
        self._stretch, self._rates, self._open = stretch, list[float](), (0, 0.0)

    def __enter__(self) -> _Spent:
        self._began = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        cpu_s = time.process_time() - self._began[0]
        self.cpu_s += cpu_s
        self.wall_s += time.perf_counter() - self._began[1]
        self._open = self._open[0], self._open[1] + cpu_s

    def add(self, count: int) -> None:
        """Say how many entries the last part appended."""
        self.count += count
        done, cpu_s = self._open[0] + count, self._open[1]
        if done >= self._stretch:
            self._rates.append(done / cpu_s)
            done, cpu_s = 0, 0.0
        self._open = done, cpu_s

    @property
    def rate(self) -> float:
        """Entries a CPU second."""
        return statistics.median(self._rates) if self._rates else self.count / self.cpu_s


class _Decisions:
    """Decisions as a bank states them; the same chance makes the same ones."""

    def __init__(self, node: Node) -> None:
        self._journal, self._chance, self._last = node.journal, random.Random(1), 0
        published = node.record("model.retired", {"model": MODEL, "reason": "stands for the model"})
        self.links = {"model": [published.id]}
        body = {"level": "L0", "model": MODEL}
        bare = format_statement(
            at=10**15, kind="decision.made", body=body, links=self.links, origin=node.origin
        )
        head, tail = bare.bytes.split(b"%d" % 10**15)
        self._head, self._tail = head, tail.removesuffix(b',"v":1}')

    def ready(self, count: int) -> list[bytes]:
        """Formatted statements with random commitments."""
        first = max(time.time_ns() // 1000, self._last + 1)
        self._last = first + count
        noise = self._chance.randbytes(48 * count)
        head, tail = self._head, self._tail
        return [
            b'%b%d%b,"payload":{"commitment":"%b","form":"fields","media":"application/json","nonce":"%b","size":1024},"v":1}'
            % (
                head,
                first + at,
                tail,
                urlsafe_b64encode(noise[48 * at : 48 * at + 32])[:43],
                urlsafe_b64encode(noise[48 * at + 32 : 48 * at + 48])[:22],
            )
            for at in range(count)
        ]

    def drafts(self, count: int) -> list[Draft]:
        """Decisions with everything that makes them replayable."""
        return [
            Draft(
                "decision.made",
                {"level": "L0", "model": MODEL},
                self.links,
                fields=_sealed(self._chance),
                subject=f"customer {self._chance.randrange(10_000)}",
            )
            for _ in range(count)
        ]

    def grow(self, count: int, sealed: int) -> tuple[_Spent, _Spent, _Spent]:
        """Append decisions; what ready ones and what sealed ones cost, and one SHA-256 pass over the ready ones."""
        plain, full, floor = _Spent(), _Spent(4 * SMALL), _Spent()
        for start in range(0, sealed, SMALL):
            drafts = self.drafts(min(SMALL, sealed - start))
            with full:
                self._journal.append_many(drafts)
            full.add(len(drafts))
        self._last = max(self._last, time.time_ns() // 1000)
        gc.collect()
        for start in range(0, count - sealed, BATCH):
            entries = self.ready(min(BATCH, count - sealed - start))
            with plain:
                self._journal.append_ready(entries)
            plain.add(len(entries))
            with floor:
                for entry in entries:
                    sha256(entry).digest()
            floor.add(len(entries))
        return plain, full, floor


def _sealed(chance: random.Random) -> dict[str, object]:
    score = chance.randrange(10_000)
    return {
        "answer": "approve",
        "features": "".join(chance.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=80)),
        "payment": {
            "amount_cents": chance.randrange(10**6),
            "channel": "instant",
            "currency": "EUR",
            "customer": f"{chance.getrandbits(64):016x}",
            "id": f"{chance.getrandbits(96):024x}",
            "payee": f"{chance.getrandbits(64):016x}",
        },
        "reasons": [{"code": "R01", "text": "the amount is usual for this customer"}],
        "received_at": time.time_ns() // 1000,
        "score": score,
    }


def growth(scale: float = 1.0) -> list[Row]:
    """A journal of ten million decisions: appending, proving, opening, searching, hashing again, bytes."""
    part = max(SMALL * 8, round(MILLION * scale))
    sealed = max(SMALL, round(SEALED * scale))
    rates, walls, full, proofs = list[float](), list[float](), list[float](), list[tuple[float, float]]()
    floors = list[float]()
    with _bank() as (top, node):
        decisions = _Decisions(node)
        for number in range(10):
            plain, whole, floor = decisions.grow(part, sealed)
            node.oversight.set_control(Control("rules"), by="dr-7", reason="drill")
            rates.append(plain.rate)
            walls.append(plain.count / plain.wall_s)
            full.append(whole.rate)
            floors.append(floor.rate)
            if number in (0, 9):
                proofs.append(_proof_s(node.journal))
            told = f"{rates[-1]:,.0f}/s (plain pass {floors[-1]:,.0f}/s), sealed {full[-1]:,.0f}/s"
            print(f"{number + 1:>2} of 10: {told}", file=sys.stderr)
        rare_s = _seconds(lambda: list(node.journal.entries(kinds=("control.",))))
        journal, size = node.journal.directory, node.journal.size
        node.close()
        used, payloads = _blocks(journal), _blocks(journal / "payloads")
        _forget(journal)
        again, start_s = _start(top / "bank", size)
        try:
            behind_s = _seconds(lambda: again.verify_behind(share=1).wait())
            lookup_s = _lookup_s(again.journal)
        finally:
            again.close()
    each, kept = (used - payloads) / size, payloads / (10 * sealed)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return [
        # Against a plain pass over the same entries at the same time, so that the machine's moods cancel.
        Row("growth/append", (rates[-1] / floors[-1]) / (rates[0] / floors[0]), "x", 0.85, ">=",
            {"first (1/s)": rates[0], "last (1/s)": rates[-1], "last, wall clock": walls[-1],
             "plain pass, first (1/s)": floors[0], "plain pass, last (1/s)": floors[-1]}),
        Row("growth/sealed", full[-1] / full[0], "x", 0.85, ">=",
            {"first (1/s)": full[0], "last (1/s)": full[-1]}),
        Row("growth/proof", proofs[-1][0] / proofs[0][0], "x", 2, "<=",
            {"at a tenth (us)": proofs[0][0] * 1e6, "at the end (us)": proofs[-1][0] * 1e6,
             "first time, wall clock, at a tenth (us)": proofs[0][1] * 1e6,
             "first time, wall clock, at the end (us)": proofs[-1][1] * 1e6}),
        Row("growth/start", start_s, "s", 10, "<="),
        Row("growth/behind", behind_s, "s", 600, "<=", {"entries": float(size)}),
        Row("growth/rare", rare_s, "s", 1, "<="),
        Row("growth/lookup", lookup_s * 1000, "ms", 10, "<="),
        Row("growth/memory", memory, "MB", 1000, "<="),
        Row("growth/bytes", each, "B", 700, "<=",
            {"sealed payload": kept, "GB a day at 1,000/s": (each + kept) * DAY * 1000 / 1e9}),
    ]  # fmt: skip


def _start(path: Path, size: int) -> tuple[Node, float]:
    """Open a node and wait until it proved an old decision, said what counts and recorded a new one."""
    began = time.perf_counter()
    node = Node.open(path, passphrase=PASSPHRASE)
    node.journal.inclusion(size // 3)
    assert node.oversight.control(MODEL).mode == "rules"
    node.record("document.recorded", {"title": "the first answer"})
    return node, time.perf_counter() - began


def _proof_s(journal: Journal) -> tuple[float, float]:
    """CPU seconds of a proof whose pages are in memory, and wall seconds of one that may come from the disk."""
    chance, warm, cold = random.Random(2), list[float](), list[float]()
    for _ in range(5):
        places = [chance.randrange(journal.size) for _ in range(ASKED)]
        for times in (cold, warm):
            with _Spent() as one:
                for place in places:
                    journal.inclusion(place)
            times.append((one.wall_s if times is cold else one.cpu_s) / ASKED)
    return statistics.median(warm), statistics.median(cold)


def _lookup_s(journal: Journal) -> float:
    chance = random.Random(3)
    ids = [journal.entry(chance.randrange(journal.size)).id for _ in range(200)]
    journal.index(ids[0])
    return _seconds(lambda: [journal.index(id_) for id_ in ids]) / len(ids)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _blocks(path: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in path.rglob("*") if file.is_file())


def _forget(path: Path) -> None:
    """Take the files out of the page cache, as after a restart of the machine."""
    for file in path.rglob("*"):
        if file.is_file():
            number = os.open(file, os.O_RDONLY)
            os.fsync(number)
            os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(number)


def retention(scale: float = 1.0) -> list[Row]:
    """Half of a journal of a million decisions is disposed of: what is free, and whether every proof still holds."""
    count = max(400_000, round(MILLION * scale))
    chance = random.Random(4)
    with _bank() as (top, node):
        decisions = _Decisions(node)
        for _ in range(10):
            decisions.grow(count // 10, count // 100)
        _witness(node, top)
        journal = node.journal
        places = sorted(chance.sample(range(journal.size), 1000))
        receipts = [node.receipt(place).format() for place in places]
        leaves = {place: bytes.fromhex(journal.entry(place).id) for place in places}
        before = _blocks(journal.directory)
        refused = _is_refused(node)
        node.retention.release(
            node.retention.holds()[0].statement, reason="over", by="counsel-3", second="dr-8"
        )
        spent_s = _seconds(lambda: journal.dispose(count // 2, keep=("control.", "model.")))
        freed, gone = before - _blocks(journal.directory), journal.disposed
        held = sum(_verifies(data) for data in receipts) / len(receipts)
        proved = sum(_is_proved(journal, place, leaf) for place, leaf in leaves.items()) / len(leaves)
        unread = sum(not _is_there(journal, place) for place in places)
        behind_s = _seconds(journal.verify)
    assert unread, "nothing of the sample was disposed of"
    return [
        Row("retention/freed", freed / (before * gone / count), "x", 0.7, ">=",
            {"MB": freed / 1e6, "of MB": before / 1e6, "entries gone": float(gone), "seconds": spent_s}),
        Row("retention/receipts", held, "x", 1, ">=", {"receipts": float(len(receipts))}),
        Row("retention/proofs", proved, "x", 1, ">=", {"of disposed entries": float(unread)}),
        Row("retention/hold", float(refused), "x", 1, ">="),
        Row("retention/verify", behind_s, "s", 60, "<="),
    ]  # fmt: skip


def _witness(node: Node, top: Path) -> None:
    with Node.init(top / "witness", name="Witness", passphrase=PASSPHRASE, scrypt_n=2**4) as witness:
        witness.import_card(format_card_file(node.party.cards))
        node.import_card(format_card_file(witness.party.cards))
        node.add_cosignatures(witness.cosign(node.ask_witness()).note)


def _is_refused(node: Node) -> bool:
    node.retention.hold("audit", by="counsel-3")
    try:
        node.retention.dispose(older_than_days=0)
    except LegalHoldError:
        return node.journal.disposed == 0
    return False


def _verifies(receipt: bytes) -> bool:
    verify(parse_receipt(receipt))
    return True


def _is_proved(journal: Journal, place: int, leaf: bytes) -> bool:
    head = journal.checkpoint()
    verify_inclusion(leaf, index=place, size=head.size, path=journal.inclusion(place), root=head.root)
    return journal.index(leaf.hex()) == place


def _is_there(journal: Journal, place: int) -> bool:
    try:
        journal.entry(place)
    except DisposedError:
        return False
    return True
