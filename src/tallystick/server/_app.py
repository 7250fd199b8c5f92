"""The service as an application: routes, their documents, and how it starts and ends."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field, StrictBool
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from tallystick import __version__
from tallystick.apps.fraud.casework import Case
from tallystick.apps.fraud.deciding import Decision
from tallystick.apps.fraud.payments import parse_status
from tallystick.errors import (
    AccessDeniedError,
    DisclosureError,
    NotFoundError,
    PaymentError,
    TallystickError,
)
from tallystick.proof import format_receipt

from ._front import KEY, FrontDoor
from ._keys import ApiKey
from ._openapi import add_decisions, describe
from ._problems import HttpError, problem, unfitting
from ._roles import DISCLOSING
from ._service import Appeals, CaseDesk, FraudService
from ._settings import ServerSettings

__all__ = ["create_app"]

Statement = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="id of a statement")]
Text = Annotated[str, Field(max_length=2_000)]


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Judgement(_Said):
    """What a person says a payment is. Who says it is whoever the key was made for."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"outcome": "genuine", "note": "the customer confirmed it"}]},
    )

    outcome: Literal["fraud", "genuine"]
    note: Text = ""


class LabelSaid(_Said):
    """What a payment turned out to be: named by its id, or, long after, by the statement that decided it."""

    payment: Annotated[str, Field(max_length=128)] = ""
    decision: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""
    fraud: StrictBool
    source: Annotated[str, Field(pattern="^[a-z][a-z0-9-]{0,31}$")] = "customer"


class AppealSaid(_Said):
    """An objection to a decision, for the person affected."""

    decision: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    grounds: Text = ""


class ReviewSaid(_Said):
    """What a person says of an appealed decision: that it was right, or what should count instead."""

    to: Literal["upheld", "approve", "decline"]
    note: Text = ""


class _Service(FastAPI):
    """FastAPI behind our own front door: no request pays for a stack that it does not need."""

    front: FrontDoor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.front(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(service: FraudService, settings: ServerSettings) -> FastAPI:
    """Make the application.

    Args:
        service: the parts of a running service; `FraudService.close` is called when the application ends.
        settings: bounds and keys.

    Returns:
        An ASGI application; its ``front`` is the front door.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        app.front.is_stopping = False
        yield
        app.front.is_stopping = True
        app.front.bridge.close()
        app.front.log.flush()
        if service.close is not None:
            await run_in_threadpool(service.close)

    app = _Service(
        title="Tallystick fraud service",
        version=__version__,
        summary="Decides payments; every decision is stated, durable and provable before its answer leaves.",
        lifespan=lifespan,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    inside = super(_Service, app).__call__
    app.state.service = service
    app.front = FrontDoor(service, settings, inside)
    _add_evidence(app, service)
    _add_cases(app)
    _add_feedback(app, service)
    _add_standing(app, service)
    _add_errors(app)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                summary=app.summary,
                openapi_version="3.1.0",
                routes=app.routes,
            )
            app.openapi_schema = describe(add_decisions(document, settings))
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _key_of(request: Request) -> ApiKey:
    key = request.scope.get(KEY)
    if not isinstance(key, ApiKey):
        raise AccessDeniedError("this needs a key")
    return key


Key = Annotated[ApiKey, Depends(_key_of)]


def _add_evidence(app: FastAPI, service: FraudService) -> None:
    @app.get("/v1/payments/{payment:path}", tags=["payments"])
    def find_payment(
        payment: Annotated[str, Path(min_length=1, max_length=128, description="the payment's id")],
    ) -> dict[str, Any]:
        """Return what was decided about a payment, and what is in force now: people may have changed it."""
        found = service.engine.find(payment)
        if found is None:
            raise NotFoundError("no such payment was decided here")
        return {**found.plain(), "in_force": _in_force(service, found)}

    @app.get("/v1/receipts/{statement}", tags=["evidence"])
    def receipt(
        statement: Statement,
        key: Key,
        disclose: Annotated[
            list[str] | None, Query(max_length=64, description="paths of sealed fields to open")
        ] = None,
    ) -> Response:
        """Return a receipt: one file that anybody can verify offline. Sealed fields only open for audit and review."""
        if disclose and not key.roles & DISCLOSING:
            raise AccessDeniedError("this key's roles do not allow to open sealed fields")
        made = service.receipts.receipt(statement, disclose=disclose or None)
        name = f'attachment; filename="{statement[:16]}.receipt.json"'
        return Response(
            format_receipt(made), media_type="application/json", headers={"content-disposition": name}
        )


def _desk_of(request: Request) -> CaseDesk:
    service: FraudService = request.app.state.service
    if service.cases is None:
        raise NotFoundError("this service has no case queue")
    return service.cases


Desk = Annotated[CaseDesk, Depends(_desk_of)]


def _add_cases(app: FastAPI) -> None:
    @app.get("/v1/cases", tags=["cases"])
    def list_cases(
        cases: Desk, limit: Annotated[int, Query(ge=1, le=1000)] = 100, settled: bool = False
    ) -> dict[str, Any]:
        """List alerts that wait for a person, the most urgent first."""
        return {"cases": [_plain_case(case) for case in cases.queue(limit=limit, settled=settled)]}

    @app.get("/v1/cases/{decision}", tags=["cases"])
    def open_case(decision: Statement, cases: Desk) -> dict[str, Any]:
        """Return one case with what was decided on."""
        return {**_plain_case(cases.find(decision)), "sealed": cases.sealed(decision)}

    @app.post("/v1/cases/{decision}/take", tags=["cases"])
    def take_case(decision: Statement, cases: Desk, key: Key) -> dict[str, Any]:
        """Say that you work on a case."""
        return {"statement": cases.take(decision, by=key.name)}

    @app.post("/v1/cases/{decision}/judge", tags=["cases"])
    def judge_case(decision: Statement, said: Judgement, cases: Desk, key: Key) -> dict[str, Any]:
        """Say what a payment is. A stopped payment goes when two different persons call it genuine.

        What follows is stated with it: the override of the decision, and the label.
        """
        return _plain_case(cases.judge(decision, by=key.name, outcome=said.outcome, note=said.note))


def _in_force(service: FraudService, decision: Decision) -> str:
    """Say what counts now; ``suspended`` and ``lapsed`` where people took too long and nobody may act."""
    effects = service.effects if decision.statement else None
    effect = "" if effects is None else effects.effect(decision.statement)
    if effect in ("suspended", "lapsed"):
        return str(effect)
    if service.cases is not None:
        with suppress(NotFoundError):  # no alert, so nobody had to look at it
            return service.cases.find(decision.statement).in_force(time.time_ns() // 1_000)
    if effects is not None and effect == "overridden":
        return effects.in_force(decision.statement)
    return decision.action


def _plain_case(case: Case) -> dict[str, Any]:
    now = time.time_ns() // 1_000
    return {
        "action": case.action,
        "decision": case.decision,
        "in_force": case.in_force(now),
        "opened_at": case.opened_at,
        "payment": case.payment,
        "settled_as": case.settled_as or None,
        "state": case.state(now),
        "taken_by": case.taken_by or None,
        "until": case.until,
        "votes": dict(case.votes),
    }


def _add_feedback(app: FastAPI, service: FraudService) -> None:
    @app.post("/v1/labels", tags=["feedback"])
    def report_label(said: LabelSaid) -> dict[str, Any]:
        """Say what a payment turned out to be; features learn of it after their delay."""
        if not said.payment and not said.decision:
            raise PaymentError("a label must name a payment or its decision")
        service.engine.report_label(said.payment, said.fraud, source=said.source, decision=said.decision)
        return {"reported": 1}

    @app.post("/v1/outcomes", tags=["feedback"])
    async def report_outcomes(request: Request) -> dict[str, Any]:
        """Take another bank's pacs.002: payments that it rejected as fraudulent (FRAD) are labelled as fraud."""
        form = "json" if "json" in request.headers.get("content-type", "") else "xml"
        report = parse_status(await request.body(), form=form)
        frauds = [s.reference.payment for s in report.statuses if (s.status, s.reason) == ("RJCT", "FRAD")]

        def learn() -> int:
            known = 0
            for payment in frauds:
                try:
                    service.engine.report_label(payment, True, source="status-report")
                    known += 1
                except (DisclosureError, NotFoundError):  # of somebody else, or erased
                    continue
            return known

        known = await run_in_threadpool(learn)
        others = len(report.statuses) - len(frauds)
        return {"others": others, "reported": known, "unknown": len(frauds) - known}

    def desk() -> Appeals:
        if service.appeals is None:
            raise NotFoundError("appeals are not taken here")
        return service.appeals

    @app.post("/v1/appeals", tags=["feedback"])
    def appeal(said: AppealSaid, key: Key) -> dict[str, Any]:
        """Object to a decision; two persons look at it again within the deadline, or it is suspended."""
        return {"statement": desk().appeal(said.decision, by=key.name, grounds=said.grounds)}

    @app.get("/v1/appeals", tags=["feedback"])
    def list_appeals() -> dict[str, Any]:
        """List decisions that were appealed and wait for two persons, the most urgent first."""
        return {
            "appeals": [
                {"decision": one.decision, "heard": one.heard, "until": one.until}
                for one in desk().appealed()
            ]
        }

    @app.post("/v1/appeals/{decision}/review", tags=["feedback"])
    def review(decision: Statement, said: ReviewSaid, key: Key) -> dict[str, Any]:
        """Look at an appealed decision again; the second person who says the same settles it."""
        to = "" if said.to == "upheld" else said.to
        return {"statement": desk().review(decision, by=key.name, to=to, note=said.note)}


def _add_standing(app: _Service, service: FraudService) -> None:
    @app.get("/health", tags=["standing"])
    async def health() -> dict[str, Any]:
        """Say how the service stands: mode, journal, anchors, re-verification."""
        said = service.standing()
        return {
            "anchor": {
                "anchored": said.anchored,
                "backlog": said.backlog,
                "backlog_s": round(said.backlog_s, 1),
                "chain": said.has_chain,
                "error": said.anchor_error or None,
            },
            "deciding": said.is_deciding,
            "journal": {"bytes": said.journal_bytes, "statements": said.journal},
            "live": True,
            "mode": said.mode,
            "ready": said.is_ready and not app.front.is_stopping,
            "verification": {"done": said.verified, "state": said.verification},
            "why": said.why or None,
        }

    @app.get("/health/live", tags=["standing"])
    async def live() -> Response:
        """Say that the process answers."""
        return Response(b'{"live":true}', media_type="application/json")

    @app.get("/health/ready", tags=["standing"])
    async def ready() -> Response:
        """Say whether payments should be sent here: 200, else 503."""
        is_ready = service.standing().is_ready and not app.front.is_stopping
        content = b'{"ready":true}' if is_ready else b'{"ready":false}'
        return Response(content, status_code=200 if is_ready else 503, media_type="application/json")

    @app.get("/metrics", tags=["standing"])
    def metrics() -> Response:
        """Return figures in Prometheus' text format."""
        return Response(app.front.metrics.text(), media_type="text/plain; version=0.0.4")


def _add_errors(app: FastAPI) -> None:
    def answer(request: Request, error: Exception) -> Response:
        status, headers, body = problem(error, str(request.scope.get("tallystick.request", "")))
        return Response(body, status, {name.decode(): value.decode() for name, value in headers})

    @app.exception_handler(TallystickError)
    async def ours(request: Request, error: TallystickError) -> Response:
        return answer(request, error)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        texts = {404: "there is nothing here", 405: "this path does not take that method"}
        said = HttpError(error.status_code, "request", texts.get(error.status_code, "a bad request"))
        response = answer(request, said)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(RequestValidationError)
    async def fields(request: Request, error: RequestValidationError) -> Response:
        return answer(request, unfitting(error.errors(), _OURS))

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        return answer(request, error)


_OURS = frozenset(
    {"body", "path", "query", "disclose", "limit", "payment", "settled", "statement", "decision"}
    | set(Judgement.model_fields) | set(LabelSaid.model_fields) | set(AppealSaid.model_fields) | set(ReviewSaid.model_fields)
)  # fmt: skip
