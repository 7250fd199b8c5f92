"""The front door: every request passes here, and the two that come a thousand times a second go no further.

In this order: request id, is the service stopping, the key, its role, its rate, the body within its bounds; then the
route. A refusal costs as little as possible and says nothing about payments. Decisions are answered from here with
prebuilt headers, because a framework's stack would cost more than the decision's own HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import orjson

from tallystick.apps.fraud.deciding import Decision
from tallystick.apps.fraud.payments import (
    ISO_JSON,
    ISO_XML,
    PLAIN_JSON,
    Payment,
    PaymentMessage,
    Status,
    StatusReport,
    format_status,
    is_message,
    make_payment,
    parse_payment_message,
)
from tallystick.errors import (
    AccessDeniedError,
    ConflictError,
    OverloadedError,
    PaymentError,
    TallystickError,
)

from ._bridge import Bridge
from ._keys import ApiKey
from ._limits import RateLimits
from ._log import RequestLog
from ._metrics import Metrics
from ._problems import HttpError, problem
from ._roles import OPEN, roles_for
from ._service import FraudService
from ._settings import ServerSettings

__all__ = ["FrontDoor"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]

DECIDE: Final = "/v1/payments/decide"
DECIDE_BATCH: Final = "/v1/payments/decide-batch"
_JSON: Final = [(b"content-type", b"application/json")]
_ALWAYS: Final = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
KEYLESS_BODY: Final = 4_096  # bytes
KEY: Final = "tallystick.key"  # where a request's key stands in its scope


class FrontDoor:
    """What a request meets first.

    Args:
        service: decides.
        settings: bounds and keys.
        inside: the framework's application, for everything that is not a decision.
    """

    def __init__(self, service: FraudService, settings: ServerSettings, inside: App) -> None:
        self._service, self._settings, self._inside = service, settings, inside
        self._limits = RateLimits(settings.requests_per_s, settings.burst_s)
        self._bridge: Bridge | None = None
        self.metrics = Metrics(
            service.standing,
            lambda: self._bridge.waiting if self._bridge else 0,
            lambda: self._bridge.hand_overs if self._bridge else 0,
        )
        self.log = RequestLog(settings.log)
        self.is_stopping = False
        self._requests, self._start = 0, f"{time.time_ns() // 1_000_000:x}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began = time.perf_counter()
        self._requests += 1
        request, key, path = f"{self._start}-{self._requests:x}", None, scope["path"]
        told: Decision | None = None
        try:
            key = self._admit(scope)
            # What needs no key has no body to speak of: nobody unknown makes the service keep one.
            limit = self._settings.max_body if key is not None else KEYLESS_BODY
            body = await self._body(scope, receive, limit)
            if path == DECIDE and scope["method"] == "POST":
                answer, told = await self._decide(scope, body, key)
            elif path == DECIDE_BATCH and scope["method"] == "POST":
                answer = await self._decide_batch(scope, body, key)
            else:
                status = await self._pass_on(scope, body, send, request, key)
                self._note(request, status, began, key, None, path)
                return
        except Exception as error:  # noqa: BLE001 - whatever happens, the client gets an answer without a stack
            answer = problem(error, request)
            self.log.fault(request, error)
        status, headers, content = answer
        await _send(send, status, [*headers, *_ALWAYS, (b"x-request-id", request.encode())], content)
        if told is not None:
            self.metrics.decided(told.action, (time.perf_counter() - began) * 1000, repeat=told.repeat)
        self._note(request, status, began, key, told, path)

    # -- before the route ----------------------------------------------------------------------------------

    def _admit(self, scope: Scope) -> ApiKey | None:
        """Return the key that a request came with, None where none is needed.

        Raises:
            HttpError: no key, or none of ours.
            AccessDeniedError: not its role.
            RateLimitError: too often.
            OverloadedError: the service is stopping.
        """
        path = scope["path"]
        if path in OPEN or (path == "/metrics" and self._settings.open_metrics):
            return None
        if self.is_stopping:
            raise OverloadedError("the service is stopping", hint="send it again: another one is starting")
        given = _header(scope, b"authorization")
        key = (
            self._settings.keys.find(given[7:].decode("latin-1")) if given[:7].lower() == b"bearer " else None
        )
        if key is None:
            raise HttpError(
                401,
                "key",
                "a request must bear an API key that this service knows",
                hint="Authorization: Bearer tsk_…; keys are made by `tallystick fraud keys add`; /openapi.json needs none",
            )
        if not key.roles & roles_for(scope["method"], path):
            raise AccessDeniedError("this key's roles do not allow that", hint="use a key with another role")
        self._limits.take(key)
        return key

    async def _body(self, scope: Scope, receive: Receive, limit: int) -> bytes:
        """Read a request's body within its bounds.

        Raises:
            HttpError: too large, or too slow.
        """
        said = _header(scope, b"content-length")
        # A length that is no number never gets here: the server refuses it.
        if said.isdigit() and int(said[:20]) > limit:
            raise _too_large(limit)
        try:
            async with asyncio.timeout(self._settings.read_s):
                message = await receive()
                if not message.get("more_body") and len(message.get("body", b"")) <= limit:
                    whole: bytes = message.get("body", b"")
                    return whole
                parts = bytearray(message.get("body", b""))
                while message.get("more_body") and len(parts) <= limit:
                    message = await receive()
                    parts += message.get("body", b"")
        except TimeoutError:
            raise HttpError(408, "slow", "a body must come faster") from None
        if len(parts) > limit:
            raise _too_large(limit)
        if message["type"] == "http.disconnect":
            raise HttpError(400, "gone", "a request must be sent whole")
        return bytes(parts)

    # -- decisions -----------------------------------------------------------------------------------------

    @property
    def bridge(self) -> Bridge:
        """The way to the engine, made in the loop that is running."""
        loop = asyncio.get_running_loop()
        if self._bridge is None or self._bridge.loop is not loop:
            self._bridge = Bridge(
                self._service.engine.submit,
                loop,
                max_waiting=self._settings.max_waiting,
                answer_s=self._settings.answer_s,
                decided=self._service.decided,
            )
        return self._bridge

    async def _decide(self, scope: Scope, body: bytes, key: ApiKey | None) -> tuple[Answer, Decision | None]:
        kind = _header(scope, b"content-type").partition(b";")[0].strip().lower().decode("latin-1")
        if kind in PLAIN_JSON:
            document = _json(body)
            if not is_message(document):
                decision = await self.bridge.ask(make_payment(document))
                return (200, _JSON, orjson.dumps(decision.plain())), decision
        elif kind not in ISO_JSON and kind not in ISO_XML:
            raise HttpError(
                415,
                "media",
                "a payment must be JSON or XML",
                hint=f"known: {', '.join((*PLAIN_JSON, *ISO_XML))}",
            )
        message = parse_payment_message(body, kind)
        self._check_count(len(message.payments))
        if key is not None:
            self._limits.take(key, len(message.payments) - 1)  # one was taken at the door
        found = await self._decide_all(message.payments)
        for one in found:
            if isinstance(one, TallystickError):
                raise one
        decisions = [one for one in found if isinstance(one, Decision)]
        return self._answer_message(scope, message, decisions), None

    def _answer_message(self, scope: Scope, message: PaymentMessage, decisions: list[Decision]) -> Answer:
        """Answer a message of ISO 20022: as a pacs.002 where that is asked for, else as our own JSON."""
        wanted = _header(scope, b"accept").decode("latin-1").lower()
        form = "xml" if "xml" in wanted else "json" if "iso20022" in wanted else ""
        if not form:
            content = {"decisions": [decision.plain() for decision in decisions], "message": message.id}
            return 200, _JSON, orjson.dumps(content)
        statuses = tuple(
            Status(reference, decision.status, decision.status_reason)
            for reference, decision in zip(message.references, decisions, strict=True)
        )
        # The same message gets the same report, whenever it is sent again.
        report = StatusReport(decisions[0].statement[:35], decisions[0].decided_at, statuses)
        media = b"application/xml" if form == "xml" else b"application/iso20022+json"
        return 200, [(b"content-type", media)], format_status(report, form=form)

    async def _decide_batch(self, scope: Scope, body: bytes, key: ApiKey | None) -> Answer:
        kind = _header(scope, b"content-type").partition(b";")[0].strip().lower().decode("latin-1")
        if kind not in PLAIN_JSON:
            raise HttpError(415, "media", "a batch must be JSON", hint="known: application/json")
        document = _json(body)
        if (
            type(document) is not dict
            or set(document) != {"payments"}
            or type(document["payments"]) is not list
        ):
            raise PaymentError('a batch must be {"payments": [...]}')
        payments = []
        self._check_count(len(document["payments"]))
        for place, item in enumerate(document["payments"], start=1):
            try:
                payments.append(make_payment(item))
            except PaymentError as error:
                raise PaymentError(f"payment {place}: {error.message}", hint=error.hint) from None
        if key is not None:
            self._limits.take(key, len(payments) - 1)  # one was taken at the door
        results = []
        for one in await self._decide_all(payments):
            if isinstance(one, Decision):
                results.append(one.plain())
            else:
                results.append({"error": orjson.loads(problem(one)[2])})
        return 200, _JSON, orjson.dumps({"decisions": results})

    async def _decide_all(
        self, payments: list[Payment] | tuple[Payment, ...]
    ) -> list[Decision | TallystickError]:
        """Have several payments decided; what only one of them is to blame for stands in its place.

        Raises:
            TallystickError: what is nobody's fault, such as a full disk: what was decided is told when asked again.
        """
        self._check_count(len(payments))
        began, asked = time.perf_counter(), []
        try:
            for payment in payments:
                asked.append(self.bridge.ask(payment))  # noqa: PERF401 - those before a refusal are needed
        except BaseException:
            for one in asked:
                one.cancel()  # nobody waits for these any more; they are decided, and told when asked again
            raise
        found: list[Decision | TallystickError] = []
        nobodys: list[BaseException] = []
        for told in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(told, Decision):
                self.metrics.decided(told.action, (time.perf_counter() - began) * 1000, repeat=told.repeat)
                found.append(told)
            elif isinstance(told, ConflictError | PaymentError):
                found.append(told)
            else:
                nobodys.append(told)
        if nobodys:
            raise nobodys[0]
        return found

    def _check_count(self, count: int) -> None:
        if not 0 < count <= self._settings.max_batch:
            text = f"a request must have 1 to {self._settings.max_batch} payments, got {count}"
            raise HttpError(413, "size", text) if count else PaymentError(text)

    # -- everything else -----------------------------------------------------------------------------------

    async def _pass_on(self, scope: Scope, body: bytes, send: Send, request: str, key: ApiKey | None) -> int:
        """Let the framework answer; returns the status."""
        status, is_read, is_begun = 500, False, False

        async def receive() -> MutableMapping[str, Any]:
            nonlocal is_read
            if is_read:
                return {"type": "http.disconnect"}
            is_read = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def answer(message: MutableMapping[str, Any]) -> None:
            nonlocal status, is_begun
            if message["type"] == "http.response.start":
                status, is_begun = message["status"], True
                own = [*_ALWAYS, (b"x-request-id", request.encode())]
                message = {**message, "headers": [*message.get("headers", ()), *own]}
            await send(message)

        scope[KEY], scope["tallystick.request"] = key, request
        try:
            await self._inside(scope, receive, answer)
        except Exception as error:
            if not is_begun:
                raise
            self.log.fault(request, error)  # it was answered already
        return status

    def _note(
        self, request: str, status: int, began: float, key: ApiKey | None, told: Decision | None, path: str
    ) -> None:
        self.metrics.answers[status] += 1
        if path not in OPEN:
            self.log.note(request, status, time.perf_counter() - began, key.name if key else "", told)


def _header(scope: Scope, name: bytes) -> bytes:
    for key, value in scope["headers"]:
        if key == name:
            found: bytes = value
            return found
    return b""


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise HttpError(400, "json", "the body must be JSON in UTF-8") from None


def _too_large(limit: int) -> HttpError:
    return HttpError(
        413, "size", f"a body must have at most {limit} bytes", hint="send fewer payments at once"
    )


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
