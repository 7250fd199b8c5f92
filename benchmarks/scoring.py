"""How fast integer models score: many rows by numpy, one row by onnxruntime.

The model has 50 complete trees of depth 4 over 30 int16 inputs, every threshold another one: the worst case of
comparing first. Peers, in the same process on one thread: scikit-learn's booster and LightGBM's (when installed),
fitted with 50 trees of 16 leaves on the same rows, and the very same trees as an ONNX float ensemble, which
onnxruntime runs by an operator made for it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from benchmarks.rows import Row

TREES, DEPTH, WIDTH, ROWS = 50, 4, 30, 10_000
MANY_REACH = 1_000_000
ONE_REACH_US = 60


def score(scale: float = 1.0) -> list[Row]:
    """Measure scoring against its reaches.

    Args:
        scale: below 1 repeats less often.

    Returns:
        Rows a second by numpy, by the clock and by the processor's time; microseconds for one row by onnxruntime.
    """
    os.environ["OMP_NUM_THREADS"] = "1"  # read by the peers when they are loaded
    import numpy as np

    from tallystick.models import OnnxBackend

    model = _model()
    dice = np.random.default_rng(2)
    inputs = dice.integers(-(2**15), 2**15, (ROWS, WIDTH)).astype(np.int16)
    backend = OnnxBackend(model)
    if not np.array_equal(model.scores_inputs_many(inputs), backend.scores_inputs_many(inputs)):
        raise RuntimeError("numpy and onnxruntime must give the same scores")
    peers = _peers(model, inputs)
    one, plain = inputs[:1], inputs[0].tolist()
    often, seldom = max(200, int(3_000 * scale)), max(100, int(300 * scale))

    def many(clock: Callable[[], float]) -> dict[str, float]:
        works = {"own": model.scores_inputs_many, **peers}
        times = max(5, int(60 * scale))
        return {name: ROWS / median_s(partial(work, inputs), times, clock) for name, work in works.items()}

    by_clock, by_processor = many(time.perf_counter), many(time.process_time)
    one_row = {name: 1e6 * median_s(partial(work, one), seldom) for name, work in peers.items()}
    one_row["numpy"] = 1e6 * median_s(partial(model.scores_inputs_many, one), seldom)
    one_row["pure Python"] = 1e6 * median_s(partial(model.scores_inputs, plain), seldom)
    onnx_us = 1e6 * median_s(partial(backend.scores_inputs_many, one), often)
    name = f"score {TREES} trees"
    return [
        Row(f"{name}, numpy", by_clock.pop("own"), "1/s", MANY_REACH, ">=", by_clock),
        Row(f"{name}, numpy, CPU", by_processor.pop("own"), "1/s", MANY_REACH, ">=", by_processor),
        Row(f"{name}, ONNX", onnx_us, "us", ONE_REACH_US, "<=", one_row),
    ]


def median_s(work: Callable[[], object], times: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the median time of one call, in seconds."""
    work()
    took = []
    for _ in range(times):
        began = clock()
        work()
        took.append(clock() - began)
    return median(took)


def _model() -> Any:
    import numpy as np

    from tallystick.models import NumericFeature, Quantiser, TreeArrays, TreeModel

    dice = np.random.default_rng(1)
    low, high = -(2**15), 2**15 - 1
    quantiser = Quantiser(
        tuple(NumericFeature(f"f{i}", f"f{i}", 0, 0, 1, low, high, 0, False) for i in range(WIDTH))
    )
    nodes, leaves = 2**DEPTH - 1, 2**DEPTH
    arrays = TreeArrays(
        dice.integers(0, WIDTH, (TREES, nodes)).astype(np.uint8),
        dice.integers(low, high + 1, (TREES, nodes)).astype(np.int16),
        dice.integers(low, high + 1, (TREES, leaves)).astype(np.int16),
        np.ones((TREES, leaves), np.uint32),
    )
    return TreeModel.of(
        arrays, name="random", target="something", quantiser=quantiser, labels=("no", "yes"), unit=4096,
        threshold=0, depth=DEPTH, bases=(0,),
    )  # fmt: skip


def _peers(model: Any, inputs: Any) -> dict[str, Callable[[Any], object]]:
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier

    labels = model.scores_inputs_many(inputs)[:, 0] >= 0
    booster = HistGradientBoostingClassifier(
        max_iter=TREES, max_depth=DEPTH, max_leaf_nodes=2**DEPTH, early_stopping=False, random_state=1
    ).fit(inputs.astype(np.float64), labels)
    floats = inputs.astype(np.float64)
    peers: dict[str, Callable[[Any], object]] = {
        "scikit-learn": lambda rows: booster.decision_function(floats[: len(rows)])
    }
    try:
        import lightgbm
    except (ImportError, OSError):  # its wheel needs the system's libgomp1
        pass
    else:
        settings = {
            "objective": "binary", "num_leaves": 2**DEPTH, "max_depth": DEPTH, "num_threads": 1, "verbose": -1
        }  # fmt: skip
        fitted = lightgbm.train(settings, lightgbm.Dataset(floats, labels), TREES)
        peers["LightGBM"] = lambda rows: fitted.predict(floats[: len(rows)], raw_score=True, num_threads=1)
    session, singles = _float_session(model), inputs.astype(np.float32)
    peers["ONNX float trees"] = lambda rows: session.run(None, {"x": singles[: len(rows)]})
    return peers


def _float_session(model: Any) -> Any:
    """Open the model's trees as ONNX's own float ensemble."""
    from onnx import TensorProto, helper

    from tallystick.models._runtime import open_session  # with telemetry off, on one thread

    features, thresholds, leaves, _ = model.arrays
    inner, whole = features.shape[1], features.shape[1] + leaves.shape[1]
    told: dict[str, list[Any]] = {
        "nodes_treeids": [], "nodes_nodeids": [], "nodes_featureids": [], "nodes_values": [], "nodes_modes": [],
        "nodes_truenodeids": [], "nodes_falsenodeids": [], "target_treeids": [], "target_nodeids": [],
        "target_ids": [], "target_weights": [],
    }  # fmt: skip
    for tree in range(len(features)):
        for node in range(whole):
            is_inner = node < inner
            told["nodes_treeids"].append(tree)
            told["nodes_nodeids"].append(node)
            told["nodes_featureids"].append(int(features[tree, node]) if is_inner else 0)
            told["nodes_values"].append(float(thresholds[tree, node]) if is_inner else 0.0)
            told["nodes_modes"].append("BRANCH_LEQ" if is_inner else "LEAF")
            told["nodes_truenodeids"].append(2 * node + 1 if is_inner else 0)
            told["nodes_falsenodeids"].append(2 * node + 2 if is_inner else 0)
        for leaf in range(leaves.shape[1]):
            told["target_treeids"].append(tree)
            told["target_nodeids"].append(inner + leaf)
            told["target_ids"].append(0)
            told["target_weights"].append(float(leaves[tree, leaf]))
    node = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1, post_transform="NONE", **told
    )
    graph = helper.make_graph(
        [node],
        "trees",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 2)]
    return open_session(helper.make_model(graph, opset_imports=opsets, ir_version=7).SerializeToString())
