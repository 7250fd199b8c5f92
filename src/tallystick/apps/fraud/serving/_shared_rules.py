"""Rules about what other banks say: a held payee is not paid, and one about whom nobody could be asked is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from tallystick.apps.fraud.deciding import Condition, PaymentRule, default_rules
from tallystick.apps.fraud.sharing import ShareSettings

from ._settings import FraudSettings

__all__ = ["with_shared_rules"]

HELD: Final = PaymentRule(
    "payee-held",
    "a member of the consortium holds this payee",
    "R11",
    "hold",
    (Condition("payee_held", ">=", "1"),),
)


def with_shared_rules(
    settings: FraudSettings, share: ShareSettings, *, names: Sequence[str]
) -> FraudSettings:
    """Return the settings with the rules that sharing brings; a rule of the bank's own of the same name stays.

    What a rule reads is sealed with every decision, so each one says whether its payee was known.

    Args:
        settings: the bank's.
        share: with whom it shares.
        names: the features and signals that there are.
    """
    own = default_rules(names) if settings.rules is None else settings.rules
    brought = [HELD, unknown_rule(share)]
    taken = {rule.name for rule in own}
    more = [rule for rule in brought if rule.name not in taken and set(rule.features) <= set(names)]
    return replace(settings, rules=(*own, *more))


def unknown_rule(share: ShareSettings) -> PaymentRule:
    """The rule for a payment to a new payee about whom the others could not be asked."""
    conditions = [Condition("payee_unknown", ">=", "1"), Condition("payee_is_new", ">=", "1")]
    # Without an action it never fires, and is there so that decisions say what was known.
    least = share.unknown_amount if share.unknown_action else 10**15 - 1
    action = share.unknown_action or "review"
    return PaymentRule(
        "payee-unknown",
        "a new payee about whom the other banks could not be asked",
        "R12",
        action,  # type: ignore[arg-type]  # share.toml was checked
        (*conditions, Condition("amount", ">=", str(least))),
    )
