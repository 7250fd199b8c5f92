"""The models of one party: from fitting over judging to use, each step stated, and known to the chain where there is one.

model = node.models.fit_trees(X, y, trees=50)
judged = node.models.evaluate(model, X_test, y_test)
version = node.models.publish(model, "fraud", evaluation=judged)
node.models.promote(version)
node.ask("fraud", row)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from tallystick.errors import ConfigurationError, SurroundingsError
from tallystick.models import Fitted, RegisteredModel, Registry, Version, load_foreign, sign_override

from ._cards_of_models import card_of
from ._fitting import Fitting
from ._judging import Judged
from ._model_chain import ModelChain, open_model_chain

if TYPE_CHECKING:
    from tallystick.models import Deployed

    from ._deciding import Deciding

__all__ = ["OwnModels"]


class OwnModels(Fitting):
    """The models of one party; a node's `models`.

    Where `[chain] models` is set, publications, evaluations, approvals and retirements go to that contract after they
    were stated, and a promotion is stated only when the contract has made it.

    Args:
        node: whose models they are.

    Attributes:
        registry: what the journal says of them.
        headers: gives the credentials for external scorers; none by default.
    """

    def __init__(self, node: Deciding) -> None:
        self._node = node
        self.headers: Callable[[], Mapping[str, str]] = dict
        self.registry = Registry(
            node.workspace.models,
            journal=node.journal,
            party_of=node.party_of_author,
            load=lambda family, data: load_foreign(family, data, headers=lambda: self.headers()),
        )

    # -- looking -------------------------------------------------------------------------------------------

    def versions(self, name: str = "") -> list[Version]:
        """All versions in order of publication, or those of one name."""
        return self.registry.versions(name)

    def find(self, what: str) -> Version:
        """Find a version by name, name and number, or hash; see `Registry.find`."""
        return self.registry.find(what)

    def model(self, what: str | Version) -> Any:
        """Read a version's file and return the model; see `Registry.model`."""
        return self.registry.model(self._version(what))

    def chain_stage(self, what: str | Version) -> str:
        """How the contract `Models` calls a version: unknown, published, promoted or retired."""
        with self.on_chain() as contract:
            return contract.stage(self._version(what).hash)

    # -- making and judging --------------------------------------------------------------------------------

    def publish(
        self,
        model: RegisteredModel | Fitted,
        name: str,
        *,
        evaluation: Judged | None = None,
        links: Mapping[str, Sequence[str]] | None = None,
        parent: Version | str | None = None,
    ) -> Version:
        """Keep a model and state that it exists, and how good it is; the same file again changes nothing.

        Args:
            model: what to publish; what a fit returned is taken as well.
            name: 1 to 64 lower-case letters, digits, dots, hyphens and underscores.
            evaluation: what `evaluate` returned.
            links: label -> ids of statements it comes from, such as "round" or "data".
            parent: the version that it replaces or grew from.

        Raises:
            ModelInputError: a name that cannot be, or an evaluation of another model.
            RevertError: stated, but the contract refused it; `settle` tries again.
        """
        made = model.model if isinstance(model, Fitted) else model
        version = self.registry.publish(made, name, links=links, parent=parent)
        if evaluation is not None:
            return self.report(version, evaluation)
        self._settle_if_chained()
        return version

    def report(
        self,
        what: str | Version,
        evaluation: Judged,
        *,
        links: Mapping[str, Sequence[str]] | None = None,
    ) -> Version:
        """State how good a version is.

        Args:
            what: which one.
            evaluation: what `evaluate` returned.
            links: label -> ids, such as "data".

        Raises:
            ModelInputError: an evaluation of another model.
        """
        version = self._version(what)
        evaluation.check(version.hash)
        version = self.registry.report(
            version,
            figures=evaluation.figures(),
            rows=evaluation.rows,
            cohort=evaluation.cohort,
            gate=evaluation.gate,
            passed=evaluation.passed,
            links=links,
        )
        self._settle_if_chained()
        return version

    def card(
        self,
        what: str | Version,
        evaluation: Judged | None = None,
        *,
        uses: Sequence[str] = (),
        users: Sequence[str] = (),
        limits: Sequence[str] = (),
    ) -> bytes:
        """Write a version's model card (CycloneDX 1.7); each part says whether it is proved or claimed.

        Args:
            what: which one.
            evaluation: what `evaluate` returned; a signed claim once it was reported.
            uses: what the model is meant for.
            users: who is meant to use it.
            limits: what it must not be used for, or is known to do badly.

        Raises:
            ModelInputError: an evaluation of another model, or texts that are empty or too long.
        """
        return card_of(self._node, self._version(what), evaluation, uses=uses, users=users, limits=limits)

    # -- bringing into use -----------------------------------------------------------------------------------

    def approve(self, what: str | Version) -> str:
        """Approve a model of another party; the statement's id. With a contract, it counts there.

        Args:
            what: a version that is published here too, so that one knows what one approves.
        """
        version = self._version(what)
        links = {"model": [version.published]}
        entry = self._node.record("model.approved", {"model": version.hash}, links=links)
        self._settle_if_chained()
        return entry.id

    def promote(
        self, what: str | Version, *, override: Sequence[Mapping[str, str]] = (), reason: str = ""
    ) -> Version:
        """Bring a version into use; see `Registry.promote` for the rules.

        With a contract, it is asked first, and only what it promoted is stated here; do it again after a crash.

        Raises:
            AccessDeniedError: no evaluation passed, and no override by two known parties.
            RetiredModelError: the version is retired.
            RevertError: the contract refused; nothing was stated.
            VerificationError: a signature of the override is false.
        """
        version = self.registry.find(self._version(what).hash)
        if not self.is_chained:
            return self.registry.promote(version, override=override, reason=reason)
        with self.on_chain() as contract:
            contract.settle()
            ask = partial(contract.promote, reason=reason if override else "")
            if version.stage == "promoted":
                ask(version)  # it came into use before there was a contract, or before this one
            return self.registry.promote(version, override=override, reason=reason, ask=ask)

    def retire(self, what: str | Version, reason: str) -> Version:
        """Take a version out of use, for ever."""
        version = self.registry.retire(self._version(what), reason)
        self._settle_if_chained()
        return version

    def sign_override(self, model: str, reason: str, *, origin: str = "") -> dict[str, str]:
        """Sign that a model may come into use although no evaluation of it passed a gate.

        With a contract, it is signed there as well.

        Args:
            model: hash of its file.
            reason: why, in words that can be published.
            origin: the journal of the registry that is to carry it; one's own when empty.

        Returns:
            What `promote` takes as a part of its override.
        """
        settings = self._node.settings.chain
        network = f"eip155:{settings.profile.chain_id}" if settings else "no chain"
        signed = sign_override(
            model,
            reason,
            signer=self._node.party.signer("author"),
            network=network,
            origin=origin or self._node.origin,
        )
        if self.is_chained:
            with self.on_chain() as contract:
                contract.sign_override(model, reason)
        return signed

    # -- the chain -------------------------------------------------------------------------------------------

    @property
    def is_chained(self) -> bool:
        """Whether the settings name a contract `Models`."""
        return bool((settings := self._node.settings.chain) and settings.models)

    @contextmanager
    def on_chain(self) -> Iterator[ModelChain]:
        """Open the way to the contract `Models`.

        Raises:
            ConfigurationError: the settings name none.
        """
        node = self._node
        with open_model_chain(
            node.workspace,
            node.settings.chain,
            node.party,
            node.journal,
            clock=node.clock,
            chain=node.shared_chain,
        ) as contract:
            yield contract

    def settle(self) -> int:
        """Bring journal and contract together after a crash or a change; how many transactions that took.

        What was stated is sent. A version that the contract calls retired is retired here too.
        """
        with self.on_chain() as contract:
            sent = contract.settle()
            gone = [
                version
                for version in self.versions()
                if version.stage != "retired" and contract.stage(version.hash) == "retired"
            ]
        for version in gone:
            self.registry.retire(version, "the contract Models retired it")
        return sent

    def deploy(self, what: str | Version) -> Deployed:
        """Let the chain execute a model: put its executor there; what stands there already is used.

        Raises:
            ConfigurationError: the settings name no contract, or the model is not an integer model.
            ModelInputError: no contract can execute it.
        """
        from tallystick.models import IntegerModel

        model = self.model(what)
        if not isinstance(model, IntegerModel):
            raise ConfigurationError(f"a contract executes integer models only, this one is {model.family}")
        with self.on_chain() as contract:
            return contract.deploy(model)

    def _settle_if_chained(self) -> None:
        if not self.is_chained:
            return
        try:
            with self.on_chain() as contract:
                contract.settle()
        except SurroundingsError as error:
            error.add_note("it is stated here; `tallystick model settle` tells the contract")
            raise

    def _version(self, what: str | Version) -> Version:
        return self.registry.find(what) if isinstance(what, str) else what
