"""Tables: who has heart disease, by integer models of 920 patients of four hospitals, with reasons.

The UCI heart disease table (CC BY 4.0; Janosi, Steinbrunn, Pfisterer, Detrano) ships with the package. A linear model
and fifty trees are trained on quantised columns and judged by patients that neither has seen; the linear one, which a
contract executes for the least gas, is published and asked.

    pip install 'tallystick[ai]' && python examples/tabular_heart.py
"""

from __future__ import annotations

import tempfile
from importlib import resources
from pathlib import Path

from tallystick.models import fit_linear, fit_trees, load_csv, parse_model, split
from tallystick.node import Node

FILE = resources.files("tallystick.apps.healthcare") / "heart_disease_uci.csv"


def main() -> None:
    """Train, judge, publish, ask, and compute the answer again from the file alone."""
    with resources.as_file(FILE) as path:
        table = load_csv(path, target="num", site="dataset", positive=">0")
    parts = split(table, test_per_mille=250, seed=3)
    labels = ("no disease", "disease")
    fits = {
        "linear": fit_linear(parts.train, name="heart", labels=labels, held_out=0),
        "50 trees": fit_trees(parts.train, name="heart", labels=labels, trees=50, depth=3, held_out=0),
    }

    with (
        tempfile.TemporaryDirectory() as place,
        Node.init(
            Path(place) / "clinic", name="Heart Clinic", passphrase="an example", heads=Path(place) / "heads"
        ) as node,
    ):
        rows, truth = parts.test.by_name(), parts.test.targets
        judged = {
            name: node.models.evaluate(fit.model, rows, truth, resamples=200) for name, fit in fits.items()
        }
        for name, found in judged.items():
            cost = fits[name].fidelity
            print(
                f"{name:<9} AUROC {found.evaluation.auroc.text()}, {found.correct} of {found.rows} right; "
                f"integers decide as floats in {cost.equal_decisions} of {cost.rows}"
            )
        model = fits["linear"].model
        version = node.models.publish(model, "heart", evaluation=judged["linear"])
        print(f"published {version.label}, family {version.family}, file {version.hash[:12]}…")

        answer = node.ask("heart", rows[0], subject="patient 1")
        print(f"\nthe answer is {answer.decision} ({answer.probability:.0%}), because")
        for reason in answer.reasons:
            print(f"  {reason.text}")
        print(f"stated as {answer.statement[:12]}… at level {answer.level}: {answer.words}")
        again = parse_model(model.bytes).score(rows[0])
        print(f"computed again from the model's file: {'equal' if again == answer.score else 'DIFFERENT'}")


if __name__ == "__main__":
    main()
