"""The oracle pilot's report, built from its summary alone: every figure on the page stands in `summary.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tallystick.apps.pilots import LABEL, evidence_section, network_section, trace_tree
from tallystick.report import Amounts, Bar, Course, Figure, Grid, Points, Report, Section

__all__ = ["build"]

Data = Mapping[str, Any]
COIN: Final = 10**18
BAND: Final = (2.0, 8.0)
NEEDED: Final = (
    "Every party runs its own node on its own machine; the chain runs on several of them. Here one operator runs all.",
    "Loggers with keys of their own, made and registered by who makes them; here the pilot made the keys.",
    "A model trained on lots whose potency a laboratory measured, and validated on others.",
    "Windows as long as the slowest honest watcher needs: hours, not minutes.",
    "Signers' bonds worth more than a lot; here they are a tenth of a coin.",
    "Policies reach verifiers by another way than the bundle that they check.",
)


def build(summary: Data) -> Report:
    """Turn a summary into the pilot's one-page report.

    Args:
        summary: as `run_pilot` makes it.
    """
    network = network_section(summary["network"]) if summary.get("network") else None
    sections = [
        _levels(summary),
        _lots(summary),
        _back(summary),
        evidence_section(summary),
        network,
        _next(summary),
    ]
    return Report(
        title="Tallystick pilot: a cold chain decides by itself · SIMULATED lots and model"
        if not summary["data"]["own"]
        else "Tallystick pilot: a cold chain decides by itself · your readings, SIMULATED model",
        sentence=_sentence(summary),
        figures=_figures(summary),
        sections=[section for section in sections if section is not None],
        footer=_footer(summary),
    )


def _sentence(summary: Data) -> str:
    levels, forged = summary["levels"], summary.get("forgeries", [])
    outcomes = sorted({one["outcome"] for one in levels.values()})
    alike = outcomes[0] if len(outcomes) == 1 else " or ".join(outcomes)
    start = (
        f"One vaccine lot was {alike} by a contract at four levels of assurance: a liar was outvoted, and four colluding "
        "oracle nodes were overturned by one watcher in one transaction"
    )
    caught = sum(bool(item["caught"]) for item in forged)
    if not forged:
        return f"{start}."
    if caught < len(forged):
        return f"{start}; {len(forged) - caught} of {len(forged)} forgeries were NOT caught."
    return f"{start}; all {caught} forgeries were caught."


def _figures(summary: Data) -> list[Figure]:
    overturned = summary["levels"]["L2"]["challenge_gas"]
    again = sum(one["standings"].get("re-executed", 0) for one in summary["traces"])
    forged = summary.get("forgeries", [])
    caught = sum(bool(item["caught"]) for item in forged)
    return [
        Figure(f"{overturned:,}", "gas overturned four colluders", "one transaction: the chain ran 50 trees"),
        Figure(f"{again:,}", "hops computed again", "readings, features, scores, signatures; offline"),
        Figure(f"{caught} of {len(forged)}", "forgeries caught", "each named in the table below"),
    ]


def _levels(summary: Data) -> Section:
    levels = summary["levels"]
    lot = next(lot for lot in summary["data"]["lots"] if lot["lot"] == levels["L1"]["lot"])
    return Section(
        title=f"One lot, four levels: what each costs, shows and may claim ({_whose(summary)})",
        text=(
            f"Lot {lot['lot']} was booked once for each level, with the same {lot['readings']} signed readings. Its "
            f"score is {lot['score']:,}; from {summary['model']['threshold']:,} on a lot is held back."
        ),
        parts=[_course(lot, summary), _gas(levels), _level_table(levels), _bonds(levels["L2"])],
    )


def _whose(summary: Data) -> str:
    return "your readings" if summary["data"]["own"] else "SIMULATED"


def _course(lot: Data, summary: Data) -> Course:
    points = list(zip(lot["minutes"], lot["temperatures"], strict=True))
    row = lot["row"]
    return Course(
        title=(
            f"Lot {lot['lot']} was above 8 °C for {int(row['minutes_above_8']):,} minutes, "
            f"below 2 °C for {int(row['minutes_below_2']):,}"
        ),
        measure="temperature in the box, °C; the band is 2 to 8 °C",
        over="time under way",
        points=points,
        band=BAND,
        ends=("start", f"{lot['minutes'][-1] / 60:.0f} h"),
        caption=f"Mean kinetic temperature {row['mean_kinetic_c']} °C. Readings: {_whose(summary)}.",
    )


def _gas(levels: Data) -> Amounts:
    cheapest, dearest = (pick(levels.values(), key=lambda one: one["gas"]) for pick in (min, max))
    return Amounts(
        title=f"{cheapest['level']} costs the least gas, {dearest['level']} the most: "
        f"{dearest['gas'] / cheapest['gas']:.1f} times as much",
        unit="gas of all transactions of one request, from the question to the last bond",
        bars=[
            Bar(f"{one['level']}: {_happened(one)}", one["gas"], f"{one['gas']:,}") for one in levels.values()
        ],
        caption=_most_of(levels["L1"]) + " It differs a little with how many signatures come in.",
    )


def _most_of(shipped: Data) -> str:
    named = sorted(shipped["gas_by"].items(), key=lambda item: -item[1]["gas"])[:3]
    parts = [f"{name} ({one['transactions']} times) {one['gas']:,}" for name, one in named]
    return f"As the chain counted it. At L1 most goes into {', '.join(parts)}."


def _happened(shipped: Data) -> str:
    level = shipped["level"]
    if level == "L0":
        return "one node signed"
    if level == "L1":
        return f"{len(shipped['signers'])} of 7 signed alike, one lied"
    if level == "L2":
        return (
            f"{len(shipped['signers'])} colluded, one watcher overturned"
            if shipped["overturned"]
            else "stood"
        )
    return "the contract executed the model"


def _level_table(levels: Data) -> Grid:
    rows = [
        (
            f"{one['level']} · {_happened(one)}",
            one["outcome"],
            f"{one['gas']:,}",
            f"{one['seconds']:.1f}",
            _duration(one["longest_s"]),
            _people(one["who_sees"]["input"]),
            _people(one["who_sees"]["weights"]),
            one["claim"],
        )
        for one in levels.values()
    ]
    return Grid(
        title="A higher level is not simply better: what more eyes check, more eyes see",
        header=(
            "level", "lot", "gas", "seconds here", "at most, by the rules", "who sees the input",
            "who sees the weights", "what it may claim",
        ),
        rows=rows,
        numeric=frozenset({2, 3}),
        caption=(
            "Seconds here: all nodes in one process on one machine, blocks at once. By the rules: steps and windows as "
            "they were booked, when nobody hurries. No level says that the model is any good."
        ),
    )  # fmt: skip


_WORDS: Final = {
    "chain": "everybody on the chain",
    "node": "the node that answers",
    "signers": "all signers",
    "watchers": "the watchers",
}


def _people(names: Sequence[str]) -> str:
    return ", ".join(_WORDS.get(name, name) for name in names)


def _duration(seconds: int) -> str:
    return f"{seconds // 60} min" if seconds >= 60 else f"{seconds} s"


def _bonds(shipped: Data) -> Grid:
    rows = []
    for name, held in shipped["money"].items():
        before, after = int(held["before"]), int(held["after"])
        role = (
            "signed the wrong answer"
            if name in shipped["signers"]
            else _ROLES.get(name, "signed nothing wrong")
        )
        rows.append((name, role, _coins(before), _coins(after), _coins(after - before, signed=True)))
    lost = sum(1 for row in rows if row[1] == "signed the wrong answer")
    return Grid(
        title=f"The bonds moved: {lost} colluders lost theirs; half went to the buyer, a quarter to the watcher",
        header=("who", "what it did", "before, coins", "after, coins", "change"),
        rows=rows,
        numeric=frozenset({2, 3, 4}),
        caption=(
            "What each has in the contract Oracle, free and at stake: when the wrong answer stood and its window ran, "
            "and when all was settled. A quarter is burned, so that nobody gains by challenging himself. The buyer's "
            "contract also has its fee back."
        ),
    )


_ROLES: Final = {
    "Patients' Watch": "challenged",
    "burned": "nobody's any more",
    "the buyer's contract": "asked",
}


def _coins(wei: int, *, signed: bool = False) -> str:
    return f"{wei / COIN:+.4f}" if signed else f"{wei / COIN:.4f}"


def _lots(summary: Data) -> Section:
    fates = _fates(summary)
    rows = [
        (
            lot["lot"],
            f"{min(lot['temperatures']):.1f} … {max(lot['temperatures']):.1f}",
            lot["row"]["minutes_above_8"],
            lot["row"]["minutes_below_2"],
            f"{lot['score']:,}",
            f"{lot['probability']:.1%}",
            {None: "not known", True: "spoiled", False: "good"}[lot["spoiled"]],
            fates.get(
                lot["lot"], "scored only: " + ("would be held" if lot["held"] else "would be released")
            ),
        )
        for lot in summary["data"]["lots"]
    ]
    held = sum(lot["held"] for lot in summary["data"]["lots"])
    model = summary["model"]
    return Section(
        title="What became of the lots",
        text=_model_text(summary),
        parts=[
            Grid(
                title=f"{held} of {len(rows)} lots score at or above {model['threshold']:,} and are held back",
                header=(
                    "lot", "°C", "min above 8", "min below 2", "score", "chance of spoiled", "assay",
                    "what became of it",
                ),
                rows=rows,
                numeric=frozenset({1, 2, 3, 4, 5}),
                caption="Assay: what the simulator knows and the model does not. SIMULATED."
                if not summary["data"]["own"]
                else "Nobody measured what was left of these lots; the model was trained on SIMULATED ones.",
            ),
            _payments(summary),
        ],
    )  # fmt: skip


def _model_text(summary: Data) -> str:
    model, auroc = summary["model"], summary["model"]["auroc"]
    return (
        f"The model: 50 trees on {summary['data']['trained_on']:,} SIMULATED lots; AUROC {auroc['value']:.2f} "
        f"({auroc['low']:.2f} to {auroc['high']:.2f}) on {model['held_out']} others. Whole numbers only: "
        f"{model['fidelity']['equal_decisions']} of {model['fidelity']['rows']} decisions equal those with real "
        "numbers, and the contract gives the same score bit for bit."
    )


def _fates(summary: Data) -> dict[str, str]:
    found = {summary["levels"]["L1"]["lot"]: f"{summary['levels']['L1']['outcome']} at every level"}
    if "quick" in summary:
        verb = summary["quick"]["outcome"]
        found[summary["quick"]["lot"]] = f"{verb} at L1{', paid at once' if verb == 'released' else ''}"
    if "review" in summary:
        review = summary["review"]
        found[review["lot"]] = f"quarantined at L1, then {review['outcome']} by {' and '.join(review['by'])}"
    return found


def _payments(summary: Data) -> Grid:
    return Grid(
        title="Who withdrew what: prices and freight of what was released, and what the oracle paid back",
        header=("who", "coins"),
        rows=[(name, _coins(int(wei))) for name, wei in summary["paid"].items()],
        numeric=frozenset({1}),
        caption="Native currency of the pilot's chain, of no value. What is in quarantine stays under escrow.",
    )


def _back(summary: Data) -> Section:
    parts: list[Any] = [
        trace_tree(
            one["trace"],
            title=f"Lot {one['lot']}, {one['kind'].partition('.')[2]} at {one['level']}: {_standings(one)}",
            caption=(
                "Re-executed: computed again from what was opened, offline. Recorded: both statements are proved and the "
                "link is exact. That a logger lay beside its lot stays the carrier's word; what the contract did is the "
                "chain's to show, here its one operator's word."
            ),
        )
        for one in summary["traces"]
    ]
    lines = [(line["standing"], line["text"]) for line in summary["lines"]]
    parts.append(
        Grid(title="What the verifier says about the first shipment", header=("standing", "line"), rows=lines)
    )
    return Section(
        title="From the contract's act back to the readings",
        text="Each link is followed by a verifier that has the bundle, its own policy and no network.",
        parts=parts,
        wide=True,
    )


def _standings(one: Data) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(one["standings"].items()))


def _next(summary: Data) -> Section:
    simulated = [
        "The lots the model learned from, and their loss of potency, are SIMULATED: no medicine may be released by it.",
        "A lot that nobody opened the input of can be shown to nobody: keep the openings.",
        "The chain is embedded and run by one operator: what stands there is that operator's claim."
        if summary["chain"]["local"]
        else "Four validators ran on this machine: its operator could have made all of it up.",
    ]
    if summary["data"]["own"]:
        simulated.insert(
            1, "Your readings were signed with keys that this pilot made: your loggers signed nothing."
        )
    else:
        simulated.insert(
            1, "The trips and the assays of the lots above are SIMULATED too; --data takes your own readings."
        )
    return Section(
        title="Before you decide",
        text="",
        parts=[
            Points("What this pilot is not", simulated),
            Points("What a real cold chain would add", NEEDED),
        ],
    )


def _footer(summary: Data) -> str:
    chain = summary["chain"]
    return " · ".join(
        [
            f"Tallystick {summary['version']}",
            f"made {summary['made_at']}",
            (
                f"chain {chain['id']}, Oracle {chain['oracle']}, Shipments {chain['shipments']}, anchors {chain['contract']} "
                + ("(the embedded chain: claimed by its operator)" if chain["local"] else f"({LABEL})")
            ),
            f"model coldchain, SHA-256 {summary['model']['hash']}",
        ]
    )
