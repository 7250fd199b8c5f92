"""A workspace's settings are read strictly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.chain import Profile
from tallystick.errors import ConfigurationError, NotFoundError, UnknownFormatError
from tallystick.node._settings import (
    AnchorSettings,
    ChainSettings,
    OversightSettings,
    Settings,
    WitnessSettings,
)
from tallystick.proof import ClockBounds

HERE = Path("/workspace")
FULL = Settings(
    name='Hospital "Å" \\ 1',
    journal="main",
    chain=ChainSettings(
        Profile(
            "chain", urls=("http://a", "http://b"), chain_id=4221, genesis="0x" + "1" * 64, timeout_s=2.5
        ),
        "0x" + "1" * 40,
        "0x" + "2" * 40,
        models="0x" + "3" * 40,
        oracle="0x" + "4" * 40,
    ),
    anchor=AnchorSettings(7, 0, cosigned=2),
    oversight=OversightSettings(confirm_s=60),
    witnesses=WitnessSettings(("https://b:8490", "https://c:8490", "https://d:8490"), 2, timeout_seconds=3),
)


def test_settings_survive_being_written_and_read() -> None:
    assert Settings.parse(FULL.format(HERE), HERE) == FULL


def test_whose_endpoints_they_are_stands_beside_the_contract_of_the_members() -> None:
    assert FULL.chain is not None
    profile = replace(FULL.chain.profile, members=("bank-a", "bank-b"), agree=2)
    several = replace(FULL, chain=replace(FULL.chain, profile=profile))
    assert 'whose = ["bank-a", "bank-b"]' in several.format(HERE)
    assert Settings.parse(several.format(HERE), HERE) == several
    alone = several.format(HERE).replace('whose = ["bank-a", "bank-b"]', 'whose = ["bank-a"]')
    with pytest.raises(ConfigurationError, match="one member for each"):
        Settings.parse(alone, HERE)


TEXT = st.text(min_size=1, max_size=9, alphabet=st.characters(exclude_categories=["Cs"]))


@given(name=TEXT, path=TEXT.filter(lambda text: not set(text) & set("/.\0")))
def test_any_name_and_path_survive(name: str, path: str) -> None:
    settings = Settings(name=name, chain=ChainSettings(Profile("chain", path=HERE / path)))
    assert Settings.parse(settings.format(HERE), HERE) == settings


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('version = 1\nname = "A"\njornal = "main"', "unknown key jornal", "did you mean journal?"),
        ('version = 1\nname = "A"\n[chain]\nkynd = "none"', "unknown names .*: kynd", ""),
        ('version = 1\nname = "A"\n[chain]\n', "either a path or urls", "path ="),
        ('version = 1\nname = "A"\n[chain]\nurls = "http://a"', "wrong type", ""),
        ('version = 1\nname = "A"\n[chain]\npath = "c"\nanchors = "0x1"', "40 lower-case hex", ""),
        ('version = 1\nname = "A"\n[anchor]\nevery_statements = 0', "must be >= 1", ""),
        ('version = 1\nname = "A"\n[anchor]\nevery_statements = true', "whole number", ""),
        ('version = 1\nname = "A"\n[chain]\npath = "c"\nmodels = "0xAB"', "chain.models must be 0x", ""),
        ('version = 1\nname = "A"\n[chain]\npath = "c"\noracle = 4', "chain.oracle must be strings", ""),
        ('version = 1\nname = "A"\n[oversight]\nconfirm_s = 0', "must be > 0 seconds", ""),
        ('version = 1\nname = "A"\n[oversight]\nconfirm = 9', "unknown key", "did you mean"),
        ('version = 1\nname = "A"\n[anchor]\ncosigned = -1', "anchor.cosigned must be 0", ""),
        ('version = 1\nname = "A"\n[witnesses]\nurls = ["a", "a"]', "each of them once", ""),
        (
            'version = 1\nname = "A"\n[witnesses]\nurls = ["a", "b"]\nneed = 1',
            "more than half",
            "two histories",
        ),
        ('version = 1\nname = "A"\n[witnesses]\nurls = ["a"]\nneed = 2', "more than half", ""),
        ('version = 1\nname = "A"\n[witnesses]\nevery_seconds = 0', "must be >= 1", ""),
        ("version = 1", "must say name", ""),
        ('name = "A"', "must say version = 1", ""),
        ("version = ", "not TOML", ""),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_do(text: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        Settings.parse(text, HERE)
    assert hint in caught.value.hint


def test_a_later_version_is_refused_as_unknown() -> None:
    with pytest.raises(UnknownFormatError) as caught:
        Settings.parse('version = 2\nname = "A"', HERE)
    assert "upgrade" in caught.value.hint


def test_a_directory_without_settings_is_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        Settings.read(tmp_path)
    assert "tallystick init" in caught.value.hint


def test_the_bounds_of_the_clock_are_read_and_written_back() -> None:
    settings = Settings.parse('version = 1\nname = "A"\n[clock]\nbehind_s = 7200', HERE)
    assert settings.clock == ClockBounds(behind_s=7200)
    assert Settings.parse(settings.format(HERE), HERE) == settings


@pytest.mark.parametrize(("count", "wanted"), [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_so_many_witnesses_are_wanted_that_no_two_histories_can_both_have_them(
    count: int, wanted: int
) -> None:
    assert WitnessSettings(tuple("abcde"[:count])).wanted == wanted
