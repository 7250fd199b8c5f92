"""Federated averaging, round by round, so that every step can be stated and most can be re-executed.

Round 0 agrees on scaling (see `scaling_of`). In each later round every site trains from the same parameters,
hands out its masked change, and the parameters move by the sum of changes over the sum of rows. What a third
party can compute again from the stated bytes: every aggregate (`aggregate`), every step (`advance`), the
quantiser (`scaling_of`) and the finished model (`assemble`). What stays each site's word: that its update
came from its rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, Literal

from tallystick.errors import DataError, EncodingError
from tallystick.learning._assessment import bucket
from tallystick.learning._scaling import Scaling, scaling_of
from tallystick.learning._sites import Settings, Site
from tallystick.learning._vectors import aggregate, parse_vector
from tallystick.models import (
    FRACTION_BITS,
    ONE,
    YES_OR_NO,
    Column,
    LinearModel,
    NumericFeature,
    Quantiser,
    Table,
    format_parameters,
    parse_parameters,
    weights_of,
)

LEAST_SITES: Final = 2
Purpose = Literal["scaling", "training"]


@dataclass(frozen=True, slots=True)
class RoundOpened:
    """A round begins: which of how many, who takes part (rows as a bucket), from which parameters.

    For round 0, `parameters_hash` is the hash of the agreed columns instead.
    """

    number: int
    of: int
    purpose: Purpose
    cohort: Mapping[str, str]
    parameters_hash: str


@dataclass(frozen=True, slots=True)
class UpdateCommitted:
    """A site is bound to its masked vector; `update` is safe to publish, `update_hash` its SHA-256 in hex."""

    number: int
    site: str
    update: bytes
    update_hash: str


@dataclass(frozen=True, slots=True)
class RoundClosed:
    """A round is over.

    Args:
        number: which round.
        updates: SHA-256 of each site's masked vector, in hex.
        aggregate: the exact sum of the masked vectors.
        aggregate_hash: its SHA-256 in hex.
        parameters: what the next round starts from.
        parameters_hash: its SHA-256 in hex.
        loss: mean log loss over all training rows before this round's step; None for scaling.
    """

    number: int
    updates: Mapping[str, str]
    aggregate: bytes
    aggregate_hash: str
    parameters: bytes
    parameters_hash: str
    loss: float | None


RoundEvent = RoundOpened | UpdateCommitted | RoundClosed


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """One round with every byte that a third party needs to re-execute it."""

    opened: RoundOpened
    updates: Mapping[str, bytes]
    closed: RoundClosed


@dataclass(frozen=True, slots=True)
class FederatedRun:
    """A finished run: the model, the parameters it was made from, and its rounds (0 is scaling)."""

    model: LinearModel
    parameters: bytes
    rounds: tuple[RoundRecord, ...]
    settings: Settings
    notes: tuple[str, ...]


def run_rounds(
    sites: Sequence[Site],
    *,
    target: str,
    name: str = "model",
    rounds: int = 20,
    settings: Settings | None = None,
    on_event: Callable[[RoundEvent], None] | None = None,
) -> FederatedRun:
    """Train one logistic model over several sites without moving rows.

    Args:
        sites: at least two, with distinct names and one schema.
        target: what a yes means, in plain words; goes into the model.
        name: the model's name.
        rounds: training rounds after the scaling round, >= 1.
        settings: how sites train; the defaults suit tables of hundreds to thousands of rows.
        on_event: called in order with `RoundOpened`, one `UpdateCommitted` per site, `RoundClosed`; an error
            that it raises stops the run.

    Raises:
        DataError: too few sites, two of one name, schemas that differ, one class only, or divergence.
        MissingExtraError: numpy is not installed.
    """
    if len(sites) < LEAST_SITES:
        raise DataError(f"a federated run needs at least {LEAST_SITES} sites, got {len(sites)}")
    notes = ("with two sites each one can compute the other's sums",) if len(sites) == LEAST_SITES else ()
    return _run(sites, target, name, rounds, settings or Settings(), on_event, notes)


def train_alone(
    table: Table, *, name: str = "model", rounds: int = 20, settings: Settings | None = None
) -> LinearModel:
    """Train the same model the same way on one table: a single site's baseline, or all rows pooled.

    Raises:
        DataError: no rows, or one class only.
    """
    site = Site("alone", table)
    return _run([site], table.target, name, rounds, settings or Settings(), None, ()).model


def advance(parameters: bytes, total: bytes) -> bytes:
    """Return the parameters after a training round, by integer arithmetic only.

    Args:
        parameters: what the round started from.
        total: the aggregate of the round's updates.

    Raises:
        EncodingError: the aggregate does not fit the parameters, or counts no rows.
        ModelFileError: damaged parameters.
    """
    values = parse_parameters(parameters)
    lanes, lane = parse_vector(total)
    if lane != 8 or len(lanes) != len(values) + 2:
        raise EncodingError(f"an aggregate must have {len(values) + 2} lanes of 8 bytes")
    rows = lanes[-2]
    if rows < 1:
        raise EncodingError("the aggregate is of no cohort: a site's vector is missing or foreign")
    changes = [(2 * lane + rows) // (2 * rows) for lane in lanes[:-2]]
    return format_parameters([value + change for value, change in zip(values, changes, strict=True)])


def assemble(
    name: str, target: str, columns: Sequence[Column], totals: bytes, parameters: bytes
) -> LinearModel:
    """Make the model file's content from the scaling aggregate and the last parameters; integers only."""
    return _model(name, target, scaling_of(columns, totals), parameters)


def _model(name: str, target: str, scaling: Scaling, parameters: bytes) -> LinearModel:
    made = weights_of(parameters)
    return LinearModel(
        name=name,
        target=target,
        quantiser=Quantiser(scaling.features),
        labels=YES_OR_NO,
        unit=ONE << made.shift,
        threshold=0,
        weights=(made.weights,),
        biases=(made.bias,),
        centre=scaling.centre,
    )


def _run(
    sites: Sequence[Site],
    target: str,
    name: str,
    rounds: int,
    settings: Settings,
    on_event: Callable[[RoundEvent], None] | None,
    notes: tuple[str, ...],
) -> FederatedRun:
    if rounds < 1:
        raise DataError(f"rounds must be >= 1, got {rounds}")
    columns = _agreed(sites)
    say = on_event or (lambda _event: None)
    keys = {site.name: site.public_key for site in sites}
    run = hashlib.sha256(repr((sorted(keys.items()), rounds, settings)).encode()).digest()
    for site in sites:
        site.meet(keys, run=run)
    schema = json.dumps([asdict(column) for column in columns], sort_keys=True, separators=(",", ":"))
    record = _round(
        sites,
        0,
        rounds,
        _sha256(schema.encode()),
        lambda site: site.totals(0),
        say,
        lambda t: _started(columns, t),
    )
    records, scaling = [record], scaling_of(columns, record.closed.aggregate)
    if not 0 < scaling.positives < scaling.rows:
        raise DataError("all training rows have one target: there is nothing to learn")
    rate = _rate(scaling, settings)
    for site in sites:
        site.scale(scaling.features)
    for number in range(1, rounds + 1):
        before = records[-1].closed.parameters

        def answer(site: Site, number: int = number, before: bytes = before) -> bytes:
            return site.update(number, before, settings=settings, rate=rate)

        def step(total: bytes, before: bytes = before) -> bytes:
            return advance(before, total)

        records.append(_round(sites, number, rounds, _sha256(before), answer, say, step))
    parameters = records[-1].closed.parameters
    return FederatedRun(
        _model(name, target, scaling, parameters), parameters, tuple(records), settings, notes
    )


def _round(
    sites: Sequence[Site],
    number: int,
    of: int,
    start: str,
    answer: Callable[[Site], bytes],
    say: Callable[[RoundEvent], None],
    step: Callable[[bytes], bytes],
) -> RoundRecord:
    """Hold one round; every site is bound to its vector before anybody adds them."""
    cohort = {site.name: bucket(site.rows) for site in sites}
    opened = RoundOpened(number, of, "training" if number else "scaling", cohort, start)
    say(opened)
    updates = {}
    for site in sites:
        update = answer(site)
        say(UpdateCommitted(number, site.name, update, _sha256(update)))
        updates[site.name] = update
    total = aggregate(list(updates.values()))
    after = step(total)
    closed = RoundClosed(
        number=number,
        updates={site: _sha256(update) for site, update in updates.items()},
        aggregate=total,
        aggregate_hash=_sha256(total),
        parameters=after,
        parameters_hash=_sha256(after),
        loss=_loss(total) if number else None,
    )
    say(closed)
    return RoundRecord(opened, updates, closed)


def _agreed(sites: Sequence[Site]) -> tuple[Column, ...]:
    if len({site.name for site in sites}) != len(sites):
        raise DataError("sites must have distinct names")
    columns = sites[0].columns
    if not columns or any(site.columns != columns for site in sites):
        raise DataError("all sites must have the same columns, categories included")
    return columns


def _started(columns: Sequence[Column], total: bytes) -> bytes:
    """Return the parameters that training starts from: all zero."""
    return format_parameters([0] * (len(scaling_of(columns, total).centre) + 1))


def _rate(scaling: Scaling, settings: Settings) -> float:
    """Return a step size at which gradient descent over the whole cohort goes down.

    The curvature of the log loss is at most a quarter of an average row's summed squares: about 1 for a
    number, 1 for a category or its gap, 1 for the intercept, and the share of gaps for a number that has some.
    """
    squares = 1.0
    at = 0
    for feature in scaling.features:
        at += feature.width
        squares += 1
        if isinstance(feature, NumericFeature) and feature.gaps:
            squares += scaling.centre[at - 1] / ONE
    return 1.0 / (squares / 4 + settings.penalty)


def _loss(total: bytes) -> float:
    lanes, _ = parse_vector(total)
    return lanes[-1] / 2**FRACTION_BITS / lanes[-2]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
