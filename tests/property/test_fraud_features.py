"""Time travel: features against the plainest reference there is, a list of all payments and the windows by definition."""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.apps.fraud.features import FEATURES, Windows, _records
from tallystick.apps.fraud.payments import CHANNELS, Label, Payment

SECOND = 1_000_000
HOUR, DAY = 3_600, 86_400
WINDOWS = {"10m": 600, "1h": HOUR, "1d": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
START = 1_780_000_000
LATENESS, DELAY = 300, 3 * DAY
IDLE = 90 * DAY

Step = Payment | Label


@dataclass
class Reference:
    """Everything that ever happened, in the order in which it did; nothing is worked out before it is asked for."""

    taken: list[Payment] = field(default_factory=list)
    learnt: dict[str, list[Label]] = field(default_factory=dict)  # place -> labels, those that were kept
    bounds: dict[str, int] = field(default_factory=dict)
    delay: int = DELAY

    def whole(self, kind: str, name: str, now: int) -> list[Payment]:
        """Payments of somebody since the last time that she was idle for too long, in the order of arrival."""
        run: list[Payment] = []
        for one in self.taken:
            if getattr(one, kind) == name:
                if run and second(one) - max(map(second, run)) > IDLE:
                    run = []
                run.append(one)
        return [] if run and now - max(map(second, run)) > IDLE else run

    def kept(self, run: list[Payment], horizon: int, most: int) -> list[Payment]:
        """Those payments that are still there, in the order of their times."""
        if not run:
            return []
        oldest = max(map(second, run)) - horizon - LATENESS
        return sorted((one for one in run if second(one) > oldest), key=second)[-most:]

    def learn(self, label: Label) -> None:
        for kind in ("payee", "terminal"):
            name = getattr(label.payment, kind)
            if not name or not any(getattr(one, kind) == name for one in self.taken):
                continue
            said = self.learnt.setdefault(f"{kind} {name}", [])
            before = [one.fraud for one in said if one.payment.id == label.payment.id]
            if (before[-1] if before else False) != label.fraud:
                said.append(label)
                del said[: -self.bounds["LABELS"]]

    def take(self, payment: Payment) -> dict[str, float]:
        row = self.numbers(payment)
        for kind in ("payee", "terminal"):
            if not self.whole(kind, getattr(payment, kind), second(payment)):
                self.learnt.pop(f"{kind} {getattr(payment, kind)}", None)
        self.taken.append(payment)
        return row

    def numbers(self, payment: Payment) -> dict[str, float]:
        t = second(payment)
        row = dict.fromkeys((feature.name for feature in FEATURES), 0.0)
        row["amount"] = payment.amount
        row[f"channel_{payment.channel.replace('-', '_')}"] = 1
        row["hour"] = t % DAY // HOUR
        row["night"] = row["hour"] < 6
        row["weekend"] = (t // DAY + 3) % 7 >= 5
        entries = {"customer": "ENTRIES", "card": "ENTRIES", "device": "DEVICE_ENTRIES"}
        horizons = {"payee": 7 * DAY, "terminal": DAY}
        for kind in ("customer", "card", "device", "payee", "terminal"):
            name = getattr(payment, kind)
            run = self.whole(kind, name, t) if name else []
            most = self.bounds[entries.get(kind, "PLACE_ENTRIES")]
            kept = self.kept(run, horizons.get(kind, 30 * DAY), most)
            seen = [one for one in kept if second(one) <= t]
            self.of_windows(row, kind, seen, t)
            if f"{kind}_since_last_s" in row:
                row[f"{kind}_since_last_s"] = min(t - second(seen[-1]), 30 * DAY) if seen else 30 * DAY
            if kind in horizons and name:
                self.of_days(row, kind, run, kept, t)
                self.of_labels(row, f"{kind} {name}", run, t)
            if kind == "customer":
                self.of_history(row, payment, [one for one in seen if second(one) > t - 30 * DAY])
                self.of_payees(row, payment, run)
            if kind == "device" and name:
                recent = {one.customer for one in seen if second(one) > t - 30 * DAY}
                row["device_other_customers_30d"] = len(recent - {payment.customer})
                row["device_is_new"] = payment.customer not in {one.customer for one in seen}
        return row

    def of_windows(self, row: dict[str, float], kind: str, seen: list[Payment], t: int) -> None:
        for window, length in WINDOWS.items():
            inside = [one for one in seen if t - length < second(one) <= t]
            amounts = [min(one.amount, 2**32 - 1) for one in inside]
            put(row, f"{kind}_count_{window}", len(inside))
            put(row, f"{kind}_sum_{window}", sum(amounts))
            put(row, f"{kind}_mean_{window}", sum(amounts) / len(amounts) if amounts else 0)
            put(row, f"{kind}_fan_in_{window}", len({one.customer for one in inside}))

    def of_days(
        self, row: dict[str, float], kind: str, run: list[Payment], kept: list[Payment], t: int
    ) -> None:
        """Windows of 7 and 30 days, and what lies before the label delay: by whole days."""
        today = t // DAY
        newest = max((second(one) // DAY for one in run), default=0)
        days = [one for one in run if second(one) // DAY > newest - 40 - self.delay // DAY]
        later = [id(one) for one in kept if second(one) > t]
        so_far = [one for one in days if second(one) // DAY <= today and id(one) not in later]
        for window in (7, 30):
            inside = [min(one.amount, 2**32 - 1) for one in so_far if second(one) // DAY > today - window]
            put(row, f"{kind}_count_{window}d", len(inside))
            put(row, f"{kind}_sum_{window}d", sum(inside))
            put(row, f"{kind}_mean_{window}d", sum(inside) / len(inside) if inside else 0)
        end = (t - self.delay) // DAY
        for window in (1, 7, 30):
            count = sum(end - window <= second(one) // DAY < end for one in days)
            put(row, f"{kind}_known_{window}d", count)

    def of_labels(self, row: dict[str, float], place: str, run: list[Payment], t: int) -> None:
        last: dict[str, Label] = {}
        for label in self.learnt.get(place, []) if run else []:
            if label.known_at <= t * SECOND:
                before = last.get(label.payment.id)
                if before is None or whole_up(label.known_at) >= whole_up(before.known_at):
                    last[label.payment.id] = label
        frauds = [second(label.payment) for label in last.values() if label.fraud]
        kind = place.split(" ")[0]
        row[f"{kind}_frauds_30d"] = sum(t - 30 * DAY < at <= t for at in frauds)
        newest = max((second(one) // DAY for one in run), default=0)
        end = (t - self.delay) // DAY
        for window in (1, 7, 30):
            days = range(end - window, end)
            count = sum(
                second(one) // DAY in days and second(one) // DAY > newest - 40 - self.delay // DAY
                for one in run
            )
            found = sum(at // DAY in days for at in frauds)
            row[f"{kind}_risk_{window}d"] = min(found / count, 1) if count else 0

    def of_history(self, row: dict[str, float], payment: Payment, month: list[Payment]) -> None:
        amounts = [min(one.amount, 2**32 - 1) for one in month]
        if amounts:
            row["amount_to_mean"] = min(payment.amount, 2**32 - 1) / statistics.fmean(amounts)
        if len(amounts) >= 3:
            mean = statistics.fmean(amounts)
            deviation = max(statistics.stdev(amounts), mean / 10)
            row["amount_zscore"] = float(
                np.clip((min(payment.amount, 2**32 - 1) - mean) / deviation, -100, 100)
            )

    def of_payees(self, row: dict[str, float], payment: Payment, run: list[Payment]) -> None:
        first: dict[str, int] = {}
        for one in run:
            at = min(first.pop(one.payee, second(one)), second(one))
            if len(first) == self.bounds["PAYEES"]:
                del first[next(iter(first))]
            first[one.payee] = at
        t = second(payment)
        known = first.get(payment.payee, t + 1) <= t
        row["payee_is_new"] = not known
        row["payee_known_s"] = t - first[payment.payee] if known else 0
        row["customer_new_payees_1d"] = sum(t - DAY < at <= t for at in first.values())


def put(row: dict[str, float], name: str, value: float) -> None:
    if name in row:
        row[name] = value


def second(payment: Payment) -> int:
    return payment.at // SECOND


def whole_up(microseconds: int) -> int:
    return -(-microseconds // SECOND)


GAPS = [0, 0, 1, 7, 200, 299, 599, 600, 601, HOUR, 5 * HOUR, DAY, 8 * DAY, 31 * DAY, 90 * DAY, 91 * DAY]
BEHIND = [0, 0, 0, 0, 1, 250, 300, 301, 5_000, 3 * DAY, 12 * DAY, 50 * DAY]
AMOUNTS = [1, 100, 999, 12_345, 2**32 - 1, 2**32, 10**12]


def stream(dice: random.Random, count: int, gaps: list[int], behind: list[int]) -> Iterator[Step]:
    """Payments and labels in the order of their arrival: equal times, late ones, repeated and corrected labels."""
    newest = START * SECOND
    done: list[Payment] = []
    for number in range(count):
        newest += dice.choice(gaps) * SECOND + dice.choice([0, 0, 1, 400_000])
        at = max(newest - dice.choice(behind) * SECOND, SECOND)
        done.append(
            Payment(
                id=f"p{number}",
                at=at,
                amount=dice.choice(AMOUNTS) if dice.random() < 0.3 else dice.randrange(1, 50_000),
                currency="EUR",
                customer=f"c{dice.randrange(3)}",
                payee=f"m{dice.randrange(4)}",
                channel=dice.choice(CHANNELS),
                card=dice.choice(["", "k0", "k1"]),
                terminal=dice.choice(["", "t0", "t1"]),
                device=dice.choice(["", "d0", "d1"]),
            )
        )
        yield done[-1]
        if dice.random() < 0.4:
            about = dice.choice(done)
            known_at = about.at + dice.choice([0, 1, HOUR * SECOND, 4 * DAY * SECOND, 20 * DAY * SECOND])
            yield Label(about, dice.random() < 0.7, known_at)


def check(steps: list[Step], bounds: dict[str, int]) -> int:
    """Hold every feature of every payment to the reference; how many were held."""
    windows, reference = Windows(lateness_s=LATENESS, label_delay_s=DELAY), Reference(bounds=bounds)
    held = 0
    for step in steps:
        if isinstance(step, Label):
            windows.learn([step])
            reference.learn(step)
            continue
        found = dict(zip(windows.names, windows.take([step])[0].tolist(), strict=True))
        expected: dict[str, Any] = {**reference.take(step)}
        for name in ("amount_zscore", "amount_to_mean"):
            expected[name] = pytest.approx(expected[name], rel=1e-9, abs=1e-9)
        assert found == expected, {
            name: (found[name], expected[name]) for name in found if found[name] != expected[name]
        }
        held += 1
    return held


REAL = {
    name: getattr(_records, name)
    for name in ("DEVICE_ENTRIES", "ENTRIES", "LABELS", "PAYEES", "PLACE_ENTRIES")
}
SMALL = {"DEVICE_ENTRIES": 3, "ENTRIES": 5, "LABELS": 3, "PAYEES": 2, "PLACE_ENTRIES": 4}


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 40))
def test_features_are_what_the_windows_say_by_definition(dice: random.Random, count: int) -> None:
    assert check(list(stream(dice, count, GAPS, BEHIND)), REAL) == count


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 40))
def test_features_are_what_the_windows_say_where_memory_is_bounded(dice: random.Random, count: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, bound in SMALL.items():
            patch.setattr(_records, name, bound)
        assert check(list(stream(dice, count, GAPS[:-1], BEHIND)), SMALL) == count


@pytest.mark.parametrize("seed", range(3))
def test_a_long_dense_stream_has_the_features_of_the_definition(seed: int) -> None:
    steps = list(stream(random.Random(seed), 200, [0, 5, 60, 900, 3_000], [0, 0, 0, 10, 300, 400]))
    assert check(steps, REAL) == 200


@pytest.mark.parametrize("seed", range(4))
def test_a_dense_stream_with_late_payments_has_them_where_memory_is_bounded(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, bound in SMALL.items():
        monkeypatch.setattr(_records, name, bound)
    behind = [0, 0, 60, 300, 5_000, 90_000, 3 * DAY, 9 * DAY]
    steps = stream(random.Random(seed), 250, [0, 5, 60, 900, 9 * HOUR], behind)
    assert check(list(steps), SMALL) == 250


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(2, 30))
def test_nothing_that_comes_later_changes_what_a_payment_saw(dice: random.Random, count: int) -> None:
    steps = list(stream(dice, count, GAPS, BEHIND))
    place = dice.randrange(len(steps))
    full, short = Windows(), Windows()
    rows = [play(full, step) for step in steps]
    assert [play(short, step) for step in steps[: place + 1]] == rows[: place + 1]


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(2, 30))
def test_a_label_changes_nothing_before_it_is_known(dice: random.Random, count: int) -> None:
    steps = list(stream(dice, count, GAPS, BEHIND))
    with_labels, without = Windows(label_delay_s=0), Windows(label_delay_s=0)
    earliest = 4_000_000_000 * SECOND
    for step in steps:
        if isinstance(step, Label):
            with_labels.learn([step])
            earliest = min(earliest, step.known_at)
            continue
        rows = with_labels.take([step]), without.take([step])
        if step.at < earliest:
            assert rows[0].tobytes() == rows[1].tobytes()


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(2, 40))
def test_a_snapshot_and_the_rest_give_what_the_whole_stream_gives(dice: random.Random, count: int) -> None:
    steps = list(stream(dice, count, GAPS, BEHIND))
    place = dice.randrange(len(steps) + 1)
    whole, first = Windows(utc_offset_s=HOUR), Windows(utc_offset_s=HOUR)
    rows = [play(whole, step) for step in steps]
    assert [play(first, step) for step in steps[:place]] == rows[:place]
    second_life = Windows.parse_state(first.format_state())
    assert [play(second_life, step) for step in steps[place:]] == rows[place:]
    assert second_life.format_state() == whole.format_state()
    assert second_life.position == whole.position == count


def play(windows: Windows, step: Step) -> bytes:
    if isinstance(step, Label):
        windows.learn([step])
        return b""
    return windows.take([step]).tobytes()


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 40))
def test_it_does_not_matter_how_many_payments_are_taken_at_once(dice: random.Random, count: int) -> None:
    payments = [step for step in stream(dice, count, GAPS, BEHIND) if isinstance(step, Payment)]
    one_by_one, at_once = Windows(), Windows()
    rows = np.concatenate([one_by_one.take([payment]) for payment in payments])
    assert np.array_equal(rows, at_once.take(payments))
    assert one_by_one.format_state() == at_once.format_state()


def test_the_reference_tells_wrong_features_apart() -> None:
    """A check that cannot fail checks nothing: one payment that is out by a second must be noticed."""
    steps = list(stream(random.Random(1), 40, [0, 5, 60, 900], [0]))
    payment = next(step for step in reversed(steps) if isinstance(step, Payment))
    windows, reference = Windows(lateness_s=LATENESS, label_delay_s=DELAY), Reference(bounds=REAL)
    for step in steps[: steps.index(payment)]:
        if isinstance(step, Label):
            windows.learn([step])
            reference.learn(step)
        else:
            windows.take([step])
            reference.take(step)
    moved = replace(payment, at=payment.at + SECOND)
    found = dict(zip(windows.names, windows.take([moved])[0].tolist(), strict=True))
    assert found != reference.take(payment)
