"""A second interface of a running service, in a thread of its own: it begins before the first and ends after it."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

from tallystick.errors import ConfigurationError, StorageError

from ._running import Served, _listen

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["Beside"]

START_S: Final = 20.0
STOP_S: Final = 10
BACKLOG: Final = 256
MAX_CONNECTIONS: Final = 1_024
KEEP_ALIVE_S: Final = 30


class Beside:
    """Serves an application while its block runs.

    Args:
        app: for instance from `create_sharing_app`.
        host: address to listen at.
        port: 0 for any that is free.
        tls_cert: certificate chain, PEM; with `tls_key`.
        tls_key: its private key, PEM.

    Raises:
        ConfigurationError: a certificate without a key, or one that cannot be used.
        StorageError: the address is taken.
    """

    def __init__(
        self,
        app: FastAPI,
        *,
        host: str,
        port: int,
        tls_cert: Path | None = None,
        tls_key: Path | None = None,
    ) -> None:
        import uvicorn

        from ._connection import BoundedConnection

        if (tls_cert is None) != (tls_key is None):
            raise ConfigurationError("TLS needs a certificate and its key")
        self._listening = _listen(host, port)
        self.place = Served(host, self._listening.getsockname()[1], tls_cert is not None)
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http=BoundedConnection,
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=STOP_S,
            ssl_certfile=tls_cert,
            ssl_keyfile=tls_key,
        )
        try:
            config.load()
        except (OSError, ValueError) as error:  # of the TLS files
            self._listening.close()
            raise ConfigurationError("the certificate or its key cannot be used") from error
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listening]}, name="beside", daemon=True
        )

    def __enter__(self) -> Beside:
        self._thread.start()
        until = time.monotonic() + START_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > until:
                self.__exit__(None, None, None)
                raise StorageError("the interface for the other members did not start")
            time.sleep(0.005)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(STOP_S + 5)
        self._listening.close()
