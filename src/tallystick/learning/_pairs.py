"""Masks between every two sites of a run: what the one adds, the other subtracts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tallystick.errors import DataError


class PairMasks:
    """One site's side of the masks; the info of every mask binds run, round and the pair.

    Args:
        name: unique among the sites of a run.
        randomness: where the key comes from.
    """

    def __init__(self, name: str, randomness: Callable[[int], bytes]) -> None:
        self._name = name
        self._key = X25519PrivateKey.from_private_bytes(randomness(32))
        self._secrets: dict[str, bytes] = {}
        self._run = b""
        self._answered: set[int] = set()

    @property
    def public_key(self) -> bytes:
        """The X25519 key that peers agree masks with."""
        return self._key.public_key().public_bytes_raw()

    def meet(self, peers: Mapping[str, bytes], *, run: bytes) -> None:
        """Agree on a secret with every other site of the run; see `Site.meet`."""
        if self._run:
            raise DataError("a site takes part in one run only", hint="make a new one from the same rows")
        self._run = run
        self._secrets = {}
        for name, key in peers.items():
            if name == self._name:
                continue
            try:
                self._secrets[name] = self._key.exchange(X25519PublicKey.from_public_bytes(key))
            except ValueError as error:
                raise DataError(f"the mask key of {name} cannot be used") from error

    def streams(self, number: int) -> list[tuple[bytes, int]]:
        """Return a secret for each peer and +1 or -1, once per round.

        Raises:
            DataError: the round was answered before.
        """
        if self._secrets and number in self._answered:
            raise DataError(f"a site answers round {number} once: a mask must never be used twice")
        self._answered.add(number)
        streams = []
        for peer, secret in sorted(self._secrets.items()):
            first, second = sorted((self._name, peer))
            info = b"\0".join((self._run, str(number).encode(), first.encode(), second.encode()))
            mask = HKDF(SHA256(), 32, salt=b"tallystick/pair/v1", info=info).derive(secret)
            streams.append((mask, 1 if self._name == first else -1))
        return streams
