"""What a run learned, as the plain figures that summary and report show."""

from __future__ import annotations

from typing import Any

from tallystick.apps.healthcare._data import problems
from tallystick.errors import DataError
from tallystick.learning import FederatedRun, train_alone
from tallystick.models import Evaluation, LinearModel, Split, Table, evaluate, fidelity_of_parameters

RESAMPLES = 1000


def learned(table: Table, parts: Split, run: FederatedRun) -> dict[str, Any]:
    """Judge a run on the held-out rows, against every site alone and against all rows pooled.

    Args:
        table: all rows.
        parts: how they were parted.
        run: trained on `parts.train`, one site per name.

    Returns:
        The entries "data", "model" and "evaluation" of a summary (see `_report`).
    """
    rounds = len(run.rounds) - 1
    pooled = train_alone(parts.train, rounds=rounds, settings=run.settings)
    models: dict[str, LinearModel | None] = {"federated": run.model, "pooled": pooled}
    sites = []
    for site in table.site_names:
        alone = _alone(parts.train.at(site), rounds, run)
        held_out = parts.test.at(site) if site in parts.test.sites else parts.test.take(())
        of = {name: _judge(model, held_out, parts.seed) for name, model in {**models, "alone": alone}.items()}
        sites.append({"site": site, **of})
    return {
        "data": _data(table, parts),
        "model": _model(run, parts),
        "evaluation": {
            **{name: _judge(model, parts.test, parts.seed) for name, model in models.items()},
            "sites": sites,
            "interval": f"95% bootstrap, {RESAMPLES} draws within each class, seed {parts.seed}",
        },
    }


def _alone(rows: Table, rounds: int, run: FederatedRun) -> LinearModel | None:
    try:
        return train_alone(rows, rounds=rounds, settings=run.settings)
    except DataError:
        return None  # a site whose rows have one target only has nothing to learn from alone


def _judge(model: LinearModel | None, rows: Table, seed: int) -> dict[str, Any]:
    if model is None:
        return _nothing(rows, "not enough data: the site's own training rows have one target only")
    scores = model.score_many(rows.by_name()).tolist()
    probabilities = [model.probability(score) for score in scores]
    return evaluate(probabilities, rows.targets, resamples=RESAMPLES, seed=seed).as_dict()


def _nothing(rows: Table, why_not: str) -> dict[str, Any]:
    empty = Evaluation(len(rows), sum(rows.targets), None, None, None, None, None, (), why_not)
    return empty.as_dict()


def _data(table: Table, parts: Split) -> dict[str, Any]:
    sites = []
    for site in table.site_names:
        train, test = (sum(name == site for name in part.sites) for part in (parts.train, parts.test))
        targets = table.at(site).targets
        sites.append({"site": site, "rows": len(targets), "yes": sum(targets), "train": train, "test": test})
    return {
        "name": table.name,
        "target": table.target,
        "rows": len(table),
        "train": len(parts.train),
        "test": len(parts.test),
        "seed": parts.seed,
        "columns": len(table.columns),
        "sites": sites,
        "mended": list(table.notes),
        "problems": problems(table),
    }


def _model(run: FederatedRun, parts: Split) -> dict[str, Any]:
    fidelity = fidelity_of_parameters(run.model, parts.test.by_name(), run.parameters)
    return {
        "name": run.model.name,
        "hash": run.model.hash,
        "bytes": len(run.model.bytes),
        "score_per_logit": run.model.unit,
        "rounds": len(run.rounds) - 1,
        "losses": [record.closed.loss for record in run.rounds if record.closed.loss is not None],
        "scaling": "federated: one mean and deviation per column from secure sums over all sites",
        "fidelity": {
            "rows": fidelity.rows,
            "equal_decisions": fidelity.equal_decisions,
            "largest_logit_error": fidelity.largest_logit_error,
        },
        "notes": list(run.notes),
    }
