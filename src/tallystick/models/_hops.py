"""What a decision states, and how anybody who may open it computes it again.

A decision's payload is a record of fields, so that one reason can be shown and the rest stays closed:

    {"decision": "yes", "input": [{"name": "age", "value": "63"}, ...], "probability": "0.8312",
     "reasons": [{"contribution": 5120, "feature": "age", "text": "..."}], "score": 12345}

The input is a list because a column's name may hold any character, a field's path may not.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from tallystick.errors import VerificationError
from tallystick.models._file import parse_model
from tallystick.models._linear import LinearModel
from tallystick.models._table import Row
from tallystick.proof import Resolve, Traced

__all__ = ["decision_record", "recheck_decision"]

_parse_model = lru_cache(maxsize=8)(parse_model)  # one model decides many times


def decision_record(model: LinearModel, row: Row, *, reasons: int = 3) -> dict[str, Any]:
    """Score a row and write down all that the decision's statement commits to.

    Args:
        model: the model that decides.
        row: the model's columns, cells as text.
        reasons: how many reasons, 1 to 4.

    Raises:
        ModelInputError: the row does not fit the model.
    """
    score = model.score(row)
    return {
        "decision": "yes" if model.decide(score) else "no",
        "input": [{"name": name, "value": row[name]} for name in sorted(row)],
        "probability": f"{model.probability(score):.4f}",
        "reasons": [
            {"contribution": reason.contribution, "feature": reason.feature, "text": reason.text}
            for reason in model.reasons(row, reasons)
        ],
        "score": score,
    }


def recheck_decision(decision: Traced, published: Traced, resolve: Resolve) -> str | None:
    """Compute a decision again from its opened input and the opened model file; a hop check of ``trace``.

    Args:
        decision: a ``decision.made`` whose payload is a ``decision_record``.
        published: the ``model.published`` that it links, whose payload is the model file.
        resolve: not needed.

    Returns:
        What came out the same; None when input, score or model are not opened.

    Raises:
        VerificationError: another model, or another score or decision than the one stated.
        ModelFileError: what was published is no model file.
    """
    stated, file = decision.report.opened, published.report.opened
    row = _row(stated) if isinstance(stated, dict) else None
    if row is None or not isinstance(file, bytes):
        return None
    model = _parse_model(file)
    named = {decision.receipt.statement.body.get("model"), published.receipt.statement.body.get("model")}
    if named != {model.hash}:
        raise VerificationError("the model file is not the one that decided")
    score = model.score(row)
    if score != stated["score"] or stated.get("decision", _word(model, score)) != _word(model, score):
        raise VerificationError("the model gives another score or decision than the one stated")
    return f"{model.name} gives the same score again, {score}"


def _word(model: LinearModel, score: int) -> str:
    return "yes" if model.decide(score) else "no"


def _row(stated: Mapping[str, Any]) -> dict[str, str | None] | None:
    """The input among opened fields, None when it or the score is not opened."""
    names = {
        path[:-5]: value
        for path, value in stated.items()
        if path.startswith("input[") and path.endswith(".name")
    }
    if not names or "score" not in stated or any(f"{path}.value" not in stated for path in names):
        return None
    return {name: stated[f"{path}.value"] for path, name in names.items()}
