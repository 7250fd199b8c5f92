"""Shadow mode: today's scorer goes on deciding; its decisions are proved, and ours are compared with them."""

from __future__ import annotations

from ._comparison import Caught, Comparison, compare
from ._history import ShadowRun, read_scores, shadow_history
from ._present import AskedScorer, DumpedScorer, FileScorer, PresentScorer, Said
from ._shadow import Observed, Shadow

__all__ = [
    "AskedScorer",
    "Caught",
    "Comparison",
    "DumpedScorer",
    "FileScorer",
    "Observed",
    "PresentScorer",
    "Said",
    "Shadow",
    "ShadowRun",
    "compare",
    "read_scores",
    "shadow_history",
]
