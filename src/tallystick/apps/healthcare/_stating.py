"""What the pilot's hospitals state, step by step, each in its own journal through its own node."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tallystick.apps.healthcare._data import problems
from tallystick.learning import RoundClosed, RoundEvent, RoundOpened, UpdateCommitted, assess, bucket
from tallystick.models import LinearModel, Split, Table
from tallystick.node import Consortium, Node
from tallystick.proof import Draft, format_json

__all__ = ["Stated", "Stating"]

REASONS = 3


@dataclass(slots=True)
class Stated:
    """Ids of what was stated, by what it was.

    Args:
        data: site -> its registered data set.
        opened: the present round.
        updates: of the present round.
        closed: all closed rounds, the scaling round first.
        model: the published model.
        decisions: (site, statement id), in order.
    """

    data: dict[str, str] = field(default_factory=dict)
    opened: str = ""
    updates: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    model: str = ""
    decisions: list[tuple[str, str]] = field(default_factory=list)


class Stating:
    """Turns what happens into statements.

    Args:
        consortium: one node per site; the first also opens and closes the rounds.
        table: all rows.
        parts: how they were parted.
    """

    def __init__(self, consortium: Consortium, table: Table, parts: Split) -> None:
        self.nodes: dict[str, Node] = dict(zip(table.site_names, consortium.nodes, strict=True))
        self.coordinator = consortium.nodes[0]
        self.table, self.parts = table, parts
        self.stated = Stated()
        self._run = f"{table.name}-seed-{parts.seed}"

    def register(self) -> int:
        """State every site's data set and what was found in it; how many statements."""
        schema = hashlib.sha256(format_json(self.table.schema())).hexdigest()
        licence = {"licence": "CC BY 4.0"} if self.table.name == "heart" else {}
        for site, node in self.nodes.items():
            rows = self.table.at(site)
            body = {"rows": bucket(len(rows)), "schema": f"{self.table.name} {schema[:16]}", **licence}
            entry = node.record("data.registered", body, payload=rows.csv(), media="text/csv")
            self.stated.data[site] = entry.id
            found = {"findings": len(problems(rows)), "report": assess(rows)}
            node.record("data.assessed", found, links={"data": [entry.id]})
        return 2 * len(self.nodes)

    def round(self, event: RoundEvent) -> None:
        """State one event of the training."""
        said = {"round": event.number, "run": self._run}
        if isinstance(event, RoundOpened):
            links = {"data": list(self.stated.data.values())}
            body = {**said, "sites": len(event.cohort), "model": event.parameters_hash}
            self.stated.opened = self.coordinator.record("round.opened", body, links=links).id
            self.stated.updates = []
        elif isinstance(event, UpdateCommitted):
            links = {"data": [self.stated.data[event.site]], "round": [self.stated.opened]}
            body = {**said, "update": event.update_hash}
            # Masked: it tells nothing by itself, and whoever holds all of them can add them up again.
            entry = self.nodes[event.site].record("update.committed", body, links=links, payload=event.update)
            self.stated.updates.append(entry.id)
        else:
            self._close(event, said)

    def _close(self, event: RoundClosed, said: dict[str, Any]) -> None:
        links = {"round": [self.stated.opened], "update": self.stated.updates}
        if self.stated.closed:
            links["before"] = self.stated.closed[-1:]
        body = {**said, "aggregate": event.aggregate_hash, "updates": len(event.updates)}
        entry = self.coordinator.record("round.closed", body, links=links, payload=event.parameters)
        self.stated.closed.append(entry.id)

    def publish(self, model: LinearModel, evaluation: Mapping[str, Any]) -> int:
        """State the model, and at every site how good it is there; how many statements."""
        body = {"family": model.family, "model": model.hash, "name": model.name, "version": 1}
        links = {"round": self.stated.closed[-1:], "scaling": self.stated.closed[:1]}
        media = "application/json"
        entry = self.coordinator.record(
            "model.published", body, links=links, payload=model.bytes, media=media
        )
        self.stated.model = entry.id
        for of in evaluation["sites"]:
            figures = of["federated"]
            self.nodes[of["site"]].record(
                "evaluation.reported",
                {
                    "cohort": f"held out at {of['site']}, seed {self.parts.seed}",
                    "figures": {name: _figure(figures[name]) for name in ("accuracy", "auroc", "brier")},
                    "model": model.hash,
                    "rows": figures["count"],
                },
                links={"model": [entry.id]},
            )
        return 1 + len(evaluation["sites"])

    def decide(self, model: LinearModel) -> None:
        """Decide for every held-out row, at its own site; input, score and reasons stay sealed in the payload."""
        test = self.parts.test
        for site, node in self.nodes.items():
            drafts = [
                self._decision(model, test.row(place), f"{site}/{place}", site)
                for place, at in enumerate(test.sites)
                if at == site
            ]
            entries = node.record_many(drafts)
            self.stated.decisions += [(site, entry.id) for entry in entries]

    def _decision(self, model: LinearModel, row: dict[str, str | None], subject: str, site: str) -> Draft:
        score = model.score(row)
        reasons = [
            {"contribution": reason.contribution, "feature": reason.feature, "text": reason.text}
            for reason in model.reasons(row, REASONS)
        ]
        sealed = {
            "answer": model.decision([score]),
            "input": row,
            "probability": f"{model.probability(score):.4f}",
            "reasons": reasons,
            "score": score,
        }
        links = {"data": [self.stated.data[site]], "model": [self.stated.model]}
        return Draft(
            "decision.made", {"level": "L0", "model": model.hash}, links, fields=sealed, subject=subject
        )


def _figure(interval: Mapping[str, float] | None) -> str:
    if interval is None:
        return "not enough data"
    return f"{interval['value']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]"
