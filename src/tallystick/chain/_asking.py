"""Ask several endpoints as if they were one, and believe no single one.

* Reads never go back in time: no answer is taken from an endpoint that stands below the highest block in which this
  process has seen a write of its own or a settled head.
* When the profile asks k members to agree, what is read is read from endpoints of k members at one height that k
  of them have reached, with one block hash, and is compared. Who says something else is named, reported and left
  alone. Too few who agree is an error, never an answer.
* Not compared, because it only prepares a transaction that the chain itself judges: pending nonces, estimates, fees.

    endpoints = Endpoints(profile)
    endpoints.make_request("eth_getBalance", [address, "latest"])
    endpoints.reports()
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from web3.providers.base import BaseProvider

from tallystick.errors import ChainDisagreementError, ChainError, ChainUnreachableError, TallystickError

from ._agreement import Said, agreed_height, weigh
from ._answers import quantity
from ._endpoints import EndpointReport
from ._gathering import LAG_STRIKES, Gathering
from ._paging import Pager
from ._profiles import Profile
from ._traps import NOT_COMPARED, PLACE_OF_BLOCK, TIMELESS, number_in, refused_tag

__all__ = ["Endpoints"]

AHEAD_BLOCKS = 30
# a look at all heads serves the questions of this time
HEIGHT_KEPT_S = 0.1
# a node writes its index of transactions a moment after the block
INDEX_BLOCKS = 2
# so far below what was seen a node may stand that is on its way
LATE_BLOCKS = 2
MOST_SENT = 4_096


class Endpoints(BaseProvider):  # type: ignore[misc] # web3 without the extra is Any
    """The endpoints of a profile, as one provider of web3. May be used by several threads.

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
        self,
        profile: Profile,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__()
        self.profile = profile
        self._need = profile.agree
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._floor = 0
        self._height: tuple[float, int] = (float("-inf"), 0)
        self._sent: OrderedDict[str, int] = OrderedDict()
        self._gathering = Gathering(profile, monotonic=monotonic, sleep=sleep)

    def close(self) -> None:
        """Let go of the connections; questions on their way are not waited for."""
        self._gathering.close()

    def reports(self) -> list[EndpointReport]:
        """Return why endpoints were left alone since the last look, oldest first."""
        return self._gathering.reports()

    def wrote(self, block: int) -> None:
        """Remember a block that this process has seen: no later read is answered from below it."""
        with self._lock:
            self._floor = max(self._floor, block)

    def make_request(self, method: Any, params: Any) -> Any:
        """Ask one method; see the rules above.

        Raises:
            ChainUnreachableError: no endpoint answered.
            ChainDisagreementError: too few members' endpoints say the same.
            ChainError: an answer that is not JSON-RPC.
        """
        name, values = str(method), list(params)
        refused = refused_tag(name, values)
        if refused is not None:
            return refused
        if name == "eth_sendRawTransaction":
            return self._send(name, values)
        if name == "eth_getLogs" and values and isinstance(values[0], dict):
            return self._logs(values[0])
        if self._need == 1 or name in NOT_COMPARED:
            return self._single(name, values)
        if name == "eth_blockNumber":
            return _result(quantity(self._agreed()))
        if name == "eth_getTransactionReceipt":
            return self._receipt(name, values)
        return self._at_a_height(name, values)

    def is_connected(self, show_traceback: bool = False) -> bool:
        """Tell whether somebody answers, as web3 asks it."""
        try:
            self._single("eth_chainId", [])
        except TallystickError:
            if show_traceback:
                raise
            return False
        return True

    # -- one answer is enough -----------------------------------------------------------------------------

    def _single(self, method: str, params: list[Any], *, turn: int = 0, floor: int | None = None) -> Any:
        """Ask one endpoint after the other until one answers."""
        if len(self._gathering.endpoints) == 1:
            return self._gathering.only(method, params)
        if floor is None:
            floor = 0 if method in TIMELESS else self._floor
        line = self._gathering.line(turn=turn)
        if method == "eth_sendRawTransaction":
            # whom the others have left behind may be cut off from them, and would pass nothing on
            line.sort(key=lambda one: 0 < one.seen < self._floor - LATE_BLOCKS)
        said = self._gathering.gather(method, params, line, first=1, enough=_anyone, floor=floor)
        if not said:
            raise _nobody(method)
        answer = said[0].answer
        if method == "eth_blockNumber" and "result" in answer:
            self._gathering.endpoints[said[0].endpoint].seen = number_in(answer["result"])
        return answer

    def _send(self, method: str, params: list[Any]) -> Any:
        """Hand bytes over; the same bytes go to the next endpoint when they come again."""
        raw = str(params[0]) if params else ""
        with self._lock:
            turn = self._sent.pop(raw, -1) + 1
            self._sent[raw] = turn
            if len(self._sent) > MOST_SENT:
                self._sent.popitem(last=False)
        return self._single(method, params, turn=turn, floor=0)

    # -- logs ---------------------------------------------------------------------------------------------

    def _logs(self, query: dict[str, Any]) -> Any:
        """Read logs page by page, so that a node's caps never show."""
        if query.get("blockHash") is not None:
            return self._ask_logs("eth_getLogs", query)
        answer = self.make_request("eth_blockNumber", [])
        if "error" in answer:
            return answer
        head = number_in(answer["result"])
        first, last = (_bound(query.get(name), head) for name in ("fromBlock", "toBlock"))
        if first is None or last is None or first > min(last, head):
            return self._ask_logs("eth_getLogs", query)
        found: list[Any] = []
        try:
            for page in Pager(self._result_of_logs).pages(query, first, min(last, head)):
                found += page.logs
        except _RefusedError as refused:
            return refused.answer
        return _result(found)

    def _result_of_logs(self, method: str, asked: Any) -> Any:
        answer = self._ask_logs(method, asked)
        if "error" in answer:
            raise _RefusedError(answer)
        return answer["result"]

    def _ask_logs(self, method: str, asked: Any) -> Any:
        at = number_in(asked["toBlock"]) if isinstance(asked, dict) and _is_hex(asked.get("toBlock")) else 0
        at = min(at, self._height[1]) if self._need > 1 else at
        if self._need == 1:
            return self._single(method, [asked], floor=max(self._floor, at))
        return self._compared(method, [asked], at=at)

    # -- agreement ----------------------------------------------------------------------------------------

    def _at_a_height(self, method: str, params: list[Any]) -> Any:
        place = PLACE_OF_BLOCK.get(method)
        if place is None:
            return self._compared(method, params, at=0)
        while len(params) <= place:
            params.append("latest")
        tag = params[place]
        if tag == "pending":
            return self._single(method, params)
        if tag in ("latest", "finalized", "safe"):
            at = self._agreed()
            params[place] = quantity(at)
        else:
            # what lies beyond everybody's head is asked as it is, and is null for all
            at = min(number_in(tag), self._floor) if _is_hex(tag) else 0
        return self._compared(method, params, at=at)

    def _compared(self, method: str, params: list[Any], *, at: int) -> Any:
        """Ask endpoints of enough members and return what they agree on."""

        def enough(said: Sequence[Said], _: bool) -> bool:
            return weigh(said, self._need).chosen is not None

        floor = max(self._floor, at)
        line = self._gathering.line()
        said = self._gathering.gather(method, params, line, first=self._need, enough=enough, floor=floor)
        verdict = weigh(said, self._need)
        if verdict.chosen is not None:
            for other in verdict.others:
                # a node that refuses what others answer may have thrown old state away: that is no lie
                if "result" in other.answer and "result" in verdict.chosen.answer:
                    self._gathering.leave(
                        other.endpoint,
                        "differs",
                        f"{method}: endpoints of {self._need} members say otherwise",
                        block=floor,
                    )
            return verdict.chosen.answer
        refusals = {one.member: one for one in said if "error" in one.answer}
        if len(refusals) >= self._need:
            return next(iter(refusals.values())).answer  # all refuse, each in its own words
        raise self._disagreement(method, said, split=verdict.split)

    def _agreed(self) -> int:
        """Return the highest block that endpoints of enough members have reached, with one hash."""
        made, height = self._height
        if self._monotonic() - made < HEIGHT_KEPT_S and height >= self._floor:
            return height
        heads = self._heads()
        by_member: dict[str, int] = {}
        for one in heads:
            number = _number(one)
            by_member[one.member] = max(by_member.get(one.member, 0), number)
        found = agreed_height(by_member, self._need)
        if found is None:
            raise self._disagreement("eth_blockNumber", heads, split=False)
        self._judge_heights(heads, found)
        if found < self._floor:
            # seen higher before, by as many members: some of them are being started again
            return self._floor
        verdict = weigh([one for one in heads if _number(one) == found], self._need)
        for other in verdict.others:
            self._gathering.leave(other.endpoint, "differs", "another block at this height", block=found)
        if verdict.chosen is None:
            self._compared("eth_getBlockByNumber", [quantity(found), False], at=found)
        self._height = (self._monotonic(), found)
        self.wrote(found)
        return found

    def _heads(self) -> list[Said]:
        """Ask all endpoints that are well for their newest block."""

        def enough(said: Sequence[Said], silent: bool) -> bool:
            return silent and len({one.member for one in said}) >= self._need

        line = self._gathering.well()
        asked = ["latest", False]
        said = self._gathering.gather(
            "eth_getBlockByNumber", asked, line, first=len(line), enough=enough, floor=0
        )
        heads = [one for one in said if _number(one) > 0]
        for one in heads:
            self._gathering.endpoints[one.endpoint].seen = _number(one)
        return heads

    def _judge_heights(self, heads: Sequence[Said], agreed: int) -> None:
        near = {one.member for one in heads if abs(_number(one) - agreed) <= AHEAD_BLOCKS}
        for one in heads:
            above = _number(one) - agreed
            if above > AHEAD_BLOCKS and len(near - {one.member}) >= max(self._need, 2):
                words = f"claims a head {above} blocks above everybody's"
                self._gathering.leave(one.endpoint, "ahead", words, block=agreed)
            elif above <= 0:
                self._gathering.lags(self._gathering.endpoints[one.endpoint], agreed)

    def _receipt(self, method: str, params: list[Any]) -> Any:
        """Return a receipt that endpoints of enough members show, null when it is not there yet."""

        def enough(said: Sequence[Said], silent: bool) -> bool:
            agreed = weigh(_shown(said), self._need).chosen is not None
            return agreed or (silent and len({one.member for one in said}) >= self._need)

        line, belated = self._gathering.well(), _Belated(self._gathering)
        said = self._gathering.gather(
            method,
            params,
            line,
            first=len(line),
            enough=enough,
            floor=self._floor,
            afterwards=belated.came,
        )
        shown = _shown(said)
        verdict = weigh(shown, self._need)
        if verdict.chosen is not None:
            block = _receipt_block(verdict.chosen)
            belated.judge(verdict.chosen, verdict.others)
            self.wrote(block)
            return verdict.chosen.answer
        if verdict.split or len({one.member for one in said}) < self._need:
            raise self._disagreement(method, said, split=verdict.split)
        for one in shown:
            self._judge_lonely(one, said)
        return _result(None)

    def _judge_lonely(self, one: Said, said: Sequence[Said]) -> None:
        """Hold a receipt that too few show against those who stand above its block and do not have it."""
        block, endpoints = _receipt_block(one), self._gathering.endpoints
        self._agreed()
        against = {
            other.member
            for other in said
            if other.meaning != one.meaning and endpoints[other.endpoint].seen >= block + INDEX_BLOCKS
        }
        if len(against - {one.member}) >= self._need and endpoints[one.endpoint].strike(
            "differs", LAG_STRIKES
        ):
            self._gathering.leave(one.endpoint, "differs", "a receipt that nobody else has", block=block)

    def _disagreement(self, method: str, said: Sequence[Said], *, split: bool) -> TallystickError:
        if not said:
            return _nobody(method)
        members = len({one.member for one in said})
        if members < self._need:
            return ChainUnreachableError(
                f"{method}: endpoints of {self._need} members are needed, got answers of {members}",
                hint="nothing counts until enough members' nodes answer; what waits is kept and sent later",
            )
        words = "two answers that both find enough members" if split else "different answers"
        return ChainDisagreementError(
            f"{method}: endpoints of {self._need} members must say the same, got {words}",
            hint="nothing counts until they do: look at the endpoints' reports, and at the members' nodes",
        )


class _Belated:
    """Holds receipts against the one that counts, also those that come when it was chosen already."""

    def __init__(self, gathering: Gathering) -> None:
        self._gathering = gathering
        self._lock = threading.Lock()
        self._chosen: Said | None = None
        self._came: list[Said] = []

    def came(self, one: Said) -> None:
        with self._lock:
            self._came += _shown([one])
            ready = self._chosen
        if ready is not None:
            self.judge(ready, ())

    def judge(self, chosen: Said, others: Sequence[Said]) -> None:
        with self._lock:
            self._chosen = chosen
            came, self._came = [*others, *self._came], []
        for other in came:
            if other.meaning != chosen.meaning:
                block = _receipt_block(chosen)
                self._gathering.leave(other.endpoint, "differs", "another receipt", block=block)


class _RefusedError(ChainError):
    """A node's refusal on its way through the pager, which reads the words only."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        error = answer["error"]
        super().__init__(str(error.get("message") if isinstance(error, dict) else error))
        self.answer = answer


def _nobody(method: str) -> ChainUnreachableError:
    return ChainUnreachableError(
        f"{method}: no endpoint answers",
        hint="are the nodes running, and the profile's urls right? what waits is kept and sent later",
    )


def _anyone(said: Sequence[Said], _: bool) -> bool:
    return bool(said)


def _shown(said: Sequence[Said]) -> list[Said]:
    return [one for one in said if isinstance(one.answer.get("result"), dict)]


def _result(value: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "result": value}


def _number(one: Said) -> int:
    """Return the number of the block that was answered, 0 when it is none."""
    found = one.answer.get("result")
    try:
        return int(found["number"], 16) if isinstance(found, dict) else 0
    except (KeyError, TypeError, ValueError):
        return 0


def _receipt_block(one: Said) -> int:
    try:
        return int(one.answer["result"]["blockNumber"], 16)
    except (KeyError, TypeError, ValueError):
        return 0


def _is_hex(tag: Any) -> bool:
    return isinstance(tag, str) and tag.startswith("0x")


def _bound(tag: Any, head: int) -> int | None:
    """Return the number of one end of a range; None for what only a node can judge."""
    if tag is None or tag in ("latest", "finalized", "safe"):
        return head
    try:
        return number_in(tag)
    except ChainError:
        return None
