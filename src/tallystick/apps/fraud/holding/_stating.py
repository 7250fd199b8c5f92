"""What a bank states about holds, and how a statement goes to the contract, which writes most of its bytes itself.

    {"at":<at>,"body":{"epoch":1,"level":"L0","token":"<hex>","until":<us>},"kind":"hold.requested","links":<links>,
     "origin":"<origin>",<rest>

The contract is told ``at``, ``links``, ``origin`` and ``rest``, and what the body says as typed values: what stands in
the journal is then about this very token and no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tallystick.errors import StatementError
from tallystick.proof import Entry, Journal, Statement, format_json

__all__ = [
    "DISPUTED",
    "LEVEL",
    "LINKS_LIMIT",
    "MAX_AGE_US",
    "MAX_DURATION_US",
    "RELEASED",
    "REQUESTED",
    "REST_LIMIT",
    "REVIEWED",
    "StatedProof",
    "check_links",
    "prove_statement",
]

REQUESTED: Final = "hold.requested"
RELEASED: Final = "hold.released"
DISPUTED: Final = "hold.disputed"
REVIEWED: Final = "hold.reviewed"
LEVEL: Final = "L0"  # of a hold on a bank's word
LINKS_LIMIT: Final = 2_048  # bytes that the contract takes
REST_LIMIT: Final = 512
MAX_DURATION_US: Final = 10 * 86_400 * 1_000_000  # of a hold
MAX_AGE_US: Final = 7 * 86_400 * 1_000_000  # of a decision, where the contract still takes it


@dataclass(frozen=True, slots=True)
class StatedProof:
    """A statement as the contract takes it, with its place in an anchored journal.

    Args:
        at: microseconds, as stated.
        links: canonical JSON.
        origin: of the journal.
        rest: the bytes behind the origin and a comma.
        size: of the anchored head.
        index: of the statement.
        proof: inclusion proof.
    """

    at: int
    links: bytes
    origin: str
    rest: bytes
    size: int
    index: int
    proof: tuple[bytes, ...]

    def fields(self) -> tuple[Any, ...]:
        """Return the struct as the contract takes it."""
        return (
            self.at,
            self.links,
            self.origin.encode(),
            self.rest,
            self.size,
            self.index,
            list(self.proof),
        )


def prove_statement(journal: Journal, entry: Entry, *, size: int) -> StatedProof:
    """Take a statement apart for the contract.

    Args:
        journal: makes the inclusion proof.
        entry: the statement.
        size: of an anchored head that covers it.

    Raises:
        StatementError: its links are too long for the contract.
        NotFoundError: the head does not cover it.
    """
    statement = entry.statement
    links, rest = parts_of(statement)
    path = tuple(journal.inclusion(entry.index, size))
    return StatedProof(statement.at, links, statement.origin, rest, size, entry.index, path)


def parts_of(statement: Statement) -> tuple[bytes, bytes]:
    """Return a statement's links, and what stands behind its origin.

    Raises:
        StatementError: one of them is too long for the contract.
    """
    links = format_json(statement.links)
    head = b'{"at":%d,"body":%b,"kind":"%b","links":%b,"origin":"%b",' % (
        statement.at, format_json(statement.body), statement.kind.encode(), links, statement.origin.encode(),
    )  # fmt: skip
    rest = statement.bytes.removeprefix(head)
    if len(links) > LINKS_LIMIT or len(rest) > REST_LIMIT:
        raise StatementError(
            f"links must have at most {LINKS_LIMIT} bytes for a contract, got {len(links)}",
            hint="link the decision alone: its own links lead further",
        )
    return links, rest


def check_links(links: dict[str, list[str]]) -> None:
    """Refuse links that the contract could not take, before anything is stated.

    Raises:
        StatementError: they are too long.
    """
    if (size := len(format_json(links))) > LINKS_LIMIT:
        raise StatementError(
            f"links must have at most {LINKS_LIMIT} bytes for a contract, got {size}",
            hint="link the decision alone: its own links lead further",
        )
