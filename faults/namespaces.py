"""A network whose validators live in network namespaces of their own, joined by a bridge, so that they can be cut apart.

The bridge lives in a namespace too: nothing of it touches the machine's own network. Each validator's JSON-RPC stays on
the loopback of its namespace; a relay here passes questions on to it, as a party reaches its own node on its own
machine whatever happens between the members. Needs root and Linux.
"""

from __future__ import annotations

import ctypes
import os
import re
import select
import shlex
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from faults.stage import MEMBERS
from faults.undoing import run, undone, why_not_root
from tallystick.network import Bundle, find_engine, make_bundle, read_ports

__all__ = ["cut", "lay_apart", "why_no_cuts"]

_NEWNET = 0x40000000  # CLONE_NEWNET of linux/sched.h
_HOST = "127.0.0.2"  # loopback, and not where the validators' own ports are looked at before a start
_WAIT_S = 0.5
_TAG = f"tf{os.getpid()}"


def _name(place: int) -> str:
    return f"{_TAG}v{place}"


def _address(place: int) -> str:
    return f"10.71.0.{place + 1}"


def why_no_cuts() -> str:
    """Tell why no network can be cut apart here; empty when one can."""
    reason = why_not_root("ip", "mount")
    if reason:
        return reason
    probe = f"{_TAG}probe"
    try:
        run("ip", "netns", "add", probe)
        try:
            run("ip", "-n", probe, "link", "add", "br0", "type", "bridge")
        finally:
            run("ip", "netns", "del", probe)
    except OSError as error:
        return f"this machine makes no network namespaces or bridges: {error}"
    return ""


def lay_apart(place: Path, stack: ExitStack) -> Bundle:
    """Lay four validators out, each in a namespace of its own; the stack takes everything away again.

    Raises:
        OSError: the machine refused; what was made is on the stack.
    """
    engine = find_engine()
    bundle = make_bundle(place, MEMBERS, binary=engine)
    _join(stack)
    script = place.parent / "engine"
    # started as ever, it enters its namespace first; the process stays the same one
    script.write_text(
        "#!/bin/sh\n"
        f'[ "$1" = start ] || exec {shlex.quote(str(engine))} "$@"\n'
        f'name=$(cat "$3/namespace") && exec ip netns exec "$name" {shlex.quote(str(engine))} "$@"\n'
    )
    script.chmod(0o700)
    members = []
    for number, member in enumerate(bundle.members):
        _move(member.home, number, [one.p2p for one in bundle.members])
        port = read_ports(member.home).rpc
        stack.enter_context(_relay(_name(number), port))
        members.append(replace(member, rpc_url=f"http://{_HOST}:{port}"))
    return replace(bundle, engine=script, members=tuple(members))


@contextmanager
def cut(left: Sequence[int], right: Sequence[int]) -> Iterator[Callable[[], None]]:
    """Let nothing pass between two sides any more; what is given heals the cut, and the end does so too."""
    pairs = [(one, other) for one in left for other in right]
    pairs += [(other, one) for one, other in pairs]
    done: list[tuple[int, int]] = []

    def heal() -> None:
        while done:
            one, other = done.pop()
            run("ip", "-n", _name(one), "route", "del", "blackhole", f"{_address(other)}/32")

    try:
        for one, other in pairs:
            run("ip", "-n", _name(one), "route", "add", "blackhole", f"{_address(other)}/32")
            done.append((one, other))
        yield heal
    finally:
        heal()


def _join(stack: ExitStack) -> None:
    """Make the namespaces and the bridge between them."""
    hub = f"{_TAG}hub"
    for name in (hub, *(_name(number) for number in range(MEMBERS))):
        run("ip", "netns", "add", name)
        stack.enter_context(undone(["ip", "netns", "del", name]))  # its links go with it
    run("ip", "-n", hub, "link", "add", "br0", "type", "bridge")
    run("ip", "-n", hub, "link", "set", "br0", "up")
    for number in range(MEMBERS):
        name, end = _name(number), f"{_TAG}e{number}"
        run("ip", "-n", hub, "link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "-n", hub, "link", "set", end, "master", "br0")
        run("ip", "-n", hub, "link", "set", end, "up")
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", name, "addr", "add", f"{_address(number)}/24", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "eth0", "up")


def _move(home: Path, number: int, places: Sequence[str]) -> None:
    """Let a validator listen and look for the others at the namespaces' addresses."""
    path = home / "config" / "config.toml"
    text = path.read_text()
    for other, where in enumerate(places):
        port = where.rpartition(":")[2]
        text = re.sub(rf"\b127\.0\.0\.1:{port}\b", f"{_address(other)}:{port}", text)
    path.write_text(text)
    (home / "namespace").write_text(_name(number))


@contextmanager
def _relay(name: str, port: int) -> Iterator[None]:
    """Pass connections from this machine's loopback on to a namespace's."""
    ended = threading.Event()
    with socket.create_server((_HOST, port)) as server:
        server.settimeout(_WAIT_S)
        thread = threading.Thread(target=_accept, args=(server, name, port, ended), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(10)


def _accept(server: socket.socket, name: str, port: int, ended: threading.Event) -> None:
    """Serve in a thread that has entered the namespace: the server was made outside, what it connects to is inside."""
    with Path("/run/netns", name).open() as entry:
        if ctypes.CDLL(None, use_errno=True).setns(entry.fileno(), _NEWNET) != 0:
            return  # every question stays without an answer, and the network is not found up
    while not ended.is_set():
        try:
            asker, _ = server.accept()
        except OSError:
            continue
        try:
            node = socket.create_connection(("127.0.0.1", port), timeout=_WAIT_S)
        except OSError:
            asker.close()  # it does not run
            continue
        threading.Thread(target=_pass, args=(asker, node, ended), daemon=True).start()


def _pass(asker: socket.socket, node: socket.socket, ended: threading.Event) -> None:
    """Pass bytes both ways until one side ends."""
    other = {asker: node, node: asker}
    with asker, node, suppress(OSError):
        while not ended.is_set():
            for ready in select.select([asker, node], [], [], _WAIT_S)[0]:
                data = ready.recv(65536)
                if not data:
                    return
                other[ready].settimeout(10)
                other[ready].sendall(data)
