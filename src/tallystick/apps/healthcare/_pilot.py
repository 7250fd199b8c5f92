"""The first pilot: four hospitals on one laptop, from their data to receipts that anybody can check.

Each hospital is a node with a workspace of its own under the output directory; everything goes the way that a real
node's calls go. Only the chain is shared, embedded, and run by one operator, which every page says.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tallystick.apps.healthcare._checks import CHECKS
from tallystick.apps.healthcare._data import card_text, data_card, load_heart
from tallystick.apps.healthcare._figures import learned
from tallystick.apps.healthcare._report import build
from tallystick.apps.healthcare._stating import Stating
from tallystick.apps.healthcare._tracing import REMARKS
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
    size_of,
    verify_by_pairs,
    verify_outside,
)
from tallystick.errors import DataError, DefectError
from tallystick.learning import FederatedRun, Site, run_rounds
from tallystick.models import Split, Table, load_csv, split
from tallystick.node import Consortium, Node
from tallystick.proof import (
    Bundle,
    OsFiles,
    Receipt,
    format_bundle,
    format_policy,
    trace,
    verify,
    verify_bundle,
    write_atomically,
)  # fmt: skip
from tallystick.report import render

__all__ = ["PilotOptions", "run_pilot"]

ROUNDS = 20
SUMMARY = "summary.json"
ASK = ("party", "witnesses")


@dataclass(frozen=True, slots=True)
class PilotOptions:
    """What a pilot is asked for.

    Args:
        out: where everything goes.
        force: replace an earlier pilot's output there.
        seed: of the split and of the figures' intervals.
        data: the user's own table, with its columns of site and target, and what means yes.
        network: run on four validators, of which one is killed and one cut off, instead of the embedded chain.
    """

    out: Path = Path("tallystick-pilot")
    force: bool = False
    seed: int = 0
    data: Path | None = None
    site: str = ""
    target: str = ""
    positive: str | None = None
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
        DataError: the table cannot be used.
        MissingExtraError: an extra is not installed.
        VerificationError: the pilot's own evidence does not verify; that is a defect.
    """
    table = _table(options)
    make_place(options.out, name="healthcare", force=options.force, data=options.data)
    run = _Pilot(options, table, on_step)
    if not options.network:
        return run.run(None)
    with PilotNetwork(options.out / "network", table.site_names, tell=on_progress) as network:
        return run.run(network)


def _table(options: PilotOptions) -> Table:
    if options.data is None:
        if options.site or options.target or options.positive:
            raise DataError(
                "--site, --target and --positive go with --data", hint="name your CSV file with --data"
            )
        return load_heart()
    if not options.site or not options.target:
        raise DataError(
            "a table of your own needs --site and --target",
            hint="--site names the column of the organisation, --target the yes-or-no column to learn",
        )
    return load_csv(options.data, site=options.site, target=options.target, positive=options.positive)


class _Pilot:
    """One run of the pilot."""

    def __init__(self, options: PilotOptions, table: Table, on_step: Callable[[Step], None]) -> None:
        self.options, self.table, self.out = options, table, options.out
        self.parts: Split = split(table, seed=options.seed)
        self.steps = Steps(on_step)
        self.step = self.steps.step
        self.summary: dict[str, Any] = {"v": 1, "seed": options.seed, "version": version("tallystick")}

    def run(self, network: PilotNetwork | None) -> dict[str, Any]:
        self.network = network
        write_atomically(OsFiles(), self.out / "passphrase.txt", f"{PASSPHRASE}\n".encode())  # mode 0600
        (self.out / "data-card.txt").write_text(card_text(data_card(self.table)))
        with Consortium(
            self.table.site_names,
            directory=self.out,
            ground=network.ground if network else None,
            passphrase=PASSPHRASE,
            heads=self.out / "heads",
        ) as consortium:
            self.stating = Stating(consortium, self.table, self.parts)
            self._learn(consortium)
            self._kill(consortium)
            self._decide(consortium)
            self._prove(consortium)
            self._forge(consortium)
            if network:
                self.summary["network"] = network.summary()
        with self.step("report") as say:
            self._report()
            say("one page, opens offline")
        self._write_summary()
        return self.summary

    def _learn(self, consortium: Consortium) -> None:
        with self.step("register") as say:
            self.stating.register()
            say(f"{len(consortium.nodes)} data sets stated, each with its assessment")
        train, target = self.parts.train, self.table.target
        with self.step("learn") as say:
            sites = [Site(name, train.at(name)) for name in self.table.site_names]
            self.trained: FederatedRun = run_rounds(
                sites, target=target, name=self.table.name, rounds=ROUNDS, on_event=self.stating.round
            )
            # What a verifier may one day see as an old head: really signed, and witnessed by nobody.
            self.old = consortium.nodes[0].journal.checkpoint()
            say(f"{ROUNDS} rounds, {len(sites)} {self._who()}s, no row left its {self._who()}")
        with self.step("publish") as say:
            self.summary |= learned(self.table, self.parts, self.trained)
            self.stating.publish(self.trained.model, self.summary["evaluation"])
            (self.out / "model.tsm").write_bytes(self.trained.model.bytes)
            auroc = self.summary["evaluation"]["federated"]["auroc"]
            shown = (
                f"AUROC {auroc['value']:.2f} [{auroc['low']:.2f}, {auroc['high']:.2f}]"
                if auroc
                else "AUROC unknown"
            )
            say(f"{self.table.name}@1  {shown} on {self.summary['data']['test']} held-out rows")

    def _kill(self, consortium: Consortium) -> None:
        """Let the network bear a killed validator: the other members go on, its own anchors when it is back."""
        if self.network is None:
            return
        killed = consortium.nodes[1]
        with self.step("kill") as say, self.network.killed(killed.party.card.name):
            consortium.witness()
            count = consortium.anchor(without=[killed])
            say(f"one validator by kill -9, {count} journals anchored meanwhile")

    def _cut_off(self, consortium: Consortium) -> None:
        """Let the network bear a member that is cut off; what it stated meanwhile waits at home."""
        if self.network is None:
            return
        cut = consortium.nodes[-1]
        with self.step("cut off") as say, self.network.cut_off(cut.party.card.name):
            count = consortium.anchor(without=[cut])
            say(f"one {self._who()} without a network, {count} journals anchored meanwhile")

    def _who(self) -> str:
        return "hospital" if self.table.name == "heart" else "site"

    def _decide(self, consortium: Consortium) -> None:
        with self.step("decide") as say:
            disk, cpu = size_of(self.out), time.process_time()
            self.stating.decide(self.trained.model)
            count = len(self.stating.stated.decisions)
            self.cost = {
                "cpu": (time.process_time() - cpu) / count,
                "disk": (size_of(self.out) - disk) / count,
            }
            say(f"{count} rows, 3 reasons each, sealed in the payload")
        with self.step("witness") as say:
            consortium.witness()
            say(f"each {self._who()} cosigned the other {len(consortium.nodes) - 1} journals")
        self._cut_off(consortium)
        with self.step("anchor") as say:
            consortium.anchor()
            statements = sum(node.journal.size for node in consortium.nodes)
            settings = consortium.nodes[0].settings.chain
            assert settings is not None
            self.summary["chain"] = {
                "id": consortium.chain.chain_id,
                "contract": settings.anchors,
                "block": max(claim.block for node in consortium.nodes for claim in node.claims),
                "journals": len(consortium.nodes),
                "statements": statements,
                "local": consortium.ground.local,
            }
            say(
                f"{len(consortium.nodes)} journals, {statements:,} statements, contract {settings.anchors[:8]}…"
            )

    def _receipts(self, consortium: Consortium) -> tuple[list[Receipt], Receipt]:
        """All receipts, of which one decision is opened; masked updates and public files are opened too."""
        site, chosen = self._example()
        shown = self.stating.nodes[site].receipt(chosen, disclose=[])
        receipts = []
        for node in consortium.nodes:
            for entry in node.journal.entries():
                kind = entry.statement.kind
                if entry.id == chosen:
                    receipts.append(shown)
                    continue
                public = kind in ("update.committed", "round.closed", "model.published")
                receipts.append(node.receipt(entry.index, disclose=[] if public else None))
        return receipts, shown

    def _example(self) -> tuple[str, str]:
        """The decision that the report tells about: the first one at the site with the most of them."""
        most = Counter(site for site, _ in self.stating.stated.decisions).most_common(1)[0][0]
        return next((site, found) for site, found in self.stating.stated.decisions if site == most)

    def _prove(self, consortium: Consortium) -> None:
        with self.step("receipts") as say:
            self.receipts, self.shown = self._receipts(consortium)
            (self.out / "receipts").mkdir()
            for receipt in self.receipts:
                if receipt.statement.kind == "decision.made":
                    path = self.out / "receipts" / f"{receipt.statement.id}.receipt.json"
                    path.write_bytes(receipt.format())
            (self.out / "decision.receipt.json").write_bytes(self.shown.format())
            (self.out / "bundle.zip").write_bytes(
                format_bundle(self.receipts, {"model.tsm": self.trained.model.bytes})
            )
            self.policy = consortium.policy(f"the pilot's {self._who()}s", ask=ASK)
            (self.out / "policy.json").write_bytes(format_policy(self.policy))
            say(
                f"{len(self.receipts)} in bundle.zip, {len(list((self.out / 'receipts').iterdir()))} of decisions as files"
            )
        with self.step("verify") as say:
            verdict = verify_outside([self.out / "bundle.zip"], self.out / "policy.json")
            if verdict.code != 0:
                raise DefectError(f"the pilot's own bundle does not verify: {verdict.error}")
            counts = verdict.document["files"][0]["counts"]
            self.summary["standing"] = {**counts, "receipts": len(self.receipts)}
            self.summary["outsider"] = {"loaded": list(verdict.loaded), "network": "refused"}
            say(f"fresh process, base install, offline: {counts['proved']:,} lines proved")
        if self.network is not None:
            with self.step("endpoints") as say:
                urls = [endpoint.url for endpoint in consortium.ground.endpoints]
                count = verify_by_pairs([self.out / "decision.receipt.json"], self.out / "policy.json", urls)
                say(f"the decision verifies against any two of {len(urls)} endpoints: {count} pairs asked")
        self.summary["decision"] = self._decision()

    def _decision(self) -> dict[str, Any]:
        bundle = Bundle({receipt.statement.id: receipt for receipt in self.receipts}, {})
        verify_bundle(bundle, policy=self.policy)
        hop = trace(self.shown, resolve=bundle.resolve, checks=CHECKS, policy=self.policy)
        report = verify(self.shown, policy=self.policy)
        opened = report.opened
        reasons: dict[int, dict[str, Any]] = {}
        for path, value in opened.items():
            if path.startswith("reasons["):
                number, _, name = path.removeprefix("reasons[").partition("].")
                reasons.setdefault(int(number), {})[name] = value
        return {
            "id": self.shown.statement.id,
            "site": report.by,
            "answer": opened["answer"],
            "probability": float(opened["probability"]),
            "score": opened["score"],
            "reasons": [reasons[number] for number in sorted(reasons)],
            "trace": short_trace(hop, remarks=REMARKS),
            "lines": [{"standing": line.standing, "text": line.text} for line in report.lines],
        }

    def _forge(self, consortium: Consortium) -> None:
        with self.step("tamper") as say:
            node: Node = consortium.nodes[0]
            own = next(
                found for site, found in self.stating.stated.decisions if self.stating.nodes[site] is node
            )
            evidence = Evidence(
                node=node,
                decision=node.receipt(own, disclose=[]),
                model=node.receipt(self.stating.stated.model, disclose=[]),
                old=self.old,
                change={"level": "L4"},
                field=("answer", "no" if self._answer(own, node) == "yes" else "yes"),
                mark=b'"weights":[',
                peers=f"{self._who()}s",
            )
            with consortium.offered() as url:
                found = forge(evidence, self.out / "forged", self.out / "policy.json", rpc=url)
            self.summary["forgeries"] = found
            caught = sum(item["caught"] for item in found)
            good = caught == len(found)
            names = ", ".join(item["name"] for item in found)
            say(f"{caught} of {len(found)} forgeries caught: {names}", good)
        self._costs(consortium)

    def _answer(self, decision: str, node: Node) -> str:
        sealed = node.journal.payload(decision)
        assert isinstance(sealed, dict)
        return str(sealed["answer"])

    def _costs(self, consortium: Consortium) -> None:
        gas = [consortium.gas_of(claim) for node in consortium.nodes for claim in node.claims]
        per_anchor = sum(gas) / max(1, len(gas))
        batch = consortium.nodes[0].settings.anchor.every_statements
        self.summary["cost"] = {
            "decisions": len(self.stating.stated.decisions),
            "disk_bytes_per_million": self.cost["disk"] * 1e6,
            "cpu_s_per_million": self.cost["cpu"] * 1e6,
            "gas_per_million": per_anchor * 1e6 / batch,
            "gas_note": f"one anchor per {batch:,} statements at {per_anchor:,.0f} gas each",
            "measured_on": f"one core of {processor()}, Python {sys.version.split()[0]}",
        }

    def _report(self) -> None:
        self.summary["made_at"] = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        self.summary["steps"] = self.steps.as_list()
        (self.out / "report.html").write_text(render(build(self.summary)), encoding="utf-8")

    def _write_summary(self) -> None:
        text = json.dumps(self.summary, indent=2, sort_keys=True, ensure_ascii=False)
        (self.out / SUMMARY).write_text(text + "\n", encoding="utf-8")
