"""Driver of the kill -9 test: forks children in which signers and a watcher serve requests, and kills each at random.

Run as a program of its own, because it forks: python killed_oracle.py DIRECTORY ROUNDS SEED. Prints one JSON line.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.oracle_town import STEP_BLOCKS, STEP_S, Town, small_trees

from tallystick.decisions import Following, Holdings, RequestInHand

SIGNERS = 2
MODEL = small_trees(trees=2, width=4)


def town(top: Path) -> Town:
    return Town(top, MODEL, signers=SIGNERS, need=2)


def rows(dice: random.Random, count: int) -> list[dict[str, str | None]]:
    return [{name: str(dice.randint(-1_200, 1_200)) for name in MODEL.quantiser.names} for _ in range(count)]


class Colluding(Holdings):
    """Answers wrongly where the watcher can overturn it, for every other such request."""

    def output(self, request: RequestInHand, *, also_retired: bool = False) -> int | None:
        right = super().output(request, also_retired=also_retired)
        return None if right is None else right + is_spoiled(request)


def is_spoiled(request: RequestInHand) -> bool:
    return request.terms.level == 2 and request.terms.id[0] % 2 == 0


def followers_of(here: Town) -> list[Following]:
    signers = [here.signer(place) for place in range(SIGNERS)]
    for signer in signers:
        signer._holdings.__class__ = Colluding
    return [*signers, here.watcher()]


def serve(here: Town, rounds: int) -> int:
    """Let everybody look again and again while time passes; how much is unfinished."""
    followers = followers_of(here)
    unfinished = 0
    for _ in range(rounds):
        for _ in range(3):
            unfinished = sum(one.step(wait_s=60) for one in followers)
        if not unfinished:
            break
        # Time passes only after everybody had the chance to do what was due.
        here.pass_time(STEP_S + 1, blocks=STEP_BLOCKS + 1)
    return unfinished


def one_round(top: Path, dice: random.Random) -> None:
    """Start a child that serves, and kill it at a random moment."""
    pid = os.fork()
    if pid == 0:
        try:
            serve(town(top), 1_000)
            time.sleep(60)  # until it is killed
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(3)  # only reached when the child failed by itself
    time.sleep(dice.uniform(0.02, 0.5))
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSIGNALED(status):
        raise SystemExit(f"a child ended by itself with {os.waitstatus_to_exitcode(status)}")


def main() -> None:
    logging.disable(logging.WARNING)
    top, count, dice = Path(sys.argv[1]) / "town", int(sys.argv[2]), random.Random(int(sys.argv[3]))
    right = {}
    for number in range(count):
        if number % 4 == 0:
            here = town(top)
            followers_of(here)  # workspaces are made once and in peace: what is killed is the service
            for level in (1, 2, 2):
                (row,) = rows(dice, 1)
                (request,) = here.ask([row], level=level)
                right[request] = MODEL.scores(row)[0]
            here.close()
        one_round(top, dice)
    here = town(top)
    unfinished = serve(here, 40)
    given = Counter(
        (place, entry.statement.body["request"])
        for place in range(SIGNERS)
        for entry in here.node(f"signer{place}").journal.entries()
    )
    answered = Counter(one.values["request"].hex() for one in here.oracle.logged("Answered"))
    committed = Counter(
        (one.values["request"].hex(), one.values["signer"]) for one in here.oracle.logged("Committed")
    )
    overturned = Counter(one.values["request"].hex() for one in here.oracle.logged("Overturned"))
    challenged = [
        entry.statement.body["request"]
        for entry in here.node("watcher").journal.entries()
        if entry.statement.kind == "answer.challenged"
    ]
    for name in ("watcher", *(f"signer{place}" for place in range(SIGNERS))):
        here.node(name).journal.verify()
    told = {
        "asked": len(right),
        "unfinished": unfinished,
        "given": sorted(set(given.values())),
        "statements": len(given),
        "answered": sorted(set(answered.values())),
        "committed": sorted(set(committed.values())),
        "commitments": len(committed),
        "right": sum(here.state(one).is_final and here.state(one).output == right[one] for one in right),
        "spoiled": sum(here.state(one).level == 2 and int(one[:2], 16) % 2 == 0 for one in right),
        "challenged": len(challenged),
        "challenged_once": len(challenged) == len(set(challenged)),
        "overturned": sorted(set(overturned.values())),
        "overturns": len(overturned),
    }
    here.close()
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
