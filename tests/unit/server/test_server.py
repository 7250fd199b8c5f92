"""The service over HTTP: what is answered, what is refused and how."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import orjson
import pytest
from tests.unit.apps.fraud.payments.made_messages import PACS008, PAIN001, PLAIN, pain001
from tests.unit.server.made_service import STATEMENT, Service

from tallystick.apps.fraud.payments import parse_status
from tallystick.errors import (
    AccessDeniedError,
    ConflictError,
    DefectError,
    DisposedError,
    OverloadedError,
    StorageError,
)
from tallystick.server import Standing

DECIDE = "/v1/payments/decide"


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(30):
            return await work()

    return asyncio.run(bounded())


def ask(service: Service, method: str, path: str, *, role: str = "decide", **more: Any) -> httpx.Response:
    async def work() -> httpx.Response:
        async with service.client(role) as client:
            return await client.request(method, path, **more)

    answer: httpx.Response = run(work)
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        found = answer.json()
        assert {"code", "detail", "hint", "status", "title", "type", "request"} <= set(found)
        assert found["status"] == answer.status_code
    return answer


def test_a_payment_gets_its_decision() -> None:
    service = Service()
    answer = ask(service, "POST", DECIDE, json={**PLAIN, "amount": 200_000})
    assert answer.status_code == 200
    found = answer.json()
    assert (found["action"], found["payment"], found["repeat"]) == ("decline", "p-1", False)
    assert found["reasons"] == [{"code": "R01", "text": "a large amount"}]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-request-id"]
    assert [alert.payment for alert in service.alerts] == ["p-1"]


def test_the_same_payment_again_gets_the_same_decision_and_another_one_a_conflict() -> None:
    service = Service()
    first = ask(service, "POST", DECIDE, json=PLAIN).json()
    again = ask(service, "POST", DECIDE, json=PLAIN).json()
    assert again == {**first, "repeat": True}
    other = ask(service, "POST", DECIDE, json={**PLAIN, "amount": 5})
    assert (other.status_code, other.json()["code"]) == (409, "input.conflict")
    assert len(service.alerts) == 1


def test_a_message_gets_all_its_decisions_or_a_status_report() -> None:
    service = Service()
    xml = {"content-type": "application/xml"}
    answer = ask(service, "POST", DECIDE, content=PACS008.encode(), headers=xml)
    assert [one["payment"][:4] for one in answer.json()["decisions"]] == ["eb63", "MSG-"]
    for accept, form in (("application/xml", "xml"), ("application/iso20022+json", "json")):
        told = ask(service, "POST", DECIDE, content=PACS008.encode(), headers={**xml, "accept": accept})
        assert told.headers["content-type"] == accept
        report = parse_status(told.content, form=form)
        assert [status.status for status in report.statuses] == ["ACCP", "ACCP"]
        assert report.statuses[0].reference.end_to_end == "E2E-1"
    plain = ask(service, "POST", DECIDE, json=PAIN001)
    assert len(plain.json()["decisions"]) == 2


def test_a_batch_is_decided_in_order_and_a_conflict_stands_in_its_place() -> None:
    service = Service()
    payments = [{**PLAIN, "id": f"p-{number}"} for number in range(5)]
    payments.append({**PLAIN, "id": "p-0", "amount": 9})
    found = ask(service, "POST", f"{DECIDE}-batch", json={"payments": payments}).json()["decisions"]
    assert [one.get("payment") for one in found] == ["p-0", "p-1", "p-2", "p-3", "p-4", None]
    assert found[-1]["error"]["status"] == 409


@pytest.mark.parametrize(
    ("content", "media", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 422),
        (b"\xff", "application/json", 400),
        (b"{}", "application/json", 422),
        (orjson.dumps({**PLAIN, "amount": -5}), "application/json", 422),
        (orjson.dumps({**PLAIN, "currency": "EUX"}), "application/json", 422),
        (b"{}", "text/plain", 415),
        (b"{}", "", 415),
        (b"<d/>", "application/xml", 422),
        (b'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><d>&x;</d>', "application/xml", 422),
        (b"<a>" * 1000, "application/xml", 422),
        (pain001(CdtrAcct=None), "application/json", 422),
        (b'{"a":' * 2000, "application/json", 400),
    ],
)
def test_bad_input_is_refused_and_never_a_fault_of_ours(content: bytes, media: str, status: int) -> None:
    answer = ask(Service(), "POST", DECIDE, content=content, headers={"content-type": media})
    assert answer.status_code == status
    assert "passwd" not in answer.text


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({}, 422), ([], 422), ({"payments": 5}, 422), ({"payments": []}, 422), ({"payments": [5]}, 422),
        ({"payments": [PLAIN], "more": 1}, 422), ({"payments": [{**PLAIN, "at": 0}]}, 422),
        ({"payments": [PLAIN] * 11}, 413),
    ],
)  # fmt: skip
def test_a_batch_that_does_not_fit_is_refused_whole(document: object, status: int) -> None:
    service = Service(max_batch=10)
    assert ask(service, "POST", f"{DECIDE}-batch", json=document).status_code == status
    assert not service.engine.decided


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StorageError("nothing more is written"), 503),
        (OverloadedError("too many wait"), 503),
        (AccessDeniedError("a control refuses"), 403),
        (ConflictError("another payment"), 409),
        (DisposedError("gone"), 410),
        (DefectError("ours"), 500),
    ],
)
def test_an_error_has_its_status_and_approves_nothing(error: Any, status: int) -> None:
    service = Service()
    service.engine.error = error
    answer = ask(service, "POST", DECIDE, json=PLAIN)
    assert answer.status_code == status
    assert "action" not in answer.json()
    assert ("retry-after" in answer.headers) == (status in (429, 503))
    batch = ask(service, "POST", f"{DECIDE}-batch", json={"payments": [PLAIN]})
    assert batch.status_code == (200 if status == 409 else status)


def test_without_a_key_or_with_another_one_nothing_is_told() -> None:
    service = Service()
    assert ask(service, "POST", DECIDE, role="", json=PLAIN).status_code == 401
    wrong = service.tokens["decide"][:-1] + ("A" if service.tokens["decide"][-1] != "A" else "B")
    for header in (f"Bearer {wrong}", "Bearer tsk_", "Basic x", "Bearer " + "x" * 5000):
        answer = ask(service, "POST", DECIDE, role="", json=PLAIN, headers={"authorization": header})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    assert ask(service, "GET", "/nowhere", role="").status_code == 401
    assert not service.engine.decided


ALLOWED = {
    ("POST", DECIDE): {"decide"},
    ("POST", f"{DECIDE}-batch"): {"decide"},
    ("GET", "/v1/payments/p-1"): {"audit", "decide", "operate", "review"},
    ("GET", f"/v1/receipts/{STATEMENT}"): {"audit", "decide", "member", "review"},
    ("GET", f"/v1/receipts/{STATEMENT}?disclose=x"): {"audit", "review"},
    ("GET", "/v1/cases"): {"audit", "review"},
    ("GET", f"/v1/cases/{STATEMENT}"): {"audit", "review"},
    ("POST", f"/v1/cases/{STATEMENT}/take"): {"review"},
    ("POST", f"/v1/cases/{STATEMENT}/judge"): {"review"},
    ("POST", "/v1/labels"): {"operate", "review"},
    ("POST", "/v1/outcomes"): {"operate", "review"},
    ("POST", "/v1/appeals"): {"decide", "review"},
    ("GET", "/v1/appeals"): {"audit", "review"},
    ("POST", f"/v1/appeals/{STATEMENT}/review"): {"review"},
    ("GET", "/metrics"): {"audit", "operate"},
}


@pytest.mark.parametrize("role", ["audit", "decide", "member", "operate", "review"])
def test_a_key_does_what_its_role_allows_and_nothing_else(role: str) -> None:
    service = Service()
    for (method, path), roles in ALLOWED.items():
        status = ask(service, method, path, role=role).status_code
        assert (status != 403) == (role in roles), (method, path, role, status)


def test_every_documented_route_has_its_roles_in_the_table() -> None:
    paths = Service().app.openapi()["paths"]
    told = {path for path in paths if not path.startswith("/health")}
    assert told == {
        DECIDE, f"{DECIDE}-batch", "/v1/payments/{payment}", "/v1/receipts/{statement}", "/v1/cases",
        "/v1/cases/{decision}", "/v1/cases/{decision}/take", "/v1/cases/{decision}/judge", "/v1/labels",
        "/v1/outcomes", "/v1/appeals", "/v1/appeals/{decision}/review", "/metrics",
    }  # fmt: skip
    assert all("x-roles" in route for path in told for route in paths[path].values())


def test_too_many_requests_of_one_key_wait_and_other_keys_do_not() -> None:
    service = Service(limits={"decide": 2})
    answers = [ask(service, "POST", DECIDE, json={**PLAIN, "id": f"p-{n}"}) for n in range(8)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert all(answer.json()["retryable"] for answer in refused)
    assert ask(service, "GET", "/v1/payments/p-0", role="audit").status_code == 200


def test_payments_of_a_batch_count_each() -> None:
    service = Service(limits={"decide": 10})
    payments = [{**PLAIN, "id": f"p-{number}"} for number in range(19)]
    assert ask(service, "POST", f"{DECIDE}-batch", json={"payments": payments}).status_code == 200
    assert ask(service, "POST", f"{DECIDE}-batch", json={"payments": payments}).status_code == 429


def test_payments_of_a_message_count_each() -> None:
    service = Service(limits={"decide": 2})  # four at once
    answers = [
        ask(service, "POST", DECIDE, content=PACS008, headers={"content-type": "application/xml"})
        for _ in range(3)
    ]
    assert len(answers[0].json()["decisions"]) == 2
    assert [answer.status_code for answer in answers] == [200, 200, 429]


def test_a_body_beyond_the_limit_is_refused_while_it_is_read() -> None:
    service = Service(max_body=2048)
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 1024

    answer = ask(service, "POST", DECIDE, content=b"x" * 4096, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    answer = ask(service, "POST", DECIDE, content=endless(), headers={"content-type": "application/json"})
    assert (answer.status_code, sent < 8) == (413, True)


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    service = Service(read_s=0.05)

    async def slow() -> Any:
        yield b"{"
        await asyncio.sleep(5)
        yield b"}"

    assert ask(service, "POST", DECIDE, content=slow()).status_code == 408


def test_a_decision_that_does_not_come_in_time_is_asked_for_again() -> None:
    service = Service(answer_s=0.05)
    service.engine.held = []
    answer = ask(service, "POST", DECIDE, json=PLAIN)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    service.engine.held[0]()
    service.engine.held = None
    assert ask(service, "POST", DECIDE, json=PLAIN).json()["repeat"] is True


def test_an_alert_is_noted_although_its_client_has_stopped_waiting() -> None:
    service = Service(answer_s=0.05)
    service.engine.held = []

    async def work() -> int:
        async with service.client() as client:
            status = (await client.post(DECIDE, json={**PLAIN, "amount": 200_000})).status_code
            assert service.engine.held is not None
            service.engine.held[0]()
            await asyncio.sleep(0.05)
            return status

    assert run(work) == 503
    assert [alert.action for alert in service.alerts] == ["decline"]


def test_more_than_may_wait_are_told_to_come_back() -> None:
    service = Service(max_waiting=2, answer_s=0.4)
    service.engine.held = []

    async def work() -> list[int]:
        async with service.client() as client:
            asked = [client.post(DECIDE, json={**PLAIN, "id": f"p-{n}"}) for n in range(4)]
            return sorted(answer.status_code for answer in await asyncio.gather(*asked))

    assert run(work) == [503, 503, 503, 503]
    assert len(service.engine.held) == 2


def test_many_decisions_wake_the_loop_once_for_all_that_are_there() -> None:
    service = Service()
    service.engine.held = []

    async def work() -> tuple[list[int], int]:
        async with service.client() as client:
            asked = [
                asyncio.ensure_future(client.post(DECIDE, json={**PLAIN, "id": f"p-{n}"})) for n in range(50)
            ]
            held = service.engine.held
            assert held is not None
            while len(held) < 50:
                await asyncio.sleep(0.01)
            for answer in held:
                answer()
            found = [one.status_code for one in await asyncio.gather(*asked)]
            return found, service.app.front.bridge.hand_overs  # type: ignore[attr-defined]

    statuses, hand_overs = run(work)
    assert statuses == [200] * 50
    assert hand_overs == 1


def test_a_decided_payment_is_found_and_another_one_is_not() -> None:
    service = Service()
    ask(service, "POST", DECIDE, content=PACS008.encode(), headers={"content-type": "text/xml"})
    assert ask(service, "GET", "/v1/payments/MSG-1/%232", role="audit").json()["payment"] == "MSG-1/#2"
    assert ask(service, "GET", "/v1/payments/nobody", role="audit").status_code == 404


def test_a_receipt_that_is_not_there_and_an_id_that_is_none_are_refused() -> None:
    service = Service()
    assert ask(service, "GET", f"/v1/receipts/{STATEMENT}").status_code == 404
    assert ask(service, "GET", "/v1/receipts/SECRET").status_code == 422
    assert "SECRET" not in ask(service, "GET", "/v1/receipts/SECRET").text
    path = f"/v1/receipts/{STATEMENT}?disclose=no.such.field"
    assert ask(service, "GET", path, role="audit").status_code == 404
    assert service.receipts.asked[-1] == ["no.such.field"]


def test_a_stopped_payment_goes_when_two_different_persons_say_so() -> None:
    service = Service()
    path = f"/v1/cases/{STATEMENT}"
    assert ask(service, "POST", f"{path}/take", role="review").json() == {"statement": STATEMENT}
    assert ask(service, "GET", path, role="review").json()["taken_by"] == "review"
    genuine = {"outcome": "genuine", "note": "she was on holiday"}
    assert ask(service, "POST", f"{path}/judge", role="review", json=genuine).json()["state"] == "half judged"
    assert ask(service, "POST", f"{path}/judge", role="review", json=genuine).status_code == 403
    settled = ask(service, "POST", f"{path}/judge", role="ben", json=genuine).json()
    assert (settled["state"], settled["in_force"]) == ("settled", "approve")
    assert ask(service, "POST", f"{path}/judge", role="ben", json={"outcome": "fraud"}).status_code == 409
    assert ask(service, "GET", "/v1/cases", role="review").json() == {"cases": []}
    assert len(ask(service, "GET", "/v1/cases?settled=true", role="review").json()["cases"]) == 1


def test_nobody_can_judge_in_the_name_of_another() -> None:
    path = f"/v1/cases/{STATEMENT}/judge"
    answer = ask(Service(), "POST", path, role="review", json={"outcome": "fraud", "by": "ben"})
    assert answer.status_code == 422


def test_labels_come_as_json_and_as_other_banks_status_reports() -> None:
    service = Service()
    declined = ask(
        service, "POST", DECIDE, content=PACS008.replace(">100.00", ">5000.00").encode(),
        headers={"content-type": "application/xml", "accept": "application/xml"},
    )  # fmt: skip
    told = ask(service, "POST", "/v1/outcomes", role="operate", content=declined.content)
    assert told.json() == {"others": 1, "reported": 1, "unknown": 0}
    label = {"payment": "MSG-1/#2", "fraud": False, "source": "chargeback"}
    assert ask(service, "POST", "/v1/labels", role="review", json=label).json() == {"reported": 1}
    assert [(fraud, source) for _, fraud, source in service.engine.labels] == [
        (True, "status-report"),
        (False, "chargeback"),
    ]
    unknown = ask(service, "POST", "/v1/labels", role="review", json={**label, "payment": "p"})
    assert unknown.status_code == 404
    for bad in ({**label, "fraud": "yes"}, {**label, "more": 1}, {}, [], 5):
        assert ask(service, "POST", "/v1/labels", role="review", json=bad).status_code == 422
    assert ask(service, "POST", "/v1/outcomes", role="operate", content=b"<x/>").status_code == 422


def test_an_appeal_is_taken() -> None:
    answer = ask(Service(), "POST", "/v1/appeals", json={"decision": STATEMENT, "grounds": "it was me"})
    assert answer.json() == {"statement": STATEMENT}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("PUT", DECIDE, 405),
        ("DELETE", "/v1/cases", 405),
        ("POST", f"{DECIDE}/", 405),
    ],
)
def test_what_is_not_there_is_a_problem_document_too(method: str, path: str, status: int) -> None:
    answer = ask(Service(), method, path, role="audit")
    assert answer.status_code == status
    assert ("allow" in answer.headers) == (status == 405)


def test_health_says_how_it_stands_and_needs_no_key() -> None:
    service = Service(Standing(journal=7, backlog=3, backlog_s=1.5, verification="running", verified=2))
    found = ask(service, "GET", "/health", role="").json()
    assert (found["live"], found["ready"], found["anchor"]["backlog"]) == (True, True, 3)
    assert found["verification"] == {"done": 2, "state": "running"}
    assert ask(service, "GET", "/health/live", role="").status_code == 200
    assert ask(service, "GET", "/health/ready", role="").status_code == 200


@pytest.mark.parametrize("standing", [Standing(is_deciding=False), Standing(verification="failed")])
def test_a_service_that_cannot_state_or_is_damaged_is_not_ready(standing: Standing) -> None:
    service = Service(standing)

    async def work() -> int:
        async with service.client("") as client:
            return (await client.get("/health/ready")).status_code

    assert run(work) == 503
    assert ask(service, "GET", "/health", role="").json()["ready"] is False


def test_metrics_count_decisions_and_name_nobody() -> None:
    service = Service(Standing(mode="rules", backlog=5, drift={"amount": 0.25}))
    for amount in (5, 200_000):
        ask(service, "POST", DECIDE, json={**PLAIN, "id": f"p-{amount}", "amount": amount})
    ask(service, "POST", DECIDE, json={**PLAIN, "id": "p-5", "amount": 5})
    text = ask(service, "GET", "/metrics", role="operate").text
    for line in (
        'tallystick_decisions_total{action="approve"} 2.0',
        'tallystick_decisions_total{action="decline"} 1.0',
        "tallystick_decisions_repeated_total 1.0",
        "tallystick_decision_seconds_count 3.0",
        "tallystick_anchor_backlog_statements 5.0",
        "tallystick_rules_only 1.0",
        'tallystick_drift_psi{feature="amount"} 0.25',
    ):
        assert line in text, line
    assert "c-1" not in text


def test_the_log_names_statement_action_key_and_status_and_no_payment() -> None:
    service = Service()
    secret = {**PLAIN, "id": "SECRET-1", "customer": "SECRET-2", "payee": "SECRET-3"}

    async def work() -> None:
        async with service.client() as client:
            await client.post(DECIDE, json=secret)
            await client.post(DECIDE, json={**secret, "amount": 9})
            await client.get("/v1/payments/SECRET-1")
            await client.get("/v1/receipts/SECRET")
        service.app.front.log.flush()  # type: ignore[attr-defined]

    run(work)
    text = b"".join(service.lines)
    lines = [orjson.loads(line) for line in text.splitlines()]
    (decided,) = [line for line in lines if "action" in line]
    assert (decided["action"], decided["key"], decided["status"]) == ("approve", "decide", 200)
    assert len(decided["statement"]) == 64
    assert {line["status"] for line in lines if "status" in line} == {200, 409, 422}
    assert b"SECRET" not in text
    assert b'"c-1"' not in text


def test_an_unexpected_fault_tells_the_client_nothing_and_the_log_where() -> None:
    service = Service()

    def broken(_payment: object) -> Any:
        raise RuntimeError("SECRET")

    service.engine.submit = broken  # type: ignore[method-assign]
    answer = ask(service, "POST", DECIDE, json=PLAIN)
    assert (answer.status_code, answer.json()["code"]) == (500, "defect")
    service.app.front.log.flush()  # type: ignore[attr-defined]
    assert "SECRET" not in answer.text
    assert b"SECRET" not in b"".join(service.lines)
    assert b"RuntimeError" in b"".join(service.lines)


def test_a_service_that_stops_takes_nothing_more_and_closes_once() -> None:
    service = Service()

    async def work() -> tuple[int, int]:
        async with service.app.router.lifespan_context(service.app), service.client() as client:
            before = (await client.post(DECIDE, json=PLAIN)).status_code
            service.app.front.is_stopping = True  # type: ignore[attr-defined]
            after = (await client.post(DECIDE, json=PLAIN)).status_code
            return before, after

    assert run(work) == (200, 503)
    assert service.closed == 1


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, "outcome is missing"),
        ({"outcome": "guilty"}, "outcome must be one of"),
        ({"outcome": "fraud", "note": 3}, "note must be text"),
        ({"outcome": "fraud", "note": "x" * 2_001}, "note is too long"),
        ({"outcome": "fraud", "SECRET": 1}, "a field is not known"),
        ([], "must be an object"),
    ],
)
def test_what_does_not_fit_is_said_in_plain_words(said: object, words: str) -> None:
    answer = ask(Service(), "POST", f"/v1/cases/{STATEMENT}/judge", role="review", json=said)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    assert "SECRET" not in answer.text


@pytest.mark.parametrize("path", ["decide", "decide-batch"])
def test_a_route_is_not_taken_for_a_payments_id(path: str) -> None:
    answer = ask(Service(), "GET", f"/v1/payments/{path}")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


def test_who_comes_without_a_key_is_told_where_the_document_is() -> None:
    answer = ask(Service(), "GET", "/docs", headers={"authorization": ""})
    assert answer.status_code == 401
    assert "/openapi.json" in answer.json()["hint"]


def test_the_document_shows_how_a_case_is_judged() -> None:
    document = ask(Service(), "GET", "/openapi.json").json()
    [example] = document["components"]["schemas"]["Judgement"]["examples"]
    assert set(example) == {"outcome", "note"}


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"amount": 12.5}, "1250 for 12.50"),
        ({"amount": "1250"}, "1250 for 12.50"),
        ({"at": 1_777_587_000}, "1,000,000"),
    ],
)
def test_amounts_and_times_of_another_unit_are_told_which_one_it_is(
    change: dict[str, object], hint: str
) -> None:
    said = {**PLAIN, **change}
    answer = ask(Service(), "POST", "/v1/payments/decide", json=said)
    assert answer.status_code == 422
    assert hint in answer.json()["hint"]
