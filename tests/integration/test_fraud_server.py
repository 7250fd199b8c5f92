"""The service over a real engine, journal and case queue: receipts, cases, a full disk, a chain that is slow or dead."""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from tests.made_engine import Bank
from tests.made_engine import payment as made_payment
from tests.unit.server.made_service import made_keys

from tallystick.apps.fraud import APP
from tallystick.apps.fraud.features import Windows
from tallystick.apps.fraud.serving import FraudSettings, Serving
from tallystick.errors import ChainUnreachableError, DamagedError
from tallystick.node import Node
from tallystick.proof import STANDARD_KINDS, Journal, OsFiles, parse_receipt
from tallystick.server import FraudService, Keys, ServerSettings, Standing, create_app
from tallystick.testing import FaultyFiles

KINDS = STANDARD_KINDS.extended(APP.kinds)
PASSPHRASE = "four words are better"
DECIDE = "/v1/payments/decide"
LARGE = 2_000_000


class Running:
    """A bank's service in this process."""

    def __init__(self, node: Node, settings: FraudSettings, **start: Any) -> None:
        self.node = node
        self.serving = Serving(node, settings, features=Windows())
        self.serving.start(**start)
        keys, self.tokens = made_keys()
        self.app = create_app(
            FraudService(
                self.serving.engine,
                node,
                self.serving.standing,
                cases=self.serving.cases,
                appeals=self.serving,
                effects=node.oversight,
                decided=self.serving.decided,
            ),
            ServerSettings(keys=keys),
        )

    def ask(self, method: str, path: str, *, role: str = "decide", **more: Any) -> httpx.Response:
        return ask(self.app, self.tokens[role], method, path, **more)

    def pay(self, number: int, amount: int = 500) -> dict[str, Any]:
        answer = self.ask("POST", DECIDE, json=made_payment(number, amount=amount).record())
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


def ask(app: Any, token: str, method: str, path: str, **more: Any) -> httpx.Response:
    async def work() -> httpx.Response:
        headers = {"authorization": f"Bearer {token}", **more.pop("headers", {})}
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://service", headers=headers, timeout=20
        ) as client:
            return await client.request(method, path, **more)

    return asyncio.run(work())


@contextmanager
def running(path: Path, *, text: str = "version = 1\n", **start: Any) -> Iterator[Running]:
    workspace = path / "bank"
    if workspace.exists():
        node = Node.open(workspace, passphrase=PASSPHRASE, kinds=KINDS)
    else:
        node = Node.init(workspace, name="Bank A", passphrase=PASSPHRASE, kinds=KINDS, scrypt_n=2)
    with node:
        made = Running(node, FraudSettings.parse(text), **start)
        try:
            yield made
        finally:
            made.serving.close()


def eventually(said: Callable[[], bool]) -> bool:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if said():
            return True
        time.sleep(0.02)
    return False


def test_a_decision_has_a_receipt_that_opens_by_role(tmp_path: Path) -> None:
    with running(tmp_path) as bank:
        statement = bank.pay(1)["statement"]
        receipt = parse_receipt(bank.ask("GET", f"/v1/receipts/{statement}").content)
        assert receipt.statement.id == statement
        path = f"/v1/receipts/{statement}?disclose=payment.amount"
        assert bank.ask("GET", path).status_code == 403
        opened = bank.ask("GET", path, role="audit")
        assert b"payment.amount" in opened.content
        assert b"payee-" not in opened.content
        assert bank.ask("GET", f"/v1/receipts/{'0' * 64}").status_code == 404


def test_an_alert_becomes_a_case_that_two_persons_settle(tmp_path: Path) -> None:
    with running(tmp_path) as bank:
        bank.pay(1)
        held = bank.pay(2, LARGE)
        assert held["action"] == "hold"

        def waiting() -> list[str]:
            found = bank.ask("GET", "/v1/cases", role="review").json()["cases"]
            return [case["decision"] for case in found]

        assert eventually(lambda: waiting() == [held["statement"]])
        path = f"/v1/cases/{held['statement']}"
        sealed = bank.ask("GET", path, role="review").json()["sealed"]
        assert sealed["payment"]["amount"] == LARGE
        said = {"outcome": "genuine", "note": "a house"}
        assert bank.ask("POST", f"{path}/judge", role="review", json=said).json()["in_force"] == "hold"
        assert bank.ask("POST", f"{path}/judge", role="review", json=said).status_code == 403
        assert bank.ask("POST", f"{path}/judge", role="ben", json=said).json()["in_force"] == "approve"
        assert waiting() == []
        told = bank.ask("GET", "/v1/payments/p2").json()
        assert (told["action"], told["in_force"]) == ("hold", "approve")
        assert bank.ask("GET", "/v1/payments/p1").json()["in_force"] == "approve"
        again = {"payment": "p2", "fraud": True, "source": "chargeback"}
        assert bank.ask("POST", "/v1/labels", role="review", json=again).status_code == 200
        assert (
            bank.ask("POST", "/v1/labels", role="review", json={**again, "payment": "x"}).status_code == 404
        )


def test_alerts_whose_case_a_crash_kept_back_get_it_at_the_next_start(tmp_path: Path) -> None:
    with running(tmp_path) as bank:
        bank.pay(1, LARGE)
    with running(tmp_path) as bank:
        # Decided past the service, as if it had died before it took note of the alert.
        lost = bank.serving.engine.decide(made_payment(2, amount=LARGE))
        assert len(bank.serving.cases.queue()) == 1
    with running(tmp_path) as bank:
        assert lost.statement in {case.decision for case in bank.serving.cases.queue()}
        assert len(bank.serving.cases.queue()) == 2


def test_what_is_in_force_follows_what_people_did_beside_the_cases(tmp_path: Path) -> None:
    with running(tmp_path) as bank:
        approved, held = bank.pay(1)["statement"], bank.pay(2, LARGE)["statement"]
        oversight = bank.node.oversight
        oversight.override(approved, by="ana", to="decline", reason="stolen phone")
        assert bank.ask("GET", "/v1/payments/p1").json()["in_force"] == "decline"
        oversight.appeal(held, by="customer")
        assert bank.ask("GET", "/v1/payments/p2").json()["in_force"] == "hold"
        late = oversight._clock() + 60 * 86_400_000_000
        oversight._clock = lambda: late
        told = bank.ask("GET", "/v1/payments/p2").json()
        assert (told["action"], told["in_force"]) == ("hold", "suspended")


def test_alerts_of_a_scorer_that_was_only_observed_open_no_case(tmp_path: Path) -> None:
    from tallystick.proof import Draft

    with running(tmp_path) as bank:
        observed = {"answer": "review", "payment": made_payment(1).record(), "score": "0.9"}
        bank.node.record_many([Draft("decision.made", {"level": "L0", "model": "ab" * 32}, fields=observed)])
        lost = bank.serving.engine.decide(made_payment(2, amount=LARGE))
    with running(tmp_path) as bank:
        assert [case.decision for case in bank.serving.cases.queue()] == [lost.statement]


def test_an_appealed_hold_is_reviewed_by_two_while_the_service_runs(tmp_path: Path) -> None:
    with running(tmp_path) as bank:
        held = bank.pay(1, LARGE)["statement"]
        bank.ask("POST", "/v1/appeals", json={"decision": held, "grounds": "it was me"})
        [waiting] = bank.ask("GET", "/v1/appeals", role="review").json()["appeals"]
        assert (waiting["decision"], waiting["heard"]) == (held, 0)
        path, said = f"/v1/appeals/{held}/review", {"to": "approve", "note": "she called"}
        assert bank.ask("POST", path, json=said).status_code == 403  # who decides does not review
        assert bank.ask("POST", path, role="review", json=said).status_code == 200
        assert bank.ask("POST", path, role="review", json=said).status_code == 403  # the same person
        assert bank.ask("GET", "/v1/payments/p1").json()["in_force"] == "hold"
        assert bank.ask("POST", path, role="ben", json=said).status_code == 200
        assert bank.ask("GET", "/v1/payments/p1").json()["in_force"] == "approve"
        assert bank.ask("GET", "/v1/appeals", role="review").json()["appeals"] == []
        assert bank.ask("POST", path, role="ben", json={"to": "hold"}).status_code == 422


def test_an_appeal_reaches_oversight(tmp_path: Path) -> None:
    with running(tmp_path) as bank:
        statement = bank.pay(1, LARGE)["statement"]
        said = {"decision": statement, "grounds": "it is my own account"}
        assert len(bank.ask("POST", "/v1/appeals", json=said).json()["statement"]) == 64
        assert bank.ask("POST", "/v1/appeals", json=said).status_code in (400, 409)


def test_the_whole_journal_is_hashed_again_behind_the_start(tmp_path: Path) -> None:
    with running(tmp_path) as bank:
        for number in range(20):
            bank.pay(number)
    with running(tmp_path) as bank:
        assert eventually(lambda: bank.serving.standing().verification == "done")
        assert bank.serving.standing().verified > 20
        assert bank.serving.standing().journal_bytes > 0


def test_damage_that_is_found_behind_the_start_makes_the_service_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def verify(_journal: object, _progress: object = None) -> Any:
        raise DamagedError("entry 3 is damaged on the disk")

    monkeypatch.setattr(Journal, "verify", verify)
    with running(tmp_path) as bank:
        assert eventually(lambda: bank.serving.standing().verification == "failed")
        assert bank.ask("GET", "/health/ready").status_code == 503
        assert bank.ask("GET", "/health").json()["verification"]["state"] == "failed"


def test_a_full_disk_is_a_503_and_approves_nothing(tmp_path: Path) -> None:
    full = threading.Event()
    files = FaultyFiles(
        OsFiles(), lambda what, _name: errno.ENOSPC if full.is_set() and what == "write" else 0
    )
    bank = Bank(tmp_path, files=files)
    keys, token = Keys().added("hub", ["decide"])
    with bank.engine() as engine:

        def standing() -> Standing:
            return Standing(is_deciding=not engine.stats().stopped)

        app = create_app(FraudService(engine, None, standing), ServerSettings(keys=keys))  # type: ignore[arg-type]
        good = ask(app, token, "POST", DECIDE, json=made_payment(1).record())
        assert good.status_code == 200
        full.set()
        for number in range(2, 6):
            answer = ask(app, token, "POST", DECIDE, json=made_payment(number).record())
            assert answer.status_code == 503
            assert answer.json()["code"].startswith("surroundings.")
            assert int(answer.headers["retry-after"]) >= 1
            assert "action" not in answer.json()
        several = {"payments": [made_payment(number).record() for number in range(6, 9)]}
        assert ask(app, token, "POST", f"{DECIDE}-batch", json=several).status_code == 503
        assert ask(app, token, "GET", "/health/ready").status_code == 503
    bank.close()


@pytest.mark.parametrize("fault", ["slow", "dead"])
def test_a_chain_that_is_slow_or_dead_only_makes_the_backlog_grow(
    tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from tallystick.chain import Profile
    from tallystick.node import ChainSettings

    workspace = tmp_path / "bank"
    with Node.init(workspace, name="Bank A", passphrase=PASSPHRASE, kinds=KINDS, scrypt_n=2) as node:
        profile = replace(Profile.of(str(tmp_path / "chain"), name="chain"))
        node.set_chain(ChainSettings(profile, anchors="0x" + "11" * 20, members="0x" + "22" * 20))
    release, tried = threading.Event(), threading.Event()

    def anchor(self: Node, **_more: Any) -> list[Any]:
        tried.set()
        if fault == "slow":
            release.wait(20)
        raise ChainUnreachableError("no endpoint answered")

    monkeypatch.setattr(Node, "anchor", anchor)
    with running(tmp_path, anchor_s=0.01) as bank:
        try:
            assert tried.wait(20)
            for number in range(5):
                bank.pay(number)
            said = orjson.loads(bank.ask("GET", "/health").content)
            assert said["ready"] is True
            assert said["anchor"]["backlog"] == said["journal"]["statements"] >= 5
            assert said["anchor"]["backlog_s"] > 0
            if fault == "dead":
                assert eventually(lambda: bank.serving.standing().anchor_error != "")
            text = bank.ask("GET", "/metrics", role="operate").text
            assert f"tallystick_anchor_backlog_statements {float(said['journal']['statements'])}" in text
        finally:
            release.set()


def test_a_model_that_is_missing_refuses_to_start_or_falls_to_rules_and_says_so(tmp_path: Path) -> None:
    from tallystick.errors import NotFoundError

    text = """version = 1
[models]
champion_file = "gone.model"
on_missing = "{}"
[policy]
review_score = 1
hold_score = 2
decline_score = 3
"""
    with (
        pytest.raises(NotFoundError, match=r"gone\.model") as caught,
        running(tmp_path, text=text.format("refuse")),
    ):
        pass
    assert 'on_missing = "rules"' in caught.value.hint
    with running(tmp_path, text=text.format("rules")) as bank:
        assert bank.pay(1)["model"] is None
        said = bank.ask("GET", "/health").json()
        assert said["mode"] == "rules"
        assert said["why"].startswith("rules decide alone")


def test_drift_is_measured_from_the_models_own_reference_or_the_service_does_not_start(
    tmp_path: Path,
) -> None:
    import numpy as np

    from tallystick.apps.fraud.deciding import Reference
    from tallystick.errors import ConfigurationError, NotFoundError
    from tallystick.models import LinearModel, NumericFeature, Quantiser

    feature = NumericFeature("amount", "amount", 0, 0, 1, -(2**15), 2**15 - 1, 0, False, "clip")
    model = LinearModel(
        name="made", target="fraud", quantiser=Quantiser((feature,)), labels=("no", "yes"), unit=4_096,
        threshold=5_000, weights=((1,),), biases=(0,), centre=(0,),
    )  # fmt: skip
    inputs = np.arange(2_000, dtype=np.int16).reshape(-1, 1)
    made = Reference.of(model.hash, ("amount",), inputs, inputs[:, 0].astype(np.int64))
    text = """version = 1
[models]
champion_file = "made.model"
reference = "made.reference.json"
[policy]
review_score = 30001
hold_score = 30002
decline_score = 30003
"""
    with running(tmp_path):
        pass
    place = tmp_path / "bank"
    (place / "made.model").write_bytes(model.bytes)
    with pytest.raises(NotFoundError, match="missing"), running(tmp_path, text=text):
        pass
    (place / "made.reference.json").write_bytes(made.format().replace(model.hash.encode(), b"0" * 64))
    with pytest.raises(ConfigurationError, match="another model"), running(tmp_path, text=text):
        pass
    (place / "made.reference.json").write_bytes(made.format())
    with running(tmp_path, text=text) as bank:
        for number in range(1_024):  # all of one amount: nothing like the reference
            bank.serving.engine.submit(made_payment(number), wait=True)
        assert eventually(lambda: bank.serving.standing().drift.get("amount", 0.0) > 0.25)
