"""Live shadow mode as an application: the present scorer's decisions come in, each is stated before its answer leaves."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Protocol

import orjson
from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi

from tallystick import __version__
from tallystick.apps.fraud.payments import Payment, make_payment
from tallystick.apps.fraud.shadow import Comparison, LiveStats, Observed, Said
from tallystick.errors import (
    AccessDeniedError,
    OverloadedError,
    PaymentError,
    ScorerError,
    ScorerUnreachableError,
    TallystickError,
)
from tallystick.proof import Receipt, format_receipt

from ._app import LabelSaid, Statement
from ._journal_app import _add_errors, _Service
from ._journal_door import KEY, REQUEST, JournalDoor, Table
from ._openapi import SCHEMAS
from ._problems import HttpError, problem, unfitting
from ._roles import DISCLOSING
from ._settings import ServerSettings

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["ShadowService", "create_shadow_app"]

MAX_BATCH: Final = 256
ONE_LIMIT: Final = 16 * 1024  # bytes of one observation
BATCH_LIMIT: Final = 1024 * 1024
LABEL_LIMIT: Final = 16 * 1024
MAX_DAYS: Final = 3_650
_OURS: Final = frozenset({"body", "days", "disclose", "genuine_after", *LabelSaid.model_fields})
_PRIVATE: Final = {"cache-control": "private, no-store"}
_FIELDS: Final = frozenset({"alert", "payment", "score"})
_DECIDE: Final = frozenset({"decide"})
_READ: Final = frozenset({"audit", "decide", "operate", "review"})
_LOOK: Final = frozenset({"audit", "operate", "review"})
_TABLE: Final[Table] = tuple(
    (method, re.compile(path), roles, limit)
    for method, path, roles, limit in (
        ("GET", r"/health(/live|/ready)?|/openapi\.json", frozenset[str](), 0),
        ("POST", r"/v1/observations", _DECIDE, ONE_LIMIT),
        ("POST", r"/v1/observations/batch", _DECIDE, BATCH_LIMIT),
        ("GET", r"/v1/observations/.+", _READ, 0),
        ("POST", r"/v1/labels", frozenset({"operate", "review"}), LABEL_LIMIT),
        ("GET", r"/v1/comparison", _LOOK, 0),
        ("GET", r"/v1/receipts/[0-9a-f]{64}", frozenset({"audit", "decide", "member", "review"}), 0),
        ("GET", r"/metrics", frozenset({"audit", "operate"}), 0),
    )
)


class Shadow(Protocol):
    """Who observes; `LiveShadow` is one."""

    def submit(self, payment: Payment, said: Said | None = None) -> Future[Observed]: ...
    def find(self, payment_id: str) -> Observed: ...
    def report_label(self, payment: str, fraud: bool, *, source: str, decision: str = "") -> str: ...
    def compare(self, days: int, *, genuine_after_days: int | None = None) -> Comparison: ...
    def stats(self) -> LiveStats: ...


class Receipts(Protocol):
    """Who hands out receipts; a `Node` is one."""

    def receipt(self, id_or_index: str | int, *, disclose: Sequence[str] | None = None) -> Receipt: ...


@dataclass(frozen=True, slots=True)
class ShadowService:
    """The parts of a running live shadow.

    Args:
        shadow: observes; closed by whoever opened it, after the application has ended.
        receipts: hands out receipts.
        scorer: the present scorer's hash.
        model: hash of our model.
        anchor_error: tells the code of what the last anchor failed with; None where no chain is.
    """

    shadow: Shadow
    receipts: Receipts
    scorer: str
    model: str
    anchor_error: Callable[[], str] | None = None


class ShadowDoor(JournalDoor):
    """What a request meets first: keys, rate, bodies, log and answers as at the journal's door."""

    table: ClassVar[Table] = _TABLE

    def charge(self, request: Request, count: int) -> None:
        """Count a batch as so many requests.

        Raises:
            RateLimitError: more than this key may make.
        """
        if count > 1:
            self._limits.take(request.scope[KEY], count - 1)


class _ShadowApp(_Service):
    front: ShadowDoor


def create_shadow_app(service: ShadowService, settings: ServerSettings) -> FastAPI:
    """Make the application; whoever opened the node and the shadow closes them.

    Args:
        service: the parts of a running live shadow.
        settings: bounds and keys; observations need the role decide, labels operate or review, the comparison audit,
            operate or review.

    Returns:
        An ASGI application for `serve`.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        app.front.is_stopping = False
        yield
        app.front.is_stopping = True
        app.front.log.flush()

    app = _ShadowApp(
        title="Tallystick shadow service",
        version=__version__,
        summary="States what your present scorer decides, durably, scores beside it, and compares. It decides nothing.",
        lifespan=lifespan,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.front = ShadowDoor(settings, super(_Service, app).__call__)
    _add_observing(app, service, settings)
    _add_reading(app, service)
    _add_standing(app, service)
    _add_errors(app)
    _add_fields(app)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return app


def _add_observing(app: _ShadowApp, service: ShadowService, settings: ServerSettings) -> None:
    @app.post("/v1/observations", tags=["observing"], openapi_extra=_body("Observation"))
    async def observe(request: Request) -> Response:
        """State what the present scorer decided about a payment. The answer leaves when its statement is durable.

        The same again gives the same statement; the same payment id with another content, alert or score gets 409.
        """
        future = _submit(service.shadow, _json(await request.body()))
        return _answer(_plain(await _durable(future, _until(settings))))

    @app.post("/v1/observations/batch", tags=["observing"], openapi_extra=_body("Observations"))
    async def observe_batch(request: Request) -> Response:
        """State up to 256 decisions at once; one that cannot be stated gets its error in its place."""
        document = _json(await request.body())
        items = document.get("observations") if type(document) is dict and len(document) == 1 else None
        if type(items) is not list or not 1 <= len(items) <= MAX_BATCH:
            raise HttpError(422, "batch", f"a batch must be an object with observations, 1 to {MAX_BATCH}")
        app.front.charge(request, len(items))
        told = [_try(service.shadow, item) for item in items]
        until = _until(settings)
        results = [await _result(one, until, request) for one in told]
        return _answer({"observations": results})

    @app.post("/v1/labels", tags=["observing"])
    def report_label(said: LabelSaid) -> dict[str, Any]:
        """Say what a payment turned out to be; the windows learn of it after their delay."""
        if not said.payment and not said.decision:
            raise PaymentError("a label must name a payment or the statement that observed it")
        statement = service.shadow.report_label(
            said.payment, said.fraud, source=said.source, decision=said.decision
        )
        return {"reported": 1, "statement": statement}


def _add_reading(app: FastAPI, service: ShadowService) -> None:
    @app.get("/v1/observations/{payment:path}", tags=["evidence"])
    def find(
        payment: Annotated[str, Path(min_length=1, max_length=128, description="the payment's id")],
    ) -> Response:
        """Return what was stated of a payment."""
        return _answer(_plain(service.shadow.find(payment)))

    @app.get("/v1/comparison", tags=["evidence"])
    def compare(
        days: Annotated[int, Query(ge=1, le=MAX_DAYS, description="the last days, by the statements")] = 14,
        genuine_after: Annotated[
            int | None,
            Query(ge=1, le=MAX_DAYS, description="days after which a payment without a label is genuine"),
        ] = None,
    ) -> Response:
        """Say what both scorers would have caught, ours at no more false alerts. Reads the journal; one at a time."""
        found = service.shadow.compare(days, genuine_after_days=genuine_after)
        return _answer({**found.plain(), "model": service.model, "scorer": service.scorer})

    @app.get("/v1/receipts/{statement}", tags=["evidence"])
    def receipt(
        request: Request,
        statement: Statement,
        disclose: Annotated[
            list[str] | None, Query(max_length=64, description="paths of sealed fields to open")
        ] = None,
    ) -> Response:
        """Return a receipt: one file that anybody can verify offline. Sealed fields only open for audit and review."""
        if disclose and not request.scope[KEY].roles & DISCLOSING:
            raise AccessDeniedError("this key's roles do not allow to open sealed fields")
        made = service.receipts.receipt(statement, disclose=disclose or None)
        return Response(format_receipt(made), media_type="application/json", headers=_PRIVATE)


def _add_standing(app: _ShadowApp, service: ShadowService) -> None:
    @app.get("/health", tags=["standing"])
    def health() -> dict[str, Any]:
        """Say how it stands."""
        said = service.shadow.stats()
        chain = service.anchor_error
        return {
            "anchor": {"chain": chain is not None, "error": (chain() if chain is not None else "") or None},
            "live": True,
            "model": service.model,
            "observed": said.observed,
            "ready": not said.stopped and not app.front.is_stopping,
            "scorer": service.scorer,
            "waiting": said.waiting,
            "why": said.stopped or None,
        }

    @app.get("/health/live", tags=["standing"])
    async def live() -> dict[str, bool]:
        """Say that the process answers."""
        return {"live": True}

    @app.get("/health/ready", tags=["standing"])
    def ready() -> Response:
        """Say whether observations should be sent here: 200, else 503."""
        is_ready = not service.shadow.stats().stopped and not app.front.is_stopping
        return Response(
            orjson.dumps({"ready": is_ready}), 200 if is_ready else 503, media_type="application/json"
        )

    @app.get("/metrics", tags=["standing"])
    def metrics() -> Response:
        """Return figures in Prometheus' text format."""
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Figures(app.front, service.shadow))
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")


def _add_fields(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def fields(request: Request, error: RequestValidationError) -> Response:
        """Say which of our fields does not fit; never what was sent."""
        status, headers, body = problem(unfitting(error.errors(), _OURS), request.scope[REQUEST])
        return Response(body, status, {name.decode(): value.decode() for name, value in headers})


class _Figures:
    def __init__(self, front: ShadowDoor, shadow: Shadow) -> None:
        self._front, self._shadow = front, shadow

    def collect(self) -> Iterator[Metric]:
        """Give every figure, as prometheus_client wants them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        answers = CounterMetricFamily("tallystick_http_answers", "answers by status", labels=["status"])
        for status, count in sorted(self._front.answers.items()):
            answers.add_metric([str(status)], count)
        yield answers
        said = self._shadow.stats()
        counted = {
            "tallystick_shadow_observations": ("decisions of the present scorer stated", said.observed),
            "tallystick_shadow_repeats": ("observations that stood already", said.repeats),
            "tallystick_shadow_labels": ("labels stated", said.labels),
            "tallystick_shadow_late": ("payments later than the windows' bound", said.late),
        }
        for name, (text, value) in counted.items():
            yield CounterMetricFamily(name, text, value=value)
        gauges = {
            "tallystick_shadow_waiting": ("observations on their way", said.waiting),
            "tallystick_shadow_remembered": ("payments that are remembered", said.remembered),
            "tallystick_shadow_stopped": ("1 when nothing is stated any more", int(bool(said.stopped))),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(name, text, value=value)


# -- bodies and answers ------------------------------------------------------------------------------------


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HttpError(400, "json", "a body must be JSON, without NaN and infinity") from error


def _submit(shadow: Shadow, document: Any) -> Future[Observed]:
    if type(document) is not dict or not _FIELDS.issuperset(document) or "payment" not in document:
        raise PaymentError(
            "an observation must be an object with payment, and alert and score",
            hint="where the present scorer is asked by this service, send the payment alone",
        )
    payment, said = make_payment(document["payment"]), None
    if "alert" in document or "score" in document:
        alert, score = document.get("alert"), document.get("score")
        if type(alert) is not bool:
            raise PaymentError("alert must be true or false")
        if isinstance(score, bool) or not isinstance(score, int | float):
            raise PaymentError("score must be a number")
        said = Said(float(score), alert)
    return shadow.submit(payment, said)


def _try(shadow: Shadow, item: Any) -> Future[Observed] | TallystickError:
    try:
        return _submit(shadow, item)
    except TallystickError as error:
        return error


def _until(settings: ServerSettings) -> float:
    return asyncio.get_running_loop().time() + settings.answer_s


async def _durable(future: Future[Observed], until: float) -> Observed:
    """Wait until it is durable, or until a time of the loop; it goes on when nobody waits any more."""
    loop = asyncio.get_running_loop()
    if not future.done():
        waiting = asyncio.wrap_future(future, loop=loop)
        waiting.add_done_callback(lambda done: done.exception())  # also when nobody waits for it any more
        await asyncio.wait({waiting}, timeout=max(0.0, until - loop.time()))
    if not future.done():
        raise OverloadedError("this observation is not durable yet", hint="send it again: it is stated once")
    try:
        return future.result()
    except ScorerError as error:  # that of the bank, not this service's
        raise ScorerUnreachableError(
            "the present scorer's answer does not fit its description", hint=error.hint
        ) from error


async def _result(one: Future[Observed] | TallystickError, until: float, request: Request) -> dict[str, Any]:
    try:
        if isinstance(one, TallystickError):
            raise one
        return _plain(await _durable(one, until))
    except TallystickError as error:
        return {"error": orjson.loads(problem(error, request.scope[REQUEST])[2])}


def _plain(one: Observed) -> dict[str, Any]:
    return {
        "alert": one.alert,
        "ours": one.score,
        "payment": one.payment.id,
        "repeat": one.repeat,
        "score": one.present,
        "statement": one.statement,
    }


def _answer(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), media_type="application/json", headers=_PRIVATE)


# -- the document ------------------------------------------------------------------------------------------


def _body(name: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{name}"}
    answer = {"$ref": f"#/components/schemas/{'Observed' if name == 'Observation' else 'ObservedMany'}"}
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {"200": {"description": "durable", "content": {"application/json": {"schema": answer}}}},
    }


def _schemas() -> dict[str, Any]:
    observation = {
        "type": "object",
        "additionalProperties": False,
        "required": ["payment"],
        "properties": {
            "payment": {"$ref": "#/components/schemas/Payment"},
            "alert": {"type": "boolean", "description": "whether the present scorer raised an alert"},
            "score": {
                "type": "number",
                "exclusiveMinimum": -1e15,
                "exclusiveMaximum": 1e15,
                "description": "its score, its own scale; six decimals are stated",
            },
        },
        "description": "alert and score together; neither where the service asks the present scorer",
    }
    many = {"$ref": "#/components/schemas/Observation"}
    observed = {
        "type": "object",
        "required": ["alert", "ours", "payment", "repeat", "score", "statement"],
        "properties": {
            "alert": {"type": "boolean"},
            "ours": {"type": "integer", "description": "our score beside it; it decides nothing"},
            "payment": {"type": "string"},
            "repeat": {"type": "boolean", "description": "it was stated before; this is that statement"},
            "score": {"type": "number"},
            "statement": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        },
    }
    either = [
        {"$ref": "#/components/schemas/Observed"},
        {"type": "object", "properties": {"error": {"$ref": "#/components/schemas/Problem"}}},
    ]
    return {
        "Observation": observation,
        "Observations": {
            "type": "object",
            "additionalProperties": False,
            "required": ["observations"],
            "properties": {
                "observations": {"type": "array", "minItems": 1, "maxItems": MAX_BATCH, "items": many}
            },
        },
        "Observed": observed,
        "ObservedMany": {
            "type": "object",
            "required": ["observations"],
            "properties": {"observations": {"type": "array", "items": {"anyOf": either}}},
        },
        "Payment": SCHEMAS["Payment"],
        "Problem": SCHEMAS["Problem"],
    }


def _document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, with keys, roles and problems on every route."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    document = get_openapi(
        title=app.title, version=app.version, summary=app.summary, routes=app.routes, openapi_version="3.1.0"
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas.update(_schemas())
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": "tsk_…"}}
    refused = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path, verbs in document["paths"].items():
        for verb, route in verbs.items():
            route["responses"].pop("422", None)
            for status in ("4XX", "503"):
                route["responses"][status] = {"description": "an error", "content": refused}
            roles = _roles(verb.upper(), path)
            if roles:
                route["security"], route["x-roles"] = [{"key": []}], sorted(roles)
    app.openapi_schema = document
    return document


def _roles(method: str, path: str) -> frozenset[str]:
    example = path.replace("{statement}", "0" * 64)
    return next(
        (roles for verb, fits, roles, _ in _TABLE if verb == method and fits.fullmatch(example)), frozenset()
    )
