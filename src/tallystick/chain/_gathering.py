"""The endpoints of one profile: who is asked next, who is left alone, and why.

* An endpoint that fails is left alone for a while and the next one answers; who answers slowly gets company.
* No answer is taken from an endpoint that stands below a given block, nor from one of another chain.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any

from tallystick.errors import ChainDisagreementError, ChainError, ChainMismatchError, ChainUnreachableError

from ._agreement import Said, meaning, weigh
from ._endpoints import LIES, Endpoint, EndpointReport
from ._profiles import Profile
from ._traps import normal, number_in

__all__ = ["LAG_BLOCKS", "LAG_STRIKES", "Gathering"]

COMPANY_AFTER_S = 1.0  # who has not answered by then is not waited for alone
LAG_BLOCKS = 8  # as far below the others an endpoint is late, further it lags
LAG_STRIKES = 3
SLOW_STRIKES = 3
POLL_S = 0.1
MOST_REPORTS = 1_000

_log = logging.getLogger(__name__)

Enough = Callable[[Sequence[Said], bool], bool]
Waiting = dict[Future[dict[str, Any] | None], Endpoint]


class Gathering:
    """Asks endpoints side by side. May be used by several threads.

    Args:
        profile: urls, whose they are, and how many members must agree.
        monotonic: seconds that never go back.
        sleep: waits so many seconds.

    Raises:
        ChainUnreachableError: no endpoint answers.
        ChainMismatchError: no endpoint is of the chain that the profile names.
        ChainDisagreementError: too few members' endpoints are of one chain.
    """

    def __init__(
        self, profile: Profile, *, monotonic: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self.profile = profile
        self._monotonic, self._sleep = monotonic, sleep
        members = profile.members or ("",) * len(profile.urls)
        self.endpoints = [
            Endpoint(place, member, url, profile.timeout_s, monotonic)
            for place, (url, member) in enumerate(zip(profile.urls, members, strict=True))
        ]
        self._reports: deque[EndpointReport] = deque(maxlen=MOST_REPORTS)
        self._lock = threading.Lock()
        self._expected: bytes | None = None
        # an endpoint that hangs keeps its thread until the request's own time is over
        self._pool = ThreadPoolExecutor(4 * len(self.endpoints), thread_name_prefix="endpoint")
        if len(self.endpoints) > 1:
            self._identify_all()

    def close(self) -> None:
        """Let go of the connections; questions on their way are not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for endpoint in self.endpoints:
            endpoint.session.close()

    def reports(self) -> list[EndpointReport]:
        """Return why endpoints were left alone since the last look, oldest first."""
        with self._lock:
            found = list(self._reports)
            self._reports.clear()
        return found

    def leave(self, place: int, reason: str, words: str, *, block: int | None = None) -> None:
        """Do not ask an endpoint for a while."""
        endpoint = self.endpoints[place]
        with self._lock:
            if endpoint.left_alone and endpoint.reason == reason:
                return  # several questions were on their way when it failed
            report = endpoint.leave_alone(reason, words, block=block)
            self._reports.append(report)
        _log.warning(
            "endpoint %s of %s is left alone: %s (%s)", report.endpoint, report.member, reason, words
        )

    def well(self) -> list[Endpoint]:
        """Return whom to ask, in the order of the profile; those that failed to answer when too few are well."""
        found = [one for one in self.endpoints if not one.left_alone]
        if len({one.member for one in found}) < self.profile.agree:
            others = [one for one in self.endpoints if one.left_alone and one.reason not in LIES]
            found += sorted(others, key=lambda one: one.until)
        return found

    def line(self, *, turn: int = 0) -> list[Endpoint]:
        """Return whom to ask one after the other: one endpoint of each member first."""
        found = self.well()
        found += [one for one in self.endpoints if one.reason not in LIES and one not in found]
        if turn:
            found = found[turn % len(found) :] + found[: turn % len(found)] if found else found
        seen: set[str] = set()
        firsts = [one for one in found if one.member not in seen and not seen.add(one.member)]  # type: ignore[func-returns-value]
        return firsts + [one for one in found if one not in firsts]

    def only(self, method: str, params: list[Any]) -> dict[str, Any]:
        """Ask the one endpoint of a profile that names one."""
        return normal(method, self.endpoints[0].ask(method, params))

    def gather(
        self,
        method: str,
        params: list[Any],
        line: Sequence[Endpoint],
        *,
        first: int,
        enough: Enough,
        floor: int,
        afterwards: Callable[[Said], None] = lambda _: None,
    ) -> list[Said]:
        """Ask the first few of a line, and one more for each who fails, is slow or says too little.

        Args:
            method: of JSON-RPC.
            params: its parameters.
            line: whom to ask, in this order.
            first: how many at once.
            enough: told what came so far, and whether nothing came for a while; when it says so, that is all.
            floor: no answer counts from an endpoint that stands below this block.
            afterwards: told what comes when it was enough already, from another thread.

        Raises:
            ChainUnreachableError: all that answer stand below the floor.
        """
        deadline = self._monotonic() + self.profile.timeout_s
        while True:
            said, lagging, waiting = self._round(method, params, line, first, enough, floor, deadline)
            for future, endpoint in waiting.items():
                future.add_done_callback(partial(_told, endpoint, method, afterwards))
            if said or not lagging:
                return said
            if self._monotonic() >= deadline:
                raise ChainUnreachableError(
                    f"{method}: no endpoint has reached block {floor} yet",
                    hint="wait for the nodes to catch up",
                )
            # a block takes its time to reach the next node
            self._sleep(POLL_S)

    def _round(
        self,
        method: str,
        params: list[Any],
        line: Sequence[Endpoint],
        first: int,
        enough: Enough,
        floor: int,
        deadline: float,
    ) -> tuple[list[Said], bool, Waiting]:
        rest, said, lagging = deque(line), [], False  # type: ignore[var-annotated]
        waiting: Waiting = {}
        late: list[Endpoint] = []
        while not enough(said, False):
            while rest and (len(waiting) + len(said) < first or not waiting):
                endpoint = rest.popleft()
                waiting[self._pool.submit(self._try, endpoint, method, params, floor)] = endpoint
            if not waiting:
                break
            done, _ = wait(waiting, timeout=COMPANY_AFTER_S, return_when=FIRST_COMPLETED)
            for future in done:
                endpoint, answer = waiting.pop(future), future.result()
                if answer is not None:
                    said.append(_said(endpoint, method, answer))
                    if endpoint not in late:
                        late = self._slow(late, waiting.values())
                lagging = lagging or (answer is None and not endpoint.left_alone)
            if not done:
                late = list(waiting.values())
                if said:
                    late = self._slow(late, late)
                if enough(said, True) or (not rest and self._monotonic() >= deadline):
                    break
                first += 1
        return sorted(said, key=lambda one: one.endpoint), lagging, waiting

    def _slow(self, late: Sequence[Endpoint], waiting: Iterable[Endpoint]) -> list[Endpoint]:
        """Count those as slow who still owe an answer that another gave sooner; a heavy question is nobody's fault."""
        still = list(waiting)
        for endpoint in late:
            if endpoint in still and endpoint.strike("slow", SLOW_STRIKES):
                self.leave(endpoint.place, "slow", f"no answer within {COMPANY_AFTER_S:g} s")
        return []

    def _try(self, endpoint: Endpoint, method: str, params: list[Any], floor: int) -> dict[str, Any] | None:
        """Ask one endpoint; None when it does not answer, is of another chain or stands below the floor."""
        try:
            if not endpoint.identified and not self._is_expected(endpoint):
                return None
            if endpoint.seen < floor and not self._has_reached(endpoint, floor):
                return None
            begun = self._monotonic()
            answer = normal(method, endpoint.ask(method, params))
        except ChainUnreachableError as error:
            self.leave(endpoint.place, "unreachable", error.message)
            return None
        except ChainError as error:
            self.leave(endpoint.place, "malformed", error.message)
            return None
        endpoint.answered(promptly=self._monotonic() - begun < COMPANY_AFTER_S)
        return answer

    def _has_reached(self, endpoint: Endpoint, floor: int) -> bool:
        endpoint.seen = number_in(_result_of(endpoint.ask("eth_blockNumber", [])))
        if endpoint.seen >= floor:
            endpoint.strikes.pop("behind", None)
            return True
        self.lags(endpoint, floor)
        return False

    def lags(self, endpoint: Endpoint, height: int) -> None:
        """Count that an endpoint is far below a height that others have reached."""
        if height - endpoint.seen <= LAG_BLOCKS:
            endpoint.strikes.pop("behind", None)
        elif endpoint.strike("behind", LAG_STRIKES):
            words = f"{height - endpoint.seen} blocks behind"
            self.leave(endpoint.place, "behind", words, block=height)

    # -- identity -----------------------------------------------------------------------------------------

    def _identify_all(self) -> None:
        """Learn by what all endpoints say which chain is meant, unless the profile says it."""
        futures = [self._pool.submit(self._identity, endpoint) for endpoint in self.endpoints]
        said = []
        for endpoint, future in zip(self.endpoints, futures, strict=True):
            found = future.result()
            if found is not None:
                said.append(Said(endpoint.place, endpoint.member, {}, found))
        if not said:
            raise ChainUnreachableError(
                "no endpoint answers", hint="are the nodes running, and the profile's urls right?"
            )
        chosen = next((one for one in said if self._is_named(one.meaning)), None)
        if chosen is None:
            number, genesis = self.profile.chain_id or "any", self.profile.genesis or "any"
            raise ChainMismatchError(
                f"expected chain {number} with genesis {genesis}, got other chains from all {len(said)} endpoints",
                hint="check the profile's urls",
            )
        if self.profile.agree > 1:
            chosen = weigh([one for one in said if self._is_named(one.meaning)], self.profile.agree).chosen
            if chosen is None:
                raise ChainDisagreementError(
                    f"endpoints of {self.profile.agree} members must be of one chain, and are not",
                    hint="are enough members' nodes running? name chain_id and genesis in the profile",
                )
        self._expected = chosen.meaning
        for one in said:
            if one.meaning == self._expected:
                self.endpoints[one.endpoint].identified = True
            else:
                self.leave(one.endpoint, "other-chain", "another chain id or genesis than the others")

    def _identity(self, endpoint: Endpoint) -> bytes | None:
        """Ask for chain id and first block; None when it does not answer."""
        try:
            chain_id = number_in(_result_of(endpoint.ask("eth_chainId", [])))
            first = _result_of(endpoint.ask("eth_getBlockByNumber", ["0x0", False]))
        except ChainUnreachableError as error:
            self.leave(endpoint.place, "unreachable", error.message)
            return None
        except ChainError as error:
            self.leave(endpoint.place, "malformed", error.message)
            return None
        genesis = str(first.get("hash")).lower() if isinstance(first, dict) else ""
        return f"{chain_id} {genesis}".encode()

    def _is_named(self, identity: bytes) -> bool:
        chain_id, _, genesis = identity.decode().partition(" ")
        profile = self.profile
        return (profile.chain_id is None or str(profile.chain_id) == chain_id) and (
            not profile.genesis or profile.genesis == genesis
        )

    def _is_expected(self, endpoint: Endpoint) -> bool:
        found = self._identity(endpoint)
        if found is None:
            return False
        if found != self._expected:
            self.leave(endpoint.place, "other-chain", "another chain id or genesis than expected")
            return False
        endpoint.identified = True
        return True


def _said(endpoint: Endpoint, method: str, answer: dict[str, Any]) -> Said:
    return Said(endpoint.place, endpoint.member, answer, meaning(method, answer))


def _told(
    endpoint: Endpoint,
    method: str,
    tell: Callable[[Said], None],
    future: Future[dict[str, Any] | None],
) -> None:
    answer = None if future.cancelled() else future.result()
    if answer is not None:
        tell(_said(endpoint, method, answer))


def _result_of(answer: dict[str, Any]) -> Any:
    if "error" in answer:
        raise ChainError("the node refuses to say which chain it is of, and how far it has got")
    return answer["result"]
