from __future__ import annotations

import hashlib

import pytest
from tests.unit.apps.fraud.sharing.banks import DAY, START, Banks, make_payment

from tallystick.apps.fraud.sharing import (
    RiskCounts,
    RiskHistory,
    RiskRule,
    RiskTable,
    count_risk,
    hold_risk_round,
    risk_again,
)
from tallystick.errors import ConfigurationError, DataError, EncodingError
from tallystick.learning import LaneSite, aggregate, parse_vector, sum_lanes

RULE = RiskRule(floor=5, least=20, weight=50.0, bucket_bits=4)
NAMES = ["T1", "T2", "T3", "T4"]


def held(banks: Banks, counts: list[RiskCounts], **changed: object):  # type: ignore[no-untyped-def]
    said = {"terminals": NAMES, "number": 1, "known_at": START + DAY, "rule": RULE} | changed
    return hold_risk_round(banks.members, counts, **said)  # type: ignore[arg-type]


def counts_of(*terminals: dict[str, tuple[int, int]]) -> list[RiskCounts]:
    return [RiskCounts(each, {}) for each in terminals]


def test_all_banks_get_the_sums_and_the_shared_risk(banks: Banks) -> None:
    held_round = held(
        banks,
        counts_of({"T1": (100, 10), "T2": (50, 0)}, {"T1": (200, 5), "T2": (50, 0)}, {"T1": (100, 5)}),
    )
    table = held_round.table
    assert table.terminals == {"T1": (400, 20), "T2": (100, 0)}
    assert table.prior == 20 / 500
    assert table.terminal_risk("T1") == pytest.approx((20 + 0.04 * 50) / 450)
    assert table.terminal_risk("T2") == pytest.approx((0.04 * 50) / 150)
    assert table.terminal_risk("T9") == table.terminal_risk("") == pytest.approx(table.prior)


def test_what_is_rare_or_of_one_bank_is_suppressed(banks: Banks) -> None:
    table = held(
        banks,
        counts_of(
            {"T1": (8, 8), "T2": (4, 4), "T3": (1000, 9), "T4": (10, 1)},
            {"T1": (8, 0), "T2": (4, 0), "T4": (10, 1)},
            {"T2": (19, 0), "T4": (4, 4)},
        ),
    ).table
    assert "T1" not in table.terminals  # 16 payments in all
    assert "T2" not in table.terminals  # two banks are below their own floor, so one is left
    assert "T3" not in table.terminals  # one bank
    assert table.terminals == {"T4": (20, 2)}  # the third bank's four payments were never handed in


def test_anyone_computes_the_table_again_from_the_statements_and_one_vector_alone_tells_nothing(
    banks: Banks,
) -> None:
    made = held(banks, counts_of({"T1": (100, 10)}, {"T1": (100, 0)}, {}))
    payloads = [
        {
            entry.statement.kind: node.journal.payload(entry.index)
            for entry in node.journal.entries()
            if entry.statement.kind in ("round.opened", "update.committed")
        }
        for node in banks.nodes
    ]
    agreement = payloads[0]["round.opened"]
    assert isinstance(agreement, bytes)
    vectors = [payload["update.committed"] for payload in payloads]
    assert risk_again(agreement, [vector for vector in vectors if isinstance(vector, bytes)]) == made.table
    lanes, _ = parse_vector(made.updates[banks.nodes[2].id])
    assert all(lane != 0 for lane in lanes)  # it handed in nothing at all
    with pytest.raises(EncodingError):
        risk_again(b'{"floor":1}', list(made.updates.values()))
    with pytest.raises(EncodingError):
        sum_lanes(["x"], list(made.updates.values()))


def test_a_round_is_stated_by_all_and_each_is_bound_to_its_vector(banks: Banks) -> None:
    made = held(banks, counts_of({"T1": (100, 10)}, {"T1": (100, 0)}, {}))
    total = hashlib.sha256(aggregate(list(made.updates.values()))).hexdigest()
    for place, node in enumerate(banks.nodes):
        assert banks.kinds(place)[-3:] == ["round.opened", "update.committed", "round.closed"]
        committed = next(e for e in node.journal.entries() if e.statement.kind == "update.committed")
        assert node.journal.payload(committed.index) == made.updates[node.id]
        assert committed.statement.body["update"] == hashlib.sha256(made.updates[node.id]).hexdigest()
        assert banks.bodies(place, "round.closed")[0]["aggregate"] == total


def test_payees_are_counted_by_buckets_of_their_tokens(banks: Banks) -> None:
    tokens = banks.members[0].tokens.ask(["P1"], purpose="payment")
    counts = [
        count_risk(
            [(make_payment(n, "P1", terminal="T1"), n < 5) for n in range(30)]
            + [(make_payment(99, "P2"), True)],
            tokens=tokens,
            rule=RULE,
        )
        for _ in range(3)
    ]
    assert counts[0].terminals == {"T1": (30, 5)}
    assert counts[0].buckets == {RULE.bucket(tokens["P1"]): (30, 5)}
    table = held(banks, counts).table
    assert table.payee_risk(tokens["P1"]) == pytest.approx((15 + 50 / 6) / 140)
    assert 0 <= RULE.bucket(b"\xff" * 32) < 16


def test_a_table_is_used_from_when_it_was_known(banks: Banks) -> None:
    history = RiskHistory()
    tables = [RiskTable(at, RULE, {}, {}, at / 1000) for at in (300, 100, 200)]
    for table in tables:
        history.add(table)
    assert history.at(99) is None
    assert [history.at(at).known_at for at in (100, 199, 200, 299, 10_000)] == [100, 100, 200, 200, 300]  # type: ignore[union-attr]


def test_rounds_that_do_not_fit_are_refused(banks: Banks) -> None:
    with pytest.raises(DataError):
        held(banks, counts_of({}, {}))
    with pytest.raises(DataError):
        held(banks, counts_of({}, {}, {}), terminals=["T1", "T1"])
    with pytest.raises(DataError, match="lane"):
        held(banks, counts_of({"T9": (100, 1)}, {}, {}))
    for wrong in ({"floor": 0}, {"weight": 0.0}, {"bucket_bits": 17}):
        with pytest.raises(ConfigurationError):
            RiskRule(**wrong)  # type: ignore[arg-type]


def test_a_site_of_lanes_answers_a_round_once() -> None:
    sites = [LaneSite("a"), LaneSite("b")]
    keys = {site.name: site.public_key for site in sites}
    for site in sites:
        site.meet(keys, run=b"run")
    made = [site.vector(1, ["x", "y"], {"x": n + 1}) for n, site in enumerate(sites)]
    assert sum_lanes(["x", "y"], made) == {"x": 3, "y": 0}
    with pytest.raises(DataError, match="once"):
        sites[0].vector(1, ["x", "y"], {"x": 5})
    with pytest.raises(DataError):
        sites[0].vector(2, ["x", "x"], {})
    with pytest.raises(DataError):
        LaneSite("")
