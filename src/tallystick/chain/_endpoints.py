"""One member's JSON-RPC endpoint: asked over HTTP, and left alone for a while when it fails, lags or lies.

* A url may hold an access key, so messages and reports name host and port only.
* How long an endpoint is left alone grows with each failure in a row: from a second to a minute for one that gives
  no answer, from a minute to a day for one that said something false.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson
from requests import Session
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from tallystick.errors import ChainError, ChainUnreachableError

__all__ = ["Endpoint", "EndpointReport"]

MAX_ANSWER_BYTES = 64 * 1024 * 1024
LEFT_ALONE_S = (1.0, 60.0)  # the first time, and at most
LIED_S = (60.0, 86_400.0)
LIES = frozenset({"ahead", "differs", "other-chain"})


@dataclass(frozen=True, slots=True)
class EndpointReport:
    """Why an endpoint is not asked for a while.

    Attributes:
        member: whose it is; empty when the profile does not say.
        endpoint: host and port.
        reason: ``unreachable``, ``malformed``, ``slow``, ``behind``, ``ahead``, ``other-chain``, or ``differs`` from
            what endpoints of enough other members say.
        words: what was seen, for people.
        block: at which height; None where that says nothing.
        left_alone_s: for how long it is not asked.
    """

    member: str
    endpoint: str
    reason: str
    words: str
    block: int | None
    left_alone_s: float


@dataclass(slots=True, eq=False)
class Endpoint:
    """An endpoint and what this process knows of it.

    Attributes:
        place: in the profile, from 0.
        member: whose it is.
        name: host and port.
        seen: the highest block that it claimed since it last failed.
        identified: it answers for the chain that is expected.
        strikes: small faults in a row, by reason.
    """

    place: int
    member: str
    url: str
    timeout_s: float
    monotonic: Callable[[], float] = time.monotonic
    session: Session = field(default_factory=Session)
    name: str = ""
    seen: int = 0
    identified: bool = False
    until: float = 0.0
    reason: str = ""
    failures: int = 0
    strikes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        self.name = parts.hostname or "?"
        if parts.port is not None:
            self.name = f"{self.name}:{parts.port}"
        if parts.hostname in ("127.0.0.1", "::1", "localhost"):
            # a proxy of the environment is not meant for this machine
            self.session.trust_env = False

    @property
    def left_alone(self) -> bool:
        return self.monotonic() < self.until

    def ask(self, method: str, params: list[Any]) -> dict[str, Any]:
        """Ask one question.

        Raises:
            ChainUnreachableError: no answer.
            ChainError: an answer that is not JSON-RPC.
        """
        try:
            body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        except TypeError as error:
            raise ChainError(f"{method}: these parameters are no JSON") from error
        try:
            with self.session.post(
                self.url,
                data=body,
                headers={"Content-Type": "application/json"},
                timeout=self.timeout_s,
                stream=True,
                allow_redirects=False,
            ) as response:
                response.raise_for_status()
                data = response.raw.read(MAX_ANSWER_BYTES + 1, decode_content=True)
        except (RequestException, HTTPError, OSError) as error:
            raise ChainUnreachableError(
                f"{method}: {self.name} does not answer ({type(error).__name__})",
                hint="is the node running, and the profile's url right? what waits is kept and sent later",
            ) from error
        return self._answer(method, data)

    def _answer(self, method: str, data: bytes) -> dict[str, Any]:
        if len(data) > MAX_ANSWER_BYTES:
            raise ChainError(f"{method}: {self.name} answers with more than {MAX_ANSWER_BYTES} bytes")
        try:
            answer = orjson.loads(data)
        except ValueError as error:
            raise ChainError(f"{method}: {self.name} does not speak JSON-RPC") from error
        if not isinstance(answer, dict) or ("error" in answer) == ("result" in answer):
            # some nodes send both, one of them null
            if isinstance(answer, dict) and answer.get("error", 0) is None and "result" in answer:
                return {"jsonrpc": "2.0", "id": 1, "result": answer["result"]}
            raise ChainError(f"{method}: {self.name}'s answer is not JSON-RPC")
        return answer

    def answered(self, *, promptly: bool) -> None:
        """Forget the failures of an endpoint that is well again."""
        if promptly:
            self.failures = 0
            self.strikes.pop("slow", None)

    def strike(self, reason: str, most: int) -> bool:
        """Count a small fault; whether there were too many in a row."""
        self.strikes[reason] = self.strikes.get(reason, 0) + 1
        if self.strikes[reason] < most:
            return False
        self.strikes.pop(reason)
        return True

    def leave_alone(self, reason: str, words: str, *, block: int | None = None) -> EndpointReport:
        """Do not ask it for a while, and say why."""
        first, most = LIED_S if reason in LIES else LEFT_ALONE_S
        left_alone_s = min(first * 2**self.failures, most)
        self.failures = min(self.failures + 1, 30)
        self.until, self.reason = self.monotonic() + left_alone_s, reason
        # after a failure it may be another node, or an empty one, that answers at this address
        self.seen, self.identified = 0, False
        return EndpointReport(self.member, self.name, reason, words, block, left_alone_s)
