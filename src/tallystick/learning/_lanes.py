"""A masked sum over named lanes: several sites learn their total counts, and nobody a single site's."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from tallystick.errors import DataError, EncodingError
from tallystick.learning._pairs import PairMasks
from tallystick.learning._vectors import aggregate, format_vector, masked, parse_vector


class LaneSite:
    """One site's counts, behind a wall that only masked vectors pass.

    A site that stops halfway stops the round: without its vector the masks of the others do not cancel.

    Args:
        name: unique among the sites of a run.
        randomness: where the key for the masks comes from.

    Raises:
        DataError: no name.
    """

    def __init__(self, name: str, *, randomness: Callable[[int], bytes] = os.urandom) -> None:
        if not name:
            raise DataError("a site must have a name")
        self.name = name
        self._pairs = PairMasks(name, randomness)

    @property
    def public_key(self) -> bytes:
        """The X25519 key that peers agree masks with."""
        return self._pairs.public_key

    def meet(self, peers: Mapping[str, bytes], *, run: bytes) -> None:
        """Agree on a secret with every other site of the run.

        Args:
            peers: public keys by name; one's own may be among them.
            run: what identifies the run to all sites; bind to it what the lanes mean.

        Raises:
            DataError: a key that gives no secret, or this site has met peers before.
        """
        self._pairs.meet(peers, run=run)

    def vector(self, number: int, lanes: Sequence[str], values: Mapping[str, int]) -> bytes:
        """Return this site's masked values.

        Args:
            number: of the round; each is answered once.
            lanes: names, the same list in the same order for all sites.
            values: lane -> whole number; 0 where missing.

        Raises:
            DataError: an unknown lane, a lane twice, too many of them, or a number beyond 64 bits.
        """
        names = set(lanes)
        if len(names) != len(lanes) or not names.issuperset(values):
            raise DataError("lanes must have different names, and every value a lane")
        plain = format_vector([values.get(name, 0) for name in lanes], lane=8)
        return masked(plain, self._pairs.streams(number))


def sum_lanes(lanes: Sequence[str], updates: Sequence[bytes]) -> dict[str, int]:
    """Add the masked vectors of all sites; needs no key, so anyone computes it again.

    Raises:
        EncodingError: damaged vectors, or of another number of lanes.
    """
    sums, _ = parse_vector(aggregate(updates))
    if len(sums) != len(lanes):
        raise EncodingError(f"vectors of this round must have {len(lanes)} lanes, got {len(sums)}")
    return dict(zip(lanes, sums, strict=True))
