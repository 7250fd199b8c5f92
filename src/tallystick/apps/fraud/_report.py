"""The fraud pilot's report, built from its summary alone: every figure on the page stands in `summary.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tallystick.apps.pilots import LABEL, evidence_section, network_section, trace_tree
from tallystick.report import (
    Amounts,
    Bar,
    Figure,
    Forest,
    ForestGroup,
    Grid,
    Interval,
    Lines,
    Points,
    Report,
    Section,
    Share,
    Shares,
)

__all__ = ["build"]

Data = Mapping[str, Any]
TONES: Final = {"approve": "good", "review": "plain", "hold": "warn", "decline": "faint"}
NEEDED: Final = (
    "Each bank runs its own node on its own machine; the chain runs on several of them. Here one operator runs all.",
    "Shadow mode first: your present scorer decides, Tallystick states its decisions and scores beside it.",
    "Shares of an epoch's key in hardware, and a procedure for the day on which one is lost: the epoch is over then.",
    "A written agreement on who may report a payee, on evidence, and on what a wrong report costs.",
    "A data-protection assessment: what is shared here is little, but it is about people who were not asked.",
    "Policies reach verifiers by another way than the bundle that they check.",
)


def build(summary: Data) -> Report:
    """Turn a summary into the pilot's one-page report.

    Args:
        summary: as `run_pilot` makes it.
    """
    sections = [
        _together(summary),
        _live(summary),
        _one(summary),
        _shared(summary),
        evidence_section(summary),
        network_section(summary["network"]) if summary.get("network") else None,
        _next(summary),
    ]
    whose = "your payments" if summary["data"]["own"] else "SIMULATED payments"
    return Report(
        title=f"Tallystick pilot: three banks against fraud · {whose}",
        sentence=_sentence(summary),
        figures=_figures(summary),
        sections=[section for section in sections if section is not None],
        footer=_footer(summary),
    )


def _sentence(summary: Data) -> str:
    alone, federated = summary["arms"][0], summary["arms"][-1]
    replay, forged = summary["replay"], summary.get("forgeries", [])
    caught = sum(bool(item["caught"]) for item in forged)
    start = (
        f"Three banks decided {replay['decisions']:,} payments, each decision signed, explained and durable"
    )
    if alone["value"] and federated["value"]:
        start += (
            f"; together they stop {federated['value']['value']:.0%} of the fraud value where each alone stops "
            f"{alone['value']['value']:.0%}, at the same share of genuine payments stopped ({_difference(federated)})"
        )
    if forged and caught < len(forged):
        return f"{start}; {len(forged) - caught} of {len(forged)} forgeries were NOT caught."
    return f"{start}." if not forged else f"{start}; all {caught} forgeries were caught."


def _difference(arm: Data) -> str:
    """What a case stops more than each bank alone, in words that claim no more than the interval shows."""
    gain = arm["gain"]
    if gain is None:
        return "too little fraud to compare"
    points = f"{100 * gain['value']:+.1f} points, 95% interval {100 * gain['low']:+.1f} to {100 * gain['high']:+.1f}"
    return points if gain["low"] > 0 or gain["high"] < 0 else f"{points}: no difference is shown"


def _figures(summary: Data) -> list[Figure]:
    replay, forged = summary["replay"], summary.get("forgeries", [])
    caught = sum(bool(item["caught"]) for item in forged)
    hold = summary["sharing"]["report_to_hold"]
    waited = _duration(hold["median_s"]) if hold else "none yet"
    return [
        Figure(
            f"{replay['p99_ms']:.1f} ms",
            "99 of 100 decisions took less",
            f"{replay['rate']:,.0f} a second on {summary['machine']}",
        ),
        Figure(
            waited,
            "from a report to a hold at another bank",
            "median, nearly all of it waiting for that payment",
        ),
        Figure(f"{caught} of {len(forged)}", "forgeries caught", "each named in the table below"),
    ]


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


# -- what is stopped -----------------------------------------------------------------------------------------


def _together(summary: Data) -> Section:
    data = summary["data"]
    whose = "your history" if data["own"] else "SIMULATED"
    return Section(
        title=f"What three banks stop alone, with a shared list, and with shared risk ({whose})",
        text=(
            f"{data['replayed']:,} payments of {data['days']} days, {data['frauds']:,} of them fraud "
            f"({data['frauds'] / max(data['replayed'], 1):.2%}), worth {_money(data['value'])}. Each bank's threshold "
            f"lets the same share of genuine payments be stopped in all three cases: {summary['false_positive']:.2%}."
        ),
        parts=[_forest(summary), _curves(summary), _arms(summary)],
    )


def _money(cents: int) -> str:
    return f"{cents / 100:,.0f}"


def _forest(summary: Data) -> Forest:
    arms = summary["arms"]
    alone, federated = arms[0]["value"], arms[-1]["value"]
    title = "Not enough labelled fraud to compare"
    if alone and federated:
        title = f"Fraud value stopped: {alone['value']:.0%} alone, {federated['value']:.0%} together"
    groups = [
        ForestGroup(
            bank["name"],
            f"{bank['frauds']:,} frauds",
            [_interval(arm["banks"][place]["value"]) for arm in arms],
            bank.get("why_not", ""),
        )
        for place, bank in enumerate(summary["data"]["banks"])
    ]
    groups.insert(
        0,
        ForestGroup(
            "all three", f"{summary['data']['frauds']:,} frauds", [_interval(arm["value"]) for arm in arms]
        ),
    )
    return Forest(
        title=title,
        axis="share of the fraud value that is stopped, 0 to 1",
        series=[arm["name"] for arm in arms],
        groups=groups,
        low=0.0,
        high=1.0,
        caption=(
            "95% intervals, whole days drawn anew. Thresholds are set in hindsight, alike for all three. Cases are compared on "
            "the same drawn days (table below): their own intervals overlap more than their difference varies."
        ),
    )


def _interval(found: Data | None) -> Interval | None:
    return None if found is None else Interval(found["value"], found["low"], found["high"])


def _curves(summary: Data) -> Lines:
    arms = [arm for arm in summary["arms"] if len(arm["curve"]) > 1]
    best = max(arms, key=lambda arm: arm["average_precision"])
    return Lines(
        title=f"Average precision is best {best['name']}: {best['average_precision']:.2f}",
        measure="precision: share of alerts that are fraud",
        over="recall: share of fraud payments that raise an alert",
        series=[(arm["name"], [(x, y) for x, y in arm["curve"]]) for arm in arms],
        caption="All three banks' payments of the replay, ranked by each bank's own score.",
    )


def _arms(summary: Data) -> Grid:
    rows = [
        (
            arm["name"],
            f"{arm['frauds_stopped']:,}",
            _money(arm["value_stopped"]),
            f"{arm['recall_at_budget']:.1%}",
            f"{arm['average_precision']:.3f}",
            "" if arm is summary["arms"][0] else _difference(arm),
            arm["what"],
        )
        for arm in summary["arms"]
    ]
    return Grid(
        title="The same payments three times: what is added, and what it brings",
        header=(
            "case",
            "frauds stopped",
            "value stopped",
            "recall at 0.5% alerts",
            "average precision",
            "fraud value stopped, against alone",
            "what is added",
        ),
        rows=rows,
        numeric=frozenset({1, 2, 3, 4}),
    )


# -- in real time --------------------------------------------------------------------------------------------


def _live(summary: Data) -> Section:
    replay = summary["replay"]
    actions = replay["actions"]
    alerts = sum(count for name, count in actions.items() if name != "approve")
    return Section(
        title="Decided one after the other, durable before the answer leaves",
        text=(
            f"{replay['decisions']:,} payments were decided at {replay['rate']:,.0f} a second, three banks in one process, "
            f"{replay['in_flight']} payments on their way at a time. Each statement was on the disk before its answer left; "
            "anchoring follows. Time is from the engine taking the payment to the durable statement."
        ),
        parts=[
            Amounts(
                title=f"Half of the answers took less than {replay['p50_ms']:.1f} ms, 99 of 100 less than {replay['p99_ms']:.1f} ms",
                unit="decisions by the time that they took",
                bars=[Bar(label, float(count), f"{count:,}") for label, count in replay["histogram"]],
            ),
            Shares(
                title=f"{alerts:,} alerts among {replay['decisions']:,} decisions ({alerts / max(replay['decisions'], 1):.2%})",
                unit="decisions",
                parts=[
                    Share(name, count, TONES.get(name, "plain"))  # type: ignore[arg-type]
                    for name, count in actions.items()
                ],
                caption="Review: goes on, a person looks afterwards. Hold: waits for a person; instant payments are declined instead.",
            ),
            Grid(
                title="Three phases of the replay",
                header=("phase", "decisions", "a second", "p50 ms", "p99 ms", "alerts", "frauds among them"),
                rows=[
                    (
                        phase["name"],
                        f"{phase['decisions']:,}",
                        f"{phase['rate']:,.0f}",
                        f"{phase['p50_ms']:.1f}",
                        f"{phase['p99_ms']:.1f}",
                        f"{phase['alerts']:,}",
                        f"{phase['caught']:,} of {phase['frauds']:,}",
                    )
                    for phase in replay["phases"]
                ],
                numeric=frozenset({1, 2, 3, 4, 5}),
            ),
        ],
    )


def _one(summary: Data) -> Section:
    case = summary["case"]
    lines = [(line["standing"], line["text"]) for line in summary["lines"]]
    parts: list[Any] = [
        Grid(
            title="Why this payment was stopped, as the customer is told",
            header=("code", "reason"),
            rows=[(reason["code"], reason["text"]) for reason in case["reasons"]],
            caption="At most four reasons; exact parts of the model's score, after the rules that fired.",
        ),
        Grid(
            title=f"{case['action'].capitalize()} by the engine, {case['outcome']} by people",
            header=("what", "when or who"),
            rows=case["course"],
        ),
        trace_tree(
            summary["trace"],
            title="From the decision back to its model, its data and its permit",
            caption=(
                "Re-executed: computed again from what was opened, offline. Recorded: both statements are proved and the "
                "link is exact. That the inputs are this payment's stays the bank's word."
            ),
        ),
        Grid(title="What the verifier says about this decision", header=("standing", "line"), rows=lines),
    ]
    return Section(title="One alert, from its reasons to its proof", text="", parts=parts)


# -- what is shared ------------------------------------------------------------------------------------------


def _shared(summary: Data) -> Section:
    sharing = summary["sharing"]
    return Section(
        title="What the banks showed each other, and what they did not",
        text=(
            "A payee's token in an epoch can be made only when every bank answers, and no bank learns which payee was "
            "asked about. What is on the chain is a root, a number of entries, and holds on tokens."
        ),
        parts=[
            Grid(
                title=f"{sharing['reports']:,} reports made {sharing['listed']:,} payees listed: two customers each",
                header=("what", "who learns it"),
                rows=_WHO_LEARNS,
            ),
            Grid(
                title=f"{sum(bank['lookups'] for bank in sharing['banks']):,} look-ups, counted by who asked and by who answered",
                header=("bank", "look-ups", "payees reported", "holds after another bank's report"),
                rows=[
                    (bank["name"], f"{bank['lookups']:,}", f"{bank['reported']:,}", f"{bank['holds']:,}")
                    for bank in sharing["banks"]
                ],
                numeric=frozenset({1, 2, 3}),
                caption=sharing["enumeration"],
            ),
            Grid(
                title="Risk of terminals and payees, summed under masks",
                header=("what", "figure"),
                rows=sharing["risk"],
                caption="A masked vector alone is random; only the sum over all banks tells, and anyone can add it up again.",
            ),
            Grid(
                title=f"A hold on the chain, placed on a provable decision: {summary['hold']['gas']:,} gas",
                header=("what", "figure"),
                rows=summary["hold"]["rows"],
                caption="The contract rebuilt the statement's bytes and checked that they stand in the bank's anchored journal.",
            ),
        ],
    )


_WHO_LEARNS: Final[Sequence[Sequence[str]]] = (
    ("which account a payment goes to", "its own bank only"),
    ("who reported a payee", "the reporting bank only; others see that two tags differ"),
    (
        "that a token is reported, and by which bank",
        "all banks; nobody can turn a token into an account alone",
    ),
    ("whether a payee is listed", "a bank that asks about it, and by asking is counted"),
    ("how often a bank asks, and for which purpose", "all banks"),
    ("payments and frauds per terminal", "the sum only, where enough of them came together"),
)


def _next(summary: Data) -> Section:
    data = summary["data"]
    limits = [
        "A member that has a payment to an account can test that account: that is what the list is for. Limits and counts make mass testing visible.",
        "Two customers of a dishonest bank are enough to list a payee. Who reported is stated, and a dispute removes it.",
        "The chain is embedded and run by one operator: what stands there is that operator's claim."
        if summary["chain"]["local"]
        else "Four validators ran on this machine: its operator could have made all of it up.",
        "Thresholds for the comparison are set in hindsight, alike for every case.",
    ]
    if data["own"]:
        limits.insert(
            0,
            "Your customers were split into three by a hash, as if they were of three banks: how much real banks gain from each other shows only with their data."
            if data["split"]
            else "The banks are those that your table names.",
        )
    else:
        limits.insert(
            0,
            "Payments, customers and frauds are SIMULATED; the figures say what the mechanism can do, not what your fraud looks like.",
        )
    return Section(
        title="Before you decide",
        text="",
        parts=[Points("What this pilot is not", limits), Points("What a real consortium would add", NEEDED)],
    )


def _footer(summary: Data) -> str:
    chain = summary["chain"]
    return " · ".join(
        [
            f"Tallystick {summary['version']}",
            f"made {summary['made_at']}",
            f"seed {summary['seed']}",
            f"chain {chain['id']}, anchors {chain['contract']}, Holds {chain['holds']} "
            + ("(the embedded chain: claimed by its operator)" if chain["local"] else f"({LABEL})"),
        ]
    )
