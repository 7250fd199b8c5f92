"""The pilot's report, built from its summary alone: every figure on the page stands in `summary.json`.

Shape of a summary (what a pilot cannot fill, it leaves out; the page then leaves that part out too):

    {"v": 1, "made_at": "2026-11-22 18:00 UTC", "version": "0.1.0", "seed": 0,
     "data":       from `_figures.learned`: name, target, rows, train, test, seed, columns, mended, problems,
                   sites: [{"site", "rows", "yes", "train", "test"}],
     "model":      from `_figures.learned`: name, hash, bytes, rounds, losses, scaling, fidelity, notes,
     "evaluation": from `_figures.learned`: federated, pooled, sites: [{"site", "federated", "alone",
                   "pooled"}], each an `Evaluation.as_dict()`; interval,
     "decision":   {"site": "Cleveland", "answer": "yes", "probability": 0.83, "score": 12345,
                   "reasons": [{"text", "contribution"}],
                   "trace": {"text", "standing", "detail"?, "children"?: [...]},
                   "lines": [{"standing": "proved", "text"}]},
     "standing":   {"proved": 700, "claimed": 231, "missing": 231, "receipts": 231},
     "forgeries":  [{"name": "flip a byte", "what": "one bit of a statement", "caught": true,
                   "by": "VerificationError: …"}],
     "cost":       {"decisions": 231, "disk_bytes_per_million": 1.1e9, "cpu_s_per_million": 900.0,
                   "gas_per_million": 8.0e6, "gas_note": "one anchor per …", "measured_on": "2 cores …"},
     "chain":      {"id", "contract", "block", "statements", "journals", "local"},
     "network":    from `PilotNetwork.summary`, where the pilot ran on one,
     "steps":      [{"name": "register", "text": "4 data sets stated", "seconds": 0.4}]}
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tallystick.apps.pilots import LABEL, evidence_section, network_section, trace_tree
from tallystick.report import (
    Bar,
    Bars,
    Calibration,
    CalibrationPoint,
    Curve,
    Figure,
    Forest,
    ForestGroup,
    Grid,
    Interval,
    Points,
    Report,
    Section,
)

Data = Mapping[str, Any]
NOISE: Final = 0.02  # differences of AUROC below this are not worth a sentence
SETTLED: Final = 0.01  # of log loss over five rounds
CONSORTIUM: Final = (
    "Every member runs its own node on its own machine, with keys that only it holds.",
    "The chain runs on several members' machines; the embedded one is claimed by its operator.",
    "Policies reach verifiers by another way than the bundle that they check.",
    "Consent is checked per person before each round, and a withdrawal is honoured by block.",
    "Privacy accounting: clipping and noise, so that the shared sums tell little about any one person.",
    "Signed round keys and recovery when a member drops out in the middle of a round.",
)
CLINICAL: Final = (
    "Clinical validation on new patients: these are from the 1980s, and this model is no medical device.",
)


def build(summary: Data) -> Report:
    """Turn a summary into the pilot's one-page report.

    Args:
        summary: see this module's text; "data", "model" and "evaluation" must be there.
    """
    data = summary["data"]
    sections = [
        _accuracy(summary),
        _decision(summary),
        evidence_section(summary),
        _costs(summary),
        *([network_section(summary["network"])] if summary.get("network") else []),
        _next(summary),
    ]
    return Report(
        title=f"Tallystick pilot: {_counted(len(data['sites'])).lower()} {_who(data)}s learn together",
        sentence=_sentence(summary),
        figures=_figures(summary),
        sections=[section for section in sections if section is not None],
        footer=_footer(summary),
    )


def _counted(count: int) -> str:
    words = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")
    return words[count] if count < len(words) else str(count)


def _who(data: Data) -> str:
    return "hospital" if data["name"] == "heart" else "site"


def _people(data: Data) -> str:
    return "patients" if data["name"] == "heart" else "rows"


def _sentence(summary: Data) -> str:
    data, forged = summary["data"], summary.get("forgeries", [])
    caught = sum(bool(item["caught"]) for item in forged)
    start = (
        f"{_counted(len(data['sites']))} {_who(data)}s trained one model on {data['train']:,} {_people(data)} without "
        f"moving a row; anyone can check each of its {data['test']:,} decisions from a file"
    )
    if not forged:
        return f"{start}."
    if caught == len(forged):
        return f"{start}; all {caught} forgeries were caught."
    return f"{start}; {len(forged) - caught} of {len(forged)} forgeries were NOT caught."


def _figures(summary: Data) -> list[Figure]:
    data, federated = summary["data"], summary["evaluation"]["federated"]
    auroc, standing, forged = federated["auroc"], summary.get("standing"), summary.get("forgeries")
    figures = [
        Figure(
            value=f"{auroc['value']:.2f}" if auroc else "unknown",
            label="AUROC on patients it never saw"
            if data["name"] == "heart"
            else "AUROC on rows it never saw",
            note=f"95% interval {_range(auroc)}; 0.5 is a coin, 1 is perfect"
            if auroc
            else federated["why_not"],
        )
    ]
    if standing:
        figures.append(
            Figure(f"{standing['proved']:,}", "lines proved", "by the verifier's own policy, offline")
        )
    else:
        figures.append(Figure("0", "rows moved", "only masked sums left a site"))
    if forged:
        caught = sum(bool(item["caught"]) for item in forged)
        figures.append(
            Figure(f"{caught} of {len(forged)}", "forgeries caught", "each named in the table below")
        )
    else:
        figures.append(Figure(str(summary["model"]["rounds"]), "rounds of training", "each one stated"))
    return figures


def _accuracy(summary: Data) -> Section:
    evaluation, data, model = summary["evaluation"], summary["data"], summary["model"]
    fidelity = model["fidelity"]
    parts: list[Any] = [_forest(evaluation, data)]
    calibration = _calibration(evaluation["federated"])
    if calibration is not None:
        parts.append(calibration)
    if len(model["losses"]) > 1:
        parts.append(_learning(model))
    return Section(
        title="How good is the shared model?",
        text=(
            f"Judged on {data['test']} {_people(data)} held out of training (same share per {_who(data)} and outcome, "
            f"seed {data['seed']}). The model is whole numbers only, so that anyone can compute a decision again: "
            f"{fidelity['equal_decisions']} of {fidelity['rows']} decisions equal those with real numbers."
        ),
        parts=parts,
    )


def _forest(evaluation: Data, data: Data) -> Forest:
    series = ("together, no row moved", "alone, own rows only", "all rows in one place")
    sizes = {site["site"]: site["test"] for site in data["sites"]}
    groups = [
        ForestGroup(
            name=of["site"],
            note=f"{sizes[of['site']]} {_people(data)}, {of['federated']['positives']} yes",
            intervals=[_interval(of[name]["auroc"]) for name in ("federated", "alone", "pooled")],
            why_not="" if of["federated"]["auroc"] else _short(of["federated"]["why_not"]),
        )
        for of in evaluation["sites"]
    ]
    every = ForestGroup(
        name="All together",
        note=f"{data['test']} {_people(data)}",
        intervals=[
            _interval(evaluation["federated"]["auroc"]),
            None,
            _interval(evaluation["pooled"]["auroc"]),
        ],
    )
    lows = [interval.low for group in (*groups, every) for interval in group.intervals if interval]
    return Forest(
        title=_finding(evaluation, data),
        axis="AUROC: chance that a yes is ranked above a no (0.5 a coin, 1 perfect)",
        series=series,
        groups=[*groups, every],
        low=min(0.4, *(int(low * 10) / 10 for low in lows)) if lows else 0.4,
        high=1.0,
        mark=(0.5, "a coin"),
        caption=f"Intervals: {evaluation['interval']}. Small groups have wide intervals: differences inside them are noise.",
    )


def _finding(evaluation: Data, data: Data) -> str:
    federated, pooled = evaluation["federated"]["auroc"], evaluation["pooled"]["auroc"]
    if not federated or not pooled:
        return "Not enough held-out rows to compare learning together with pooling"
    gap = federated["value"] - pooled["value"]
    if abs(gap) <= NOISE:
        pooling = "Learning together is as good as pooling all rows"
    else:
        pooling = f"Learning together is {'better' if gap > 0 else 'worse'} than pooling all rows"
    return f"{pooling} ({federated['value']:.2f} and {pooled['value']:.2f}){_against_alone(evaluation, data)}"


def _against_alone(evaluation: Data, data: Data) -> str:
    """Say at how many sites learning together ranks better than alone, and whether that is more than chance."""
    pairs = [(of["federated"]["auroc"], of["alone"]["auroc"]) for of in evaluation["sites"]]
    pairs = [(together, alone) for together, alone in pairs if together and alone]
    if not pairs:
        return ""
    higher = sum(together["value"] > alone["value"] for together, alone in pairs)
    clear = sum(not together["low"] <= alone["value"] <= together["high"] for together, alone in pairs)
    beyond = f"{clear} of them beyond the interval" if clear else "no difference is beyond the intervals"
    return f"; against learning alone, higher at {higher} of {len(pairs)} {_who(data)}s with enough data, {beyond}"


def _calibration(federated: Data) -> Calibration | None:
    error = federated["calibration_error"]
    if not error:
        return None
    points = [
        CalibrationPoint(b["mean_probability"], b["positive_share"], b["low"], b["high"], b["count"])
        for b in federated["bins"]
    ]
    return Calibration(
        title=f"What the model says is on average {100 * error['value']:.0f} points away from what turned out",
        said="probability that the model said",
        seen="share of these cases that turned out yes",
        points=points,
        caption=(
            "On the dashed line, said and seen agree. A larger dot is more cases; bars are 95% intervals. "
            f"Calibration error {_with_range(error)}; Brier score {_with_range(federated['brier'])}."
        ),
    )


def _learning(model: Data) -> Curve:
    losses = model["losses"]
    change = _last_change(losses)
    settled = "had settled" if change < SETTLED else "was still falling"
    return Curve(
        title=f"The loss {settled} after {model['rounds']} rounds: the last five moved it by {change:.3f}",
        steps="round of training",
        measure="mean log loss over all training rows (lower is better)",
        values=losses,
        caption="Known to everyone only as a sum over all sites. Scaling was " + model["scaling"] + ".",
    )


def _last_change(losses: Sequence[float]) -> float:
    return abs(losses[-1] - losses[max(0, len(losses) - 6)])


def _decision(summary: Data) -> Section | None:
    decision = summary.get("decision")
    if not decision:
        return None
    unit = summary["model"]["score_per_logit"]
    parts: list[Any] = [
        Bars(
            title=f"The model answered {decision['answer']}, with probability {decision['probability']:.0%}",
            left="lowers the odds",
            right="raises the odds",
            bars=[
                Bar(
                    _plain(reason["text"]),
                    reason["contribution"] / unit,
                    _odds(reason["contribution"] / unit),
                )
                for reason in decision["reasons"]
            ],
            caption=(
                f"The {len(decision['reasons'])} columns that moved this answer most, against the average training "
                "row. Exact: all columns' parts add up to the score. Reasons stand in the sealed payload; who opens "
                f"them is the {_who(summary['data'])}'s choice."
            ),
        )
    ]
    if decision.get("lines"):
        parts.append(_lines(decision["lines"]))
    if decision.get("trace"):
        parts.append(
            trace_tree(
                decision["trace"],
                title="Where this decision comes from, hop by hop",
                caption=(
                    "Recorded: both statements are proved and the link is exact. Re-executed: computed again from what "
                    f"was opened. That an update came from the registered rows stays each {_who(summary['data'])}'s word."
                ),
            )
        )
    return Section(
        title="One decision, from the answer back to the data",
        text=f"A held-out case of {decision['site']}, as the verifier sees it when the payload is opened.",
        parts=parts,
    )


def _lines(lines: Sequence[Data]) -> Grid:
    """Show what the verifier prints about a decision; opened fields are counted, for the page shows them above."""
    states = [line for line in lines if line["text"].startswith("it states ")]
    rows = [(line["standing"], line["text"]) for line in lines if line not in states]
    if states:
        place = sum(line["standing"] == "proved" for line in lines if line not in states)
        rows.insert(
            place, ("proved", f"it states {len(states)} opened fields: input, answer, score, reasons")
        )
    return Grid(title="What the verifier says about this decision", header=("standing", "line"), rows=rows)


def _costs(summary: Data) -> Section | None:
    cost = summary.get("cost")
    if not cost:
        return None
    cpu, disk, gas = cost["cpu_s_per_million"], cost["disk_bytes_per_million"], cost.get("gas_per_million")
    rows = [
        ("disk", f"{disk / 1e9:.2f} GB", "journal, sealed payloads and hashes"),
        ("processor", f"{cpu / 60:.0f} minutes of one core", "score, reasons, sealing, statement"),
    ]
    if gas is not None:
        rows.append(("chain", f"{gas:,.0f} gas", cost.get("gas_note", "anchoring in batches")))
    rows.append(("people's time", "not measured", "agreeing on schema, policy and members"))
    return Section(
        title="What it would cost",
        text=f"Scaled up from {cost['decisions']:,} decisions of this run, measured on {cost['measured_on']}.",
        parts=[
            Grid(
                title=f"A million decisions would take about {rows[0][1]} and {rows[1][1]}",
                header=("what", "how much", "for what"),
                rows=rows,
                caption="A straight projection, not a load test.",
            )
        ],
        wide=True,
    )


def _next(summary: Data) -> Section:
    data = summary["data"]
    parts = [
        Points("Problems found in the data", data["problems"] or ["None of the kinds that are looked for."])
    ]
    if data["mended"]:
        parts.append(Points("What was mended or left out while reading", data["mended"]))
    parts.append(
        Points("What a real consortium would add", CONSORTIUM + CLINICAL * (data["name"] == "heart"))
    )
    table = Grid(
        title=f"Who brought what: {data['rows']} {_people(data)}, {data['columns']} columns",
        header=(_who(data), "rows", "yes", "trained on", "held out"),
        rows=[
            (of["site"], *(f"{of[name]:,}" for name in ("rows", "yes", "train", "test")))
            for of in data["sites"]
        ],
        numeric=frozenset({1, 2, 3, 4}),
        caption=f"Yes means: {data['target']}.",
    )
    return Section(title="Before you decide", text="", parts=[*parts, table])


def _footer(summary: Data) -> str:
    parts = [f"Tallystick {summary.get('version', '')}".strip()]
    if summary.get("made_at"):
        parts.append(f"made {summary['made_at']}")
    chain = summary.get("chain")
    if chain:
        parts.append(
            f"anchored on chain {chain['id']}, contract {chain['contract']}, block {chain['block']} "
            + ("(the embedded chain: claimed by its operator)" if chain["local"] else f"({LABEL})")
        )
    parts.append(f"model {summary['model']['name']}, SHA-256 {summary['model']['hash']}")
    if summary["data"]["name"] == "heart":
        parts.append("data: UCI id 45, Janosi, Steinbrunn, Pfisterer, Detrano, CC BY 4.0")
    return " · ".join(parts)


def _interval(value: Data | None) -> Interval | None:
    return None if value is None else Interval(value["value"], value["low"], value["high"])


def _range(value: Data) -> str:
    return f"{value['low']:.2f} to {value['high']:.2f}"


def _with_range(value: Data) -> str:
    return f"{value['value']:.2f} ({_range(value)})"


def _odds(logit: float) -> str:
    return f"odds \u00d7 {math.exp(max(-20.0, min(logit, 20.0))):.2f}"


def _plain(text: str) -> str:
    """Leave out which way a reason moved the score: the bar shows that."""
    return text.rpartition(", ")[0] or text


def _short(why_not: str) -> str:
    return why_not.partition(":")[0] or "not enough data"
