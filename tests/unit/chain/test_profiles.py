"""A profile says which chain is meant, and is read strictly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tallystick.chain import Profile, parse_profile
from tallystick.errors import ConfigurationError

GENESIS = "0x" + "ab" * 32


def test_a_table_becomes_a_profile() -> None:
    profile = parse_profile(
        {
            "name": "net",
            "urls": ["https://a.example"],
            "chain_id": 5,
            "genesis": GENESIS,
            "tip_wei": 3,
            "timeout_s": 2,
        }
    )
    assert profile == Profile(
        "net", urls=("https://a.example",), chain_id=5, genesis=GENESIS, tip_wei=3, timeout_s=2
    )


def test_a_path_becomes_a_profile() -> None:
    assert parse_profile({"path": "pilot.chain"}).path == Path("pilot.chain")


def test_what_a_person_types_is_a_url_or_a_path() -> None:
    assert Profile.of("http://127.0.0.1:8545").urls == ("http://127.0.0.1:8545",)
    assert Profile.of("shared/pilot.chain") == Profile("pilot", path=Path("shared/pilot.chain"))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, "either a path or urls"),
        ({"path": "a", "urls": ["http://b"]}, "either a path or urls"),
        ({"path": "a", "colour": 1}, "unknown names .*colour"),
        ({"urls": ["ftp://a"]}, "http or https"),
        ({"urls": ["http://"]}, "http or https"),
        ({"urls": ["http://[::1"]}, "http or https"),
        ({"urls": [5]}, "must be text"),
        ({"urls": "http://a"}, "urls .* wrong type"),
        ({"path": "a", "chain_id": "5"}, "chain_id .* wrong type"),
        ({"path": "a", "chain_id": True}, "chain_id .* wrong type"),
        ({"path": "a", "chain_id": 0}, "chain_id must be > 0"),
        ({"path": "a", "genesis": "0x12"}, "64 lower-case"),
        ({"path": "a", "finality": "soon"}, "finality must be one of"),
        ({"path": "a", "confirmations": 3}, "confirmations must be"),
        ({"urls": ["http://a"], "finality": "confirmations"}, "confirmations must be"),
        ({"path": "a", "timeout_s": 0}, "timeout_s"),
        ({"path": "a", "tip_wei": -1}, "tip_wei"),
        ({"path": "a", "fee_cap_wei": 0}, "fee_cap_wei"),
    ],
)
def test_what_does_not_fit_is_refused(said: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        parse_profile(said)


def test_no_message_shows_a_url_that_may_hold_a_key() -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_profile({"urls": ["ftp://node.example/v3/secret-key"]})
    assert "secret-key" not in str(refused.value)
