"""Talk to an EVM: the embedded LocalChain, JSON-RPC networks, the outbox, anchoring and their contracts.

The door itself needs neither web3 nor an EVM: names load when they are first asked for, and a name whose part is
not installed raises ``MissingExtraError`` with the line to type.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._localchain import LocalChain

__all__ = ["LocalChain"]

# name -> the private module that holds it
_PLACES = {
    "LocalChain": "_localchain",
}
_EXTRA = frozenset(
    {"coincurve", "eth", "eth_abi", "eth_account", "eth_hash", "eth_keys", "eth_utils", "rlp", "web3"}
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
