"""The parts of a report that every pilot has: what is proved, what a forger gets, where a decision comes from.

"standing":  {"proved": 700, "claimed": 231, "missing": 231, "receipts": 231}
"forgeries": [{"name": "flip a byte", "what": "one bit of a statement", "caught": true, "by": "…"}]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tallystick.report import Grid, Hop, Section, Share, Shares, TraceTree

__all__ = ["evidence_section", "trace_tree"]

Data = Mapping[str, Any]
TONES: Final = (
    ("proved", "good"),
    ("recorded", "good"),
    ("re-executed", "good"),
    ("claimed", "warn"),
    ("missing", "faint"),
)


def evidence_section(summary: Data) -> Section | None:
    """Show what is proved and what became of the forgeries; None where the summary holds neither."""
    parts: list[Any] = []
    standing, forged = summary.get("standing"), summary.get("forgeries")
    if standing:
        parts.append(_standings(standing))
    if forged:
        parts.append(_forgeries(forged))
    if not parts:
        return None
    return Section(
        title="What is proved, and what a forger gets",
        text="Checked by a fresh process with the base install only and no network.",
        parts=parts,
    )


def _standings(standing: Data) -> Shares:
    every = standing["proved"] + standing["claimed"] + standing["missing"]
    return Shares(
        title=f"{standing['proved'] / max(every, 1):.0%} of what the verifier prints is proved; the rest says so",
        unit=f"lines over {standing.get('receipts', 0):,} receipts",
        parts=[
            Share("proved", standing["proved"], "good"),
            Share("claimed", standing["claimed"], "warn"),
            Share("missing", standing["missing"], "faint"),
        ],
        caption=(
            "Proved: follows from the file and the verifier's own policy. Claimed: somebody's word, such as a "
            "clock. Missing: nobody has done it, such as running the model again."
        ),
    )


def _forgeries(forged: Sequence[Data]) -> Grid:
    caught = sum(bool(item["caught"]) for item in forged)
    title = (
        f"All {caught} forgeries were caught"
        if caught == len(forged)
        else f"{caught} of {len(forged)} were caught"
    )
    return Grid(
        title=title,
        header=("forgery", "what was done", "result", "caught by"),
        rows=[
            (item["name"], item["what"], "caught" if item["caught"] else "NOT CAUGHT", item["by"])
            for item in forged
        ],
    )


def trace_tree(root: Data, *, title: str, caption: str) -> TraceTree:
    """Show a trace that `short_trace` made."""
    return TraceTree(title=title, root=_hop(root), tones=TONES, caption=caption)


def _hop(node: Data) -> Hop:
    return Hop(
        text=node["text"],
        standing=node.get("standing", ""),
        detail=node.get("detail", ""),
        children=[_hop(child) for child in node.get("children", ())],
    )
