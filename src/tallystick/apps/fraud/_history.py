"""What a pilot replays: payments of several banks with what they turned out to be, simulated or the user's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tallystick.apps.fraud.payments import ColumnMapping, Payment, read_payments
from tallystick.apps.fraud.simulator import SimulatorSettings, simulate
from tallystick.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["BANKS", "BankHistory", "History", "own_history", "simulated_history"]

BANKS: Final = ("Bank A", "Bank B", "Bank C")
DAY: Final = 86_400_000_000  # microseconds
OWN_DELAY: Final = 7 * DAY  # after which a fraud of the user's own table counts as known
LEAST_FRAUDS: Final = 30
DAYS: Final = 60  # of a simulated history; the second half is replayed


@dataclass(frozen=True)
class BankHistory:
    """One bank's payments.

    Args:
        name: the bank's.
        payments: in the order of their times.
        at: int64, their times, microseconds.
        amount: int64, minor units.
        fraud: bool, what they turned out to be.
        known_at: int64, when that was known.
        cut: how many of them lie before the replay.
    """

    name: str
    payments: list[Payment]
    at: NDArray[np.int64]
    amount: NDArray[np.int64]
    fraud: NDArray[np.bool_]
    known_at: NDArray[np.int64]
    cut: int


@dataclass(frozen=True)
class History:
    """All banks' payments, and where the replay begins.

    Args:
        banks: three of them.
        start: time of the replay's first payment, microseconds.
        until: a moment after the last payment and the last label.
        own: the user's own payments; SIMULATED ones otherwise.
        split: the user's customers were split into three, as if they were of three banks.
        about: what was simulated, or the table's name; plain data.
    """

    banks: tuple[BankHistory, ...]
    start: int
    until: int
    own: bool
    split: bool
    about: dict[str, Any]

    @property
    def replayed(self) -> int:
        """How many payments are replayed."""
        return sum(len(bank.payments) - bank.cut for bank in self.banks)

    @property
    def since(self) -> int:
        """Time of the very first payment."""
        return min(bank.payments[0].at for bank in self.banks)

    @property
    def terminals(self) -> list[str]:
        """Every terminal that appears; ids that the banks share anyway."""
        return sorted({one.terminal for bank in self.banks for one in bank.payments if one.terminal})

    def replay(self) -> Iterator[tuple[int, int]]:
        """Walk over the replayed payments in the order of their times: (bank, place in its payments)."""
        places = [
            (payment.at, number, place)
            for number, bank in enumerate(self.banks)
            for place, payment in enumerate(bank.payments[bank.cut :], start=bank.cut)
        ]
        return ((number, place) for _, number, place in sorted(places))


def simulated_history(*, payments: int, seed: int) -> History:
    """Simulate twice as many payments as are replayed: the first half is what the banks learn from.

    Args:
        payments: to replay.
        seed: of everything.
    """
    made = simulate(SimulatorSettings(banks=len(BANKS), payments=2 * payments, days=DAYS, seed=seed))
    start = int(made.at[payments])
    rows = [made.rows(number) for number in range(len(BANKS))]
    banks = tuple(
        _bank(
            name,
            list(made.payments(number)),
            made.fraud[rows[number]],
            made.reported_at[rows[number]],
            start=start,
        )
        for number, name in enumerate(BANKS)
    )
    until = int(made.reported_at.max()) + DAY
    return History(banks, start, until, own=False, split=False, about=made.summary())


def own_history(path: Path, columns: str) -> History:
    """Read the user's own table; its second half is replayed.

    Without a column of banks, customers are split into three by a hash of theirs.

    Args:
        path: CSV, JSON lines or Parquet, in the order of time, with a column of labels.
        columns: which column is which field, see `ColumnMapping`.

    Raises:
        DataError: the table cannot be read, holds no labels, or too few frauds.
    """
    import numpy as np

    parts: list[tuple[list[Payment], list[bool]]] = [([], []) for _ in BANKS]
    unlabelled = 0
    for row in read_payments(path, ColumnMapping.parse(columns)):
        unlabelled += row.fraud is None
        where = sha256(row.payment.customer.encode()).digest()[0] % len(BANKS)
        parts[where][0].append(row.payment)
        parts[where][1].append(bool(row.fraud))
    if unlabelled:
        raise DataError(
            f"{unlabelled} payments of the table have no label", hint="name its column: --columns fraud=Class"
        )
    times = np.sort(np.concatenate([[one.at for one in payments] for payments, _ in parts]))
    if min(len(payments) for payments, _ in parts) < 100:
        raise DataError("the table must hold hundreds of payments of many customers")
    start = int(times[len(times) // 2])
    banks = tuple(
        _bank(
            name,
            payments,
            np.array(fraud, dtype=bool),
            np.array([one.at + OWN_DELAY for one in payments], dtype=np.int64),
            start=start,
        )
        for name, (payments, fraud) in zip(BANKS, parts, strict=True)
    )
    known = [int((bank.fraud[: bank.cut] & (bank.known_at[: bank.cut] <= start)).sum()) for bank in banks]
    if min(known) < LEAST_FRAUDS:
        raise DataError(
            f"each third of the customers needs {LEAST_FRAUDS} frauds in the table's first half, got {min(known)}",
            hint="a longer history",
        )
    about = {"payments": len(times), "simulated": False, "table": path.name}
    return History(banks, start, int(times[-1]) + OWN_DELAY + DAY, own=True, split=True, about=about)


def _bank(name: str, payments: list[Payment], fraud: Any, known_at: Any, *, start: int) -> BankHistory:
    import numpy as np

    at = np.array([one.at for one in payments], dtype=np.int64)
    amount = np.array([one.amount for one in payments], dtype=np.int64)
    return BankHistory(name, payments, at, amount, fraud, known_at, int(np.searchsorted(at, start)))
