"""Where faults are tried: one network with parties on it, shared by all faults that it can recover from."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from faults.load import Party, make_parties
from faults.trial import Trial
from faults.watch import Watch
from tallystick.network import Bundle, Network, find_engine, make_bundle

if TYPE_CHECKING:
    from tallystick.chain import Profile

__all__ = ["Ground", "Stage"]

MEMBERS = 4
Progress = Callable[[str], None]
Lay = Callable[[Path, ExitStack], Bundle]


def _plain(place: Path, _stack: ExitStack) -> Bundle:
    return make_bundle(place, MEMBERS, binary=find_engine())


class Stage:
    """A running network of four validators, a watch over its heights, and two parties with their contracts.

    Args:
        network: runs.
        watch: runs.
        parties: with their contracts in place, and not at work.
        top: a directory that goes away with the stage.
        tell: hears one line at every step.
    """

    def __init__(
        self, network: Network, watch: Watch, parties: Sequence[Party], top: Path, tell: Progress
    ) -> None:
        self.network, self.watch, self.parties = network, watch, tuple(parties)
        self.top, self.tell = top, tell

    @contextmanager
    def trial(self, fault: str, profiles: Sequence[Profile] | None = None) -> Iterator[Trial]:
        """Put the parties to work, let a fault be done, and check everything at the end; `trial.row` is the result.

        Args:
            fault: what is done, for the table.
            profiles: how each party reaches the network meanwhile; as its settings say when None.
        """
        trial = Trial(self, fault, profiles)
        try:
            trial.begin()
            yield trial
            trial.end()
        finally:
            trial.load.stop()  # also when the fault was not borne: nobody works on a network that goes away


class Ground:
    """Lays stages out, one at a time, and clears them away however it ends.

    Args:
        tell: hears one line at every step.
    """

    def __init__(self, tell: Progress) -> None:
        self.tell = tell
        self._stack = ExitStack()
        self._stage: Stage | None = None
        self._lay: Lay | None = None

    def __enter__(self) -> Ground:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def stage(self, lay: Lay = _plain) -> Stage:
        """The stage that stands, or a new one when none does, or one of another kind.

        Args:
            lay: lays its network out, and puts on the stack what has to be undone.
        """
        if self._stage is None or self._lay is not lay:
            self.clear()
            try:
                self._stage, self._lay = self._make(lay), lay
            except BaseException:
                self.clear()
                raise
        return self._stage

    def clear(self) -> None:
        """End the stage: the next fault gets a new one."""
        stack, self._stack, self._stage = self._stack, ExitStack(), None
        stack.close()

    def _make(self, lay: Lay) -> Stage:
        self.tell("four validators are laid out and started")
        top = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="tallystick-faults-")))
        network = Network(lay(top / "network", self._stack))
        self._stack.enter_context(network)
        network.up()
        watch = Watch([member.rpc_url for member in network.bundle.members])
        self._stack.enter_context(watch)
        parties = make_parties(top, network.bundle)
        for party in parties:
            self._stack.enter_context(party.node)
        return Stage(network, watch, parties, top, self.tell)
