"""Holding: payees that members ask each other not to pay, on a chain, each hold with what stands behind it.

with open_holding(node, address) as holding:
    holding.request(token, epoch=1, until=until, links={"decision": [decision]})
    holding.contract.held(token)

Needs the chain extra.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._stating import StatedProof, prove_statement

if TYPE_CHECKING:
    from ._dealing import Holding, open_holding, request_hold
    from ._desk import HoldDesk
    from ._holds import EpochRecord, Held, HoldRecord, Holds, HoldState, ListRecord, MemberRecord
    from ._reading import HeldTokens

__all__ = [
    "EpochRecord",
    "Held",
    "HeldTokens",
    "HoldDesk",
    "HoldRecord",
    "HoldState",
    "Holding",
    "Holds",
    "ListRecord",
    "MemberRecord",
    "StatedProof",
    "open_holding",
    "prove_statement",
    "request_hold",
]

# name -> the private module that holds it; these need the chain extra
_PLACES = {
    "EpochRecord": "_holds",
    "Held": "_holds",
    "HeldTokens": "_reading",
    "HoldDesk": "_desk",
    "HoldRecord": "_holds",
    "HoldState": "_holds",
    "Holding": "_dealing",
    "Holds": "_holds",
    "ListRecord": "_holds",
    "MemberRecord": "_holds",
    "open_holding": "_dealing",
    "request_hold": "_dealing",
}


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{place}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
