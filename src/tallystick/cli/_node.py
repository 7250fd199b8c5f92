"""Opening the workspace that a command works on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tallystick.node import Node
    from tallystick.proof import Kinds, Receipt

__all__ = ["kinds_for", "known_kinds", "open_node"]


def known_kinds() -> Kinds:
    """The standard kinds and those of the installed applications."""
    from tallystick.apps import installed_apps
    from tallystick.proof import STANDARD_KINDS

    return STANDARD_KINDS.extended(kind for app in installed_apps() for kind in app.kinds)


def kinds_for(receipts: Iterable[Receipt]) -> Kinds:
    """The kinds that these receipts need: applications are looked for only when a standard kind does not do."""
    from tallystick.proof import STANDARD_KINDS

    standard = all(receipt.statement.kind in STANDARD_KINDS for receipt in receipts)
    return STANDARD_KINDS if standard else known_kinds()


def open_node(workspace: Path, *, read_only: bool = False) -> Node:
    """Open a workspace with the passphrase from its usual places."""
    from tallystick.cli._passphrase import passphrase
    from tallystick.node import Node, Settings

    Settings.read(workspace)  # before anybody is asked for a passphrase
    return Node.open(workspace, passphrase=passphrase(), read_only=read_only, kinds=known_kinds())
