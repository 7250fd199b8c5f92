"""Other members' nodes over real HTTP: read, checked, asked; down, slow and lying ones named."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.serving import introduce, listening, made_key, made_node

from tallystick.errors import (
    ConfigurationError,
    EncodingError,
    NodeUnreachableError,
    NoteError,
    NotFoundError,
    ProofError,
)
from tallystick.node import Node, RemoteNode, ask_witnesses
from tallystick.proof import Draft, parse_statement, verify
from tallystick.server import JournalService


@pytest.fixture
def four(tmp_path: Path) -> Iterator[list[Node]]:
    with ExitStack() as opened:
        nodes = [opened.enter_context(made_node(tmp_path, name)) for name in ("a", "b", "c", "d")]
        introduce(*nodes)
        yield nodes


def fill(node: Node, count: int) -> None:
    node.journal.append_many([Draft("document.recorded", {"title": f"page {i}"}) for i in range(count)])


@contextmanager
def answering(answer: bytes, *, pause_s: float = 0.0) -> Iterator[str]:
    """A server that says one thing, a byte at a time when there is a pause."""
    place = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def talk(connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65_536)
                for byte in [answer] if not pause_s else [answer[i : i + 1] for i in range(len(answer))]:
                    connection.sendall(byte)
                    if done.wait(pause_s):
                        return
            except OSError:
                return

    def accept() -> None:
        while not done.is_set():
            try:
                connection, _ = place.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{place.getsockname()[1]}"
    finally:
        done.set()
        place.shutdown(socket.SHUT_RDWR)
        place.close()
        thread.join(5)


def said(content: bytes, status: str = "200 OK", kind: str = "text/plain") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(content)}\r\n\r\n"
    return head.encode() + content


def test_a_log_is_read_and_checked_all_the_way(four: list[Node]) -> None:
    a, b, *_ = four
    fill(a, 300)
    keys, token = made_key("member")
    with listening(JournalService(a), keys=keys) as url:
        cards = b.peers.get(a.id).cards
        remote = RemoteNode(url, key=token)
        assert remote.card().cards == cards
        old = remote.checkpoint(cards)
        remote.tree(old).check()
        fill(a, 500)
        head = remote.checkpoint(cards)
        tree = remote.tree(head)
        tree.check()
        assert tree.check_follows(old.size, old.root) == a.journal.consistency(300)
        read = [parse_statement(entry).body["title"] for entry in remote.entries(head, 295, 305)]
        assert read == [f"page {i}" for i in (*range(295, 300), *range(5))]
        entry = a.journal.entry(7)
        receipt = remote.receipt(entry.id)
        verify(receipt)
        assert receipt.statement.bytes == entry.bytes
        with pytest.raises(NodeUnreachableError, match="401"):
            next(RemoteNode(url).entries(head, 0, 1))


def test_tiles_and_heads_that_lie_are_refused(four: list[Node]) -> None:
    a, b, *_ = four
    fill(a, 300)
    cards = b.peers.get(a.id).cards
    old = a.journal.checkpoint()
    fill(a, 10)
    with listening(JournalService(a)) as url:
        remote = RemoteNode(url)
        head = remote.checkpoint(cards)
        with pytest.raises(ProofError):
            remote.tree(head).check_follows(old.size, bytes(32))
        with pytest.raises(ProofError):
            remote.tree(replace(head, root=bytes(32))).check()
        with pytest.raises(NoteError, match="another journal"):
            remote.checkpoint(b.party.cards)
    with answering(said(bytes(32))) as url, pytest.raises(EncodingError):
        RemoteNode(url).tree(head).check()
    with answering(said(b"not a note")) as url, pytest.raises(NoteError):
        RemoteNode(url).checkpoint(cards)


def test_an_answer_a_byte_at_a_time_is_cut_off() -> None:
    with answering(said(b"x" * 1000), pause_s=0.05) as url:
        began = time.monotonic()
        with pytest.raises(NodeUnreachableError, match=r"0\.5 s"):
            RemoteNode(url, timeout_s=0.5).card()
        assert time.monotonic() - began < 20


@pytest.mark.parametrize("url", ["ftp://a", "a:80", "http://", "http://u@a", "http://a?x=1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        RemoteNode(url)


def test_witnesses_that_are_down_slow_or_on_another_policy_are_named_and_the_others_count(
    four: list[Node], tmp_path: Path
) -> None:
    a, b, c, d = four
    fill(a, 5)
    with ExitStack() as opened:
        up = opened.enter_context(listening(JournalService(b)))
        slow = opened.enter_context(answering(said(b"x" * 1000), pause_s=0.2))
        gone = socket.create_server(("127.0.0.1", 0))
        down = f"http://127.0.0.1:{gone.getsockname()[1]}"
        gone.close()
        remotes = {b.id: RemoteNode(up), c.id: RemoteNode(slow, timeout_s=1), d.id: RemoteNode(down)}
        told = ask_witnesses(a, remotes, need=1)
        assert (told.given, told.is_enough) == (1, True)
        why = {answer.name: answer.why for answer in told.answers}
        assert why == {"b": "", "c": "the node gave no answer in 1 s", "d": "the node cannot be reached"}
        assert a.add_cosignatures(told.checkpoint.note).keys() == {b.id}
        assert set(a.receipt(0).cards) == {a.id, b.id}
        # One on another policy does not know this party.
        with made_node(tmp_path, "e") as e:
            other = opened.enter_context(listening(JournalService(e)))
            told = ask_witnesses(a, {b.id: RemoteNode(up), c.id: RemoteNode(other)}, need=2)
        assert not told.is_enough
        assert {one.name: one.why for one in told.answers}["c"] == "the witness does not know this party"


def test_a_witness_that_has_seen_less_or_more_is_asked_again_from_there(four: list[Node]) -> None:
    a, b, c, _ = four
    fill(a, 5)
    with listening(JournalService(b)) as first, listening(JournalService(c)) as second:
        remotes = {b.id: RemoteNode(first), c.id: RemoteNode(second)}
        told = ask_witnesses(a, {b.id: remotes[b.id]})
        a.add_cosignatures(told.checkpoint.note)
        fill(a, 3)
        assert ask_witnesses(a, remotes, need=2).is_enough  # c has seen nothing yet
        assert ask_witnesses(a, remotes, need=2).is_enough  # both have seen it all


def test_a_line_that_is_not_the_witnesss_own_does_not_count(four: list[Node]) -> None:
    a, b, c, _ = four
    fill(a, 1)
    # c hands on what b signed: it is no line of c's.
    with listening(JournalService(b)) as url:
        told = ask_witnesses(a, {c.id: RemoteNode(url)})
    assert told.given == 0
    assert "no line of the key on its card" in told.answers[0].why
    with answering(said(b"\xff\xff")) as url:
        assert ask_witnesses(a, {c.id: RemoteNode(url)}).given == 0


def test_a_witness_whose_card_was_never_imported_is_not_asked(four: list[Node], tmp_path: Path) -> None:
    with made_node(tmp_path, "e") as e, pytest.raises(NotFoundError):
        ask_witnesses(four[0], {e.id: RemoteNode("http://127.0.0.1:9")})
