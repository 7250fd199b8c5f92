"""What a deployed bank's decisions see of the others: the shared signals, holds on the chain, and whether it was known.

Two columns more than `SharedSignals`:

- ``payee_held``: 1 when a member's hold stands on the payee, else 0.
- ``payee_unknown``: 1 when the others could not be asked about the payee in time, or holds could not be read for too
  long. The other columns then have their neutral values, and the decision's sealed inputs say so, because a rule reads it.

Nothing here waits longer than the shared signals' own patience.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tallystick.apps.fraud.payments import Payment
from tallystick.errors import TallystickError

from ._held import HeldPayees
from ._signals import SharedSignals, SignalStatus

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["LIVE_SIGNALS", "LiveSignals"]

LIVE_SIGNALS: Final = ("payee_held", "payee_unknown")


class LiveSignals:
    """The signals of one bank's service; implements `Signals`.

    Args:
        shared: list and risks.
        held: holds on the chain; None where none are looked at, then ``payee_held`` is 0.
    """

    def __init__(self, shared: SharedSignals, held: HeldPayees | None = None) -> None:
        self.shared, self.held = shared, held
        self.names: tuple[str, ...] = (*shared.names, *LIVE_SIGNALS)

    def look(self, payments: Sequence[Payment]) -> NDArray[np.float64]:
        """Return each payment's signals as of its own time; float64, shape (payments, 6); finite."""
        import numpy as np

        values, known = self.shared.look_known(payments)
        now = self.shared.member.clock()
        is_readable = self.held is None or self.held.is_known
        more = np.zeros((len(payments), len(LIVE_SIGNALS)))
        for at, payment in enumerate(payments):
            more[at] = self._is_held(payment, now), not (known[at] and is_readable)
        return np.concatenate([values, more], axis=1)

    @property
    def status(self) -> SignalStatus:
        """How the shared signals stand."""
        return self.shared.status

    def _is_held(self, payment: Payment, now: int) -> bool:
        if self.held is None:
            return False
        try:
            token = self.shared.member.tokens.find(payment.payee)
        except TallystickError:  # no epoch is open: said already, as an unknown payee
            return False
        # By this bank's clock: a payment that names a later time of its own must not slip past the end of a hold.
        return token is not None and self.held.is_held(token, now)
