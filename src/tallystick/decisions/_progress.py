"""How far an oracle node or a watcher has followed the chain, remembered across crashes.

Only one number is remembered: the first block that may still hold something unfinished. All else is read again from
the chain, the journal and the outbox, so a crash between any two steps repeats looks, never deeds.

    {"block":<n>,"contract":"0x..","chain":<id>,"type":"tallystick/followed","v":1}
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tallystick.errors import ChainMismatchError, DamagedError, EncodingError, NotFoundError
from tallystick.proof import Files, OsFiles, format_json, parse_json, read_whole, write_atomically

__all__ = ["Followed"]

FORMAT: Final = "tallystick/followed"
MAX_BYTES: Final = 1_024


class Followed:
    """The number, in one small file that is replaced as a whole.

    Args:
        path: the file; made when there is something to remember.
        chain: the chain's id.
        contract: the contract that is followed.
        start: the block to begin with where nothing is remembered, for example that of the contract's making.
        files: file operations.

    Raises:
        ChainMismatchError: the file is about another chain or contract.
        DamagedError: the file is not what was written.
    """

    def __init__(
        self, path: Path, *, chain: int, contract: str, start: int = 0, files: Files | None = None
    ) -> None:
        self._path, self._files, self._start = path, files or OsFiles(), start
        self._said = {"chain": chain, "contract": contract, "type": FORMAT, "v": 1}
        self.block = self._read()

    def remember(self, block: int) -> None:
        """Remember a block, durably; it never goes back."""
        if block > self.block:
            write_atomically(self._files, self._path, format_json({**self._said, "block": block}))
            self.block = block

    def _read(self) -> int:
        try:
            said = parse_json(read_whole(self._files, self._path, limit=MAX_BYTES))
        except NotFoundError:
            return self._start
        except EncodingError as error:
            raise DamagedError(
                f"{self._path.name} is damaged",
                hint="delete it: the chain is followed from its beginning then",
            ) from error
        block = said.pop("block", None) if type(said) is dict else None
        if type(block) is not int or block < 0 or set(said) != set(self._said):
            raise DamagedError(
                f"{self._path.name} is damaged",
                hint="delete it: the chain is followed from its beginning then",
            )
        if said != self._said:
            raise ChainMismatchError(f"{self._path.name} is about another chain or contract")
        return block
