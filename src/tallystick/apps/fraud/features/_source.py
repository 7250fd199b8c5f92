"""Where a decision's numbers come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from tallystick.apps.fraud.payments import Label, Payment

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["FeatureSource", "Signals"]


class FeatureSource(Protocol):
    """What the bank itself knows: windows over its own payments, and labels that have reached it."""

    @property
    def names(self) -> tuple[str, ...]:
        """What the columns are called."""
        ...

    def take(self, payments: Sequence[Payment]) -> NDArray[np.float64]:
        """Return each payment's features as of its own time, and make the payment part of what is known.

        A payment sees those before it in the sequence and all earlier ones whose time is not after its own, never
        itself, never a later one, and no label before it was known.

        Args:
            payments: in the order of their arrival.

        Returns:
            float64, shape (payments, names); finite.
        """
        ...

    def learn(self, labels: Sequence[Label]) -> None:
        """Make labels part of what is known, each from its own `known_at` on."""
        ...


class Signals(Protocol):
    """What other banks let this one know about a payment."""

    @property
    def names(self) -> tuple[str, ...]:
        """What the columns are called."""
        ...

    def look(self, payments: Sequence[Payment]) -> NDArray[np.float64]:
        """Return each payment's signals as of its own time; float64, shape (payments, names); finite."""
        ...
