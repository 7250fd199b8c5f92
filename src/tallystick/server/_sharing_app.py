"""What a bank answers the other members, as an application: look-ups, reports, its epochs, its list."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from tallystick import __version__
from tallystick.apps.fraud.sharing import ShareStanding
from tallystick.errors import EncodingError, EvidenceError, TallystickError

from ._journal_door import KEY, REQUEST
from ._problems import HttpError, problem
from ._settings import ServerSettings
from ._sharing_door import SharingDoor

__all__ = ["ShareService", "create_sharing_app"]

Answer = TypeVar("Answer")
Number = Annotated[int, Path(ge=1, le=999_999_999)]
_BYTES = "application/octet-stream"
_FRESH = {"cache-control": "no-store"}


class ShareService(Protocol):
    """Who answers; `Sharing` is one."""

    def evaluate(self, request: bytes, *, epoch: int, asker: str) -> bytes: ...
    def receive(self, receipt: bytes) -> None: ...
    def opening(self, number: int) -> bytes: ...
    def listed(self, epoch: int, *, at: int) -> bytes: ...
    def round_part(self, epoch: int, number: int, part: str) -> bytes: ...
    def standing(self) -> ShareStanding: ...


class _Service(FastAPI):
    front: SharingDoor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.front(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_sharing_app(service: ShareService, settings: ServerSettings) -> FastAPI:
    """Make the application; whoever made the service closes it.

    Args:
        service: what answers.
        settings: bounds and keys; each key has the role member and bears its member's party id as name.

    Returns:
        An ASGI application for `serve` or `Beside`.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        app.front.is_stopping = False
        yield
        app.front.is_stopping = True
        app.front.log.flush()

    app = _Service(
        title="Tallystick sharing",
        version=__version__,
        summary="What a bank answers the other members: blinded look-ups, reports of payees, epochs, its list.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,  # nobody but members is answered
        redirect_slashes=False,
    )
    app.front = SharingDoor(settings, super(_Service, app).__call__)
    _add_exchange(app, service)
    _add_reading(app, service)
    _add_errors(app)
    return app


def _add_exchange(app: FastAPI, service: ShareService) -> None:
    @app.post("/v1/share/evaluations/{epoch}")
    async def evaluate(request: Request, epoch: Number) -> Response:
        """Answer blinded points by this member's share, with a proof; counted and stated before the answer leaves."""
        body, asker = await request.body(), request.scope[KEY].name
        made = await run_in_threadpool(
            _held_against, lambda: service.evaluate(body, epoch=epoch, asker=asker)
        )
        return Response(made, media_type=_BYTES, headers=_FRESH)

    @app.post("/v1/share/reports")
    async def report(request: Request) -> Response:
        """Take up what a member stated about a payee; the same receipt again changes nothing."""
        body = await request.body()
        await run_in_threadpool(_held_against, lambda: service.receive(body))
        return Response(status_code=204)


def _add_reading(app: FastAPI, service: ShareService) -> None:
    @app.get("/v1/share/epochs/{number}")
    def opening(number: Number) -> Response:
        """Return this member's statement that it opened an epoch."""
        return Response(service.opening(number), media_type="application/json", headers=_FRESH)

    @app.get("/v1/share/lists/{epoch}")
    def listed(epoch: Number, at: Annotated[int, Query(ge=0, le=2**53)]) -> Response:
        """Return the list as this member has it at a moment: entries and the root over them."""
        return Response(service.listed(epoch, at=at), media_type="application/json", headers=_FRESH)

    @app.get("/v1/share/rounds/{epoch}/{number}/{part}")
    def round_part(epoch: Number, number: Number, part: str) -> Response:
        """Return what this member hands in to a round of masked sums."""
        return Response(service.round_part(epoch, number, part), media_type=_BYTES, headers=_FRESH)

    @app.get("/health")
    def health() -> dict[str, Any]:
        """Say in which epoch this member is."""
        said = service.standing()
        return {"epoch": said.epoch, "live": True, "until": said.until}

    @app.get("/health/live")
    async def live() -> dict[str, bool]:
        """Say that the process answers."""
        return {"live": True}


def _held_against(work: Callable[[], Answer]) -> Answer:
    """Let what a member sent be the member's fault, not this service's."""
    try:
        return work()
    except EncodingError as error:
        raise HttpError(400, "encoding", error.message) from error
    except EvidenceError as error:
        raise HttpError(422, "evidence", error.message, hint=error.hint) from error


def _add_errors(app: FastAPI) -> None:
    async def answer(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException | RequestValidationError):
            status = error.status_code if isinstance(error, HTTPException) else 422
            error = HttpError(status, "request", "the request does not fit this path")
        status, headers, body = problem(error, str(request.scope.get(REQUEST, "")))
        return Response(body, status, {name.decode(): value.decode() for name, value in headers})

    for kind in (TallystickError, HTTPException, RequestValidationError, Exception):
        app.exception_handler(kind)(answer)
