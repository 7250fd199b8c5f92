"""What banks would have known together about SIMULATED payments: the columns of `SharedSignals`, computed at once.

The same definitions without tokens, masks and statements, so that a bench can play many histories: a payee is listed
from the second report by another customer on, each counted from its time plus the time that exchanging it takes; risks
come from sums made once a day over all banks, with what every bank holds back and what is suppressed in the sum.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tallystick.apps.fraud.sharing import SIGNALS, RiskRule

from ._protocol import DAY

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tallystick.apps.fraud.simulator import Simulated

__all__ = ["Exchange", "shared_columns"]

MOVED: Final = (2, 3)  # places in CHANNELS: transfers, whose payees are reported
REPORTERS: Final = 2  # different customers that an entry needs


@dataclass(frozen=True, slots=True)
class Exchange:
    """How banks share.

    Args:
        rule: what is counted, held back and suppressed.
        settled_days: the youngest payments, which are not counted yet because hardly anybody has complained.
        counted_days: how far back a sum goes.
        list_days: how long a report counts.
        delay_s: from a report to the other banks' lists.
    """

    rule: RiskRule = field(default_factory=lambda: RiskRule(floor=3, least=8, weight=10.0, bucket_bits=10))
    settled_days: int = 1
    counted_days: int = 14
    list_days: int = 30
    delay_s: int = 300


def shared_columns(
    simulated: Simulated, exchange: Exchange | None = None
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return what all banks together let each of them know, as of each payment's own time.

    Args:
        simulated: SIMULATED payments of at least two banks.
        exchange: how they share.

    Returns:
        float64, shape (payments, 4), and the columns' names: those of `SharedSignals`.
    """
    import numpy as np

    exchange = exchange or Exchange()
    listed, reports = _listed(simulated, exchange)
    buckets = _buckets(simulated, exchange.rule)
    terminals = np.where(simulated.terminal < 0, -1, simulated.terminal)
    terminal, payee = _risks(simulated, exchange, terminals, buckets)
    return np.column_stack([listed, reports, terminal, payee]).astype(np.float64), SIGNALS


def _listed(simulated: Simulated, exchange: Exchange) -> tuple[Any, Any]:
    """Return whether each payment's payee is on the list then, and behind how many customers' reports."""
    import numpy as np

    told = np.flatnonzero(simulated.fraud & np.isin(simulated.channel, MOVED))
    since = simulated.reported_at[told] + exchange.delay_s * 1_000_000
    said: dict[int, list[tuple[int, int]]] = {}
    for payee, customer, at in zip(
        simulated.payee[told].tolist(), simulated.customer[told].tolist(), since.tolist(), strict=True
    ):
        said.setdefault(payee, []).append((at, customer))
    reports = np.zeros(len(simulated))
    for row in np.flatnonzero(np.isin(simulated.payee, list(said))).tolist():
        at = int(simulated.at[row])
        last = {who: told_at for told_at, who in sorted(said[int(simulated.payee[row])]) if told_at <= at}
        reports[row] = sum(at < told_at + exchange.list_days * DAY for told_at in last.values())
    listed = reports >= REPORTERS
    return listed.astype(np.float64), np.where(listed, reports, 0.0)


def _buckets(simulated: Simulated, rule: RiskRule) -> Any:
    """Return the bucket of each payment's payee; a hash stands for the token, which spreads payees as evenly."""
    import numpy as np

    found, place = np.unique(simulated.payee, return_inverse=True)
    tokens = [hashlib.sha256(payee.to_bytes(8, "big")).digest() for payee in found.tolist()]
    return np.array([rule.bucket(token) for token in tokens])[place]


def _risks(simulated: Simulated, exchange: Exchange, terminals: Any, buckets: Any) -> tuple[Any, Any]:
    """Return the shared risk of each payment's terminal and payee, from the day's sum; 0 before the first one."""
    import numpy as np

    at, start = simulated.at, simulated.settings.start
    terminal, payee = np.zeros(len(at)), np.zeros(len(at))
    for day in range(1, simulated.settings.days + 1):
        now = start + day * DAY
        stop = now - exchange.settled_days * DAY
        first, last = np.searchsorted(at, (stop - exchange.counted_days * DAY, stop))
        rows = slice(*(int(place) for place in np.searchsorted(at, (now, now + DAY))))
        part = slice(int(first), int(last))
        known = simulated.fraud[part] & (simulated.reported_at[part] <= now)
        sums = [
            _summed(codes[part], known, simulated.bank[part], exchange.rule, int(codes.max()) + 1)
            for codes in (terminals, buckets)
        ]
        counted = sums[0] if sums[0][0].any() else sums[1]
        prior = counted[1].sum() / counted[0].sum() if counted[0].any() else 0.0
        for into, codes, (payments, frauds) in zip(
            (terminal, payee), (terminals, buckets), sums, strict=True
        ):
            weight = exchange.rule.weight
            risk = np.append((frauds + prior * weight) / (payments + weight), prior)
            into[rows] = risk[codes[rows]]  # -1, no terminal, is the prior at the end
    return terminal, payee


def _summed(codes: Any, fraud: Any, bank: Any, rule: RiskRule, size: int) -> tuple[Any, Any]:
    """Return payments and frauds of each code over all banks, after what is held back and what is suppressed."""
    import numpy as np

    there = codes >= 0
    payments, frauds, banks = np.zeros(size), np.zeros(size), np.zeros(size)
    for number in np.unique(bank):
        own = there & (bank == number)
        count = np.bincount(codes[own], minlength=size)
        given = count >= rule.floor
        payments += np.where(given, count, 0)
        frauds += np.where(given, np.bincount(codes[own & fraud], minlength=size), 0)
        banks += given
    kept = (payments >= rule.least) & (banks >= 2)
    return np.where(kept, payments, 0), np.where(kept, frauds, 0)
