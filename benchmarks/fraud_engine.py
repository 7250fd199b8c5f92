"""Deciding in process: rate and wait of signed, explained, durable decisions, what the statements cost, and replay.

Payments are SIMULATED; the model is a trained detector over all features, the windows are the real ones. Each rate is
measured with callers that keep a bounded number of payments waiting, as a server does.
"""

from __future__ import annotations

import gc
import statistics
import sys
import tempfile
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.disk import sync_waits
from benchmarks.rows import Row

if TYPE_CHECKING:
    from tallystick.apps.fraud.deciding import Decision, DecisionPolicy, Engine
    from tallystick.apps.fraud.payments import Payment
    from tallystick.models import IntegerModel
    from tallystick.node import Node

HISTORY = 30_000
RATE = 3_000  # a second, to be reached
PACE = 2_000  # a second, for the wait of payments that come by themselves
P99_MS = 10.0
IN_FLIGHT = 22  # payments that wait: what 3,000 a second at 7 ms need
REPLAYED = 100_000
SWITCH_S = 0.0005  # as the service sets it, and COLLECT: see its own comments
COLLECT = (20_000, 10, 100)
SCRYPT_N = 2**4


@dataclass(frozen=True, slots=True)
class Trade:
    """What is decided, and with what."""

    history: list[Payment]
    payments: list[Payment]
    model: IntegerModel
    policy: DecisionPolicy


def make_trade(count: int, *, history: int = HISTORY) -> Trade:
    """Simulate payments and train a detector on the first of them, the history."""
    import numpy as np

    from tallystick.apps.fraud.deciding import DecisionPolicy
    from tallystick.apps.fraud.features import Windows
    from tallystick.apps.fraud.simulator import SimulatorSettings, simulate
    from tallystick.apps.fraud.training import fit_detector, make_features

    made = simulate(SimulatorSettings(banks=1, payments=history + count, days=60, start=_days_ago(90)))
    payments = list(made.payments(0))
    past, later = payments[:history], payments[history : history + count]
    matrix, names = make_features(past, [], Windows())
    model = fit_detector(matrix, made.fraud[made.rows(0)][:history], names).model
    own = matrix[:, [names.index(name) for name in model.quantiser.names]]
    scores = model.scores_inputs_many(model.quantiser.inputs_of_array(own))[:, 0]
    return Trade(past, later, model, DecisionPolicy.for_budget(np.asarray(scores)))


def open_engine(directory: Path, trade: Trade, *, statements: bool = True) -> tuple[Node, Engine]:
    """Open a node and an engine whose windows hold the history."""
    from tallystick.apps.fraud import APP
    from tallystick.apps.fraud.deciding import (
        Audit,
        Detector,
        Detectors,
        Engine,
        EngineSettings,
        default_rules,
    )
    from tallystick.apps.fraud.features import Windows
    from tallystick.node import Node
    from tallystick.proof import STANDARD_KINDS

    kinds = STANDARD_KINDS.extended(APP.kinds)
    node = Node.init(
        directory, name="Bank", passphrase="a bench", kinds=kinds, scrypt_n=SCRYPT_N, heads=directory.parent
    )
    windows = Windows()
    windows.take(trade.history)
    engine = Engine(
        node,
        models=Detectors(Detector(trade.model)),
        features=windows,
        policy=trade.policy,
        rules=default_rules(windows.names),
        oversight=node.oversight,
        settings=EngineSettings(times="named"),  # a history is played
        audit=Audit.ON if statements else Audit.OFF_FOR_MEASURING,
    )
    return node, engine


def fraud_decide(scale: float = 1.0) -> list[Row]:
    """Rate and wait in process, and what the statements cost."""
    sys.setswitchinterval(SWITCH_S)
    count = max(2_000, int(60_000 * scale))
    trade = make_trade(count)
    with tempfile.TemporaryDirectory() as name:
        on = _measure(Path(name) / "on", trade, statements=True)
        disk = sync_waits(Path(name))
        off = _measure(Path(name) / "off", trade, statements=False)
    cost = 100 * (1 - on["rate"] / off["rate"])
    return [
        Row(
            "fraud-decide/rate",
            on["rate"],
            "1/s",
            RATE,
            ">=",
            {"without statements": off["rate"], "waiting": IN_FLIGHT},
        ),
        Row(
            "fraud-decide/p99",
            on["p99"],
            "ms",
            P99_MS,
            "<=",
            {"p50": on["p50"], "p99 at 2,000/s": on["paced_p99"], **disk},
        ),
        Row("fraud-decide/bytes", on["bytes"], "B", 4_096, "<="),
        # The reach is for the whole service over HTTP; in process there is less beside it to hide behind.
        Row("fraud-decide/statements", cost, "%", 75, "<="),
    ]


def fraud_replay(scale: float = 1.0) -> list[Row]:
    """Every decision computed again from what is sealed in it."""
    sys.setswitchinterval(SWITCH_S)
    trade = make_trade(max(2_000, int(REPLAYED * scale)))
    with tempfile.TemporaryDirectory() as name:
        node, engine = open_engine(Path(name) / "node", trade)
        engine.decide_many(trade.payments)
        began = time.perf_counter()
        found = engine.replay()
        took = time.perf_counter() - began
        engine.close()
        node.close()
    if found.count != len(trade.payments):
        raise RuntimeError(f"expected {len(trade.payments)} decisions, got {found.count}")
    return [
        Row("fraud-replay/differ", found.differ, "of all", 0, "<="),
        Row("fraud-replay/rate", found.count / took, "1/s", 2_000, ">=", {"decisions": found.count}),
    ]


def _measure(directory: Path, trade: Trade, *, statements: bool) -> dict[str, float]:
    """Decide all payments: first as fast as it goes, the last fifth at a steady pace."""
    node, engine = open_engine(directory, trade, statements=statements)
    gc.freeze()
    gc.set_threshold(*COLLECT)
    warm, fast, paced = _parts(trade.payments)
    _pour(engine, warm)
    began = time.perf_counter()
    waits = _pour(engine, fast)
    rate = len(fast) / (time.perf_counter() - began)
    steady = _pour(engine, paced, rate=PACE)
    size = sum(file.stat().st_size for file in (directory / "journal").rglob("*") if file.is_file())
    engine.close()
    node.close()
    return {
        "bytes": size / len(trade.payments),
        "p50": _quantile(waits, 0.50),
        "p99": _quantile(waits, 0.99),
        "paced_p50": _quantile(steady, 0.50),
        "paced_p99": _quantile(steady, 0.99),
        "rate": rate,
    }


def _parts(payments: list[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    fifth = len(payments) // 5
    return payments[:fifth], payments[fifth:-fifth], payments[-fifth:]


def _pour(engine: Engine, payments: list[Payment], *, rate: float = 0.0) -> list[float]:
    """Submit payments with a bounded number on their way; returns each one's wait in milliseconds."""
    waits: list[float] = []
    on_way: deque[Future[Decision]] = deque()
    began = time.perf_counter()
    for number, payment in enumerate(payments):
        if rate:
            ahead = began + number / rate - time.perf_counter()
            if ahead > 0.001:
                time.sleep(ahead)
        elif len(on_way) >= IN_FLIGHT:
            waits.append(on_way.popleft().result().latency_us / 1000)
        on_way.append(engine.submit(payment, wait=True))
    waits += [future.result().latency_us / 1000 for future in on_way]
    return waits


def _quantile(waits: list[float], share: float) -> float:
    return statistics.quantiles(waits, n=1000)[round(share * 1000) - 1]


def _days_ago(days: int) -> int:
    return (time.time_ns() // 86_400_000_000_000 - days) * 86_400_000_000
