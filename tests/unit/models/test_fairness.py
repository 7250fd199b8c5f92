"""Measures of fairness equal fairlearn's; a gate holds the worse end of an interval to its limit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fairlearn.metrics import (
    MetricFrame,
    demographic_parity_difference,
    demographic_parity_ratio,
    equal_opportunity_difference,
    false_positive_rate,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from tallystick.errors import ModelFileError, ModelInputError
from tallystick.models import Gate, check_gate, evaluate, evaluate_groups, parse_gate
from tallystick.models._gates import MEASURES

WHOLE = Gate.of({"auroc": 0.85, "worst_group_auroc": 0.8}).bytes
Rows = tuple[list[float], list[int], list[str]]


def drawn(count: int = 600, seed: int = 3, *, tilt: float = 0.0) -> Rows:
    """Calibrated probabilities in two groups; the model says `tilt` more for the first."""
    dice = np.random.default_rng(seed)
    p = dice.uniform(size=count)
    labels = (dice.uniform(size=count) < p).astype(int)
    groups = np.where(dice.random(count) < 0.5, "a", "b")
    said = np.clip(np.round(p, 2) + np.where(groups == "a", tilt, 0), 0, 1)
    return said.tolist(), labels.tolist(), groups.tolist()


@given(st.integers(0, 2**32), st.integers(2, 5), st.floats(0.1, 0.9).map(lambda value: round(value, 2)))
@settings(deadline=None, max_examples=20)
def test_measures_equal_fairlearns(seed: int, count: int, threshold: float) -> None:
    dice = np.random.default_rng(seed)
    rows = 200 * count
    p, y = np.round(dice.random(rows), 2), (dice.random(rows) < dice.random()).astype(int)
    groups = np.array(list("abcde"))[dice.integers(0, count, rows)]
    y[: 20 * count] = np.arange(20 * count) % 2  # each group has rows of either label
    groups[: 20 * count] = np.repeat(list("abcde")[:count], 20)
    found = evaluate_groups(p, y, groups.tolist(), threshold=threshold, least=5, resamples=3)
    yes, of = (p >= threshold).astype(int), {"sensitive_features": groups}
    aurocs = MetricFrame(metrics=roc_auc_score, y_true=y, y_pred=p, **of)
    false_positives = MetricFrame(metrics=false_positive_rate, y_true=y, y_pred=yes, **of)
    theirs = {
        "demographic_parity_difference": demographic_parity_difference(y, yes, **of),
        "demographic_parity_ratio": demographic_parity_ratio(y, yes, **of),
        "equal_opportunity_difference": equal_opportunity_difference(y, yes, **of),
        "false_positive_rate_gap": false_positives.difference(),
        "false_positive_rate_ratio": false_positives.ratio(),
        "worst_group_auroc": aurocs.group_min(),
    }
    for name, wanted in theirs.items():
        figure = found.fairness[name]
        assert figure is not None
        assert figure.value == pytest.approx(wanted, abs=1e-9)
        assert 0 <= figure.low <= figure.high <= 1
    worst = max(
        evaluate(p[groups == g], y[groups == g], resamples=1).calibration_error.value for g in set(groups)
    )  # type: ignore[union-attr]
    assert found.fairness["calibration_in_groups"].value == pytest.approx(worst, abs=1e-9)  # type: ignore[union-attr]


def test_groups_have_their_own_figures_beside_all_rows() -> None:
    p, y, groups = drawn()
    found = evaluate_groups(p, y, groups, resamples=50)
    own = [place for place, name in enumerate(groups) if name == "a"]
    assert found.overall == evaluate(p, y, resamples=50)
    assert found.groups["a"] == evaluate([p[i] for i in own], [y[i] for i in own], resamples=50)
    assert found.counts == {"a": str(len(own)), "b": str(len(p) - len(own))}
    assert evaluate_groups(p, y, groups, resamples=50) == found


def test_an_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(60):
        p, y, groups = drawn(400, seed, tilt=0.2)
        figure = evaluate_groups(p, y, groups, resamples=200).fairness["demographic_parity_difference"]
        assert figure is not None
        held += figure.low <= 0.2 <= figure.high  # the tilt moves 20% of the rows over the threshold
    assert held >= 52


def test_a_group_with_too_few_rows_is_not_left_out_silently() -> None:
    p, y, groups = drawn()
    groups[:8] = ["c"] * 8
    found = evaluate_groups(p, y, groups, resamples=5)
    assert set(found.fairness.values()) == {None}
    assert found.why_not["calibration_in_groups"] == (
        "not enough data: fewer than 20 rows in the smallest group"
    )
    assert found.counts["c"] == "fewer than 20"
    assert found.as_statement()["groups"]["c"]["rows"] == "fewer than 20"


@pytest.mark.parametrize("label", [0, 1])
def test_a_group_of_one_label_has_the_measures_that_do_not_need_the_other(label: int) -> None:
    p, y, groups = drawn()
    y = [label if name == "a" else told for name, told in zip(groups, y, strict=True)]
    found = evaluate_groups(p, y, groups, resamples=20)
    assert found.fairness["worst_group_auroc"] is None
    assert (found.fairness["equal_opportunity_difference"] is None) == (label == 0)
    assert (found.fairness["false_positive_rate_gap"] is None) == (label == 1)
    assert found.fairness["calibration_in_groups"] is not None
    assert found.fairness["demographic_parity_ratio"] is not None


def test_where_nobody_gets_a_yes_the_groups_are_alike() -> None:
    _, y, groups = drawn()
    found = evaluate_groups([0.1] * len(y), y, groups, resamples=20)
    for name, alike in (("demographic_parity_ratio", 1), ("demographic_parity_difference", 0)):
        figure = found.fairness[name]
        assert figure is not None
        assert (figure.low, figure.value, figure.high) == (alike, alike, alike)


@pytest.mark.parametrize(("rows", "groups"), [([], []), ([0.5] * 60, ["only"] * 60)])
def test_no_rows_or_one_group_is_not_enough_data(rows: list[float], groups: list[str]) -> None:
    labels = [place % 2 for place in range(len(rows))]
    found = evaluate_groups(rows, labels, groups, resamples=5)
    assert set(found.fairness.values()) == {None}
    assert all(why.startswith("not enough data") for why in found.why_not.values())
    assert check_gate(Gate.of({"worst_group_auroc": 0}), rows, labels, groups, resamples=5).passed is None


def test_groups_that_are_no_short_texts_are_refused() -> None:
    p, y, groups = drawn(60)
    for wrong, match in (
        (groups[:-1], "a group for each of 60 rows, got 59"),
        ([*groups[:-1], ""], "a text of 1 to 200"),
        ([*groups[:-1], 3], "a text of 1 to 200"),
        ([str(place) for place in range(60)] * 2, "for each of 60"),
    ):
        with pytest.raises(ModelInputError, match=match):
            evaluate_groups(p, y, wrong, resamples=2)  # type: ignore[arg-type]
    p, y, _ = drawn(70)
    with pytest.raises(ModelInputError, match="at most 64 groups, got 70"):
        evaluate_groups(p, y, [str(place) for place in range(70)], resamples=2)
    with pytest.raises(ModelInputError, match="at least 5 rows, got 4"):
        evaluate_groups(p, y, ["a"] * 70, least=4)


def test_a_gate_compares_the_worse_end_of_the_interval() -> None:
    p, y, groups = drawn()
    found = evaluate_groups(p, y, groups, resamples=300)
    gap, auroc = found.fairness["equal_opportunity_difference"], found.overall.auroc
    assert gap is not None
    assert auroc is not None
    for name, limit, passes in (
        ("equal_opportunity_difference", gap.high + 0.001, True),
        ("equal_opportunity_difference", (gap.value + gap.high) / 2, False),
        ("auroc", auroc.low - 0.001, True),
        ("auroc", (auroc.value + auroc.low) / 2, False),
    ):
        gate = Gate.of({name: round(limit, 4)})
        result = check_gate(gate, p, y, groups, resamples=300)
        assert result.passed is passes, name
        assert result.gate == gate.hash
        assert result.lines[0].compared in (gap.high, auroc.low)
        assert result.lines[0].text().endswith("passed" if passes else "failed")


def test_a_model_that_favours_a_group_does_not_pass() -> None:
    gate = Gate.of({"demographic_parity_difference": 0.25})
    assert check_gate(gate, *drawn(2000)).passed is True
    assert check_gate(gate, *drawn(2000, tilt=0.3)).passed is False


def test_not_enough_data_never_counts_as_passed() -> None:
    p, y, groups = drawn()
    easy = Gate.of({"auroc": 0, "worst_group_auroc": 0})
    assert check_gate(easy, p, y, groups, resamples=20).passed is True
    groups[:3] = ["c"] * 3
    result = check_gate(easy, p, y, groups, resamples=20)
    assert result.passed is None
    assert [line.passed for line in result.lines] == [True, None]
    assert result.as_statement()["passed"] == "not enough data"
    assert check_gate(easy, p, y, None, resamples=20).passed is None
    assert check_gate(Gate.of({"auroc": 0}), p, y, None, resamples=20).passed is True
    assert check_gate(Gate.of({"auroc": 0}), p[:4], y[:4], None, resamples=20).passed is None
    hard = Gate.of({"auroc": 1, "worst_group_auroc": 0})
    assert check_gate(hard, p, y, groups, resamples=20).passed is False


def test_a_gate_survives_its_bytes_and_its_hash_names_its_limits() -> None:
    gate = Gate.of({"worst_group_auroc": 0.80, "auroc": "0.850", "brier": 0}, least=30)
    assert gate.bytes == (
        b'{"least":30,"limits":{"auroc":"0.85","brier":"0","worst_group_auroc":"0.8"},'
        b'"type":"tallystick/gate","v":1}'
    )
    assert parse_gate(gate.bytes) == gate
    assert gate.needs_groups
    assert not Gate.of({"auroc": 0.5}).needs_groups
    assert replace(gate, least=31).hash != gate.hash != Gate.of({"auroc": 0.85}, least=30).hash


@given(
    st.dictionaries(st.sampled_from(sorted(MEASURES)), st.integers(0, 10**6), min_size=1),
    st.integers(5, 10**6),
)
def test_every_gate_survives_its_bytes(limits: dict[str, int], least: int) -> None:
    gate = Gate.of({name: f"{limit / 10**6:.6f}" for name, limit in limits.items()}, least=least)
    assert parse_gate(gate.bytes) == gate
    assert {name: float(text) for name, text in gate.limits} == {n: k / 10**6 for n, k in limits.items()}


@given(st.binary(max_size=80) | st.integers(0, 90).map(lambda at: WHOLE[:at] + b"x" + WHOLE[at + 1 :]))
def test_other_bytes_are_refused_as_a_gate_or_are_its_own(data: bytes) -> None:
    try:
        gate = parse_gate(data)
    except ModelFileError:
        return
    assert gate.bytes == data


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"kindness": 0.5},
        {"auroc": 1.1},
        {"auroc": -0.1},
        {"auroc": "nan"},
        {"auroc": "x"},
        {"auroc": 1e-7},
    ],
)
def test_limits_that_mean_nothing_are_refused(limits: dict[str, float | str]) -> None:
    with pytest.raises(ModelFileError):
        Gate.of(limits)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"0.8"', b'"0.80"'), (b'"0.8"', b"1"), (b'"v":1', b'"v":2'), (b'"v":1', b'"v":true'),
        (b'"least":20', b'"least":4'), (b'"least":20', b'"least":"20"'), (b'"least":20', b'"least":true'),
        (b"auroc", b"aurok"), (b'"v"', b'"w"'), (b"tallystick/gate", b"tallystick/model"), (b"{", b"{ "),
        (b'{"auroc":"0.8"}', b"{}"), (b'{"auroc":"0.8"}', b"[]"), (b'{"auroc":"0.8"}', b'"auroc"'),
    ],
)  # fmt: skip
def test_a_gate_in_any_other_form_is_refused(old: bytes, new: bytes) -> None:
    whole = Gate.of({"auroc": 0.8}).bytes
    assert old in whole
    with pytest.raises(ModelFileError):
        parse_gate(whole.replace(old, new, 1))
