"""A trace as a picture: what a reader wants to see of it, with what repeats told once."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tallystick.proof import Hop

__all__ = ["REMARKS", "short_trace"]

# What no computation can show, said where somebody might think that it was shown.
REMARKS = {
    ("update.committed", "data"): "that the update came from these rows is {by}'s word",
    ("decision.made", "data"): "that the input is a row of it is {by}'s word",
}

SHOWN = 4  # links of one label; more are counted


def short_trace(hop: Hop) -> dict[str, Any]:
    """Turn a trace into nested texts: `text`, `standing`, `detail`, `children`.

    Earlier rounds hang one below the other; they are told as one line with how many there are of which standing.
    """
    return _node(hop, depth=0)


def _node(hop: Hop, *, depth: int, parent: str = "") -> dict[str, Any]:
    node: dict[str, Any] = {"text": _text(hop), "standing": hop.standing}
    detail = hop.text or REMARKS.get((parent, hop.label), "").format(by=hop.by)
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
        elif shown[child.label] < SHOWN and depth < 4:
            shown[child.label] += 1
            children.append(_node(child, depth=depth + 1, parent=hop.kind))
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
