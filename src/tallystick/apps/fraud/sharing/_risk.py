"""Risk of terminals and payees over all banks, from sums that nobody sees the parts of.

- Each bank counts payments and frauds per terminal (public ids that banks share) and per bucket of payees' tokens, and
  hands out the counts masked; only the sum over all banks can be read, and anyone who has the masked vectors computes
  it again.
- A bank's own count below `floor` payments is handed in as nothing at all, so no small count leaves a bank, masked or not.
- In the sum, what fewer than `least` payments or fewer than two banks stand behind is suppressed: it gets the prior. The
  sum itself is seen by all members, so this second rule keeps decisions and reports from small numbers, not members.
- What a bank learns of a terminal or a bucket is the sum of the others. Where one other bank alone handed something in, that
  is this bank's exact count, without its name; with two banks it always is. Rounds are never repeated, because the
  difference of two would show what one bank changed.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tallystick.apps.fraud.payments import Payment
from tallystick.errors import ConfigurationError, ConflictError, DataError, EncodingError
from tallystick.learning import LaneSite, aggregate, sum_lanes
from tallystick.proof import Draft, format_json, parse_json

from ._member import Member

__all__ = [
    "RiskCounts",
    "RiskHistory",
    "RiskRound",
    "RiskRule",
    "RiskTable",
    "count_risk",
    "hold_risk_round",
    "risk_again",
]

AGREEMENT_LIMIT: Final = 32 * 1024 * 1024  # bytes
PARTS: Final = ("banks", "frauds", "payments")  # lanes of each terminal and bucket, in order


@dataclass(frozen=True, slots=True)
class RiskRule:
    """What is counted, what is kept back, and how counts become a risk; all members must have the same.

    Args:
        floor: a bank hands in nothing for what it has fewer payments of.
        least: what the sum has fewer payments of is suppressed.
        weight: payments that the prior is worth: risk = (frauds + prior * weight) / (payments + weight).
        bucket_bits: payees share a bucket when the first so many bits of their tokens are equal; 0 to 16.
    """

    floor: int = 5
    least: int = 20
    weight: float = 50.0
    bucket_bits: int = 14

    def __post_init__(self) -> None:
        if self.floor < 1 or self.least < 1 or self.weight <= 0 or not 0 <= self.bucket_bits <= 16:
            raise ConfigurationError("floor and least must be >= 1, weight > 0, bucket bits 0 to 16")

    def bucket(self, token: bytes) -> int:
        """Which bucket a payee's token falls into."""
        return int.from_bytes(token[:2], "big") >> (16 - self.bucket_bits)


@dataclass(frozen=True, slots=True)
class RiskCounts:
    """One bank's own counts; they stay in the bank.

    Args:
        terminals: terminal -> payments and frauds.
        buckets: bucket of payees -> payments and frauds.
    """

    terminals: Mapping[str, tuple[int, int]]
    buckets: Mapping[int, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class RiskTable:
    """What all banks learn from one round.

    Args:
        known_at: microseconds; no payment before it may use it.
        rule: how it was made.
        terminals: terminal -> payments and frauds over all banks; suppressed ones are not there.
        buckets: bucket of payees -> payments and frauds; suppressed ones are not there.
        prior: share of frauds over all that is there.
    """

    known_at: int
    rule: RiskRule
    terminals: Mapping[str, tuple[int, int]]
    buckets: Mapping[int, tuple[int, int]]
    prior: float

    def terminal_risk(self, terminal: str) -> float:
        """Risk of a terminal; the prior for none, an unknown or a suppressed one."""
        return self._risk(self.terminals.get(terminal))

    def payee_risk(self, token: bytes) -> float:
        """Risk of the bucket that a payee is in."""
        return self._risk(self.buckets.get(self.rule.bucket(token)))

    def _risk(self, counted: tuple[int, int] | None) -> float:
        payments, frauds = counted or (0, 0)
        return (frauds + self.prior * self.rule.weight) / (payments + self.rule.weight)


@dataclass(frozen=True, slots=True)
class RiskRound:
    """One finished round, with every byte that a third party needs to compute it again.

    Args:
        run: what the masks were bound to, with the keys.
        number: of the round.
        agreement: what all members agreed on before it: the payload of ``round.opened``.
        updates: party id -> masked vector: the payload of its ``update.committed``.
        table: what follows.
    """

    run: str
    number: int
    agreement: bytes
    updates: Mapping[str, bytes]
    table: RiskTable


def risk_again(agreement: bytes, updates: Sequence[bytes]) -> RiskTable:
    """Compute a round's table again from what the members stated, without any key.

    Args:
        agreement: the payload of ``round.opened``.
        updates: the payload of every member's ``update.committed``; one that is missing leaves noise.

    Raises:
        EncodingError: malformed, or vectors of another shape.
    """
    try:
        said = parse_json(agreement, limit=AGREEMENT_LIMIT)
        rule = RiskRule(said["floor"], said["least"], float(said["weight"]), said["bucket_bits"])
        terminals, known_at = [str(name) for name in said["terminals"]], int(said["known_at"])
    except (KeyError, TypeError, ValueError) as error:
        raise EncodingError("the agreement of a round is malformed") from error
    return _table(sum_lanes(lanes_of(terminals, rule), updates), rule=rule, known_at=known_at)


class RiskHistory:
    """The tables that a bank has, each used from the time at which it was known."""

    def __init__(self) -> None:
        self._tables: list[RiskTable] = []
        self._times: list[int] = []

    def add(self, table: RiskTable) -> None:
        """Take up a table."""
        place = bisect_right(self._times, table.known_at)
        self._tables.insert(place, table)
        self._times.insert(place, table.known_at)

    def at(self, at: int) -> RiskTable | None:
        """The newest table that was known at a moment, or None."""
        place = bisect_right(self._times, at)
        return self._tables[place - 1] if place else None


def count_risk(
    payments: Iterable[tuple[Payment, bool]], *, tokens: Mapping[str, bytes], rule: RiskRule
) -> RiskCounts:
    """Count one bank's payments and frauds.

    Args:
        payments: each with what is known of it now; leave out those whose label may still come.
        tokens: payee -> token; payees without one are not counted.
        rule: the members' rule.
    """
    terminals: dict[str, list[int]] = {}
    buckets: dict[int, list[int]] = {}
    for payment, fraud in payments:
        counted = [terminals.setdefault(payment.terminal, [0, 0])] if payment.terminal else []
        token = tokens.get(payment.payee)
        if token is not None:
            counted.append(buckets.setdefault(rule.bucket(token), [0, 0]))
        for count in counted:
            count[0] += 1
            count[1] += fraud
    return RiskCounts(
        {name: (count[0], count[1]) for name, count in terminals.items()},
        {bucket: (count[0], count[1]) for bucket, count in buckets.items()},
    )


def hold_risk_round(
    members: Sequence[Member],
    counts: Sequence[RiskCounts],
    *,
    terminals: Sequence[str],
    number: int,
    known_at: int,
    rule: RiskRule | None = None,
) -> RiskRound:
    """Hold one round between members in one process; every member states it, and is bound to its vector before the sum.

    Args:
        members: at least two, in one epoch.
        counts: each one's own counts, in the same order.
        terminals: the terminals that are counted, the same list for all: ids that banks share anyway.
        number: of the round, 1, 2, ...; one a day is enough, and a round is never repeated with other counts.
        known_at: microseconds; from then on the table is used.
        rule: what is counted and kept back.

    Raises:
        ConflictError: a member took part in this round before.
        DataError: fewer than two members, a terminal twice, or counts that do not fit the members.
    """
    if len(members) < 2 or len(counts) != len(members) or len(set(terminals)) != len(terminals):
        raise DataError("a round needs two members, counts of each, and every terminal once")
    rule = rule or RiskRule()
    epoch, lanes = members[0].tokens.epoch, lanes_of(terminals, rule)
    run = f"shared risk, epoch {epoch.number}, round {number}"
    _check_new(members, run)
    agreement = agree(terminals, rule, known_at)
    sites = {member.id: LaneSite(member.id) for member in members}
    keys = {party: site.public_key for party, site in sites.items()}
    # Binds everything that the masks depend on: other lanes, another rule or another key give other masks.
    told = {"agreement": hashlib.sha256(agreement).hexdigest(), "epoch": epoch.id.hex(), "run": run}
    bound = format_json({**told, "keys": {party: key.hex() for party, key in keys.items()}})
    opened = {"round": number, "run": run, "sites": len(members)}
    updates, statements = dict[str, bytes](), list[list[str]]()
    for member, own in zip(members, counts, strict=True):
        sites[member.id].meet(keys, run=hashlib.sha256(bound).digest())
        update = sites[member.id].vector(number, lanes, values_of(own, rule))
        updates[member.id] = update
        committed = {"round": number, "run": run, "update": hashlib.sha256(update).hexdigest()}
        drafts = [
            Draft("round.opened", opened, payload=agreement, media="application/json"),
            Draft("update.committed", committed, payload=update),
        ]
        statements.append([entry.id for entry in member.bank.record_many(drafts)])
    for member, stated in zip(members, statements, strict=True):
        close_round(member, stated, updates, number=number, run=run)
    return RiskRound(run, number, agreement, updates, risk_again(agreement, list(updates.values())))


def _check_new(members: Sequence[Member], run: str) -> None:
    for member in members:
        taken = member.bank.journal.entries(kinds=("update.committed",))
        if any(entry.statement.body.get("run") == run for entry in taken):
            raise ConflictError("this round was held before", hint="hold the next one: one a day is enough")


def agree(terminals: Sequence[str], rule: RiskRule, known_at: int) -> bytes:
    """Write what all members agree on before a round; see `risk_again`."""
    return format_json(
        {
            "bucket_bits": rule.bucket_bits,
            "floor": rule.floor,
            "known_at": known_at,
            "least": rule.least,
            "terminals": sorted(terminals),
            "weight": repr(rule.weight),
        }
    )


def close_round(
    member: Member, stated: Sequence[str], updates: Mapping[str, bytes], *, number: int, run: str
) -> None:
    """State what a member saw of a round: the sum, and how many vectors stand behind it.

    Args:
        member: who states it.
        stated: its own ``round.opened`` and ``update.committed``.
        updates: party id -> masked vector.
        number: of the round.
        run: of the round.
    """
    total = hashlib.sha256(aggregate(list(updates.values()))).hexdigest()
    body = {"aggregate": total, "round": number, "run": run, "updates": len(updates)}
    links = {"round": [stated[0]], "update": [stated[1]]}
    member.bank.record_many([Draft("round.closed", body, links=links)])


def lanes_of(terminals: Sequence[str], rule: RiskRule) -> tuple[str, ...]:
    """Name the lanes of a vector, in order."""
    named = [f"terminal {name}" for name in sorted(terminals)]
    buckets = [f"bucket {bucket}" for bucket in range(1 << rule.bucket_bits)]
    return tuple(f"{part} {name}" for name in [*named, *buckets] for part in PARTS)


def values_of(counts: RiskCounts, rule: RiskRule) -> dict[str, int]:
    """Return the values that one bank hands in: nothing where it counted too few."""
    named: list[tuple[str, tuple[int, int]]] = [
        *((f"terminal {name}", counted) for name, counted in counts.terminals.items()),
        *((f"bucket {bucket}", counted) for bucket, counted in counts.buckets.items()),
    ]
    values: dict[str, int] = {}
    for name, (payments, frauds) in named:
        if payments >= rule.floor:
            values |= {f"banks {name}": 1, f"frauds {name}": frauds, f"payments {name}": payments}
    return values


def _table(sums: Mapping[str, int], *, rule: RiskRule, known_at: int) -> RiskTable:
    terminals: dict[str, tuple[int, int]] = {}
    buckets: dict[int, tuple[int, int]] = {}
    for lane, payments in sums.items():
        part, _, name = lane.partition(" ")
        if part != "payments" or payments < rule.least or sums[f"banks {name}"] < 2:
            continue
        kind, _, id_ = name.partition(" ")
        counted = (payments, sums[f"frauds {name}"])
        if kind == "terminal":
            terminals[id_] = counted
        else:
            buckets[int(id_)] = counted
    counted_all = list(terminals.values()) or list(buckets.values())
    payments_all = sum(payments for payments, _ in counted_all)
    prior = sum(frauds for _, frauds in counted_all) / payments_all if payments_all else 0.0
    return RiskTable(known_at, rule, terminals, buckets, prior)
