"""What a score means: thresholds, and what a payment message says of the outcome.

- The champion's integer score is compared with three thresholds; each is the least score that means its action.
- An instant payment cannot wait, so a hold of one is a decline.
- Statuses are those of pacs.002: ACCP (accepted, checks passed), PDNG (pending), RJCT (rejected).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tallystick.errors import ConfigurationError

from ._decision import ACTIONS, Action

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["DecisionPolicy"]

_STATUS: Final[Mapping[Action, str]] = {
    "approve": "ACCP",
    "review": "ACCP",
    "hold": "PDNG",
    "decline": "RJCT",
}
# Source: ISO 20022 external code set ExternalStatusReason1Code.
FRAUDULENT: Final = "FRAD"  # FraudulentOriginated: considered as fraudulent
NARRATIVE: Final = "NARR"  # Narrative: the reason is given as text, here by the reasons beside it
_MAX: Final = 2**53 - 1


@dataclass(frozen=True, slots=True)
class DecisionPolicy:
    """Thresholds in integer scores of the champion, and what happens where there is no score.

    Args:
        review_score: least score that a person looks at afterwards.
        hold_score: least score that waits for a person.
        decline_score: least score that is declined.
        cannot_wait: channels in which a hold is a decline.
        ruled: what happens while rules decide alone and none fires.
        unscored: the least that happens to a payment whose numbers the champion refuses.

    Raises:
        ConfigurationError: the thresholds do not ascend, or an action does not exist.
    """

    review_score: int
    hold_score: int
    decline_score: int
    cannot_wait: tuple[str, ...] = ("instant",)
    ruled: Action = "approve"
    unscored: Action = "hold"

    def __post_init__(self) -> None:
        scores = (self.review_score, self.hold_score, self.decline_score)
        if any(type(score) is not int or abs(score) > _MAX for score in scores):
            raise ConfigurationError("thresholds must be whole numbers that JSON holds exactly")
        if not scores[0] <= scores[1] <= scores[2]:
            raise ConfigurationError(
                "thresholds must ascend: review, hold, decline",
                hint="equal thresholds leave the milder action out",
            )
        if self.ruled not in ACTIONS or self.unscored not in ACTIONS:
            raise ConfigurationError(f"an action must be one of {', '.join(ACTIONS)}")

    @staticmethod
    def for_budget(
        scores: NDArray[np.int64],
        *,
        alert_budget: float = 0.005,
        hold_share: float = 0.5,
        decline_share: float = 0.1,
        cannot_wait: tuple[str, ...] = ("instant",),
    ) -> DecisionPolicy:
        """Return the thresholds that raise at most so many alerts among payments like these.

        Args:
            scores: the champion's, of payments that stand for those to come; int64, shape (payments,).
            alert_budget: share of payments that may become alerts (review, hold or decline), 0 to 1.
            hold_share: share of the alerts that may be holds or declines.
            decline_share: share of the alerts that may be declines.
            cannot_wait: see the class.

        Raises:
            ConfigurationError: no scores, or a share that is none.
        """
        import numpy as np

        if scores.size == 0:
            raise ConfigurationError("thresholds by a budget need the scores of past payments")
        if not 0.0 < alert_budget < 1.0 or not 0.0 <= decline_share <= hold_share <= 1.0:
            raise ConfigurationError(
                "shares must be 0 to 1: decline at most hold, the budget above 0 and below 1"
            )
        ordered = np.sort(np.asarray(scores, dtype=np.int64))[::-1]
        least = [_least(ordered, share * alert_budget) for share in (1.0, hold_share, decline_share)]
        return DecisionPolicy(least[0], least[1], least[2], cannot_wait)

    def of_score(self, score: int) -> Action:
        """Return what a score means by itself."""
        if score >= self.decline_score:
            return "decline"
        if score >= self.hold_score:
            return "hold"
        return "review" if score >= self.review_score else "approve"

    def in_channel(self, action: Action, channel: str) -> Action:
        """Return what an action is in a channel: where nothing can wait, a hold is a decline."""
        return "decline" if action == "hold" and channel in self.cannot_wait else action

    def status(self, action: Action, rule_reason: str = "") -> tuple[str, str]:
        """Return the pacs.002 status and its reason code.

        Args:
            action: what was decided.
            rule_reason: ISO code of the rule that was strictest, where a rule decided; else empty.
        """
        status = _STATUS[action]
        if status == "ACCP":
            return status, ""
        return status, rule_reason or (FRAUDULENT if status == "RJCT" else NARRATIVE)

    def record(self) -> dict[str, Any]:
        """Return it as plain data, as it is stated."""
        return {
            "cannot_wait": list(self.cannot_wait),
            "decline_score": self.decline_score,
            "hold_score": self.hold_score,
            "review_score": self.review_score,
            "ruled": self.ruled,
            "unscored": self.unscored,
        }

    @staticmethod
    def of_record(record: Mapping[str, Any]) -> DecisionPolicy:
        """Read what `record` made.

        Raises:
            ConfigurationError: it is not that.
        """
        try:
            fields = {**record, "cannot_wait": tuple(record["cannot_wait"])}
            return DecisionPolicy(**fields)
        except (KeyError, TypeError) as error:
            raise ConfigurationError("a policy's fields do not fit") from error


def stricter(one: Action, other: Action) -> Action:
    """Return the stricter of two actions."""
    return max(one, other, key=ACTIONS.index)


def _least(descending: NDArray[np.int64], share: float) -> int:
    """Return the least score that at most this share reaches, ties included."""
    allowed = int(share * len(descending))
    # The first score that is too many, and all its equals, must stay below.
    return int(descending[min(allowed, len(descending) - 1)]) + 1
