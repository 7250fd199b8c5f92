"""How anybody computes a federated run again from what its statements opened; hop checks of ``trace``.

The chain of evidence: ``model.published`` links ``round`` (the last ``round.closed``), each of which links
``before`` (the round before it) and ``updates`` (one ``update.committed`` per site). Payloads are bytes: the
aggregate of a round, a site's masked update, the model file. All of it is integer arithmetic; what stays each
site's word is that its update came from its rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache

from tallystick.errors import EncodingError, ModelFileError, VerificationError
from tallystick.learning._rounds import advance, assemble
from tallystick.learning._scaling import scaling_of
from tallystick.learning._vectors import aggregate
from tallystick.models import CategoryFeature, Column, LinearModel, format_parameters, parse_model
from tallystick.proof import Receipt, Resolve, Traced, verify

__all__ = ["recheck_aggregate", "recheck_model"]

ROUND_LIMIT = 10_000  # rounds of one run that are walked back


def recheck_aggregate(closed: Traced, update: Traced, resolve: Resolve) -> str | None:
    """Add a round's updates again.

    Args:
        closed: a ``round.closed`` whose payload is the aggregate.
        update: one of the ``update.committed`` that it links as ``updates``.
        resolve: finds the others.

    Returns:
        What came out the same; None when an update or the aggregate is not opened.

    Raises:
        VerificationError: the aggregate is not the sum of the updates.
    """
    statement = closed.receipt.statement
    opened = [_bytes(resolve(link)) for link in statement.links["updates"]]
    total = closed.report.opened
    if not isinstance(total, bytes) or not all(opened):
        return None
    _check_digest(total, statement.body.get("aggregate"))
    if _sum(tuple(data for data in opened if data)) != total:
        raise VerificationError("the round's aggregate is not the sum of its updates")
    _check_digest(update.report.opened, update.receipt.statement.body.get("update"))
    return f"the aggregate is the sum of {len(opened)} updates"


@lru_cache(maxsize=64)
def _sum(updates: tuple[bytes, ...]) -> bytes:
    return aggregate(updates)


def recheck_model(published: Traced, closed: Traced, resolve: Resolve) -> str | None:
    """Make the model again from the aggregates of all rounds.

    Args:
        published: a ``model.published`` whose payload is the model file.
        closed: the last ``round.closed``, linked as ``round``.
        resolve: finds the rounds before.

    Returns:
        What came out the same; None when a round is not at hand or not opened.

    Raises:
        VerificationError: the aggregates give another model.
    """
    file = published.report.opened
    if not isinstance(file, bytes):
        return None
    totals = []
    for receipt in _rounds(closed.receipt, resolve):
        total = _bytes(receipt)
        if receipt is None or total is None:
            return None
        _check_digest(total, receipt.statement.body.get("aggregate"))
        totals.append(total)
    try:
        made = _remade(parse_model(file), totals[::-1])
    except (EncodingError, ModelFileError) as error:
        raise VerificationError("the rounds' aggregates give no model") from error
    if made.bytes != file:
        raise VerificationError("the rounds' aggregates give another model")
    return f"the model follows from {len(totals) - 1} rounds' aggregates"


def _rounds(last: Receipt, resolve: Resolve) -> Iterator[Receipt | None]:
    receipt: Receipt | None = last
    for _ in range(ROUND_LIMIT):
        yield receipt
        before = receipt.statement.links.get("before") if receipt is not None else None
        if not before:
            return
        receipt = resolve(before[0])
    raise VerificationError(f"a run must have at most {ROUND_LIMIT} rounds")


def _remade(model: LinearModel, totals: list[bytes]) -> LinearModel:
    columns = [
        Column(feature.name, "category", feature.title, feature.codes)
        if isinstance(feature, CategoryFeature)
        else Column(feature.name, "numeric", feature.title)
        for feature in model.features
    ]
    parameters = format_parameters([0] * (len(scaling_of(columns, totals[0]).centre) + 1))
    for total in totals[1:]:
        parameters = advance(parameters, total)
    return assemble(model.name, model.target, columns, totals[0], parameters)


def _bytes(receipt: Receipt | None) -> bytes | None:
    """The opened payload of a linked receipt, held against its commitment."""
    if receipt is None or receipt.opening is None:
        return None
    opened = verify(receipt).opened
    return opened if isinstance(opened, bytes) else None


def _check_digest(data: object, digest: object) -> None:
    if not isinstance(data, bytes) or hashlib.sha256(data).hexdigest() != digest:
        raise VerificationError("a payload is not the one that its statement names")
