"""Random lives of an engine: payments, repeats, conflicts, labels, restarts and damaged snapshots, beside a plain account of them."""

from __future__ import annotations

import random
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from tests.made_engine import Bank, CountedWindows, payment

from tallystick.apps.fraud.deciding import Decision, EngineSettings
from tallystick.apps.fraud.payments import Label
from tallystick.errors import ConflictError


class Life:
    """One engine's life, and what it must have said."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.dice = random.Random(seed)
        self.bank = Bank(directory)
        self.snapshots = directory / "snapshots"
        self.windows = CountedWindows()
        self.said: dict[str, tuple[str, int | None]] = {}
        self.labels: dict[str, bool] = {}
        self.amounts: dict[str, int] = {}
        self.engine = self.open()

    def open(self) -> Any:
        settings = EngineSettings(
            batch=self.dice.choice([1, 3, 128]), snapshot_every=self.dice.choice([0, 7, 40])
        )
        return self.bank.engine(settings=settings, directory=self.snapshots)

    def pay(self) -> None:
        """Submit some payments at once, old and new, some of them with another content."""
        asked: list[tuple[str, int, Future[Decision]]] = []
        for _ in range(self.dice.randrange(1, 40)):
            number = self.dice.randrange(150)
            name, amount = f"p{number}", self.dice.choice([10, 10, 10, 7_000])
            asked.append((name, amount, self.engine.submit(payment(number, amount=amount), wait=True)))
        for name, amount, future in asked:
            self.hear(name, amount, future)

    def hear(self, name: str, amount: int, future: Future[Decision]) -> None:
        if self.amounts.setdefault(name, amount) != amount:
            with pytest.raises(ConflictError):
                future.result(20)
            return
        decision = future.result(20)
        assert decision.repeat == (name in self.said)
        assert self.said.setdefault(name, (decision.statement, decision.score)) == (
            decision.statement,
            decision.score,
        )
        if not decision.repeat:
            row = self.windows.take([payment(int(name[1:]), amount=amount)])[0].tolist()
            assert decision.score == int(row[0] + 3 * row[1] + 500 * row[2] + 2_000 * row[3])

    def label(self) -> None:
        if not self.said:
            return
        name, fraud = self.dice.choice(sorted(self.said)), self.dice.random() < 0.7
        self.engine.report_label(name, fraud, source="case")
        if self.labels.get(name) != fraud:
            self.labels[name] = fraud
            one = payment(int(name[1:]), amount=self.amounts[name])
            self.windows.learn([Label(one, fraud, one.at)])

    def restart(self) -> None:
        self.engine.close()
        if self.snapshots.exists() and self.dice.random() < 0.4:
            path = self.dice.choice(sorted(self.snapshots.iterdir()))
            data = bytearray(path.read_bytes())
            data[self.dice.randrange(len(data))] ^= 1
            path.write_bytes(data)
        self.bank.again()
        self.engine = self.open()
        assert self.engine.features.format_state() == self.windows.format_state()

    def end(self) -> None:
        found = self.engine.replay()
        assert (found.count, found.differ) == (len(self.said), 0)
        self.engine.close()
        self.bank.close()


@pytest.mark.parametrize("seed", range(4))
def test_a_random_life_is_the_one_that_was_told(tmp_path: Path, seed: int) -> None:
    life = Life(tmp_path, seed)
    for _ in range(40):
        life.dice.choices([life.pay, life.label, life.restart], weights=[6, 3, 2])[0]()
    life.restart()
    life.end()
    assert len(life.said) > 50
