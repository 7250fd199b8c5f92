"""Faults of one member's endpoint, as a proxy before an honest node shows them: it is dead, slow, behind, or lies.

One party asks through that endpoint first and holds it against another member's (`agree = 2`); the other party asks as
its settings say. What must come out of it: nothing lost, nothing twice, and whoever lied is named in the party's journal.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from tests.network.hostile_proxy import HostileProxy, hostile_proxy

from faults.load import Party
from faults.rows import FaultRow
from faults.stage import Ground, Stage
from faults.trial import Trial

__all__ = ["endpoints"]

AGREE = 2
ASK_S = 5.0  # one question; a slow endpoint answers just before
# What the proxy does -> by which words the node may state it; one that is only away is not held against its member.
NAMED: dict[str, frozenset[str]] = {
    "dead": frozenset(),
    "slow": frozenset(),
    "behind": frozenset({"behind"}),
    "other chain": frozenset({"other-chain", "differs"}),
    "forged receipts": frozenset({"differs"}),
    "forged logs": frozenset({"differs"}),
    "forged head": frozenset({"ahead"}),
}
WORDS = {
    "dead": "is dead",
    "slow": "is slow",
    "behind": "is behind",
    "other chain": "is of another chain",
    "forged receipts": "forges receipts",
    "forged logs": "forges logs",
    "forged head": "forges its head",
}


def endpoints(ground: Ground) -> list[FaultRow]:
    """Let one endpoint do each of them in turn."""
    return [_tried(ground.stage(), mode) for mode in NAMED]


def _tried(stage: Stage, mode: str) -> FaultRow:
    bundle, party = stage.network.bundle, stage.parties[0]
    with ExitStack() as stack:
        proxy = stack.enter_context(hostile_proxy(bundle.member(0).rpc_url))
        honest = bundle.profile(0, agree=AGREE)
        through = replace(honest, urls=(proxy.url, *honest.urls[1:]), timeout_s=ASK_S)
        with stage.trial(f"endpoint {WORDS[mode]}", [through, bundle.profile(3)]) as trial:
            before, asked = len(_named(party)), len(proxy.asked)
            proxy.mode = mode
            trial.broken()
            trial.resumes()
            _hold_named(trial, party, honest.members[0], NAMED[mode], before)
            _hold_asked(trial, proxy, asked)
            proxy.mode = ""
            trial.mended()
            trial.recovers()
    return trial.row


def _hold_named(trial: Trial, party: Party, member: str, reasons: frozenset[str], before: int) -> None:
    """Hold that who lied is stated, and nobody else is."""
    began = time.monotonic()
    if reasons:
        trial.wait(lambda: len(_named(party)) > before, "who lied was not named")
        trial.tell(f"named after {time.monotonic() - began:.1f} s more")
    for said in _named(party)[before:]:
        if said.get("member") != member or said["reason"] not in reasons:
            trial.wrong(f"{said.get('member')} was named: {said['reason']}")


def _hold_asked(trial: Trial, proxy: HostileProxy, before: int) -> None:
    if len(proxy.asked) <= before:
        trial.wrong("the endpoint was never asked, so nothing was tried")


def _named(party: Party) -> list[dict[str, Any]]:
    """What the party's journal says of endpoints."""
    return [
        dict(entry.statement.body) for entry in party.node.journal.entries(kinds=("endpoint.quarantined",))
    ]
