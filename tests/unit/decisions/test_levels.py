"""Levels say their price, and an ask that shows more must name who will see it."""

from __future__ import annotations

import pytest

from tallystick.decisions import LEVELS, before_revealing, find_level
from tallystick.errors import DisclosureError, ModelInputError


def test_the_levels_are_those_of_the_design_each_with_claim_and_price() -> None:
    assert list(LEVELS) == ["L0", "L1", "L2", "L3", "L4"]
    assert all(level.claim and level.evidence and level.who_sees.text for level in LEVELS.values())


def test_the_own_nodes_word_needs_nobodys_name() -> None:
    assert before_revealing("L0").title == "signed"


@pytest.mark.parametrize(
    ("level", "who"), [("L1", ("signers",)), ("L2", ("chain", "signers", "watchers")), ("L4", ("chain",))]
)
def test_a_level_that_shows_more_needs_everybody_named(level: str, who: tuple[str, ...]) -> None:
    assert before_revealing(level, who).name == level
    with pytest.raises(DisclosureError, match="input is seen by") as caught:
        before_revealing(level, who[1:])
    assert repr(who) in caught.value.hint


def test_naming_more_than_see_it_is_allowed_and_a_stranger_is_not() -> None:
    assert before_revealing("L1", {"signers", "chain"}).name == "L1"
    with pytest.raises(ModelInputError, match="neighbours"):
        before_revealing("L1", {"signers", "neighbours"})


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ModelInputError, match="L7"):
        find_level("L7")
