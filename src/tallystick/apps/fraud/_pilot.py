"""The fraud pilot: three banks on one laptop, each with its own journal, models and people.

What is replayed is SIMULATED, or the user's own history. Only the chain is shared, embedded, and run by one operator,
which every page says.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from tallystick.apps.fraud.deciding import Decision
from tallystick.apps.pilots import (
    PASSPHRASE,
    Evidence,
    PilotNetwork,
    Step,
    Steps,
    forge,
    make_place,
    processor,
    short_trace,
    verify_outside,
)
from tallystick.errors import DataError, DefectError
from tallystick.models import Evaluation, Gate, Version
from tallystick.node import Consortium
from tallystick.proof import (
    STANDARD_KINDS,
    Bundle,
    OsFiles,
    Receipt,
    format_bundle,
    format_policy,
    trace,
    verify,
    verify_bundle,
    write_atomically,
)
from tallystick.report import Figure, Report, render

from ._bundling import OPENED, chosen_entries
from ._checks import CHECKS
from ._history import BANKS, DAY, History, own_history, simulated_history
from ._holding import HeldOnChain, hold_on_chain
from ._kinds import KINDS, REMARKS
from ._learning import ARMS, BankLearned, compare, learn, score_replay
from ._replaying import Replay
from ._report import build
from ._together import Moment, Together

__all__ = ["PilotOptions", "run_pilot"]

ASK: Final = ("party", "witnesses")
GATE: Final = Gate.of({"auroc": "0.6"})
PERMIT: Final = "fraud prevention by the paying bank; payments and labels of its own customers"
SHOWN: Final = 60  # alerts of each bank in the bundle
LEAST: Final = 30_000
SUPERVISOR: Final = "Supervisor"  # runs the fourth validator of a network, and is no bank


@dataclass(frozen=True, slots=True)
class PilotOptions:
    """What a pilot is asked for.

    Args:
        out: where everything goes.
        force: replace an earlier pilot's output there.
        seed: of everything that is simulated, and of training.
        payments: to replay; as many again are learned from.
        data: the user's own table of payments, in the order of time.
        columns: which column is which field, such as ``amount=Amount,customer=Account,fraud=Class``.
        network: run on four validators, of which one is killed, instead of the embedded chain.
    """

    out: Path = Path("tallystick-fraud-pilot")
    force: bool = False
    seed: int = 0
    payments: int = 200_000
    data: Path | None = None
    columns: str = ""
    network: bool = False

    def __post_init__(self) -> None:
        if self.columns and self.data is None:
            raise DataError("--columns goes with --data", hint="name your table with --data")
        if not LEAST <= self.payments <= 5_000_000:
            raise DataError(
                f"a pilot replays {LEAST:,} to 5,000,000 payments, got {self.payments:,}",
                hint=f"the shortest: tallystick pilot fraud --payments {LEAST}",
            )


def run_pilot(
    options: PilotOptions,
    *,
    on_step: Callable[[Step], None] = lambda _step: None,
    on_progress: Callable[[str], None] = lambda _text: None,
) -> dict[str, Any]:
    """Run the whole pilot.

    Args:
        options: what is asked for.
        on_step: called after every step.
        on_progress: called a few times a second during the replay.

    Returns:
        The summary, as it stands in `summary.json`.

    Raises:
        ConfigurationError: the output directory is in use.
        DataError: the table cannot be used.
        MissingExtraError: an extra is not installed.
        VerificationError: the pilot's own evidence does not verify; that is a defect.
    """
    # The last step's needs are asked for before the first: nobody waits for a report that cannot be made.
    render(Report("", "", [Figure("", "")] * 3, []))
    logging.getLogger("tallystick.apps").addHandler(logging.NullHandler())
    make_place(options.out, name="fraud", force=options.force, data=options.data)
    run = _Pilot(options, on_step, on_progress)
    if not options.network:
        return run.run(None)
    with PilotNetwork(options.out / "network", (*BANKS, SUPERVISOR), tell=on_progress) as network:
        return run.run(network)


class _Pilot:
    """One run of the pilot."""

    def __init__(
        self, options: PilotOptions, on_step: Callable[[Step], None], on_progress: Callable[[str], None]
    ) -> None:
        self.options, self.out, self.on_progress = options, options.out, on_progress
        self.steps = Steps(on_step)
        self.step = self.steps.step
        self.summary: dict[str, Any] = {"v": 1, "seed": options.seed, "version": version("tallystick")}

    def run(self, network: PilotNetwork | None) -> dict[str, Any]:
        write_atomically(OsFiles(), self.out / "passphrase.txt", f"{PASSPHRASE}\n".encode())  # mode 0600
        self._payments()
        with Consortium(
            BANKS,
            directory=self.out,
            ground=network.ground if network else None,
            passphrase=PASSPHRASE,
            heads=self.out / "heads",
            kinds=STANDARD_KINDS.extended(KINDS),
        ) as consortium:
            self.consortium = consortium
            with ExitStack() as self.closing:
                self._share()
                self._learn()
                self._publish()
                self._replay()
                self._compare()
                self._review()
                with network.killed(BANKS[1]) if network else nullcontext():
                    self._hold()
                self._witness()
            self._prove()
            self._forge()
            if network:
                self.summary["network"] = network.summary()
        with self.step("report") as say:
            self.summary["machine"] = processor()
            self.summary["made_at"] = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
            self.summary["steps"] = self.steps.as_list()
            (self.out / "report.html").write_text(render(build(self.summary)), encoding="utf-8")
            say("one page, opens offline")
        text = json.dumps(self.summary, indent=2, sort_keys=True, ensure_ascii=False)
        (self.out / "summary.json").write_text(text + "\n", encoding="utf-8")
        return self.summary

    # -- what is played, and what is learned from it -------------------------------------------------------

    def _payments(self) -> None:
        options = self.options
        with self.step("payments") as say:
            if options.data is None:
                self.history: History = simulated_history(payments=options.payments, seed=options.seed)
            else:
                self.history = own_history(options.data, options.columns)
            history = self.history
            after = [(bank, bank.fraud[bank.cut :], bank.amount[bank.cut :]) for bank in history.banks]
            frauds = sum(int(fraud.sum()) for _, fraud, _ in after)
            self.summary["data"] = {
                "about": history.about,
                "banks": [{"frauds": int(fraud.sum()), "name": bank.name} for bank, fraud, _ in after],
                "days": round((max(int(bank.at[-1]) for bank in history.banks) - history.start) / DAY),
                "frauds": frauds,
                "own": history.own,
                "replayed": history.replayed,
                "split": history.split,
                "value": sum(int(amount[fraud].sum()) for _, fraud, amount in after),
            }
            whose = "your" if history.own else "SIMULATED"
            say(f"{history.replayed:,} {whose} payments to replay, {frauds / history.replayed:.2%} fraud")

    def _share(self) -> None:
        with self.step("share") as say:
            self.moment = Moment(self.history.since)
            self.together = Together(self.consortium, self.history, self.moment)
            self.closing.callback(self.together.close)
            self.together.look_up_history()
            self.together.advance(self.history.start)
            rounds, reports = self.together.rounds, sum(self.together.reports)
            say(f"epoch opened by 3 banks; {reports} reports, {rounds} masked sums before the replay")

    def _learn(self) -> None:
        with self.step("learn") as say:
            self.learned: list[BankLearned] = []
            for number, name in enumerate(BANKS):
                self.on_progress(f"{name} computes its windows and trains two detectors")
                self.learned.append(learn(self.history, self.together, number, seed=self.options.seed))
            rows = sum(one.trained_on for one in self.learned)
            say(
                f"2 detectors a bank, {rows:,} payments, {sum(one.frauds for one in self.learned)} known frauds"
            )

    def _publish(self) -> None:
        with self.step("publish") as say:
            self.published: list[tuple[Version, Version]] = []
            self.permits: list[str] = []
            self.summary["models"] = []
            promoted = 0
            for number, (node, learned) in enumerate(zip(self.consortium.nodes, self.learned, strict=True)):
                body = {"rows": f"{learned.trained_on}", "schema": f"payments, {self._whose()}"}
                data = node.record(
                    "data.registered", body, payload=self._about(number), media="application/json"
                )
                versions = []
                for name, fitted, judged in learned.judged(
                    node, GATE, cohort=f"7 days before, {self._whose()}"
                ):
                    found = node.models.publish(fitted, name, evaluation=judged, links={"data": [data.id]})
                    if judged.passed:
                        found = node.models.promote(found)
                        promoted += 1
                    versions.append(found)
                    auroc = judged.evaluation.auroc if isinstance(judged.evaluation, Evaluation) else None
                    self.summary["models"].append(
                        {
                            "auroc": None if auroc is None else auroc.value,
                            "bank": BANKS[number],
                            "hash": found.hash,
                            "name": name,
                        }
                    )
                self.published.append((versions[0], versions[1]))
                self.permits.append(node.record("consent.granted", {"purpose": PERMIT}).id)
            say(f"6 models published and judged on later days, {promoted} passed their gate and are promoted")

    def _whose(self) -> str:
        return "the user's own" if self.history.own else "SIMULATED"

    def _about(self, number: int) -> bytes:
        learned = self.learned[number]
        found = {
            "frauds_known": learned.frauds,
            "payments": learned.trained_on,
            "source": self.history.about,
        }
        return json.dumps(found, sort_keys=True).encode()

    # -- the replay ----------------------------------------------------------------------------------------

    def _replay(self) -> None:
        self.replay = Replay(
            self.consortium.nodes,
            self.history,
            self.together,
            self.learned,
            published=self.published,
            permits=self.permits,
            on_progress=self.on_progress,
        )
        self.closing.callback(self.replay.close)
        # What a verifier may one day see as an old head: really signed, and witnessed by nobody.
        self.old = [node.journal.checkpoint() for node in self.consortium.nodes]
        for case, name in enumerate(ARMS):
            with self.step(("alone", "list", "federated")[case]) as say:
                done = self.replay.run(case).plain()
                say(
                    f"{done['decisions']:,} decided {name}, {done['rate']:,.0f}/s, p50 {done['p50_ms']:.1f} p99 "
                    f"{done['p99_ms']:.1f} ms, {done['alerts']} alerts"
                )
        self.summary["replay"] = self.replay.plain()

    def _compare(self) -> None:
        with self.step("compare") as say:
            self.on_progress("the same payments three times: alone, with the list, with federated features")
            self.together.advance(self.history.until)
            for number in range(len(BANKS)):
                score_replay(self.history, self.together, self.learned[number], number)
            arms, share = compare(self.history, self.learned)
            self.summary["arms"], self.summary["false_positive"] = arms, share
            found = [arm["value"]["value"] if arm["value"] else float("nan") for arm in arms]
            say(
                f"fraud value stopped: {found[0]:.0%} alone, {found[1]:.0%} with the list, {found[2]:.0%} federated"
            )
        with self.step("sharing") as say:
            self.summary["sharing"] = self._sharing()
            waited = self.summary["sharing"]["report_to_hold"]
            told = (
                f"median {waited['median_s'] / 60:,.0f} min from a report to a hold elsewhere"
                if waited
                else "no hold"
            )
            say(f"{sum(self.together.reports)} reports; {told}")

    def _sharing(self) -> dict[str, Any]:
        import numpy as np

        together = self.together
        enumeration = together.enumeration()
        held = [together.held_after_reports(n, self.replay.holds[n]) for n in range(len(BANKS))]
        # From the second customer's report on the payee is listed: only such holds are the list's.
        seconds = [(one.held_at - one.listed_at) / 1e6 for found in held for one in found if one.listed_at]
        waited = None
        if seconds:
            waited = {"count": len(seconds), "median_s": float(np.median(seconds)), "most_s": max(seconds)}
        for member in together.members:
            member.state_list(at=self.history.until)
        return {
            "banks": [
                {
                    "holds": sum(one.listed_at is not None for one in held[n]),
                    "lookups": together.lookups(n),
                    "name": name,
                    "reported": together.reports[n],
                }
                for n, name in enumerate(BANKS)
            ],
            "enumeration": enumeration,
            "listed": len(together.ever_listed()),
            "report_to_hold": waited,
            "reports": sum(together.reports),
            "risk": [
                ["rounds, one a day, computed again by anyone from the masked vectors", f"{together.rounds}"],
                ["terminals", f"{len(self.history.terminals):,}"],
                ["of these kept back in the last round: too few payments", f"{together.suppressed:,}"],
            ],
        }

    # -- people and the chain ------------------------------------------------------------------------------

    def _review(self) -> None:
        with self.step("review") as say:
            number, decision, course = self._choose()
            self.chosen_bank, self.chosen = number, decision
            found = self.replay.reviewed
            outcome = "released" if found is not None and found.released else "left as it is"
            first = (
                "decided",
                decision.action if decision.score is None else f"{decision.action}, score {decision.score:,}",
            )
            self.summary["case"] = {
                "action": {"hold": "held", "decline": "declined", "review": "let go, to be reviewed"}[
                    decision.action
                ],
                "bank": BANKS[number],
                "course": [list(one) for one in (first, *course)],
                "outcome": outcome,
                "reasons": [{"code": reason.code, "text": reason.text} for reason in decision.reasons],
                "statement": decision.statement,
            }
            say(f"{BANKS[number]}'s {decision.action} was {outcome} by people, as new statements")

    def _choose(self) -> tuple[int, Decision, Sequence[tuple[str, str]]]:
        """The hold that people released; where none was wrong, the last alert of all."""
        found = self.replay.reviewed
        if found is not None:
            return found.bank, found.decision, found.course
        alerts = [(n, one) for n, made in enumerate(self.replay.alerts) for one in made if one.model]
        if not alerts:
            raise DefectError("the replay raised no alert at all")
        number, decision = max(alerts, key=lambda pair: pair[1].decided_at)
        return number, decision, ()

    def _hold(self) -> None:
        with self.step("hold") as say:
            self.held: HeldOnChain = hold_on_chain(self.consortium, self.together, self.replay)
            self.summary["hold"] = self.held.plain()
            say(
                f"a payee's token held on the chain by {self.held.bank}'s provable decision, {self.held.gas:,} gas"
            )

    # -- evidence ------------------------------------------------------------------------------------------

    def _witness(self) -> None:
        with self.step("witness") as say:
            self.together.settle()
            self.consortium.witness()
            self.consortium.anchor()
            statements = sum(node.journal.size for node in self.consortium.nodes)
            settings = self.consortium.nodes[0].settings.chain
            assert settings is not None
            self.summary["chain"] = {
                "block": self.consortium.chain.head().number,
                "contract": settings.anchors,
                "holds": self.held.contract,
                "id": self.consortium.chain.chain_id,
                "local": self.consortium.ground.local,
                "journals": len(self.consortium.nodes),
                "statements": statements,
            }
            say(f"3 journals cosigned and anchored, {statements:,} statements")

    def _wanted(self, number: int) -> list[str]:
        """The decisions of a bank that must be in the bundle."""
        wanted = [one.statement for one in self.replay.alerts[number][-SHOWN:]]
        return [*wanted, self.chosen.statement] if number == self.chosen_bank else wanted

    def _prove(self) -> None:
        with self.step("receipts") as say:
            self.receipts: list[Receipt] = []
            for number, node in enumerate(self.consortium.nodes):
                for entry in chosen_entries(node.journal, self._wanted(number)):
                    shows = entry.statement.kind in OPENED or entry.id == self.chosen.statement
                    self.receipts.append(node.receipt(entry.index, disclose=[] if shows else None))
            chosen = self.consortium.nodes[self.chosen_bank]
            self.shown = chosen.receipt(self.chosen.statement, disclose=[])
            (self.out / "decision.receipt.json").write_bytes(self.shown.format())
            (self.out / "bundle.zip").write_bytes(format_bundle(self.receipts, {}))
            self.policy = self.consortium.policy("the pilot's banks", ask=ASK)
            (self.out / "policy.json").write_bytes(format_policy(self.policy))
            say(f"{len(self.receipts):,} in bundle.zip, one decision as a file")
        with self.step("verify") as say:
            verdict = verify_outside([self.out / "bundle.zip"], self.out / "policy.json")
            if verdict.code != 0:
                raise DefectError(f"the pilot's own bundle does not verify: {verdict.error}")
            counts = verdict.document["files"][0]["counts"]
            self.summary["standing"] = {**counts, "receipts": len(self.receipts)}
            self.summary["outsider"] = {"loaded": list(verdict.loaded), "network": "refused"}
            say(f"fresh process, base install, offline: {counts['proved']:,} lines proved")
        with self.step("trace") as say:
            bundle = Bundle({receipt.statement.id: receipt for receipt in self.receipts}, {})
            verify_bundle(bundle, policy=self.policy)
            start = bundle.receipts[self.shown.statement.id]
            hop = trace(start, resolve=bundle.resolve, checks=CHECKS, policy=self.policy)
            again = sum(one.standing == "re-executed" for one in hop.walk())
            self.summary["trace"] = short_trace(hop, remarks=REMARKS)
            report = verify(self.shown, policy=self.policy, kinds=STANDARD_KINDS.extended(KINDS))
            self.summary["lines"] = [{"standing": line.standing, "text": line.text} for line in report.lines]
            say(f"decision to model, rules, data and permit; {again} hops computed again")

    def _forge(self) -> None:
        with self.step("tamper") as say:
            node = self.consortium.nodes[self.chosen_bank]
            model = node.receipt(self.shown.statement.links["model"][0], disclose=[])
            evidence = Evidence(
                node=node,
                decision=self.shown,
                model=model,
                old=self.old[self.chosen_bank],
                change={"level": "L4"},
                field=("answer", "approve"),
                mark=b'"leaves":"',
                peers="banks",
            )
            with self.consortium.offered() as url:
                found = forge(evidence, self.out / "forged", self.out / "policy.json", rpc=url)
            self.summary["forgeries"] = found
            caught = sum(item["caught"] for item in found)
            names = ", ".join(item["name"] for item in found)
            say(f"{caught} of {len(found)} forgeries caught: {names}", caught == len(found))
