"""The passphrase of a key file, where nobody is there to type it."""

from __future__ import annotations

import os
from pathlib import Path

from tallystick.errors import KeyFileError

__all__ = ["passphrase_given"]

PASSPHRASE_LIMIT = 4096  # bytes


def passphrase_given() -> str | None:
    """Read the passphrase from the file named by TALLYSTICK_PASSPHRASE_FILE, else from TALLYSTICK_PASSPHRASE.

    Returns:
        None when neither is set.

    Raises:
        KeyFileError: the file cannot be read.
    """
    path = os.environ.get("TALLYSTICK_PASSPHRASE_FILE")
    if not path:
        return os.environ.get("TALLYSTICK_PASSPHRASE") or None
    try:
        with Path(path).open("rb") as file:
            return file.read(PASSPHRASE_LIMIT).decode().removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError("the file named by TALLYSTICK_PASSPHRASE_FILE could not be read") from error
