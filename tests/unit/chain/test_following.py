"""Events are followed page by page: none missed, none twice, through caps and restarts."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.chain.nodes import CONTRACT, TOPIC, Ledger, Node, served

from tallystick.chain import Chain, FileCursor, Follower, Page, Place, Profile, RowCursor, _paging, connect
from tallystick.chain._paging import Pager
from tallystick.errors import ChainError, ChainMismatchError, ChainUnreachableError, DamagedError


@contextmanager
def following(*nodes: Node, agree: int = 1) -> Iterator[Chain]:
    with served(*nodes):
        urls, members = tuple(node.url for node in nodes), tuple("abcd"[: len(nodes)])
        with connect(Profile("net", urls=urls, members=members, agree=agree, timeout_s=1)) as chain:
            yield chain


def follower(chain: Chain, cursor: Any, **said: Any) -> Follower:
    return Follower(chain, cursor, address=CONTRACT, topics=[TOPIC], **said)


def taken(reader: Follower) -> list[tuple[int, int]]:
    found = []
    for page in reader.pages():
        found += places(page)
        reader.keep(page)
    return found


def places(page: Page) -> list[tuple[int, int]]:
    return [(int(log["blockNumber"], 16), int(log["logIndex"], 16)) for log in page.logs]


def expected(ledger: Ledger) -> list[tuple[int, int]]:
    return [(block, place) for block in sorted(ledger.logs) for place in range(ledger.logs[block])]


@pytest.mark.parametrize("agree", [1, 2])
def test_everything_is_read_once_and_what_is_new_afterwards(agree: int, tmp_path: Path) -> None:
    ledger = Ledger(height=50, logs={0: 1, 7: 2, 50: 3})
    cursor = FileCursor(tmp_path / "cursor")
    with following(Node(ledger), Node(ledger), agree=agree) as chain:
        assert taken(follower(chain, cursor)) == expected(ledger)
        assert taken(follower(chain, cursor)) == []
        ledger.height, ledger.logs = 60, {51: 1, 60: 2}
        # a look at the head is shared for a moment
        chain.provider._height = (float("-inf"), 0)
        assert taken(follower(chain, cursor)) == expected(ledger)


def test_a_page_that_was_not_kept_comes_again(tmp_path: Path) -> None:
    ledger = Ledger(height=50, logs=dict.fromkeys(range(51), 1))
    cursor = FileCursor(tmp_path / "cursor")
    with following(Node(ledger)) as chain:
        reader = follower(chain, cursor, blocks=10)
        seen = [places(page) for page in reader.pages()]
        assert len(seen) == 1
        assert taken(reader) == expected(ledger)


def test_a_row_moves_only_with_the_readers_own_transaction(tmp_path: Path) -> None:
    ledger = Ledger(height=50, logs=dict.fromkeys(range(51), 1))
    with following(Node(ledger)) as chain:
        connection = sqlite3.connect(tmp_path / "own.db")
        connection.execute("CREATE TABLE seen (block INTEGER, place INTEGER)")
        reader = follower(chain, RowCursor(connection, "anchors"), blocks=5)
        turn = 0
        while True:
            for page in reader.pages():
                turn += 1
                connection.executemany("INSERT INTO seen VALUES (?, ?)", places(page))
                reader.keep(page)
                # every second time the process dies before it commits
                (connection.rollback if turn % 2 else connection.commit)()
            if reader.place == Place(50, chain.block(50).hash):
                break
        rows = connection.execute("SELECT block, place FROM seen ORDER BY rowid").fetchall()
        connection.close()
    assert rows == expected(ledger)


def test_endpoints_that_die_and_come_back_lose_and_repeat_nothing(tmp_path: Path) -> None:
    ledger = Ledger(height=200, logs={block: 1 + block % 3 for block in range(201)})
    nodes = [Node(ledger) for _ in range(4)]
    found: list[tuple[int, int]] = []
    with following(*nodes, agree=2) as chain:
        cursor, turn = FileCursor(tmp_path / "cursor"), 0
        while (place := cursor.load()) is None or place.block < 200:
            try:
                for page in follower(chain, cursor, blocks=8).pages():
                    reader = follower(chain, cursor)
                    reader.keep(page)
                    found += places(page)
                    turn += 1
                    for number, node in enumerate(nodes):
                        node.status = 503 if turn % 7 == 0 or number == turn % 4 else 200
                    if turn % 3 == 0:
                        break
            except ChainUnreachableError:
                turn += 1
                for node in nodes:
                    node.status = 200
    assert found == expected(ledger)


def test_another_chain_at_the_cursors_place_is_refused(tmp_path: Path) -> None:
    ledger, cursor = Ledger(height=50, logs={7: 1}), FileCursor(tmp_path / "cursor")
    node = Node(ledger)
    with following(node) as chain:
        taken(follower(chain, cursor))
    node.chain = "two"
    with following(node) as chain, pytest.raises(ChainMismatchError, match="at height 50, got another one"):
        taken(follower(chain, cursor))


def test_a_node_that_is_starting_again_is_waited_for_and_nothing_is_read_twice(tmp_path: Path) -> None:
    ledger, cursor = Ledger(height=50, logs={7: 1}), FileCursor(tmp_path / "cursor")
    node = Node(ledger)
    with following(node) as chain:
        taken(follower(chain, cursor))
    node.behind = 40
    with following(node) as chain:
        with pytest.raises(ChainUnreachableError, match="has reached block 50 yet"):
            taken(follower(chain, cursor))
        node.behind = 0
        assert taken(follower(chain, cursor)) == []


def test_a_log_that_was_not_asked_for_is_refused(tmp_path: Path) -> None:
    ledger = Ledger(height=50, logs={7: 1})

    def forge(method: str, _: list[Any], right: Any) -> Any:
        return [{**log, "address": "0x" + "99" * 20} for log in right] if method == "eth_getLogs" else right

    with (
        following(Node(ledger, forge=forge)) as chain,
        pytest.raises(ChainMismatchError, match="not asked for"),
    ):
        taken(follower(chain, FileCursor(tmp_path / "cursor")))


@pytest.mark.parametrize("text", ["", "{}", '{"block":-1,"hash":"0x"}', '{"block":"1","hash":"0x"}', "[1]"])
def test_a_damaged_cursor_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "cursor").write_text(text)
    with pytest.raises(DamagedError):
        FileCursor(tmp_path / "cursor").load()


# -- pages ------------------------------------------------------------------------------------------------


def paged(node: Node, first: int, last: int) -> tuple[list[tuple[int, int]], Pager]:
    def ask(method: str, *params: Any) -> Any:
        answer = node.answer(method, list(params))
        if "error" in answer:
            raise ChainError(answer["error"]["message"])
        return answer["result"]

    pager = Pager(ask)
    found = []
    for page in pager.pages({"address": CONTRACT, "topics": [TOPIC]}, first, last):
        found += places(page)
    return found, pager


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.integers(0, 400), st.integers(1, 40), max_size=60),
    st.integers(1, 300),
    st.integers(1, 60),
)
def test_no_cap_loses_or_repeats_a_log(logs: dict[int, int], most_blocks: int, most_rows: int) -> None:
    ledger = Ledger(height=400, logs=logs)
    node = Node(ledger, most_blocks=most_blocks, most_rows=most_rows)
    assert paged(node, 0, 400)[0] == expected(ledger)


def test_rows_cut_off_in_silence_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_paging, "MOST_ROWS", 100)
    ledger = Ledger(height=400, logs={3: 55, 4: 50, 200: 105, 399: 1})
    node = Node(ledger, most_rows=100, silent_cap=True)
    assert paged(node, 0, 400)[0] == expected(ledger)


def test_pages_grow_again_where_there_is_little() -> None:
    ledger = Ledger(height=100_000, logs={3: 90, 4: 90})
    found, pager = paged(Node(ledger, most_rows=100), 0, 100_000)
    assert found == expected(ledger)
    assert pager.blocks == 10_000


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda logs: logs + logs[:1], "twice"),
        (lambda logs: [{**logs[0], "blockNumber": hex(999)}], "other blocks"),
        (lambda logs: [{"data": "0x"}], "block and place"),
        (lambda logs: {"logs": logs}, "a list of logs"),
    ],
)
def test_what_is_no_page_of_logs_is_refused(change: Callable[[Any], Any], words: str) -> None:
    ledger = Ledger(height=400, logs={7: 2})
    node = Node(ledger, forge=lambda method, _, right: change(right) if method == "eth_getLogs" else right)
    with pytest.raises(ChainError, match=words):
        paged(node, 0, 400)


def test_a_refusal_for_another_reason_is_not_asked_again() -> None:
    ledger = Ledger(height=400)

    def refuse(*_: Any) -> Any:
        raise LookupError("the archive is gone")

    node = Node(ledger, forge=refuse)
    with pytest.raises(ChainError, match="archive is gone"):
        paged(node, 0, 400)
    assert len(node.asked) == 1


def test_a_wide_query_of_a_contract_is_paged_behind_the_callers_back() -> None:
    ledger = Ledger(height=30_000, logs={7: 1, 29_999: 2})
    nodes = [Node(ledger), Node(ledger)]
    for agree in (1, 2):
        with following(*nodes, agree=agree) as chain:
            found = chain.ask("eth_getLogs", {"address": CONTRACT, "fromBlock": "0x0", "toBlock": "latest"})
            assert [int(log["blockNumber"], 16) for log in found] == [7, 29_999, 29_999]
