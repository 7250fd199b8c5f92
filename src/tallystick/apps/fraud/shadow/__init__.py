"""Shadow mode: today's scorer goes on deciding; its decisions are proved, and ours are compared with them."""

from __future__ import annotations

from ._comparison import Caught, Comparison, compare
from ._history import ShadowRun, read_scores, shadow_history
from ._live import LiveShadow
from ._live_anchors import LiveAnchors
from ._live_settings import LiveSettings, LiveStats
from ._present import AskedScorer, DumpedScorer, FileScorer, PresentScorer, Said, SaidScorer
from ._shadow import Shadow
from ._stated import StatedScorer, compare_stated, find_scorer
from ._stating import Observed

__all__ = [
    "AskedScorer",
    "Caught",
    "Comparison",
    "DumpedScorer",
    "FileScorer",
    "LiveAnchors",
    "LiveSettings",
    "LiveShadow",
    "LiveStats",
    "Observed",
    "PresentScorer",
    "Said",
    "SaidScorer",
    "Shadow",
    "ShadowRun",
    "StatedScorer",
    "compare",
    "compare_stated",
    "find_scorer",
    "read_scores",
    "shadow_history",
]
