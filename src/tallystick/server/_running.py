"""Running the service: one process, one event loop, and an end that loses nothing."""

from __future__ import annotations

import gc
import ipaddress
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from tallystick.errors import ConfigurationError, StorageError

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["Served", "serve"]

BACKLOG: Final = 1_024  # connections that may wait to be taken
MAX_CONNECTIONS: Final = 8_192
KEEP_ALIVE_S: Final = 30
STOP_S: Final = 30  # that requests in flight have after SIGTERM
# The engine computes in a thread of its own. Python lets a computing thread go on for 5 ms before another one gets its
# turn, which is most of what a decision may take; a shorter turn costs little and takes those waits away.
SWITCH_S: Final = 0.0005
# A look through everything that lives stops all threads for tens of milliseconds, and finds nothing: what a decision
# leaves behind is freed by its last reference. So the collector looks seldom, and seldomer at what is old.
COLLECT: Final = (20_000, 10, 100)


@dataclass(frozen=True, slots=True)
class Served:
    """Where a service listens.

    Args:
        host: address.
        port: as the system gave it.
        tls: whether it speaks TLS.
    """

    host: str
    port: int
    tls: bool

    @property
    def url(self) -> str:
        """What to call."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    @property
    def is_exposed(self) -> bool:
        """Whether other machines can listen to what is said: not loopback, and no TLS."""
        try:
            return not self.tls and not ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return not self.tls and self.host != "localhost"


def serve(
    app: FastAPI,
    *,
    host: str = "127.0.0.1",
    port: int = 8480,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    started: Callable[[Served], object] | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; then answer what was begun, take nothing new, and end the application.

    Args:
        app: from `create_app`.
        host: address to listen at.
        port: 0 for any that is free.
        tls_cert: certificate chain, PEM; with `tls_key`.
        tls_key: its private key, PEM.
        started: is told where, once it listens.

    Raises:
        ConfigurationError: a certificate without a key, or one that cannot be used.
        MissingExtraError: uvicorn is not installed.
        StorageError: the address is taken.
    """
    import uvicorn

    from ._connection import BoundedConnection

    if (tls_cert is None) != (tls_key is None):
        raise ConfigurationError("TLS needs a certificate and its key", hint="--tls-cert FILE --tls-key FILE")
    listening = _listen(host, port)
    place = Served(host, listening.getsockname()[1], tls_cert is not None)
    config = uvicorn.Config(
        app,
        loop="uvloop" if find_spec("uvloop") else "asyncio",
        http=BoundedConnection,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # nothing depends on an address that somebody else names
        backlog=BACKLOG,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_S,
        ssl_certfile=tls_cert,
        ssl_keyfile=tls_key,
    )

    class Server(uvicorn.Server):
        async def startup(self, *arguments: Any, **named: Any) -> None:
            await super().startup(*arguments, **named)
            if self.started and started is not None:
                started(place)

    _run(Server(config), listening)


def _run(server: Any, listening: socket.socket) -> None:
    """Run it; a signal that stopped it ends there, so that the process can end with 0."""
    turn, thresholds, before = sys.getswitchinterval(), gc.get_threshold(), {}
    sys.setswitchinterval(SWITCH_S)
    # What is there now stays: the collector need not look through windows and models again and again.
    gc.freeze()
    gc.set_threshold(*COLLECT)

    def ended(_signal: int, _frame: FrameType | None) -> None:
        """The server gives its signal on after it has stopped: there is nothing left to do."""

    for one in (signal.SIGTERM, signal.SIGINT):
        before[one] = signal.signal(one, ended)
    try:
        server.run(sockets=[listening])
    except (OSError, ValueError) as error:  # of the TLS files
        raise ConfigurationError(f"the service could not start: {type(error).__name__}") from error
    finally:
        sys.setswitchinterval(turn)
        gc.set_threshold(*thresholds)
        gc.unfreeze()
        for one, handler in before.items():
            signal.signal(one, handler)
        listening.close()


def _listen(host: str, port: int) -> socket.socket:
    listening: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listening.bind(address)
    except OSError as error:
        if listening is not None:
            listening.close()
        raise StorageError(
            f"cannot listen at port {port}: {error.strerror or 'no such address'}",
            hint="name another one: --host, --port",
        ) from error
    return listening
