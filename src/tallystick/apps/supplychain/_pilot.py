"""The oracle pilot: a cold chain that decides by itself, on one laptop, from signed readings to receipts.

Thirteen parties, each a node with a workspace of its own; seven of them are oracle nodes. Only the chain is shared,
embedded, and run by one operator, which every page says. The lots and the model's training are SIMULATED.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from tallystick.apps.pilots import (
    PASSPHRASE,
    Evidence,
    PilotNetwork,
    Step,
    Steps,
    forge,
    make_place,
    short_trace,
    verify_outside,
)
from tallystick.errors import DataError, DefectError
from tallystick.models import Evaluation
from tallystick.proof import (
    STANDARD_KINDS,
    Bundle,
    OsFiles,
    Receipt,
    format_bundle,
    format_json,
    format_policy,
    trace,
    verify,
    verify_bundle,
    write_atomically,
)
from tallystick.report import Figure, Report, render

from ._checks import CHECKS
from ._kinds import KINDS, REMARKS
from ._lots import Chosen, choose, ship, without_assay
from ._model import GATE, NAME, Learned, learn
from ._nodes import Nodes
from ._own_readings import load_readings, parse_mapping
from ._parties import CARRIER, INSPECTORATE, MAKER, OFFICE, ORACLES, PARTIES, PHARMACY, Cast
from ._readings import Trip
from ._report import build
from ._shipments import LotState
from ._shipping import Shipped, Shipping
from ._stating import Logger, Stating
from ._summary import lot_figures, shipped_figures

__all__ = ["PilotOptions", "run_pilot"]

ASK: Final = ("party", "witnesses")
LIARS: Final = ORACLES[2:3]
COLLUDERS: Final = ORACLES[3:]
OPENED: Final = ("answer.challenged", "answer.given", "model.published", "trip.summarised")


@dataclass(frozen=True, slots=True)
class PilotOptions:
    """What a pilot is asked for.

    Args:
        out: where everything goes.
        force: replace an earlier pilot's output there.
        seed: of everything that is simulated.
        data: the user's own readings.
        columns: their columns of other names, such as ``lot=Batch,temperature=T``.
        network: run on four validators, of which one is killed, instead of the embedded chain.
    """

    out: Path = Path("tallystick-oracle-pilot")
    force: bool = False
    seed: int = 0
    data: Path | None = None
    columns: str = ""
    network: bool = False


def run_pilot(
    options: PilotOptions,
    *,
    on_step: Callable[[Step], None] = lambda _step: None,
    on_progress: Callable[[str], None] = lambda _line: None,
) -> dict[str, Any]:
    """Run the whole pilot.

    Args:
        options: what is asked for.
        on_step: called after every step.
        on_progress: called with how a long step goes.

    Returns:
        The summary, as it stands in `summary.json`.

    Raises:
        ConfigurationError: the output directory is in use.
        DataError: the readings cannot be used.
        MissingExtraError: an extra is not installed.
        VerificationError: the pilot's own evidence does not verify; that is a defect.
    """
    if options.columns and options.data is None:
        raise DataError("--columns goes with --data", hint="name your CSV file with --data")
    trips = None
    if options.data is not None:
        trips = load_readings(options.data, columns=parse_mapping(options.columns))
    # The last step's needs are asked for before the first: nobody waits for a report that cannot be made.
    render(Report("", "", [Figure("", "")] * 3, []))
    # A watcher warns of a wrong answer; here that is a step of the story, told by the step itself.
    logging.getLogger("tallystick.decisions").addHandler(logging.NullHandler())
    make_place(options.out, name="oracle", force=options.force, data=options.data)
    run = _Pilot(options, trips, on_step)
    if not options.network:
        return run.run(None)
    with PilotNetwork(options.out / "network", PARTIES, tell=on_progress) as network:
        return run.run(network)


class _Pilot:
    """One run of the pilot."""

    def __init__(
        self, options: PilotOptions, trips: list[Trip] | None, on_step: Callable[[Step], None]
    ) -> None:
        self.options, self.trips, self.out = options, trips, options.out
        self.steps = Steps(on_step)
        self.step = self.steps.step
        self.summary: dict[str, Any] = {"v": 1, "seed": options.seed, "version": version("tallystick")}

    def run(self, network: PilotNetwork | None) -> dict[str, Any]:
        write_atomically(OsFiles(), self.out / "passphrase.txt", f"{PASSPHRASE}\n".encode())  # mode 0600
        self._learn()
        with Cast(self.out, ground=network.ground if network else None) as cast:
            self._found(cast)
            self._travel(cast)
            shipping = Shipping(
                cast, self.nodes, self.stating, model=self.learned.model, threshold=self.learned.threshold
            )
            self._levels(cast, shipping)
            with network.killed(CARRIER) if network else nullcontext():
                self._decide(shipping)
            self._money(cast)
            cast.close_outboxes()
            self._witness(cast)
            self._prove(cast)
            self._forge(cast)
            if network:
                self.summary["network"] = network.summary()
        with self.step("report") as say:
            self.summary["made_at"] = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
            self.summary["steps"] = self.steps.as_list()
            (self.out / "report.html").write_text(render(build(self.summary)), encoding="utf-8")
            say("one page, opens offline")
        text = json.dumps(self.summary, indent=2, sort_keys=True, ensure_ascii=False)
        (self.out / "summary.json").write_text(text + "\n", encoding="utf-8")
        return self.summary

    def _learn(self) -> None:
        with self.step("learn") as say:
            self.learned: Learned = learn(seed=self.options.seed)
            model = self.learned.model
            (self.out / "model.tsm").write_bytes(model.bytes)
            lots = self._lots()
            self.chosen: Chosen = choose(lots, self.learned.threshold)
            self.summary["data"] = {
                "lots": [lot_figures(model, self.learned.threshold, lot) for lot in lots],
                "own": self.trips is not None,
                "trained_on": self.learned.trained_on,
            }
            self.summary["model"] = {
                "fidelity": self.learned.fidelity,
                "hash": model.hash,
                "threshold": self.learned.threshold,
                "unit": model.unit,
            }
            say(f"50 trees on {self.learned.trained_on:,} SIMULATED lots; {len(lots)} more travel")

    def _lots(self) -> Any:
        if self.trips is not None:
            return without_assay(self.trips, self.learned.model)
        return ship(self.learned.model, self.learned.threshold, seed=self.options.seed)

    def _found(self, cast: Cast) -> None:
        with self.step("found") as say:
            cast.found()
            say(
                f"{len(cast.nodes)} parties, Oracle {cast.oracle.address[:8]}…, Shipments {cast.shipments.address[:8]}…"
            )
        cast.close_outboxes()
        with self.step("publish") as say:
            self.published = self._publish(cast)
            auroc = self.summary["model"]["auroc"]
            shown = f"AUROC {auroc['value']:.2f} [{auroc['low']:.2f}, {auroc['high']:.2f}]"
            say(f"{NAME}@1  {shown}, gate passed")
        self.nodes = Nodes(
            cast, self.learned.model, published=self.published, directory=self.out / "openings"
        )

    def _publish(self, cast: Cast) -> str:
        """Publish the model, put it on the chain, have it approved, promote it; the publishing statement's id."""
        learned, maker = self.learned, cast.nodes[MAKER].models
        cohort = f"{len(learned.others)} further SIMULATED lots, seed {self.options.seed}"
        judged = maker.evaluate(
            learned.model, learned.others.by_name(), learned.others.targets, gate=GATE, cohort=cohort
        )
        auroc = judged.evaluation.auroc if isinstance(judged.evaluation, Evaluation) else None
        if auroc is None:
            raise DefectError("the simulated lots do not suffice to judge the model")
        figures = {"high": auroc.high, "low": auroc.low, "value": auroc.value}
        self.summary["model"] |= {"auroc": figures, "held_out": judged.rows}
        table = learned.table
        schema = hashlib.sha256(format_json(table.schema())).hexdigest()[:16]
        body = {"rows": f"{len(table)}", "schema": f"{NAME} {schema}, SIMULATED"}
        registered = cast.nodes[MAKER].record("data.registered", body, payload=table.csv(), media="text/csv")
        version_ = maker.publish(learned.model, NAME, evaluation=judged, links={"data": [registered.id]})
        maker.deploy(version_)
        for name in (OFFICE, INSPECTORATE):
            others = cast.nodes[name].models
            others.publish(learned.model, NAME, evaluation=judged)
            others.approve(NAME)
        return maker.promote(version_).published

    def _travel(self, cast: Cast) -> None:
        with self.step("travel") as say:
            self.stating = Stating(
                cast.nodes,
                chain_id=cast.chain.chain_id,
                oracle=cast.oracle.address,
                shipments=cast.shipments.address,
                simulated=self.trips is None,
            )
            self.stating.model = self.published
            self.readings: dict[str, list[str]] = {}
            for number, lot in enumerate(self.chosen.every, start=1):
                logger = Logger(f"L-{number:03}")
                self.stating.register_logger(MAKER, logger)
                self.readings[lot.trip.lot] = self.stating.receive(CARRIER, logger, lot.trip)
            count = sum(len(lot.trip.readings) for lot in self.chosen.every)
            pages = sum(map(len, self.readings.values()))
            self.summary["readings"] = {"count": count, "pages": pages}
            say(f"{len(self.chosen.every)} lots, {count:,} readings signed by their loggers, {pages} pages")

    def _levels(self, cast: Cast, shipping: Shipping) -> None:
        lot = self.chosen.levels
        pages = self.readings[lot.trip.lot]
        self.shipped: dict[str, Shipped] = {}
        for level, bribed in (("L0", ()), ("L1", LIARS), ("L2", COLLUDERS), ("L4", ())):
            with self.step(level) as say:
                done = shipping.ship(lot, level, readings=pages, bribed=bribed)
                self.shipped[level] = done
                if level == "L0":
                    # What a verifier may one day see as an old head: really signed, and witnessed by nobody.
                    self.old = cast.nodes[PHARMACY].journal.checkpoint()
                say(_told(level, done))
        self.summary["levels"] = {
            level: shipped_figures(done, self.learned.threshold) for level, done in self.shipped.items()
        }

    def _decide(self, shipping: Shipping) -> None:
        quick, disputed = self.chosen.quick, self.chosen.disputed
        with self.step("release") as say:
            self.quick: Shipped | None = None
            if quick is None:
                say("one lot only: nothing else to decide")
            else:
                self.quick = shipping.ship(quick, "L1", readings=self.readings[quick.trip.lot], bribed=LIARS)
                self.summary["quick"] = shipped_figures(self.quick, self.learned.threshold)
                verb = self.quick.record.state.name.lower()
                say(f"{quick.trip.lot} {verb} at L1, {_paid(self.quick)}")
        with self.step("review") as say:
            if disputed is None:
                say("no further lot in quarantine")
                return
            held = shipping.ship(disputed, "L1", readings=self.readings[disputed.trip.lot])
            release = disputed.spoiled is False
            reasons = _reasons(disputed.spoiled)
            record, entry = shipping.review(held, release=release, reasons=reasons)
            self.summary["review"] = {
                **shipped_figures(held, self.learned.threshold),
                "by": list(reasons),
                "outcome": record.state.name.lower(),
                "reasons": list(reasons.values()),
                "statement": entry.id,
            }
            say(f"{disputed.trip.lot} quarantined at L1, {record.state.name.lower()} by two parties")

    def _money(self, cast: Cast) -> None:
        with self.step("settle") as say:
            shipments, oracle = cast.shipments, cast.oracle
            owed = oracle.account(shipments.address).free
            if owed:
                cast.send(PHARMACY, "reclaim", shipments.reclaim())
            credits_ = {name: shipments.credit(cast.address(name)) for name in (MAKER, CARRIER, PHARMACY)}
            for name, amount in credits_.items():
                if amount:
                    cast.send(name, "withdraw", shipments.withdraw(amount))
            self.summary["paid"] = {name: str(amount) for name, amount in credits_.items()}
            paid = sum(amount > 0 for amount in credits_.values())
            say(f"{paid} parties withdrew what the contract owed them")

    def _witness(self, cast: Cast) -> None:
        with self.step("witness") as say:
            cast.consortium.witness()
            cast.consortium.anchor()
            nodes = cast.consortium.nodes
            statements = sum(node.journal.size for node in nodes)
            settings = nodes[0].settings.chain
            assert settings is not None
            self.summary["chain"] = {
                "block": cast.chain.head().number,
                "contract": settings.anchors,
                "id": cast.chain.chain_id,
                "journals": len(nodes),
                "local": cast.consortium.ground.local,
                "oracle": cast.oracle.address,
                "shipments": cast.shipments.address,
                "statements": statements,
            }
            say(f"{len(nodes)} journals cosigned and anchored, {statements:,} statements")

    def _prove(self, cast: Cast) -> None:
        with self.step("receipts") as say:
            told = self._told()
            self.receipts: list[Receipt] = []
            for node in cast.consortium.nodes:
                for entry in node.journal.entries():
                    kind = entry.statement.kind
                    is_open = kind in OPENED or entry.id == told.outcome.id
                    self.receipts.append(node.receipt(entry.index, disclose=[] if is_open else None))
            self.shown = cast.nodes[PHARMACY].receipt(told.outcome.id, disclose=[])
            (self.out / "shipment.receipt.json").write_bytes(self.shown.format())
            files = {"model.tsm": self.learned.model.bytes}
            (self.out / "bundle.zip").write_bytes(format_bundle(self.receipts, files))
            self.policy = cast.consortium.policy("the pilot's parties", ask=ASK)
            (self.out / "policy.json").write_bytes(format_policy(self.policy))
            say(f"{len(self.receipts)} in bundle.zip, one shipment as a file")
        with self.step("verify") as say:
            verdict = verify_outside([self.out / "bundle.zip"], self.out / "policy.json")
            if verdict.code != 0:
                raise DefectError(f"the pilot's own bundle does not verify: {verdict.error}")
            counts = verdict.document["files"][0]["counts"]
            self.summary["standing"] = {**counts, "receipts": len(self.receipts)}
            self.summary["outsider"] = {"loaded": list(verdict.loaded), "network": "refused"}
            say(f"fresh process, base install, offline: {counts['proved']:,} lines proved")
        with self.step("trace") as say:
            self.summary["traces"] = self._traces()
            found = sum(one["standings"].get("re-executed", 0) for one in self.summary["traces"])
            say(f"{found} hops computed again, from signatures to readings")

    def _told(self) -> Shipped:
        """The shipment that the report tells about first."""
        return self.quick or self.shipped["L1"]

    def _traces(self) -> list[dict[str, Any]]:
        bundle = Bundle({receipt.statement.id: receipt for receipt in self.receipts}, {})
        verify_bundle(bundle, policy=self.policy)
        found = []
        for done in (self._told(), self.shipped["L2"]):
            start = bundle.receipts[done.outcome.id]
            hop = trace(start, resolve=bundle.resolve, checks=CHECKS, policy=self.policy)
            unique = {one.statement_id: one.standing for one in hop.walk()}
            found.append(
                {
                    "id": start.statement.id,
                    "kind": start.statement.kind,
                    "level": done.asked.level,
                    "lot": done.asked.lot,
                    "standings": {
                        name: list(unique.values()).count(name) for name in sorted(set(unique.values()))
                    },
                    "trace": short_trace(hop, remarks=REMARKS),
                }
            )
        report = verify(self.shown, policy=self.policy, kinds=STANDARD_KINDS.extended(KINDS))
        self.summary["lines"] = [{"standing": line.standing, "text": line.text} for line in report.lines]
        return found

    def _forge(self, cast: Cast) -> None:
        with self.step("tamper") as say:
            node = cast.nodes[PHARMACY]
            published = cast.nodes[MAKER].receipt(self.published, disclose=[])
            evidence = Evidence(
                node=node,
                decision=self.shown,
                model=published,
                old=self.old,
                change={"level": "L4"},
                field=("price", "1"),
                mark=b'"leaves":"',
                peers="parties",
            )
            with cast.consortium.offered() as url:
                found = forge(evidence, self.out / "forged", self.out / "policy.json", rpc=url)
            self.summary["forgeries"] = found
            caught = sum(item["caught"] for item in found)
            names = ", ".join(item["name"] for item in found)
            say(f"{caught} of {len(found)} forgeries caught: {names}", caught == len(found))


def _told(level: str, done: Shipped) -> str:
    state = done.record.state.name.lower()
    if level == "L1":
        return f"5 of 7 must sign alike, 1 liar outvoted: {state}"
    if level == "L2":
        return f"4 collude, 1 watcher overturns them at once: {state}"
    return f"{'one node signs' if level == 'L0' else 'the contract executes the model'}: {state}"


def _paid(done: Shipped) -> str:
    return "seller and carrier paid" if done.record.state is LotState.RELEASED else "nobody paid"


def _reasons(spoiled: bool | None) -> Mapping[str, str]:
    if spoiled is None:
        return dict.fromkeys((OFFICE, INSPECTORATE), "no assay of this lot is known, so it must not be used")
    if spoiled:
        return dict.fromkeys((OFFICE, INSPECTORATE), "the assay (SIMULATED) confirms the loss of potency")
    return {
        OFFICE: "assay (SIMULATED): potency within its limits",
        INSPECTORATE: "shake test (SIMULATED): not frozen; records complete",
    }
