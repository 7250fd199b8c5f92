"""A model's card as its party can vouch for it, from the statements in its journal.

- Who published the file is proved: its hash is computed again, and the receipt of the statement is verified here.
- Figures and origins are the party's signed claims: the journal proves that it said them, not that they are so.
- What the card is told in passing (uses, users, limits) is an unsigned claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tallystick.errors import VerificationError
from tallystick.models import Training, Version, make_card
from tallystick.proof import verify

from ._judging import Judged

if TYPE_CHECKING:
    from ._deciding import Deciding

__all__ = ["card_of"]


def card_of(
    node: Deciding,
    version: Version,
    judged: Judged | None,
    *,
    uses: Sequence[str] = (),
    users: Sequence[str] = (),
    limits: Sequence[str] = (),
) -> bytes:
    """Write the card of a version; see `make_card`.

    Args:
        node: whose journal and registry they are.
        version: which one.
        judged: how good it is; a signed claim where it was reported, else an unsigned one.
        uses: what it is meant for.
        users: who is meant to use it.
        limits: what it must not be used for.

    Raises:
        ModelInputError: an evaluation of another model, or texts that are empty or too long.
        VerificationError: the journal's statement is not of this file.
    """
    if judged is not None:
        judged.check(version.hash)
    model = node.models.model(version)
    report = verify(node.receipt(version.published))
    published = node.journal.statement(version.published)
    if report.standing("inclusion") != "proved" or published.body.get("model") != model.hash:
        raise VerificationError("the statement of the publication is not of this file")
    signed = {}
    training = [
        Training(label, tuple(ids)) for label, ids in sorted(published.links.items()) if label != "parent"
    ]
    if training:
        signed["training"] = version.published
    evaluation = None if judged is None else judged.evaluation
    verdict = None if judged is None else judged.verdict
    if judged is not None and evaluation is not None:
        said = _statement_of(node, version, judged)
        parts = (
            ["evaluation"] + ["fairness"] * hasattr(evaluation, "groups") + ["gate"] * (verdict is not None)
        )
        signed |= dict.fromkeys(parts, said) if said else {}
    return make_card(
        model, version=version.label, evaluation=evaluation, gate=verdict, training=training, uses=uses,
        users=users, limits=limits, proved={"model": version.published}, signed=signed,
    )  # fmt: skip


def _statement_of(node: Deciding, version: Version, judged: Judged) -> str:
    """Return the id of the newest statement that reports these very figures; empty for none."""
    for statement in reversed(version.evaluations):
        body = node.journal.statement(statement).body
        if body["figures"] == judged.figures() and body["cohort"] == judged.cohort:
            return statement
    return ""
