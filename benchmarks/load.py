"""A load generator of our own: open loop, one process, latency from the moment when a request should have left.

    python -m benchmarks.load --url http://127.0.0.1:8480 --key tsk_... --rate 1000 --seconds 60 --payments FILE

- Arrivals are drawn beforehand (exponential gaps, seeded). A request that finds no free connection, or a generator
  that is late, counts with its whole wait: a slow answer cannot hide behind the next one (no coordinated omission).
- The payments come from a file of JSON lines, each its own; it ends early, and says so, when they run out.
- Connections are kept alive and hold one request at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from array import array
from collections import Counter, deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

CONNECTIONS = 64
DRAIN_S = 10.0


class Connection(asyncio.Protocol):
    """One connection: a request, its answer, the next one."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._read = bytearray()
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._load.free.append(self)

    def send(self, due: float, request: bytes) -> None:
        """Send a request that was due at a time."""
        self._due = due
        assert self._transport is not None
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._read += data
        end = self._read.find(b"\r\n\r\n")
        if end < 0:
            return
        place = self._read.find(b"content-length: ", 0, end)
        stop = self._read.find(b"\r\n", place)
        length = int(self._read[place + 16 : stop])
        if len(self._read) < end + 4 + length:
            return
        status = int(self._read[9:12])
        self._read.clear()
        self._load.answered(self, self._due, status)

    def connection_lost(self, error: Exception | None) -> None:
        self._load.lost(self)


class Load:
    """One run.

    Args:
        url: the service.
        key: with the role `decide`.
        payments: request bodies.
        rate: requests a second.
        seconds: how long, after the warm-up.
        warm_s: seconds at the beginning that are not counted.
        seed: of arrivals.
        connections: requests that may be on their way at once.
    """

    def __init__(
        self,
        url: str,
        key: str,
        payments: Iterator[bytes],
        *,
        rate: float,
        seconds: float,
        warm_s: float = 5.0,
        seed: int = 0,
        connections: int = CONNECTIONS,
    ) -> None:
        said = urlsplit(url)
        self.host, self.port = said.hostname or "127.0.0.1", said.port or 80
        self._head = (
            f"POST /v1/payments/decide HTTP/1.1\r\nhost: {said.netloc}\r\nauthorization: Bearer {key}\r\n"
            "content-type: application/json\r\ncontent-length: "
        ).encode()
        self._rate, self._seconds, self._warm_s, self._connections = rate, seconds, warm_s, connections
        self._random, self._payments, self._ran_out = random.Random(seed), payments, False
        self.free: deque[Connection] = deque()
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._sent = self._lost = self._open = 0
        self.latencies = array("d")
        self.statuses: Counter[int] = Counter()
        self._counted = self._end = 0.0
        self._within = 0  # answers that came while the rate was held, whenever they were due

    async def run(self) -> dict[str, object]:
        """Send everything, wait for the answers, and say how it was."""
        loop = asyncio.get_running_loop()
        for _ in range(self._connections):
            await loop.create_connection(lambda: Connection(self), self.host, self.port)
        start = loop.time() + 0.1
        end, due = start + self._warm_s + self._seconds, start
        self._counted, self._end = start + self._warm_s, end
        while due < end and self._lost < self._connections and not self._ran_out:
            now = loop.time()
            while due <= now and due < end and not self._ran_out:
                self._dispatch(due)
                due += self._random.expovariate(self._rate)
            await asyncio.sleep(min(0.001, max(0.0, due - now)))
        for _ in range(int(DRAIN_S * 100)):
            if not self._open and not self._waiting:
                break
            await asyncio.sleep(0.01)
        return self._report()

    def _dispatch(self, due: float) -> None:
        body = next(self._payments, b"")
        if not body:
            self._ran_out = True
            return
        self._sent += 1
        request = b"%s%d\r\n\r\n%s" % (self._head, len(body), body)
        if self.free:
            self._open += 1
            self.free.popleft().send(due, request)
        else:
            self._waiting.append((due, request))

    def answered(self, connection: Connection, due: float, status: int) -> None:
        """Take an answer, and give the connection its next request."""
        now = asyncio.get_running_loop().time()
        self._open -= 1
        self.statuses[status] += 1
        if status == 200 and due >= self._counted:
            self.latencies.append(now - due)
        if status == 200 and self._counted <= now < self._end:
            self._within += 1
        if self._waiting:
            self._open += 1
            connection.send(*self._waiting.popleft())
        else:
            self.free.append(connection)

    def lost(self, connection: Connection) -> None:
        """Take note of a connection that the other side closed."""
        self._lost += 1
        if connection in self.free:
            self.free.remove(connection)

    def _report(self) -> dict[str, object]:
        taken = sorted(self.latencies)
        report: dict[str, object] = {
            "asked_per_s": self._rate,
            "answered_per_s": round(self._within / self._seconds, 1),
            "sent": self._sent,
            "ran_out": self._ran_out,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "unanswered": self._open + len(self._waiting),
        }
        for name, share in (
            ("p50_ms", 0.5),
            ("p90_ms", 0.9),
            ("p99_ms", 0.99),
            ("p999_ms", 0.999),
            ("max_ms", 1.0),
        ):
            place = min(int(share * len(taken)), len(taken) - 1)
            report[name] = round(taken[place] * 1000, 2) if taken else None
        return report


def run_load(load: Load) -> dict[str, object]:
    """Run it on the fastest loop that is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(load.run())
    return uvloop.run(load.run())


def main() -> int:
    """Run one load as the command line says."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__.splitlines()[0])
    asked.add_argument("--url", required=True)
    asked.add_argument("--key", required=True)
    asked.add_argument("--payments", required=True, type=Path, help="JSON lines, a payment each")
    asked.add_argument("--skip", type=int, default=0, help="lines that were sent before")
    asked.add_argument("--rate", type=float, default=1000.0, help="requests a second")
    asked.add_argument("--seconds", type=float, default=60.0)
    asked.add_argument("--warm", type=float, default=5.0, help="seconds before that, not counted")
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--connections", type=int, default=CONNECTIONS, help="requests on their way at once")
    said = asked.parse_args()
    lines = islice(said.payments.read_bytes().splitlines(), said.skip, None)
    load = Load(
        said.url,
        said.key,
        lines,
        rate=said.rate,
        seconds=said.seconds,
        warm_s=said.warm,
        seed=said.seed,
        connections=said.connections,
    )
    report = run_load(load)
    print(json.dumps(report))
    return 0 if report["unanswered"] == 0 and not report["ran_out"] else 1


if __name__ == "__main__":
    sys.exit(main())
