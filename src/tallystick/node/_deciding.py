"""The side of a node that decides: it states, asks its models, and keeps people in charge of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tallystick.errors import ConfigurationError
from tallystick.proof import Draft, Entry

from ._rehashing import Rehashing
from ._retention import Retention
from ._watching import Witnessing

if TYPE_CHECKING:
    from tallystick.chain import Chain
    from tallystick.decisions import Answer, Desk, Oversight, Permit
    from tallystick.models import Row, Version

    from ._models import OwnModels
    from ._oracle import OracleDealings

__all__ = ["Deciding"]

OWN_LEVEL = "L0"


class Deciding(Witnessing):
    """A party's evidence, and what it states and decides itself."""

    shared_chain: Chain | None = None
    _rehashing: Rehashing | None = None

    def share_chain(self, chain: Chain | None) -> None:
        """Use an open chain instead of opening one by the settings; whoever shares it closes it."""
        self.shared_chain = chain

    def record(
        self,
        kind: str,
        body: dict[str, Any],
        *,
        links: dict[str, list[str]] | None = None,
        payload: bytes | None = None,
        fields: Mapping[str, Any] | None = None,
        media: str = "application/octet-stream",
        subject: str = "",
    ) -> Entry:
        """State something; durable when it returns. See `Draft` for the arguments.

        Raises:
            StatementError: it does not fit its kind or the profile; nothing was written.
        """
        return self.record_many([Draft(kind, body, links, payload, fields, media, subject)])[0]

    def record_many(self, drafts: Sequence[Draft]) -> list[Entry]:
        """State several things, all or none of them; durable when it returns."""
        return self.journal.append_many(drafts)

    @cached_property
    def models(self) -> OwnModels:
        """The models of this party: fit, evaluate, publish, promote, retire, find."""
        from ._models import OwnModels

        return OwnModels(self)

    @contextmanager
    def oracle(self) -> Iterator[OracleDealings]:
        """Deal with the contract `Oracle`: ask it, answer as a signer, watch.

        Raises:
            ConfigurationError: the settings name no contract.
        """
        from ._oracle import open_oracle

        with open_oracle(self) as dealings:
            yield dealings

    @cached_property
    def oversight(self) -> Oversight:
        """People in charge: controls with their deadlines, confirmations, appeals, reviews, overrides."""
        from tallystick.decisions import Deadlines, Oversight

        said = self.settings.oversight
        deadlines = Deadlines(said.confirm_s, said.appeal_s, said.review_s)
        return Oversight(self, deadlines=deadlines, clock=self.clock)

    @cached_property
    def retention(self) -> Retention:
        """How long entries are kept, legal holds, disposal."""
        return Retention(self)

    def erase(self, subject: str) -> bool:
        """Destroy a subject's key: her payloads become unknowable. True when there was one.

        Raises:
            LegalHoldError: a legal hold stands; nothing was erased.
        """
        return self.retention.erase(subject)

    def verify_behind(
        self, *, share: float = 0.5, tell: Callable[[Rehashing], None] | None = None
    ) -> Rehashing:
        """Hash the whole journal again in a thread of its own, while this node answers; `close` ends it.

        Args:
            share: how much of one core it may take, above 0 and up to 1.
            tell: called once when it is done or has found damage.
        """
        if self._rehashing is not None:
            self._rehashing.stop()
        self._rehashing = Rehashing(self.journal, share=share, tell=tell)
        return self._rehashing

    @cached_property
    def desk(self) -> Desk:
        """Where this party's models are asked; `ask` and `ask_many` go through it."""
        from tallystick.decisions import Desk

        return Desk(self, self.models.registry, oversight=self.oversight, clock=self.clock)

    def ask(
        self,
        model: str | Version,
        row: Row,
        *,
        permit: Permit | None = None,
        subject: str = "",
        k: int = 3,
        by: str = "",
        level: str = OWN_LEVEL,
        reveal: Collection[str] = (),
    ) -> Answer:
        """Ask a model about one row; the answer's statement is durable before it returns.

        Args:
            model: its name, its name and version, a hash, or a version.
            row: the model's columns, cells as text, None where missing.
            permit: the statement or the fact on a chain that permits it.
            subject: whom it is about; her key seals the input.
            k: reasons, 1 to 4.
            by: who asks; sealed, and barred from confirming and reviewing.
            level: assurance level; a node by itself answers at L0.
            reveal: who may see the input or the weights, where the level shows them to others.

        Raises:
            AccessDeniedError: the permit or a control refuses.
            ConfigurationError: a level that only the contract `Oracle` gives.
            DisclosureError: the level shows more than `reveal` allows.
            ModelInputError: the row does not fit.
            NotFoundError: no such model.
            RetiredModelError: it is not in use any more.
        """
        return self.ask_many(
            model, [row], permit=permit, subjects=[subject], k=k, by=by, level=level, reveal=reveal
        )[0]

    def ask_many(
        self,
        model: str | Version,
        rows: Sequence[Row],
        *,
        permit: Permit | None = None,
        subjects: Sequence[str] | None = None,
        k: int = 3,
        by: str = "",
        level: str = OWN_LEVEL,
        reveal: Collection[str] = (),
    ) -> list[Answer]:
        """Ask a model about several rows: all are stated and answered, or none is; see `ask`."""
        from tallystick.decisions import before_revealing

        before_revealing(level, reveal)
        if level != OWN_LEVEL:
            raise ConfigurationError(
                f"a node by itself answers at {OWN_LEVEL}; {level} is asked of the contract Oracle",
                hint="see `tallystick oracle request --help`",
            )
        what = model if isinstance(model, str) else model.hash
        return self.desk.ask_many(what, rows, permit=permit, subjects=subjects, k=k, by=by, reveal=reveal)
