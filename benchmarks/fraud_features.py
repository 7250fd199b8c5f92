"""What features cost: time for each payment, and memory for a million customers."""

from __future__ import annotations

import gc
import random
import resource
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rows import Row
from tallystick.apps.fraud.features import Windows
from tallystick.apps.fraud.payments import Payment
from tallystick.apps.fraud.simulator import SimulatorSettings, simulate

PAYMENTS = 200_000
ONE_BY_ONE = 20_000
CUSTOMERS, PAYEES, TERMINALS = 1_000_000, 50_000, 20_000
RATE = 1.5  # payments a customer and day, as in the simulator
BY_CARD, BY_DEVICE = 0.82, 0.32  # shares of payments, likewise
DAY = 86_400
NOW = 1_790_000_000
MEGABYTE = 1_000_000


def features(scale: float = 1.0) -> list[Row]:
    """Features of SIMULATED payments of one bank: all of a history at once, and one payment at a time."""
    count = max(20_000, round(PAYMENTS * scale))
    payments = list(simulate(SimulatorSettings(payments=count, banks=1)).payments())
    one, rest = payments[-min(ONE_BY_ONE, count // 2) :], payments[: -min(ONE_BY_ONE, count // 2)]
    gc.collect()
    gc.disable()
    windows = Windows()
    before = time.process_time()
    windows.take(rest)
    history = (time.process_time() - before) / len(rest)
    spent = []
    before = time.process_time()
    for payment in one:
        start = time.perf_counter_ns()
        windows.take([payment])
        spent.append(time.perf_counter_ns() - start)
    each = (time.process_time() - before) / len(one) * 1e6
    gc.enable()
    p50, p99 = np.percentile(np.array(spent) / 1000, [50, 99]).tolist()
    began = time.process_time()
    state = windows.format_state()
    formatted = time.process_time() - began
    Windows.parse_state(state)
    columns = float(len(windows.names))
    return [
        Row(
            "fraud-features/one", each, "us", 60, "<=", {"wall p50": p50, "wall p99": p99, "columns": columns}
        ),
        Row("fraud-features/200,000", history * PAYMENTS, "s", 12, "<=", {"us each": history * 1e6}),
        Row("fraud-features/state", formatted, "s", 2, "<=", {"MB": len(state) / MEGABYTE}),
    ]


def memory(scale: float = 1.0) -> list[Row]:
    """Resident memory of windows over a million customers after 30 days, and what a payment costs among them."""
    before = _resident()
    windows, dice = Windows(), np.random.default_rng(1)
    customers, places = round(CUSTOMERS * scale), (round(PAYEES * scale), round(TERMINALS * scale))
    for start in range(0, customers, 10_000):
        _people(windows, dice, start, min(10_000, customers - start))
    _places(windows, dice, 3, "m", places[0])
    _places(windows, dice, 2, "t", places[1])
    gc.collect()
    gc.freeze()
    full, said = _resident() - before, windows.memory()
    spent = []
    for number in range(round(5_000 * min(scale * 4, 1))):
        payment = _payment(number, customers, places)
        began = time.process_time_ns()
        windows.take([payment])
        spent.append((time.process_time_ns() - began) / 1000)
    size = len(windows.format_state())
    kinds = ("customer", "card", "device", "payee", "terminal")
    each = {f"B a {kind}": said[f"{kind}_bytes"] / max(said[f"{kind}s"], 1) for kind in kinds}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    return [
        Row("fraud-memory", full / MEGABYTE, "MB", 2_000 * scale, "<=", each),
        Row("fraud-memory/each", full / customers, "B", 2_000, "<=", {"state": size / customers}),
        Row("fraud-memory/take", statistics.median(spent), "us", 80, "<=", {}),
        Row("fraud-memory/snapshot", peak / MEGABYTE, "MB", 4_000 * scale, "<=", {"state": size / MEGABYTE}),
    ]


def _people(windows: Windows, dice: Any, start: int, count: int) -> None:
    """Put in customers with 30 days of history each, with one card and one device, as records hold them."""
    sizes = np.minimum(np.maximum(dice.poisson(RATE * 30, count), 1), 256)
    whose = np.repeat(np.arange(count, dtype=np.int64), sizes)
    times = np.sort((whose << 32) + dice.integers(NOW - 30 * DAY, NOW, len(whose)))
    entries = (times & 0xFFFF_FFFF).astype("<u4"), dice.integers(100, 50_000, len(whose)).astype("<u4")
    customers, cards, devices = windows._kept[:3]
    for kind, share in ((0, 1.0), (1, BY_CARD), (2, BY_DEVICE)):
        kept = dice.random(len(whose)) < share
        t, amount = entries[0][kept].tobytes(), entries[1][kept].tobytes()
        ends = 4 * np.cumsum(np.bincount(whose[kept], minlength=count))
        begin = 0
        for number, end in enumerate(ends.tolist()):
            n, name = (end - begin) // 4, f"{'ckd'[kind]}-A{start + number:07}"
            columns = t[begin:end] + amount[begin:end]
            begin = end
            if not n:
                continue
            if kind == 0:
                payees = dice.bytes(8 * min(20, n))
                customers[name] = n.to_bytes(4, "little") + columns + payees
            elif kind == 1:
                cards[name] = columns
            else:
                devices[name] = columns + b"\1\2\3\4" * n


def _places(windows: Windows, dice: Any, columns: int, letter: str, count: int) -> None:
    """Put in payees or terminals with as many payments as are kept, and 40 days of counts."""
    days = np.empty((40, 4), dtype="<u4")
    days[:, 0] = NOW // DAY - np.arange(39, -1, -1)
    days[:, 1:] = (30, 900_000, 0)
    kept = windows._kept[3 if columns == 3 else 4]
    for number in range(count):
        times = np.sort(dice.integers(NOW - DAY, NOW, 128)).astype("<u4").tobytes()
        rest = dice.integers(0, 50_000, 128 * (columns - 1)).astype("<u4").tobytes()
        kept[f"{letter}-{number:07}"] = b"\x80\0\0\0\x28\0\0\0" + times + rest + days.tobytes()


def _payment(number: int, customers: int, places: tuple[int, int]) -> Payment:
    dice = random.Random(number)
    who = f"A{dice.randrange(customers):07}"
    return Payment(
        id=f"p{number}",
        at=(NOW + number) * MEGABYTE,
        amount=1_000 + number,
        currency="EUR",
        customer=f"c-{who}",
        payee=f"m-{dice.randrange(places[0]):07}",
        card=f"k-{who}" if dice.random() < BY_CARD else "",
        terminal=f"t-{dice.randrange(places[1]):07}" if dice.random() < BY_CARD else "",
        device=f"d-{who}" if dice.random() < BY_DEVICE else "",
    )


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
