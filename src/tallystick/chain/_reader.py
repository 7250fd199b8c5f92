"""Ask nodes whether a journal's head is anchored, with the standard library only.

``tallystick verify --rpc`` must run on the base install, so this knows neither web3 nor ABI tables: four questions,
their selectors computed beforehand, answers read strictly and bounded. No proxy is used: an address that the
verifier typed is the address that is asked.
"""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import orjson

from tallystick.errors import ChainError, ChainUnreachableError, ConfigurationError, TallystickError
from tallystick.proof import AnchorClaim, AnchorReading

__all__ = ["anchor_reader", "read_anchor"]

MAX_ANSWER_BYTES = 4 * 1024 * 1024
DEFAULT_TIMEOUT_S = 10.0
LEFT_ALONE_S = 30.0  # an endpoint that gave no answer
# keccak256("Anchored(bytes32,uint64,uint64,bytes32,uint64,uint64)")
ANCHORED_TOPIC = "0x7b0911086dafad722cbd5573778d67faf81685f6b7fca4e2d1c3ad2a74367425"
# keccak256("roots(bytes32,uint64)")[:4]
ROOTS_SELECTOR = "0x7c8635c6"

_WORD = re.compile(r"0x[0-9a-f]{64}\Z")
_NUMBER = re.compile(r"0x[0-9a-f]{1,16}\Z")


def anchor_reader(
    urls: Sequence[str],
    *,
    names: Mapping[str, str] | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    failed: Callable[[str, TallystickError], None] | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Callable[[AnchorClaim, bytes], list[AnchorReading]]:
    """Make the function that ``verify`` asks the verifier's endpoints by, all of them at once.

    An endpoint that gives no answer is left alone for a while: one that is down must not cost its whole wait for each
    receipt of a bundle.

    Args:
        urls: JSON-RPC endpoints that the verifier trusts.
        names: url -> the name that its readings bear: what has one name has one voice. Host and port without one.
        timeout_s: for each question.
        failed: told about each endpoint that gave no usable answer, with the reason; from the caller's thread.
        monotonic: seconds that never go back.
    """
    named, alone = dict(names or {}), dict[str, tuple[float, TallystickError]]()

    def ask(url: str, claim: AnchorClaim, journal_id: bytes) -> AnchorReading | TallystickError:
        until, error = alone.get(url, (0.0, None))
        if error is not None and monotonic() < until:
            return error
        try:
            reading = read_anchor(url, claim, journal_id=journal_id, timeout_s=timeout_s)
        except ChainUnreachableError as unreachable:
            alone[url] = monotonic() + LEFT_ALONE_S, unreachable
            return unreachable
        except (ChainError, ConfigurationError) as refused:
            return refused
        return replace(reading, endpoint=named.get(url, reading.endpoint))

    def read(claim: AnchorClaim, journal_id: bytes) -> list[AnchorReading]:
        readings = []
        asked = list(dict.fromkeys(urls))
        with ThreadPoolExecutor(max(len(asked), 1), thread_name_prefix="endpoint") as pool:
            found = pool.map(lambda url: ask(url, claim, journal_id), asked)
            for url, one in zip(asked, found, strict=True):
                if isinstance(one, AnchorReading):
                    readings.append(one)
                elif failed is not None:
                    failed(url, one)
        return readings

    return read


def read_anchor(
    url: str, claim: AnchorClaim, *, journal_id: bytes, timeout_s: float = DEFAULT_TIMEOUT_S
) -> AnchorReading:
    """Ask one endpoint what it knows of a claimed anchor.

    The root is read from the event in the claimed block. When that block holds no such event, the contract's own
    table answers for the root, and the reading names no block. An endpoint that stands below that block and has no such
    root says nothing: it is behind, which is not the same as denying.

    Args:
        url: http or https.
        claim: what a receipt says.
        journal_id: SHA-256 of the journal's origin, 32 bytes.
        timeout_s: for each question.

    Raises:
        ChainUnreachableError: no answer.
        ChainError: the endpoint is behind, or an answer that is not JSON-RPC, or a refusal.
        ConfigurationError: not an http url.
    """
    node = _Node(url, timeout_s)
    chain_id = _number(node.ask("eth_chainId"))
    genesis = _word(_block(node, 0), "hash")
    block = _block(node, claim.block)
    root = None if block is None else _root_in_block(node, claim, journal_id, _word(block, "hash"))
    if root is not None and block is not None:
        place = (claim.block, _word(block, "hash"), _number(block.get("timestamp")))
    else:
        root, place = _root_in_table(node, claim, journal_id), (0, "", 0)
        if root is None and block is None and _number(node.ask("eth_blockNumber")) < claim.block:
            raise ChainError(f"{node.name} has not come to block {claim.block} yet")
    return AnchorReading(node.name, chain_id, genesis, root, *place)


def _block(node: _Node, number: int) -> dict[str, Any] | None:
    found = node.ask("eth_getBlockByNumber", hex(number), False)
    if found is not None and not isinstance(found, dict):
        raise ChainError(f"{node.name}: a block was expected")
    # CometBFT counts blocks from 1, and nodes over it answer for block 0 with the first one: it stands for the genesis.
    wanted = (0, 1) if number == 0 else (number,)
    if found is not None and _number(found.get("number")) not in wanted:
        raise ChainError(f"{node.name}: block {number} was asked for, another came")
    return found


def _root_in_block(node: _Node, claim: AnchorClaim, journal_id: bytes, block_hash: str) -> bytes | None:
    topics = [ANCHORED_TOPIC, "0x" + journal_id.hex(), f"0x{claim.size:064x}"]
    logs = node.ask("eth_getLogs", {"blockHash": block_hash, "address": claim.contract, "topics": topics})
    if not isinstance(logs, list):
        raise ChainError(f"{node.name}: a list of logs was expected")
    for log in logs:
        if not isinstance(log, dict) or not isinstance(log.get("topics"), list):
            raise ChainError(f"{node.name}: a log was expected")
        asked = (
            str(log.get("address")).lower(),
            [str(t).lower() for t in log["topics"][:3]],
            log.get("blockHash"),
        )
        data = str(log.get("data")).lower()
        if asked != (claim.contract, topics, block_hash) or log.get("removed") is True:
            raise ChainError(f"{node.name}: a log came that was not asked for")
        if not re.match(r"0x(?:[0-9a-f]{64})+\Z", data):
            raise ChainError(f"{node.name}: a log's data cannot be read")
        return bytes.fromhex(data[2:66])
    return None


def _root_in_table(node: _Node, claim: AnchorClaim, journal_id: bytes) -> bytes | None:
    data = f"{ROOTS_SELECTOR}{journal_id.hex()}{claim.size:064x}"
    answer = node.ask("eth_call", {"to": claim.contract, "data": data}, "latest")
    if answer == "0x":
        return None  # no contract stands there
    if not isinstance(answer, str) or not _WORD.match(answer.lower()):
        raise ChainError(f"{node.name}: a root was expected")
    root = bytes.fromhex(answer[2:])
    return root if any(root) else None


class _Node:
    def __init__(self, url: str, timeout_s: float) -> None:
        try:
            parts = urlsplit(url)
            host = parts.hostname if parts.scheme in ("http", "https") else None
            port = parts.port
        except ValueError:
            host, port = None, None
        if host is None:
            raise ConfigurationError("expected an http or https url")
        # paths and user names may hold an access key, which no message shows
        self.name = host if port is None else f"{host}:{port}"
        self._url = url
        self._timeout_s = timeout_s
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())

    def ask(self, method: str, *params: Any) -> Any:
        body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
            self._url, data=body, headers={"Content-Type": "application/json", "User-Agent": "tallystick"}
        )
        try:
            with self._opener.open(request, timeout=self._timeout_s) as response:
                answer = response.read(MAX_ANSWER_BYTES + 1)
        except (OSError, ValueError) as error:  # HTTPError and URLError are OSErrors
            raise ChainUnreachableError(
                f"{self.name} does not answer {method} ({_words(error)})",
                hint="is the url right, the node running?",
            ) from error
        if len(answer) > MAX_ANSWER_BYTES:
            raise ChainError(f"{self.name}: an answer of more than {MAX_ANSWER_BYTES} bytes")
        return self._result(method, answer)

    def _result(self, method: str, answer: bytes) -> Any:
        try:
            said = orjson.loads(answer)
        except ValueError as error:
            raise ChainError(f"{self.name} does not speak JSON-RPC") from error
        if not isinstance(said, dict) or said.get("id") != 1:
            raise ChainError(f"{self.name} does not speak JSON-RPC")
        if "error" in said or "result" not in said:
            refusal = said.get("error")
            words = refusal.get("message") if isinstance(refusal, dict) else refusal
            raise ChainError(f"{self.name} refused {method}: {' '.join(str(words).split())[:200]}")
        return said["result"]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nowhere: the verifier named this endpoint, no other."""
        return


def _words(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"status {error.code}"
    return str(getattr(error, "reason", "") or type(error).__name__)[:100]


def _number(value: Any) -> int:
    if not isinstance(value, str) or not _NUMBER.match(value.lower()):
        raise ChainError("a hex number was expected of the node")
    return int(value, 16)


def _word(found: dict[str, Any] | None, name: str) -> str:
    value = None if found is None else found.get(name)
    if not isinstance(value, str) or not _WORD.match(value.lower()):
        raise ChainError(f"a 32-byte {name} was expected of the node")
    return value.lower()
