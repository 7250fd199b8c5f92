"""What a pilot's banks learn: each a detector of its own, and one that also reads what the banks know together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tallystick.apps.fraud.deciding import DecisionPolicy
from tallystick.apps.fraud.features import FEATURES, FeatureSource, Windows
from tallystick.apps.fraud.payments import Label
from tallystick.apps.fraud.training import Ranking, fit_detector, make_features, precision_recall
from tallystick.models import Fitted, Gate
from tallystick.node import Judged, Node

from ._history import DAY, BankHistory, History
from ._together import Together

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ARMS", "BUDGET", "BankLearned", "compare", "learn", "score_replay"]

ARMS: Final = ("alone", "with the list", "with federated features")
WHAT: Final = (
    "each bank's own payments, labels and model",
    "the same model; a payee on the shared list comes first",
    "the list, and a model of each bank that also reads the shared risk of terminals and payees",
)
BUDGET: Final = 0.005  # share of payments that may raise an alert
GAP: Final = 7 * DAY  # before the replay: what is younger is hardly reported yet
WARM: Final = 7 * DAY  # at the beginning: windows are still empty
DRAWS: Final = 200
TITLES: Final = {
    "payee_listed": "this payee is on the shared list",
    "payee_reports": "customers of all banks who reported this payee",
    "shared_payee_risk": "share of fraud at payees like this one, over all banks",
    "shared_terminal_risk": "share of fraud at this terminal, over all banks",
    **{feature.name: feature.title for feature in FEATURES},
}


@dataclass
class BankLearned:
    """One bank's detectors, and what they say of every payment of the replay.

    Args:
        local: from its own payments alone.
        federated: from what the banks know together too.
        state: the windows as the replay begins.
        scores: per case of `ARMS`: int64, one a replayed payment, higher is more suspicious.
        policies: thresholds of both detectors, by the budget, from the scores of the days before the replay.
        trained_on: payments that were learned from.
        frauds: among them, as far as they were known.
        held_out: matrices of both detectors and what was known, of the days before the replay.
    """

    local: Fitted
    federated: Fitted
    state: bytes
    scores: list[NDArray[np.int64]]
    policies: tuple[DecisionPolicy, DecisionPolicy]
    trained_on: int
    frauds: int
    held_out: tuple[Any, Any, Any]

    def judged(self, node: Node, gate: Gate, *, cohort: str) -> Iterator[tuple[str, Fitted, Judged]]:
        """Judge both detectors on the days before the replay: name, detector, and how good it is."""
        own, every, known = self.held_out
        labels = known.astype(int).tolist()
        for fitted, matrix in ((self.local, own), (self.federated, every)):
            yield (
                fitted.model.name,
                fitted,
                node.models.evaluate(fitted, matrix, labels, gate=gate, cohort=cohort, resamples=100),
            )


def learn(history: History, together: Together, number: int, *, seed: int) -> BankLearned:
    """Let one bank learn from what lies before the replay; nothing reads a label that was not known by then.

    Args:
        history: what is played.
        together: what the banks share, played up to the replay.
        number: of the bank.
        seed: of the training.

    Raises:
        DataError: too few known frauds to learn from.
    """
    import numpy as np

    bank, windows = history.banks[number], Windows()
    before = bank.payments[: bank.cut]
    own, names = make_features(before, _labels(bank, history.start), windows)
    shared = together.signals[number].look(before)
    at = bank.at[: bank.cut]
    rows = np.flatnonzero((at >= history.since + WARM) & (at < history.start - GAP))
    known = (bank.fraud[: bank.cut] & (bank.known_at[: bank.cut] <= history.start))[rows]
    every = np.hstack([own, shared])
    all_names = (*names, *together.signals[number].names)
    local = fit_detector(own[rows], known, names, name=f"fraud-{number}", titles=TITLES, seed=seed)
    federated = fit_detector(
        every[rows], known, all_names, name=f"fraud-{number}-shared", titles=TITLES, seed=seed
    )
    later = np.flatnonzero(at >= history.start - GAP)
    # Thresholds come from payments that were not learned from: on its own rows a model is surer than it will be.
    policies = tuple(
        DecisionPolicy.for_budget(_scores(fitted, matrix[later]), alert_budget=BUDGET)
        for fitted, matrix in ((local, own), (federated, every))
    )
    known_later = (bank.fraud[: bank.cut] & (bank.known_at[: bank.cut] <= history.start))[later]
    return BankLearned(
        local=local,
        federated=federated,
        state=windows.format_state(),
        scores=[],
        policies=(policies[0], policies[1]),
        trained_on=len(rows),
        frauds=int(known.sum()),
        held_out=(own[later], every[later], known_later),
    )


def score_replay(history: History, together: Together, learned: BankLearned, number: int) -> None:
    """Score every replayed payment in all three cases; the list and the risks must have been played to the end."""
    import numpy as np

    bank = history.banks[number]
    windows: FeatureSource = Windows.parse_state(learned.state)
    after = bank.payments[bank.cut :]
    late = [label for label in _labels(bank, history.until) if label.known_at > history.start]
    own, _ = make_features(after, late, windows)
    shared = together.signals[number].look(after)
    alone = _scores(learned.local, own)
    # A rule of all banks: a listed payee comes before everybody who is not, among each other by score.
    first = np.where(shared[:, 0] > 0, np.int64(2) ** 40, 0)
    federated = _scores(learned.federated, np.hstack([own, shared]))
    learned.scores = [alone, alone + first, federated + first]


def _labels(bank: BankHistory, until: int) -> list[Label]:
    """The frauds that are known by a time; a payment that nobody reports is never labelled."""
    places = (bank.fraud & (bank.known_at <= until)).nonzero()[0].tolist()
    return [Label(bank.payments[place], True, int(bank.known_at[place])) for place in places]


def _scores(fitted: Fitted, matrix: Any) -> Any:
    model = fitted.model
    return model.scores_inputs_many(model.quantiser.inputs_of_array(matrix))[:, 0]


# -- the three cases against each other ----------------------------------------------------------------------


def compare(history: History, learned: list[BankLearned]) -> tuple[list[dict[str, Any]], float]:
    """Judge the three cases on the replayed payments.

    Returns:
        Per case its figures, as they stand in the summary, and the share of genuine payments that each stops.
    """
    import numpy as np

    truth: list[Any] = [bank.fraud[bank.cut :] for bank in history.banks]
    value = [bank.amount[bank.cut :] for bank in history.banks]
    days = [bank.at[bank.cut :] // DAY for bank in history.banks]
    # Today's share of genuine payments stopped: what each bank's own detector stops within its alert budget.
    stops = [_above(one.scores[0], BUDGET) for one in learned]
    share = float(np.concatenate([s[~t] for s, t in zip(stops, truth, strict=True)]).mean())
    found, drawn = [], list[Any]()
    for case, (name, what) in enumerate(zip(ARMS, WHAT, strict=True)):
        banks = [
            {"value": _stopped(one.scores[case], t, v, d, share)}
            for one, t, v, d in zip(learned, truth, value, days, strict=True)
        ]
        # Banks rank their own payments; put side by side by their rank, one bank's scale does not rule the others'.
        ranks = np.concatenate([_ranks(one.scores[case]) for one in learned])
        t, v, d = (np.concatenate(parts) for parts in (truth, value, days))
        stopped = ranks >= _threshold(ranks[~t], share)
        once = np.ones((1, len(t)))
        ranking = Ranking(ranks, t, v)
        drawn.append(_drawn(ranks, t, v, d, share))
        found.append(
            {
                "average_precision": float(ranking.average_precision(once)[0]),
                "banks": banks,
                "curve": [list(point) for point in precision_recall(ranks, t, points=80)],
                "frauds_stopped": int((stopped & t).sum()),
                "gain": _gain(drawn[-1], drawn[0]),
                "name": name,
                "recall_at_budget": float(ranking.recall_at_budget(once, BUDGET)[0]),
                "value": _shown(drawn[-1]),
                "value_stopped": int(v[stopped & t].sum()),
                "what": what,
            }
        )
    return found, share


def _above(scores: Any, budget: float) -> Any:
    import numpy as np

    ordered = np.sort(scores)[::-1]
    most = int(len(scores) * budget)
    return scores > ordered[most] if most < len(ordered) else np.ones(len(scores), dtype=bool)


def _threshold(genuine: Any, share: float) -> Any:
    import numpy as np

    ordered = np.sort(genuine)[::-1]
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] + 1e-12


def _ranks(scores: Any) -> Any:
    """Share of the bank's payments that are less suspicious, equal ones counting half; float64."""
    import numpy as np

    ordered = np.sort(scores)
    low, high = np.searchsorted(ordered, scores, "left"), np.searchsorted(ordered, scores, "right")
    return (low + high) / 2 / max(len(scores), 1)


def _stopped(scores: Any, truth: Any, value: Any, days: Any, share: float) -> dict[str, float] | None:
    """Share of the fraud value that is stopped, with an interval from drawing whole days anew; None with too little."""
    return _shown(_drawn(scores, truth, value, days, share))


def _shown(values: Any) -> dict[str, float] | None:
    import numpy as np

    if values is None:
        return None
    low, high = np.nanquantile(values[1:], (0.025, 0.975))
    return {"high": float(high), "low": float(low), "value": float(values[0])}


def _gain(values: Any, alone: Any) -> dict[str, float] | None:
    """What a case stops more than each bank alone: on the same drawn days, so the days' own spread falls out."""
    return None if values is None or alone is None else _shown(values - alone)


def _drawn(scores: Any, truth: Any, value: Any, days: Any, share: float) -> Any:
    """The share that is stopped, then that of each draw; every case gets the same draws. None with too little."""
    import numpy as np

    numbers = np.unique(days, return_inverse=True)[1]
    count = int(numbers.max(initial=-1)) + 1
    if truth.sum() < 10 or count < 5:
        return None
    ranking = Ranking(scores, truth, value)
    drawn = np.random.default_rng(0).multinomial(count, [1 / count] * count, size=DRAWS).astype(np.float64)
    return np.concatenate(
        [
            ranking.value_stopped(np.ones((1, len(truth))), share),
            *(ranking.value_stopped(part[:, numbers], share) for part in np.array_split(drawn, 20)),
        ]
    )
