"""A member that shows two histories, over real servers: refused by witnesses and by `Anchors`, kept, and explained."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.serving import PASSPHRASE, listening

from tallystick.chain import Account, Anchors, LocalChain, Outbox, Profile, connect, serve
from tallystick.cli._app import run
from tallystick.errors import RevertError, RollbackError
from tallystick.node import (
    Consortium,
    Monitor,
    NetworkGround,
    Node,
    RemoteNode,
    ask_witnesses,
    evidence_files,
)
from tallystick.proof import format_add_checkpoint, format_policy, journal_id
from tallystick.server import JournalService

Said = pytest.CaptureFixture[str]
NAMES = ("bank-a", "bank-b", "bank-c")


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Consortium]:
    monkeypatch.setenv("TALLYSTICK_PASSPHRASE", PASSPHRASE)
    with LocalChain(tmp_path / "chain") as local, serve(local, port=0) as served:
        profiles = {name: Profile("network", urls=(served.url,)) for name in NAMES}
        ground = NetworkGround(profiles, treasury=local.fund)
        with Consortium(NAMES, directory=tmp_path / "three", ground=ground, passphrase=PASSPHRASE) as made:
            yield made


def titled(node: Node, *titles: str) -> None:
    for title in titles:
        node.record("document.recorded", {"title": title})


def split(node: Node, place: Path) -> tuple[Node, Node]:
    """The member's two faces: one workspace, copied, and each of them goes on by itself."""
    node.close()
    shutil.copytree(node.workspace.path, place / "other")
    faces = (node.workspace.path, place / "other")
    one, two = (
        Node.open(path, passphrase=PASSPHRASE, heads=place / f"heads-{number}")
        for number, path in enumerate(faces)
    )
    return one, two


def posted(url: str, body: bytes) -> tuple[int, str, bytes]:
    try:
        with urllib.request.urlopen(f"{url}/add-checkpoint", data=body, timeout=10) as answer:
            return answer.status, answer.headers["content-type"], answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["content-type"], error.read()


def explained(said: Said, file: Path, *words: str) -> tuple[int, Any, str]:
    said.readouterr()
    code = run(["verify", str(file), *words])
    text = " ".join(said.readouterr().out.split())
    run(["verify", str(file), *words, "--json"])
    return code, json.loads(said.readouterr().out)["files"][0], text


@pytest.mark.slow
def test_two_heads_of_one_size_are_refused_everywhere_and_convict_their_author(
    three: Consortium, tmp_path: Path, capsys: Said
) -> None:
    a, b, c = three.nodes
    titled(a, "one", "two", "three")
    with ExitStack() as opened:
        one, two = split(a, tmp_path)
        opened.callback(one.close)
        opened.callback(two.close)
        titled(one, "to b")
        titled(two, "to c")
        witness_b, witness_c = (opened.enter_context(listening(JournalService(node))) for node in (b, c))
        first, second = (opened.enter_context(listening(JournalService(node))) for node in (one, two))
        assert ask_witnesses(one, {b.id: RemoteNode(witness_b)}).given == 1
        assert ask_witnesses(two, {c.id: RemoteNode(witness_c)}).given == 1
        # The witness that saw the one head refuses the other, as C2SP tlog-witness says.
        answer = posted(witness_b, format_add_checkpoint(4, [], two.journal.checkpoint().note))
        assert answer == (409, "text/x.tlog.size", b"4\n")
        told = ask_witnesses(two, {b.id: RemoteNode(witness_b)})
        assert (told.given, told.answers[0].why) == (0, "the witness has seen another head of size 4")
        # The contract takes the first one only: the same author cannot overwrite it, nor go on from the other.
        assert [claim.size for claim in one.anchor()] == [4]
        with pytest.raises(RollbackError, match="not its continuation"):
            two.anchor()
        titled(two, "and on")
        assert two.settings.chain is not None
        profile, address = two.settings.chain.profile, two.settings.chain.anchors
        with (
            connect(profile) as chain,
            Outbox(tmp_path / "forged.sqlite", chain, account=Account(two.party.secret("chain"))) as outbox,
            pytest.raises(RevertError),
        ):
            outbox.send(
                "forged",
                Anchors(chain.web3, address).anchor(
                    journal_id(two.origin), size=5, root=two.journal.root(), proof=two.journal.consistency(4)
                ),
            )
        # A third party that is shown both finds it by itself, and so does one that compares with the witnesses.
        (seen,) = Monitor(b.workspace, b.peers, {a.id: RemoteNode(first)}, record=b.record).look()
        assert seen.found == "checked"
        both = {a.id: RemoteNode(second), b.id: RemoteNode(witness_b)}
        compared = Monitor(c.workspace, c.peers, both, record=c.record).look()[0]
        assert (compared.found, compared.evidence is not None) == ("forked", True)
        with urllib.request.urlopen(f"{witness_b}/health", timeout=10) as health:
            assert json.loads(health.read())["forks"] == 1
    (file,) = evidence_files(b.workspace)
    code, found, text = explained(capsys, file)
    assert (code, found["intact"], found["party"], found["pinned_as"]) == (1, False, a.id, None)
    assert "signed two histories: two roots at size 4" in text
    assert "who bank-a, as its own card says" in text
    assert found["halves"][0] in text
    assert "nobody else can have made them" in text
    policy = tmp_path / "mine.json"
    policy.write_bytes(format_policy(three.policy()))
    code, found, text = explained(capsys, file, "--policy", str(policy))
    assert (code, found["pinned_as"]) == (1, "bank-a")
    assert "is bank-a of your policy" in text


@pytest.mark.slow
def test_a_head_that_leaves_its_history_is_refused_with_evidence_and_changed_evidence_proves_nothing(
    three: Consortium, tmp_path: Path, capsys: Said
) -> None:
    a, b, _ = three.nodes
    titled(a, "one", "two", "three", "four")
    with ExitStack() as opened:
        one, two = split(a, tmp_path)
        opened.callback(one.close)
        opened.callback(two.close)
        titled(one, "to b")
        titled(two, "to c", "and on", "and on")
        witness = opened.enter_context(listening(JournalService(b)))
        assert ask_witnesses(one, {b.id: RemoteNode(witness)}).given == 1
        body = format_add_checkpoint(5, two.journal.consistency(5), two.journal.checkpoint().note)
        status, _, content = posted(witness, body)
        assert (status, json.loads(content)["code"]) == (422, "http.fork")
        # It goes on with the history that it knows.
        titled(one, "more")
        assert ask_witnesses(one, {b.id: RemoteNode(witness)}).given == 1
    (file,) = evidence_files(b.workspace)
    code, found, text = explained(capsys, file)
    assert code == 1
    assert "the tree of size 7 does not contain the one of size 5" in text
    assert found["halves"][1].startswith("the head of size 7")
    document = json.loads(file.read_bytes())
    document["checkpoints"][1] = document["checkpoints"][0]
    changed = tmp_path / "changed.json"
    changed.write_bytes(
        json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    )
    code, found, text = explained(capsys, changed)
    assert (code, found["code"]) == (1, "evidence.false")
    assert "signed two histories" not in text
