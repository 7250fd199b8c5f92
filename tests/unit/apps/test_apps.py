"""Applications are found by their entry points, and cost nothing until they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tallystick.apps import App, find_app, find_pilot, installed_apps
from tallystick.errors import NotFoundError


def test_the_healthcare_application_is_installed() -> None:
    app = find_app("healthcare")
    assert isinstance(app, App)
    assert app in installed_apps()
    assert app.pilots["healthcare"] is find_pilot("healthcare")
    assert ("decision.made", "model") in app.checks()


def test_an_unknown_application_is_refused_with_the_known_ones() -> None:
    with pytest.raises(NotFoundError) as caught:
        find_app("astrology")
    assert "healthcare" in caught.value.hint


def test_an_unknown_pilot_is_refused_with_the_known_ones() -> None:
    with pytest.raises(NotFoundError) as caught:
        find_pilot("astrology")
    assert "healthcare" in caught.value.hint


def test_loading_an_application_loads_no_model_library_and_no_evm() -> None:
    code = (
        "import sys; from tallystick.apps import find_app; find_app('healthcare').checks();"
        "print(sorted({n.partition('.')[0] for n in sys.modules} & {'numpy', 'web3', 'eth', 'sklearn', 'matplotlib'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
