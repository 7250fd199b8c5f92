"""One party's workspace: reads the settings, builds the rooms below, the only place that chooses back ends.

with Node.init("hospital-a", name="Hospital A", passphrase=...) as node:
    entry = node.record("document.recorded", {"title": "protocol"}, payload=pdf)
    receipt = node.receipt(entry.id)
"""

from __future__ import annotations

from ._anchoring import Anchoring, anchor_policy
from ._attesting import ANCHOR_NOTE
from ._backups import BackedUp, ask_chain, backup, restore
from ._consortium import Consortium, make_policy
from ._evidence_files import evidence_files, keep_evidence
from ._fitting import FAMILIES, fit
from ._founding import found, found_models, found_oracle, seat_of
from ._gathering import Backlog, Gathered, backlog, gather, gather_beside
from ._grounds import EmbeddedGround, Ground, NetworkGround
from ._judging import Judged
from ._membership import Membership
from ._migrating import Moved, found_elsewhere, migrate, moving_to
from ._models import OwnModels
from ._monitor import Monitor, Sighting
from ._node import Node
from ._oracle import OracleDealings
from ._passphrase import passphrase_given
from ._peers import CardFile, Peers, format_card_file, parse_card_file
from ._rehashing import Rehashing
from ._remote import RemoteNode
from ._remote_witnesses import (
    Attested,
    WitnessAnswer,
    Witnessed,
    ask_attestations,
    ask_witnesses,
    find_witnesses,
)
from ._retention import Hold, Plan, Retention
from ._rotation import Rotated, rotate
from ._rounds import Rounds
from ._settings import (
    AnchorSettings,
    ChainSettings,
    OversightSettings,
    RetentionSettings,
    Settings,
    WitnessSettings,
)
from ._witnessing import WitnessAsk, format_ask, parse_ask
from ._workspace import Workspace

__all__ = [
    "ANCHOR_NOTE",
    "FAMILIES",
    "AnchorSettings",
    "Anchoring",
    "Attested",
    "BackedUp",
    "Backlog",
    "CardFile",
    "ChainSettings",
    "Consortium",
    "EmbeddedGround",
    "Gathered",
    "Ground",
    "Hold",
    "Judged",
    "Membership",
    "Monitor",
    "Moved",
    "NetworkGround",
    "Node",
    "OracleDealings",
    "OversightSettings",
    "OwnModels",
    "Peers",
    "Plan",
    "Rehashing",
    "RemoteNode",
    "Retention",
    "RetentionSettings",
    "Rotated",
    "Rounds",
    "Settings",
    "Sighting",
    "WitnessAnswer",
    "WitnessAsk",
    "WitnessSettings",
    "Witnessed",
    "Workspace",
    "anchor_policy",
    "ask_attestations",
    "ask_chain",
    "ask_witnesses",
    "backlog",
    "backup",
    "evidence_files",
    "find_witnesses",
    "fit",
    "format_ask",
    "format_card_file",
    "found",
    "found_elsewhere",
    "found_models",
    "found_oracle",
    "gather",
    "gather_beside",
    "keep_evidence",
    "make_policy",
    "migrate",
    "moving_to",
    "parse_ask",
    "parse_card_file",
    "passphrase_given",
    "restore",
    "rotate",
    "seat_of",
]
