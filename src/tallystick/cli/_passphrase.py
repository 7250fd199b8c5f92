"""Where the passphrase comes from: a file, the environment, or the keyboard; never the command line."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path

from tallystick.errors import KeyFileError

__all__ = ["passphrase"]

PASSPHRASE_LIMIT = 4096  # bytes


def passphrase(*, new: bool = False) -> str:
    """Get the passphrase of the key file.

    Args:
        new: ask twice when it is typed, because nothing can tell a mistake yet.

    Raises:
        KeyFileError: nowhere to get it from, or the two do not match.
    """
    path = os.environ.get("TALLYSTICK_PASSPHRASE_FILE")
    if path:
        try:
            data = Path(path).read_bytes()
            return data[:PASSPHRASE_LIMIT].decode().removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise KeyFileError("the file named by TALLYSTICK_PASSPHRASE_FILE could not be read") from error
    given = os.environ.get("TALLYSTICK_PASSPHRASE")
    if given:
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
