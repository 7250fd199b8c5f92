"""A connection with bounds: a request's head has so many bytes and so much time; an answer leaves in one piece and is read.

uvicorn counts open connections, and closes an idle one only after its first answer: without this, whoever opens enough
of them and says nothing keeps everybody else out, and one head without an end takes all memory. Neither needs a key.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["BoundedConnection"]


class _Joined:
    """A transport that sends what is written in one turn of the loop at once: head and body need one call, not two."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._parts:
            parts, self._parts = self._parts, []
            if not self._transport.is_closing():
                self._transport.write(b"".join(parts))


class BoundedConnection(HttpToolsProtocol):
    """Closes a connection whose next request's head does not come whole in time, or is too large, or who does not read."""

    head_bytes: ClassVar[int] = 32 * 1024
    head_s: ClassVar[float] = 10.0
    unread_s: ClassVar[float] = 30.0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head = 0
        self._patience: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Wait for the first head."""
        super().connection_made(_Joined(transport, self.loop))  # type: ignore[arg-type]
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop_waiting()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of a head whose beginning came."""
        # Between two requests uvicorn's keep-alive counts; from the first byte of the next head on, this does.
        if self._patience is None and (self.cycle is None or self.cycle.response_complete):
            self._wait()
        super().data_received(data)

    def pause_writing(self) -> None:
        """Give whoever does not read answers some time: until then one answer waits, and no more is read from him."""
        if self._unread is None:
            self._unread = self.loop.call_later(self.unread_s, self.transport.abort)
        super().pause_writing()

    def resume_writing(self) -> None:
        """Go on: what was written has left."""
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def on_message_begin(self) -> None:
        """Count a new head from its first byte."""
        self._head = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Count the first line."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a line."""
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole: from here on the body's own bounds count."""
        self._stop_waiting()
        super().on_headers_complete()

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > self.head_bytes:
            # The parser gives up; uvicorn answers 400 and closes.
            raise ValueError("the head of a request is too large")

    def _wait(self) -> None:
        self._patience = self.loop.call_later(self.head_s, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
