"""What banks would have known together: the definitions of sharing, computed another way."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest

from tallystick.apps.fraud.sharing import SIGNALS, RiskTable, count_risk
from tallystick.apps.fraud.simulator import Simulated, SimulatorSettings, simulate
from tallystick.apps.fraud.training import Exchange, shared_columns

DAY = 86_400_000_000


@pytest.fixture(scope="module")
def made() -> Simulated:
    return simulate(SimulatorSettings(payments=12_000, days=20, seed=3, mules=20, terminal_frauds=0.02))


def table_of(made: Simulated, now: int, exchange: Exchange) -> tuple[RiskTable, dict[str, bytes]]:
    """Make a day's table of single payments, with the very counts and rules that banks hand in by."""
    rule, payments = exchange.rule, made.payments()
    tokens = {
        one.payee: sha256(int(made.payee[row]).to_bytes(8, "big")).digest()
        for row, one in enumerate(payments)
    }
    sums: dict[tuple[str, object], list[int]] = {}
    for bank in range(made.settings.banks):
        stop = now - exchange.settled_days * DAY
        counted = [
            (one, bool(made.fraud[row] and made.reported_at[row] <= now))
            for row, one in enumerate(payments)
            if made.bank[row] == bank and stop - exchange.counted_days * DAY <= one.at < stop
        ]
        found = count_risk(counted, tokens=tokens, rule=rule)
        for kind, counts in (("terminal", found.terminals), ("bucket", found.buckets)):
            for name, (count, frauds) in counts.items():
                if count >= rule.floor:
                    entry = sums.setdefault((kind, name), [0, 0, 0])
                    entry[0], entry[1], entry[2] = entry[0] + 1, entry[1] + count, entry[2] + frauds
    kept = {key: (n, f) for key, (banks, n, f) in sums.items() if banks >= 2 and n >= rule.least}
    terminals = {str(name): both for (kind, name), both in kept.items() if kind == "terminal"}
    buckets = {int(str(name)): both for (kind, name), both in kept.items() if kind == "bucket"}
    counted_all = list(terminals.values()) or list(buckets.values())
    prior = sum(f for _, f in counted_all) / sum(n for n, _ in counted_all)
    return RiskTable(now, rule, terminals, buckets, prior), tokens


def test_risks_are_those_of_a_table_that_banks_make_together(made: Simulated) -> None:
    exchange = Exchange()
    found, names = shared_columns(made, exchange)
    assert names == SIGNALS
    now = made.settings.start + 15 * DAY
    table, tokens = table_of(made, now, exchange)
    payments = made.payments()
    rows = np.flatnonzero((made.at >= now) & (made.at < now + DAY))[:200].tolist()
    wanted = [
        (table.terminal_risk(payments[row].terminal), table.payee_risk(tokens[payments[row].payee]))
        for row in rows
    ]
    assert len(table.terminals) > 10
    assert np.allclose(found[rows, 2:], wanted)
    assert len(np.unique(found[rows, 2])) > 5


def test_nothing_is_known_before_the_first_sum(made: Simulated) -> None:
    found, _ = shared_columns(made)
    assert not found[made.at < made.settings.start + DAY, 2:].any()


def test_a_payee_is_listed_from_the_second_customers_report_on(made: Simulated) -> None:
    exchange = Exchange(delay_s=600)
    found, _ = shared_columns(made, exchange)
    told = made.fraud & np.isin(made.channel, (2, 3))
    seen = 0
    for row in np.flatnonzero(made.kind == 4).tolist():
        before = told & (made.payee == made.payee[row]) & (made.reported_at + 600_000_000 <= made.at[row])
        customers = len(set(made.customer[before].tolist()))
        assert found[row, :2].tolist() == ([1.0, customers] if customers >= 2 else [0.0, 0.0])
        seen += customers >= 2
    assert seen > 20


def test_a_report_stops_counting_after_its_days(made: Simulated) -> None:
    short, _ = shared_columns(made, Exchange(list_days=1))
    long, _ = shared_columns(made)
    assert (short[:, 1] <= long[:, 1]).all()
    assert short[:, 1].sum() < long[:, 1].sum()
