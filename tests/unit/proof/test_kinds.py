"""Kinds: strict about a body at append."""

from __future__ import annotations

from typing import Any

import pytest

from tallystick.errors import StatementError
from tallystick.proof import STANDARD_KINDS, Kind, Kinds

EVERY = Kind(
    "thing.said",
    {
        "count": "count", "decimal": "decimal?", "digest": "digest?", "flag": "flag?", "integer": "integer?", "names": "names?",
        "object": "object?", "text": "text?",
    },
)  # fmt: skip
GOOD: dict[str, list[Any]] = {
    "count": [0, 1, 2**53 - 1],
    "decimal": ["0", "-1", "12.50", "0.001"],
    "digest": ["0" * 64, "f" * 64],
    "flag": [True, False],
    "integer": [0, -1, 2**53 - 1, -(2**53) + 1],
    "names": [[], ["a", "b"]],
    "object": [{}, [], 1, None, {"a": [1]}],
    "text": ["a", "x" * 500],
}
BAD: dict[str, list[Any]] = {
    "count": [-1, 2**53, True, 1.0, "1", None],
    "decimal": ["", "1.", ".5", "01", "1e5", "NaN", "+1", " 1", "1\n", 1, None, "\u0661"],
    "digest": ["0" * 63, "F" * 64, "0" * 65, b"0" * 64, None],
    "flag": [0, 1, "true", None],
    "integer": [2**53, True, 1.5, "1", None],
    "names": ["a", ["a", 1], [""], ["x" * 501], ["a"] * 201, None, ("a",)],
    "object": [1.5, b"x", {"\u00e9": 1}, object()],
    "text": ["", "x" * 501, 1, None, ["a"]],
}


@pytest.mark.parametrize("name", GOOD)
def test_a_field_of_its_type_is_accepted_and_another_is_refused(name: str) -> None:
    for value in GOOD[name]:
        EVERY.check({"count": 1, name: value})
    for value in BAD[name]:
        with pytest.raises(StatementError):
            EVERY.check({"count": 1, name: value})


def test_missing_and_unknown_fields_are_refused_with_what_is_known() -> None:
    for body in ({}, {"flag": True}, {"count": 1, "more": 1}):
        with pytest.raises(StatementError) as caught:
            EVERY.check(body)
        assert "count: count" in caught.value.hint


def test_every_body_may_carry_an_author() -> None:
    EVERY.check({"count": 1, "author": {"key": "x"}})
    with pytest.raises(StatementError):
        EVERY.check({"count": 1, "author": 1.5})


@pytest.mark.parametrize("name", ["", "a", "A.b", "a.B", "a b.c", "a.b\n", "a..b", "-a.b", "a.b-c"])
def test_a_kind_is_named_noun_verb(name: str) -> None:
    with pytest.raises(StatementError):
        Kind(name, {})


def test_an_unknown_field_type_is_refused() -> None:
    with pytest.raises(StatementError):
        Kind("a.b", {"x": "float"})


def test_an_application_adds_kinds_and_cannot_change_others() -> None:
    more = STANDARD_KINDS.extended([EVERY])
    assert "thing.said" in more
    assert "thing.said" not in STANDARD_KINDS
    assert more.extended([EVERY]).check("thing.said", {"count": 1}) is None
    with pytest.raises(StatementError):
        more.extended([Kind("document.recorded", {"title": "flag"})])


def test_an_unknown_kind_is_refused_at_append() -> None:
    with pytest.raises(StatementError) as caught:
        STANDARD_KINDS.check("comet.sighted", {})
    assert "document.recorded" in caught.value.hint


def test_kinds_are_listed_in_order() -> None:
    names = [kind.name for kind in Kinds([Kind("b.c", {}), Kind("a.b", {})])]
    assert names == ["a.b", "b.c"]
    assert len(list(STANDARD_KINDS)) > 10
