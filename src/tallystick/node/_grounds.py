"""Where a consortium's chain stands: embedded in one file for all, or a network that its members run.

What members do is the same on both; only who vouches for the chain differs, and every policy says which it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tallystick.errors import ConfigurationError
from tallystick.proof import Clock, Endpoint, system_clock

if TYPE_CHECKING:
    from tallystick.chain import Chain, Profile

__all__ = ["EmbeddedGround", "Ground", "NetworkGround"]


class Ground(Protocol):
    """What a consortium needs of the place where its chain stands.

    Attributes:
        local: one operator runs the chain.
        endpoints: where a verifier may ask, of different members.
        need: how many of them must say the same.
    """

    @property
    def local(self) -> bool: ...
    @property
    def endpoints(self) -> tuple[Endpoint, ...]: ...
    @property
    def need(self) -> int: ...

    def profile(self, member: str) -> Profile:
        """By what rules a member reaches the chain."""

    def open(self, member: str) -> Chain:
        """Reach the chain by a member's own way; whoever asks closes it."""

    def fund(self, chain: Chain, address: str, wei: int | None) -> None:
        """Give an account coins to spend."""

    @contextmanager
    def offered(self, chain: Chain) -> Iterator[str]:
        """A url at which others can ask the chain meanwhile."""


class EmbeddedGround:
    """One file that all members of one process share: one operator's chain, for tests and pilots.

    Args:
        path: of the file; made when it is not there.
        clock: microseconds since the epoch.
    """

    local = True
    endpoints: tuple[Endpoint, ...] = ()
    need = 1

    def __init__(self, path: Path, *, clock: Clock = system_clock) -> None:
        from tallystick.chain import LocalChain, Profile

        LocalChain(path, clock=clock).close()
        self._profile, self._clock = Profile("chain", path=path), clock
        self._chain: Chain | None = None

    def profile(self, member: str) -> Profile:
        """The same for all."""
        return self._profile

    def open(self, member: str) -> Chain:
        """The one open chain, for only one may write its file."""
        from tallystick.chain import connect

        if self._chain is None:
            self._chain = connect(self._profile, clock=self._clock)
        return self._chain

    def fund(self, chain: Chain, address: str, wei: int | None) -> None:
        """Pay out of the chain's own treasury."""
        chain.fund(address, wei)

    @contextmanager
    def offered(self, chain: Chain) -> Iterator[str]:
        """Serve the open chain on this machine."""
        from tallystick.chain import LocalChain, serve

        assert isinstance(chain.provider, LocalChain)
        with serve(chain.provider, port=0) as served:
            yield served.url


class NetworkGround:
    """A network of validators; every member reaches it by an endpoint of its own first.

    Args:
        profiles: member -> how it reaches the network.
        treasury: pays an account out of the network's coins; address and wei.
        fuel: wei that an account gets when nobody says how much.
        faulty: how many members may lie.

    Raises:
        ConfigurationError: a member without a url, or fewer members than that many liars allow.
    """

    local = False

    def __init__(
        self,
        profiles: Mapping[str, Profile],
        *,
        treasury: Callable[[str, int], object],
        fuel: int = 10**18,
        faulty: int = 1,
    ) -> None:
        if len(profiles) <= 2 * faulty or not all(profile.urls for profile in profiles.values()):
            raise ConfigurationError(
                f"expected urls of more than {2 * faulty} members, got {len(profiles)} members",
                hint="with f liars, f + 1 endpoints of different members must agree",
            )
        self._profiles, self._treasury, self._fuel = dict(profiles), treasury, fuel
        # Members may share a node: it has one voice.
        owners = {profile.urls[0]: name for name, profile in reversed(list(profiles.items()))}
        self.endpoints = tuple(Endpoint(name, url) for url, name in reversed(list(owners.items())))
        self.need = faulty + 1

    def profile(self, member: str) -> Profile:
        """The member's own."""
        return self._profiles[member]

    def open(self, member: str) -> Chain:
        """A connection of the member's own."""
        from tallystick.chain import connect

        return connect(self._profiles[member])

    def fund(self, chain: Chain, address: str, wei: int | None) -> None:
        """Pay out of the network's treasury."""
        self._treasury(address, self._fuel if wei is None else wei)

    @contextmanager
    def offered(self, chain: Chain) -> Iterator[str]:
        """The network is there for all."""
        yield self.endpoints[0].url
