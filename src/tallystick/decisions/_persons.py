"""When two names are one person's, where two different persons are needed."""

from __future__ import annotations

import unicodedata

__all__ = ["is_same_person", "plain_name"]


def is_same_person(one: str, other: str) -> bool:
    """Say whether two names must be taken for one person's: see `plain_name`.

    Who has two names that differ in their letters cannot be told here.
    """
    return one == other or plain_name(one) == plain_name(other)


def plain_name(name: str) -> str:
    """Return what names are compared by: Unicode's compatible form (NFKC), without case and invisible characters."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    seen = "".join(letter for letter in folded if unicodedata.category(letter) != "Cf")
    return " ".join(seen.split()) or name
