"""What Prometheus reads. Counting costs a dictionary's increment; the text is made when it is asked for."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from tallystick.apps.fraud.sharing import ShareStanding

from ._service import Standing

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["Metrics"]

BOUNDS_MS: Final = (1.0, 2.5, 5.0, 7.5, 10.0, 15.0, 20.0, 25.0, 50.0, 100.0, 250.0, 1000.0, 5000.0)


class Metrics:
    """Counts of one service; only its event loop counts.

    Args:
        standing: says how the service stands.
        waiting: says how many requests wait for a decision.
        batches: says in how many batches the engine answered.
    """

    def __init__(
        self, standing: Callable[[], Standing], waiting: Callable[[], int], batches: Callable[[], int]
    ) -> None:
        self._standing, self._waiting, self._batches = standing, waiting, batches
        self.actions: Counter[str] = Counter()
        self.repeats = 0
        self.answers: Counter[int] = Counter()
        self._latencies = [0] * (len(BOUNDS_MS) + 1)
        self._latency_ms = 0.0

    def decided(self, action: str, milliseconds: float, *, repeat: bool) -> None:
        """Count a decision and how long its request took."""
        self.actions[action] += 1
        self.repeats += repeat
        self._latencies[bisect_left(BOUNDS_MS, milliseconds)] += 1
        self._latency_ms += milliseconds

    def text(self) -> bytes:
        """Write all of it in Prometheus' text format."""
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        """Give every figure, as prometheus_client wants them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        actions = CounterMetricFamily("tallystick_decisions", "payments decided", labels=["action"])
        for action in ("approve", "review", "hold", "decline"):
            actions.add_metric([action], self.actions[action])
        yield actions
        yield CounterMetricFamily(
            "tallystick_decisions_repeated", "payments sent again, answered as before", value=self.repeats
        )
        yield CounterMetricFamily(
            "tallystick_decision_batches", "batches in which the engine answered", value=self._batches()
        )
        answers = CounterMetricFamily("tallystick_http_answers", "answers by status", labels=["status"])
        for status, count in sorted(self.answers.items()):
            answers.add_metric([str(status)], count)
        yield answers
        total, buckets = 0, []
        for bound, count in zip((*BOUNDS_MS, None), self._latencies, strict=True):
            total += count
            buckets.append(("+Inf" if bound is None else f"{bound / 1000:g}", float(total)))
        yield HistogramMetricFamily(
            "tallystick_decision_seconds",
            "from a request's first byte to its answer",
            buckets=buckets,
            sum_value=self._latency_ms / 1000,
        )
        said = self._standing()
        gauges = {
            "tallystick_requests_waiting": ("requests that wait for a decision", self._waiting()),
            "tallystick_engine_waiting": ("payments in the engine's queue", said.engine_waiting),
            "tallystick_cases_waiting": ("alerts whose case is still to be opened", said.cases_waiting),
            "tallystick_journal_statements": ("statements in the journal", said.journal),
            "tallystick_journal_bytes": ("bytes of the journal on the disk", said.journal_bytes),
            "tallystick_anchor_backlog_statements": ("statements that no chain has yet", said.backlog),
            "tallystick_anchor_backlog_seconds": ("age of the oldest of them", said.backlog_s),
            "tallystick_anchor_failing": ("1 when the last anchor failed", int(bool(said.anchor_error))),
            "tallystick_rules_only": ("1 while rules decide alone", int(said.mode == "rules")),
            "tallystick_reverified_statements": ("hashed again behind the start", said.verified),
            "tallystick_reverification_done": ("1 when it is done", int(said.verification == "done")),
            "tallystick_ready": ("1 when payments should be sent here", int(said.is_ready)),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(name, text, value=value)
        drift = GaugeMetricFamily("tallystick_drift_psi", "drift since training", labels=["feature"])
        for feature, value in sorted(said.drift.items()):
            drift.add_metric([feature], value)
        yield drift
        if said.sharing is not None:
            yield from _shared(said.sharing)


def _shared(said: ShareStanding) -> Iterator[Metric]:
    """Give the figures of what other banks let this one know."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    yield CounterMetricFamily(
        "tallystick_signals_looked", "payments whose payee was looked up", value=said.looked
    )
    yield CounterMetricFamily(
        "tallystick_signals_unknown", "of those, payments about which nothing was known", value=said.unknown
    )
    gauges = {
        "tallystick_signals_well": ("1 when the last payments' payees were all known", int(said.well)),
        "tallystick_share_epoch": ("number of the epoch in use, 0 for none", said.epoch),
        "tallystick_share_epoch_end_seconds": ("when it ends, POSIX seconds", said.until / 1_000_000),
        "tallystick_share_list": ("newest list whose root was stated, 0 for none", said.list),
        "tallystick_share_payees": ("payees that anything was said about", said.listed),
        "tallystick_share_round": ("newest round of masked sums that is over", said.round),
        "tallystick_share_undelivered": ("receipts that a member has not taken yet", said.undelivered),
    }
    if said.held is not None:
        gauges["tallystick_share_held"] = ("payees that a hold stands on", said.held)
    for name, (text, value) in gauges.items():
        yield GaugeMetricFamily(name, text, value=value)
    answers = GaugeMetricFamily(
        "tallystick_share_member_up", "1 when a member answered last", labels=["member"]
    )
    for name, is_up in sorted(said.members.items()):
        answers.add_metric([name], int(is_up))
    yield answers
    lists = GaugeMetricFamily(
        "tallystick_share_list_differs", "1 when a member's list is another one", labels=["member"]
    )
    for name, standing in sorted(said.lists.items()):
        lists.add_metric([name], int(standing == "differs"))
    yield lists
