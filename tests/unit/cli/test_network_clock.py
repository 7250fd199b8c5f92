"""What `network status` says of clocks that cannot both be right."""

from __future__ import annotations

import pytest

from tallystick.cli._network_run import _clock
from tallystick.network import ValidatorStatus


def looked(*ages: float | None) -> list[ValidatorStatus]:
    return [ValidatorStatus(f"m{n}", 1, 7, "0x1", 3, False, 1, True, age) for n, age in enumerate(ages)]


@pytest.mark.parametrize(
    ("ages", "said"),
    [
        ((1.0, 2.0, None), ""),
        ((-3.0, 1.0), ""),
        ((None, None), ""),
        ((-120.0, -119.0), "120 s behind the network's: set it by NTP"),
        ((900.0, 901.0), "stands still, or this machine's clock is ahead"),
        ((1.0, 900.0), ""),  # one validator lags: that is told by its height
    ],
)
def test_a_clock_that_is_wrong_is_told(ages: tuple[float | None, ...], said: str) -> None:
    told = _clock(looked(*ages))
    assert said in told
    assert bool(told) == bool(said)
