"""What tests of Tallystick, and of what others build on it, share: behaviour suites that raise AssertionError.

Names load when they are first asked for, since some need an extra.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._chains import CHAIN_CHECKS, anvil, check_chain, find_anvil, fund_on_anvil
    from ._consortium import Consortium
    from ._files import FaultyFiles, ForgetfulFiles, PowerLossError
    from ._models import MODEL_CHECKS, check_model

__all__ = [
    "CHAIN_CHECKS",
    "MODEL_CHECKS",
    "Consortium",
    "FaultyFiles",
    "ForgetfulFiles",
    "PowerLossError",
    "anvil",
    "check_chain",
    "check_model",
    "find_anvil",
    "fund_on_anvil",
]

# name -> the private module that holds it
_PLACES = {
    "CHAIN_CHECKS": "_chains",
    "Consortium": "_consortium",
    "FaultyFiles": "_files",
    "ForgetfulFiles": "_files",
    "MODEL_CHECKS": "_models",
    "PowerLossError": "_files",
    "anvil": "_chains",
    "check_chain": "_chains",
    "check_model": "_models",
    "find_anvil": "_chains",
    "fund_on_anvil": "_chains",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
