"""A monitor over real logs on loopback: what fits, what is silent, and what convicts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.serving import PASSPHRASE, introduce, listening, made_node

from tallystick.node import Monitor, Node, RemoteNode, ask_witnesses, rotate
from tallystick.proof import Draft, explain_fork
from tallystick.server import JournalService


@pytest.fixture
def three(tmp_path: Path) -> Iterator[list[Node]]:
    with ExitStack() as opened:
        nodes = [opened.enter_context(made_node(tmp_path, name)) for name in ("a", "b", "c")]
        introduce(*nodes)
        yield nodes


def fill(node: Node, count: int) -> None:
    node.journal.append_many([Draft("document.recorded", {"title": f"page {i}"}) for i in range(count)])


def monitor(node: Node, logs: dict[str, str], **more: object) -> Monitor:
    remotes = {party: RemoteNode(url, timeout_s=5) for party, url in logs.items()}
    return Monitor(node.workspace, node.peers, remotes, record=node.record, **more)  # type: ignore[arg-type]


def said(node: Node) -> list[str]:
    return [entry.statement.kind for entry in node.log(kind="log.")]


def test_a_log_that_grows_is_checked_and_stated_once_for_each_head(three: list[Node]) -> None:
    a, b, _ = three
    fill(b, 3)
    with listening(JournalService(b)) as url:
        watch = monitor(a, {b.id: url})
        (first,) = watch.look()
        assert (first.found, first.size, first.since, first.name) == ("checked", 3, 0, "b")
        assert watch.look()[0].found == "same"
        fill(b, 300)
        (second,) = monitor(a, {b.id: url}).look()  # another process goes on from what was remembered
        assert (second.found, second.size, second.since) == ("checked", 303, 3)
    bodies = [entry.statement.body for entry in a.log(kind="log.checked")]
    assert [(body["since"], body["size"]) for body in bodies] == [(0, 3), (3, 303)]
    assert bodies[1]["root"] == b.journal.root().hex()


def test_an_empty_log_is_followed_from_its_beginning(three: list[Node]) -> None:
    a, b, c = three
    with listening(JournalService(b)) as url, listening(JournalService(c)) as witness:
        watch = monitor(a, {b.id: url, c.id: witness})
        assert ask_witnesses(b, {c.id: RemoteNode(witness)}).given == 1
        assert [one.found for one in watch.look()] == ["checked", "checked"]
        fill(b, 2)
        assert ask_witnesses(b, {c.id: RemoteNode(witness)}).given == 1
        (grown, _) = watch.look()
    assert (grown.found, grown.since, grown.size, grown.compared) == ("checked", 0, 2, 1)


def test_a_rotated_log_key_is_learnt_from_the_log_and_cards_that_contradict_raise_an_alarm(
    three: list[Node], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, _ = three
    fill(b, 2)
    one, two = split(b, tmp_path)
    for number, path in enumerate((one, two)):  # the same party rotates twice: two chains of cards
        monkeypatch.setenv("TALLYSTICK_STATE", str(tmp_path / f"state-{number}"))
        rotate(path, ["log"], passphrase=PASSPHRASE, scrypt_n=2**4)
    with opened(one, tmp_path / "h1") as log, listening(JournalService(log)) as url:
        fill(log, 1)
        assert monitor(a, {b.id: url}).look()[0].found == "checked"
    with opened(two, tmp_path / "h2") as log, listening(JournalService(log)) as url:
        (found,) = monitor(a, {b.id: url}).look()
    assert found.found == "alarm"
    assert "contradict" in found.why


def test_a_log_that_does_not_answer_is_silent_and_keeps_nobody_from_the_others(three: list[Node]) -> None:
    a, b, c = three
    fill(c, 1)
    with listening(JournalService(b)) as gone:
        pass
    with listening(JournalService(c)) as url:
        found = monitor(a, {b.id: gone, c.id: url}).look()
    assert [one.found for one in found] == ["silent", "checked"]
    assert said(a) == ["log.checked"]


def split(node: Node, directory: Path) -> tuple[Path, Path]:
    """Two copies of a log, which go different ways."""
    node.close()
    copy = directory / "copy"
    shutil.copytree(node.workspace.path, copy)
    return node.workspace.path, copy


def opened(path: Path, heads: Path) -> Node:
    return Node.open(path, passphrase=PASSPHRASE, heads=heads)


def test_two_roots_at_one_size_convict_the_log(three: list[Node], tmp_path: Path) -> None:
    a, b, _ = three
    fill(b, 3)
    one, two = split(b, tmp_path)
    for path, heads, title in ((one, "h1", "one"), (two, "h2", "two")):
        with opened(path, tmp_path / heads) as log:
            log.record("document.recorded", {"title": title})
            with listening(JournalService(log)) as url:
                (last,) = monitor(a, {b.id: url}).look()
                (again,) = monitor(a, {b.id: url}).look()
    assert last.is_alarm
    assert (last.found, last.size) == ("forked", 4)
    assert last.evidence is not None
    assert "two roots at size 4" in explain_fork(last.evidence.read_bytes())
    assert again.found == "forked"
    assert said(a) == ["log.checked", "log.forked"]  # said once


def test_a_log_that_shows_another_history_to_another_member_is_found_by_comparing(
    three: list[Node], tmp_path: Path
) -> None:
    a, b, c = three
    fill(b, 3)
    one, two = split(b, tmp_path)
    with listening(JournalService(c)) as witness:
        with opened(one, tmp_path / "h1") as log:
            log.record("document.recorded", {"title": "for c"})
            assert ask_witnesses(log, {c.id: RemoteNode(witness)}).given == 1
        with opened(two, tmp_path / "h2") as log:
            log.record("document.recorded", {"title": "for a"})
            with listening(JournalService(log)) as url:
                found = monitor(a, {b.id: url, c.id: witness}).look()
                assert found[0].found == "forked"
                log.record("document.recorded", {"title": "and more"})
                later = monitor(a, {b.id: url, c.id: witness}).look()
    # Sizes differ, and the tree of the larger head convicts it all the same.
    assert later[0].found == "forked"
    assert "that c was shown" in later[0].why
    assert later[0].evidence is not None
    assert "does not contain the one of size 4" in explain_fork(later[0].evidence.read_bytes())
    assert said(a).count("log.forked") == 2
    assert "log.doubted" not in said(a)


def test_a_log_that_shrinks_or_leaves_its_history_raises_an_alarm(three: list[Node], tmp_path: Path) -> None:
    a, b, _ = three
    fill(b, 3)
    one, two = split(b, tmp_path)
    with opened(one, tmp_path / "h1") as log:
        fill(log, 2)
        with listening(JournalService(log)) as url:
            assert monitor(a, {b.id: url}).look()[0].found == "checked"
    with opened(two, tmp_path / "h2") as log, listening(JournalService(log)) as url:
        (shrunk,) = monitor(a, {b.id: url}).look()
        assert (shrunk.found, shrunk.size) == ("alarm", 3)
        assert "this monitor was shown 5" in shrunk.why
        log.record("document.recorded", {"title": "another way"})
        fill(log, 4)
        (left,) = monitor(a, {b.id: url}).look()
    assert (left.found, "does not follow" in left.why) == ("forked", True)
    assert left.evidence is not None
    assert "the tree of size 8 does not contain" in explain_fork(left.evidence.read_bytes())
    assert said(a) == ["log.checked", "log.doubted", "log.forked"]


def test_another_party_at_a_logs_address_raises_an_alarm(three: list[Node]) -> None:
    a, b, c = three
    with listening(JournalService(c)) as url:
        (found,) = monitor(a, {b.id: url}).look()
    assert (found.found, found.why) == ("alarm", "another party answers at this log's address")


def test_the_anchored_head_must_stand_in_the_same_history(three: list[Node]) -> None:
    a, b, _ = three
    fill(b, 5)
    right = (3, b.journal.root(3))
    with listening(JournalService(b)) as url:
        assert monitor(a, {b.id: url}, anchored=lambda _: right).look()[0].found == "checked"
        (false,) = monitor(a, {b.id: url}, anchored=lambda _: (4, bytes(32))).look()
        (short,) = monitor(a, {b.id: url}, anchored=lambda _: (9, bytes(32))).look()
    assert (false.found, "anchored at size 4" in false.why) == ("alarm", True)
    assert (short.found, "the chain has 9" in short.why) == ("alarm", True)
    assert next(a.log(kind="log.checked")).statement.body["anchored"] == 3
