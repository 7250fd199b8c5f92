"""Written rules: conditions without code, functions of one's own, and the text that is stated of them."""

from __future__ import annotations

import tomllib
from typing import Any

import numpy as np
import pytest
from tests.made_engine import payment

from tallystick.apps.fraud.deciding import (
    Condition,
    DecisionPolicy,
    PaymentRule,
    RuleBook,
    default_rules,
    parse_rules,
)
from tallystick.errors import ConfigurationError

POLICY = DecisionPolicy(1, 2, 3)
TOML = """
[[fraud.rules]]
name = "large-to-new-payee"
title = "a large amount to a payee who was never paid before"
code = "R05"
action = "review"
when = ["amount > 500000", "payee_is_new == 1", "channel != card"]
"""


def rule(**fields: Any) -> PaymentRule:
    told: dict[str, Any] = {
        "name": "large",
        "title": "a large amount",
        "reason_code": "R09",
        "action": "hold",
        "when": (Condition("amount", ">", "500"),),
        **fields,
    }
    return PaymentRule(**told)


def test_all_conditions_of_a_rule_must_hold() -> None:
    (read,) = parse_rules(tomllib.loads(TOML)["fraud"]["rules"])
    payments = [
        payment(1, amount=500_001, channel="instant"),
        payment(2, amount=500_000, channel="instant"),
        payment(3, amount=500_001, channel="instant"),
        payment(4, amount=500_001, channel="card"),
    ]
    facts = {"payee_is_new": np.array([1.0, 1.0, 0.0, 1.0])}
    assert read.fired(payments, facts).tolist() == [True, False, False, False]
    assert read.features == ("payee_is_new",)


@pytest.mark.parametrize(
    ("op", "fires"),
    [
        ("<", [1, 0, 0]),
        ("<=", [1, 1, 0]),
        ("==", [0, 1, 0]),
        ("!=", [1, 0, 1]),
        (">=", [0, 1, 1]),
        (">", [0, 0, 1]),
    ],
)
def test_every_operator_compares_numbers(op: str, fires: list[int]) -> None:
    payments = [payment(at, amount=amount) for at, amount in enumerate((99, 100, 101))]
    assert Condition("amount", op, "100").holds(payments, {}).tolist() == [bool(one) for one in fires]


@pytest.mark.parametrize(
    "text",
    [
        "amount",
        "amount > ",
        "amount ~ 5",
        "amount > five",
        "channel > card",
        "__import__ == 1",
        "amount > 1e5",
        "a b > 1",
    ],
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        Condition.parse(text)


def test_a_condition_reads_as_it_is_written() -> None:
    for text in ("amount > 500", "payee_is_new == 1", "currency != EUR", "amount_zscore >= -2.5"):
        assert Condition.parse(text).text == text


def test_a_function_gets_only_what_it_names() -> None:
    seen: list[dict[str, float]] = []

    def fires(_payment: Any, facts: Any) -> bool:
        seen.append(dict(facts))
        return facts["payee_is_new"] > 0

    own = rule(when=(), fires=fires, reads=("payee_is_new",))
    facts = {"payee_is_new": np.array([1.0, 0.0]), "amount_zscore": np.array([9.0, 9.0])}
    assert own.fired([payment(1), payment(2)], facts).tolist() == [True, False]
    assert seen == [{"payee_is_new": 1.0}, {"payee_is_new": 0.0}]


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "Large"}, {"reason_code": "r1"}, {"title": ""}, {"action": "approve"}, {"action": "stop"},
        {"when": ()}, {"fires": lambda one, facts: True}, {"status_reason": "fraud"},
    ],
)  # fmt: skip
def test_a_rule_that_does_not_fit_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        rule(**fields)


@pytest.mark.parametrize(
    "change",
    [{"action": "approve"}, {"when": "amount > 1"}, {"when": ["amount > x"]}, {"more": 1}, {"title": 5}],
)
def test_a_table_that_does_not_fit_names_its_number(change: dict[str, Any]) -> None:
    table = {**tomllib.loads(TOML)["fraud"]["rules"][0], **change}
    with pytest.raises(ConfigurationError, match="rule 1"):
        parse_rules([table])


def test_the_stated_text_reads_as_the_same_rules() -> None:
    book = RuleBook((rule(), rule(name="other", status_reason="AM14")), POLICY)
    again = RuleBook.parse(book.text)
    assert again == book
    assert again.digest == book.digest


def test_another_threshold_or_rule_is_another_digest() -> None:
    book = RuleBook((rule(),), POLICY)
    assert RuleBook((rule(),), DecisionPolicy(1, 2, 4)).digest != book.digest
    assert RuleBook((rule(action="decline"),), POLICY).digest != book.digest


def test_a_rule_that_is_a_function_reads_only_with_the_function() -> None:
    own = rule(when=(), fires=lambda one, facts: True)
    book = RuleBook((own,), POLICY)
    assert RuleBook.parse(book.text, functions={"large": own}) == book
    with pytest.raises(ConfigurationError):
        RuleBook.parse(book.text)
    with pytest.raises(ConfigurationError):
        RuleBook.parse(book.text, functions={"large": rule(when=(), fires=own.fires, action="decline")})


def test_a_name_twice_and_too_many_rules_are_refused() -> None:
    with pytest.raises(ConfigurationError):
        RuleBook((rule(), rule()), POLICY)
    with pytest.raises(ConfigurationError):
        RuleBook(tuple(rule(name=f"r{number}") for number in range(101)), POLICY)


def test_default_rules_read_only_what_is_there() -> None:
    assert [one.name for one in default_rules(())] == ["amount-above-limit"]
    names = ("payee_listed", "customer_count_10m", "payee_is_new", "amount_zscore")
    assert len(default_rules(names)) == 4
