"""A workspace's settings are read strictly."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.errors import ConfigurationError, NotFoundError, UnknownFormatError
from tallystick.node._settings import AnchorSettings, ChainSettings, Settings

FULL = Settings(
    name='Hospital "Å" \\ 1',
    journal="main",
    chain=ChainSettings("rpc", "", ("http://a", "http://b"), 4221, "0x" + "1" * 64, "0x1", "0x2", 3),
    anchor=AnchorSettings(7, 0),
)


def test_settings_survive_being_written_and_read() -> None:
    assert Settings.parse(FULL.format()) == FULL


@given(name=st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs"])), path=st.text(min_size=1, max_size=9))
def test_any_name_and_path_survive(name: str, path: str) -> None:
    settings = Settings(name=name, chain=ChainSettings("local", path))
    assert Settings.parse(settings.format()) == settings


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('version = 1\nname = "A"\njornal = "main"', "unknown key jornal", "did you mean journal?"),
        ('version = 1\nname = "A"\n[chain]\nkynd = "none"', "unknown key chain.kynd", "did you mean chain.kind?"),
        ('version = 1\nname = "A"\n[chain]\nkind = "magic"', "chain.kind must be", ""),
        ('version = 1\nname = "A"\n[chain]\nkind = "local"', "needs chain.path", "path ="),
        ('version = 1\nname = "A"\n[chain]\nkind = "rpc"', "needs chain.urls", "urls ="),
        ('version = 1\nname = "A"\n[chain]\nurls = "http://a"', "list of strings", ""),
        ('version = 1\nname = "A"\n[anchor]\nevery_statements = 0', "must be >= 1", ""),
        ('version = 1\nname = "A"\n[anchor]\nevery_statements = true', "whole number", ""),
        ("version = 1", "must say name", ""),
        ('name = "A"', "must say version = 1", ""),
        ("version = ", "not TOML", ""),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_do(text: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        Settings.parse(text)
    assert hint in caught.value.hint


def test_a_later_version_is_refused_as_unknown() -> None:
    with pytest.raises(UnknownFormatError) as caught:
        Settings.parse('version = 2\nname = "A"')
    assert "upgrade" in caught.value.hint


def test_a_directory_without_settings_is_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        Settings.read(tmp_path)
    assert "tallystick init" in caught.value.hint
