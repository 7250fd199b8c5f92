"""Which payees are held now, read from the chain without writing: for who asks before every payment.

    reader = HeldTokens(lambda: connect(profile), address)
    reader.look()          # {token: until}

What changed is found in the contract's logs; what is open is then asked of the contract itself, so a log alone never
holds a payee, and a review that ended a hold by its time is seen too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from tallystick.chain import Follower

from ._holds import Holds

if TYPE_CHECKING:
    from tallystick.chain import Chain, Place

__all__ = ["HeldTokens"]

AGAIN: Final = 30  # looks after which every open hold is asked again, whether or not a log names it
MOST: Final = 100_000  # tokens that are remembered


class _Remembered:
    """A cursor that ends with the process: what is held is read anew at the next start."""

    def __init__(self) -> None:
        self.place: Place | None = None

    def load(self) -> Place | None:
        return self.place

    def save(self, place: Place) -> None:
        self.place = place


class HeldTokens:
    """Reads the open holds.

    Args:
        opened: opens the chain; asked at the first look, and again after one that failed.
        address: of the contract ``Holds``.
        start: first block whose logs are read, for instance that of the contract.
        shared: the chain is another's, and is not closed here.
    """

    def __init__(
        self, opened: Callable[[], Chain], address: str, *, start: int = 0, shared: bool = False
    ) -> None:
        self._opened, self._address, self._start, self._shared = opened, address, start, shared
        self._cursor = _Remembered()
        self._chain: Chain | None = None
        self._open: dict[bytes, int] = {}
        self._changed: set[bytes] = set()
        self._looks = 0

    def look(self) -> Mapping[bytes, int]:
        """Return the payees that are held now: token -> end of the hold, microseconds.

        Raises:
            ChainError, ChainUnreachableError: the chain did not answer; the next look begins where this one ended.
        """
        try:
            return self._look()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the chain; the next look opens it again."""
        chain, self._chain = self._chain, None
        if chain is not None and not self._shared:
            chain.close()

    def _look(self) -> Mapping[bytes, int]:
        if self._chain is None:
            self._chain = self._opened()
        chain = self._chain
        follower = Follower(chain, self._cursor, address=self._address, start=self._start)
        for page in follower.pages():
            # Whatever an event says first: a digest that is no token is held by nobody, and is forgotten at once.
            self._changed.update(
                bytes.fromhex(_hex(log["topics"][1])) for log in page.logs if len(log["topics"]) > 1
            )
            follower.keep(page)
        self._looks += 1
        if self._looks % AGAIN == 0:
            self._changed.update(self._open)
        if self._changed:
            contract = Holds(chain.web3, self._address)
            for token in sorted(self._changed)[:MOST]:
                held = contract.held(token)
                if held is None:
                    self._open.pop(token, None)
                else:
                    self._open[token] = held.until
                self._changed.discard(token)
        return dict(self._open)


def _hex(topic: object) -> str:
    text = topic.hex() if isinstance(topic, bytes) else str(topic)
    return text.removeprefix("0x")
