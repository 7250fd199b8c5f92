"""Settings of windows: what they open, and what they refuse."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tallystick.apps.fraud.features import FeatureSettings, Windows
from tallystick.errors import ConfigurationError, StorageError


def test_windows_are_in_this_process_unless_a_redis_is_named() -> None:
    made = FeatureSettings(lateness_s=5, label_delay_s=60, utc_offset_s=3_600).open()
    assert isinstance(made, Windows)
    assert (made.terms.lateness_s, made.terms.label_delay_s, made.terms.utc_offset_s) == (5, 60, 3_600)


def test_a_named_redis_that_does_not_answer_is_an_error_and_not_windows_of_ones_own() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(StorageError):
        FeatureSettings(redis=f"redis://127.0.0.1:{port}/0").open()


@pytest.mark.parametrize(
    "wrong",
    [{"lateness_s": -1}, {"label_delay_s": "week"}, {"utc_offset_s": 10**6}, {"redis": 1}, {"prefix": ""}],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        FeatureSettings(**wrong)
