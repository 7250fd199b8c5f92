"""Nodes that really listen on loopback, for tests; each one ends with its ``with``."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from tallystick.node import Node, format_card_file
from tallystick.proof import ADD_CHECKPOINT_LIMIT
from tallystick.server import JournalService, Keys, ServerSettings, create_journal_app

PASSPHRASE = "a long passphrase"
assert ADD_CHECKPOINT_LIMIT > 64 * 1024


def made_node(directory: Path, name: str) -> Node:
    """A workspace without a chain."""
    return Node.init(
        directory / name, name=name, passphrase=PASSPHRASE, scrypt_n=2**4, heads=directory / "heads"
    )


def introduce(*nodes: Node) -> None:
    """Everybody imports everybody's card."""
    for node in nodes:
        for other in nodes:
            if other is not node:
                node.import_card(format_card_file(other.party.cards))


def made_key(*roles: str) -> tuple[Keys, str]:
    """One key with these roles."""
    return Keys().added("somebody", roles or ("member",))


@contextmanager
def listening(service: JournalService, **limits: object) -> Iterator[str]:
    """A node's interface at a free port of loopback; gives its URL."""
    app = create_journal_app(service, ServerSettings(**limits))  # type: ignore[arg-type]
    place = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none", lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
    thread.start()
    try:
        until = time.monotonic() + 20
        while not server.started:
            assert thread.is_alive(), "the server ended"
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{place.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        place.close()
