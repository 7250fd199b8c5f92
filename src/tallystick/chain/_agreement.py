"""Judge what endpoints of several members say: which answer counts, and who says something else.

No input or output here: answers come in, a verdict goes out.

* An answer counts when endpoints of at least ``need`` *members* give it; ten endpoints of one member are one voice.
* What is compared is what a block, a receipt or a log means, not how a node writes it.
* An error is an answer as well: a refusal that two members report is a refusal.
* Two different answers that both find enough members are no answer at all: then the chain itself is split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

__all__ = ["Said", "Verdict", "agreed_height", "meaning", "weigh"]

_BLOCK = ("hash", "number", "parentHash", "timestamp")
_LOG = ("address", "blockHash", "blockNumber", "data", "logIndex", "topics", "transactionHash")
_RECEIPT = (
    "blockHash",
    "blockNumber",
    "contractAddress",
    "from",
    "gasUsed",
    "status",
    "to",
    "transactionHash",
    "transactionIndex",
)
_TRANSACTION = ("blockHash", "blockNumber", "from", "hash", "input", "nonce", "to", "value")


@dataclass(frozen=True, slots=True)
class Said:
    """What one endpoint answered.

    Attributes:
        endpoint: its place in the profile, from 0.
        member: whose it is.
        answer: JSON-RPC, with ``result`` or ``error``.
        meaning: what of it is compared.
    """

    endpoint: int
    member: str
    answer: Mapping[str, Any]
    meaning: bytes


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from several answers.

    Attributes:
        chosen: one of those that count, None when too few agree.
        others: answers that differ from the chosen one; empty without one.
        split: two different answers found enough members.
    """

    chosen: Said | None
    others: tuple[Said, ...] = ()
    split: bool = False


def weigh(said: Sequence[Said], need: int) -> Verdict:
    """Find the answer that endpoints of enough members give.

    Args:
        said: at most one for each endpoint.
        need: number of members, >= 1.
    """
    voices: dict[bytes, set[str]] = {}
    for one in said:
        voices.setdefault(one.meaning, set()).add(one.member)
    enough = [meaning for meaning, members in voices.items() if len(members) >= need]
    if len(enough) != 1:
        return Verdict(None, split=len(enough) > 1)
    chosen = next(one for one in said if one.meaning == enough[0])
    return Verdict(chosen, tuple(one for one in said if one.meaning != enough[0]))


def agreed_height(heads: Mapping[str, int], need: int) -> int | None:
    """Return the highest block that so many members have reached, by their own word.

    One who claims a head that nobody else has reached moves nothing, as long as need is more than one.

    Args:
        heads: by member, the highest head that an endpoint of it claims.
        need: number of members, >= 1.
    """
    if len(heads) < need:
        return None
    return sorted(heads.values(), reverse=True)[need - 1]


def meaning(method: str, answer: Mapping[str, Any]) -> bytes:
    """Return what of an answer is compared with the others'."""
    if "error" in answer:
        return b"error " + _error(answer["error"])
    result = answer["result"]
    if method.startswith("eth_getBlockBy") and isinstance(result, dict):
        return _bytes([_picked(result, _BLOCK), [_hash_of(item) for item in _list(result, "transactions")]])
    if method == "eth_getTransactionReceipt" and isinstance(result, dict):
        return _bytes(_receipt(result))
    if method == "eth_getBlockReceipts" and isinstance(result, list):
        return _bytes([_receipt(item) for item in result])
    if method == "eth_getLogs" and isinstance(result, list):
        return _bytes([_picked(log, _LOG) for log in result])
    if method.startswith("eth_getTransactionBy") and isinstance(result, dict):
        return _bytes(_picked(result, _TRANSACTION))
    return _bytes(_lower(result))


def _receipt(found: Any) -> Any:
    if not isinstance(found, dict):
        return found
    return [_picked(found, _RECEIPT), [_picked(log, _LOG) for log in _list(found, "logs")]]


def _error(error: Any) -> bytes:
    said = error if isinstance(error, dict) else {"message": str(error)}
    # the words may name a height or an address in other letters; what a revert carries does not
    data = said.get("data")
    return _bytes(_lower(data) if isinstance(data, str) and data else str(said.get("message")))


def _picked(found: Any, names: Sequence[str]) -> Any:
    if not isinstance(found, dict):
        return found
    return [_lower(found.get(name)) for name in names]


def _list(found: Mapping[str, Any], name: str) -> list[Any]:
    listed = found.get(name)
    return listed if isinstance(listed, list) else []


def _hash_of(item: Any) -> Any:
    return _lower(item.get("hash") if isinstance(item, dict) else item)


def _lower(value: Any) -> Any:
    # addresses come with and without the letters' checksum
    if isinstance(value, str):
        return value.lower()
    return [_lower(item) for item in value] if isinstance(value, list) else value


def _bytes(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
