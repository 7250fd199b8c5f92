"""A copy of the windows goes on by itself."""

from __future__ import annotations

from tallystick.apps.fraud.features import Windows
from tallystick.apps.fraud.payments import Label, Payment

START = 1_790_000_000_000_000


def payments(first: int, count: int) -> list[Payment]:
    return [
        Payment(
            f"p{number}",
            START + number * 60_000_000,
            1_000 + number,
            "EUR",
            f"c{number % 5}",
            f"m{number % 3}",
        )
        for number in range(first, first + count)
    ]


def test_a_copy_holds_the_state_and_goes_on_by_itself() -> None:
    windows = Windows(lateness_s=60)
    windows.take(payments(0, 40))
    before, copy = windows.format_state(), windows.copy()
    taken = windows.take(payments(40, 40))
    windows.learn([Label(payments(3, 1)[0], True, START + 10**10)])
    assert copy.format_state() == before != windows.format_state()
    assert (copy.take(payments(40, 40)) == taken).all()
