"""Trace: follow the links back from a statement, and say at every hop what was shown.

- *recorded*: both statements are verified under the policy and the link is exact (an id is a hash).
- *re-executed*: a check of the hop computed something again (a score, an aggregate) and it came out the same.
- *claimed*: the statement is there, but only its issuer vouches for it, or only a claimed statement links to it.
- *missing*: nobody could hand over the linked statement.

What a hop means is the business of the room that owns the kinds: ``checks`` maps (kind, label) to a function.

Example:
    >>> hop = trace(receipt, resolve=bundle.resolve, checks={}, policy=policy)     # doctest: +SKIP
    >>> hop.standing, [child.label for child in hop.hops]                          # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from tallystick.errors import VerificationError
from tallystick.proof._policies import Policy
from tallystick.proof._receipts import Receipt
from tallystick.proof._verification import Report, verify

__all__ = ["Hop", "HopCheck", "HopStanding", "Resolve", "Traced", "trace"]

HopStanding = Literal["recorded", "re-executed", "claimed", "missing"]
HOP_LIMIT = 10_000  # statements in one trace
DEPTH_LIMIT = 100  # links in a row


@dataclass(frozen=True, slots=True)
class Traced:
    """A statement with its receipt and what verification found."""

    receipt: Receipt
    report: Report


@dataclass(frozen=True, slots=True)
class Hop:
    """One link of a trace and what lies behind it.

    Args:
        label: the link's label, empty for the start.
        statement_id: the linked statement.
        kind: its kind, empty when missing.
        by: whose statement it is.
        standing: recorded, re-executed, claimed or missing.
        text: what was shown, for people.
        hops: the links that this statement has itself.
    """

    label: str
    statement_id: str
    kind: str
    by: str
    standing: HopStanding
    text: str
    hops: tuple[Hop, ...] = ()

    def walk(self) -> Iterator[Hop]:
        """This hop and all below it, depth first."""
        yield self
        for hop in self.hops:
            yield from hop.walk()


Resolve = Callable[[str], Receipt | None]
"""Finds a statement's receipt by its id; None when nobody has it."""

HopCheck = Callable[[Traced, Traced, Resolve], str | None]
"""Computes a hop again (parent, child, resolve): a sentence of what came out the same, None when the parts
that it needs are not opened; raises VerificationError when it came out differently."""


def trace(
    start: Receipt,
    *,
    resolve: Resolve,
    checks: Mapping[tuple[str, str], HopCheck] | None = None,
    policy: Policy | None = None,
) -> Hop:
    """Follow the links of a statement.

    Args:
        start: the receipt to begin with.
        resolve: finds linked receipts in a bundle, a journal or elsewhere.
        checks: (parent kind, label) -> what computes the hop again.
        policy: whom the verifier trusts; a statement of others is *claimed*.

    Returns:
        The start as a hop, with everything behind it.

    Raises:
        VerificationError: something on the way is false, the start is less than the policy asks, or the trace is too
            long.
    """
    return _Tracer(resolve, checks or {}, policy).start(start)


class _Tracer:
    def __init__(
        self, resolve: Resolve, checks: Mapping[tuple[str, str], HopCheck], policy: Policy | None
    ) -> None:
        self._resolve, self.checks, self.policy = resolve, checks, policy
        self.seen: dict[str, Traced] = {}
        self.expanded: set[str] = set()
        self.unmet: dict[str, VerificationError] = {}

    def start(self, receipt: Receipt) -> Hop:
        traced = self._traced(receipt)
        if receipt.statement.id in self.unmet:
            raise self.unmet[receipt.statement.id]
        return self._hop("", traced, self._standing(traced), "", depth=0)

    def resolve(self, link: str) -> Receipt | None:
        """What the caller's resolver hands over, held against the id that was asked for."""
        receipt = self._resolve(link)
        if receipt is not None and receipt.statement.id != link:
            raise VerificationError("a resolver handed over another statement than the one that is linked")
        return receipt

    def _traced(self, receipt: Receipt) -> Traced:
        if receipt.statement.id not in self.seen:
            if len(self.seen) >= HOP_LIMIT:
                raise VerificationError(f"a trace must have at most {HOP_LIMIT} statements")
            self.seen[receipt.statement.id] = Traced(receipt, self._verified(receipt))
        return self.seen[receipt.statement.id]

    def _verified(self, receipt: Receipt) -> Report:
        try:
            return verify(receipt, policy=self.policy)
        except VerificationError as error:
            if not isinstance(error.report, Report):
                raise
            # Intact, but less than the policy asks: the hop is claimed, and the rest of the trace is worth seeing.
            self.unmet[receipt.statement.id] = error
            return error.report

    def _standing(self, traced: Traced) -> HopStanding:
        if traced.receipt.statement.id in self.unmet:
            return "claimed"
        named = traced.report.standing("party") == "proved" or self.policy is None
        return "recorded" if named and traced.report.standing("inclusion") == "proved" else "claimed"

    def _hop(self, label: str, traced: Traced, standing: HopStanding, text: str, *, depth: int) -> Hop:
        statement = traced.receipt.statement
        if depth > DEPTH_LIMIT:
            raise VerificationError(f"a trace must have at most {DEPTH_LIMIT} links in a row")
        hops: tuple[Hop, ...] = ()
        # What lies behind a statement is shown once: two ways to it would otherwise double at every level.
        if statement.id in self.expanded:
            text = (
                f"{text}; as above"
                if text and statement.links
                else text or ("as above" if statement.links else "")
            )
        else:
            self.expanded.add(statement.id)
            hops = tuple(
                self._link(traced, name, link, depth + 1)
                for name, ids in statement.links.items()
                for link in ids
            )
        return Hop(label, statement.id, statement.kind, traced.report.by, standing, text, hops)

    def _link(self, parent: Traced, label: str, link: str, depth: int) -> Hop:
        receipt = self.resolve(link)
        if receipt is None:
            return Hop(label, link, "", "", "missing", "nobody handed over this statement")
        child = self._traced(receipt)
        standing, text = self._standing(child), ""
        if standing == "recorded" and self._standing(parent) != "recorded":
            # Anybody can link to anything; both ends of a recorded link are proved.
            standing, text = "claimed", f"that it belongs here is {parent.report.by}'s word"
        check = self.checks.get((parent.receipt.statement.kind, label))
        if check is not None and standing == "recorded":
            shown = check(parent, child, self.resolve)
            if shown is not None:
                standing, text = "re-executed", shown
        return self._hop(label, child, standing, text, depth=depth)
