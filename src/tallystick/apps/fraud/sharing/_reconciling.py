"""What an auditor compares: look-ups that a bank says it made, and those that the others say they served it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tallystick.proof import Bundle, Policy, parse_bundle, verify

__all__ = ["LookupDifference", "LookupTotals", "lookup_totals", "reconcile_lookups"]

KINDS = ("lookup.made", "lookup.served")


@dataclass(frozen=True, slots=True)
class LookupDifference:
    """Two banks that count differently.

    Args:
        asker: party id of the bank that looked up.
        member: party id of the bank that answered.
        epoch: number of the epoch.
        purpose: as stated.
        made: payees that the asker says it looked up.
        served: payees that the member says it was asked for, answered or refused.
    """

    asker: str
    member: str
    epoch: int
    purpose: str
    made: int
    served: int


@dataclass(frozen=True, slots=True)
class LookupTotals:
    """What one bank looked up, as the bank that was asked most says; the bank itself may have said less.

    Args:
        asker: party id.
        epoch: number of the epoch.
        purpose: as stated.
        count: payees that were answered.
        refused: payees beyond its allowance.
    """

    asker: str
    epoch: int
    purpose: str
    count: int
    refused: int


def reconcile_lookups(
    bundles: Iterable[bytes | Bundle], *, policy: Policy | None = None
) -> tuple[LookupDifference, ...]:
    """Compare both sides' counts; empty when they agree.

    A statement that a bundle leaves out shows as a difference, and so does one of another time: take bundles up to heads
    before which both sides have stated what waited.

    Args:
        bundles: with the statements ``lookup.made`` and ``lookup.served`` of the banks in question.
        policy: whom the auditor trusts; without it names stay claimed, see `verify`.

    Raises:
        VerificationError: a receipt does not hold.
    """
    made, served = Counter[tuple[str, str, int, str]](), Counter[tuple[str, str, int, str]]()
    for party, kind, body in _bodies(bundles, policy):
        if kind == "lookup.made":
            made[party, body["member"], body["epoch"], body["purpose"]] += body["count"]
        else:
            count = body["count"] + body.get("refused", 0)
            served[body["asker"], party, body["epoch"], body["purpose"]] += count
    return tuple(
        LookupDifference(*key, made[key], served[key])
        for key in sorted(made.keys() | served.keys())
        if made[key] != served[key]
    )


def lookup_totals(
    bundles: Iterable[bytes | Bundle], *, policy: Policy | None = None
) -> tuple[LookupTotals, ...]:
    """Say how much each bank looked up and for what, by the journals of those that served it.

    An auditor holds a bank's look-ups for payments against the number of its decisions: who looks up far more payees
    than it pays is trying accounts.

    Args:
        bundles: with the statements ``lookup.served`` of all members.
        policy: as for `reconcile_lookups`.
    """
    by_member: dict[tuple[str, int, str], dict[str, list[int]]] = {}
    for party, kind, body in _bodies(bundles, policy):
        if kind == "lookup.served":
            members = by_member.setdefault((body["asker"], body["epoch"], body["purpose"]), {})
            counts = members.setdefault(party, [0, 0])
            counts[0] += body["count"]
            counts[1] += body.get("refused", 0)
    return tuple(
        LookupTotals(
            *key, max(count for count, _ in members.values()), max(over for _, over in members.values())
        )
        for key, members in sorted(by_member.items())
    )


def _bodies(
    bundles: Iterable[bytes | Bundle], policy: Policy | None
) -> Sequence[tuple[str, str, dict[str, Any]]]:
    seen: dict[str, tuple[str, str, dict[str, Any]]] = {}
    for item in bundles:
        bundle = item if isinstance(item, Bundle) else parse_bundle(item)
        for id_, receipt in bundle.receipts.items():
            statement = receipt.statement
            if statement.kind in KINDS and id_ not in seen:
                verify(receipt, policy=policy)
                seen[id_] = (statement.party, statement.kind, dict(statement.body))
    return list(seen.values())
