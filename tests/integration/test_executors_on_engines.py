"""Models score alike, and cost alike, on the embedded chain and on foundry's anvil: two engines, one answer."""

from __future__ import annotations

import os
import random
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.made_models import int16, make_model

from tallystick.chain import Account, Chain, Keys, Members, Outbox, Seat, connect, hashed_id
from tallystick.models import Executor, IntegerModel, deploy_model, deploy_models
from tallystick.testing import anvil, find_anvil, fund_on_anvil

ROOT = Path(__file__).parents[2]
MISSING = (
    "anvil is not installed, so executors ran on one engine only: run scripts/install_anvil.sh (needs npm)"
)
MODELS: list[IntegerModel] = [
    make_model("linear", 1),
    make_model("linear", 2, labels=5),
    make_model("perceptron", 3),
    make_model("perceptron", 4, labels=3),
    make_model("trees", 5, trees=9),
    make_model("trees", 6, labels=4, depth=3),
]


def scored(chain: Chain, place: Path, *, fund: Any = None) -> list[tuple[str, int, list[tuple[int, ...]]]]:
    """Deploy every model and score inputs; the same gas and scores are due on every engine."""
    account = Account(sha256(b"engines").digest())
    (fund or (lambda chain, address: chain.fund(address)))(chain, account.address)
    keys = Keys(account.address, account.address, sha256(b"card").digest())
    seat = Seat(hashed_id("party"), hashed_id("party/main"), keys)
    found = []
    with Outbox(place, chain, account=account) as outbox:
        members = outbox.send("members", Members.deploy_call([seat], threshold=1)).contract
        models = deploy_models(outbox, chain.web3, members=members, approvals_needed=1)
        for model in MODELS:
            made = deploy_model(outbox, models, model)
            executor, dice = Executor(chain.web3, made.executor), random.Random(model.hash)
            rows = [[int16(dice) for _ in range(model.quantiser.width)] for _ in range(12)]
            scores = [tuple(executor.scores(row)) for row in rows]
            assert scores == [model.scores_inputs(row) for row in rows]
            assert [executor.answer(row) for row in rows] == [model.answer(score) for score in scores]
            found.append((model.hash, made.gas_used, scores))
    return found


def test_two_engines_give_every_model_the_same_scores_for_the_same_gas(tmp_path: Path) -> None:
    binary = find_anvil(ROOT)
    if binary is None:
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    with connect(str(tmp_path / "a.chain"), create=True) as embedded:
        ours = scored(embedded, tmp_path / "ours.sqlite")
    with anvil(binary) as url, connect(url) as foreign:
        theirs = scored(foreign, tmp_path / "theirs.sqlite", fund=fund_on_anvil)
    assert ours == theirs
