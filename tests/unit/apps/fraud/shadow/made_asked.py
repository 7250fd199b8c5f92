"""A present scorer behind HTTP, as tests have it."""

from __future__ import annotations

import json
import socket
from typing import Any

from tallystick.apps.fraud.shadow import AskedScorer
from tallystick.models import ExternalDescription, ExternalModel, JsonField


def serve(answer: Any) -> Any:
    body = json.dumps(answer).encode()
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    )

    def reply(peer: socket.socket, request: bytes) -> None:
        peer.sendall(head + body)

    return reply


def asked(url: str) -> AskedScorer:
    description = ExternalDescription(
        name="present", target="fraud", labels=("no", "yes"), url=url,
        request=(JsonField("amount", "integer"), JsonField("customer", "text")),
        response=(JsonField("score", "number", "0", "1"),), score="score", threshold="0.9", attempts=1,
    )  # fmt: skip
    return AskedScorer(ExternalModel(description))
