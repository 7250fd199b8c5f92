"""Opening the workspace that a command works on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tallystick.node import Node
    from tallystick.proof import Kinds

__all__ = ["open_node"]


def known_kinds() -> Kinds:
    """The standard kinds and those of the installed applications."""
    from tallystick.apps import installed_apps
    from tallystick.proof import STANDARD_KINDS

    return STANDARD_KINDS.extended(kind for app in installed_apps() for kind in app.kinds)


def open_node(workspace: Path, *, read_only: bool = False) -> Node:
    """Open a workspace with the passphrase from its usual places."""
    from tallystick.cli._passphrase import passphrase
    from tallystick.node import Node, Settings

    Settings.read(workspace)  # before anybody is asked for a passphrase
    return Node.open(workspace, passphrase=passphrase(), read_only=read_only, kinds=known_kinds())
