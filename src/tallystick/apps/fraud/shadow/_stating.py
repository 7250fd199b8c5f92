"""The statement of one observation: what the present scorer decided, with our score sealed beside it."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from tallystick.apps.fraud.deciding import payment_of
from tallystick.apps.fraud.payments import Payment
from tallystick.errors import DamagedError, DataError, DisclosureError
from tallystick.models import IntegerModel
from tallystick.proof import Draft, Entry

from ._present import Said

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "DECISION_KIND",
    "DISPOSED_KIND",
    "LABEL_KIND",
    "Observed",
    "Ours",
    "Reading",
    "Recorder",
    "draft_of",
    "observed_of",
    "sealed_of",
]

DECISION_KIND: Final = "decision.made"
LABEL_KIND: Final = "label.reported"
DISPOSED_KIND: Final = "retention.disposed"
_ALERT: Final = "review"
_PASSED: Final = "approve"


class Recorder(Protocol):
    """Whoever makes statements durable; a `Node` does."""

    def record_many(self, drafts: Sequence[Draft]) -> Sequence[Entry]: ...


class Reading(Protocol):
    """A journal to read."""

    @property
    def size(self) -> int: ...
    def entries(
        self, start: int = 0, stop: int | None = None, *, kinds: Collection[str] | None = None
    ) -> Iterator[Entry]: ...
    def entry(self, id_or_index: str | int) -> Entry: ...
    def payload(self, entry: str | int | Entry) -> bytes | dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Observed:
    """One payment with both scores.

    Args:
        payment: which one.
        present: the present scorer's score, its own scale.
        alert: whether the present scorer raised an alert: it decided.
        score: ours, integer.
        statement: id of the statement.
        repeat: it had been stated before; this is that statement.
    """

    payment: Payment
    present: float
    alert: bool
    score: int
    statement: str
    repeat: bool = False


class Ours:
    """Our model over the features that it reads.

    Args:
        model: ours.
        names: what the features' columns are called.

    Raises:
        DataError: it reads a column that is not among the features.
    """

    def __init__(self, model: IntegerModel, names: Sequence[str]) -> None:
        places = {name: place for place, name in enumerate(names)}
        missing = [name for name in model.quantiser.names if name not in places]
        if missing:
            raise DataError(
                f"the model reads {len(missing)} columns that are no features, such as {missing[0]}"
            )
        self._columns = [places[name] for name in model.quantiser.names]
        self.model, self.hash = model, model.hash

    def score(self, features: NDArray[np.float64]) -> list[tuple[int, str]]:
        """Return for each row its score, and its quantised inputs packed as they are stated.

        Args:
            features: float64, shape (payments, names).
        """
        inputs = self.model.quantiser.inputs_of_array(features[:, self._columns])
        scores = self.model.scores_inputs_many(inputs)[:, 0].tolist()
        packed = [base64.b64encode(row.astype(">i2").tobytes()).decode() for row in inputs]
        return list(zip(scores, packed, strict=True))


def draft_of(
    payment: Payment,
    said: Said,
    ours: tuple[int, str],
    *,
    scorer: str,
    model: str,
    links: Mapping[str, Sequence[str]],
    received: int,
) -> Draft:
    """Return what is to be stated of one payment.

    Args:
        payment: which one.
        said: what the present scorer said of it.
        ours: our score and its packed inputs.
        scorer: the present scorer's hash.
        model: our model's hash.
        links: label -> statements.
        received: microseconds since the epoch.
    """
    score, packed = ours
    return Draft(
        DECISION_KIND,
        {"level": "L0", "model": scorer},
        {label: list(ids) for label, ids in links.items()},
        fields={
            "answer": _ALERT if said.alert else _PASSED,
            "beside": {"features": packed, "model": model, "score": score},
            "payment": payment.record(),
            "received_at": received,
            # Decimals travel as text: a statement holds no floats.
            "score": f"{said.score:.6f}",
        },
        subject=payment.customer,
    )


def observed_of(sealed: Mapping[str, Any], statement: str, *, repeat: bool = True) -> Observed:
    """Return an observation as its statement tells it.

    Raises:
        DamagedError: the payload is not one that `draft_of` sealed.
    """
    try:
        score, present = sealed["beside"]["score"], float(sealed["score"])
        return Observed(payment_of(sealed), present, sealed["answer"] == _ALERT, score, statement, repeat)
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError("a decision's payload is not what an observation seals") from error


def sealed_of(journal: Reading, entry: Entry) -> dict[str, Any] | None:
    """Return the sealed fields of an entry; None when they were erased, or are no fields."""
    try:
        content = journal.payload(entry)
    except DisclosureError:
        return None
    return content if isinstance(content, dict) else None
