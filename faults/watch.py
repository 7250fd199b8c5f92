"""Looks at every endpoint's height all the time, so that afterwards it can be told how long no block came."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from http.client import HTTPException
from itertools import pairwise
from types import TracebackType
from typing import Any

__all__ = ["Watch", "ask", "longest_gap"]

LOOK_S = 0.15
ANSWER_LIMIT = 16 * 1024 * 1024  # bytes
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(url: str, method: str, *params: Any, timeout_s: float = 5.0) -> Any:
    """Ask a node's JSON-RPC one question.

    Raises:
        OSError: no answer.
        ValueError: not an answer, or an error.
    """
    body = json.dumps({"id": 1, "jsonrpc": "2.0", "method": method, "params": params}).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    try:
        with _OPENER.open(request, timeout=timeout_s) as response:
            answer = json.loads(response.read(ANSWER_LIMIT))
    except HTTPException as error:  # it was killed while it answered
        raise OSError(f"half an answer to {method}") from error
    if not isinstance(answer, dict) or "result" not in answer:
        raise ValueError(f"the node refused {method}: {answer}")
    return answer["result"]


def longest_gap(moments: Sequence[float], since: float, until: float) -> float:
    """The longest time without a moment between two times, in seconds."""
    inside = [since, *sorted(moment for moment in moments if since < moment < until), until]
    return max(later - earlier for earlier, later in pairwise(inside))


class Watch:
    """One look after another at every endpoint, each in a thread of its own: a node that stands still stops no other.

    Args:
        urls: of the members' endpoints.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = tuple(urls)
        self._heights = dict.fromkeys(self._urls, 0)
        self._blocks: list[float] = []
        self._top = 0
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._look, args=(url,), daemon=True) for url in self._urls]

    def __enter__(self) -> Watch:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(10)

    @property
    def heights(self) -> tuple[int, ...]:
        """The height that each endpoint told last, 0 for one that did not answer."""
        with self._lock:
            return tuple(self._heights[url] for url in self._urls)

    @property
    def top(self) -> int:
        """The highest block that any endpoint has told of."""
        return self._top

    @property
    def blocks(self) -> tuple[float, ...]:
        """The moments at which a new highest block was first seen."""
        with self._lock:
            return tuple(self._blocks)

    def _look(self, url: str) -> None:
        while not self._ended.wait(LOOK_S):
            height = 0
            with suppress(OSError, ValueError):
                height = int(ask(url, "eth_blockNumber", timeout_s=2.0), 16)
            with self._lock:
                self._heights[url] = height
                if height > self._top:
                    self._top = height
                    self._blocks.append(time.monotonic())
