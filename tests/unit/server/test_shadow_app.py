"""Live shadow mode over HTTP: keys and roles, batches, labels, the comparison, and input of every wrong kind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode
from tests.made_engine import START, CountedWindows, made_model, payment
from tests.made_engine import Bank as MadeBank
from tests.made_scorer import Scorer
from tests.unit.apps.fraud.shadow.made_asked import asked, serve
from tests.unit.server.made_service import made_keys

from tallystick.apps.fraud.shadow import LiveShadow, SaidScorer
from tallystick.errors import StorageError
from tallystick.proof import format_receipt, parse_receipt, verify
from tallystick.server import ServerSettings, ShadowService, create_shadow_app

ONE = "/v1/observations"
BATCH = "/v1/observations/batch"


class Service:
    """A live shadow over a real journal, and a client in this process."""

    def __init__(self, path: Path, *, present: Any = None, keys: Any = None, **bounds: Any) -> None:
        self.bank = MadeBank(path)
        self.bank.record_many, self._record = self._write, self.bank.record_many  # type: ignore[method-assign]
        self.error: StorageError | None = None
        self.go = threading.Event()
        self.go.set()
        self.shadow = LiveShadow(
            self.bank,
            present=present or SaidScorer("v7"),
            model=made_model(),
            features=CountedWindows(),
            clock=self.bank.clock,
        )
        known, self.tokens = keys or made_keys()
        self.lines: list[bytes] = []
        parts = ShadowService(self.shadow, self.bank.journal, self.shadow.present.hash, self.shadow.model)
        self.app = create_shadow_app(
            parts, ServerSettings(keys=known, **{"log": self.lines.append, **bounds})
        )

    def _write(self, drafts: Any) -> Any:
        assert self.go.wait(20)
        if self.error is not None:
            raise self.error
        return self._record(drafts)

    def ask(
        self, method: str, path: str, *, role: str | None = "decide", token: str = "", **more: Any
    ) -> httpx.Response:
        async def work() -> httpx.Response:
            given = token or (self.tokens[role] if role else "")
            headers = {"authorization": f"Bearer {given}"} if given else {}
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(self.app), base_url="http://bank", headers=headers, timeout=20
            ) as client:
                return await client.request(method, path, **more)

        return asyncio.run(asyncio.wait_for(work(), 30))

    def observe(self, number: int, score: Any = 0.5, alert: Any = False, **fields: Any) -> httpx.Response:
        return self.ask("POST", ONE, json=said(number, score, alert, **fields))

    def close(self) -> None:
        self.go.set()
        self.shadow.close()
        self.bank.close()


def said(number: int, score: Any = 0.5, alert: Any = False, **fields: Any) -> dict[str, Any]:
    return {"alert": alert, "payment": payment(number).record() | fields, "score": score}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    made.close()


def test_an_observation_is_stated_once_and_another_content_is_a_conflict(service: Service) -> None:
    first = service.observe(1, 0.93, True)
    assert first.status_code == 200
    told = first.json()
    assert (told["alert"], told["score"], told["payment"], told["repeat"]) == (True, 0.93, "p1", False)
    again = service.observe(1, 0.93, True).json()
    assert (again["statement"], again["repeat"]) == (told["statement"], True)
    for other in (service.observe(1, 0.93, False), service.observe(1, 0.93, True, amount=7)):
        assert other.status_code == 409
        assert other.headers["content-type"] == "application/problem+json"
    assert service.bank.journal.size == 1
    found = service.ask("GET", f"{ONE}/p1", role="audit").json()
    assert found == again
    assert service.ask("GET", f"{ONE}/p2").status_code == 404


def test_a_receipt_proves_the_present_scorers_decision_and_opens_by_role(service: Service) -> None:
    statement = service.observe(1, 0.93, True).json()["statement"]
    path = f"/v1/receipts/{statement}"
    receipt = parse_receipt(service.ask("GET", path).content)
    verify(receipt)
    assert receipt.statement.body["model"] == SaidScorer("v7").hash
    assert b"customer-" not in format_receipt(receipt)
    assert service.ask("GET", f"{path}?disclose=score").status_code == 403
    assert b"0.930000" in service.ask("GET", f"{path}?disclose=score", role="audit").content
    assert service.ask("GET", f"/v1/receipts/{'0' * 64}").status_code == 404


def test_a_batch_answers_each_in_its_place(service: Service) -> None:
    service.observe(2, 0.5)
    items: list[Any] = [
        said(1), said(2), said(2, 0.9), said(3, currency="QQQ"), {"payment": payment(4).record()}, said(1), "x",
    ]  # fmt: skip
    answer = service.ask("POST", BATCH, json={"observations": items})
    assert answer.status_code == 200
    told = answer.json()["observations"]
    assert [one.get("repeat", one.get("error", {}).get("status")) for one in told] == [
        False, True, 409, 422, 422, True, 422,
    ]  # fmt: skip
    assert told[0]["statement"] == told[5]["statement"]
    for wrong in (
        {},
        {"observations": []},
        {"observations": [said(1)] * 257},
        [said(1)],
        {"observations": 3},
    ):
        assert service.ask("POST", BATCH, json=wrong).status_code == 422


def test_labels_and_the_comparison(service: Service) -> None:
    for n in range(4):
        service.observe(n, 0.5, n == 0)
        label = {"payment": f"p{n}", "fraud": n < 2, "source": "chargeback"}
        told = service.ask("POST", "/v1/labels", role="operate", json=label)
        assert (told.status_code, told.json()["reported"]) == (200, 1)
        assert service.bank.journal.statement(told.json()["statement"]).kind == "label.reported"
    found = service.ask("GET", "/v1/comparison?days=14", role="audit").json()
    assert (found["payments"], found["frauds"], found["present"]["frauds"]) == (4, 2, 1)
    assert found["scorer"] == SaidScorer("v7").hash
    assert found["why_not"].startswith("not enough data")
    for wrong in ({"payment": "p9", "fraud": True}, {"decision": "0" * 64, "fraud": True}):
        assert service.ask("POST", "/v1/labels", role="operate", json=wrong).status_code == 404
    for bad in ({}, {"fraud": True}, {"payment": "p1", "fraud": 1}, {"payment": "p1", "fraud": True, "x": 1}):
        assert service.ask("POST", "/v1/labels", role="operate", json=bad).status_code == 422
    vague = service.ask("POST", "/v1/labels", role="operate", json={"payment": "p1", "fraud": "SECRET"})
    assert "fraud must be true or false" in vague.json()["detail"]
    assert "SECRET" not in vague.text
    for days in ("0", "-1", "99999", "x", "1e3"):
        assert service.ask("GET", f"/v1/comparison?days={days}", role="audit").status_code == 422
    assert service.ask("GET", "/v1/comparison?genuine_after=1", role="audit").json()["assumed"] == 0


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", ONE, {"decide"}),
        ("POST", BATCH, {"decide"}),
        ("GET", f"{ONE}/p1", {"audit", "decide", "operate", "review"}),
        ("POST", "/v1/labels", {"operate", "review"}),
        ("GET", "/v1/comparison", {"audit", "operate", "review"}),
        ("GET", f"/v1/receipts/{'0' * 64}", {"audit", "decide", "member", "review"}),
        ("GET", "/metrics", {"audit", "operate"}),
    ],
)
def test_every_route_is_for_its_roles_alone(
    service: Service, method: str, path: str, allowed: set[str]
) -> None:
    body = {"content": b"{}"} if method == "POST" else {}
    for role in ("audit", "decide", "member", "operate", "review"):
        status = service.ask(method, path, role=role, **body).status_code
        assert (status == 403) == (role not in allowed), role
    assert service.ask(method, path, role=None, **body).status_code == 401
    assert service.ask(method, path, token="tsk_00000000_" + "A" * 43, **body).status_code == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[" * 5_000, 400),
        (b"null", 422),
        (b"[]", 422),
        (b'"x"', 422),
        (b"{}", 422),
        (orjson.dumps({"payment": {}, "alert": True, "score": 1}), 422),
        (orjson.dumps(said(1) | {"more": 1}), 422),
        (orjson.dumps(said(1, "0.5")), 422),
        (orjson.dumps(said(1, True)), 422),
        (orjson.dumps(said(1, None)), 422),
        (orjson.dumps(said(1, 0.5, 1)), 422),
        (orjson.dumps(said(1, 1e15)), 422),
        (orjson.dumps(said(1)).replace(b"0.5", b"NaN"), 400),
        (orjson.dumps(said(1)).replace(b"0.5", b"Infinity"), 400),
        (orjson.dumps(said(1)).replace(b"0.5", b"1e999"), None),
        (orjson.dumps(said(1)).replace(b"0.5", b"9" * 400), None),
        (orjson.dumps(said(1, currency="QQQ")), 422),
        (orjson.dumps(said(1, currency=3)), 422),
        (orjson.dumps(said(1, amount=-1)), 422),
        (orjson.dumps(said(1, amount=10**13)), 422),
        (orjson.dumps(said(1, at="yesterday")), 422),
        (orjson.dumps(said(1, at=4_000_000_000_000_000)), 422),
        (orjson.dumps(said(1, customer="")), 422),
        (orjson.dumps(said(1, channel=["card"])), 422),
        (b" " * 20_000, 413),
    ],
)  # fmt: skip
def test_wrong_input_is_the_callers_fault_and_states_nothing(
    service: Service, body: bytes, status: int | None
) -> None:
    answer = service.ask("POST", ONE, content=body)
    assert answer.status_code in ((400, 422) if status is None else (status,))
    assert answer.headers["content-type"] == "application/problem+json"
    assert "customer-" not in answer.text
    batch = service.ask("POST", BATCH, content=b'{"observations":[' + body + b"]}")
    assert batch.status_code < 500
    assert service.bank.journal.size == 0


def test_other_methods_and_paths(service: Service) -> None:
    answer = service.ask("DELETE", ONE)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert service.ask("PUT", "/v1/comparison").status_code == 405
    assert service.ask("GET", ONE).status_code == 405
    assert service.ask("HEAD", f"{ONE}/p1").status_code < 500
    assert service.ask("GET", "/nothing").status_code == 404
    assert service.ask("GET", f"/v1/receipts/{'0' * 63}").status_code == 404
    assert service.ask("GET", f"{ONE}/{'x' * 200}").status_code == 422
    assert service.ask("POST", BATCH, content=b" " * (1024 * 1024 + 1)).status_code == 413


def test_a_key_may_ask_so_often_and_a_batch_counts_each(tmp_path: Path) -> None:
    service = Service(tmp_path, requests_per_s=0.001, burst_s=3_000.0)
    try:
        batch = {"observations": [said(n) for n in range(3)]}
        assert service.ask("POST", BATCH, json=batch).status_code == 200
        again = service.ask("POST", BATCH, json=batch)
        assert (again.status_code, service.observe(1).status_code) == (429, 429)
        assert int(again.headers["retry-after"]) > 0
    finally:
        service.close()


def test_a_journal_that_cannot_write_is_a_503_and_nothing_is_acknowledged(service: Service) -> None:
    service.error = StorageError("the disk is full", hint="make room")
    for _ in range(2):
        answer = service.observe(1)
        assert answer.status_code == 503
        assert "retry-after" in answer.headers
    batch = service.ask("POST", BATCH, json={"observations": [said(2)]}).json()["observations"]
    assert batch[0]["error"]["status"] == 503
    assert service.ask("GET", "/health/ready", role=None).status_code == 503
    health = service.ask("GET", "/health", role=None).json()
    assert (health["ready"], health["live"], "disk is full" in health["why"]) == (False, True, True)
    assert "tallystick_shadow_stopped 1.0" in service.ask("GET", "/metrics", role="operate").text
    assert service.bank.journal.size == 0


def test_an_answer_that_takes_too_long_may_be_asked_again_and_is_stated_once(tmp_path: Path) -> None:
    service = Service(tmp_path, answer_s=0.05)
    try:
        service.go.clear()
        assert service.observe(1).status_code == 503
        batch = service.ask("POST", BATCH, json={"observations": [said(1), said(2)]}).json()["observations"]
        assert [one["error"]["status"] for one in batch] == [503, 503]
        service.go.set()
        for _ in range(200):
            if service.shadow.stats().observed == 2:
                break
            threading.Event().wait(0.01)
        assert service.observe(1).json()["repeat"]
        assert service.bank.journal.size == 2
    finally:
        service.close()


def test_the_log_and_the_figures_hold_nothing_of_a_payment(service: Service) -> None:
    service.observe(1)
    service.observe(1)
    service.ask("POST", ONE, content=b"{")
    figures = service.ask("GET", "/metrics", role="operate").text
    assert "tallystick_shadow_observations_total 1.0" in figures
    assert "tallystick_shadow_repeats_total 1.0" in figures
    service.app.front.log.flush()  # type: ignore[attr-defined]
    text = b"".join(service.lines)
    assert b'"status":400' in text
    assert b'"key":"decide"' in text
    for word in (b"customer-", b"payee-", b'"p1"'):
        assert word not in text
        assert word.decode() not in figures
    assert service.ask("GET", "/health/live", role=None).json() == {"live": True}
    assert service.ask("GET", "/health/ready", role=None).json() == {"ready": True}


def test_a_scorer_that_is_asked_gets_the_payment_alone(tmp_path: Path) -> None:
    scorer = Scorer([serve({"score": 0.95}), serve({"score": 7})], None)
    service = Service(tmp_path, present=asked(scorer.url))
    try:
        told = service.ask("POST", ONE, json={"payment": payment(1).record()}).json()
        assert (told["alert"], told["score"]) == (True, 0.95)
        assert service.observe(2).status_code == 422  # what is said is not wanted where the scorer is asked
        wrong = service.ask("POST", ONE, json={"payment": payment(3).record()})
        assert (wrong.status_code, wrong.json()["code"]) == (503, "surroundings.scorer-unreachable")
        assert service.ask("GET", "/health", role=None).json()["ready"]
    finally:
        scorer.close()
        service.close()


def test_the_document_is_openapi_3_1_with_roles_on_every_route_but_health(service: Service) -> None:
    answer = service.ask("GET", "/openapi.json", role=None)
    document = answer.json()
    assert document["openapi"] == "3.1.0"
    for path, verbs in document["paths"].items():
        for route in verbs.values():
            assert ("security" in route) != path.startswith("/health"), path
            assert "4XX" in route["responses"]
    assert document["paths"][ONE]["post"]["x-roles"] == ["decide"]


# -- whatever fits the document, or nearly fits it ----------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_ends_in_a_fault_of_ours(tmp_path: Path, mode: GenerationMode) -> None:
    service = Service(tmp_path, keys=made_keys(all_roles=True), requests_per_s=1e9, log=None)
    service.bank.clock.now = START + 10**12
    schema = schemathesis.openapi.from_asgi("/openapi.json", service.app)
    statuses = set[int]()

    def check(case: Any) -> None:
        answer = case.call(headers={"authorization": f"Bearer {service.tokens['decide']}"})
        assert answer.status_code < 500
        statuses.add(answer.status_code)

    bounded = settings(
        max_examples=12,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    try:
        for operation in schema.get_all_operations():
            cases = operation.ok().as_strategy(generation_mode=mode)
            with suppress(Unsatisfiable):  # what takes no input cannot be asked wrongly
                bounded(given(cases)(check))()
    finally:
        service.close()
    assert (200 if mode == GenerationMode.POSITIVE else 422) in statuses
