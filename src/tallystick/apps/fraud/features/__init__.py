"""Features: what is known about a payment the moment it is made, and never anything later.

Time. Everything counts by whole seconds (`Payment.at` rounded down). A payment sees those that were taken before it and
whose second is not after its own; never itself, never a later one. A label is seen from `known_at` (rounded up) on.

Windows. A window of length W of a payment at second t holds the seconds s with t - W < s <= t; W is 10 min, 1 h, 1 d,
7 d or 30 d, exact to the second. Two things are coarser: a payee's and a terminal's windows of 7 d and 30 d hold whole
UTC days, the payment's own day so far and the 6 or 29 before it; and the risk windows of 1 d, 7 d and 30 d hold the
whole UTC days before the day in which ``t - label_delay_s`` lies. Risk is the share of fraud, known at t, among the
payments of such a window; 0 where there are none. ``.._frauds_30d`` counts frauds known at t without the delay.

Bounds. Of a customer and a card the 256 newest payments are kept, of a device 64, of a payee and a terminal 128 (their
counts, sums and different customers within 1 d, and a payee's different customers, go no further; counts by day have no
such bound); 32 payees a customer, those paid last; 128 labels a payee and terminal, those learnt last. An amount above
2**32 - 1 minor units counts as that one in sums and means. Amounts of different currencies are added up as they are: a
bank that pays in several has them converted before. Customers and payees inside a record are told apart by 32 bits.

Forgetting. What was idle for 90 days starts anew, whether or not its memory was already freed. Each kind of entity has a
limit; when it is passed, the longest idle 64th of them go. The same stream always leaves the same state.

Lateness. A payment at most `lateness_s` behind the newest sees exactly what the rules above say. One that is later still
(`Windows.late`) sees, and changes, what is left of its time, and is counted; whether to decide on it is the caller's.

    windows = Windows()
    numbers = windows.take(payments)       # float64, shape (payments, FEATURES); the payments are now known
    windows.learn(labels)
"""

from __future__ import annotations

from ._features import FEATURES, Feature
from ._redis import RedisWindows
from ._settings import FeatureSettings
from ._source import FeatureSource, Signals
from ._windows import Limits, Windows

__all__ = [
    "FEATURES",
    "Feature",
    "FeatureSettings",
    "FeatureSource",
    "Limits",
    "RedisWindows",
    "Signals",
    "Windows",
]
