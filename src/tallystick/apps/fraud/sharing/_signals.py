"""What other banks let a decision know: four columns, as of each payment's own time.

- ``payee_listed``: 1 when the payee is on the list, else 0.
- ``payee_reports``: how many different customers' reports stand behind the entry; 0 when it is not listed.
- ``shared_terminal_risk``, ``shared_payee_risk``: from the newest masked sum that was known then.

Tokens that are not in memory are asked for in batches, all members at once. When one does not answer in time, or the
epoch is over, a decision does not wait: the payee counts as not listed and gets the prior risk, the columns are marked as
unknown, and `status` says so and why. What comes later is used from then on.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tallystick.apps.fraud.payments import CHANNELS, Payment
from tallystick.errors import MissingExtraError, TallystickError

from ._member import Member
from ._risk import RiskHistory
from ._tokens import MAX_POINTS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SIGNALS", "SharedSignals", "SignalStatus"]

SIGNALS: Final = ("payee_listed", "payee_reports", "shared_terminal_risk", "shared_payee_risk")
PATIENCE_S: Final = 0.015
WAITING: Final = 4096  # payees that may wait for their tokens; what comes beyond stays unknown


@dataclass(frozen=True, slots=True)
class SignalStatus:
    """How the signals stand.

    Args:
        looked: payments that were looked at.
        unknown: of those, for how many nothing was known because a token could not be had in time.
        well: whether the last payments' tokens were all there.
        trouble: why not, in words; empty when well.
    """

    looked: int
    unknown: int
    well: bool
    trouble: str


class SharedSignals:
    """The signals of one member; implements `Signals`.

    Args:
        member: the bank's side of sharing.
        risks: tables of shared risk, as they become known; none gives the prior.
        prior: risk where there is no table.
        patience_s: how long `look` waits for tokens; None waits until they are there or refused, however many.
        channels: payments of other channels are not looked up; they count as known and not listed.
    """

    names: tuple[str, ...] = SIGNALS

    def __init__(
        self,
        member: Member,
        *,
        risks: RiskHistory | None = None,
        prior: float = 0.0,
        patience_s: float | None = PATIENCE_S,
        channels: Collection[str] = CHANNELS,
    ) -> None:
        self.member = member
        self.risks = risks or RiskHistory()
        self._prior, self._patience_s, self._channels = prior, patience_s, frozenset(channels)
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="signals")
        self._under_way: dict[str, Future[Any]] = {}
        self._lock = threading.Lock()
        self._looked = self._unknown = 0
        self._well, self._trouble = True, ""
        self._is_late = False

    def look(self, payments: Sequence[Payment]) -> NDArray[np.float64]:
        """Return each payment's signals as of its own time; float64, shape (payments, 4); finite."""
        return self.look_known(payments)[0]

    def look_known(self, payments: Sequence[Payment]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the signals, and for each payment whether they are known; see `look`."""
        np = _numpy()
        tokens, epoch, entry = self._tokens(payments), None, None
        try:
            epoch, entry = self.member.tokens.epoch, self.member.payees.entry
        except TallystickError as error:
            self._note(error.message)
        rows, known = list[tuple[float, float, float, float]](), list[bool]()
        for payment in payments:
            at = payment.at
            # Tokens of an epoch say nothing about payments before or after it.
            within = epoch is not None and epoch.since <= at < epoch.until
            token = tokens.get(payment.payee) if within else None
            terminal, payee = self._risks(payment, token)
            listed = entry(token, at) if entry is not None and token is not None else None
            rows.append((1.0, listed.reports, terminal, payee) if listed else (0.0, 0.0, terminal, payee))
            known.append(token is not None or payment.channel not in self._channels)
        with self._lock:
            self._looked += len(payments)
            self._unknown += len(payments) - sum(known)
        values = np.array(rows, dtype=np.float64).reshape(len(payments), len(SIGNALS))
        return values, np.array(known, dtype=np.bool_)

    def _risks(self, payment: Payment, token: bytes | None) -> tuple[float, float]:
        table = self.risks.at(payment.at)
        if table is None:
            return self._prior, self._prior
        return table.terminal_risk(payment.terminal), table.prior if token is None else table.payee_risk(
            token
        )

    def prefetch(self, payees: Iterable[str]) -> None:
        """Ask for tokens before they are needed, for instance when a customer enters a new payee; does not wait."""
        self._begin([payee for payee in payees if self._find(payee) is None])

    @property
    def status(self) -> SignalStatus:
        """How the signals stand."""
        with self._lock:
            return SignalStatus(self._looked, self._unknown, self._well, self._trouble)

    def close(self) -> None:
        """Stop asking; what is under way is finished first."""
        self._asking.shutdown()

    def _tokens(self, payments: Sequence[Payment]) -> dict[str, bytes]:
        wanted = dict.fromkeys(p.payee for p in payments if p.channel in self._channels)
        found = {payee: token for payee in wanted if (token := self._find(payee)) is not None}
        missing = [payee for payee in wanted if payee not in found]
        if missing:
            waiting = self._begin(missing)
            # Asked one after another: while an answer is overdue, what waits behind it comes no sooner for waiting.
            wait(waiting, timeout=0 if self._is_late else self._patience_s)
            for payee in missing:
                token = self._find(payee)
                if token is not None:
                    found[payee] = token
            if any(not asked.done() for asked in waiting):
                self._is_late = self._patience_s is not None
                self._note("a member did not answer in time")
        if len(found) == len(wanted) and wanted:
            self._note("")
        return found

    def _find(self, payee: str) -> bytes | None:
        try:
            return self.member.tokens.find(payee)
        except TallystickError as error:
            self._note(error.message)
            return None

    def _begin(self, payees: Sequence[str]) -> set[Future[Any]]:
        with self._lock:
            fresh = [payee for payee in payees if payee not in self._under_way]
            if self._patience_s is not None and len(self._under_way) + len(fresh) > WAITING:
                # A member that hangs must not fill the memory with payees that nobody waits for any more.
                fresh = fresh[: max(0, WAITING - len(self._under_way))]
                self._well, self._trouble = False, "too many look-ups wait for a member's answer"
            # One future per request, so that the first tokens can be used while the next are asked for.
            for first in range(0, len(fresh), MAX_POINTS):
                part = fresh[first : first + MAX_POINTS]
                asked = self._asking.submit(self._ask, part)
                self._under_way.update(dict.fromkeys(part, asked))
            return {self._under_way[payee] for payee in payees if payee in self._under_way}

    def _ask(self, payees: Sequence[str]) -> None:
        try:
            self.member.tokens.ask(payees, purpose="payment")
        except TallystickError as error:
            self._note(error.message)
        except Exception as error:  # noqa: BLE001 - a link is somebody's own code; a decision must not fail of it
            self._note(f"a look-up failed: {type(error).__name__}")
        finally:
            self._is_late = False
            with self._lock:
                for payee in payees:
                    self._under_way.pop(payee, None)

    def _note(self, trouble: str) -> None:
        with self._lock:
            self._well, self._trouble = not trouble, trouble


def _numpy() -> Any:
    try:
        import numpy as np
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "shared signals need numpy", hint="pip install 'tallystick[fraud]'"
        ) from error
    return np
