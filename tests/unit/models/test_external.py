"""A scorer behind HTTP: what it may answer, how long it may take, and where a row never goes."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.made_models import ROWS, make_model
from tests.made_scorer import Scorer, Serve, certificate

from tallystick.errors import (
    ModelFileError,
    ModelInputError,
    ScorerError,
    ScorerUnreachableError,
    UnknownFormatError,
)
from tallystick.models import (
    ExternalDescription,
    ExternalModel,
    JsonField,
    OpaqueModel,
    ask_row,
    load_foreign,
    parse_external,
)

ROW = {"amount": "12.50", "count": "3", "country": "NL", "new": "true"}
GOOD = {"score": 0.75, "label": "fraud", "model": "v12"}


FIELDS: dict[str, Any] = {
    "name": "fraud",
    "target": "the payment is fraudulent",
    "labels": ("fine", "fraud"),
    "request": (
        JsonField("amount", "number", low="0", high="100000"),
        JsonField("count", "integer", low="0"),
        JsonField("country", "text", optional=True),
        JsonField("new", "flag"),
    ),
    "response": (JsonField("score", "number", low="0", high="1"), JsonField("label", "text")),
    "score": "score",
    "decision": "label",
    "timeout_ms": 2_000,
    "attempts": 3,
}


def description(url: str = "http://127.0.0.1:1/score", **changes: Any) -> ExternalDescription:
    return ExternalDescription(**{"url": url, **FIELDS, **changes})


def reply(document: object, *, status: str = "200 OK", headers: str = "") -> Serve:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()

    def serve(peer: socket.socket, _request: bytes) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        peer.sendall(head.encode() + body)

    return serve


@pytest.fixture
def scorer() -> Iterator[Callable[..., Scorer]]:
    running: list[Scorer] = []

    def start(*serves: Serve, tls: ssl.SSLContext | None = None) -> Scorer:
        running.append(Scorer(serves, tls))
        return running[-1]

    yield start
    for one in running:
        one.close()


def test_a_right_answer_is_read_and_the_request_says_exactly_what_the_row_says(scorer) -> None:
    server = scorer(reply(GOOD))
    model = ExternalModel(description(server.url), headers=lambda: {"Authorization": "Bearer secret"})
    scored = model.score_row(ROW)
    assert (scored.decision, scored.scores, scored.unit, scored.probability) == (
        "fraud",
        (750_000,),
        10**6,
        0.75,
    )
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert body == b'{"amount":12.50,"count":3,"country":"NL","new":true}'
    assert head.startswith(b"POST /score?v=1 HTTP/1.1")
    assert b"Authorization: Bearer secret" in head
    assert b"secret" not in model.bytes


def test_without_a_decision_field_the_threshold_decides(scorer) -> None:
    response = (JsonField("score", "number"),)
    for score, label in ((0.6, "fraud"), (0.59, "fine")):
        server = scorer(reply({"score": score}))
        model = ExternalModel(description(server.url, response=response, decision="", threshold="0.6"))
        # 0.6 as a binary float lies below the decimal 0.6, and is what the scorer said
        assert model.score_row(ROW).decision == (label if score != 0.6 else "fine")
    server = scorer(reply({"score": 0.75}))
    model = ExternalModel(description(server.url, response=response, decision="", threshold="0.75"))
    assert model.score_row(ROW).decision == "fraud"


def test_a_field_may_stand_deep_in_the_answer(scorer) -> None:
    server = scorer(reply({"predictions": [{"p": 0.25}]}))
    response = (JsonField("predictions.0.p", "number"),)
    model = ExternalModel(
        description(server.url, response=response, score="predictions.0.p", decision="", threshold="0.2")
    )
    assert model.score_row(ROW).decision == "fraud"


def test_a_server_that_recovers_is_asked_again_with_growing_pauses(scorer) -> None:
    server = scorer(reply({}, status="500 Oops"), reply({}, status="503 Busy"), reply(GOOD))
    pauses: list[float] = []
    assert ExternalModel(description(server.url), sleep=pauses.append).score_row(ROW).decision == "fraud"
    assert pauses == [0.2, 0.4]
    assert len(server.requests) == 3


def test_a_server_that_asks_for_time_gets_it_within_bounds(scorer) -> None:
    server = scorer(
        reply({}, status="429 Slow down", headers="Retry-After: 3\r\n"),
        reply({}, status="503 Busy", headers="Retry-After: 9999\r\n"),
        reply(GOOD),
    )
    pauses: list[float] = []
    ExternalModel(description(server.url), sleep=pauses.append).score_row(ROW)
    assert pauses == [3.0, 10.0]


def test_a_server_that_never_recovers_ends_in_an_error_that_says_try_later(scorer) -> None:
    server = scorer(*[reply({}, status="500 Oops")] * 5)
    with pytest.raises(ScorerUnreachableError, match="got 500") as caught:
        ExternalModel(description(server.url), sleep=lambda _s: None).score_row(ROW)
    assert caught.value.retryable
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", ["400 Bad", "401 Who", "404 Gone", "201 Made"])
def test_a_refusal_is_not_asked_again(scorer, status: str) -> None:
    server = scorer(reply(GOOD, status=status), reply(GOOD))
    with pytest.raises(ScorerError, match=f"got {status[:3]}"):
        ExternalModel(description(server.url), sleep=lambda _s: None).score_row(ROW)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_not_followed_and_the_row_goes_nowhere_else(scorer, status: str) -> None:
    other = scorer(reply(GOOD))
    server = scorer(reply(b"", status=status, headers=f"Location: {other.url}\r\n"))
    with pytest.raises(ScorerError, match="sends elsewhere"):
        ExternalModel(description(server.url)).score_row(ROW)
    assert other.requests == []


def test_a_proxy_in_the_environment_is_not_asked(scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, server = scorer(reply(GOOD)), scorer(reply(GOOD))
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("ALL_PROXY", proxy.url)
    ExternalModel(description(server.url)).score_row(ROW)
    assert (len(proxy.requests), len(server.requests)) == (0, 1)


def silent(peer: socket.socket, _request: bytes) -> None:
    peer.recv(1)  # until the other side gives up


def dripping(first: bytes) -> Serve:
    def serve(peer: socket.socket, _request: bytes) -> None:
        peer.sendall(first)
        for _ in range(600):
            peer.sendall(b" ")
            time.sleep(0.02)

    return serve


@pytest.mark.parametrize(
    "serve",
    [
        silent,
        dripping(b"HTTP/1.1 200 OK\r\nX: "),
        dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 600\r\n\r\n"),
        dripping(b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps(GOOD).encode()),
    ],
    ids=["silent", "slow head", "slow body", "slow body without end"],
)
def test_whoever_answers_too_slowly_is_cut_off_as_a_whole(scorer, serve: Serve) -> None:
    # Every single byte comes within the limit, the exchange does not; after 12 s it would be whole.
    server = scorer(serve)
    with pytest.raises(ScorerUnreachableError, match=r"within 0.15 s"):
        ExternalModel(description(server.url, timeout_ms=150, attempts=1)).score_row(ROW)


def test_nobody_there_is_an_error_that_can_be_retried() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    model = ExternalModel(description(f"http://127.0.0.1:{port}/", attempts=1))
    with pytest.raises(ScorerUnreachableError, match="must be reachable"):
        model.score_row(ROW)


def test_a_connection_that_breaks_in_the_middle_of_an_answer_is_no_answer(scorer) -> None:
    def cut(peer: socket.socket, _request: bytes) -> None:
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + json.dumps(GOOD).encode())

    server = scorer(cut)
    with pytest.raises(ScorerUnreachableError):
        ExternalModel(description(server.url, attempts=1)).score_row(ROW)


def test_something_that_is_not_http_is_no_answer(scorer) -> None:
    server = scorer(lambda peer, _request: peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"))
    with pytest.raises(ScorerUnreachableError):
        ExternalModel(description(server.url, attempts=1)).score_row(ROW)


@pytest.mark.parametrize("headers", ["", "Transfer-Encoding: chunked\r\n"], ids=["until the end", "chunked"])
def test_an_endless_body_is_cut_at_the_bound(scorer, headers: str) -> None:
    piece = b" " * 8192
    sent = 0

    def flood(peer: socket.socket, _request: bytes) -> None:
        nonlocal sent
        peer.sendall(f"HTTP/1.1 200 OK\r\n{headers}\r\n".encode())
        for _ in range(10_000):
            peer.sendall(b"2000\r\n" + piece + b"\r\n" if headers else piece)
            sent += len(piece)

    server = scorer(flood)
    with pytest.raises(ScorerError, match="at most 65536 bytes"):
        ExternalModel(description(server.url)).score_row(ROW)
    server.close()
    assert sent < 10_000 * len(piece)


def test_an_answer_as_large_as_the_bound_is_read_and_a_byte_more_is_refused(scorer) -> None:
    body = json.dumps(GOOD).encode()
    server = scorer(reply(body.ljust(65_536)), reply(body.ljust(65_537)))
    model = ExternalModel(description(server.url))
    assert model.score_row(ROW).decision == "fraud"
    with pytest.raises(ScorerError, match="at most 65536 bytes"):
        model.score_row(ROW)


def test_a_packed_answer_is_refused(scorer) -> None:
    server = scorer(reply(GOOD, headers="Content-Encoding: gzip\r\n"))
    with pytest.raises(ScorerError, match="must not pack"):
        ExternalModel(description(server.url)).score_row(ROW)


@pytest.mark.parametrize(
    "answer",
    [
        b'{"score": NaN, "label": "fraud"}',
        b'{"score": Infinity, "label": "fraud"}',
        b'{"score": 1e999, "label": "fraud"}',
        b"score=0.7",
        b"",
        b"[]",
        b"null",
        {"label": "fraud"},
        {"score": "0.7", "label": "fraud"},
        {"score": True, "label": "fraud"},
        {"score": None, "label": "fraud"},
        {"score": 1.01, "label": "fraud"},
        {"score": -0.01, "label": "fraud"},
        {"score": 0.7, "label": "perhaps"},
        {"score": 0.7, "label": ["fraud"]},
        {"score": 0.7, "label": "f" * 3000},
        {"score": 0.7},
    ],
    ids=str,
)
def test_an_answer_outside_its_schema_is_refused_and_not_asked_again(scorer, answer: object) -> None:
    server = scorer(reply(answer), reply(GOOD))
    with pytest.raises(ScorerError):
        ExternalModel(description(server.url), sleep=lambda _s: None).score_row(ROW)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"amount": "NaN"}, {"amount": "inf"}, {"amount": "-1"}, {"amount": "100000.01"}, {"amount": None},
        {"count": "2.5"}, {"new": "yes"}, {"country": "N" * 2001}, {"unknown": "1"},
        {"amount": "1e-99999999"}, {"amount": "0e-99999999"},
    ],
    ids=str,
)  # fmt: skip
def test_a_row_outside_its_schema_is_refused_before_anything_is_sent(scorer, change: dict) -> None:
    server = scorer(reply(GOOD))
    with pytest.raises(ModelInputError):
        ExternalModel(description(server.url)).score_row(ROW | change)
    assert server.requests == []


def test_a_cell_that_may_be_missing_is_sent_as_null(scorer) -> None:
    server = scorer(reply(GOOD))
    ExternalModel(description(server.url)).score_row(ROW | {"country": None})
    assert b'"country":null' in server.requests[0]


def test_a_header_that_cannot_be_sent_is_refused_without_showing_it(scorer) -> None:
    server = scorer(reply(GOOD))
    model = ExternalModel(description(server.url), headers=lambda: {"Authorization": "secret\r\nHost: evil"})
    with pytest.raises(ModelInputError) as caught:
        model.score_row(ROW)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_description_is_its_own_name_and_survives_its_bytes() -> None:
    made = description()
    model = ExternalModel(made)
    assert parse_external(made.bytes) == made
    assert parse_external(made.bytes).bytes == made.bytes
    assert model.hash == hashlib.sha256(made.bytes).hexdigest()
    assert model.hash != ExternalModel(replace(made, timeout_ms=1_999)).hash
    assert (model.family, model.reexecutable) == ("external", False)
    assert "nobody can re-execute it" in model.words


def test_a_registry_opens_an_external_model_from_its_bytes() -> None:
    model = ExternalModel(description())
    assert load_foreign("external", model.bytes).hash == model.hash
    with pytest.raises(UnknownFormatError):
        load_foreign("telepathy", model.bytes)


@pytest.mark.parametrize(
    "change",
    [
        {"url": "http://scorer.example/score"},
        {"url": "ftp://127.0.0.1/"},
        {"url": "https://user:word@scorer.example/"},
        {"url": "https://scorer.example/#part"},
        {"url": "https://scorer.example:99999/"},
        {"url": "https:///score"},
        {"url": "https://scorer.example/\nX: y"},
        {"timeout_ms": 0},
        {"timeout_ms": 60_001},
        {"attempts": 0},
        {"attempts": 11},
        {"labels": ("yes",)},
        {"labels": ("yes", "yes")},
        {"labels": ("a", "b", "c")},
        {"score": "label"},
        {"score": "none"},
        {"decision": "score"},
        {"threshold": "half"},
        {"request": ()},
        {"name": ""},
    ],
    ids=str,
)
def test_a_description_out_of_bounds_is_refused(change: dict) -> None:
    with pytest.raises(ModelFileError):
        description(**change)


def test_rows_travel_in_clear_only_where_the_description_says_so() -> None:
    made = description("http://scorer.internal/score", plain_http=True)
    assert b'"plain_http":true' in made.bytes
    assert description("https://scorer.example/score").plain_http is False


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (b'"v":1', b'"v":2', UnknownFormatError),
        (b'"attempts":3', b'"attempts":true', ModelFileError),
        (b'"attempts":3,', b"", ModelFileError),
        (b'"kind":"flag"', b'"kind":"bits"', ModelFileError),
        (b'"optional":true', b'"optional":1', ModelFileError),
        (b'"attempts"', b'"Attempts"', ModelFileError),
        (b"}]", b"} ]", ModelFileError),
    ],
)
def test_a_damaged_description_is_refused(old: bytes, new: bytes, error: type[Exception]) -> None:
    data = description().bytes
    assert old in data
    with pytest.raises(error):
        parse_external(data.replace(old, new, 1))


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "", "kind": "number"},
        {"name": "x", "kind": "float"},
        {"name": "x", "kind": "text", "low": "0"},
        {"name": "x", "kind": "number", "low": "NaN"},
        {"name": "x", "kind": "number", "low": "2", "high": "1"},
    ],
)
def test_a_field_that_cannot_be_is_refused(fields: dict) -> None:
    with pytest.raises(ModelFileError):
        JsonField(**fields)


def test_every_kind_of_model_is_asked_in_one_way(scorer) -> None:
    server = scorer(reply(GOOD))
    assert ask_row(ExternalModel(description(server.url)), ROW).decision == "fraud"
    integer = make_model("linear", 1)
    scored = ask_row(integer, ROWS[0])
    assert (scored.scores, scored.unit) == (integer.scores(ROWS[0]), integer.unit)
    assert (scored.decision, scored.probability) == (
        integer.decision(scored.scores),
        integer.probability(scored.scores[0]),
    )
    assert integer.reexecutable is True
    assert OpaqueModel.reexecutable is False


@pytest.mark.parametrize(
    ("host", "trusted", "answered"),
    [("127.0.0.1", True, True), ("127.0.0.1", False, False), ("127.0.0.2", True, False)],
    ids=["trusted", "unknown authority", "another host's certificate"],
)
def test_tls_is_asked_for_a_trusted_certificate_of_this_very_host(
    scorer, tmp_path: Path, host: str, trusted: bool, answered: bool
) -> None:
    place, context = certificate(tmp_path, host)
    server = scorer(reply(GOOD), tls=context)
    client = ssl.create_default_context(cafile=str(place) if trusted else None)
    model = ExternalModel(description(server.url), context=client, sleep=lambda _s: None)
    if answered:
        assert model.score_row(ROW).decision == "fraud"
    else:
        with pytest.raises(ScorerError, match="certificate must be trusted"):
            model.score_row(ROW)
        assert server.requests == []


def test_a_server_that_never_finishes_the_tls_handshake_is_cut_off(scorer) -> None:
    server = scorer(silent)  # it waits for plain HTTP, which never comes
    url = server.url.replace("http://", "https://")
    with pytest.raises(ScorerUnreachableError, match=r"within 0.15 s"):
        ExternalModel(description(url, timeout_ms=150, attempts=1)).score_row(ROW)
