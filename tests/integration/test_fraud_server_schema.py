"""The service against its own OpenAPI: whatever fits the document, or nearly fits it, never ends in a 5xx."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from tests.unit.server.made_service import Service


@cache
def made() -> Service:
    return Service(requests_per_s=1e9, all_roles=True)


schema = schemathesis.openapi.from_asgi("/openapi.json", made().app)
schema.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@schema.parametrize()
@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_ends_in_a_fault_of_ours(case: Any) -> None:
    answer = case.call(headers={"authorization": f"Bearer {made().tokens['decide']}"})
    assert answer.status_code < 500
    case.validate_response(answer, checks=[not_a_server_error])


def test_the_document_is_openapi_3_1_with_a_key_on_every_route_but_health() -> None:
    document = made().app.openapi()
    assert document["openapi"] == "3.1.0"
    for path, verbs in document["paths"].items():
        for route in verbs.values():
            assert ("security" in route) != path.startswith("/health")
            assert "4XX" in route["responses"]
