"""What every pilot needs: steps with their times, a place, an outsider who verifies, a forger, and pages about both.

Not an application: applications do not import each other, so what several of them need stands here.
"""

from __future__ import annotations

from tallystick.apps.pilots._evidence_page import evidence_section, trace_tree
from tallystick.apps.pilots._forgeries import Evidence, Forgery, forge
from tallystick.apps.pilots._network import LABEL, PilotNetwork, network_section, verify_by_pairs
from tallystick.apps.pilots._outsider import Verdict, verify_outside, verify_plainly
from tallystick.apps.pilots._steps import (
    MARK,
    PASSPHRASE,
    Step,
    Steps,
    make_place,
    processor,
    size_of,
)
from tallystick.apps.pilots._tracing import short_trace

__all__ = [
    "LABEL",
    "MARK",
    "PASSPHRASE",
    "Evidence",
    "Forgery",
    "PilotNetwork",
    "Step",
    "Steps",
    "Verdict",
    "evidence_section",
    "forge",
    "make_place",
    "network_section",
    "processor",
    "short_trace",
    "size_of",
    "trace_tree",
    "verify_by_pairs",
    "verify_outside",
    "verify_plainly",
]
