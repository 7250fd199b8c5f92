"""How good our detector of fraud is on SIMULATED payments, beside its peers, and what banks gain by sharing.

Average precision under the Fraud Detection Handbook's protocol: 7 days to learn from, 7 days until labels are known, 7
days to judge by, customers of known frauds left out. Every detector reads the same features and labels, which were
computed as a running service computes them. Seeds 0 to 4; settings of ours were chosen on others. The row is of the
trees for a service (`DEEP`); those that a contract executes as well stand beside it. The reach is the better forest.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.rows import Row

SEEDS = 5
PAYMENTS, DAYS = 120_000, 28
MADE = 1_000_000
BUDGET = 0.005
STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776}  # 97.5% points of t by degrees of freedom


@dataclass(frozen=True)
class Played:
    """One seed's SIMULATED payments with the features of one bank, or of all as if they were one."""

    made: Any
    rows: Any
    features: Any
    names: tuple[str, ...]

    @property
    def parted(self) -> Any:
        """The Handbook's protocol over these payments."""
        from tallystick.apps.fraud.training import time_split

        made, rows = self.made, self.rows
        return time_split(made.at[rows], made.fraud[rows], made.reported_at[rows], made.customer[rows])


def simulator(scale: float = 1.0) -> list[Row]:
    """Measure how long a million payments take, columns included, in seconds of processor time.

    Args:
        scale: below 1 makes fewer payments.
    """
    from tallystick.apps.fraud.simulator import SimulatorSettings, simulate

    count = int(MADE * scale)
    began = time.process_time()
    made = simulate(SimulatorSettings(payments=count, seed=0))
    took = time.process_time() - began
    if len(made) != count:
        raise RuntimeError("the simulator must make as many payments as it was asked for")
    began = time.process_time()
    some = list(made.payments()[: count // 20])
    each = (time.process_time() - began) / len(some) * count
    peers = {"one Payment each": took + each, "share of fraud": float(made.fraud.mean())}
    return [Row(f"simulator, {count:,} payments", took, "s cpu", 10, "<=", peers)]


def precision(scale: float = 1.0) -> list[Row]:
    """Measure average precision beside logistic regression, random forest and isolation forest.

    Args:
        scale: below 1 plays fewer seeds.
    """
    import numpy as np

    from tallystick.apps.fraud.training import average_precision

    found: dict[str, list[float]] = {}
    for seed in range(max(1, round(SEEDS * scale))):
        played = _play(seed)
        parted, fraud = played.parted, played.made.fraud[played.rows]
        learn, judge = played.features[parted.train], played.features[parted.test]
        for name, scores in _detectors(learn, parted.learned, judge, played.names, seed).items():
            found.setdefault(name, []).append(average_precision(scores, fraud[parted.test]))
    means = {name: float(np.mean(values)) for name, values in found.items()}
    own, forest = means.pop("tallystick"), means["random forest, balanced"]
    differ = np.array(found["tallystick"]) - np.array(found["random forest, balanced"])
    told = means | {f"ours, seed {seed}": value for seed, value in enumerate(found["tallystick"])}
    low, high = _interval(differ)
    return [
        Row("fraud-precision", own, "AP", forest, ">=", told),
        Row("fraud-precision/less forest", float(differ.mean()), "AP", 0.0, ">=", {"low": low, "high": high}),
    ]


def consortium(scale: float = 1.0) -> list[Row]:
    """Measure recall at the alert budget of three banks alone, and of the same banks with what they share.

    What they share comes into the model as four columns, and into the rules: a payee on the list comes first.

    Args:
        scale: below 1 plays fewer seeds.
    """
    import numpy as np

    from tallystick.apps.fraud.training import fit_detector, recall_at_budget, shared_columns
    from tallystick.apps.fraud.training import score as score_of

    reached_by_seed = []
    for seed in range(max(1, round(SEEDS * scale))):
        made = _simulate(seed, 150_000)
        shared, shared_names = shared_columns(made)
        found = []
        for bank in range(made.settings.banks):
            own = _features(made, bank)
            parted, truth = own.parted, made.fraud[own.rows]
            every = np.hstack([own.features, shared[own.rows]])
            reached = []
            for matrix, names in ((own.features, own.names), (every, (*own.names, *shared_names))):
                model = fit_detector(matrix[parted.train], parted.learned, names, seed=seed).model
                scores = score_of(model, matrix[parted.test])
                reached.append(recall_at_budget(scores, truth[parted.test], budget=BUDGET))
            # The rule that every member has: a listed payee comes first, whatever the model says. `scores` are of the
            # model that was fitted last, the one that reads the shared columns.
            first = np.where(shared[own.rows][parted.test, 0] > 0, scores + np.ptp(scores) + 1, scores)
            reached.append(recall_at_budget(first, truth[parted.test], budget=BUDGET))
            found.append(reached)
        reached_by_seed.append(np.mean(found, axis=0))
    by_seed = np.array(reached_by_seed)
    alone, model, rule = by_seed.mean(axis=0).tolist()
    told = {"alone": alone, "shared columns": model, "and the list first": rule}
    told |= {f"seed {seed}": float(one[2] / one[0] - 1) for seed, one in enumerate(by_seed)}
    gain = rule / alone - 1
    return [
        Row("fraud-consortium recall gain", gain, "share", 0.10, ">=", told),
        Row("fraud-consortium/columns only", model / alone - 1, "share", 0.10, ">=", {}),
    ]


def _simulate(seed: int, payments: int) -> Any:
    from tallystick.apps.fraud.simulator import SimulatorSettings, simulate

    return simulate(SimulatorSettings(payments=payments, days=DAYS, seed=seed))


def _play(seed: int) -> Played:
    return _features(_simulate(seed, PAYMENTS), None)


def _features(made: Any, bank: int | None) -> Played:
    from tallystick.apps.fraud.features import Windows
    from tallystick.apps.fraud.training import make_features

    features, names = make_features(made.payments(bank), made.labels(bank), Windows())
    return Played(made, made.rows(bank), features, names)


def _detectors(learn: Any, labels: Any, judge: Any, names: tuple[str, ...], seed: int) -> dict[str, Any]:
    """Return the scores of every detector over the test payments; the peers as they are usually set."""
    from sklearn.ensemble import IsolationForest, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from tallystick.apps.fraud.training import DEEP, fit_detector
    from tallystick.apps.fraud.training import score as score_of

    forest: dict[str, Any] = {
        "n_estimators": 100,
        "min_samples_leaf": 2,
        "random_state": seed,
        "n_jobs": 1,
    }
    peers = {
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000)),
        "random forest": RandomForestClassifier(**forest),
        "random forest, balanced": RandomForestClassifier(class_weight="balanced_subsample", **forest),
    }
    scores = {}
    for name, growth in (("tallystick", DEEP), ("ours, 50 trees of depth 4", None)):
        model = fit_detector(learn, labels, names, growth=growth, seed=seed).model
        scores[name] = score_of(model, judge)
    for name, peer in peers.items():
        scores[name] = peer.fit(learn, labels).predict_proba(judge)[:, 1]
    outliers = IsolationForest(n_estimators=100, random_state=seed, n_jobs=1).fit(learn)
    scores["isolation forest"] = -outliers.score_samples(judge)
    return scores


def _interval(differ: Any) -> tuple[float, float]:
    """Return the 95% interval of a mean over seeds, by Student's t."""
    if len(differ) < 2:
        return float("nan"), float("nan")
    half = STUDENT[len(differ) - 1] * float(differ.std(ddof=1)) / math.sqrt(len(differ))
    return float(differ.mean()) - half, float(differ.mean()) + half
