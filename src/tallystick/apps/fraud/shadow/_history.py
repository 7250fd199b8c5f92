"""Shadow mode over a bank's own history: its last days are played as if they came today.

Ours learns from what lies before, with the labels that were known by then; the present scorer's decisions of the last
days are stated one by one, and at the end both are compared where the truth is known by now.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tallystick.apps.fraud.features import Windows
from tallystick.apps.fraud.training import History, fit_detector, make_features
from tallystick.errors import DataError
from tallystick.models import IntegerModel
from tallystick.proof import Clock, system_clock

from ._comparison import Comparison, compare
from ._present import FileScorer, PresentScorer, Said
from ._shadow import Observed, Recorder, Shadow

__all__ = ["ShadowRun", "read_scores", "shadow_history"]

DAY: Final = 86_400_000_000  # microseconds
CHUNK: Final = 2_000  # payments between two looks at what labels became known
_YES: Final = frozenset({"1", "true", "yes"})


@dataclass(frozen=True)
class ShadowRun:
    """What came of it.

    Args:
        comparison: both scorers, where the truth is known.
        observed: every payment of the last days; its statement is durable.
        model: ours.
        learned_from: payments that it was trained on; 0 when it was given.
    """

    comparison: Comparison
    observed: tuple[Observed, ...]
    model: IntegerModel
    learned_from: int


def read_scores(
    path: Path, *, id_column: str, score_column: str, alert_column: str = "", alert_from: float | None = None
) -> FileScorer:
    """Read what the present scorer said, from a CSV file with a header.

    Args:
        path: the file.
        id_column: of the payments' ids.
        score_column: of the scores; decimals, higher is more suspicious.
        alert_column: of 0 or 1, whether it raised an alert; or
        alert_from: the least score that was an alert.

    Raises:
        DataError: the file cannot be read, a column is missing, or a cell does not fit; names the line.
    """
    if bool(alert_column) == (alert_from is not None):
        raise DataError("an alert must be said in one way: by a column, or by a least score")
    said: dict[str, Said] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            missing = {id_column, score_column, alert_column} - {*(rows.fieldnames or ()), ""}
            if missing:
                raise DataError(f"the scores have no column {min(missing)!r}")
            for number, row in enumerate(rows, start=2):
                said[_cell(row, id_column, number)] = _said(
                    row, number, score_column, alert_column, alert_from
                )
    except OSError as error:
        raise DataError(f"the scores cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError("the scores must be CSV in UTF-8") from error
    return FileScorer(said, source=f"column {score_column} of {path.name}")


def _cell(row: dict[str, Any], column: str, number: int) -> str:
    cell = row[column]
    if not cell:
        raise DataError(f"line {number}, column {column!r}: nothing stands there")
    return str(cell)


def _said(row: dict[str, Any], number: int, score: str, alert: str, least: float | None) -> Said:
    try:
        value = float(_cell(row, score, number))
    except ValueError as error:
        raise DataError(f"line {number}, column {score!r}: a score must be a number") from error
    if not -1e15 < value < 1e15:
        raise DataError(f"line {number}, column {score!r}: a score must be finite")
    return Said(value, _cell(row, alert, number).lower() in _YES if least is None else value >= least)


def shadow_history(
    recorder: Recorder,
    history: History,
    present: Callable[[tuple[str, ...]], PresentScorer],
    *,
    days: int = 14,
    model: IntegerModel | None = None,
    seed: int = 0,
    clock: Clock = system_clock,
    on_progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> ShadowRun:
    """Play the last days of a history.

    Args:
        recorder: makes the statements durable; a `Node` does.
        history: payments with labels, and when these became known.
        present: makes the present scorer, given the features' names.
        days: how many of the last days are played, >= 1.
        model: ours; trained on what lies before when None.
        seed: of the training.
        clock: microseconds since the epoch.
        on_progress: told how many payments were played, of how many.

    Raises:
        DataError: too short a history, too few frauds to learn from, or a payment without a score.
    """
    payments = history.payments
    start = payments[-1].at - days * DAY
    cut = next((place for place, payment in enumerate(payments) if payment.at > start), len(payments))
    if not 0 < cut < len(payments):
        raise DataError(f"the history must reach back further than the {days} days that are played")
    windows, labels = Windows(), sorted(history.labels, key=lambda label: label.known_at)
    before = payments[:cut]
    known = [label for label in labels if label.known_at <= start]
    matrix, names = make_features(before, known, windows)
    learned_from = 0
    if model is None:
        model, learned_from = _learn(matrix, names, before, known, seed)
    shadow = Shadow(recorder, present=present(names), model=model, features=windows, clock=clock)
    observed, waiting = list[Observed](), labels[len(known) :]
    for first in range(cut, len(payments), CHUNK):
        part = payments[first : first + CHUNK]
        due = [label for label in waiting if label.known_at <= part[0].at]
        windows.learn(due)
        waiting = waiting[len(due) :]
        observed += shadow.observe(part)
        on_progress(len(observed), len(payments) - cut)
    truth = {label.payment.id: label.fraud for label in labels}
    return ShadowRun(compare(observed, truth, seed=seed), tuple(observed), model, learned_from)


def _learn(
    matrix: Any, names: tuple[str, ...], payments: Any, known: Any, seed: int
) -> tuple[IntegerModel, int]:
    import numpy as np

    truth = {label.payment.id: label.fraud for label in known}
    rows = np.array([place for place, one in enumerate(payments) if one.id in truth], dtype=np.int64)
    if not len(rows):
        raise DataError("no label was known before the days that are played", hint="play fewer days")
    fraud = np.array([truth[payments[place].id] for place in rows.tolist()], dtype=bool)
    return fit_detector(matrix[rows], fraud, names, seed=seed).model, len(rows)
