"""Sharing: what banks learn together about payees and terminals, without showing each other a customer.

members = share_in_process(nodes, policy=policy, since=now, until=now + month)
members[0].report(payee, customer="c-17")                        # at bank A
members[1].report(payee, customer="k-4")                         # at bank B: two customers, so it is listed
SharedSignals(members[2]).look(payments)                         # at bank C: payee_listed == 1

What is hidden, and what is not:

- A payee is known by a token that needs one answer of every member. No member learns whom another asks about; nobody
  alone, and no n - 1 members together, can try accounts offline. If all members collude, they can.
- Members see how many payees each of them looks up, when, and the purpose that it states. The purpose is its word; that
  look-ups for payments outnumber its payments is what an auditor sees.
- The asker learns whether a payee that it asks about is listed, and whether two of its payees are the same account. A
  member that has a payment to an account, or says so, can test that account: limits make it slow, statements visible.
- Every member knows the tokens, tags and times of all reports and which bank made each. A token reveals no account
  without all shares, but who looks an account up finds its reports. A tag tells a bank's two customers apart for one
  payee; only that bank can say who they are, and only within the epoch.
- Reports travel at once, so their time tells other members when a customer spoke to her bank, to seconds.
- A member can report an innocent payee with two customers that it made up. Its name stands on the statements; the
  payee's bank disputes, which suspends an entry that one bank alone reported; two members remove it; and how often a
  member's reports are overturned is computed by everybody alike.
- At the epoch's end each member destroys its share. Lists, tokens and tags of the epoch then match nothing any more;
  one member that really does is enough.
- Sums over terminals and buckets of payees show what all banks counted together, not whose it was; with two banks each
  one can subtract its own.
"""

from __future__ import annotations

from ._asking import Tokens
from ._epochs import Epoch, Shares, epoch_of
from ._evaluator import Bank, Evaluator
from ._exchange import ListBoard, LocalLink, MemberLink
from ._held import HeldPayees, HoldsReader
from ._holding import HoldAfterReport, StatedHold, report_to_hold, stated_holds
from ._http_link import HttpMemberLink
from ._limits import Limits
from ._lists import ListAgreement, ListDesk, ListPlan, PostedLists
from ._live import LIVE_SIGNALS, LiveSignals
from ._member import Member, connect, open_epoch, share_in_process
from ._payees import KEPT_DAYS, ListStatement, PayeeList
from ._reconciling import LookupDifference, LookupTotals, lookup_totals, reconcile_lookups
from ._requests import PURPOSES
from ._risk import (
    RiskCounts,
    RiskHistory,
    RiskRound,
    RiskRule,
    RiskTable,
    count_risk,
    hold_risk_round,
    risk_again,
)
from ._rounds import Counts, RoundDesk, RoundLink, RoundPlan
from ._share_file import EpochPlan, HoldsSettings, Peer, ShareSettings
from ._sharing import RemoteLink, ShareStanding, Sharing, links_of
from ._signals import SIGNALS, SharedSignals, SignalStatus
from ._sorted_tree import TokenProof, format_token_proof, parse_token_proof
from ._tokens import MAX_POINTS, normalise_payee
from ._words import Listed, ReporterRecord, Word

__all__ = [
    "KEPT_DAYS",
    "LIVE_SIGNALS",
    "MAX_POINTS",
    "PURPOSES",
    "SIGNALS",
    "Bank",
    "Counts",
    "Epoch",
    "EpochPlan",
    "Evaluator",
    "HeldPayees",
    "HoldAfterReport",
    "HoldsReader",
    "HoldsSettings",
    "HttpMemberLink",
    "Limits",
    "ListAgreement",
    "ListBoard",
    "ListDesk",
    "ListPlan",
    "ListStatement",
    "Listed",
    "LiveSignals",
    "LocalLink",
    "LookupDifference",
    "LookupTotals",
    "Member",
    "MemberLink",
    "PayeeList",
    "Peer",
    "PostedLists",
    "RemoteLink",
    "ReporterRecord",
    "RiskCounts",
    "RiskHistory",
    "RiskRound",
    "RiskRule",
    "RiskTable",
    "RoundDesk",
    "RoundLink",
    "RoundPlan",
    "ShareSettings",
    "ShareStanding",
    "SharedSignals",
    "Shares",
    "Sharing",
    "SignalStatus",
    "StatedHold",
    "TokenProof",
    "Tokens",
    "Word",
    "connect",
    "count_risk",
    "epoch_of",
    "format_token_proof",
    "hold_risk_round",
    "links_of",
    "lookup_totals",
    "normalise_payee",
    "open_epoch",
    "parse_token_proof",
    "reconcile_lookups",
    "report_to_hold",
    "risk_again",
    "share_in_process",
    "stated_holds",
]
