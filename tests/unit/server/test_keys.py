"""API keys: kept as hashes, in a file that is its owner's alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tallystick.errors import ConfigurationError, ConflictError, NotFoundError, RateLimitError
from tallystick.server import ApiKey, Keys, KeysFile
from tallystick.server._limits import RateLimits


def test_a_key_is_found_by_its_text_and_kept_as_a_hash(tmp_path: Path) -> None:
    keys, token = Keys().added("payment hub", ["decide"])
    keys, other = keys.added('odd "name" ü', ["review", "audit"], per_second=7)
    keys.write(tmp_path / "keys.toml")
    text = (tmp_path / "keys.toml").read_text("utf-8")
    assert token not in text
    assert token.rpartition("_")[2] not in text
    again = Keys.read(tmp_path / "keys.toml")
    assert again.keys == keys.keys
    found = again.find(token)
    assert found is not None
    assert found.name == "payment hub"
    assert again.find(other) == keys.keys[1]
    assert again.find(token[:-1]) is None
    assert again.find(token[:13] + other[13:]) is None
    assert again.find("") is None


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    Keys().added("a", ["decide"])[0].write(path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="its owner's alone"):
        Keys.read(path)


def test_no_file_is_no_keys(tmp_path: Path) -> None:
    assert Keys.read(tmp_path / "keys.toml").keys == ()


def test_a_name_has_one_key_until_it_is_removed() -> None:
    keys, token = Keys().added("a", ["decide"])
    with pytest.raises(ConflictError):
        keys.added("a", ["audit"])
    assert keys.removed("a").find(token) is None
    with pytest.raises(NotFoundError):
        keys.removed("b")


@pytest.mark.parametrize("name", ["Ana", "ANA", "ána", "\uff41na"])
def test_one_person_gets_no_second_key_by_writing_her_name_otherwise(name: str) -> None:
    keys, _ = Keys().added("ana", ["review"])
    if name == "ána":  # another person
        assert len(keys.added(name, ["review"])[0].keys) == 2
        return
    with pytest.raises(ConflictError):
        keys.added(name, ["review"])
    with pytest.raises(ConfigurationError):
        Keys([*keys.keys, replace(keys.keys[0], id="00000000", name=name)])


@pytest.mark.parametrize(
    ("name", "roles"), [("", ["decide"]), (" a", ["decide"]), ("a", []), ("a", ["king"])]
)
def test_a_key_that_does_not_fit_is_refused(name: str, roles: list[str]) -> None:
    with pytest.raises(ConfigurationError):
        Keys().added(name, roles)


GOOD = Keys().added("a", ["decide"])[0].format()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version = 1", "version = 2"), ("name =", "nome ="), ('roles = ["decide"]', 'roles = "decide"'),
        ('roles = ["decide"]', "roles = [5]"), ("sha256 = \"", 'sha256 = "zz'), ("[[key]]", "[key]"),
        ("[[key]]", "[[key]"), ("created_at = ", "created_at = -"), ('id = "', 'id = "z'),
    ],
)  # fmt: skip
def test_a_file_that_is_not_ours_is_refused(old: str, new: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigurationError):
        Keys.parse(GOOD.replace(old, new))


def test_a_bucket_fills_with_time_and_lets_a_whole_batch_go_into_debt() -> None:
    now = [0.0]
    limits = RateLimits(10, 2, now=lambda: now[0])
    key = ApiKey("00000000", "a", frozenset({"decide"}), bytes(32), 0)
    limits.take(key, 20)
    with pytest.raises(RateLimitError) as caught:
        limits.take(key)
    assert caught.value.wait_s == pytest.approx(0.1)  # type: ignore[attr-defined]
    now[0] = 2.0
    limits.take(
        key, 50
    )  # more than the bucket holds: goes when it is full, and the debt has to be waited for
    now[0] = 5.0
    with pytest.raises(RateLimitError):
        limits.take(key)
    now[0] = 5.2
    limits.take(key)


def test_a_running_service_takes_a_new_key_and_refuses_a_removed_one(tmp_path: Path) -> None:
    path, seconds, told = tmp_path / "keys.toml", [0.0], list[str]()
    keys, token = Keys().added("hub", ["decide"])
    file = KeysFile(path, wrong=lambda error: told.append(error.code), timer=lambda: seconds[0])
    assert file.find(token) is None
    keys.write(path)
    assert file.find(token) is None  # it looks once a second
    seconds[0] = 1.0
    assert file.find(token) == keys.keys[0]
    more, other = keys.added("ana", ["review"])
    more.removed("hub").write(path)
    seconds[0] = 2.0
    assert file.find(token) is None
    assert [key.name for key in file.keys] == ["ana"]
    path.unlink()
    seconds[0] = 3.0
    assert file.find(other) is None
    assert told == []


def test_a_file_of_keys_that_went_wrong_changes_nothing_and_is_told_once(tmp_path: Path) -> None:
    path, seconds, told = tmp_path / "keys.toml", [0.0], list[str]()
    keys, token = Keys().added("hub", ["decide"])
    keys.write(path)
    file = KeysFile(path, wrong=lambda error: told.append(error.code), timer=lambda: seconds[0])
    path.write_text("version = 2")
    for second in (1.0, 2.0, 3.0):
        seconds[0] = second
        assert file.find(token) is not None
    assert told == ["input.configuration"]
    path.chmod(0o644)
    seconds[0] = 4.0
    assert file.find(token) is not None
    assert told == ["input.configuration"] * 2
