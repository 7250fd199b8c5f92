"""The engine's parts: models, memory of decided payments, drift, snapshots, latencies, the line."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from tests.made_engine import NAMES, Bank, made_model, payment
from tests.made_models import make_model

from tallystick.apps.fraud.deciding import Detector, Detectors, Drift, Reference
from tallystick.apps.fraud.deciding._line import Line
from tallystick.apps.fraud.deciding._reasons import Explaining, feature_words, plain
from tallystick.apps.fraud.deciding._remembered import Remembered, payment_key
from tallystick.apps.fraud.deciding._snapshots import Snapshot, Snapshots
from tallystick.apps.fraud.deciding._stats import Latencies
from tallystick.errors import (
    ConfigurationError,
    ModelFileError,
    NotFoundError,
    OverloadedError,
    RetiredModelError,
    StorageError,
    UnknownFormatError,
)
from tallystick.models import LinearModel, NumericFeature, Quantiser, Registry

# -- models -----------------------------------------------------------------------------------------------------


def test_models_come_from_files_and_must_have_the_named_hash(tmp_path: Path) -> None:
    model, other = made_model(), made_model((0, 0, 0, 1))
    (tmp_path / "a").write_bytes(model.bytes)
    (tmp_path / "b").write_bytes(other.bytes)
    both = Detectors.of_files(tmp_path / "a", model_hash=model.hash, challenger=tmp_path / "b")
    assert both.champion is not None
    assert both.challenger is not None
    assert (both.champion.hash, both.challenger.hash) == (model.hash, other.hash)
    with pytest.raises(ModelFileError):
        Detectors.of_files(tmp_path / "a", model_hash=other.hash)
    fallen = Detectors.of_files(tmp_path / "a", model_hash=other.hash, on_missing="rules")
    assert fallen.champion is None
    assert "not the one" in fallen.missing


@pytest.mark.parametrize("content", [None, b"", b"{}", b"junk"])
def test_a_missing_or_damaged_file_refuses_or_falls_to_rules(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a").write_bytes(content)
    with pytest.raises((ModelFileError, NotFoundError)):
        Detectors.of_files(tmp_path / "a")
    assert Detectors.of_files(tmp_path / "a", on_missing="rules").champion is None
    with pytest.raises(ConfigurationError):
        Detectors.of_files(tmp_path / "a", on_missing="guess")  # type: ignore[arg-type]


def test_a_challenger_that_is_missing_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(made_model().bytes)
    found = Detectors.of_files(tmp_path / "a", challenger=tmp_path / "b")
    assert found.champion is not None
    assert found.challenger is None


def test_models_come_from_the_registry_with_their_publication(tmp_path: Path) -> None:
    bank = Bank(tmp_path)
    registry = Registry(tmp_path / "models", journal=bank.journal)
    version = registry.publish(made_model(), "fraud")
    found = Detectors.of_registry(registry, "fraud").champion
    assert found is not None
    assert (found.hash, found.published) == (version.hash, version.published)
    (tmp_path / "models" / f"{version.hash}.tsm").write_bytes(made_model((9, 9, 9, 9)).bytes)
    with pytest.raises(ModelFileError):
        Detectors.of_registry(registry, "fraud")
    registry.retire(version, "old")
    with pytest.raises(RetiredModelError):
        Detectors.of_registry(registry, "fraud")
    assert Detectors.of_registry(registry, "fraud", on_missing="rules").champion is None
    bank.close()


def test_only_models_with_one_score_over_numbers_detect() -> None:
    for model in (make_model("linear", 1), make_model("trees", 1, labels=3)):
        with pytest.raises(ConfigurationError):
            Detector(model)


# -- memory of decided payments ---------------------------------------------------------------------------------


def test_at_least_so_many_are_remembered_and_at_most_twice_as_many() -> None:
    kept = Remembered(100)
    for number in range(1_000):
        kept.add(payment_key(f"p{number}"), number, number)
        assert len(kept) <= 200
        for near in range(max(0, number - 99), number + 1):
            assert kept.find(payment_key(f"p{near}")) == near
    assert kept.find(payment_key("p5")) is None
    assert kept.find(payment_key(f"p{kept.forgotten_until}")) is None
    assert kept.find(payment_key(f"p{kept.forgotten_until + 1}")) is not None


def test_what_is_forgotten_is_never_newer_than_said_whatever_the_order() -> None:
    dice, kept = random.Random(5), Remembered(50)
    times: dict[int, int] = {}
    for number in range(2_000):
        times[number] = dice.randrange(10**6)
        kept.add(payment_key(f"p{number}"), number, times[number])
    for number, at in times.items():
        assert kept.find(payment_key(f"p{number}")) == number or at <= kept.forgotten_until


@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 175])
def test_the_memory_reads_as_it_was_written(count: int) -> None:
    kept = Remembered(50)
    for number in range(count):
        kept.add(payment_key(f"p{number}"), number, 1_000 + number)
    again = Remembered.parse_state(kept.format_state(), 50)
    assert again.format_state() == kept.format_state()
    assert again.forgotten_until == kept.forgotten_until
    for number in range(count):
        assert again.find(payment_key(f"p{number}")) == kept.find(payment_key(f"p{number}"))
    copy = kept.copy()
    kept.add(payment_key("later"), 9, 9)
    assert copy.find(payment_key("later")) is None
    with pytest.raises(ConfigurationError):
        Remembered.parse_state(kept.format_state()[:-1], 50)
    for wrong in (b"", kept.format_state() + b"x"):
        with pytest.raises(ConfigurationError):
            Remembered.parse_state(wrong)
    with pytest.raises(ConfigurationError):
        Remembered(0)


# -- drift ------------------------------------------------------------------------------------------------------


def rows(shift: int, count: int, seed: int) -> tuple[Any, Any]:
    dice = np.random.default_rng(seed)
    inputs = dice.normal(shift, 100, (count, 2)).astype(np.int16)
    return inputs, inputs.sum(axis=1).astype(np.int64)


MODEL = "ab" * 32


def reference(shift: int, count: int, seed: int) -> Reference:
    return Reference.of(MODEL, ("a", "b"), *rows(shift, count, seed))


def test_the_same_population_does_not_drift_another_does_and_is_told_once() -> None:
    told: list[tuple[str, float]] = []
    drift = Drift(
        MODEL, ("a", "b"), reference=reference(0, 5_000, 1), on_breach=lambda *one: told.append(one)
    )
    for number in range(20):
        drift.see(*rows(0, 500, 2 + number))
    assert set(drift.indexes()) == {"a", "b", "score"}
    assert max(drift.indexes().values()) < 0.1
    assert told == []
    for number in range(40):
        drift.see(*rows(200, 500, 100 + number))
    assert min(drift.indexes().values()) > 0.25
    assert sorted(name for name, _ in told) == ["a", "b", "score"]
    for number in range(40):
        drift.see(*rows(0, 500, 200 + number))
    assert max(drift.indexes().values()) < 0.1


def test_drift_learns_from_the_first_decisions_where_it_has_no_reference() -> None:
    drift = Drift(MODEL, ("a", "b"), learn_from=1_000)
    drift.see(*rows(0, 999, 1))
    assert not drift.ready
    drift.see(*rows(0, 1, 2))
    assert drift.ready
    assert drift.indexes() == {}
    with pytest.raises(ConfigurationError, match="10 payments"):
        reference(0, 3, 1)


def test_what_drift_learned_is_kept_over_a_restart_and_not_for_another_model(tmp_path: Path) -> None:
    path = tmp_path / "state" / "drift.json"
    first = Drift.kept(MODEL, ("a", "b"), path)
    first.see(*rows(0, 10_240, 1))
    assert first.ready
    again = Drift.kept(MODEL, ("a", "b"), path)
    assert again.ready
    again.see(*rows(300, 1_024, 2))
    assert min(again.indexes().values()) > 0.25
    assert not Drift.kept("cd" * 32, ("a", "b"), path).ready
    assert not Drift.kept(MODEL, ("a", "c"), path).ready
    path.write_bytes(b"{")
    assert not Drift.kept(MODEL, ("a", "b"), path).ready
    with pytest.raises(ConfigurationError, match="another model"):
        Drift("cd" * 32, ("a", "b"), reference=reference(0, 100, 1))


def test_a_reference_reads_back_as_it_was_and_refuses_what_is_none() -> None:
    made = reference(0, 1_000, 1)
    again = Reference.parse(made.format())
    assert again.format() == made.format()
    assert again.names == ("a", "b", "score")
    assert again.counts.sum(axis=1).tolist() == [1_000] * 3
    said = orjson.loads(made.format())
    with pytest.raises(UnknownFormatError):
        Reference.parse(orjson.dumps({**said, "version": 2}))
    column = said["columns"][0]
    for wrong in (
        {**column, "edges": column["edges"][::-1]},
        {**column, "edges": [*column["edges"][:-1], "9"]},
        {**column, "counts": [0] * 10},
        {**column, "counts": column["counts"][:-1]},
        {**column, "name": 3},
        {**column, "edges": None},
        None,
    ):
        with pytest.raises(ConfigurationError):
            Reference.parse(orjson.dumps({**said, "columns": [wrong]}))
    for wrong_whole in (b"", b"[]", b'{"version":1}', orjson.dumps({**said, "columns": []})):
        with pytest.raises(ConfigurationError):
            Reference.parse(wrong_whole)


# -- snapshots --------------------------------------------------------------------------------------------------


def test_a_snapshot_is_encrypted_and_the_newest_that_fits_is_taken(tmp_path: Path) -> None:
    bank = Bank(tmp_path)
    snapshots = Snapshots(tmp_path / "s", bank.party.secret("storage"))
    made = [Snapshot(at, bytes(32), b"customer-17", b"memory") for at in (5, 9, 12)]
    for one in made:
        snapshots.write(one)
    assert snapshots.positions() == [12, 9]
    for path in (tmp_path / "s").iterdir():
        assert b"customer-17" not in path.read_bytes()
    assert snapshots.newest(lambda one: True) == (made[2], 0)
    assert snapshots.newest(lambda one: one.position < 10) == (made[1], 1)
    assert snapshots.newest(lambda one: False) == (None, 2)
    assert snapshots.discard() == 2
    assert snapshots.newest(lambda one: True) == (None, 0)
    bank.close()


@pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 2**20, 2**20 + 1, 3 * 2**20 + 5])
def test_a_snapshot_of_any_size_reads_as_it_was_written(tmp_path: Path, size: int) -> None:
    bank = Bank(tmp_path)
    snapshots = Snapshots(tmp_path / "s", bank.party.secret("storage"))
    made = Snapshot(7, bytes(32), random.Random(size).randbytes(size), bytes(size // 2))
    snapshots.write(made)
    assert snapshots.newest(lambda one: True) == (made, 0)
    (path,) = (tmp_path / "s").iterdir()
    path.write_bytes(path.read_bytes() + b"x")
    assert snapshots.newest(lambda one: True) == (None, 1)
    bank.close()


def test_pieces_of_a_snapshot_cannot_change_places(tmp_path: Path) -> None:
    bank = Bank(tmp_path)
    snapshots = Snapshots(tmp_path / "s", bank.party.secret("storage"))
    snapshots.write(Snapshot(7, bytes(32), bytes(3 * 2**20), b""))
    (path,) = (tmp_path / "s").iterdir()
    data = path.read_bytes()
    first = 16 + 8 + 32 + 16 + 32 + 16
    one, two = (data[first + at * (2**20 + 16) : first + (at + 1) * (2**20 + 16)] for at in (0, 1))
    path.write_bytes(data[:first] + two + one + data[first + 2 * (2**20 + 16) :])
    assert snapshots.newest(lambda one: True) == (None, 1)
    bank.close()


def test_a_damaged_renamed_or_foreign_snapshot_is_thrown_away(tmp_path: Path) -> None:
    bank = Bank(tmp_path)
    snapshots = Snapshots(tmp_path / "s", bank.party.secret("storage"))
    snapshots.write(Snapshot(5, bytes(32), b"features", b"memory"))
    (path,) = (tmp_path / "s").iterdir()
    whole = path.read_bytes()
    for damaged in (b"", whole[:10], whole[:-1], whole[:40] + b"x" + whole[41:], b"y" + whole[1:]):
        path.write_bytes(damaged)
        assert snapshots.newest(lambda one: True) == (None, 1)
    path.write_bytes(whole)
    path.rename(path.with_name(f"engine-{6:020}.snapshot"))
    assert snapshots.newest(lambda one: True) == (None, 1)
    other = Snapshots(tmp_path / "s", Bank(tmp_path / "other").party.secret("storage"))
    assert other.newest(lambda one: True) == (None, 1)
    bank.close()


# -- latencies, words, the line ---------------------------------------------------------------------------------


def test_quantiles_of_latencies_are_right_within_a_bucket() -> None:
    told, found = [int(10 ** (at / 200)) for at in range(1, 1_401)], Latencies()
    for one in told:
        found.add(one)
    for share in (0.5, 0.99):
        exact = sorted(told)[int(share * len(told)) - 1]
        assert exact <= found.quantile(share) <= exact * 1.12 + 2
    assert sum(found.counts().values()) == len(told)
    assert Latencies().quantile(0.5) == 0


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1"), (-3.0, "-3"), (0.123456, "0.123"), (1234.56, "1234.6"), (99.95, "100")]
)
def test_numbers_are_told_as_people_read_them(value: float, text: str) -> None:
    assert plain(value) == text


def test_the_line_keeps_order_and_batches_while_the_other_worker_is_busy() -> None:
    ended: list[list[int]] = []
    began, goes = threading.Event(), threading.Event()

    def finish(batch: list[int]) -> None:
        began.set()
        goes.wait(20)
        ended.append(batch)

    line: Line[int, list[int]] = Line(lambda items: items, finish, batch=8, waiting=1_000, name="line")
    line.put(0)
    began.wait(20)
    for number in range(1, 500):
        line.put(number)
    goes.set()
    line.close()
    assert [one for batch in ended for one in batch] == list(range(500))
    assert max(map(len, ended)) == 8
    with pytest.raises(OverloadedError):
        line.put(1)


def test_a_small_batch_waits_for_more_and_closing_waits_for_nobody() -> None:
    batches: list[list[int]] = []
    line: Line[int, list[int]] = Line(
        lambda items: items, batches.append, batch=8, waiting=100, name="line", gather_s=0.3
    )
    for number in range(5):
        line.put(number)
    line.close()
    assert [number for batch in batches for number in batch] == list(range(5))
    assert len(batches) <= 2  # the first may have been taken before the line was closed


def test_who_waits_for_room_gets_it() -> None:
    goes = threading.Event()
    ended: list[int] = []

    def finish(batch: list[int]) -> None:
        goes.wait(20)
        ended.extend(batch)

    line: Line[int, list[int]] = Line(lambda items: items, finish, batch=2, waiting=2, name="line")

    def work() -> None:
        for number in range(50):
            line.put(number, wait=True)

    caller = threading.Thread(target=work)
    caller.start()
    goes.set()
    caller.join(20)
    assert not caller.is_alive()
    line.close()
    assert ended == list(range(50))


def test_features_that_no_model_names_are_no_columns() -> None:
    detector = Detector(made_model())
    assert detector.columns(("other", *reversed(NAMES))) == [4, 3, 2, 1]
    with pytest.raises(ConfigurationError):
        detector.columns(NAMES[1:])


def test_a_snapshot_that_cannot_be_written_leaves_the_older_ones(tmp_path: Path) -> None:
    from tallystick.proof import OsFiles
    from tallystick.testing import FaultyFiles

    bank, failing = Bank(tmp_path), [False]
    files = FaultyFiles(OsFiles(), lambda operation, _name: 28 if failing[0] and operation == "write" else 0)
    snapshots = Snapshots(tmp_path / "s", bank.party.secret("storage"), files=files)
    snapshots.write(Snapshot(5, bytes(32), b"features", b"memory"))
    failing[0] = True
    with pytest.raises(StorageError):
        snapshots.write(Snapshot(6, bytes(32), b"features", b"memory"))
    found, thrown = snapshots.newest(lambda one: True)
    assert found is not None
    assert (found.position, thrown) == (5, 0)
    bank.close()


@pytest.mark.parametrize(
    ("terminal", "value", "text"),
    [
        ("", 0.0, "no terminal is named, raises the risk"),
        ("t-1", 0.0, "none yet, raises the risk"),
        ("t-1", 250.0, "250, raises the risk"),
    ],
)
def test_a_reason_tells_what_a_payment_lacks_instead_of_a_number(
    terminal: str, value: float, text: str
) -> None:
    name = "terminal_mean_30d"
    feature = NumericFeature(name, name, 0, 0, 1, -(2**15), 2**15 - 1, 0, False, "clip")
    # Centred away from the value, so that it moves the score whatever it is.
    model = LinearModel(
        name="made", target="fraud", quantiser=Quantiser((feature,)), labels=("no", "yes"), unit=4_096, threshold=0,
        weights=((1,),), biases=(0,), centre=(-10,),
    )  # fmt: skip
    explaining = Explaining(model, [0], feature_words())
    numbers = np.array([[value]])
    (reasons,) = explaining.explain(
        numbers.astype(np.int16), numbers, payments=[payment(1, terminal=terminal)], alerts=[True], fired=[[]]
    )
    (reason,) = reasons
    assert reason.text.endswith(text)
    assert ("named" in reason.text) == (not terminal)
