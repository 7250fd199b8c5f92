"""State which endpoints of other members were found lying, lagging or of another chain.

An endpoint that merely gave no answer is not stated: that happens every day and says nothing of its member.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tallystick.proof import Draft

if TYPE_CHECKING:
    from tallystick.chain import Chain, EndpointReport

__all__ = ["report_drafts", "stating"]

Record = Callable[[Sequence[Draft]], object]
STATED = frozenset({"ahead", "behind", "differs", "malformed", "other-chain"})
_MOST_WORDS = 200  # characters


def report_drafts(reports: Iterable[EndpointReport]) -> list[Draft]:
    """Return what is to be stated of endpoints that were left alone, each endpoint and reason once.

    Args:
        reports: of a chain, since the last look.
    """
    drafts: dict[tuple[str, str, str], Draft] = {}
    for report in reports:
        if report.reason in STATED:
            place = (report.member, report.endpoint, report.reason)
            drafts[place] = Draft("endpoint.quarantined", _body(report))
    return list(drafts.values())


@contextmanager
def stating(record: Record | None, chain: Chain) -> Iterator[None]:
    """Use a chain, and state at the end which endpoints it found lying or lagging.

    Args:
        record: states; None for a node that is open for reading.
        chain: open; whoever opened it closes it.
    """
    try:
        yield
    finally:
        drafts = report_drafts(chain.reports()) if record is not None else []
        if drafts and record is not None:
            record(drafts)


def _body(report: EndpointReport) -> dict[str, Any]:
    body: dict[str, Any] = {
        "endpoint": report.endpoint,
        "reason": report.reason,
        "seconds": int(report.left_alone_s),
        "words": report.words[:_MOST_WORDS],
    }
    if report.member:
        body["member"] = report.member
    if report.block is not None:
        body["block"] = report.block
    return body
