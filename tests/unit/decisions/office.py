"""A party with a journal, a clock that tests move, two models and a desk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from tallystick.decisions import Answer, Deadlines, Desk, Oversight, Rule
from tallystick.errors import NotFoundError
from tallystick.models import ONE, YES_OR_NO, CategoryFeature, LinearModel, NumericFeature, Quantiser
from tallystick.node import Node

START = 1_795_000_000_000_000
SECOND = 1_000_000
DAY = 24 * 60 * 60
DEADLINES = Deadlines(confirm_s=600, appeal_s=30 * DAY, review_s=7 * DAY)


def heart(name: str = "heart", *, bias: int = -100_000) -> LinearModel:
    """A model that says yes to who is older than about 52."""
    age = NumericFeature("age", "age (years)", 0, 0, 1, -200, 200, 0, True)
    sex = CategoryFeature("sex", "sex", ("female", "male"), True)
    return LinearModel(
        name=name, target="heart disease", quantiser=Quantiser((age, sex)), labels=YES_OR_NO,
        unit=ONE << 10, threshold=0, weights=((2_000, 0, 0, 2, 0),), biases=(bias,), centre=(50, 0, 0, 0, 0),
    )  # fmt: skip


def three_ways() -> LinearModel:
    return replace(
        heart("route"), labels=("left", "middle", "right"),
        weights=((1, 0, 0, 0, 0), (2, 0, 0, 0, 0), (-1, 0, 0, 0, 0)), biases=(0, -50, 5),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Version:
    hash: str
    published: str
    stage: str


class Shelf:
    """Models by name, as a registry gives them."""

    def __init__(self) -> None:
        self.models: dict[str, Any] = {}
        self.versions: dict[str, Version] = {}

    def put(self, model: Any, published: str, *, stage: str = "promoted") -> None:
        self.models[model.hash] = model
        self.versions[model.name] = Version(model.hash, published, stage)

    def find(self, what: str) -> Version:
        for name, version in self.versions.items():
            if what in (name, version.hash):
                return version
        raise NotFoundError(f"expected one model {what!r}, got 0")

    def model(self, version: Version) -> Any:
        return self.models[version.hash]


class Office:
    """A clinic that asks a model, and its people."""

    def __init__(self, path: Path) -> None:
        self.now = START
        self.path = path
        self.node = Node.init(
            path,
            name="Clinic North",
            passphrase="x",
            scrypt_n=2**4,
            clock=lambda: self.now,
            heads=path.parent / "heads",
        )
        self.shelf = Shelf()
        for model in (heart(), three_ways()):
            self.publish(model)
        self.open()

    def open(self) -> None:
        """Build what is computed from the journal, as a start does."""
        self.oversight = Oversight(self.node, deadlines=DEADLINES, clock=lambda: self.now)
        self.desk = self.desk_with()

    def restart(self) -> None:
        """Close everything and open it again from the disk."""
        self.node.close()
        self.node = Node.open(
            self.path, passphrase="x", clock=lambda: self.now, heads=self.path.parent / "heads"
        )
        self.open()

    def desk_with(self, **options: Any) -> Desk:
        rule = Rule("over-65", lambda row: "yes" if int(row["age"] or 0) > 65 else "no")
        given: dict[str, Any] = {"oversight": self.oversight, "rule": rule, "clock": lambda: self.now}
        return Desk(self.node, self.shelf, **{**given, **options})

    def publish(self, model: Any, *, stage: str = "promoted") -> None:
        body = {"family": model.family, "model": model.hash, "name": model.name, "version": 1}
        self.shelf.put(model, self.node.record("model.published", body, payload=model.bytes).id, stage=stage)

    def ask(self, age: int = 70, **options: Any) -> Answer:
        return self.desk.ask("heart", row(age), **{"by": "dr-1", **options})

    def pass_time(self, seconds: int) -> None:
        self.now += seconds * SECOND

    def kinds(self) -> list[str]:
        return [entry.statement.kind for entry in self.node.journal.entries()][2:]

    def __enter__(self) -> Office:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.node.close()


def row(age: int | str = 70, sex: str | None = "male") -> dict[str, str | None]:
    return {"age": str(age), "sex": sex}
