"""Read logs in pages that a node will answer, whatever its caps are.

Nodes cap a query by blocks (10,000 is common), by rows (10,000 is common) or by time; some refuse, some cut off in
silence. So a page that is refused or suspiciously full is halved; one block that is still too full is read from its
receipts, which no cap cuts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tallystick.errors import ChainError, ChainUnreachableError, RevertError

from ._answers import quantity

__all__ = ["Page", "Pager"]

MOST_BLOCKS = 10_000
# a page with this many rows or more may have been cut off in silence
MOST_ROWS = 10_000
# below it, the next page may be larger again
FEW_ROWS = 2_500

_TOO_MUCH = re.compile(
    r"more than|too many|too large|too wide|exceed|limit|range|response size|timed? ?out|maximum|\[from, to\]",
    re.IGNORECASE,
)

Ask = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Page:
    """All logs of some blocks, both ends included, in the order in which they were emitted."""

    first: int
    last: int
    logs: tuple[Mapping[str, Any], ...]


class Pager:
    """Reads logs page by page and remembers what size of a page the node takes.

    Args:
        ask: asks one JSON-RPC method and returns its result, or raises.
        blocks: size of the first page.
    """

    def __init__(self, ask: Ask, *, blocks: int = MOST_BLOCKS) -> None:
        self._ask = ask
        self.blocks = min(max(blocks, 1), MOST_BLOCKS)

    def pages(self, query: Mapping[str, Any], first: int, last: int) -> Iterator[Page]:
        """Read the logs of some blocks, both ends included.

        Args:
            query: ``address`` and ``topics`` as eth_getLogs takes them.
            first: a block's number.
            last: a block's number, one that is there already.

        Raises:
            ChainUnreachableError: no endpoint answered.
            ChainError: the node refused for another reason than size, or what it answers is no log of the query.
        """
        while first <= last:
            page = self._page(query, first, last)
            yield page
            first = page.last + 1

    def _page(self, query: Mapping[str, Any], first: int, last: int) -> Page:
        while True:
            end = min(first + self.blocks - 1, last)
            try:
                found = self._ask(
                    "eth_getLogs", {**query, "fromBlock": quantity(first), "toBlock": quantity(end)}
                )
            except (ChainUnreachableError, RevertError):
                raise
            except ChainError as error:
                if not _TOO_MUCH.search(error.message) or (end == first and self.blocks == 1):
                    if end == first and _TOO_MUCH.search(error.message):
                        return Page(first, end, self._of_receipts(query, first))
                    raise
                self.blocks = max((end - first + 1) // 2, 1)
                continue
            logs = _ordered(found, first, end)
            if len(logs) >= MOST_ROWS and end > first:
                self.blocks = max((end - first + 1) // 2, 1)
                continue
            if len(logs) >= MOST_ROWS:
                return Page(first, end, self._of_receipts(query, first))
            if len(logs) < FEW_ROWS:
                self.blocks = min(self.blocks * 2, MOST_BLOCKS)
            return Page(first, end, logs)

    def _of_receipts(self, query: Mapping[str, Any], block: int) -> tuple[Mapping[str, Any], ...]:
        receipts = self._ask("eth_getBlockReceipts", quantity(block))
        if not isinstance(receipts, list):
            raise ChainError("the block's receipts were expected of the node")
        listed = [log for receipt in receipts for log in (receipt or {}).get("logs") or ()]
        return tuple(log for log in _ordered(listed, block, block) if fits(query, log))


def fits(query: Mapping[str, Any], log: Mapping[str, Any]) -> bool:
    """Tell whether a log is one that a query asks for."""
    addresses = query.get("address")
    wanted = [addresses] if isinstance(addresses, str) else addresses
    if wanted and str(log.get("address")).lower() not in {str(one).lower() for one in wanted}:
        return False
    topics = [str(topic).lower() for topic in log.get("topics") or ()]
    asked = query.get("topics") or []
    if len(asked) > len(topics):
        return False
    for want, got in zip(asked, topics, strict=False):
        if want is None or want == []:
            continue
        alternatives = want if isinstance(want, list) else [want]
        if None not in alternatives and got not in {str(one).lower() for one in alternatives}:
            return False
    return True


def _ordered(found: Any, first: int, last: int) -> tuple[Mapping[str, Any], ...]:
    """Put logs into the order of the chain, and refuse what was not asked for or stands there twice."""
    if not isinstance(found, list):
        raise ChainError("a list of logs was expected of the node")
    try:
        placed = {(int(log["blockNumber"], 16), int(log["logIndex"], 16)): log for log in found}
    except (KeyError, TypeError, ValueError) as error:
        raise ChainError("a log with its block and place was expected of the node") from error
    if len(placed) != len(found):
        raise ChainError("the node answers with a log twice")
    if any(not first <= block <= last for block, _ in placed):
        raise ChainError("the node answers with logs of other blocks than those asked for")
    return tuple(placed[place] for place in sorted(placed))
