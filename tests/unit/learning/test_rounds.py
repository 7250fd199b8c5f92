"""Sites learn together, only masked sums travel, and everything after them can be computed again."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from collections.abc import Callable
from itertools import count, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from tallystick.errors import DataError, EncodingError, UnknownFormatError
from tallystick.learning import (
    FederatedRun,
    RoundClosed,
    RoundEvent,
    RoundOpened,
    Settings,
    Site,
    UpdateCommitted,
    advance,
    aggregate,
    assemble,
    parse_vector,
    run_rounds,
    scaling_of,
    train_alone,
)
from tallystick.learning._vectors import format_vector, masked
from tallystick.models import Column, Table, fidelity_of_parameters, parse_parameters

COLUMNS = (
    Column("x", "numeric", "x"),
    Column("gappy", "numeric", "gappy"),
    Column("kind", "category", "kind", ("a", "b", "c")),
)
NAMES = ("east", "north", "west")


def table(seed: int = 0, rows: int = 120) -> Table:
    generator = np.random.default_rng(seed)
    x = generator.normal(5, 2, rows).round(3)
    kinds = generator.choice(["a", "b", "c"], rows)
    logit = 1.2 * (x - 5) + (kinds == "a") - 0.3
    targets = (generator.uniform(size=rows) < 1 / (1 + np.exp(-logit))).astype(int)
    cells = [
        (str(value), None if index % 4 else str(index), str(kind))
        for index, (value, kind) in enumerate(zip(x, kinds, strict=True))
    ]
    sites = tuple(NAMES[index % 3] for index in range(rows))
    return Table("t", COLUMNS, tuple(cells), sites, tuple(targets.tolist()), "yes")


def randomness(seed: int = 0) -> Callable[[int], bytes]:
    numbers = count(seed * 1000)
    return lambda size: hashlib.shake_256(str(next(numbers)).encode()).digest(size)


def sites(whole: Table, seed: int = 0) -> list[Site]:
    draw = randomness(seed)
    return [Site(name, whole.at(name), randomness=draw) for name in whole.site_names]


def learn(
    rounds: int = 3, seed: int = 0, on_event: Callable[[RoundEvent], None] | None = None
) -> FederatedRun:
    whole = table()
    return run_rounds(sites(whole, seed), target="yes", name="t", rounds=rounds, on_event=on_event)


def test_every_step_after_the_updates_can_be_computed_again() -> None:
    run = learn()
    parameters = b""
    for record in run.rounds:
        total = aggregate(list(record.updates.values()))
        assert total == record.closed.aggregate
        assert hashlib.sha256(total).hexdigest() == record.closed.aggregate_hash
        if record.opened.purpose == "training":
            assert record.opened.parameters_hash == hashlib.sha256(parameters).hexdigest()
            assert advance(parameters, total) == record.closed.parameters
        parameters = record.closed.parameters
    assert parameters == run.parameters
    again = assemble("t", "yes", COLUMNS, run.rounds[0].closed.aggregate, parameters)
    assert again.bytes == run.model.bytes


def test_the_model_does_not_depend_on_the_masks_but_every_update_does() -> None:
    first, second = learn(seed=1), learn(seed=2)
    assert first.model.hash == second.model.hash
    for left, right in zip(first.rounds, second.rounds, strict=True):
        assert left.closed.aggregate == right.closed.aggregate
        for name in NAMES:
            assert left.updates[name] != right.updates[name]


def test_events_come_in_the_order_of_commitment() -> None:
    events: list[RoundEvent] = []
    run = learn(rounds=2, on_event=events.append)
    one = [RoundOpened, UpdateCommitted, UpdateCommitted, UpdateCommitted, RoundClosed]
    assert [type(event) for event in events] == one * 3
    opened, *updates, closed = events[5:10]
    assert isinstance(opened, RoundOpened)
    assert (opened.number, opened.of, opened.purpose) == (1, 2, "training")
    assert opened.cohort == dict.fromkeys(NAMES, "26-50")
    assert isinstance(closed, RoundClosed)
    for event in updates:
        assert isinstance(event, UpdateCommitted)
        assert hashlib.sha256(event.update).hexdigest() == event.update_hash == closed.updates[event.site]
    assert run.rounds[1].closed == closed


def test_a_masked_update_looks_nothing_like_the_plain_one() -> None:
    whole = table()
    alone = Site("east", whole.at("east"), randomness=randomness())
    plain, lane = parse_vector(alone.totals(0))
    assert (plain[0], lane) == (40, 16)
    run = learn()
    hidden, _ = parse_vector(run.rounds[0].updates["east"])
    assert hidden[0] != 40
    assert min(abs(value) for value in hidden) > 2**64  # uniform over 128 bits
    assert parse_vector(run.rounds[0].closed.aggregate)[0][0] == 120


def test_an_aggregate_without_one_site_is_no_sum_of_a_cohort() -> None:
    record = learn().rounds[0]
    updates = list(record.updates.values())[1:]
    assert aggregate(updates) != record.closed.aggregate
    with pytest.raises(EncodingError):
        scaling_of(COLUMNS, aggregate(updates))


def test_learning_together_comes_near_to_pooling_and_to_scikit_learn() -> None:
    whole = table(rows=600)
    settings = Settings(local_steps=5, penalty=0.01)
    run = run_rounds(sites(whole), target="yes", rounds=80, settings=settings)
    pooled = train_alone(whole, rounds=80, settings=settings)
    rows = whole.by_name()
    inputs = run.model.quantiser.inputs_many(rows) / 4096
    oracle = LogisticRegression(C=1 / (0.01 * len(rows)), max_iter=1000).fit(inputs, whole.targets)
    expected = oracle.decision_function(inputs)
    for made in (run.model, pooled):
        found = np.array([made.logit(score) for score in made.score_many(rows).tolist()])
        assert np.abs(found - expected).max() < 0.1
    losses = [record.closed.loss for record in run.rounds[1:]]
    assert all(later <= earlier + 1e-6 for earlier, later in pairwise(losses))


def test_integer_weights_decide_like_the_parameters_they_come_from() -> None:
    run = learn(rounds=20)
    found = fidelity_of_parameters(run.model, table(seed=9).by_name(), run.parameters)
    assert found.equal_decisions == found.rows == 120
    assert found.largest_logit_error < 0.001


def test_a_column_that_one_site_never_recorded_and_a_site_of_one_target_break_nothing() -> None:
    whole = table()
    rows = tuple(
        (None, *row[1:]) if site == "west" else row for row, site in zip(whole.rows, whole.sites, strict=True)
    )
    targets = tuple(
        1 if site == "west" else target for target, site in zip(whole.targets, whole.sites, strict=True)
    )
    odd = Table("t", COLUMNS, rows, whole.sites, targets, "yes")
    run = run_rounds(sites(odd), target="yes", rounds=3)
    assert len(run.model.score_many(odd.by_name())) == 120
    with pytest.raises(DataError):
        train_alone(odd.at("west"))


def test_scaling_is_the_cohorts_mean_and_deviation() -> None:
    run = learn()
    scaling = scaling_of(COLUMNS, run.rounds[0].closed.aggregate)
    x = np.array([float(row[0] or 0) for row in table().rows])
    feature = scaling.features[0]
    assert feature.offset == pytest.approx(x.mean() * 1e6, abs=2)  # type: ignore[union-attr]
    assert feature.step * 4096 == pytest.approx(x.std() * 1e6, rel=0.002)  # type: ignore[union-attr]
    assert (scaling.rows, scaling.positives) == (120, sum(table().targets))
    inputs = run.model.quantiser.inputs_many(table().by_name())
    assert np.abs(inputs.mean(axis=0) - np.array(run.model.centre)).max() < 20


def test_two_sites_are_told_what_they_can_compute() -> None:
    whole = table().take([i for i, name in enumerate(table().sites) if name != "west"])
    assert "two sites" in run_rounds(sites(whole), target="yes", rounds=1).notes[0]
    assert not learn().notes


def test_a_run_that_cannot_work_is_refused() -> None:
    whole = table()
    east = whole.at("east")
    other = Table("t", COLUMNS[:1], tuple(row[:1] for row in east.rows), east.sites, east.targets, "yes")
    cases = [
        [Site("east", east)],
        [Site("east", east), Site("east", east)],
        [Site("east", east), Site("west", other)],
        [
            Site(name, whole.at(name).take([i for i, t in enumerate(whole.at(name).targets) if t]))
            for name in NAMES
        ],
    ]
    for case in cases:
        with pytest.raises(DataError):
            run_rounds(case, target="yes", rounds=1)
    with pytest.raises(DataError):
        run_rounds(sites(whole), target="yes", rounds=0)
    with pytest.raises(DataError):
        Site("", east)
    with pytest.raises(DataError):
        Site("east", east.take([]))
    with pytest.raises(DataError):
        Settings(local_steps=0)


def test_a_callback_that_fails_stops_the_run() -> None:
    def refuse(_event: RoundEvent) -> None:
        raise DataError("the journal is full")

    with pytest.raises(DataError):
        learn(on_event=refuse)


def test_a_mask_key_of_small_order_is_refused() -> None:
    with pytest.raises(DataError):
        Site("east", table().at("east")).meet({"west": bytes(32)}, run=b"run")


def test_a_mask_is_never_used_twice() -> None:
    whole = table()
    east, north = Site("east", whole.at("east")), Site("north", whole.at("north"))
    keys = {"east": east.public_key, "north": north.public_key}
    east.meet(keys, run=b"run")
    east.totals(0)
    with pytest.raises(DataError, match="once"):
        east.totals(0)
    with pytest.raises(DataError, match="one run"):
        east.meet(keys, run=b"run")


def test_a_site_shows_its_name_and_no_row() -> None:
    assert repr(Site("east", table().at("east"))) == "Site('east')"


LANES = st.sampled_from([8, 16])


@given(LANES.flatmap(lambda lane: st.tuples(st.just(lane), st.lists(
    st.lists(st.integers(-(2 ** (8 * lane - 4)), 2 ** (8 * lane - 4)), min_size=3, max_size=3), min_size=1, max_size=5,
))))  # fmt: skip
def test_masks_cancel_exactly(case: tuple[int, list[list[int]]]) -> None:
    lane, plain = case
    vectors = [format_vector(values, lane=lane) for values in plain]  # type: ignore[arg-type]
    hidden = []
    for mine, vector in enumerate(vectors):
        streams = [
            (f"{min(mine, peer)}/{max(mine, peer)}".encode(), 1 if mine < peer else -1)
            for peer in range(len(vectors))
            if peer != mine
        ]
        hidden.append(masked(vector, streams))
    total = aggregate(hidden)
    assert total == aggregate(vectors)
    assert parse_vector(total) == ([sum(column) for column in zip(*plain, strict=True)], lane)


@given(st.binary(max_size=80))
def test_a_vector_is_what_format_makes_or_refused(tail: bytes) -> None:
    data = b"tallystick/vector/v1\n" + tail
    try:
        values, lane = parse_vector(data)
    except EncodingError:
        return
    assert format_vector(values, lane=lane) == data


def test_damaged_and_foreign_vectors_are_refused() -> None:
    vector = format_vector([1, 2, 3, 4], lane=8)
    for damaged in (vector[:-1], vector + b"\0", b"", vector[:22], b"x" + vector):
        with pytest.raises(EncodingError):
            aggregate([damaged])
    with pytest.raises(UnknownFormatError):
        aggregate([vector.replace(b"/v1", b"/v2")])
    with pytest.raises(EncodingError):
        aggregate([])
    with pytest.raises(EncodingError):
        aggregate([vector, format_vector([1, 2, 3], lane=8)])
    with pytest.raises(EncodingError):
        aggregate([vector, format_vector([1, 2, 3, 4], lane=16)])
    with pytest.raises(DataError):
        format_vector([2**63], lane=8)
    with pytest.raises(DataError):
        format_vector([], lane=8)


def test_a_step_with_an_aggregate_of_another_shape_is_refused() -> None:
    run = learn()
    with pytest.raises(EncodingError):
        advance(run.parameters, run.rounds[0].closed.aggregate)
    none = format_vector([0] * (len(parse_parameters(run.parameters)) + 2), lane=8)
    with pytest.raises(EncodingError):
        advance(run.parameters, none)


def test_re_execution_needs_no_numpy() -> None:
    run = learn(rounds=1)
    code = (
        "import sys\n"
        "for name in ('numpy', 'sklearn', 'web3'): sys.modules[name] = None\n"
        "from tallystick.learning import aggregate, advance\n"
        "import pickle, hashlib\n"
        "updates, before = pickle.loads(sys.stdin.buffer.read())\n"
        "print(hashlib.sha256(advance(before, aggregate(updates))).hexdigest())\n"
    )
    data = pickle.dumps((list(run.rounds[1].updates.values()), run.rounds[0].closed.parameters))
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True)
    assert done.stdout.decode().strip() == run.rounds[1].closed.parameters_hash


def test_the_bytes_of_version_1_stay_as_they_are() -> None:
    # A change here is a change of format: old updates and aggregates would no longer be re-executed.
    vector = masked(format_vector([1, -2, 3], lane=8), [(b"secret", 1), (b"other", -1)])
    assert vector == b"tallystick/vector/v1\n" + bytes.fromhex(
        "0800000003c952b541fa92b53fb8412beea14aa11df0fae3268cb2ecfc"
    )
