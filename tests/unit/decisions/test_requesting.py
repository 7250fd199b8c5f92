"""A request and its opening are made together, and only where the level, the panel and the model fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from office import heart, row

from tallystick.decisions import Panel, make_request
from tallystick.errors import ConfigurationError, DisclosureError, ModelInputError
from tallystick.models import NumericFeature, Quantiser

SIGNER, WATCHER = "0x" + "0a" * 20, "0x" + "0b" * 20
PANEL = Panel((SIGNER,), 1, (WATCHER,), 1, 10, 60, 3)
EVERYBODY = ("chain", "signers", "watchers")


def make(level: str, **options: Any) -> Any:
    given = {"panel": None if level == "L4" else PANEL, "reveal": EVERYBODY}
    return make_request(heart(), row(70), level=level, **{**given, **options})


@pytest.mark.parametrize("level", ["L0", "L1", "L2", "L4"])
def test_terms_commit_to_what_the_opening_opens(level: str) -> None:
    terms, opening = make(level, fee=5)
    opening.check(terms.input)
    assert (terms.model, terms.level, terms.fee) == (heart().hash, int(level[1]), 5)
    assert terms.panel == (bytes(32) if level == "L4" else PANEL.id)


def test_each_request_has_a_salt_of_its_own() -> None:
    assert make("L1")[0].input != make("L1")[0].input


@pytest.mark.parametrize("level", ["L1", "L2", "L4"])
def test_a_level_that_shows_more_is_asked_for_first(level: str) -> None:
    with pytest.raises(DisclosureError):
        make(level, reveal=())


def test_a_level_that_no_contract_serves_is_refused() -> None:
    with pytest.raises(ModelInputError, match="a contract serves"):
        make("L3", reveal=("prover",))


def test_a_model_that_no_contract_can_execute_is_refused_where_one_must() -> None:
    wide = tuple(replace(_number(), name=f"f{place}") for place in range(257))
    model = replace(heart(), quantiser=Quantiser(wide), weights=((1,) * 257,), centre=(0,) * 257)
    cells = {feature.name: "1" for feature in wide}
    for level in ("L2", "L4"):
        with pytest.raises(ModelInputError, match="no contract can execute"):
            make_request(model, cells, level=level, panel=None if level == "L4" else PANEL, reveal=EVERYBODY)


def _number() -> NumericFeature:
    return NumericFeature("f", "feature", 0, 0, 1, -10, 10, 0, False)


@pytest.mark.parametrize(("level", "panel"), [("L1", None), ("L4", PANEL), ("L2", Panel((SIGNER,), 1))])
def test_a_panel_that_does_not_fit_the_level_is_refused(level: str, panel: Panel | None) -> None:
    with pytest.raises(ConfigurationError):
        make(level, panel=panel)


def test_an_input_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ModelInputError):
        make_request(heart(), {"age": "NaN", "sex": "male"}, level="L1", panel=PANEL, reveal=EVERYBODY)
