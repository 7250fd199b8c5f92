"""Reasons: rules that fired first, then what moved the champion's score most, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from tallystick.apps.fraud.payments import Payment
from tallystick.models import IntegerModel

from ._decision import ReasonCode
from ._rules import PaymentRule

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["MOST", "Explaining", "feature_words"]

MOST: Final = 4
LOOKED: Final = 2 * MOST  # strongest features that are looked at: some may say one and the same
OF_APPROVED: Final = 2  # reasons of a payment that goes on: stored for later questions, so fewer

Words = Mapping[str, tuple[str, str]]
"""Feature -> reason code and title."""

UNKNOWN_CODE: Final = "M00"
_SIGNALS: Final[dict[str, tuple[str, str]]] = {
    "payee_listed": ("S01", "other banks reported this payee"),
    "payee_reports": ("S02", "reports of this payee by other banks"),
    "shared_payee_risk": ("S03", "share of fraud among payments to this payee, over all banks"),
    "payee_held": ("S05", "another bank holds this payee"),
    "payee_unknown": ("S06", "the other banks could not be asked about this payee"),
    "shared_terminal_risk": ("S04", "share of fraud at this terminal, over all banks"),
}


def feature_words() -> dict[str, tuple[str, str]]:
    """Return code and title of every feature and signal that this application knows."""
    from tallystick.apps.fraud import features

    known = getattr(features, "FEATURES", ())
    return {**_SIGNALS, **{one.name: (one.reason_code, one.title) for one in known}}


class Explaining:
    """Explains one model's scores.

    Args:
        model: the champion.
        columns: where its features stand among the numbers.
        words: feature -> code and title; the model's own titles where a feature is not among them.
    """

    def __init__(self, model: IntegerModel, columns: Sequence[int], words: Words) -> None:
        self._model, self._columns = model, list(columns)
        titles = {feature.name: feature.title for feature in model.quantiser.features}
        found = [words.get(name, (UNKNOWN_CODE, titles[name])) for name in model.quantiser.names]
        self._codes = [code for code, _ in found]
        self._titles = [title for _, title in found]
        self._things = [_thing(name) for name in model.quantiser.names]
        self._means = ["_mean_" in name for name in model.quantiser.names]

    def explain(
        self,
        inputs: NDArray[np.int16],
        numbers: NDArray[np.float64],
        *,
        payments: Sequence[Payment],
        alerts: Sequence[bool],
        fired: Sequence[Sequence[PaymentRule]],
    ) -> list[tuple[ReasonCode, ...]]:
        """Return every payment's reasons.

        An alert's are what speaks for fraud; those of a payment that goes on are the strongest to either side.

        Args:
            inputs: the champion's, int16, shape (payments, width).
            numbers: what they were made of, float64, shape (payments, all columns).
            payments: whose they are.
            alerts: whether the payment does not simply go on.
            fired: the rules that fired, per payment.
        """
        import numpy as np

        parts = self._model.contributions_inputs_many(inputs)
        alert = np.array(alerts, dtype=bool)
        weights = np.where(alert[:, None], parts, np.abs(parts))
        order = np.argsort(-weights, axis=1, kind="stable")[:, :LOOKED].tolist()
        told = []
        for row, places in enumerate(order):
            reasons = [ReasonCode(rule.reason_code, rule.title) for rule in fired[row][:MOST]]
            most = MOST if alerts[row] else OF_APPROVED
            found = [
                place
                for place in places
                if parts[row, place] > 0 or (parts[row, place] < 0 and not alerts[row])
            ]
            for place, lacking in self._once(payments[row], found)[: max(most - len(reasons), 0)]:
                value = numbers[row, self._columns[place]]
                reasons.append(self._reason(place, lacking, value, parts[row, place]))
            told.append(tuple(reasons))
        return told

    def _once(self, payment: Payment, places: Sequence[int]) -> list[tuple[int, str]]:
        """Return places with what the payment lacks of them: all that it says of one lacking thing is one reason."""
        told, kept = set[str](), []
        for place in places:
            thing = self._things[place]
            lacking = thing if thing and not getattr(payment, thing) else ""
            if lacking not in told:
                kept.append((place, lacking))
            if lacking:
                told.add(lacking)
        return kept

    def _reason(self, place: int, lacking: str, value: float, part: float) -> ReasonCode:
        way = "raises" if part > 0 else "lowers"
        if lacking:
            # What a payment does not have has no history: a number of it would be read as one.
            return ReasonCode(self._codes[place], f"no {lacking} is named, {way} the risk")
        told = "none yet" if value == 0 and self._means[place] else plain(value)
        return ReasonCode(self._codes[place], f"{self._titles[place]}: {told}, {way} the risk")


def _thing(feature: str) -> str:
    """What a feature is of that a payment need not have."""
    kind = feature.removeprefix("shared_").partition("_")[0]
    return kind if kind in ("card", "device", "terminal") else ""


def plain(value: float) -> str:
    """Write a number as people read it: whole, or with as many decimals as matter."""
    if value == int(value):
        return str(int(value))
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"


def of_rules(fired: Sequence[PaymentRule], otherwise: ReasonCode) -> tuple[ReasonCode, ...]:
    """Return the reasons where no model explains: the rules that fired, or why there are none."""
    found = tuple(ReasonCode(rule.reason_code, rule.title) for rule in fired[:MOST])
    return found or (otherwise,)
