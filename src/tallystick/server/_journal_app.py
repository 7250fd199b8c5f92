"""A journal as an application: C2SP tiles and checkpoint, a C2SP witness for other members' logs, the party's card."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from tallystick import __version__
from tallystick.errors import (
    AccessDeniedError,
    CardError,
    ChainMismatchError,
    EncodingError,
    ForkError,
    NoteError,
    ProofError,
    TallystickError,
    VerificationError,
    WitnessConflictError,
)
from tallystick.proof import format_receipt, parse_add_checkpoint

from ._journal_door import KEY, REQUEST, JournalDoor
from ._journal_service import JournalService
from ._problems import HttpError, problem
from ._roles import DISCLOSING
from ._settings import ServerSettings

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["create_journal_app"]

_TEXT = "text/plain; charset=utf-8"
_FRESH = {"cache-control": "no-store"}
_FOREVER = {"cache-control": "public, max-age=31536000, immutable"}
_PRIVATE = {"cache-control": "private, no-store"}


class _Service(FastAPI):
    front: JournalDoor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.front(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_journal_app(service: JournalService, settings: ServerSettings) -> FastAPI:
    """Make the application; whoever opened the node closes it.

    Args:
        service: what is shown, and what witnesses.
        settings: bounds and keys; keys with the role audit or member read entries and receipts.

    Returns:
        An ASGI application for `serve`.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        app.front.is_stopping = False
        yield
        app.front.is_stopping = True
        app.front.log.flush()

    app = _Service(
        title="Tallystick node",
        version=__version__,
        summary="A party's journal as C2SP tiles and checkpoint, and a C2SP witness for other members' logs.",
        lifespan=lifespan,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.front = JournalDoor(settings, super(_Service, app).__call__)
    _add_log(app, service)
    _add_receipts(app, service)
    _add_witness(app, service)
    _add_standing(app, service)
    _add_errors(app)
    return app


def _add_log(app: FastAPI, service: JournalService) -> None:
    @app.get("/checkpoint", tags=["log"])
    def checkpoint() -> Response:
        """Return the newest durable head, with the witnesses' lines when it has any (C2SP tlog-checkpoint)."""
        return Response(service.checkpoint().note, media_type=_TEXT, headers=_FRESH)

    @app.get("/tile/{path:path}", tags=["log"])
    def tile(path: Annotated[str, Path(max_length=64)]) -> Response:
        """Return a tile (C2SP tlog-tiles). Hashes are anybody's; entries need a key."""
        try:
            data = service.tile(f"tile/{path}")
        except EncodingError as error:
            raise HttpError(404, "path", error.message) from error
        headers = _PRIVATE if path.startswith("entries/") else _FOREVER
        return Response(data, media_type="application/octet-stream", headers=headers)

    @app.get("/card", tags=["party"])
    def card() -> Response:
        """Return the party's cards. Compare the fingerprint over another way before you believe the name."""
        return Response(service.card(), media_type="application/json", headers=_FRESH)


def _add_receipts(app: FastAPI, service: JournalService) -> None:
    @app.get("/v1/receipts/{statement}", tags=["evidence"])
    def receipt(
        request: Request,
        statement: Annotated[str, Path(pattern="^[0-9a-f]{64}$")],
        disclose: Annotated[list[str] | None, Query(max_length=64)] = None,
    ) -> Response:
        """Return a receipt. Sealed fields only open for audit and review."""
        key = request.scope.get(KEY)
        if disclose and (key is None or not key.roles & DISCLOSING):
            raise AccessDeniedError("this key's roles do not allow to open sealed fields")
        made = service.receipt(statement, disclose=disclose or None)
        return Response(format_receipt(made), media_type="application/json", headers=_PRIVATE)


def _add_witness(app: FastAPI, service: JournalService) -> None:
    @app.post("/add-checkpoint", tags=["witness"])
    async def add_checkpoint(request: Request) -> Response:
        """Cosign another member's head (C2SP tlog-witness); 409 tells the size that was seen."""
        body = await request.body()
        return await run_in_threadpool(_witness, service, body)

    @app.post("/attest-anchor", tags=["witness"])
    async def attest_anchor(request: Request) -> Response:
        """Sign that another member's anchor stands on the chain, as this party's own node of it says."""
        return await run_in_threadpool(_attest, service, await request.body())

    @app.post("/card", tags=["party"])
    async def add_card(request: Request) -> dict[str, bool]:
        """Take newer cards of a party that is known here, such as one with a rotated log key."""
        try:
            return {"new": await run_in_threadpool(service.add_card, await request.body())}
        except CardError as error:
            raise HttpError(422, "card", error.message, hint=error.hint) from error

    @app.get("/seen/{origin}", tags=["witness"])
    def seen(origin: Annotated[str, Path(pattern="^[0-9a-f]{64}$")]) -> Response:
        """Return the head that this witness remembers of a journal, by the SHA-256 of its origin."""
        return Response(service.seen(origin), media_type=_TEXT, headers=_FRESH)


def _witness(service: JournalService, body: bytes) -> Response:
    """Answer an ask in the statuses of C2SP tlog-witness."""
    try:
        ask = parse_add_checkpoint(body)
    except (EncodingError, NoteError) as error:
        raise HttpError(400, "ask", error.message) from error
    try:
        return Response(service.add_checkpoint(body), media_type=_TEXT, headers=_FRESH)
    except WitnessConflictError as error:
        return _size(error.size)
    except ForkError as error:
        if ask.old_size == ask.checkpoint.size:
            return _size(ask.checkpoint.size)
        raise HttpError(422, "fork", error.message, hint=error.hint) from error
    except ProofError as error:
        raise HttpError(422, "proof", error.message, hint=error.hint) from error
    except (CardError, NoteError) as error:
        hint = "post your newest cards to /card first"
        raise HttpError(403, "signature", error.message, hint=hint) from error


def _attest(service: JournalService, body: bytes) -> Response:
    """Answer an ask for a line under an anchor's note; the line alone, as `add-checkpoint` does."""
    try:
        return Response(service.attest_anchor(body), media_type=_TEXT, headers=_FRESH)
    except EncodingError as error:
        raise HttpError(400, "ask", error.message) from error
    except ChainMismatchError as error:
        raise HttpError(409, "chain", error.message) from error
    except VerificationError as error:
        raise HttpError(422, "anchor", error.message) from error


def _size(size: int) -> Response:
    return Response(f"{size}\n", 409, headers={**_FRESH, "content-type": "text/x.tlog.size"})


def _add_standing(app: _Service, service: JournalService) -> None:
    @app.get("/health", tags=["standing"])
    def health() -> dict[str, Any]:
        """Say how the node stands."""
        said = service.standing()
        return {
            "anchored": said.anchored,
            "forks": said.forks,
            "live": True,
            "missing": said.missing,
            "origin": service.node.origin,
            "party": service.node.id,
            "peers": said.peers,
            "ready": not app.front.is_stopping,
            "statements": said.statements,
            "waiting": said.waiting,
            "witnessed": said.witnessed,
        }

    @app.get("/health/live", tags=["standing"])
    async def live() -> dict[str, bool]:
        """Say that the process answers."""
        return {"live": True}

    @app.get("/health/ready", tags=["standing"])
    def ready() -> dict[str, bool]:
        """Say that heads can be read; 503 when the journal cannot."""
        service.checkpoint()
        return {"ready": True}

    @app.get("/metrics", tags=["standing"])
    def metrics() -> Response:
        """Return figures in Prometheus' text format."""
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Figures(app.front, service))
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")


class _Figures:
    def __init__(self, front: JournalDoor, service: JournalService) -> None:
        self._front, self._service = front, service

    def collect(self) -> Iterator[Metric]:
        """Give every figure, as prometheus_client wants them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        answers = CounterMetricFamily("tallystick_http_answers", "answers by status", labels=["status"])
        for status, count in sorted(self._front.answers.items()):
            answers.add_metric([str(status)], count)
        yield answers
        said = self._service.standing()
        gauges = {
            "tallystick_journal_statements": ("statements in the journal", said.statements),
            "tallystick_journal_anchored": ("size of the last anchored head", said.anchored),
            "tallystick_journal_witnessed": ("size of the best cosigned head", said.witnessed),
            "tallystick_peers": ("parties that are known", said.peers),
            "tallystick_forks": ("files of evidence of a fork", said.forks),
            "tallystick_witnesses_missing": ("witnesses that gave no line in the last round", said.missing),
            "tallystick_journal_waiting": ("statements that wait for cosignatures", said.waiting),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(name, text, value=value)


def _add_errors(app: FastAPI) -> None:
    async def answer(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException | RequestValidationError):
            status = error.status_code if isinstance(error, HTTPException) else 422
            error = HttpError(status, "request", "the request does not fit this path")
        status, headers, body = problem(error, str(request.scope.get(REQUEST, "")))
        return Response(body, status, {name.decode(): value.decode() for name, value in headers})

    for kind in (TallystickError, HTTPException, RequestValidationError, Exception):
        app.exception_handler(kind)(answer)
