"""A trace as a picture: what a reader wants to see of it, with what repeats told once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tallystick.proof import Hop

__all__ = ["short_trace"]

SHOWN = 4  # links of one label; more are counted

Remarks = Mapping[tuple[str, str], str]


def short_trace(hop: Hop, *, remarks: Remarks, depth: int = 4) -> dict[str, Any]:
    """Turn a trace into nested texts: `text`, `standing`, `detail`, `children`.

    Earlier rounds hang one below the other; they are told as one line with how many there are of which standing.

    Args:
        hop: the trace.
        remarks: (parent kind, link label) -> what that hop does not show; `{by}` is the linked party.
        depth: how many links deep to show.
    """
    return _node(hop, remarks, left=depth)


def _node(hop: Hop, remarks: Remarks, *, left: int, parent: str = "") -> dict[str, Any]:
    node: dict[str, Any] = {"text": _text(hop), "standing": hop.standing}
    detail = hop.text or remarks.get((parent, hop.label), "").format(by=hop.by)
    if detail:
        node["detail"] = detail
    children: list[dict[str, Any]] = []
    labels = Counter(child.label for child in hop.hops)
    shown: Counter[str] = Counter()
    for child in hop.hops:
        if child.label == "before":
            children.append(_earlier(child))
        elif child.label == "round" and child.kind == "round.opened":
            continue  # the opening of a round tells nothing that its closing does not
        elif shown[child.label] < SHOWN and left > 0:
            shown[child.label] += 1
            children.append(_node(child, remarks, left=left - 1, parent=hop.kind))
        elif shown[child.label] == SHOWN:
            shown[child.label] += 1
            children.append({"text": f"and {labels[child.label] - SHOWN} more of the same", "standing": ""})
    if children:
        node["children"] = children
    return node


def _text(hop: Hop) -> str:
    return f"{hop.kind or hop.label} {hop.statement_id[:8]}… by {hop.by or 'nobody here'}"


def _earlier(hop: Hop) -> dict[str, Any]:
    rounds: list[Hop] = []
    now: Hop | None = hop
    while now is not None:
        rounds.append(now)
        now = next((child for child in now.hops if child.label == "before"), None)
    standings = Counter(one.standing for one in rounds)
    said = ", ".join(f"{count} {standing}" for standing, count in sorted(standings.items()))
    worst = "re-executed" if set(standings) == {"re-executed"} else min(standings)
    return {"text": f"{len(rounds)} earlier rounds", "standing": worst, "detail": said}
