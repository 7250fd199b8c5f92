"""The command line. It translates what is typed into calls of the other rooms; it holds no rule of the domain.

Exit codes: 0 done, 1 failed, 2 wrong use. `verify`: 0 proved under the policy, 1 false, 2 wrong use, 3 intact,
but no policy, so nobody whom the caller named vouches for it.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; the entry point of the `tallystick` program."""
    # Imported here: `import tallystick.cli` must stay as cheap as every other door.
    import gc

    # A short run makes little garbage: looking for it a hundred times while importing costs a fifth of the start.
    gc.set_threshold(100_000, 50, 50)
    from tallystick.cli._app import run

    sys.exit(run())
