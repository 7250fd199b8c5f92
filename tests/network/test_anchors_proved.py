"""Anchors on four validators, proved by any two endpoints or offline by members who read their own; liars named."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.network.hostile_proxy import hostile_proxy
from tests.serving import PASSPHRASE, listening

from tallystick.chain import Profile
from tallystick.cli._app import run
from tallystick.errors import QuorumError
from tallystick.network import Network, funded
from tallystick.node import (
    AnchorSettings,
    Consortium,
    NetworkGround,
    RemoteNode,
    WitnessSettings,
    ask_attestations,
)
from tallystick.proof import Policy, format_policy, parse_note
from tallystick.server import JournalService

pytestmark = [pytest.mark.network, pytest.mark.slow]

Said = pytest.CaptureFixture[str]


@dataclass(frozen=True)
class Anchored:
    """A consortium on the network, with a receipt of its first member and a policy for it."""

    consortium: Consortium
    policy: Policy
    noted: bytes
    bare: bytes
    waited: str


@pytest.fixture(scope="module")
def anchored(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anchored]:
    place, bundle = tmp_path_factory.mktemp("anchored"), network.bundle
    ground = NetworkGround(
        {name: bundle.profile(name) for name in bundle.names},
        treasury=lambda address, wei: funded(bundle, address, wei),
    )
    with Consortium(bundle.names, directory=place, ground=ground, passphrase=PASSPHRASE) as made:
        a, *others = made.nodes
        a.record("document.recorded", {"title": "protocol"})
        with ExitStack() as opened:
            urls = [opened.enter_context(listening(JournalService(node))) for node in others]
            anchor = AnchorSettings(cosigned=2)
            a.settings = replace(a.settings, anchor=anchor, witnesses=WitnessSettings((urls[0],)))
            with pytest.raises(QuorumError) as short:
                a.anchor()
            assert a.claims == []
            a.settings = replace(a.settings, witnesses=WitnessSettings(tuple(urls)))
            (claim,) = a.anchor()
        assert a.gathered.missing == {}
        assert claim.note == ""  # it is noted right after
        receipt = a.receipt(0)
        assert receipt.anchor is not None
        bare = replace(receipt, anchor=replace(receipt.anchor, note=""))
        policy = made.policy(ask=("party", "witnesses", "anchor"))
        yield Anchored(made, policy, receipt.format(), bare.format(), short.value.message)


def verified(said: Said, place: Path, anchored: Anchored, receipt: bytes, *urls: str) -> tuple[int, Any, str]:
    file, mine = place / "r.json", place / "mine.json"
    file.write_bytes(receipt)
    mine.write_bytes(format_policy(anchored.policy))
    said.readouterr()
    rpc = ["--rpc", ",".join(urls)] if urls else []
    code = run(["verify", str(file), "--policy", str(mine), *rpc, "--json"])
    shown = said.readouterr()
    return code, json.loads(shown.out)["files"][0], shown.err


def anchor_lines(found: Any) -> list[tuple[str, str]]:
    return [(line["standing"], line["text"]) for line in found["lines"] if line["topic"] == "anchor"]


def test_k_members_who_read_their_own_nodes_prove_an_anchor_offline(
    anchored: Anchored, tmp_path: Path, capsys: Said
) -> None:
    assert "has 1 of the 2 cosignatures" in anchored.waited
    code, found, _ = verified(capsys, tmp_path, anchored, anchored.noted)
    ((standing, text),) = anchor_lines(found)
    assert (code, standing) == (0, "proved")
    assert "saw on their own nodes" in text
    code, found, _ = verified(capsys, tmp_path, anchored, anchored.bare)
    assert (code, anchor_lines(found)[0][0]) == (1, "claimed")


def test_any_two_endpoints_prove_it_by_url_or_by_the_policys_name(
    anchored: Anchored, network: Network, tmp_path: Path, capsys: Said
) -> None:
    urls = {member.name: member.rpc_url for member in network.bundle.members}
    for one, two in itertools.combinations(urls, 2):
        for words in ((urls[one], urls[two]), (one, two)):
            code, found, err = verified(capsys, tmp_path, anchored, anchored.bare, *words)
            ((standing, text),) = anchor_lines(found)
            assert (code, standing, err) == (0, "proved", "")
            assert "as 2 of your endpoints say" in text
    # One endpoint alone is not enough, whichever name it goes by.
    for words in ((one,), (one, one), (one, urls[one])):
        code, found, _ = verified(capsys, tmp_path, anchored, anchored.bare, *words)
        assert (code, anchor_lines(found)[0][0]) == (1, "claimed")


@pytest.mark.parametrize("mode", ["dead", "other chain", "forged logs", "behind", "forged head"])
def test_one_bad_endpoint_neither_proves_nor_hides_an_anchor(
    anchored: Anchored, network: Network, tmp_path: Path, capsys: Said, mode: str
) -> None:
    first, second, third, _ = (member.rpc_url for member in network.bundle.members)
    with hostile_proxy(first, mode=mode) as proxy:
        name = proxy.url.removeprefix("http://")
        code, found, err = verified(capsys, tmp_path, anchored, anchored.bare, proxy.url, second, third)
        lines = anchor_lines(found)
        assert (code, [standing for standing, _ in lines if standing == "proved"]) == (0, ["proved"])
        shown = err + " ".join(text for _, text in lines)
        # What it says of this anchor may be right, then there is nothing to say of it.
        assert (name in shown) == (mode in ("dead", "other chain", "forged logs"))
        code, found, _ = verified(capsys, tmp_path, anchored, anchored.bare, proxy.url, second)
        assert code == (1 if mode in ("dead", "other chain", "forged logs") else 0)


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        ("dead", "cannot read this on its own node"),
        ("behind", "cannot read this on its own node"),
        ("other chain", "another chain or contract"),
        ("forged logs", "cannot read this on its own node"),
    ],
)
def test_a_witness_signs_only_what_its_own_endpoint_says(
    anchored: Anchored, network: Network, mode: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.network.hostile_proxy.LAG", 10**6)
    a, b, c, _ = anchored.consortium.nodes
    claim = replace(a.claims[0], note="")
    settings = c.settings
    assert settings.chain is not None
    with ExitStack() as opened:
        proxy = opened.enter_context(hostile_proxy(network.bundle.members[2].rpc_url, mode=mode))
        # The others' endpoints are right, and are not asked: what they say is theirs to sign.
        profile: Profile = settings.chain.profile
        bad = replace(profile, urls=(proxy.url, *profile.urls[1:]), timeout_s=2.0)
        c.settings = replace(settings, chain=replace(settings.chain, profile=bad))
        opened.callback(setattr, c, "settings", settings)
        remotes: dict[str, RemoteNode] = {}
        for node in (b, c):
            remotes[node.id] = RemoteNode(opened.enter_context(listening(JournalService(node))))
        told = ask_attestations(a, claim, remotes, need=2, timeout_s=4)
    answers = {answer.party: answer.why for answer in told.answers}
    assert (told.given, answers[b.id]) == (1, "")
    assert why in answers[c.id]
    assert len(parse_note(told.note).signatures) == 1
