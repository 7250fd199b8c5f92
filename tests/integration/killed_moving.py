"""Driver of the kill -9 test: children move a workspace to and fro between two chains, each killed at a random moment.

Run as a program of its own, because it forks: python killed_moving.py DIRECTORY ROUNDS SEED. Prints one JSON line.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from itertools import pairwise
from pathlib import Path

from tallystick.chain import Account, Anchors, LocalChain, Profile, connect
from tallystick.node import CardFile, ChainSettings, Node, Workspace, found, migrate, moving_to
from tallystick.proof import journal_id

PASSPHRASE = "x"


def prepare(top: Path) -> list[ChainSettings]:
    """Make a workspace, and its contracts on two chains."""
    places = []
    with Node.init(top / "a", name="A", passphrase=PASSPHRASE, scrypt_n=2**4, heads=top / "heads") as node:
        for number in (1, 2):
            profile = Profile("chain", path=top / f"{number}.chain")
            LocalChain(top / f"{number}.chain", chain_id=number).close()
            with connect(profile) as chain:
                own, outbox = [CardFile(node.party.cards)], Workspace(top / f"outbox-{number}")
                outbox.path.mkdir()
                addresses = found(node, chain, own, threshold=1, workspace=outbox)
                places.append(ChainSettings(profile, *addresses))
        node.set_chain(places[0])
        node.record("document.recorded", {"title": "x"})
    return places


def other(node: Node, places: list[ChainSettings]) -> ChainSettings:
    """Where to go next: where an unfinished move goes, else to the other chain."""
    assert node.settings.chain is not None
    path, begun = node.settings.chain.profile.path, moving_to(node)
    assert path is not None
    if begun is not None:
        assert begun.profile.path is not None
        return places[int(begun.profile.path.name[0]) - 1]
    return places[2 - int(path.name[0])]


def move(top: Path, places: list[ChainSettings], *, until_killed: bool) -> None:
    """Finish what was begun, then move to and fro."""
    with Node.open(top / "a", passphrase=PASSPHRASE, heads=top / "heads") as node:
        while True:
            migrate(node, other(node, places))
            if not until_killed:
                return
            node.record("document.recorded", {"title": "x"})


def one_round(top: Path, places: list[ChainSettings], seconds: float) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            move(top, places, until_killed=True)
        finally:
            os._exit(3)  # only reached when the child failed by itself
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSIGNALED(status):
        raise SystemExit(f"a child ended by itself with {os.waitstatus_to_exitcode(status)}")


def told(top: Path, places: list[ChainSettings]) -> dict[str, object]:
    """What stands in the journal and on both chains in the end."""
    with Node.open(top / "a", passphrase=PASSPHRASE, heads=top / "heads") as node:
        node.journal.verify()
        moves = [entry.statement.body for entry in node.log(kind="chain.moved")]
        account = Account(node.party.secret("chain")).address
        seen: dict[str, object] = {
            "moves": len(moves),
            "size": node.journal.size,
            "settled": moving_to(node) is None,
        }
        seen["alternate"] = all(
            one["chain"]["chain_id"] == two["was"]["chain_id"] for one, two in pairwise(moves)
        )
        wrong = list[str]()
        for settings in places:
            with connect(settings.profile) as chain:
                history = list(Anchors(chain.web3, settings.anchors).history(journal_id(node.origin)))
                wrong += [f"twice {one.size}" for one, two in pairwise(history) if one.size == two.size]
                wrong += [f"root {one.size}" for one in history if node.journal.root(one.size) != one.root]
                if (
                    chain.nonce(account) != len(history) + 2
                ):  # two contracts; nothing refused, nothing sent twice
                    wrong.append(f"{chain.nonce(account)} transactions for {len(history)} anchors")
                sizes = {claim.size for claim in node.claims if claim.genesis == chain.genesis}
                wrong += [f"moved without an anchor at {body['size']}" for body in moves
                          if body["chain"]["genesis"] == chain.genesis and body["size"] not in sizes]  # fmt: skip
        seen["wrong"] = wrong
        return seen


def main() -> None:
    top, rounds, dice = Path(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
    places = prepare(top)
    began = time.monotonic()
    move(top, places, until_killed=False)
    span = time.monotonic() - began
    for _ in range(rounds):
        one_round(top, places, dice.uniform(0, 2 * span))
    move(top, places, until_killed=False)
    sys.stdout.write(json.dumps(told(top, places)))


if __name__ == "__main__":
    main()
