"""When windows count a payment: when it came, whatever time it names.

A payment's time is its sender's word, and a window sees what lies before it. Who dates payments back, or a little ahead
and each before the last, would otherwise spread forty payments of one second so that none sees another. What is stated
is the payment as it came, and when it came: so a restart counts it as the decision did. A history that is played is the
exception: there all payments come at once, and the times that they name are the only ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

from tallystick.apps.fraud.payments import Label, Payment

__all__ = ["TIMES", "Times", "placed", "placed_all", "placed_label"]

Times = Literal["received", "named"]
TIMES: Final[tuple[Times, ...]] = ("received", "named")


def placed(payment: Payment, received_at: object, times: Times) -> Payment:
    """Return a payment as windows and shared signals take it.

    Args:
        payment: as it came.
        received_at: when it came, microseconds; what is none leaves the payment its own time.
        times: ``received``, or ``named`` for a history that is played.
    """
    if times == "named" or type(received_at) is not int or payment.at == received_at:
        return payment
    return replace(payment, at=received_at)


def placed_all(payments: Sequence[Payment], received_at: Sequence[int], times: Times) -> list[Payment]:
    """Return payments as windows take them; see `placed`."""
    return [placed(one, at, times) for one, at in zip(payments, received_at, strict=True)]


def placed_label(label: Label, decided: Mapping[str, Any], times: Times) -> Label:
    """Return a label as windows learn it: of the payment as they took it, and not known before that.

    Args:
        label: of the payment as it came.
        decided: what is sealed in its decision.
        times: see `placed`.
    """
    payment = placed(label.payment, decided.get("received_at"), times)
    return Label(payment, label.fraud, max(label.known_at, payment.at))
