"""Driver of the kill -9 test: forks children that record and anchor, and kills each at a random moment.

Run as a program of its own, because it forks: python killed_anchoring.py DIRECTORY ROUNDS SEED. Prints one JSON line.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from tallystick.chain import Anchors, LocalChain, Profile, connect
from tallystick.node import CardFile, ChainSettings, Node, found

PASSPHRASE = "x"


def prepare(top: Path) -> None:
    """Make a workspace with a chain and its contracts."""
    profile = Profile("chain", path=top / "chain")
    LocalChain(top / "chain").close()
    with Node.init(top / "a", name="A", passphrase=PASSPHRASE, scrypt_n=2**4, heads=top / "heads") as node:
        with connect(profile) as chain:
            members, anchors = found(node, chain, [CardFile(node.party.cards)], threshold=1)
        node.set_chain(ChainSettings(profile, members, anchors))


def child(top: Path, pipe: int) -> None:
    """Record and anchor until killed; tell what was acknowledged, after it was."""
    with Node.open(top / "a", passphrase=PASSPHRASE, heads=top / "heads") as node:
        while True:
            entry = node.record("document.recorded", {"title": "x"}, payload=b"text")
            os.write(pipe, f"r {entry.index} {entry.id}\n".encode())
            for claim in node.anchor():
                os.write(pipe, f"a {claim.size} {claim.root.hex()}\n".encode())


def one_round(top: Path, dice: random.Random) -> str:
    """Start a child, kill it at a random moment, and return what it had told."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            child(top, writing)
        finally:
            os._exit(3)  # only reached when the child failed by itself
    os.close(writing)
    time.sleep(dice.uniform(0.005, 0.25))
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    told = b""
    while part := os.read(reading, 65536):
        told += part
    os.close(reading)
    if not os.WIFSIGNALED(status):
        raise SystemExit(f"a child ended by itself with {os.waitstatus_to_exitcode(status)}")
    return told.decode()


def main() -> None:
    top, rounds, dice = Path(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
    prepare(top)
    told = "".join(one_round(top, dice) for _ in range(rounds))
    lines = [line.split() for line in told.splitlines() if line.count(" ") == 2]
    with Node.open(top / "a", passphrase=PASSPHRASE, heads=top / "heads") as node:
        node.journal.verify()
        node.anchor()
        lost = [one for one in lines if one[0] == "r" and node.journal.statement(int(one[1])).id != one[2]]
        roots = {claim.size: claim.root.hex() for claim in node.claims}
        lost += [one for one in lines if one[0] == "a" and roots.get(int(one[1])) != one[2]]
        settings = node.settings.chain
        assert settings is not None
        with connect(settings.profile) as chain:
            anchors = Anchors(chain.web3, settings.anchors)
            way = node.anchoring(chain=chain)
            journal = way._id
            way.close()
            history = [one.size for one in anchors.history(journal)]
            found_size = anchors.heads(journal)
        sys.stdout.write(
            json.dumps(
                {
                    "recorded": sum(one[0] == "r" for one in lines),
                    "anchored": sum(one[0] == "a" for one in lines),
                    "lost": lost,
                    "twice": len(history) - len(set(history)),
                    "head": found_size.size if found_size else 0,
                    "size": node.journal.size,
                }
            )
        )


if __name__ == "__main__":
    main()
