"""How fast one row's score is taken apart exactly: 50 trees of depth 4 over 30 inputs.

The trees are grown by LightGBM, so that its own `pred_contrib` explains the very same ones in the same process. Both
must agree before anything is measured. The figure is the whole way from a row of decimal texts to parts by name; the
peers start from an array of floats.

Many rows at once start from int16 inputs, as a service that scores them has them.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from benchmarks.rows import Row
from benchmarks.scoring import median_s

TREES, DEPTH, WIDTH, ROWS = 50, 4, 30, 10_000
REACH_US = 300
MANY_REACH_US = {128: 25, 8: 60}  # by rows at once


def explain(scale: float = 1.0) -> list[Row]:
    """Measure explaining against its reach.

    Args:
        scale: below 1 repeats less often.

    Returns:
        Microseconds for one row, alone and among others.
    """
    os.environ["OMP_NUM_THREADS"] = "1"  # read by LightGBM when it is loaded
    import numpy as np

    dice = np.random.default_rng(2)
    rows = dice.integers(-(2**15), 2**15, (ROWS, WIDTH)).astype(np.float64)
    booster = _grow(rows, dice)
    model = _model(booster)
    row = {f"f{place}": str(int(value)) for place, value in enumerate(rows[0])}
    theirs = booster.predict(rows[:1], pred_contrib=True)[0]
    ours = [*model.contributions(row).values(), model.base_score()]
    # A leaf is rounded to half a unit, and a part adds at most one leaf of each tree.
    if max(abs(np.array(ours) / model.unit - theirs)) > TREES / model.unit:
        raise RuntimeError("both must explain the same trees alike")
    often = max(200, int(3_000 * scale))
    peers = {
        "LightGBM pred_contrib": partial(booster.predict, rows[:1], pred_contrib=True, num_threads=1),
        "LightGBM pred_contrib, 1 of 10,000": None,
        "reading the row": partial(model.quantiser.inputs, row),
    }
    many_s = median_s(partial(booster.predict, rows, pred_contrib=True, num_threads=1), 3)
    took = {
        name: 1e6 * (many_s / ROWS if work is None else median_s(work, often)) for name, work in peers.items()
    }
    own = 1e6 * median_s(partial(model.contributions, row), often)
    return [Row(f"explain {TREES} trees", own, "us", REACH_US, "<=", took), *_many(model, rows, often, own)]


def _many(model: Any, rows: Any, often: int, alone: float) -> list[Row]:
    """Measure the parts of many rows at once; they must be those of each row alone."""
    import numpy as np

    inputs, cells = rows.astype(np.int16), {f"f{i}": str(int(value)) for i, value in enumerate(rows[0])}
    if not np.allclose(
        model.contributions_inputs_many(inputs[:1])[0], [*model.contributions(cells).values()]
    ):
        raise RuntimeError("many rows must be explained as each alone")
    made = []
    for count, reach in MANY_REACH_US.items():
        some = inputs[:count]
        took = 1e6 * median_s(partial(model.contributions_inputs_many, some), often) / count
        told = 1e6 * median_s(partial(model.reasons_inputs_many, some, 4), often) / count
        peers = {"one row alone": alone, "with four reasons and their texts": told}
        made.append(Row(f"explain/{count} rows at once", took, "us", reach, "<=", peers))
    return made


def _grow(rows: Any, dice: Any) -> Any:
    import lightgbm

    labels = (rows @ dice.normal(size=WIDTH) + dice.normal(size=len(rows)) > 0).astype(int)
    settings = {
        "objective": "binary", "num_leaves": 2**DEPTH, "max_depth": DEPTH, "num_threads": 1, "verbose": -1
    }  # fmt: skip
    return lightgbm.train(settings, lightgbm.Dataset(rows, labels), TREES)


def _model(booster: Any) -> Any:
    from tallystick.models import NumericFeature, Quantiser
    from tallystick.models._float_trees import (
        FloatTree,
        assemble_trees,
    )  # the trees as they are, on whole numbers

    low, high = -(2**15), 2**15 - 1
    columns = (NumericFeature(f"f{i}", f"f{i}", 0, 0, 1, low, high, 0, False) for i in range(WIDTH))
    trees = [FloatTree.of_lightgbm(tree["tree_structure"]) for tree in booster.dump_model()["tree_info"]]
    return assemble_trees(
        [trees], [0.0], depth=DEPTH, name="grown", target="something", quantiser=Quantiser(tuple(columns)),
        labels=("no", "yes"), threshold=0,
    )  # fmt: skip
