"""The comparison from the journal: what was stated live, and the labels that were stated since."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tallystick.apps.fraud.deciding import payment_key
from tallystick.errors import ConfigurationError, DisposedError, NotFoundError

from ._comparison import Columns, Comparison, compare_columns
from ._stating import DECISION_KIND, LABEL_KIND, Reading, observed_of, sealed_of

__all__ = ["StatedScorer", "compare_stated", "find_scorer"]

DAY: Final = 86_400_000_000  # microseconds


@dataclass(frozen=True, slots=True)
class StatedScorer:
    """Whose decisions stand in a journal.

    Args:
        scorer: hash of the present scorer.
        model: hash of our model beside it.
    """

    scorer: str
    model: str


def find_scorer(journal: Reading, *, scorer: str = "") -> StatedScorer:
    """Return whose decision was observed last, and which model of ours stood beside it.

    Args:
        journal: to read.
        scorer: hash of the present scorer; any when empty.

    Raises:
        NotFoundError: no decision was observed in this journal, or none of that scorer.
    """
    for index in range(journal.size - 1, -1, -1):
        try:
            entry = journal.entry(index)
        except DisposedError:
            break
        said = entry.statement
        if said.kind != DECISION_KIND or (scorer and said.body.get("model") != scorer):
            continue
        sealed = sealed_of(journal, entry)
        if sealed is not None and "beside" in sealed:
            return StatedScorer(said.body["model"], sealed["beside"]["model"])
    raise NotFoundError(
        "no observed decision of this scorer stands in the journal" if scorer else "nothing was observed here"
    )


def compare_stated(
    journal: Reading,
    *,
    scorer: str,
    model: str,
    days: int,
    now: int,
    genuine_after_days: int | None = None,
    resamples: int = 500,
    seed: int = 0,
) -> Comparison:
    """Compare both scorers over the decisions that were stated in the last days. Reads the journal only.

    The last label of a payment counts. Observations with another model of ours beside them are left out, and so are
    those that were erased. Keeps 26 bytes for each payment with a known outcome, and about 100 for each label.

    Args:
        journal: to read.
        scorer: hash of the present scorer.
        model: hash of our model.
        days: how far back, by the time of the statement, >= 1.
        now: microseconds since the epoch.
        genuine_after_days: payments that were stated so many days ago and bear no label count as genuine: most banks
            hear of frauds only. They are left out when None.
        resamples: draws for the interval.
        seed: of the draws.

    Raises:
        ConfigurationError: days below 1.
        DamagedError: an observation cannot be read.
    """
    if days < 1 or (genuine_after_days is not None and genuine_after_days < 1):
        raise ConfigurationError("days must be at least 1")
    stop, since = journal.size, now - days * DAY
    genuine_until = 0 if genuine_after_days is None else now - genuine_after_days * DAY
    labels = _labels(journal, stop)
    columns, observed, assumed = Columns(), 0, 0
    for entry in journal.entries(0, stop, kinds=(DECISION_KIND,)):
        said = entry.statement
        if said.at <= since or said.body.get("model") != scorer:
            continue
        sealed = sealed_of(journal, entry)
        if sealed is None or sealed.get("beside", {}).get("model") != model:
            continue
        one = observed_of(sealed, entry.id)
        observed += 1
        fraud = labels.get(payment_key(one.payment.id))
        if fraud is None:
            if said.at > genuine_until:
                continue
            assumed, fraud = assumed + 1, False
        payment = one.payment
        columns.add(
            fraud=fraud, alert=one.alert, score=one.score, value=payment.amount, day=payment.at // DAY
        )
    return compare_columns(columns, observed=observed, assumed=assumed, resamples=resamples, seed=seed)


def _labels(journal: Reading, stop: int) -> dict[bytes, bool]:
    """Return what is known of payments by now; a later word takes the place of an earlier one."""
    labels = {}
    for entry in journal.entries(0, stop, kinds=(LABEL_KIND,)):
        sealed = sealed_of(journal, entry)
        if sealed is not None:
            labels[payment_key(sealed["payment"])] = bool(sealed["fraud"])
    return labels
