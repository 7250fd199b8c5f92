"""A network that one pilot runs on: four validators on this machine, whose heights are written down over the run.

The pilot's own code is the same as on the embedded chain; what is done to validators meanwhile is done here, and marked.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import combinations
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tallystick.apps.pilots._outsider import verify_plainly
from tallystick.errors import DefectError, TallystickError
from tallystick.network import Network, funded, make_bundle
from tallystick.node import NetworkGround
from tallystick.report import Lines, Points, Section

__all__ = ["LABEL", "PilotNetwork", "network_section", "verify_by_pairs"]

VALIDATORS: Final = 4
LABEL: Final = "four validators on this machine, one for each member"
FUEL: Final = 10**18  # wei for an account that only states and anchors
_EVERY_S: Final = 0.5
_UP_S: Final = 120.0
_BEYOND: Final = 2  # blocks that everybody must have made before a fault counts as over


class PilotNetwork:
    """Four validators, and who of the pilot's parties runs which.

    Args:
        directory: where the network is laid out; must not be there.
        parties: of the pilot; the first four run a validator each, others share theirs.
        tell: is told how the start goes.

    Raises:
        NotFoundError: the engine is not built; the hint names the command.
        SurroundingsError: a validator did not start.
    """

    def __init__(
        self, directory: Path, parties: Sequence[str], *, tell: Callable[[str], None] = lambda _line: None
    ) -> None:
        self.bundle = make_bundle(directory, VALIDATORS)
        self.network = Network(self.bundle)
        # An endpoint that is left alone is a step of the story, told by the step itself.
        logging.getLogger("tallystick.chain").addHandler(logging.NullHandler())
        self._tell = tell
        self._place = {party: number % VALIDATORS for number, party in enumerate(parties)}
        profiles = {party: self.bundle.profile(place) for party, place in self._place.items()}
        self.ground = NetworkGround(profiles, treasury=self._pay, fuel=FUEL, faulty=self.bundle.faults)
        self.heights: list[tuple[float, tuple[int, ...]]] = []
        self.marks: list[tuple[float, str]] = []
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._look, name="pilot-heights", daemon=True)

    def __enter__(self) -> Self:
        self.network.up(self._tell, timeout_s=_UP_S)
        self._began = time.monotonic()
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._watch.join()
        self.network.down()

    def _pay(self, address: str, wei: int) -> None:
        funded(self.bundle, address, wei)

    def _look(self) -> None:
        while not self._ended.wait(_EVERY_S):
            with suppress(TallystickError):
                self.heights.append((time.monotonic() - self._began, tuple(self.network.heights())))

    def mark(self, text: str) -> None:
        """Write down what is done to the network now."""
        self.marks.append((time.monotonic() - self._began, text))

    @contextmanager
    def killed(self, party: str) -> Iterator[None]:
        """Kill a party's validator (kill -9), and bring it back at the end."""
        place = self._place[party]
        self.mark(f"kill -9 of {party}'s validator")
        self.network.kill(place)
        try:
            yield
        finally:
            self.network.start(place)
            self._caught_up()
            self.mark(f"{party}'s validator is back, and has caught up")

    @contextmanager
    def cut_off(self, party: str) -> Iterator[None]:
        """Let a party's validator hear and say nothing (SIGSTOP), and go on at the end."""
        place = self._place[party]
        self.mark(f"{party} is cut off")
        self.network.pause(place)
        try:
            yield
        finally:
            self.network.resume(place)
            self._caught_up()
            self.mark(f"{party} is back, and has caught up")

    def _caught_up(self) -> None:
        self.network.wait_height(max(self.network.heights()) + _BEYOND, timeout_s=_UP_S)

    def summary(self) -> dict[str, Any]:
        """What the report shows: heights over seconds, and the marks.

        Raises:
            DefectError: the validators do not have one history.
        """
        settled = min(height for height in self.network.heights() if height) - 1
        if not self.network.agree(settled):
            raise DefectError(f"the validators do not agree on block {settled}")
        return {
            "validators": list(self.bundle.names),
            "parties": {party: self.bundle.names[place] for party, place in self._place.items()},
            "faulty": self.bundle.faults,
            "agreed": settled,
            "heights": [[round(at, 2), *found] for at, found in self.heights],
            "marks": [[round(at, 2), text] for at, text in self.marks],
        }


def verify_by_pairs(files: Sequence[Path], policy: Path, urls: Sequence[str]) -> int:
    """Verify against any two endpoints, whichever they are; returns how many pairs were asked.

    Raises:
        DefectError: by the word of two of them, it does not verify.
    """
    pairs = list(combinations(urls, 2))
    for pair in pairs:
        verdict = verify_plainly(files, policy, "--rpc", ",".join(pair))
        if verdict.code != 0:
            raise DefectError(
                f"the pilot's own evidence does not verify against two endpoints: {verdict.error}"
            )
    return len(pairs)


def network_section(found: dict[str, Any]) -> Section:
    """Turn a network's summary into a section of the report."""
    heights = found["heights"]
    seen = [
        [(row[0], float(row[1 + place])) for row in heights if row[1 + place]] for place in range(VALIDATORS)
    ]
    owner = {validator: party for party, validator in reversed(found["parties"].items())}
    series = [
        (owner.get(name, name), points)
        for name, points in zip(found["validators"], seen, strict=True)
        if len(points) > 1
    ]
    most = max((points[-1][1] for _, points in series), default=1.0)
    parts: list[Any] = []
    if series:
        parts.append(
            Lines(
                title=f"Four validators, {most:,.0f} blocks, one history: the same hash at block {found['agreed']:,}",
                measure="height, blocks",
                over="seconds of the run",
                series=series,
                right=(0.0, _round(heights[-1][0])),
                up=(0.0, _round(most)),
                percent=False,
                marks=[(at, text) for at, text in found["marks"]],
                caption="A validator that does not answer has no point there: its line goes straight over the gap.",
            )
        )
    parts.append(
        Points(
            "What that shows, and what not",
            [
                f"The network bears {found['faulty']} validator that is down or lies; with two down it halts and forks nothing.",
                "All of it ran on this machine: one operator could still have made it all up.",
                "A real consortium's members run their validators on machines of their own: docs/consortium.md.",
            ],
        )
    )
    return Section(title="The network under the run", text="", parts=parts)


def _round(value: float) -> float:
    """An axis's end: the next number that its fifths divide evenly."""
    return 20.0 * max(1, math.ceil(value / 20.0))
