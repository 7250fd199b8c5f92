"""Three banks as people run them: `tallystick fraud serve --share` in three processes that only HTTP connects."""

from __future__ import annotations

import base64
import datetime
import http.client
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tallystick.apps.fraud import APP
from tallystick.apps.fraud.holding import Holds
from tallystick.chain import Account, Outbox, Profile
from tallystick.cli._app import run
from tallystick.node import CardFile, Consortium, Node, make_policy
from tallystick.proof import STANDARD_KINDS, format_policy, system_clock
from tallystick.server import Keys

NAMES = ("Bank A", "Bank B", "Bank C")
PASSPHRASE = "four words are better"
KINDS = STANDARD_KINDS.extended(APP.kinds)
WAIT_S = 60.0
MULE = "DE89370400440532013000"
PROGRAM = "import sys; from tallystick.cli import main; sys.exit(main())"


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in taken]


class Bank:
    """One bank's workspace, and its server while it runs."""

    def __init__(self, workspace: Path, share: Path) -> None:
        self.workspace, self.share = workspace, share
        keys, self.token = Keys().added("hub and desk", ["decide", "review", "audit"])
        keys.write(workspace / "keys.toml")
        self.place = ""

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        words = [sys.executable, "-c", PROGRAM, "fraud", "serve", "--port", "0", "--share", str(self.share)]
        process = subprocess.Popen(
            [*words, "-w", str(self.workspace), "--no-verify"], stdout=subprocess.PIPE, env={**os.environ}
        )
        assert process.stdout is not None
        try:
            text = b""
            while b"listening at " not in text:
                assert select.select([process.stdout], [], [], WAIT_S)[0], "the service gave no sign"
                more = os.read(process.stdout.fileno(), 4096)
                assert more, "the service ended"
                text += more
            self.place = text.split(b"listening at http://")[1].split()[0].decode()
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(WAIT_S) in (0, -signal.SIGKILL)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(WAIT_S)
            process.stdout.close()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection(self.place, timeout=WAIT_S)
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 200, text
            return json.loads(text) if path != "/metrics" else text.decode()
        finally:
            connection.close()

    def pay(self, number: int, payee: str = MULE, amount: int = 500) -> dict[str, Any]:
        payment = {"id": f"p{number}", "at": system_clock(), "amount": amount, "currency": "EUR"}
        told: dict[str, Any] = self.ask(
            "POST", "/v1/payments/decide", {**payment, "customer": f"c{number}", "payee": payee}
        )
        return told

    def codes(self, told: dict[str, Any]) -> list[str]:
        return [reason["code"] for reason in told["reasons"]]


def set_up(directory: Path, spaces: list[Path], cards: list[CardFile], *more: str) -> list[Bank]:
    """What the banks' engineers type: a file each, and a key for every other member."""
    policy = directory / "policy.json"
    policy.write_bytes(format_policy(make_policy("three banks", cards)))
    since = datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(days=3)
    ports = dict(zip(NAMES, free_ports(3), strict=True))
    made = []
    for name, space in zip(NAMES, spaces, strict=True):
        words = ["fraud", "share", "new", "--policy", str(policy), "--since", since.isoformat(), *more]
        others = [other for other in NAMES if other != name]
        for other in others:
            words += ["--member", f"{other}=http://127.0.0.1:{ports[other]}"]
        share = space / "share.toml"
        assert run([*words, "--port", str(ports[name]), "-o", str(share)]) == 0
        for number, other in enumerate(others, 1):
            # The other one makes the key; it travels by hand.
            file = space / f"member-{number}.key"
            told = ["fraud", "share", "admit", name, "--policy", str(policy), "-o", str(file)]
            assert run([*told, "-w", str(spaces[NAMES.index(other)])]) == 0
        made.append(Bank(space, share))
    return made


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYSTICK_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("TALLYSTICK_STATE", str(tmp_path / "state"))


@pytest.fixture
def banks(tmp_path: Path) -> list[Bank]:
    cards, spaces = [], [tmp_path / name.lower().replace(" ", "-") for name in NAMES]
    for name, space in zip(NAMES, spaces, strict=True):
        with Node.init(space, name=name, passphrase=PASSPHRASE, kinds=KINDS, scrypt_n=2) as node:
            cards.append(CardFile(node.party.cards))
    return set_up(tmp_path, spaces, cards)


@pytest.fixture
def banks_on_a_chain(tmp_path: Path) -> Iterator[list[Bank]]:
    """Three banks with the contract Holds, on a chain that this process serves and all reach by its URL."""
    consortium = Consortium(NAMES, directory=tmp_path / "all", kinds=KINDS, passphrase=PASSPHRASE)
    with ExitStack() as stack:
        stack.callback(consortium.close)
        models = consortium.found_models(approvals=1)
        node = consortium.nodes[0]
        settings = node.settings.chain
        assert settings is not None
        account = Account(node.party.secret("chain"))
        call = Holds.deploy_call(anchors=settings.anchors, models=models)
        with Outbox(node.workspace.outbox(account.address), consortium.chain, account=account) as outbox:
            holds = outbox.send("holds", call).contract
        cards = [CardFile(one.party.cards) for one in consortium.nodes]
        spaces = [one.workspace.path for one in consortium.nodes]
        url = stack.enter_context(consortium.offered())
        for one in consortium.nodes:
            consortium.fund(one)
            known = one.settings.chain
            assert known is not None
            one.set_chain(replace(known, profile=Profile.of(url)))
            one.close()
        yield set_up(tmp_path, spaces, cards, "--holds", holds)


def eventually(said: Callable[[], bool]) -> bool:
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        if said():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
def test_what_customers_of_one_bank_report_stops_a_payment_at_another_and_a_dead_member_stops_nobody(
    banks: list[Bank], capsys: pytest.CaptureFixture[str]
) -> None:
    a, b, c = banks
    with a.running(), b.running():
        assert "Bank C did not open it here yet" in a.ask("GET", "/v1/payees")["trouble"]
        assert a.pay(0)["action"] == "approve"  # unknown, and decided all the same
        with c.running() as process:
            assert eventually(lambda: all(one.ask("GET", "/v1/payees")["epoch"] == 1 for one in banks))
            assert run(["fraud", "share", "check", str(a.share)]) == 0
            assert b.pay(1)["action"] == "approve"
            for customer in ("alice", "bob"):
                a.ask("POST", "/v1/payees/reports", {"payee": MULE, "customer": customer})
            told = b.pay(2)
            assert (told["action"], b.codes(told)) == ("hold", ["R02"])
            assert c.pay(3)["action"] == "hold"
            assert "tallystick_signals_well 1.0" in b.ask("GET", "/metrics")
            process.kill()  # nothing is said, nothing is settled
            process.wait(WAIT_S)
            # Its token is in memory at B: still stopped. Another payee's cannot be made without C, and that is said.
            assert b.pay(4)["action"] == "hold"
            assert b.pay(5, payee="DE-new", amount=500)["action"] == "approve"
            told = b.pay(6, payee="DE-newer", amount=200_000)
            assert (told["action"], b.codes(told)) == ("review", ["R12"])
            figures = b.ask("GET", "/metrics")
            assert "tallystick_signals_well 0.0" in figures
            assert 'tallystick_share_member_up{member="Bank C"} 0.0' in figures
            assert run(["fraud", "share", "check", str(a.share)]) == 1
        with c.running():  # after a kill -9, with its list and its share
            assert eventually(lambda: c.ask("GET", "/v1/payees")["epoch"] == 1)
            assert c.pay(7)["action"] == "hold"
            assert eventually(lambda: b.pay(8, payee="DE-new", amount=700)["action"] == "approve")
            assert eventually(lambda: _is_known(b))
    check_journals(banks)


def _is_known(bank: Bank) -> bool:
    number = time.monotonic_ns()
    bank.pay(number, payee=f"DE-{number}")
    return bool(bank.ask("GET", "/v1/payees")["well"])


def check_journals(banks: list[Bank]) -> None:
    """What was decided without the others says so, and both sides of every look-up are stated."""
    for bank in banks:
        with Node.open(bank.workspace, passphrase=PASSPHRASE, kinds=KINDS, read_only=True) as node:
            kinds = {entry.statement.kind for entry in node.journal.entries()}
            assert {"epoch.opened", "lookup.made", "lookup.served"} <= kinds
    b = banks[1]
    with Node.open(b.workspace, passphrase=PASSPHRASE, kinds=KINDS, read_only=True) as node:
        rules = next(iter(node.journal.entries(kinds=("rules.stated",))))
        stated = node.journal.payload(rules.id)
        assert isinstance(stated, bytes)
        reads = json.loads(stated)["reads"]
        said = {}
        for entry in node.journal.entries(kinds=("decision.ruled",)):
            sealed = node.journal.payload(entry.id)
            assert isinstance(sealed, dict)
            numbers = struct.unpack(f">{len(reads)}d", base64.b64decode(sealed["rule_inputs"]))
            said[sealed["payment"]["id"]] = dict(zip(reads, numbers, strict=True))
    assert [said[f"p{number}"]["payee_unknown"] for number in (1, 2, 4, 5, 6)] == [0, 0, 0, 1, 1]
    assert [said[f"p{number}"]["payee_listed"] for number in (1, 2, 4, 5, 6)] == [0, 1, 1, 0, 0]


@pytest.mark.slow
def test_a_hold_that_one_bank_places_on_the_chain_stops_a_payment_at_another(
    banks_on_a_chain: list[Bank],
) -> None:
    a, b, c = banks_on_a_chain
    with a.running(), b.running(), c.running():
        assert eventually(lambda: all(one.ask("GET", "/v1/payees")["epoch"] == 1 for one in (a, b, c)))
        assert b.pay(1)["action"] == "approve"
        large = a.pay(2, amount=2_000_000)  # held by a rule, and the desk asks the others not to pay either
        assert large["action"] == "hold"
        hold = {"payee": MULE, "decision": large["statement"], "hours": 24}
        # The epoch counts on the chain when enough members have voted; until then it refuses.
        assert eventually(lambda: _is_placed(a, hold))
        assert eventually(lambda: b.ask("GET", "/v1/payees")["held"] == 1)
        told = b.pay(3)
        assert (told["action"], b.codes(told)) == ("hold", ["R11"])
        assert b.pay(4, payee="DE-another")["action"] == "approve"
        assert a.ask("POST", "/v1/payees/releases", {"payee": MULE})["statement"]
        assert eventually(lambda: b.ask("GET", "/v1/payees")["held"] == 0)
        assert b.pay(5)["action"] == "approve"


def _is_placed(bank: Bank, hold: dict[str, Any]) -> bool:
    try:
        return bool(bank.ask("POST", "/v1/payees/holds", hold)["statement"])
    except AssertionError as error:
        if "is not running" not in str(error):
            raise
        return False
