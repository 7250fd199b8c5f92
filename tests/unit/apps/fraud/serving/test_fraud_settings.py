"""`fraud.toml`: read as written, everything else refused with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.apps.fraud.deciding import DecisionPolicy
from tallystick.apps.fraud.serving import FraudSettings
from tallystick.errors import ConfigurationError, UnknownFormatError

WHOLE = """version = 1
permit = "ab"

[models]
champion = "fraud@1"
challenger = "fraud@2"
on_missing = "rules"

[policy]
review_score = -5
hold_score = 10
decline_score = 20
cannot_wait = ["instant", "card"]

[engine]
batch = 64

[cases]
hold_s = 60

[[rules]]
name = "large"
title = "a large amount"
code = "R05"
action = "review"
when = ["amount > 500000"]
"""


def test_a_whole_file_is_read() -> None:
    found = FraudSettings.parse(WHOLE)
    assert found.models is not None
    assert (found.models.champion, found.models.on_missing) == ("fraud@1", "rules")
    assert found.policy == DecisionPolicy(-5, 10, 20, ("instant", "card"))
    assert (found.engine.batch, found.cases.hold_s, found.permit) == (64, 60, "ab")
    assert found.rules is not None
    assert [rule.name for rule in found.rules] == ["large"]


def test_without_a_file_the_default_rules_decide_alone(tmp_path: Path) -> None:
    found = FraudSettings.read(tmp_path)
    assert (found.models, found.rules) == (None, None)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version = 1", "", "version = 1"),
        ("[models]", "[model]", "unknown key model"),
        ("on_missing =", "on_mising =", "unknown key models.on_mising"),
        ('"rules"', '"guess"', "refuse or rules"),
        ('champion = "fraud@1"', "", "either champion or"),
        ('champion = "fraud@1"', 'champion = "a"\nchampion_file = "b"', "either champion or"),
        ("review_score = -5", "review_score = 15", "ascend"),
        ("review_score = -5", "review_score = 1.5", "whole number"),
        ("review_score = -5", "", "lacks a key"),
        ('["instant", "card"]', "[1]", "list of texts"),
        ("batch = 64", "batch = 0", "batches of 1 to 256"),
        ("hold_s = 60", "hold_s = 0", "> 0"),
        ('action = "review"', 'action = "burn"', "rule 1"),
        ("[[rules]]", "[rules]", r"\[\[rules\]\]"),
        ('permit = "ab"', "permit = 5", "permit"),
        ("version = 1", "version = = 1", "not TOML"),
    ],
)
def test_what_does_not_fit_is_refused(old: str, new: str, message: str) -> None:
    assert old in WHOLE
    with pytest.raises(ConfigurationError, match=message):
        FraudSettings.parse(WHOLE.replace(old, new))


def test_a_model_needs_thresholds() -> None:
    with pytest.raises(ConfigurationError, match="no policy"):
        FraudSettings.parse('version = 1\n[models]\nchampion = "fraud@1"\n')


def test_a_later_version_and_a_file_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormatError):
        FraudSettings.parse("version = 2\n")
    (tmp_path / "fraud.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        FraudSettings.read(tmp_path)
    (tmp_path / "fraud.toml").write_bytes(b"#" * 300_000)
    with pytest.raises(ConfigurationError, match="bytes"):
        FraudSettings.read(tmp_path)
