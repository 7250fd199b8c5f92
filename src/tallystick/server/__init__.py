"""The HTTP interface of a node: its journal and witness, and the fraud service. It translates, it never decides.

The door opens on the base install: names load when they are first asked for, and a name whose part is not installed
raises ``MissingExtraError`` with the line to type.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._app import create_app
    from ._beside import Beside
    from ._control import add_control
    from ._journal_app import create_journal_app
    from ._journal_service import JournalService, JournalStanding
    from ._keys import ROLES, ApiKey, Keys, KeysFile
    from ._payees import add_payees
    from ._running import Served, serve
    from ._service import FraudService, Standing
    from ._settings import ServerSettings
    from ._shadow_app import ShadowService, create_shadow_app
    from ._sharing_app import create_sharing_app

__all__ = [
    "ROLES",
    "ApiKey",
    "Beside",
    "FraudService",
    "JournalService",
    "JournalStanding",
    "Keys",
    "KeysFile",
    "Served",
    "ServerSettings",
    "ShadowService",
    "Standing",
    "add_control",
    "add_payees",
    "create_app",
    "create_journal_app",
    "create_shadow_app",
    "create_sharing_app",
    "serve",
]

# name -> the private module that holds it
_PLACES = {
    "ROLES": "_keys",
    "ApiKey": "_keys",
    "Beside": "_beside",
    "FraudService": "_service",
    "JournalService": "_journal_service",
    "JournalStanding": "_journal_service",
    "Keys": "_keys",
    "KeysFile": "_keys",
    "Served": "_running",
    "ServerSettings": "_settings",
    "ShadowService": "_shadow_app",
    "Standing": "_service",
    "add_control": "_control",
    "add_payees": "_payees",
    "create_app": "_app",
    "create_journal_app": "_journal_app",
    "create_shadow_app": "_shadow_app",
    "create_sharing_app": "_sharing_app",
    "serve": "_running",
}
_EXTRA = frozenset({"fastapi", "prometheus_client", "pydantic", "starlette", "uvicorn"})


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
            f"{name} needs the serve extra, which is not installed ({error.name} is missing)",
            hint="pip install 'tallystick[serve]'",
        ) from error
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
