"""Somebody else's scorer behind HTTP, so that a model in use can be proved before it is replaced.

- What is asked and what may come back is written down: address, fields, types, ranges, time limit. The SHA-256 of
  that description is the model's hash, so that an answer names what was agreed on; which model really answered is
  the scorer's word.
- A row goes to the host that the description names and nowhere else: no redirect is followed, no proxy is used, and
  without TLS only where the description says so.
- Credentials are handed over beside the description and stand in no file and no statement.
- Asked again, with a growing pause, only where it may help: no connection, no answer in time, 408, 429 and 5xx.
  Asking twice must be harmless, as it is for whoever only computes a score.
"""

from __future__ import annotations

import hashlib
import math
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar, Final, Literal, get_args
from urllib.parse import urlsplit

import orjson

from tallystick.errors import EncodingError, ModelFileError, ModelInputError, ScorerError
from tallystick.models._numbers import MAX_CELL_CHARACTERS, parse_decimal
from tallystick.models._posting import Endpoint, post
from tallystick.models._scored import EXTERNAL_WORDS, MILLIONTHS, Scored, scored_of_numbers
from tallystick.models._table import Row
from tallystick.proof import check_format, format_json, parse_json

FORMAT: Final = "tallystick/external"
MAX_ANSWER_BYTES: Final = 65_536
MAX_TIMEOUT_MS: Final = 60_000
MAX_ATTEMPTS: Final = 10
MAX_FIELDS: Final = 4096
MAX_TEXT: Final = 2_000
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 10.0

Kind = Literal["number", "integer", "text", "flag"]
_Bytes = bytes  # inside a class that has a property of that name
_FIELD: Final[dict[str, type]] = {"high": str, "kind": str, "low": str, "name": str, "optional": bool}
_SCHEMA: Final[dict[str, type]] = {
    "attempts": int, "decision": str, "labels": list, "name": str, "plain_http": bool, "probability": bool,
    "request": list, "response": list, "score": str, "target": str, "threshold": str, "timeout_ms": int,
    "type": str, "url": str, "v": int,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class JsonField:
    """One field of a request or an answer.

    Args:
        name: in an answer it may be a path such as "predictions.0.score".
        kind: number, integer, text or flag (true or false).
        low: the least number as decimal text; empty for none.
        high: the largest one, likewise.
        optional: whether it may be null or missing.
    """

    name: str
    kind: Kind
    low: str = ""
    high: str = ""
    optional: bool = False

    def __post_init__(self) -> None:
        if not 0 < len(self.name) <= MAX_TEXT or self.kind not in get_args(Kind):
            raise ModelFileError(f"a field must have a name and be one of {', '.join(get_args(Kind))}")
        if self.kind in ("text", "flag") and (self.low or self.high):
            raise ModelFileError(f"{self.name}: only numbers have a range")
        try:
            bounds = [parse_decimal(bound) for bound in (self.low, self.high) if bound]
        except ModelInputError as error:
            raise ModelFileError(f"{self.name}: a bound must be a decimal number") from error
        if len(bounds) == 2 and bounds[0] > bounds[1]:
            raise ModelFileError(f"{self.name}: low must be at most high")

    def fields(self) -> dict[str, object]:
        """Return the field as it stands in a description."""
        return {name: getattr(self, name) for name in _FIELD}

    def holds(self, number: Decimal) -> bool:
        """Say whether a number lies in the range."""
        return (not self.low or number >= Decimal(self.low)) and (
            not self.high or number <= Decimal(self.high)
        )


@dataclass(frozen=True)
class ExternalDescription:
    """What was agreed on with whoever runs the scorer.

    Args:
        name: a short noun.
        target: what a yes means, in plain words.
        labels: at least two; the second is the yes.
        url: where rows are posted as a JSON object, without credentials in it.
        request: a row's cells.
        response: the fields that an answer must have; others are ignored.
        score: which number of the answer is the score.
        decision: which text of the answer is the label; empty when the score decides.
        threshold: decimal text; the least score that means the second label.
        probability: whether the score is the probability of the second label.
        timeout_ms: how long one attempt may take, 1 to 60,000.
        attempts: 1 to 10.
        plain_http: whether rows may travel without TLS; loopback addresses may in any case.

    Raises:
        ModelFileError: a value is out of its bounds.
    """

    name: str
    target: str
    labels: tuple[str, ...]
    url: str
    request: tuple[JsonField, ...]
    response: tuple[JsonField, ...]
    score: str
    decision: str = ""
    threshold: str = "0.5"
    probability: bool = True
    timeout_ms: int = 2_000
    attempts: int = 3
    plain_http: bool = False

    def __post_init__(self) -> None:
        for text in (self.name, self.target, *self.labels):
            if not 0 < len(text) <= MAX_TEXT:
                raise ModelFileError(f"name, target and labels must have 1 to {MAX_TEXT} characters")
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise ModelFileError("there must be at least 2 labels, each once")
        if len(self.labels) > 2 and (not self.decision or self.probability):
            raise ModelFileError(
                "one score decides between two labels: more need a decision field and no probability"
            )
        if not 1 <= self.timeout_ms <= MAX_TIMEOUT_MS or not 1 <= self.attempts <= MAX_ATTEMPTS:
            raise ModelFileError(f"timeout must be 1 to {MAX_TIMEOUT_MS} ms, attempts 1 to {MAX_ATTEMPTS}")
        for fields in (self.request, self.response):
            names = {field.name for field in fields}
            if not 1 <= len(fields) <= MAX_FIELDS or len(names) != len(fields):
                raise ModelFileError(f"request and response must have 1 to {MAX_FIELDS} fields, each once")
        answers = {field.name: field for field in self.response}
        if self.score not in answers or answers[self.score].kind not in ("number", "integer"):
            raise ModelFileError("the score must be a number of the response")
        if self.decision and (self.decision not in answers or answers[self.decision].kind != "text"):
            raise ModelFileError("the decision must be a text of the response")
        if any(answers[name].optional for name in (self.score, self.decision) if name):
            raise ModelFileError("score and decision must not be optional")
        try:
            parse_decimal(self.threshold)
        except ModelInputError as error:
            raise ModelFileError("the threshold must be a decimal number") from error
        _check_url(self.url, plain_http=self.plain_http)

    @cached_property
    def bytes(self) -> bytes:
        """The canonical JSON whose hash is the model's."""
        plain = {name: getattr(self, name) for name in _SCHEMA if name not in ("type", "v")}
        plain |= {"labels": list(self.labels), "type": FORMAT, "v": 1}
        for name in ("request", "response"):
            plain[name] = [field.fields() for field in getattr(self, name)]
        return format_json(plain)


def parse_external(data: bytes) -> ExternalDescription:
    """Read a description; accepts exactly what `ExternalDescription.bytes` holds.

    Raises:
        ModelFileError: damaged or out of bounds.
        UnknownFormatError: of a later version.
    """
    try:
        value = check_format(parse_json(data, limit=2**20), FORMAT)
    except EncodingError as error:
        raise ModelFileError(f"a description must be canonical JSON: {error.message}") from error
    _check_types(value, _SCHEMA, "description")
    if any(type(label) is not str for label in value["labels"]):
        raise ModelFileError("labels must be texts")
    for name in ("request", "response"):
        for field in value[name]:
            _check_types(field, _FIELD, "field")
        value[name] = tuple(JsonField(**field) for field in value[name])
    del value["type"], value["v"]
    return ExternalDescription(**value | {"labels": tuple(value["labels"])})


class ExternalModel:
    """A scorer behind HTTP.

    Args:
        description: what was agreed on.
        headers: gives the headers that carry credentials, called for every attempt.
        context: whom TLS trusts; the system's authorities when None.
        sleep: waits for so many seconds between attempts.
    """

    family: ClassVar[str] = "external"
    reexecutable: ClassVar[bool] = False
    words: ClassVar[str] = EXTERNAL_WORDS

    def __init__(
        self,
        description: ExternalDescription,
        *,
        headers: Callable[[], Mapping[str, str]] = dict,
        context: ssl.SSLContext | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.description, self._headers, self._sleep = description, headers, sleep
        self._endpoint = Endpoint(
            description.url, description.timeout_ms / 1000, max_bytes=MAX_ANSWER_BYTES, context=context
        )

    @property
    def name(self) -> str:
        """The model's short name."""
        return self.description.name

    @property
    def labels(self) -> tuple[str, ...]:
        """What it decides between."""
        return self.description.labels

    @property
    def bytes(self) -> bytes:
        """The description's bytes."""
        return self.description.bytes

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the description, in hex."""
        return hashlib.sha256(self.bytes).hexdigest()

    def score_row(self, row: Row) -> Scored:
        """Ask the scorer about one row.

        Raises:
            ModelInputError: the row does not fit the description; nothing was sent.
            ScorerError: what came back does not fit it, or was refused for good.
            ScorerUnreachableError: no answer in time, after all attempts.
        """
        return self._read(self._post(self._body(row)))

    def _body(self, row: Row) -> _Bytes:
        fields = self.description.request
        if row.keys() != {field.name for field in fields}:
            raise ModelInputError(
                f"a row must hold exactly the model's {len(fields)} columns, got {len(row)}"
            )
        return orjson.dumps({field.name: _sent(field, row[field.name]) for field in fields})

    def _post(self, body: _Bytes) -> _Bytes:
        for attempt in range(self.description.attempts):
            answer = post(self._endpoint, body, headers=self._headers())
            if answer.error is None:
                return answer.body
            if not answer.error.retryable or attempt + 1 == self.description.attempts:
                raise answer.error
            self._sleep(min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S * 2**attempt, answer.wait_s)))
        raise AssertionError  # attempts >= 1, so the loop has returned or raised

    def _read(self, body: _Bytes) -> Scored:
        said = self.description
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ScorerError("the scorer must answer JSON without NaN, and did not") from error
        found = {field.name: _received(field, _at(document, field.name)) for field in said.response}
        score = found[said.score]
        assert isinstance(score, Decimal)
        scored = scored_of_numbers(
            [float(score)], said.labels[:2], threshold=Decimal(said.threshold), probabilities=said.probability
        )
        if said.probability and not 0 <= score <= 1:
            raise ScorerError("the score must be a probability, got one below 0 or above 1")
        label = found[said.decision] if said.decision else scored.decision
        if label not in said.labels:
            raise ScorerError("the scorer must decide for one of the labels, and did not")
        return Scored(str(label), scored.scores, MILLIONTHS, scored.probability)


def _sent(field: JsonField, cell: str | None) -> object:
    """Return a cell as JSON, a number exactly as its decimal text says."""
    if cell is None:
        if not field.optional:
            raise ModelInputError(f"{field.name} must be known: the scorer takes no missing value there")
        return None
    if field.kind == "text":
        if len(cell) > MAX_TEXT:
            raise ModelInputError(f"{field.name} must have at most {MAX_TEXT} characters, got {len(cell)}")
        return cell
    if field.kind == "flag":
        if cell not in ("true", "false"):
            raise ModelInputError(f"{field.name} must be true or false")
        return cell == "true"
    number = parse_decimal(cell)
    if not field.holds(number):
        raise ModelInputError(f"{field.name} must be {field.low or 'any'} to {field.high or 'any'}")
    if field.kind == "integer" and number != number.to_integral_value():
        raise ModelInputError(f"{field.name} must be a whole number")
    if field.kind == "integer":
        number = number.to_integral_value()
    # A short cell may carry an exponent that written out would fill the memory.
    if int(number.as_tuple().exponent) < -MAX_CELL_CHARACTERS:
        raise ModelInputError(f"{field.name} must have at most {MAX_CELL_CHARACTERS} decimals")
    return orjson.Fragment(format(number, "f"))


def _received(field: JsonField, value: object) -> object:
    """Check a value of an answer; numbers come back as Decimal."""
    if value is None and field.optional:
        return None
    kinds: tuple[type, ...] = {
        "number": (int, float), "integer": (int,), "text": (str,), "flag": (bool,)
    }[field.kind]  # fmt: skip
    if type(value) not in kinds:
        raise ScorerError(f"{field.name} of the answer must be a {field.kind}, and is not")
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise ScorerError(f"{field.name} of the answer must have at most {MAX_TEXT} characters")
    if field.kind not in ("number", "integer"):
        return value
    assert isinstance(value, int | float)
    if not math.isfinite(value) or not field.holds(Decimal(value)):
        raise ScorerError(f"{field.name} of the answer must be {field.low or 'any'} to {field.high or 'any'}")
    return Decimal(value)


def _at(document: Any, path: str) -> object:
    """Return what stands at a path, None where nothing does."""
    for step in path.split("."):
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and step.isdecimal() and int(step) < len(document):
            document = document[int(step)]
        else:
            return None
    return document


def _check_types(value: object, schema: Mapping[str, type], what: str) -> None:
    if not isinstance(value, dict) or value.keys() != schema.keys():
        raise ModelFileError(f"a {what} must have exactly the fields {', '.join(sorted(schema))}")
    for name, kind in schema.items():
        if type(value[name]) is not kind:
            raise ModelFileError(f"{name} of a {what} must be of type {kind.__name__}")


def _check_url(url: str, *, plain_http: bool) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ModelFileError("the url must be well-formed") from error
    legible = url.isascii() and url.isprintable() and " " not in url and len(url) <= MAX_TEXT
    if not legible or parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ModelFileError("the url must begin with http:// or https:// and name a host")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ModelFileError(
            "the url must hold no credentials and no fragment", hint="hand credentials over as headers"
        )
    if parts.scheme == "http" and not plain_http and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise ModelFileError(
            "the url must be https: rows would travel in clear",
            hint="plain_http=True writes into the description that they may",
        )
