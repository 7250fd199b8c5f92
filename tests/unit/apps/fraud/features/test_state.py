"""States of windows: exact, and anything else refused."""

from __future__ import annotations

import random
from hashlib import blake2b
from pathlib import Path

import pytest

from tallystick.apps.fraud.features import Limits, Windows
from tallystick.apps.fraud.payments import Label, Payment
from tallystick.errors import DamagedError, UnknownFormatError
from tallystick.proof import OsFiles

START = 1_785_542_400_000_000


def filled(count: int = 300, limit: int = 64) -> Windows:
    dice = random.Random(7)
    windows = Windows(lateness_s=60, label_delay_s=0, utc_offset_s=-3_600, limits=Limits(customer=limit))
    for number in range(count):
        payment = Payment(
            f"p{number}",
            START + number * 10**9,
            number + 1,
            "EUR",
            f"c{dice.randrange(200)}",
            f"m{dice.randrange(5)}",
            card=dice.choice(["", "k"]),
            terminal=dice.choice(["", "t"]),
        )
        windows.take([payment])
        if number % 4 == 0:
            windows.learn([Label(payment, True, payment.at)])
    return windows


def checked(plain: bytes) -> bytes:
    return plain + blake2b(plain, digest_size=32).digest()


def test_a_state_comes_back_with_its_terms_limits_and_order() -> None:
    windows = filled()
    back = Windows.parse_state(windows.format_state())
    assert back.format_state() == windows.format_state()
    assert (back.terms, back.limits) == (windows.terms, windows.limits)
    assert (back.position, back.newest, back.late_taken) == (300, windows.newest, 0)
    assert back.memory() == windows.memory()


def test_eviction_is_the_same_before_and_after_a_restart() -> None:
    whole, half = filled(300), Windows.parse_state(filled(150).format_state())
    dice = random.Random(7)
    for number in range(300):
        payment = Payment(
            f"p{number}",
            START + number * 10**9,
            number + 1,
            "EUR",
            f"c{dice.randrange(200)}",
            f"m{dice.randrange(5)}",
            card=dice.choice(["", "k"]),
            terminal=dice.choice(["", "t"]),
        )
        if number >= 150:
            half.take([payment])
            if number % 4 == 0:
                half.learn([Label(payment, True, payment.at)])
    assert half.format_state() == whole.format_state()
    assert whole.memory()["customers"] <= 64


def test_a_copy_goes_its_own_way() -> None:
    windows = filled(50)
    state = windows.format_state()
    copied = windows.copy()
    windows.take([Payment("later", START + 10**12, 5, "EUR", "c1", "m1", card="k", terminal="t")])
    assert copied.format_state() == state != windows.format_state()
    copied.take([Payment("later", START + 10**12, 5, "EUR", "c1", "m1", card="k", terminal="t")])
    assert copied.format_state() == windows.format_state()


def test_an_empty_state_comes_back() -> None:
    assert Windows.parse_state(Windows().format_state()).format_state() == Windows().format_state()


def test_every_damaged_byte_is_noticed() -> None:
    state = filled(20).format_state()
    for place in range(len(state)):
        damaged = bytearray(state)
        damaged[place] ^= 0x40
        with pytest.raises((DamagedError, UnknownFormatError)):
            Windows.parse_state(bytes(damaged))


def test_every_shorter_state_is_noticed() -> None:
    state = filled(5).format_state()
    for size in range(len(state)):
        with pytest.raises((DamagedError, UnknownFormatError)):
            Windows.parse_state(state[:size])
    with pytest.raises(DamagedError):
        Windows.parse_state(state + b"\0")


def test_sizes_that_do_not_fit_are_refused_even_under_a_right_checksum() -> None:
    plain = filled(5).format_state()[:-32]
    for place in range(16 + 88, 16 + 88 + 24):
        wrong = bytearray(plain)
        wrong[place] ^= 0x7F
        with pytest.raises(DamagedError):
            Windows.parse_state(checked(bytes(wrong)))
    for cut in range(16, len(plain), 7):
        with pytest.raises(DamagedError):
            Windows.parse_state(checked(plain[:cut]))
    with pytest.raises(DamagedError):
        Windows.parse_state(checked(plain + b"\0"))


def test_terms_and_names_that_cannot_be_are_refused_even_under_a_right_checksum() -> None:
    plain = filled(5).format_state()[:-32]
    lateness = plain[:40] + b"\xff" * 8 + plain[48:]
    name = plain.replace(b"m0", b"\xff0").replace(b"m1", b"\xff1").replace(b"m4", b"\xff4")
    for wrong in (lateness, name):
        assert wrong != plain
        with pytest.raises(DamagedError):
            Windows.parse_state(checked(wrong))


def test_a_state_of_another_version_is_told_apart_from_damage() -> None:
    state = bytearray(Windows().format_state())
    state[15] = 2
    with pytest.raises(UnknownFormatError):
        Windows.parse_state(bytes(state))


def test_a_snapshot_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "windows.state"
    filled(10).write_snapshot(OsFiles(), path)
    windows = filled(20)
    windows.write_snapshot(OsFiles(), path)
    assert Windows.parse_state(path.read_bytes()).position == 20
    assert path.stat().st_mode & 0o077 == 0
    assert [one.name for one in tmp_path.iterdir()] == ["windows.state"]
