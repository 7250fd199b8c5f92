"""A journal over HTTP: tiles, entries behind a key, and a witness that speaks C2SP."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.serving import PASSPHRASE, introduce, made_key, made_node

from tallystick.node import Node, format_card_file, parse_card_file, rotate
from tallystick.proof import (
    add_cosignatures,
    explain_fork,
    export_tiles,
    format_add_checkpoint,
    parse_checkpoint,
    parse_receipt,
    verify,
)
from tallystick.proof._checkpoints import sign_checkpoint
from tallystick.proof._notes import cosign_note
from tallystick.server import JournalService, ServerSettings, create_journal_app


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Node, Node]]:
    with made_node(tmp_path, "clinic") as clinic, made_node(tmp_path, "bank") as bank:
        introduce(clinic, bank)
        yield clinic, bank


def fill(node: Node, count: int) -> None:
    from tallystick.proof import Draft

    node.journal.append_many([Draft("document.recorded", {"title": f"page {i}"}) for i in range(count)])


def ask(service: JournalService, method: str, path: str, *, key: str = "", **more: Any) -> httpx.Response:
    settings = more.pop("settings", None) or ServerSettings()

    async def work() -> httpx.Response:
        transport = httpx.ASGITransport(create_journal_app(service, settings))
        headers = {"authorization": f"Bearer {key}"} if key else {}
        async with httpx.AsyncClient(transport=transport, base_url="http://node", headers=headers) as client:
            return await client.request(method, path, **more)

    return asyncio.run(asyncio.wait_for(work(), 30))


def submit(witness: Node, log: Node, old: int, *, proof: Any = None) -> httpx.Response:
    proof = (log.journal.consistency(old) if old else []) if proof is None else proof
    body = format_add_checkpoint(old, proof, log.journal.checkpoint().note)
    return ask(JournalService(witness), "POST", "/add-checkpoint", content=body)


def test_what_is_served_is_what_is_exported(pair: tuple[Node, Node], tmp_path: Path) -> None:
    node, _ = pair
    fill(node, 700)
    export_tiles(node.journal, tmp_path / "export", entries=True)
    keys, token = made_key("member")
    service, count = JournalService(node), 0
    for file in sorted((tmp_path / "export").rglob("*")):
        if file.is_file():
            path = "/" + file.relative_to(tmp_path / "export").as_posix()
            answer = ask(service, "GET", path, key=token, settings=ServerSettings(keys=keys))
            assert (answer.status_code, answer.content) == (200, file.read_bytes())
            count += 1
    assert count == 8  # three leaf tiles, one above them, three bundles, the checkpoint


def test_entries_and_receipts_need_a_key_and_hashes_need_none(pair: tuple[Node, Node]) -> None:
    node, _ = pair
    entry = node.record("document.recorded", {"title": "protocol"})
    keys, token = made_key("member")
    _, wrong = made_key("member")
    settings = ServerSettings(keys=keys)
    service = JournalService(node)
    assert ask(service, "GET", "/tile/0/000.p/1", settings=settings).content == bytes.fromhex(entry.id)
    for path in ("/tile/entries/000.p/1", f"/v1/receipts/{entry.id}"):
        assert ask(service, "GET", path, settings=settings).status_code == 401
        assert ask(service, "GET", path, settings=settings, key=wrong).status_code == 401
        assert ask(service, "GET", path, settings=settings, key=token).status_code == 200
    bundle = ask(service, "GET", "/tile/entries/000.p/1", settings=settings, key=token)
    assert bundle.content[2:] == entry.bytes
    assert "no-store" in bundle.headers["cache-control"]
    verify(
        parse_receipt(ask(service, "GET", f"/v1/receipts/{entry.id}", settings=settings, key=token).content)
    )
    keys, token = made_key("decide")
    refused = ask(service, "GET", "/tile/entries/000.p/1", settings=ServerSettings(keys=keys), key=token)
    assert refused.status_code == 403


def test_a_member_reads_receipts_with_nothing_disclosed(pair: tuple[Node, Node]) -> None:
    node, _ = pair
    entry = node.record("document.recorded", {"title": "protocol"}, fields={"who": "her"}, subject="her")
    path = f"/v1/receipts/{entry.id}?disclose=who"
    service = JournalService(node)
    for role, status in (("member", 403), ("audit", 200)):
        keys, token = made_key(role)
        assert ask(service, "GET", path, settings=ServerSettings(keys=keys), key=token).status_code == status


@pytest.mark.parametrize(
    "path",
    ["/tile/0/001", "/tile/0/0", "/tile/9/000", "/tile/0/000.p/256", "/tile/0/000.p/0", "/tile/0/x000/000",
     "/tile/1/000", "/nothing", "/tile/0/000.p/4"],
)  # fmt: skip
def test_a_tile_that_is_not_there_or_is_spelled_otherwise_is_not_found(
    pair: tuple[Node, Node], path: str
) -> None:
    fill(pair[0], 3)
    answer = ask(JournalService(pair[0]), "GET", path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_witness_cosigns_what_follows_and_tells_the_size_that_it_has_seen(pair: tuple[Node, Node]) -> None:
    clinic, bank = pair
    fill(clinic, 5)
    first = submit(bank, clinic, 0)
    assert first.status_code == 200
    head = clinic.journal.checkpoint()
    note = head.note + first.content
    assert clinic.add_cosignatures(note).keys() == {bank.id}
    fill(clinic, 4)
    conflict = submit(bank, clinic, 0)
    assert (conflict.status_code, conflict.content) == (409, b"5\n")
    assert conflict.headers["content-type"] == "text/x.tlog.size"
    assert submit(bank, clinic, 5, proof=[bytes(32)] * 3).status_code == 422
    assert submit(bank, clinic, 5).status_code == 200
    assert submit(bank, clinic, 9).status_code == 200  # again


def test_a_witness_refuses_strangers_other_keys_and_what_is_no_ask(
    pair: tuple[Node, Node], tmp_path: Path
) -> None:
    clinic, bank = pair
    fill(clinic, 2)
    with made_node(tmp_path, "stranger") as stranger:
        fill(stranger, 1)
        assert submit(bank, stranger, 0).status_code == 404
        theirs = stranger.journal.checkpoint().note
    false = clinic.journal.checkpoint().note.replace(b"\n2\n", b"\n3\n", 1)
    service = JournalService(bank)
    for body, status in (
        (format_add_checkpoint(0, [], false), 403),
        (format_add_checkpoint(9, [], clinic.journal.checkpoint().note), 400),
        (b"old 0\n", 400),
        (b"old 00\n\n" + theirs, 400),
        (b"", 400),
        (b"x" * 80_000, 413),
    ):
        assert ask(service, "POST", "/add-checkpoint", content=body).status_code == status
    assert bank.witness.size(clinic.origin) == 0


def test_two_histories_are_refused_and_kept_as_evidence_that_convicts(
    pair: tuple[Node, Node], tmp_path: Path
) -> None:
    import shutil

    clinic, bank = pair
    fill(clinic, 3)
    clinic.close()
    place = clinic.workspace.path
    shutil.copytree(place, tmp_path / "copy")
    service = JournalService(bank)
    answers = []
    for path, title in ((place, "one"), (tmp_path / "copy", "two")):
        with Node.open(path, passphrase=PASSPHRASE, heads=tmp_path / f"heads-{title}") as node:
            node.record("document.recorded", {"title": title})
            seen = service.witness.size(node.origin)
            body = format_add_checkpoint(seen, [], node.journal.checkpoint().note)
            answers.append(ask(service, "POST", "/add-checkpoint", content=body))
    assert [answer.status_code for answer in answers] == [200, 409]
    (file,) = (bank.workspace.path / "evidence").iterdir()
    assert "two roots at size 4" in explain_fork(file.read_bytes())
    assert ask(service, "GET", "/health").json()["forks"] == 1


def test_a_rotated_log_key_is_believed_by_the_card_that_continues_the_known_one(
    pair: tuple[Node, Node],
) -> None:
    clinic, bank = pair
    fill(clinic, 2)
    assert submit(bank, clinic, 0).status_code == 200
    place, heads = clinic.workspace.path, clinic.workspace.path.parent / "heads"
    clinic.close()
    rotate(place, ["log"], passphrase=PASSPHRASE, scrypt_n=2**4)
    with Node.open(place, passphrase=PASSPHRASE, heads=heads) as clinic:
        fill(clinic, 1)
        assert submit(bank, clinic, 2).status_code == 403
        service = JournalService(bank)
        newer = format_card_file(clinic.party.cards)
        assert ask(service, "POST", "/card", content=newer).json() == {"new": True}
        assert submit(bank, clinic, 2).status_code == 200
        assert ask(service, "POST", "/card", content=b"{}").status_code == 422


def test_a_strangers_card_is_not_taken(pair: tuple[Node, Node], tmp_path: Path) -> None:
    with made_node(tmp_path, "stranger") as stranger:
        card = format_card_file(stranger.party.cards)
    assert ask(JournalService(pair[1]), "POST", "/card", content=card).status_code == 404
    assert len(pair[1].peers) == 1


def test_card_health_and_the_head_that_was_seen_are_anybodys(pair: tuple[Node, Node]) -> None:
    clinic, bank = pair
    fill(clinic, 2)
    service = JournalService(bank)
    assert parse_card_file(ask(service, "GET", "/card").content).id == bank.id
    place = f"/seen/{hashlib.sha256(clinic.origin.encode()).hexdigest()}"
    assert ask(service, "GET", place).status_code == 404
    submit(bank, clinic, 0)
    head = parse_checkpoint(ask(JournalService(bank), "GET", place).content)
    assert head.head == clinic.journal.checkpoint().head
    health = ask(service, "GET", "/health").json()
    assert (health["party"], health["statements"], health["ready"]) == (bank.id, 0, True)


def test_metrics_need_a_key_unless_they_are_open(pair: tuple[Node, Node]) -> None:
    service = JournalService(pair[0])
    assert ask(service, "GET", "/metrics").status_code == 401
    text = ask(service, "GET", "/metrics", settings=ServerSettings(open_metrics=True)).text
    assert "tallystick_journal_statements 0.0" in text


def test_a_caller_without_a_key_is_slowed_down(pair: tuple[Node, Node]) -> None:
    async def work() -> list[int]:
        settings = ServerSettings(requests_per_s=2, burst_s=1)
        transport = httpx.ASGITransport(create_journal_app(JournalService(pair[0]), settings))
        async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
            return [(await client.get("/checkpoint")).status_code for _ in range(4)]

    statuses = asyncio.run(asyncio.wait_for(work(), 30))
    assert statuses[:2] == [200, 200]
    assert 429 in statuses


def test_methods_that_a_path_does_not_take_are_named(pair: tuple[Node, Node]) -> None:
    answer = ask(JournalService(pair[0]), "DELETE", "/checkpoint")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


def test_a_reader_beside_the_writer_shows_what_became_durable_meanwhile(pair: tuple[Node, Node]) -> None:
    clinic, _ = pair
    fill(clinic, 2)
    with Node.open(clinic.workspace.path, passphrase=PASSPHRASE, read_only=True) as reader:
        service = JournalService(reader)
        assert service.checkpoint().size == 2
        fill(clinic, 300)
        assert service.checkpoint().size == 302
        assert len(service.tile("tile/0/001.p/46")) == 46 * 32


@pytest.mark.parametrize("body", [b"", b"\xff", b"tallystick/anchor/v1\n", b"x" * 4096])
def test_what_asks_for_no_anchor_is_malformed(pair: tuple[Node, Node], body: bytes) -> None:
    answer = ask(JournalService(pair[0]), "POST", "/attest-anchor", content=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_ask_for_an_anchor_is_bounded(pair: tuple[Node, Node]) -> None:
    assert ask(JournalService(pair[0]), "POST", "/attest-anchor", content=b"x" * 4097).status_code == 413


def resigned(node: Node, size: int, root: bytes) -> bytes:
    """A head that the log's own key signed, whatever stands in its journal."""
    return sign_checkpoint(node.origin, size, root, node.party.signer("log")).note


def test_add_checkpoint_answers_as_c2sp_tlog_witness_says(pair: tuple[Node, Node]) -> None:
    """The statuses and bodies of https://c2sp.org/tlog-witness, one after the other, against one witness."""
    clinic, bank = pair
    service = JournalService(bank)

    def post(old: object, proof: list[bytes], note: bytes) -> tuple[int, str, bytes]:
        body = format_add_checkpoint(old, proof, note)  # type: ignore[arg-type]
        answer = ask(service, "POST", "/add-checkpoint", content=body)
        return answer.status_code, answer.headers["content-type"], answer.content

    fill(clinic, 6)
    six = clinic.journal.checkpoint()
    other = bytes(32)
    # The origin is unknown: 404; no signature by a trusted key: 403, also where more would be wrong.
    stranger = sign_checkpoint("did:key:zNobody/main", 1, other, clinic.party.signer("log")).note
    assert post(0, [], stranger)[0] == 404
    unsigned = sign_checkpoint(clinic.origin, 6, six.root, bank.party.signer("log")).note
    assert post(0, [], unsigned)[0] == 403
    assert post(3, [other], unsigned)[0] == 403
    assert post(0, [], sign_checkpoint(clinic.origin, 0, other, bank.party.signer("log")).note)[0] == 403
    # Nothing was cosigned yet: another old size than 0 is a conflict, and so is known by its number.
    assert post(3, [other], six.note) == (409, "text/x.tlog.size", b"0\n")
    # The proof must be empty from size 0; a tree of size 0 has one root.
    assert post(0, [other], six.note)[0] == 422
    assert post(0, [], resigned(clinic, 0, other))[0] == 422
    # The old size must not be above the checkpoint's: 400; so is what is not in the form.
    assert post(7, [], six.note)[0] == 400
    assert post("07", [], six.note)[0] == 400
    assert post(" 0", [], six.note)[0] == 400
    assert post(0, [other] * 64, six.note)[0] == 400
    assert post(0, [other[:31]], six.note)[0] == 400
    body = format_add_checkpoint(0, [], six.note).replace(b"\n", b"\r\n")
    assert ask(service, "POST", "/add-checkpoint", content=body).status_code == 400
    # Lines by unknown keys, other witnesses' cosignatures among them, are ignored.
    line = cosign_note(six.text, "elsewhere.example/w1", clinic.party.signer("witness"), time_s=1)
    status, kind, lines = post(0, [], add_cosignatures(six, [line]).note)
    assert (status, kind) == (200, "text/plain; charset=utf-8")
    assert re.fullmatch(r"\u2014 \S+ [A-Za-z0-9+/]+=*\n", lines.decode())
    assert clinic.add_cosignatures(six.note + lines).keys() == {bank.id}
    # The newest size that was cosigned, and a newline, whatever the caller thought.
    fill(clinic, 3)
    nine = clinic.journal.checkpoint()
    for old in (0, 5, 7):
        proof = clinic.journal.consistency(old) if old else []
        assert post(old, proof, nine.note) == (409, "text/x.tlog.size", b"6\n")
    # A proof that does not verify, or is longer than it should be.
    right = clinic.journal.consistency(6)
    for proof in ([], right[:-1], [*right, other], [other] * len(right)):
        assert post(6, proof, nine.note)[0] == 422
    assert post(6, right, nine.note)[0] == 200
    # The old size is the checkpoint's: the same root again, with no proof; another root is a conflict.
    assert post(9, [], nine.note)[0] == 200
    assert post(9, [other], nine.note)[0] == 422
    assert post(9, [], resigned(clinic, 9, other)) == (409, "text/x.tlog.size", b"9\n")
    # An older checkpoint is a conflict as well: nothing is ever rolled back.
    assert post(6, [], six.note) == (409, "text/x.tlog.size", b"9\n")
    assert bank.witness.size(clinic.origin) == 9
    assert ask(service, "GET", "/add-checkpoint").status_code == 405
