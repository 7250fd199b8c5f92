"""Driver of the kill -9 test: forks children that record and anchor, and kills each at a random moment.

Run as a program of its own, because it forks: python killed_anchoring.py DIRECTORY ROUNDS SEED [BUNDLE]. Prints one
JSON line. With the bundle of a network that runs, the node anchors there instead of on a chain of its own.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from tallystick.chain import Account, Anchors, LocalChain, Profile, connect
from tallystick.network import Bundle, funded, open_bundle
from tallystick.node import CardFile, ChainSettings, Node, found

PASSPHRASE = "x"


def prepare(top: Path, bundle: Bundle | None) -> Profile:
    """Make a workspace with its contracts, on a network or on a chain of its own."""
    if bundle is None:
        profile = Profile("chain", path=top / "chain")
        LocalChain(top / "chain").close()
    else:
        profile = bundle.profile()
    with Node.init(top / "a", name="A", passphrase=PASSPHRASE, scrypt_n=2**4, heads=top / "heads") as node:
        if bundle is not None:
            funded(bundle, Account(node.party.secret("chain")).address, 10**18)
        with connect(profile) as chain:
            members, anchors = found(node, chain, [CardFile(node.party.cards)], threshold=1)
        node.set_chain(ChainSettings(profile, members, anchors))
    return profile


def child(top: Path, pipe: int) -> None:
    """Record and anchor until killed; tell what was acknowledged, after it was."""
    with Node.open(top / "a", passphrase=PASSPHRASE, heads=top / "heads") as node:
        while True:
            entry = node.record("document.recorded", {"title": "x"}, payload=b"text")
            os.write(pipe, f"r {entry.index} {entry.id}\n".encode())
            for claim in node.anchor():
                os.write(pipe, f"a {claim.size} {claim.root.hex()}\n".encode())
                os.write(pipe, f"t {time.monotonic()} settled\n".encode())


def start(top: Path) -> tuple[int, int]:
    """Fork a child; its process and what it tells."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            child(top, writing)
        finally:
            os._exit(3)  # only reached when the child failed by itself
    os.close(writing)
    return pid, reading


def stop(pid: int, reading: int) -> str:
    """Kill a child and return what it had told."""
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    told = b""
    while part := os.read(reading, 65536):
        told += part
    os.close(reading)
    if not os.WIFSIGNALED(status):
        raise SystemExit(f"a child ended by itself with {os.waitstatus_to_exitcode(status)}")
    return told.decode()


def measure(top: Path) -> tuple[float, str]:
    """How long a child takes here until it has anchored, and what it told: moments are drawn in this measure."""
    began = time.monotonic()
    pid, reading = start(top)
    told = b""
    while b"\na " not in told or not told.endswith(b"\n"):
        part = os.read(reading, 65536)
        if not part:
            raise SystemExit("the first child ended before it had anchored")
        told += part
    span = time.monotonic() - began
    return span, told.decode() + stop(pid, reading)


def one_round(top: Path, seconds: float) -> str:
    """Start a child, kill it after so long, and return what it had told."""
    pid, reading = start(top)
    time.sleep(seconds)
    return stop(pid, reading)


def refused(profile: Profile, account: str) -> int:
    """How many transactions of the account a contract refused."""
    with connect(profile, read_only=profile.path is not None) as chain:
        blocks = range(1, chain.head().number + 1)
        receipts = [one for number in blocks for one in chain.ask("eth_getBlockReceipts", hex(number)) or ()]
        return sum(one["status"] == "0x0" and one["from"].lower() == account for one in receipts)


def main() -> None:
    top, rounds, dice = Path(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
    bundle = open_bundle(Path(sys.argv[4])) if len(sys.argv) > 4 else None
    profile = prepare(top, bundle)
    span, told = measure(top)
    for number in range(rounds):
        # rows of ten that mostly end before they have anchored, and rows of ten that mostly get that far
        told += one_round(top, dice.uniform(0, span if number // 10 % 2 else 3 * span))
    lines = [line.split() for line in told.splitlines() if line.count(" ") == 2]
    ended = time.monotonic()
    with Node.open(top / "a", passphrase=PASSPHRASE, heads=top / "heads") as node:
        node.journal.verify()
        node.anchor()
        recovered = time.monotonic()
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
                    "refused": refused(profile, Account(node.party.secret("chain")).address),
                    "head": found_size.size if found_size else 0,
                    "size": node.journal.size,
                    "settled_at": [*(float(one[1]) for one in lines if one[0] == "t"), recovered],
                    "recovery_s": recovered - ended,
                }
            )
        )


if __name__ == "__main__":
    main()
