"""Written rules: what a bank wants to happen whatever a model says.

- A rule may only make the action stricter than the model's; while models are switched off, rules decide alone.
- A written rule is a list of conditions ``field op value`` that must all hold; nothing in it is executed.
- A rule may also be a function of the program's own; then its text is only its title, and replaying it needs the
  same function.
- The rules and the policy together are stated once, as a text with a digest; every decision links that statement.

    [[fraud.rules]]
    name = "large-to-new-payee"
    title = "a large amount to a payee who was never paid before"
    code = "R05"
    action = "review"
    when = ["amount > 500000", "payee_is_new == 1"]
"""

from __future__ import annotations

import hashlib
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from tallystick.apps.fraud.payments import Payment
from tallystick.errors import ConfigurationError
from tallystick.proof import format_json, parse_json

from ._decision import ACTIONS, Action
from ._policy import DecisionPolicy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Condition", "PaymentRule", "RuleBook", "default_rules", "parse_rules"]

MAX_RULES: Final = 100
MAX_CONDITIONS: Final = 16
_name = re.compile(r"[a-z][a-z0-9-]{0,63}").fullmatch
_code = re.compile(r"[A-Z][A-Z0-9]{0,7}").fullmatch
_status = re.compile(r"[A-Z0-9]{4}").fullmatch
_written = re.compile(r"\s*([a-z][a-z0-9_]{0,63})\s*(<=|>=|==|!=|<|>)\s*(\S{1,64})\s*").fullmatch
_number = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,9})?").fullmatch
_TEXTS: Final = ("channel", "currency")  # fields of a payment that are compared as text
_OWN: Final = ("amount",)  # numbers of a payment itself, beside the features
_OPERATORS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: ``field op value``.

    Args:
        field: a feature, ``amount`` (minor units), ``channel`` or ``currency``.
        op: ``< <= == != >= >``; for the two texts ``==`` and ``!=`` only.
        value: a decimal, or for a text the text.

    Raises:
        ConfigurationError: no such operator, or a value that does not fit.
    """

    field: str
    op: str
    value: str

    def __post_init__(self) -> None:
        if self.op not in _OPERATORS:
            raise ConfigurationError(f"a condition's operator must be one of {' '.join(_OPERATORS)}")
        if self.field in _TEXTS:
            if self.op not in ("==", "!="):
                raise ConfigurationError(f"{self.field} can only be compared with == and !=")
        elif not _number(self.value):
            raise ConfigurationError(f"the value that {self.field[:64]} is compared with must be a decimal")

    @staticmethod
    def parse(text: str) -> Condition:
        """Read ``field op value``.

        Raises:
            ConfigurationError: it is not that.
        """
        found = _written(text)
        if found is None:
            raise ConfigurationError(
                "a condition must be `field op value`, such as `amount > 500000`",
                hint="fields are features, amount, channel and currency",
            )
        return Condition(found[1], found[2], found[3])

    @property
    def text(self) -> str:
        """The condition as it is written."""
        return f"{self.field} {self.op} {self.value}"

    def holds(self, payments: Sequence[Payment], facts: Mapping[str, NDArray[np.float64]]) -> Any:
        """Say for which payments it holds; bool, shape (payments,)."""
        import numpy as np

        compare = _OPERATORS[self.op]
        if self.field in _TEXTS:
            return np.array([compare(getattr(one, self.field), self.value) for one in payments], dtype=bool)
        if self.field in _OWN:
            column = np.array([getattr(one, self.field) for one in payments], dtype=np.float64)
        else:
            column = facts[self.field]
        return compare(column, float(self.value))


@dataclass(frozen=True)
class PaymentRule:
    """One rule.

    Args:
        name: lower-case words with hyphens.
        title: what it looks at, in plain words: the reason that people read.
        reason_code: short and stable, such as ``R01``.
        action: the least that happens when it fires.
        when: conditions that must all hold; or
        fires: a function of the program's own: payment and the features that `reads` names -> whether it fires.
        reads: the features that `fires` gets.
        status_reason: ISO external status reason code of a decline by this rule; ``FRAD`` when empty.

    Raises:
        ConfigurationError: a field does not fit, or there are both or neither of conditions and function.
    """

    name: str
    title: str
    reason_code: str
    action: Action
    when: tuple[Condition, ...] = ()
    fires: Callable[[Payment, Mapping[str, float]], bool] | None = field(default=None, compare=False)
    reads: tuple[str, ...] = ()
    status_reason: str = ""

    def __post_init__(self) -> None:
        if not _name(self.name) or not _code(self.reason_code) or not 0 < len(self.title) <= 200:
            raise ConfigurationError(
                "a rule must have a lower-case name, a code such as R01 and a title of at most 200 characters"
            )
        if self.action not in ACTIONS[1:]:
            raise ConfigurationError(f"a rule's action must be one of {', '.join(ACTIONS[1:])}")
        if self.status_reason and not _status(self.status_reason):
            raise ConfigurationError("a status reason must be an ISO code of four characters")
        if (self.fires is None) == (not self.when) or len(self.when) > MAX_CONDITIONS:
            raise ConfigurationError(f"a rule must have 1 to {MAX_CONDITIONS} conditions, or a function")

    @property
    def features(self) -> tuple[str, ...]:
        """The features that it reads."""
        if self.fires is not None:
            return self.reads
        named = (one.field for one in self.when)
        return tuple(dict.fromkeys(name for name in named if name not in (*_TEXTS, *_OWN)))

    def fired(self, payments: Sequence[Payment], facts: Mapping[str, NDArray[np.float64]]) -> Any:
        """Say for which payments it fires; bool, shape (payments,)."""
        import numpy as np

        if self.fires is not None:
            said = [
                self.fires(one, {name: float(facts[name][at]) for name in self.reads}) is True
                for at, one in enumerate(payments)
            ]
            return np.array(said, dtype=bool)
        found = self.when[0].holds(payments, facts)
        for condition in self.when[1:]:
            found = found & condition.holds(payments, facts)
        return found

    def record(self) -> dict[str, Any]:
        """Return it as plain data, as it is stated."""
        told: dict[str, Any] = {
            "action": self.action,
            "code": self.reason_code,
            "name": self.name,
            "title": self.title,
        }
        if self.status_reason:
            told["status_reason"] = self.status_reason
        if self.fires is not None:
            return {**told, "function": True, "reads": list(self.reads)}
        return {**told, "when": [condition.text for condition in self.when]}


@dataclass(frozen=True)
class RuleBook:
    """The rules and the policy that decisions are made by, with the one text that is stated of them."""

    rules: tuple[PaymentRule, ...]
    policy: DecisionPolicy

    def __post_init__(self) -> None:
        if len(self.rules) > MAX_RULES or len({rule.name for rule in self.rules}) != len(self.rules):
            raise ConfigurationError(f"there must be at most {MAX_RULES} rules, each name once")

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """The features that the rules read, sorted; their values are stored with every decision."""
        return tuple(sorted({name for rule in self.rules for name in rule.features}))

    @cached_property
    def text(self) -> bytes:
        """The text that is stated, canonical JSON."""
        rules = [rule.record() for rule in self.rules]
        return format_json({"policy": self.policy.record(), "reads": list(self.reads), "rules": rules})

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the text, hex."""
        return hashlib.sha256(self.text).hexdigest()

    @staticmethod
    def parse(data: bytes, *, functions: Mapping[str, PaymentRule] | None = None) -> RuleBook:
        """Read a stated text.

        Args:
            data: what `text` gave.
            functions: rules that are functions, by name.

        Raises:
            ConfigurationError: it cannot be read, or a function is missing.
        """
        told = parse_json(data)
        try:
            rules = tuple(_rule_of(record, functions or {}) for record in told["rules"])
            return RuleBook(rules, DecisionPolicy.of_record(told["policy"]))
        except (KeyError, TypeError) as error:
            raise ConfigurationError("the text of the rules cannot be read") from error


def parse_rules(records: Sequence[Mapping[str, Any]]) -> tuple[PaymentRule, ...]:
    """Read the tables ``[[fraud.rules]]`` of a settings file.

    Args:
        records: each with name, title, code, action, when, and where wanted status_reason.

    Raises:
        ConfigurationError: one does not fit; the message says which.
    """
    rules = []
    for number, record in enumerate(records, 1):
        try:
            if not set(record) <= {"action", "code", "name", "status_reason", "title", "when"}:
                raise ConfigurationError("a rule has name, title, code, action, when and status_reason")
            rules.append(_rule_of(record, {}))
        except (ConfigurationError, KeyError, TypeError) as error:
            said = error.message if isinstance(error, ConfigurationError) else "a field is missing"
            raise ConfigurationError(f"rule {number}: {said}", hint=getattr(error, "hint", "")) from error
    return tuple(rules)


def _rule_of(record: Mapping[str, Any], functions: Mapping[str, PaymentRule]) -> PaymentRule:
    if record.get("function"):
        known = functions.get(record["name"])
        if known is None or known.record() != dict(record):
            raise ConfigurationError(
                "a rule is a function of the program that decided, and that is not given",
                hint="give the rule with the same name, title and action",
            )
        return known
    when = record["when"]
    if type(when) is not list or not all(type(text) is str for text in when):
        raise ConfigurationError("`when` must be a list of conditions")
    texts = [record.get(name, "") for name in ("name", "title", "code", "action", "status_reason")]
    if not all(type(text) is str for text in texts):
        raise ConfigurationError("a rule's fields must be text")
    conditions = tuple(Condition.parse(text) for text in when)
    return PaymentRule(texts[0], texts[1], texts[2], texts[3], conditions, status_reason=texts[4])


def default_rules(names: Sequence[str], *, limit: int = 1_000_000) -> tuple[PaymentRule, ...]:
    """Return the rules that a bank may start with, as far as their features are there.

    Args:
        names: the features and signals that there are.
        limit: amount, in minor units, above which a person looks first.
    """
    rules = (
        PaymentRule(
            "amount-above-limit",
            "the amount is above the limit for payments that nobody looks at first",
            "R01",
            "hold",
            (Condition("amount", ">", str(limit)),),
            status_reason="AM14",  # AmountExceedsAgreedLimit
        ),
        PaymentRule(
            "payee-listed",
            "other banks reported this payee",
            "R02",
            "hold",
            (Condition("payee_listed", ">=", "1"),),
        ),
        PaymentRule(
            "impossible-velocity",
            "more payments in ten minutes than a person makes",
            "R03",
            "hold",
            (Condition("customer_count_10m", ">=", "20"),),
        ),
        PaymentRule(
            "new-payee-far-above-usual",
            "a payee who was never paid before gets far more than this customer usually pays",
            "R04",
            "review",
            (Condition("payee_is_new", "==", "1"), Condition("amount_zscore", ">=", "8")),
        ),
    )
    return tuple(rule for rule in rules if set(rule.features) <= set(names))
