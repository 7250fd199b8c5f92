"""What tests of the decision engine share: windows that count, a small model over them, a bank with a journal."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tallystick.apps.fraud import APP
from tallystick.apps.fraud.deciding import DecisionPolicy, Detector, Detectors, Engine, EngineSettings
from tallystick.apps.fraud.payments import Label, Payment
from tallystick.decisions import Deadlines, Oversight
from tallystick.models import LinearModel, NumericFeature, Quantiser
from tallystick.proof import STANDARD_KINDS, Draft, Entry, Files, Journal, Party

START = 1_790_000_000_000_000
NAMES = ("amount", "customer_count", "payee_is_new", "payee_fraud")
POLICY = DecisionPolicy(1_000, 5_000, 20_000)


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        self.now += 1
        return self.now


class CountedWindows:
    """Counts over all time instead of windows: order matters, so a wrong restart shows."""

    names = NAMES

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        told = state or {}
        self.customers = Counter[str](told.get("customers", {}))
        self.pairs = set(told.get("pairs", ()))
        self.frauds = Counter[str](told.get("frauds", {}))
        self.late_taken = 0
        self.batches: list[int] = []

    def take(self, payments: Sequence[Payment]) -> Any:
        self.batches.append(len(payments))
        rows = []
        for one in payments:
            pair = f"{one.customer}/{one.payee}"
            new, frauds = float(pair not in self.pairs), float(self.frauds[one.payee])
            rows.append([float(one.amount), float(self.customers[one.customer]), new, frauds])
            self.customers[one.customer] += 1
            self.pairs.add(pair)
        return np.array(rows, dtype=np.float64).reshape(-1, len(NAMES))

    def learn(self, labels: Sequence[Label]) -> None:
        for label in labels:
            self.frauds[label.payment.payee] += 1 if label.fraud else -1

    def format_state(self) -> bytes:
        frauds = {name: count for name, count in self.frauds.items() if count}
        told = {"customers": dict(self.customers), "frauds": frauds, "pairs": sorted(self.pairs)}
        return json.dumps(told, sort_keys=True).encode()

    @classmethod
    def parse_state(cls, data: bytes) -> CountedWindows:
        return cls(json.loads(data))


def made_model(
    weights: Sequence[int] = (1, 3, 500, 2_000), *, outside: Any = "clip", name: str = "made"
) -> LinearModel:
    """Score = amount + 3 * earlier payments + 500 for a new payee + 2,000 * its frauds, in whole numbers."""
    features = tuple(
        NumericFeature(one, one.replace("_", " "), 0, 0, 1, -(2**15), 2**15 - 1, 0, False, outside)
        for one in NAMES
    )
    return LinearModel(
        name=name, target="fraud", quantiser=Quantiser(features), labels=("no", "yes"), unit=4_096, threshold=5_000,
        weights=(tuple(weights),), biases=(0,), centre=(0,) * len(NAMES),
    )  # fmt: skip


def made_detectors(**fields: Any) -> Detectors:
    return Detectors(Detector(made_model(**fields)))


def payment(number: int, *, amount: int = 100, **fields: Any) -> Payment:
    told: dict[str, Any] = {
        "customer": f"customer-{number % 7}",
        "payee": f"payee-{number % 3}",
        **fields,
    }
    return Payment(f"p{number}", told.pop("at", START + number), amount, told.pop("currency", "EUR"), **told)


class Bank:
    """A party and its journal, as a node has them."""

    def __init__(
        self, directory: Path, *, party: Party | None = None, files: Files | None = None, clock: Any = None
    ) -> None:
        self.directory, self.clock = directory, clock or Clock()
        self.party = party or Party.create("Bank A")
        self.journal = Journal.open(
            directory / "journal",
            party=self.party,
            clock=self.clock,
            kinds=STANDARD_KINDS.extended(APP.kinds),
            files=files,
        )
        self.oversight = Oversight(self, deadlines=Deadlines(), clock=self.clock)

    def record_many(self, drafts: Sequence[Draft]) -> list[Entry]:
        return self.journal.append_many(drafts)

    def engine(self, **fields: Any) -> Engine:
        told: dict[str, Any] = {
            "models": made_detectors(),
            "features": CountedWindows(),
            "policy": POLICY,
            "oversight": self.oversight,
            "clock": self.clock,
            "settings": EngineSettings(snapshot_every=0),
            **fields,
        }
        return Engine(self, **told)

    def again(self) -> Bank:
        """Close and open anew, as after a restart."""
        self.journal.close()
        self.__init__(self.directory, party=self.party, clock=self.clock)  # type: ignore[misc]
        return self

    def close(self) -> None:
        self.journal.close()
