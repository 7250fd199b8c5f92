"""eth_getLogs: addresses, all four topic positions with null and alternatives, block ranges, one block's hash."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ._answers import (
    INVALID_PARAMS,
    LIMIT_EXCEEDED,
    SERVER_ERROR,
    RpcError,
    data_hex,
    parse_address,
    parse_hash,
    quantity,
)
from ._blocks import Header, parse_header

if TYPE_CHECKING:
    from ._localchain import LocalChain

__all__ = ["find_logs", "log_json"]

MAX_LOGS = 100_000
MAX_ALTERNATIVES = 1_000


def log_json(row: tuple[Any, ...], block_hash: bytes, timestamp: int) -> dict[str, Any]:
    block, position, transaction_position, transaction_hash, address, *topics, data = row
    return {
        "address": data_hex(address),
        "topics": [data_hex(topic) for topic in topics if topic is not None],
        "data": data_hex(data),
        "blockNumber": quantity(block),
        "transactionHash": data_hex(transaction_hash),
        "transactionIndex": quantity(transaction_position),
        "blockHash": data_hex(block_hash),
        "blockTimestamp": quantity(timestamp),
        "logIndex": quantity(position),
        "removed": False,
    }


def find_logs(
    chain: LocalChain, said: Any, header_of: Callable[[Any], Header | None]
) -> list[dict[str, Any]]:
    """Answer one filter object.

    Raises:
        RpcError: a malformed filter, an unknown block hash, or more than ``MAX_LOGS`` logs.
    """
    if not isinstance(said, dict):
        raise RpcError(INVALID_PARAMS, "invalid argument 0: a filter object is expected")
    first, last = _range(chain, said, header_of)
    where, values = _conditions(said)
    rows = chain.store.rows(
        f"SELECT l.*, b.header FROM logs l JOIN blocks b ON b.number = l.block"  # noqa: S608 - only ? inside
        f" WHERE l.block BETWEEN ? AND ?{where} ORDER BY l.block, l.position LIMIT ?",
        (first, last, *values, MAX_LOGS + 1),
    )
    if len(rows) > MAX_LOGS:
        raise RpcError(LIMIT_EXCEEDED, f"query returned more than {MAX_LOGS} results")
    headers: dict[int, Header] = {}
    found = []
    for *row, encoded in rows:
        header = headers.get(row[0]) or headers.setdefault(row[0], parse_header(encoded))
        found.append(log_json(tuple(row), header.hash, header.timestamp))
    return found


def _range(
    chain: LocalChain, said: dict[str, Any], header_of: Callable[[Any], Header | None]
) -> tuple[int, int]:
    start, stop = said.get("fromBlock"), said.get("toBlock")
    if said.get("blockHash") is not None:
        if start is not None or stop is not None:
            raise RpcError(
                INVALID_PARAMS, "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other"
            )
        header = chain.store.header_by_hash(parse_hash(said["blockHash"], "blockHash"))
        if header is None:
            raise RpcError(SERVER_ERROR, "unknown block")
        return header.number, header.number
    first, last = (_number(chain, tag, header_of) for tag in (start, stop))
    if first > last:
        raise RpcError(INVALID_PARAMS, "invalid block range params")
    return first, last


def _number(chain: LocalChain, tag: Any, header_of: Callable[[Any], Header | None]) -> int:
    head = chain.head().number
    if tag is None:
        return head
    header = header_of(tag)
    if header is not None:
        return header.number
    # a range may reach beyond the head; what is not there yet holds no logs
    return min(int(tag, 16), 2**62)


def _conditions(said: dict[str, Any]) -> tuple[str, list[bytes]]:
    where, values = "", []
    addresses = said.get("address")
    if addresses is not None:
        listed = addresses if isinstance(addresses, list) else [addresses]
        if listed:
            found = [parse_address(address, "address") for address in _bounded(listed)]
            where, values = f" AND l.address IN ({_marks(found)})", found
    topics = said.get("topics") or []
    if not isinstance(topics, list) or len(topics) > 4:
        raise RpcError(INVALID_PARAMS, "exceed max topics")
    for position, topic in enumerate(topics):
        if topic is None or topic == []:
            # as geth: a wildcard still asks that the log has a topic here
            where += f" AND l.topic{position} IS NOT NULL"
            continue
        alternatives = topic if isinstance(topic, list) else [topic]
        if None in alternatives:
            where += f" AND l.topic{position} IS NOT NULL"
            continue
        wanted = [parse_hash(one, f"topics[{position}]") for one in _bounded(alternatives)]
        where += f" AND l.topic{position} IN ({_marks(wanted)})"
        values = [*values, *wanted]
    return where, values


def _bounded(listed: list[Any]) -> list[Any]:
    if len(listed) > MAX_ALTERNATIVES:
        raise RpcError(LIMIT_EXCEEDED, f"at most {MAX_ALTERNATIVES} alternatives, got {len(listed)}")
    return listed


def _marks(values: list[bytes]) -> str:
    return ",".join("?" * len(values))
