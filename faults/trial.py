"""One fault from the harm to the recovery, with parties at work all the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from faults.checking import Verdict, check
from faults.load import Load
from faults.rows import FaultRow
from faults.watch import ask, longest_gap
from tallystick.errors import DeadlineError

if TYPE_CHECKING:
    from faults.stage import Stage
    from tallystick.chain import Profile

__all__ = ["Trial"]

LOOK_S = 0.1
WAIT_S = 90.0
ON_ITS_WAY = 2  # blocks that may still come when the harm is done


class Trial:
    """Measures one fault on a stage; `with stage.trial("…") as trial:`, then `trial.row`.

    Args:
        stage: the network, its watch and its parties.
        fault: what is done, for the table.
        profiles: how each party reaches the network meanwhile; as its settings say when None.
    """

    def __init__(self, stage: Stage, fault: str, profiles: Sequence[Profile] | None = None) -> None:
        self.fault, self._stage = fault, stage
        self.load = Load(stage.parties, profiles)
        self._since = min(len(party.acknowledged) for party in stage.parties)
        self._broken = self._mended = self._recovered = 0.0
        self._top = 0
        self._resumed: float | None = None
        self._wrong: list[str] = []
        self._verdict = Verdict()

    # -- what a fault's function calls, in this order ----------------------------------------------------------

    def broken(self) -> None:
        """The harm is done now."""
        self._broken, self._top = time.monotonic(), self._stage.watch.top
        self.tell("the harm is done")

    def resumes(self, timeout_s: float = WAIT_S) -> None:
        """Wait until every party has settled a statement that was made after the harm: the network goes on."""
        self.wait(
            lambda: self.load.settled_after(self._broken), "no statement settled after the harm", timeout_s
        )
        self._resumed = time.monotonic() - self._broken

    def stands(self, seconds: float, *, settle_s: float = 3.0) -> None:
        """Hold that no block comes for so long, and no statement is settled: none can be agreed on.

        Args:
            seconds: for how long.
            settle_s: before that, for what was on its way when the harm was done.
        """
        time.sleep(settle_s)
        height, claims, said = self._stage.watch.top, self._claims(), self._said()
        time.sleep(seconds)
        if self._stage.watch.top != height:
            self._wrong.append(f"{self._stage.watch.top - height} blocks came with too few validators")
        if self._claims() != claims:
            self._wrong.append("a statement was settled with too few validators")
        if self._said() == said:
            self._wrong.append("nothing was stated meanwhile, so nothing could have been lost")

    def blocks(self, count: int, timeout_s: float = WAIT_S) -> None:
        """Wait for so many new blocks: with as many as there are members, each one's turn to propose has come."""
        goal = self._stage.watch.top + count
        self.wait(lambda: self._stage.watch.top >= goal, f"{count} blocks did not come", timeout_s)

    def back(self, which: int, timeout_s: float = WAIT_S) -> None:
        """Wait until a validator that was just started tells of a block that nobody had before."""
        goal = self._stage.watch.top + 1  # what it told last may be from before its end
        self.wait(
            lambda: self._stage.watch.heights[which] >= goal, f"validator {which} did not catch up", timeout_s
        )

    def hurt(self, which: int) -> None:
        """Hold that a validator has not gone on since the harm: else nothing was tried."""
        gone_on = self._stage.watch.heights[which] - self._top
        if gone_on > ON_ITS_WAY:
            self._wrong.append(f"validator {which} had {gone_on} blocks more in spite of the harm")

    def wrong(self, what: str) -> None:
        """Tell of something that must not be: the row does not hold."""
        self._wrong.append(what)

    def tell(self, what: str) -> None:
        """Say something beside the table."""
        self._stage.tell(f"  {self.fault}: {what}")

    def mended(self) -> None:
        """The harm is taken away now."""
        self._mended = time.monotonic()
        self.tell("the harm is mended")

    def recovers(self, timeout_s: float = WAIT_S) -> None:
        """Wait until all validators stand at one new block with one hash, and all parties settle new statements."""
        if not self._mended:
            self.mended()
        goal = self._stage.watch.top + 1
        self.wait(
            lambda: self._whole(goal) and self.load.settled_after(self._mended),
            "the network was not whole again",
            timeout_s,
        )
        self._recovered = time.monotonic()

    def wait(self, reached: Callable[[], bool], what: str, timeout_s: float = WAIT_S) -> float:
        """Wait until something is so; the seconds that it took.

        Raises:
            DeadlineError: it is not, in that time.
        """
        began = time.monotonic()
        while not reached():
            ended = next((party.wrong for party in self.load.parties if party.wrong), "")
            if ended or time.monotonic() - began > timeout_s:
                heights = self._stage.watch.heights
                raise DeadlineError(f"{what} in {timeout_s:.0f} s: heights {heights}{ended and '; ' + ended}")
            time.sleep(LOOK_S)
        return time.monotonic() - began

    # -- what the stage calls ---------------------------------------------------------------------------------

    def begin(self) -> None:
        """Let the parties go to work, and wait until they settle: a fault before that would harm nobody."""
        self.load.start()
        now = time.monotonic()
        self.wait(lambda: self.load.settled_after(now), "the parties settled nothing before the harm")

    def end(self) -> None:
        """Let the parties finish, and check everything."""
        self.load.finish()
        self._verdict = check(self._stage.network.bundle.members, self.load.parties, since=self._since)
        for what in self._wrong:
            self._verdict.tell(what)

    @property
    def row(self) -> FaultRow:
        """What was measured."""
        found, watch = self._verdict, self._stage.watch
        until = self._recovered or time.monotonic()
        return FaultRow(
            fault=self.fault,
            held_s=self._mended - self._broken,
            no_block_s=longest_gap(watch.blocks, self._broken, until),
            unsettled_s=max(
                longest_gap([moment for moment, _ in party.settled], self._broken, until)
                for party in self.load.parties
            ),
            resumed_s=self._resumed,
            recovery_s=until - self._mended,
            said=found.said,
            anchors=found.anchors,
            lost=found.lost,
            duplicated=found.duplicated,
            wrong=found.wrong,
        )

    def _claims(self) -> int:
        return sum(len(party.promised) for party in self.load.parties)

    def _said(self) -> int:
        return sum(len(party.acknowledged) for party in self.load.parties)

    def _whole(self, goal: int) -> bool:
        if min(self._stage.watch.heights) < goal:
            return False
        try:
            hashes = {
                ask(member.rpc_url, "eth_getBlockByNumber", hex(goal), False)["hash"]
                for member in self._stage.network.bundle.members
            }
        except (OSError, ValueError, TypeError, KeyError):
            return False
        return len(hashes) == 1
