"""The rules that sharing brings: they stand beside the bank's own, and never in place of one."""

from __future__ import annotations

from pathlib import Path

from tests.unit.apps.fraud.sharing.banks import DAY, START, Clock, make_nodes

from tallystick.apps.fraud.deciding import PaymentRule, parse_rules
from tallystick.apps.fraud.features import Windows
from tallystick.apps.fraud.serving import FraudSettings, with_shared_rules
from tallystick.apps.fraud.sharing import LIVE_SIGNALS, SIGNALS, EpochPlan, Peer, ShareSettings

NAMES = (*Windows.names, *SIGNALS, *LIVE_SIGNALS)


def share(directory: Path, **fields: object) -> ShareSettings:
    nodes, policy = make_nodes(directory, ["Bank A", "Bank B"], Clock())
    for node in nodes:
        node.close()
    peers = (Peer(nodes[1].id, "http://unused", "k"),)
    return ShareSettings(policy, EpochPlan(1, START, DAY), peers, **fields)  # type: ignore[arg-type]


def rules(settings: FraudSettings) -> dict[str, PaymentRule]:
    return {rule.name: rule for rule in settings.rules or ()}


def test_held_and_unknown_payees_have_a_rule_beside_the_default_ones(tmp_path: Path) -> None:
    found = rules(with_shared_rules(FraudSettings(), share(tmp_path), names=NAMES))
    assert {"amount-above-limit", "payee-listed", "payee-held", "payee-unknown"} <= set(found)
    assert (found["payee-held"].action, found["payee-held"].reason_code) == ("hold", "R11")
    assert [one.text for one in found["payee-unknown"].when] == [
        "payee_unknown >= 1", "payee_is_new >= 1", "amount >= 100000",
    ]  # fmt: skip


def test_a_rule_of_the_banks_own_stays(tmp_path: Path) -> None:
    own = parse_rules(
        [
            {
                "name": "payee-held",
                "title": "our own",
                "code": "X01",
                "action": "decline",
                "when": ["payee_held == 1"],
            }
        ]
    )
    found = rules(with_shared_rules(FraudSettings(rules=own), share(tmp_path), names=NAMES))
    assert set(found) == {"payee-held", "payee-unknown"}
    assert found["payee-held"].action == "decline"


def test_without_an_action_unknown_payees_stop_nothing_and_stand_in_the_decision_all_the_same(
    tmp_path: Path,
) -> None:
    settings = share(tmp_path, unknown_action="")
    rule = rules(with_shared_rules(FraudSettings(), settings, names=NAMES))["payee-unknown"]
    assert "payee_unknown" in rule.features
    assert rule.when[-1].text == f"amount >= {10**15 - 1}"


def test_where_a_signal_is_missing_its_rule_is_left_out(tmp_path: Path) -> None:
    found = rules(with_shared_rules(FraudSettings(), share(tmp_path), names=Windows.names))
    assert not {"payee-held", "payee-unknown"} & set(found)
