"""Talk to an EVM: the embedded LocalChain, JSON-RPC networks, the outbox, anchoring and their contracts.

The door itself needs neither web3 nor an EVM: names load when they are first asked for, and a name whose part is
not installed raises ``MissingExtraError`` with the line to type.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._anchors import Anchoring, Anchors, Head
    from ._artifacts import Artifact, load
    from ._calls import Call
    from ._connect import Chain, Fees, MinedTransaction, connect
    from ._contract import Contract, Logged
    from ._endpoints import EndpointReport
    from ._following import FileCursor, Follower, Place, RowCursor
    from ._intents import Intent
    from ._localchain import LocalChain
    from ._members import (
        Action,
        CardRecord,
        Keys,
        Member,
        Members,
        Proposal,
        ProposalStatus,
        Seat,
        Standing,
        hashed_id,
    )
    from ._outbox import Mined, Outbox
    from ._paging import Page
    from ._profiles import Profile, parse_profile
    from ._reader import anchor_reader, read_anchor
    from ._rpcserver import ServedChain, serve
    from ._signing import Account, recover_signer

__all__ = [
    "Account",
    "Action",
    "Anchoring",
    "Anchors",
    "Artifact",
    "Call",
    "CardRecord",
    "Chain",
    "Contract",
    "EndpointReport",
    "Fees",
    "FileCursor",
    "Follower",
    "Head",
    "Intent",
    "Keys",
    "LocalChain",
    "Logged",
    "Member",
    "Members",
    "Mined",
    "MinedTransaction",
    "Outbox",
    "Page",
    "Place",
    "Profile",
    "Proposal",
    "ProposalStatus",
    "RowCursor",
    "Seat",
    "ServedChain",
    "Standing",
    "anchor_reader",
    "connect",
    "hashed_id",
    "load",
    "parse_profile",
    "read_anchor",
    "recover_signer",
    "serve",
]

# name -> the private module that holds it
_PLACES = {
    "Account": "_signing",
    "Action": "_members",
    "Anchoring": "_anchors",
    "Anchors": "_anchors",
    "Artifact": "_artifacts",
    "Call": "_calls",
    "CardRecord": "_members",
    "Chain": "_connect",
    "Contract": "_contract",
    "EndpointReport": "_endpoints",
    "Fees": "_connect",
    "FileCursor": "_following",
    "Follower": "_following",
    "Head": "_anchors",
    "Intent": "_intents",
    "Keys": "_members",
    "LocalChain": "_localchain",
    "Logged": "_contract",
    "Member": "_members",
    "Members": "_members",
    "Mined": "_outbox",
    "MinedTransaction": "_connect",
    "Outbox": "_outbox",
    "Page": "_paging",
    "Place": "_following",
    "Profile": "_profiles",
    "Proposal": "_members",
    "ProposalStatus": "_members",
    "RowCursor": "_following",
    "Seat": "_members",
    "ServedChain": "_rpcserver",
    "Standing": "_members",
    "anchor_reader": "_reader",
    "connect": "_connect",
    "hashed_id": "_members",
    "load": "_artifacts",
    "parse_profile": "_profiles",
    "read_anchor": "_reader",
    "recover_signer": "_signing",
    "serve": "_rpcserver",
}
_EXTRA = frozenset(
    {
        "coincurve",
        "eth",
        "eth_abi",
        "eth_account",
        "eth_hash",
        "eth_keys",
        "eth_utils",
        "requests",
        "rlp",
        "web3",
    }
)


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        found = getattr(importlib.import_module(f"{__name__}.{place}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        from tallystick.errors import MissingExtraError

        raise MissingExtraError(
            f"{name} needs the chain extra, which is not installed ({error.name} is missing)",
            hint="pip install 'tallystick[chain]'",
        ) from error
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
