"""`tallystick node` as people run it: servers in processes of their own, which end when they are told to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.serving import PASSPHRASE, introduce, made_node

from tallystick.chain import LocalChain, Profile, serve
from tallystick.node import Consortium, NetworkGround, Node, RemoteNode
from tallystick.proof import verify

LIMIT_S = 60
PROGRAM = (sys.executable, "-c", "from tallystick.cli import main; main()")


def environment(directory: Path) -> dict[str, str]:
    return {**os.environ, "TALLYSTICK_PASSPHRASE": PASSPHRASE, "TALLYSTICK_STATE": str(directory / "state")}


def typed(directory: Path, *words: str) -> tuple[int, Any]:
    command = [*PROGRAM, *words, "--json"]
    done = subprocess.run(
        command, capture_output=True, env=environment(directory), timeout=LIMIT_S, check=False
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr.decode()


@contextmanager
def served(directory: Path, name: str, *words: str) -> Iterator[str]:
    command = [*PROGRAM, "node", "serve", "--port", "0", "-w", str(directory / name), *words]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(directory)
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        assert line.startswith("listening at "), process.stderr.read() if process.stderr else ""
        yield line.removeprefix("listening at ").strip()
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0  # it ended what it had begun
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(LIMIT_S)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    with made_node(tmp_path, "bank-a") as a, made_node(tmp_path, "bank-b") as b:
        introduce(a, b)
        a.record("document.recorded", {"title": "first"})
        b.record("document.recorded", {"title": "first"})
    return tmp_path


@pytest.mark.slow
def test_a_member_serves_beside_its_writer_while_another_asks_and_watches(pair: Path) -> None:
    a = str(pair / "bank-a")
    with served(pair, "bank-b") as url:
        code, told = typed(pair, "node", "ask", url, "-w", a)
        assert (code, told["given"], told["size"]) == (0, 1, 1)
        code, found = typed(pair, "node", "watch", "--once", url, "-w", a)
        assert (code, found["logs"][0]["found"]) == (0, "checked")
        with Node.open(pair / "bank-b", passphrase=PASSPHRASE, heads=pair / "heads") as writer:
            writer.record("document.recorded", {"title": "second"})
            cards = writer.party.cards
        assert RemoteNode(url).checkpoint(cards).size == 2
        code, found = typed(pair, "node", "watch", "--once", url, "-w", a)
        assert (found["logs"][0]["since"], found["logs"][0]["size"]) == (1, 2)
    code, told = typed(pair, "node", "ask", url, "--timeout", "2", "-w", a)
    assert (code, told["given"]) == (1, 0)
    assert told["absent"] == {url: "the node cannot be reached"}


@pytest.mark.slow
def test_nodes_that_serve_ask_each_other_anchor_and_attest_by_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLYSTICK_STATE", str(tmp_path / "state"))
    names = ("bank-a", "bank-b", "bank-c")
    with LocalChain(tmp_path / "chain") as local, serve(local, port=0) as chain, ExitStack() as opened:
        profiles = {name: Profile("network", urls=(chain.url,)) for name in names}
        ground = NetworkGround(profiles, treasury=local.fund)
        with Consortium(
            names,
            directory=tmp_path,
            ground=ground,
            passphrase=PASSPHRASE,
            heads=tmp_path / "state" / "heads",
        ) as made:
            entry = made.nodes[0].record("document.recorded", {"title": "first"})
            policy = replace(made.policy(), ask=("party", "witnesses", "anchor"))
        urls = [opened.enter_context(served(tmp_path, name)) for name in names[1:]]
        wished = ("node", "witnesses", *urls, "--before-anchor", "-w", str(tmp_path / "bank-a"))
        assert typed(tmp_path, *wished)[0] == 0
        settings = tmp_path / "bank-a" / "tallystick.toml"
        settings.write_text(
            settings.read_text().replace("[anchor]\n", "[anchor]\nevery_seconds = 0\n")
            + "every_seconds = 1\n"
        )
        url = opened.enter_context(served(tmp_path, "bank-a", "--anchor"))
        until = time.monotonic() + LIMIT_S
        place = tmp_path / "bank-a"
        while True:
            with Node.open(place, passphrase=PASSPHRASE, read_only=True) as reader:
                receipt = reader.receipt(entry.id)
            if receipt.anchor is not None and receipt.anchor.note.count("\u2014") == 2:
                break
            assert time.monotonic() < until
            time.sleep(0.2)
        with urllib.request.urlopen(f"{url}/health", timeout=10) as answer:
            health = json.loads(answer.read())
    assert (health["anchored"], health["witnessed"], health["waiting"], health["missing"]) == (1, 1, 0, 0)
    report = verify(receipt.format(), policy=policy)
    assert (report.standing("witnesses"), report.standing("anchor")) == ("proved", "proved")
