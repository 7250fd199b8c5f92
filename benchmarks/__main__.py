"""Run the benchmarks: `make bench`, or `make bench ONLY=append,start`.

Prints the machine and a table with every reach, and writes `build/bench.json`. Ends with 1 when a reach is missed.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module, metadata
from pathlib import Path

from benchmarks.rows import Row

# Name that is typed -> module and function; the order of the table.
BENCHES = {
    "append": ("journal", "append"),
    "record": ("journal", "record"),
    "reverify": ("journal", "reverify"),
    "inclusion": ("journal", "inclusion"),
    "memory": ("journal", "memory"),
    "growth": ("growth", "growth"),
    "retention": ("growth", "retention"),
    "start": ("start", "start"),
    "chain": ("chain", "chain"),
    "score": ("scoring", "score"),
    "fidelity": ("fidelity", "fidelity"),
    "explain": ("explaining", "explain"),
    "gas-anchor": ("gas", "gas_anchor"),
    "gas-models": ("gas_models", "gas_models"),
    "executors": ("gas_models", "executors"),
    "gas-oracle": ("gas_oracle", "gas_oracle"),
    "oracle-watch": ("oracle_watch", "oracle_watch"),
    "fraud-http": ("fraud_http", "fraud_http"),
    "decision-append": ("decisions_journal", "decision_append"),
    "fraud-decide": ("fraud_engine", "fraud_decide"),
    "fraud-replay": ("fraud_engine", "fraud_replay"),
    "fraud-features": ("fraud_features", "features"),
    "fraud-memory": ("fraud_features", "memory"),
    "simulator": ("fraud_quality", "simulator"),
    "fraud-precision": ("fraud_quality", "precision"),
    "fraud-consortium": ("fraud_quality", "consortium"),
    "fraud-lookup": ("fraud_sharing", "fraud_lookup"),
    "network-follow": ("network_follow", "network_follow"),
    "network-up": ("network_up", "network_up"),
    "network-throughput": ("network_throughput", "network_throughput"),
    "network-final": ("network_throughput", "network_final"),
    "network-resume": ("network_resume", "network_resume"),
}
TOP = Path(__file__).resolve().parents[1]


def main() -> int:
    """Measure what was asked for."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    asked.add_argument("--only", default="", help=f"of {', '.join(BENCHES)}; separated by commas")
    asked.add_argument("--scale", type=float, default=1.0, help="below 1 makes quicker, rougher runs")
    asked.add_argument("--inside", default="", help=argparse.SUPPRESS)
    options = asked.parse_args()
    if options.inside:
        print(json.dumps([_plain(row) for row in _bench(options.inside)(options.scale)]))
        return 0
    names = [name.strip() for name in options.only.split(",") if name.strip()] or list(BENCHES)
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"error: unknown: {', '.join(unknown)}\nhint: known: {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    print(_machine())
    print(f"{'name':<26} {'value':>13} {'unit':<8} {'reach':>13}  {'':<6} peers in the same run")
    rows, failed = [], False
    for name in names:
        began = time.monotonic()
        found, error = _apart(name, options.scale)
        for row in found:
            rows.append(row)
            print(_line(row), flush=True)
        if error:
            failed = True
            print(f"{name:<26} FAILED: {error}", flush=True)
        print(f"{'':<26} ({time.monotonic() - began:.0f} s)", flush=True)
    place = TOP / "build" / "bench.json"
    place.parent.mkdir(exist_ok=True)
    place.write_text(json.dumps(rows, indent=2) + "\n")
    print(f"written to {place.relative_to(TOP)}")
    return 1 if failed or not all(row["holds"] for row in rows) else 0


def _bench(name: str) -> Callable[[float], list[Row]]:
    module, function = BENCHES[name]
    found: Callable[[float], list[Row]] = getattr(import_module(f"benchmarks.{module}"), function)
    return found


def _apart(name: str, scale: float) -> tuple[list[dict[str, object]], str]:
    """Run one bench in a process of its own, so that none warms or burdens the next."""
    gc.collect()
    words = [sys.executable, "-m", "benchmarks", "--inside", name, "--scale", str(scale)]
    done = subprocess.run(words, cwd=TOP, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return [], (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return json.loads(done.stdout.strip().splitlines()[-1]), ""


def _plain(row: Row) -> dict[str, object]:
    return {
        "name": row.name,
        "value": row.value,
        "unit": row.unit,
        "reach": row.reach,
        "sense": row.sense,
        "holds": row.holds,
        "peers": row.peers,
    }


def _line(row: dict[str, object]) -> str:
    value, reach = float(str(row["value"])), float(str(row["reach"]))
    peers = row["peers"] if isinstance(row["peers"], dict) else {}
    told = ", ".join(f"{name} {_figure(float(figure))}" for name, figure in peers.items())
    verdict = "holds" if row["holds"] else "MISSED"
    reach_text = f"{row['sense']} {_figure(reach)}"
    return f"{row['name']!s:<26} {_figure(value):>13} {row['unit']!s:<8} {reach_text:>13}  {verdict:<6} {told}".rstrip()


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.4g}"


def _machine() -> str:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        cpu = f"{len(models)} x {models[0]}" if models else cpu
    packages = ", ".join(
        f"{name} {metadata.version(name)}" for name in ("cryptography", "orjson", "tallystick")
    )
    return f"{cpu}, {platform.system()} {platform.release()}, Python {platform.python_version()}, {packages}"


if __name__ == "__main__":
    sys.exit(main())
