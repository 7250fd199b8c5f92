"""What windows promise besides their numbers: names, bounds, forgetting, lateness."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from tallystick.apps.fraud.features import FEATURES, FeatureSource, Limits, Windows
from tallystick.apps.fraud.payments import Label, Payment
from tallystick.errors import ConfigurationError

SECOND = 1_000_000
HOUR, DAY = 3_600 * SECOND, 86_400 * SECOND
START = 1_785_542_400 * SECOND  # Saturday, 2026-08-01, midnight UTC


def pay(number: int, at: int = START, **fields: Any) -> Payment:
    given = {"amount": 1_000, "customer": "c", "payee": "m", **fields}
    return Payment(id=f"p{number}", at=at, currency="EUR", **given)


def one(windows: Windows, payment: Payment) -> dict[str, float]:
    return dict(zip(windows.names, windows.take([payment])[0].tolist(), strict=True))


def test_every_feature_has_a_name_a_title_and_a_code_of_its_own() -> None:
    assert 40 <= len(FEATURES) <= 96
    assert len({feature.name for feature in FEATURES}) == len({feature.reason_code for feature in FEATURES})
    assert [feature.reason_code for feature in FEATURES] == [f"V{n:02}" for n in range(1, len(FEATURES) + 1)]
    assert all(re.fullmatch(r"[a-z][a-z0-9_]{0,63}", feature.name) for feature in FEATURES)
    assert all(feature.title == feature.title.strip() and len(feature.title) > 5 for feature in FEATURES)
    assert tuple(feature.name for feature in FEATURES) == Windows().names


def test_names_that_written_rules_read_are_there() -> None:
    assert {"customer_count_10m", "payee_is_new", "amount_zscore"} <= set(Windows().names)


def test_windows_are_a_source_of_features() -> None:
    source: FeatureSource = Windows()
    rows = source.take([pay(1), pay(2)])
    assert rows.shape == (2, len(FEATURES))
    assert rows.dtype == np.dtype(np.float64)
    assert np.isfinite(rows).all()
    assert source.take([]).shape == (0, len(FEATURES))


def test_a_payment_does_not_see_itself() -> None:
    row = one(Windows(), pay(1, card="k", device="d", terminal="t"))
    seen = {
        name: value for name, value in row.items() if "_count_" in name or "_sum_" in name or "fan_in" in name
    }
    assert set(seen.values()) == {0.0}
    assert (row["payee_is_new"], row["device_is_new"], row["amount"]) == (1, 1, 1_000)


def test_the_edge_of_a_window_is_a_second_sharp() -> None:
    windows = Windows()
    windows.take([pay(1, START)])
    assert one(windows, pay(2, START + 600 * SECOND - 1))["customer_count_10m"] == 1
    assert one(windows, pay(3, START + 600 * SECOND))["customer_count_10m"] == 1
    assert one(windows, pay(4, START + 600 * SECOND))["customer_count_1h"] == 3


def test_night_and_weekend_follow_the_banks_own_clock() -> None:
    saturday = one(Windows(), pay(1, START + 5 * HOUR))
    assert (saturday["night"], saturday["weekend"], saturday["hour"]) == (1, 1, 5)
    still_friday = one(Windows(utc_offset_s=-4 * 3_600), pay(1, START + HOUR))
    assert (still_friday["night"], still_friday["weekend"], still_friday["hour"]) == (0, 0, 21)
    monday = one(Windows(), pay(1, START + 2 * DAY + 6 * HOUR))
    assert (monday["night"], monday["weekend"], monday["hour"]) == (0, 0, 6)


def test_payers_of_a_payee_and_users_of_a_device_are_counted_once_each() -> None:
    windows = Windows()
    for number in range(6):
        windows.take([pay(number, START + number * SECOND, customer=f"c{number % 3}", device="d")])
    row = one(windows, pay(9, START + 10 * SECOND, customer="c0", device="d"))
    assert (row["payee_fan_in_1h"], row["payee_fan_in_7d"], row["payee_count_1h"]) == (3, 3, 6)
    assert (row["device_other_customers_30d"], row["device_is_new"]) == (2, 0)


def test_risk_is_known_only_after_the_label_delay_and_frauds_as_soon_as_they_are_told() -> None:
    windows = Windows(label_delay_s=7 * 86_400)
    payments = [pay(number, START + number * HOUR, terminal="t") for number in range(4)]
    windows.take(payments)
    windows.learn([Label(payments[0], True, START + 5 * HOUR), Label(payments[1], False, START + 5 * HOUR)])
    early, told = (
        one(windows, pay(5, START + 5 * HOUR - 1, terminal="t")),
        one(windows, pay(6, START + 5 * HOUR)),
    )
    assert (early["payee_frauds_30d"], told["payee_frauds_30d"], told["payee_risk_30d"]) == (0, 1, 0)
    later = one(windows, pay(7, START + 8 * DAY + HOUR, terminal="t"))
    assert later["terminal_known_7d"] == 5
    assert later["terminal_risk_1d"] == later["terminal_risk_30d"] == pytest.approx(1 / 5)
    assert later["payee_known_7d"] == 6


def test_a_fraud_that_is_taken_back_counts_no_more_from_then_on() -> None:
    windows = Windows()
    payment = pay(1)
    windows.take([payment])
    windows.learn([Label(payment, True, START + HOUR), Label(payment, False, START + 3 * HOUR)])
    assert one(windows, pay(2, START + 2 * HOUR))["payee_frauds_30d"] == 1
    assert one(windows, pay(3, START + 3 * HOUR))["payee_frauds_30d"] == 0


def test_a_fraud_counts_from_the_second_in_which_it_was_known_whatever_is_known_later() -> None:
    windows = Windows()
    payments = [pay(1), pay(2)]
    windows.take(payments)
    windows.learn([Label(payments[0], True, START + HOUR), Label(payments[1], True, START + 2 * HOUR)])
    times = (HOUR - SECOND, HOUR, 2 * HOUR - SECOND, 2 * HOUR)
    rows = [one(windows, pay(9, START + time))["payee_frauds_30d"] for time in times]
    assert rows == [0, 1, 1, 2]


def test_labels_of_places_that_nobody_knows_are_dropped() -> None:
    windows = Windows()
    windows.learn([Label(pay(1, terminal="t"), True, START + HOUR)])
    assert set(windows.memory().values()) == {0}
    assert one(windows, pay(2, START + 2 * HOUR, terminal="t"))["terminal_frauds_30d"] == 0


def test_the_bound_of_lateness_is_exact() -> None:
    windows = Windows(lateness_s=300)
    assert not windows.late(pay(1))
    windows.take([pay(1, START + 300 * SECOND)])
    assert not windows.late(pay(2, START))
    assert windows.late(pay(3, START - 1))
    windows.take([pay(2, START), pay(3, START - 1)])
    assert (windows.position, windows.late_taken) == (3, 1)


def test_a_late_payment_does_not_see_what_is_later_than_itself() -> None:
    windows = Windows()
    windows.take([pay(1, START, terminal="t"), pay(2, START + 200 * SECOND, terminal="t")])
    row = one(windows, pay(3, START + 100 * SECOND, terminal="t"))
    assert [row[f"{who}_count_7d"] for who in ("customer", "payee", "terminal")] == [1, 1, 1]
    assert row["customer_since_last_s"] == 100
    later = one(windows, pay(4, START + 300 * SECOND, terminal="t"))
    assert [later[f"{who}_count_7d"] for who in ("customer", "payee", "terminal")] == [3, 3, 3]


def test_an_absurd_amount_counts_as_the_largest_and_stays_finite() -> None:
    windows = Windows()
    windows.take([pay(number, amount=10**12) for number in range(5)])
    row = one(windows, pay(9, amount=10**12))
    assert (row["amount"], row["customer_sum_30d"]) == (10**12, 5 * (2**32 - 1))
    assert np.isfinite(list(row.values())).all()


def test_who_was_idle_for_ninety_days_starts_anew() -> None:
    windows = Windows()
    windows.take([pay(1)])
    known, forgotten = Windows.parse_state(windows.format_state()), windows
    assert one(known, pay(2, START + 90 * DAY))["payee_is_new"] == 0
    assert one(forgotten, pay(2, START + 90 * DAY + SECOND))["payee_is_new"] == 1


def test_memory_of_those_who_are_idle_is_freed() -> None:
    windows = Windows()
    windows.take([pay(number, START, customer=f"c{number}", card=f"k{number}") for number in range(500)])
    windows.take([pay(number, START + 100 * DAY + number) for number in range(4_096)])
    said = windows.memory()
    assert (said["customers"], said["cards"], said["payees"]) == (1, 0, 1)
    assert said["card_bytes"] == 0


def test_a_limit_sends_the_longest_idle_away_and_keeps_the_rest() -> None:
    windows = Windows(limits=Limits(customer=128))
    windows.take([pay(number, START + number, customer=f"c{number}") for number in range(128)])
    windows.take([pay(200, START + 200, customer="c0")])
    windows.take([pay(201, START + 201, customer="new")])
    assert windows.memory()["customers"] == 127
    rows = windows.take([pay(202 + n, START + 300, customer=f"c{n}") for n in (0, 3, 1, 2)])
    assert rows[:, windows.names.index("customer_count_1h")].tolist() == [2, 1, 0, 0]


def test_a_records_bytes_are_bounded_however_much_is_paid() -> None:
    windows = Windows()
    for number in range(2_000):
        at = START + number * 1_200 * SECOND
        windows.take([pay(number, at, payee=f"m{number % 50}", card="k", device="d", terminal="t")])
        if number % 3 == 0:
            windows.learn([Label(pay(number, at, payee="m0", terminal="t"), True, at)])
    said = windows.memory()
    assert said["customer_bytes"] <= 4 + 256 * 8 + 32 * 8
    assert said["card_bytes"] <= 256 * 8
    assert said["device_bytes"] <= 64 * 12
    assert said["terminal_bytes"] <= 8 + 128 * 8 + 48 * 16 + 128 * 16


def test_numbers_out_of_range_are_refused() -> None:
    refused: list[dict[str, Any]] = [
        {"lateness_s": -1}, {"label_delay_s": 366 * 86_400}, {"utc_offset_s": 15 * 3_600}
    ]  # fmt: skip
    for given in refused:
        with pytest.raises(ConfigurationError):
            Windows(**given)
    with pytest.raises(ConfigurationError):
        Limits(card=3)
