"""What a customer said when she appealed goes with her."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.test_fraud_server import LARGE, running

from tallystick.errors import DisclosureError


def test_the_grounds_of_an_appeal_are_erased_with_the_customer(tmp_path: Path) -> None:
    with running(tmp_path, verify=False) as bank:
        decision = bank.pay(1, amount=LARGE)["statement"]
        said = {"decision": decision, "grounds": "my daughter was ill and I paid the clinic"}
        answer = bank.ask("POST", "/v1/appeals", json=said)
        assert answer.status_code == 200, answer.text
        appeal = answer.json()["statement"]
        assert bank.node.journal.payload(appeal)["grounds"] == said["grounds"]  # type: ignore[index]
        assert bank.node.erase("customer-1")
        with pytest.raises(DisclosureError):
            bank.node.journal.payload(appeal)
        unknown = bank.ask("POST", "/v1/appeals", json={**said, "decision": "ab" * 32})
        assert unknown.status_code == 404
        assert bank.ask("POST", "/v1/appeals", json=said).status_code in (400, 404)
