"""The kill switch of a service that runs: one person with a key pulls it, and nobody puts it back over HTTP."""

from __future__ import annotations

from pathlib import Path

from tests.integration.test_fraud_server import DECIDE, running
from tests.made_engine import payment

from tallystick.server import add_control


def test_a_person_switches_a_running_service_off_and_nobody_on_again(tmp_path: Path) -> None:
    with running(tmp_path, verify=False) as bank:
        add_control(bank.app, bank.node.oversight)
        first = bank.pay(1)
        off = {"mode": "refuse", "reason": "drift seen"}
        for role in ("decide", "operate", "audit", "member"):
            assert bank.ask("POST", "/v1/control", role=role, json=off).status_code == 403
        answer = bank.ask("POST", "/v1/control", role="review", json=off)
        assert answer.status_code == 200, answer.text
        stated = bank.node.journal.entry(answer.json()["statement"]).statement
        assert (stated.kind, stated.body["mode"]) == ("control.set", "refuse")
        assert bank.node.journal.payload(stated.id) == {"by": "review"}
        assert bank.ask("GET", "/health").json()["deciding"] is False
        for number in (1, 2):
            refused = bank.ask("POST", DECIDE, json=payment(number, amount=500).record())
            assert refused.status_code == 403
        looser = bank.ask("POST", "/v1/control", role="ben", json={**off, "mode": "rules"})
        assert (looser.status_code, looser.json()["code"]) == (403, "input.access-denied")
        for change in ({"mode": "normal"}, {"second": "ben"}, {"reason": ""}, {"by": "ben"}):
            assert bank.ask("POST", "/v1/control", role="review", json={**off, **change}).status_code == 422
        assert first["action"] == "approve"
