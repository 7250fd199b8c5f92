"""What a score means, and what a payment message says of it."""

from __future__ import annotations

import numpy as np
import pytest

from tallystick.apps.fraud.deciding import DecisionPolicy
from tallystick.errors import ConfigurationError

POLICY = DecisionPolicy(10, 20, 30)


@pytest.mark.parametrize(
    ("score", "action"),
    [
        (-5, "approve"),
        (9, "approve"),
        (10, "review"),
        (19, "review"),
        (20, "hold"),
        (29, "hold"),
        (30, "decline"),
    ],
)
def test_a_threshold_is_the_least_score_of_its_action(score: int, action: str) -> None:
    assert POLICY.of_score(score) == action


def test_equal_thresholds_leave_the_milder_action_out() -> None:
    assert DecisionPolicy(10, 10, 10).of_score(10) == "decline"


@pytest.mark.parametrize("scores", [(2, 1, 3), (1, 3, 2), (1, 2, 2**53), (1, 2, 2.5)])
def test_thresholds_that_do_not_ascend_are_refused(scores: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigurationError):
        DecisionPolicy(*scores)


def test_an_action_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        DecisionPolicy(1, 2, 3, ruled="wait")  # type: ignore[arg-type]


def test_a_hold_of_what_cannot_wait_is_a_decline() -> None:
    assert POLICY.in_channel("hold", "instant") == "decline"
    assert POLICY.in_channel("hold", "transfer") == "hold"
    assert POLICY.in_channel("review", "instant") == "review"


def test_statuses_are_those_of_pacs_002() -> None:
    assert POLICY.status("approve") == ("ACCP", "")
    assert POLICY.status("review", "AM14") == ("ACCP", "")
    assert POLICY.status("hold") == ("PDNG", "NARR")
    assert POLICY.status("decline") == ("RJCT", "FRAD")
    assert POLICY.status("decline", "AM14") == ("RJCT", "AM14")


@pytest.mark.parametrize("budget", [0.001, 0.005, 0.05, 0.3])
def test_a_budget_is_never_passed_even_with_ties(budget: float) -> None:
    scores = np.random.default_rng(3).integers(0, 50, 10_000)
    policy = DecisionPolicy.for_budget(scores, alert_budget=budget, hold_share=0.5, decline_share=0.1)
    told = [policy.of_score(score) for score in scores.tolist()]
    assert sum(one != "approve" for one in told) <= budget * len(scores)
    assert sum(one in ("hold", "decline") for one in told) <= 0.5 * budget * len(scores)
    assert sum(one == "decline" for one in told) <= 0.1 * budget * len(scores)


def test_a_budget_is_used_up_where_scores_differ() -> None:
    scores = np.arange(10_000)
    policy = DecisionPolicy.for_budget(scores, alert_budget=0.01)
    assert sum(policy.of_score(score) != "approve" for score in scores.tolist()) == 100


@pytest.mark.parametrize("fields", [{"alert_budget": 0.0}, {"alert_budget": 1.0}, {"hold_share": 0.05}])
def test_shares_that_are_none_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        DecisionPolicy.for_budget(np.arange(10), **fields)
    with pytest.raises(ConfigurationError):
        DecisionPolicy.for_budget(np.array([], dtype=np.int64))


def test_a_record_reads_as_what_it_was() -> None:
    policy = DecisionPolicy(1, 2, 3, ("instant", "card"), "review", "decline")
    assert DecisionPolicy.of_record(policy.record()) == policy
    with pytest.raises(ConfigurationError):
        DecisionPolicy.of_record({**policy.record(), "more": 1})
