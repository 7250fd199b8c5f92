"""A party's models in the contract `Models`: what was stated goes there too, each statement once.

- Journal first, then outbox: publications, evaluations, approvals and retirements are stated, then sent. An intent's
  id names contract and statement, so whatever a crash left unsent is found again in the journal (`settle`).
- A promotion is the other way round, because a promotion that the contract refuses is none: the contract is asked
  first, and only when it has promoted the model is that stated. A crash in between leaves a model that the chain calls
  promoted and the journal does not yet; promoting it again states it.
- Nothing is sent that the contract shows already, whoever brought it there; and nothing that it must refuse: it hears
  no party about a model of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tallystick.errors import ConfigurationError, NotFoundError, RevertError
from tallystick.proof import Clock, Entry, Journal, Party

from ._sending import open_outbox, send_once
from ._settings import ChainSettings
from ._workspace import Workspace

if TYPE_CHECKING:
    from tallystick.chain import Call, Chain, Outbox
    from tallystick.models import Deployed, IntegerModel, Models, Version

__all__ = ["ModelChain", "open_model_chain"]


class ModelChain:
    """The contract `Models` as one party uses it; made by `open_model_chain`.

    Args:
        models: the contract.
        outbox: of this party's account.
        party: whose models and judgements these are.
        journal: its journal.
    """

    def __init__(self, models: Models, outbox: Outbox, *, party: Party, journal: Journal) -> None:
        from tallystick.chain import hashed_id

        self.models, self._outbox, self._journal = models, outbox, journal
        self._own = hashed_id(party.id)
        self._rules: dict[str, Callable[[Entry], Call | None]] = {
            "evaluation.reported": self._report,
            "model.approved": self._approve,
            "model.published": self._publish,
            "model.retired": self._retire,
        }

    def settle(self) -> int:
        """Send what was stated and the contract does not show yet; how many transactions that took.

        Raises:
            RevertError: the contract refused one; the others are sent all the same.
            ChainError: not mined in time; it is kept and goes on later.
        """
        sent, refused = 0, None
        for entry in self._journal.entries(kinds=self._rules.keys()):
            call = self._rules[entry.statement.kind](entry)
            if call is None:
                continue
            try:
                self._send(f"{entry.statement.kind}/{entry.id}", call)
                sent += 1
            except RevertError as error:
                refused = refused or error
        if refused is not None:
            raise refused
        return sent

    def promote(self, version: Version, *, reason: str = "") -> None:
        """Let the contract promote a model; nothing is sent when it has.

        Args:
            version: which one.
            reason: of an override that two parties signed; empty for a passed evaluation.

        Raises:
            RevertError: the contract refused.
        """
        if self.stage(version.hash) == "promoted":
            return
        if reason:
            said = hashlib.sha256(reason.encode()).digest()
            name, call = f"/{said.hex()[:16]}", self.models.promote_by_override(version.hash, said)
        else:
            name, call = "", self.models.promote(version.hash)
        self._send(f"model.promoted/{version.published}{name}", call)

    def sign_override(self, model: str, reason: str) -> None:
        """Sign in the contract, too, that a model may come into use without a passed evaluation.

        Args:
            model: hash of its file.
            reason: why, in words that can be published.
        """
        said = hashlib.sha256(reason.encode()).digest()
        if self._may_judge(model) and self._own not in self.models.overrides(model, said):
            self._send(f"override.signed/{model}/{said.hex()[:16]}", self.models.sign_override(model, said))

    def deploy(self, model: IntegerModel) -> Deployed:
        """Put a model's executor on the chain; what stands there already is used."""
        from tallystick.models import deploy_model

        return deploy_model(self._outbox, self.models, model)

    def stage(self, model: str) -> str:
        """How the contract calls a model: unknown, published, promoted or retired."""
        return self.models.stage(model).name.lower()

    def _may_judge(self, model: str) -> bool:
        record = self.models.record(model)
        return (
            record is not None and record.stage.name.lower() == "published" and record.publisher != self._own
        )

    def _publish(self, entry: Entry) -> Call | None:
        body = entry.statement.body
        if self.stage(body["model"]) != "unknown":
            return None
        # A parent that the contract never saw cannot be named to it.
        parent = body.get("parent")
        return self.models.publish(
            body["model"], parent=parent if parent and self.stage(parent) != "unknown" else None
        )

    def _report(self, entry: Entry) -> Call | None:
        body = entry.statement.body
        if "passed" not in body or not self._may_judge(body["model"]):
            return None
        told = [found for found in self.models.evaluations(body["model"]) if found.party == self._own]
        # The contract keeps a party's last word: what was said before it must not come after it.
        if told and self._journal.index(told[0].statement) >= entry.index:
            return None
        return self.models.report_evaluation(body["model"], entry.id, passed=body["passed"])

    def _approve(self, entry: Entry) -> Call | None:
        model = entry.statement.body["model"]
        if not self._may_judge(model) or self._own in self.models.approvals(model):
            return None
        return self.models.approve(model)

    def _retire(self, entry: Entry) -> Call | None:
        model = entry.statement.body["model"]
        if self.stage(model) not in ("published", "promoted") or self._is_sent(entry):
            return None
        return self.models.retire(model)

    def _name(self, what: str) -> str:
        return f"{self.models.address}/{what}"

    def _is_sent(self, entry: Entry) -> bool:
        try:
            name = self._name(f"{entry.statement.kind}/{entry.id}")
            return self._outbox.intent(name).state == "mined"
        except NotFoundError:
            return False

    def _send(self, what: str, call: Call) -> None:
        hint = "it hears active members only; approvals, evaluations and overrides come from other parties"
        send_once(self._outbox, self._name(what), call, contract="Models", hint=hint)


@contextmanager
def open_model_chain(
    workspace: Workspace,
    settings: ChainSettings | None,
    party: Party,
    journal: Journal,
    *,
    clock: Clock,
    chain: Chain | None = None,
) -> Iterator[ModelChain]:
    """Open the way to the contract `Models`, and close what was opened.

    Args:
        workspace: where the outbox is kept.
        settings: the chain and its contracts.
        party: its chain key signs and pays.
        journal: what was stated.
        clock: microseconds since the epoch.
        chain: an open chain to share.

    Raises:
        ConfigurationError: the settings name no contract.
    """
    if settings is None or not settings.models:
        raise ConfigurationError(
            "the settings name no Models contract", hint="set chain.models in tallystick.toml"
        )
    from tallystick.models import Models

    with open_outbox(workspace, settings, party, clock=clock, chain=chain) as (reached, _, outbox):
        yield ModelChain(Models(reached.web3, settings.models), outbox, party=party, journal=journal)
