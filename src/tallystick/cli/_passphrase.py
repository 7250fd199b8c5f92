"""The passphrase for a command: from a file, the environment or the keyboard; never from the command line."""

from __future__ import annotations

import getpass
import sys

from tallystick.errors import KeyFileError
from tallystick.node import passphrase_given

__all__ = ["passphrase"]


def passphrase(*, new: bool = False) -> str:
    """Get the passphrase of the key file.

    Args:
        new: ask twice when it is typed, because nothing can tell a mistake yet.

    Raises:
        KeyFileError: nowhere to get it from, or the two do not match.
    """
    given = passphrase_given()
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise KeyFileError(
            "a passphrase is needed and there is no terminal to ask",
            hint="set TALLYSTICK_PASSPHRASE, or TALLYSTICK_PASSPHRASE_FILE to a file that holds it",
        )
    typed = getpass.getpass("passphrase of the key file: ")
    if new and typed != getpass.getpass("the same once more: "):
        raise KeyFileError("the two passphrases differ", hint="try again")
    return typed
