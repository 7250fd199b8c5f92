"""What is remembered of one customer, card, device, payee or terminal: a record of bytes, and how a payment changes it.

A record is a row of unsigned 32-bit numbers, little-endian, so that a million of them are small and any store can hold
them. Every function here takes a record (None when nothing is known) and gives numbers and a new record; nothing else is
read or changed.

    customer  n | time * n | amount * n | (payee, first paid) * m, the payee paid longest ago first
    card      time * n | amount * n
    device    time * n | amount * n | customer * n
    payee     n | d | time * n | amount * n | customer * n | (day, count, sum low, sum high) * d
                | (time, known at, payment, fraud) * k, in the order in which they were learnt
    terminal  the same without customers

Times are whole seconds since the epoch, in order; of equal times the one that was taken first stands first. Customers,
payees and payments stand as the first four bytes of their BLAKE2b.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from math import sqrt
from operator import mul
from struct import Struct
from typing import Final

__all__ = [
    "DAY",
    "DEVICE_ENTRIES",
    "ENTRIES",
    "IDLE",
    "LABELS",
    "LARGEST",
    "NO_CARD",
    "NO_DEVICE",
    "NO_TERMINAL",
    "PAYEES",
    "PLACE_ENTRIES",
    "add_label",
    "has_labels",
    "last_time",
    "mark",
    "see_card",
    "see_customer",
    "see_device",
    "see_payee",
    "see_terminal",
]

MINUTES_10: Final = 600
HOUR: Final = 3_600
DAY: Final = 86_400
DAYS_7: Final = 7 * DAY
DAYS_30: Final = 30 * DAY
LARGEST: Final = 2**32 - 1  # minor units: a larger amount counts as this one in sums and means
ENTRIES: Final = 256  # newest payments kept of a customer and of a card
DEVICE_ENTRIES: Final = 64
PLACE_ENTRIES: Final = 128
PAYEES: Final = 32  # payees kept of a customer: those that she paid last
LABELS: Final = 128  # labels kept of a place: those learnt last
IDLE: Final = 90 * DAY  # what was idle for longer starts anew
Z_LEAST: Final = 3  # payments that a deviation needs
Z_MOST: Final = 100.0
NO_CARD: Final[tuple[float, ...]] = (0, 0, 0, 0, 0, 0, 0, 0, 0.0, DAYS_30)
NO_DEVICE: Final[tuple[float, ...]] = (0, 0, 0, 0, 0, 0, 0.0, 0, 0)
NO_TERMINAL: Final[tuple[float, ...]] = (0, 0, 0, 0, 0.0, 0, 0, 0, 0.0, 0.0, 0.0)

Numbers = tuple[int, ...]
_four = Struct("<I").pack
_pair = Struct("<II").pack
_quad = Struct("<IIII").pack
_two = Struct("<II").unpack_from


@lru_cache(maxsize=4096)
def _reader(size: int) -> Struct:
    return Struct(f"<{size // 4}I")


def mark(text: str) -> int:
    """Return the number that stands for an id in records: two ids are one with probability 2**-32."""
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "little")


def see_customer(
    record: bytes | None, t: int, amount: int, payee: int, horizon: int
) -> tuple[tuple[float, ...], bytes]:
    """Return a customer's numbers, from ``amount_zscore`` on, and her record with this payment.

    Args:
        record: as it stood.
        t: the payment's time, seconds.
        amount: minor units, at most `LARGEST`.
        payee: its mark.
        horizon: seconds behind the newest payment that are kept.
    """
    if record is None or t - (u := _reader(len(record)).unpack(record))[u[0]] > IDLE:
        new = _pair(1, t) + _pair(amount, payee) + _four(t)
        return (0.0, 0.0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, DAYS_30, 1, 0, 0), new
    n = u[0]
    i = bisect_right(u, t, 1, n + 1)
    w30, w7, w1, wh, wm = _begins(u, 1, i, t)
    paid = u[w30 + n : i + n]
    c30, c7, c1 = i - w30, i - w7, i - w1
    m10 = sum(u[wm + n : i + n])
    h1 = m10 + sum(u[wh + n : wm + n])
    d1 = h1 + sum(u[w1 + n : wh + n])
    d7, d30 = d1 + sum(u[w7 + n : w1 + n]), sum(paid)
    z, ratio = _deviation(amount, paid, d30)
    marks, firsts = u[2 * n + 1 :: 2], u[2 * n + 2 :: 2]
    place = marks.index(payee) if payee in marks else -1
    known = place >= 0 and firsts[place] <= t
    fresh = 0
    if max(firsts) > t - DAY:
        for first in firsts:
            if t - DAY < first <= t:
                fresh += 1
    numbers = (
        z, ratio, i - wm, i - wh, c1, c7, c30, m10, h1, d1, d7, d30,
        d1 / c1 if c1 else 0.0, d7 / c7 if c7 else 0.0, d30 / c30 if c30 else 0.0,
        min(t - u[i - 1], DAYS_30) if i > 1 else DAYS_30,
        0 if known else 1, t - firsts[place] if known else 0, fresh,
    )  # fmt: skip
    count, columns = _with(record, u, (1, n, i), t, (_four(t), _four(amount)), horizon, ENTRIES)
    return numbers, _four(count) + columns + _paid(record[8 * n + 4 :], place, t, payee)


def _deviation(amount: int, paid: Numbers, total: int) -> tuple[float, float]:
    """Return the z-score, at least a tenth of the mean taken as the deviation, and the multiple of the mean."""
    count = len(paid)
    if not count:
        return 0.0, 0.0
    mean = total / count
    if count < Z_LEAST:
        return 0.0, amount / mean
    spread = count * sum(map(mul, paid, paid)) - total * total
    deviation = max(sqrt(spread / (count * (count - 1))), mean / 10)
    return max(-Z_MOST, min(Z_MOST, (amount - mean) / deviation)), amount / mean


def _paid(pairs: bytes, place: int, t: int, payee: int) -> bytes:
    """Return the payees with this one last."""
    if place < 0:
        return pairs[8:] + _pair(payee, t) if len(pairs) >= 8 * PAYEES else pairs + _pair(payee, t)
    one = pairs[8 * place : 8 * place + 8]
    if int.from_bytes(one[4:], "little") > t:
        one = _pair(payee, t)
    return pairs[: 8 * place] + pairs[8 * place + 8 :] + one


def see_card(record: bytes | None, t: int, amount: int, horizon: int) -> tuple[tuple[float, ...], bytes]:
    """Return a card's numbers and its record with this payment; arguments as of `see_customer`."""
    if record is None or t - (u := _reader(len(record)).unpack(record))[len(record) // 8 - 1] > IDLE:
        return NO_CARD, _pair(t, amount)
    n = len(u) // 2
    i = bisect_right(u, t, 0, n)
    w30, w7, w1, wh, wm = _begins(u, 0, i, t)
    c30 = i - w30
    numbers = (
        i - wm, i - wh, i - w1, i - w7, c30,
        sum(u[wh + n : i + n]), sum(u[w1 + n : i + n]), sum(u[w7 + n : i + n]),
        sum(u[w30 + n : i + n]) / c30 if c30 else 0.0,
        min(t - u[i - 1], DAYS_30) if i else DAYS_30,
    )  # fmt: skip
    return numbers, _with(record, u, (0, n, i), t, (_four(t), _four(amount)), horizon, ENTRIES)[1]


def see_device(
    record: bytes | None, t: int, amount: int, customer: int, horizon: int
) -> tuple[tuple[float, ...], bytes]:
    """Return a device's numbers and its record with this payment; arguments as of `see_customer`."""
    if record is None or t - (u := _reader(len(record)).unpack(record))[len(record) // 12 - 1] > IDLE:
        return (0, 0, 0, 0, 0, 0, 0.0, 1, 0), _pair(t, amount) + _four(customer)
    n = len(u) // 3
    i = bisect_right(u, t, 0, n)
    w30, w7, w1, wh, wm = _begins(u, 0, i, t)
    c30 = i - w30
    others = set(u[w30 + 2 * n : i + 2 * n])
    others.discard(customer)
    numbers = (
        i - wm, i - wh, i - w1, i - w7, c30,
        sum(u[w1 + n : i + n]), sum(u[w30 + n : i + n]) / c30 if c30 else 0.0,
        0 if customer in u[2 * n : i + 2 * n] else 1, len(others),
    )  # fmt: skip
    entry = (_four(t), _four(amount), _four(customer))
    return numbers, _with(record, u, (0, n, i), t, entry, horizon, DEVICE_ENTRIES)[1]


def _begins(u: Numbers, first: int, end: int, t: int) -> tuple[int, int, int, int, int]:
    """Return where the windows of 30 d, 7 d, 1 d, 1 h and 10 min begin among sorted times."""
    w30 = bisect_right(u, t - DAYS_30, first, end)
    w7 = bisect_right(u, t - DAYS_7, w30, end)
    w1 = bisect_right(u, t - DAY, w7, end)
    wh = bisect_right(u, t - HOUR, w1, end)
    return w30, w7, w1, wh, bisect_right(u, t - MINUTES_10, wh, end)


def _with(
    record: bytes,
    u: Numbers,
    where: tuple[int, int, int],
    t: int,
    entry: tuple[bytes, ...],
    horizon: int,
    most: int,
) -> tuple[int, bytes]:
    """Return how many entries there are with this one, and their columns.

    Args:
        record: with the columns.
        u: its numbers.
        where: place of the first time, how many entries, place where this one goes.
        t: its time.
        entry: its number in each column.
        horizon: seconds behind the newest that are kept.
        most: entries that are kept, the newest.
    """
    first, n, i = where
    end = first + n
    if i == end:  # nearly all: newer than all others, or as new
        drop = bisect_right(u, t - horizon, first, end) - first if u[first] <= t - horizon else 0
        drop += n - drop == most
        skip, a, b = 4 * drop, 4 * end, 4 * (end + n)
        parts = [record[4 * first + skip : a], entry[0], record[a + skip : b], entry[1]]
        if len(entry) == 3:
            parts += (record[b + skip : b + 4 * n], entry[2])
        return n - drop + 1, b"".join(parts)
    oldest = u[end - 1] - horizon
    drop = bisect_right(u, oldest, first, end) - first
    fits = t > oldest
    if fits and n - drop == most:
        fits = i > first + drop  # else older than all that are kept
        drop += fits
    parts = []
    for column, number in enumerate(entry):
        begin, place, stop = (4 * (at + column * n) for at in (first + drop, i, end))
        if fits:
            parts += (record[begin:place], number, record[place:stop])
        else:
            parts.append(record[begin:stop])
    return n - drop + fits, b"".join(parts)


def see_payee(
    record: bytes | None, t: int, amount: int, customer: int, delay: int, horizon: int
) -> tuple[tuple[float, ...], bytes]:
    """Return a payee's numbers, from ``payee_count_10m`` on, and its record with this payment.

    Args:
        record: as it stood.
        t: the payment's time, seconds.
        amount: minor units, at most `LARGEST`.
        customer: who pays, her mark.
        delay: label delay, seconds.
        horizon: seconds behind the newest payment that single payments are kept.
    """
    today = t // DAY
    if record is None or t - (u := _reader(len(record)).unpack(record))[(u_n := u[0]) + 1] > IDLE:
        new = _quad(1, 1, t, amount) + _four(customer) + _quad(today, 1, amount, 0)
        return (0, 0, 0, 0, 0, 0, 0, 0, 0.0, DAYS_30, 0, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0), new
    n, o = u_n, 3 * u_n + 2
    i = bisect_right(u, t, 2, n + 2)
    w7 = bisect_right(u, t - DAYS_7, 2, i)
    w1 = bisect_right(u, t - DAY, w7, i)
    wh = bisect_right(u, t - HOUR, w1, i)
    c7, c30, s7, s30, risk = _of_days(u, (2, n, i, o), t, delay)
    who = u[w7 + 2 * n : i + 2 * n]
    numbers = (
        i - bisect_right(u, t - MINUTES_10, wh, i), i - wh, i - w1, c7, c30,
        sum(u[wh + n : i + n]), sum(u[w1 + n : i + n]), s7, s30 / c30 if c30 else 0.0,
        min(t - u[i - 1], DAYS_30) if i > 2 else DAYS_30,
        len(set(who[wh - w7 :])), len(set(who[w1 - w7 :])), len(set(who)), *risk,
    )  # fmt: skip
    entry = (_four(t), _four(amount), _four(customer))
    count, columns = _with(record, u, (2, n, i), t, entry, horizon, PLACE_ENTRIES)
    return numbers, _joined(record, (o, u[1]), (count, columns), today, amount, delay)


def see_terminal(
    record: bytes | None, t: int, amount: int, delay: int, horizon: int
) -> tuple[tuple[float, ...], bytes]:
    """Return a terminal's numbers and its record with this payment; arguments as of `see_payee`."""
    today = t // DAY
    if record is None or t - (u := _reader(len(record)).unpack(record))[(u_n := u[0]) + 1] > IDLE:
        return NO_TERMINAL, _quad(1, 1, t, amount) + _quad(today, 1, amount, 0)
    n, o = u_n, 2 * u_n + 2
    i = bisect_right(u, t, 2, n + 2)
    w1 = bisect_right(u, t - DAY, 2, i)
    c7, c30, _, s30, risk = _of_days(u, (2, n, i, o), t, delay)
    numbers = (i - bisect_right(u, t - HOUR, w1, i), i - w1, c7, c30, s30 / c30 if c30 else 0.0, *risk)
    count, columns = _with(record, u, (2, n, i), t, (_four(t), _four(amount)), horizon, PLACE_ENTRIES)
    return numbers, _joined(record, (o, u[1]), (count, columns), today, amount, delay)


def _joined(
    record: bytes, where: tuple[int, int], entries: tuple[int, bytes], today: int, amount: int, delay: int
) -> bytes:
    """Return a place's record with new entries, and with this payment in its days."""
    begin, stop = 4 * where[0], 4 * where[0] + 16 * where[1]
    days = _days(record[begin:stop], today, amount, 40 + delay // DAY)
    return b"".join((_pair(entries[0], len(days) // 16), entries[1], days, record[stop:]))


def _of_days(
    u: Numbers, where: tuple[int, int, int, int], t: int, delay: int
) -> tuple[int, int, int, int, tuple[float, ...]]:
    """Return what whole days say: counts of 7 and 30 days, sums of both, and the numbers of risk.

    Args:
        u: a place's numbers.
        where: place of its first time, how many entries, place where this payment goes, place of its first day.
        t: the payment's time.
        delay: label delay.
    """
    first, n, i, o = where
    stop, today = o + 4 * u[1], t // DAY
    days, counts, low, high = u[o:stop:4], u[o + 1 : stop : 4], u[o + 2 : stop : 4], u[o + 3 : stop : 4]
    end = bisect_right(days, today)
    a30 = bisect_right(days, today - 30, 0, end)
    a7 = bisect_right(days, today - 7, a30, end)
    c7, s7 = sum(counts[a7:end]), sum(low[a7:end]) + (sum(high[a7:end]) << 32)
    c30, s30 = c7 + sum(counts[a30:a7]), s7 + sum(low[a30:a7]) + (sum(high[a30:a7]) << 32)
    if i < first + n:  # a late payment: what was taken before it but is later does not count
        tomorrow = bisect_left(u, (today + 1) * DAY, i, first + n)
        c7, c30, later = c7 - tomorrow + i, c30 - tomorrow + i, sum(u[i + n : tomorrow + n])
        s7, s30 = s7 - later, s30 - later
    return c7, c30, s7, s30, _risk(u[stop:], days, counts, t, delay)


def _risk(labels: Numbers, days: Numbers, counts: Numbers, t: int, delay: int) -> tuple[float, ...]:
    """Return frauds of 30 d, known of 7 d and 30 d, and the risks of 1 d, 7 d, 30 d."""
    end = (t - delay) // DAY  # the day of the delay itself is left out
    e = bisect_left(days, end)
    known30 = sum(counts[bisect_left(days, end - 30, 0, e) : e]) if e else 0
    known7 = sum(counts[bisect_left(days, end - 7, 0, e) : e]) if known30 else 0
    if not labels:
        return 0, known7, known30, 0.0, 0.0, 0.0
    known1 = sum(counts[bisect_left(days, end - 1, 0, e) : e])
    frauds = sorted(_frauds(labels, t))
    now = bisect_right(frauds, t) - bisect_right(frauds, t - DAYS_30)
    stop = bisect_left(frauds, end * DAY)
    f1, f7, f30 = (stop - bisect_left(frauds, (end - length) * DAY, 0, stop) for length in (1, 7, 30))
    return (
        now, known7, known30,
        min(f1 / known1, 1.0) if known1 else 0.0,
        min(f7 / known7, 1.0) if known7 else 0.0,
        min(f30 / known30, 1.0) if known30 else 0.0,
    )  # fmt: skip


def _frauds(labels: Numbers, t: int) -> Sequence[int]:
    """Return the times of payments that are known as fraud at a time."""
    if 0 not in labels[3::4]:  # nothing was taken back: each payment is named once
        known = labels[1::4]
        if max(known) <= t:
            return labels[::4]
        return [at for at, when in zip(labels[::4], known, strict=True) if when <= t]
    said: dict[int, tuple[int, int, int]] = {}
    for at, when, payment, fraud in zip(labels[::4], labels[1::4], labels[2::4], labels[3::4], strict=True):
        if when <= t:
            before = said.get(payment)
            if before is None or when >= before[0]:
                said[payment] = (when, fraud, at)
    return [at for _, fraud, at in said.values() if fraud]


def _days(days: bytes, today: int, amount: int, kept: int) -> bytes:
    """Return a place's days with this payment."""
    last = int.from_bytes(days[-16:-12], "little")
    if last == today:
        _, count, low, high = _reader(16).unpack(days[-16:])
        total = (high << 32) + low + amount
        return days[:-16] + _quad(today, count + 1, total & LARGEST, total >> 32)
    if today > last:
        drop = 0
        while drop < len(days) and int.from_bytes(days[drop : drop + 4], "little") <= today - kept:
            drop += 16
        return days[drop:] + _quad(today, 1, amount, 0)
    if today <= last - kept:
        return days
    place = 0
    while (day := int.from_bytes(days[place : place + 4], "little")) < today:
        place += 16
    if day == today:
        return _days(days[: place + 16], today, amount, kept) + days[place + 16 :]
    return days[:place] + _quad(today, 1, amount, 0) + days[place:]


def has_labels(record: bytes, columns: int) -> bool:
    """Say whether a place's record has any label; columns as of `add_label`."""
    return len(record) > _labels(record, columns)


def _labels(record: bytes, columns: int) -> int:
    """Return where the labels of a place's record begin."""
    n, d = _two(record)
    begin: int = 4 * (columns * n + 2 + 4 * d)
    return begin


def add_label(record: bytes, columns: int, label: tuple[int, int, int, bool]) -> bytes:
    """Return a place's record with a label.

    A label that says what the last one of this payment said changes nothing; that a payment is genuine is kept only
    where it takes fraud back.

    Args:
        record: as it stood.
        columns: 3 of a payee, 2 of a terminal.
        label: the payment's time and when it was known, both seconds, its mark, whether it is fraud.
    """
    at, known, payment, fraud = label
    start = _labels(record, columns)
    last = 0
    if len(record) > start:
        u = _reader(len(record) - start).unpack_from(record, start)
        for place in range(2, len(u), 4):
            if u[place] == payment:
                last = u[place + 1]
    if last == fraud:
        return record
    labels = record[start:] + _quad(at, known, payment, int(fraud))
    return record[:start] + labels[-16 * LABELS :]


def last_time(kind: str, record: bytes) -> int:
    """Return the time of the newest payment in a record, seconds.

    Args:
        kind: ``customer``, ``card``, ``device``, ``payee`` or ``terminal``.
        record: it.
    """
    if kind in ("card", "device"):
        place = len(record) // (8 if kind == "card" else 12) - 1
    else:
        place = int.from_bytes(record[:4], "little") + (0 if kind == "customer" else 1)
    return int.from_bytes(record[4 * place : 4 * place + 4], "little")
