"""What the simulator made: columns for arithmetic, payments one by one where somebody wants them. All SIMULATED."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, overload

from tallystick.apps.fraud.payments import CHANNELS, Label, Payment

from ._settings import KINDS_OF_FRAUD, SimulatorSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Simulated"]

NONE: Final = -1  # a code that stands for "there is none"
COLUMNS: Final = (
    "id", "at", "amount", "currency", "customer", "payee", "channel", "card", "terminal", "device", "fraud", "known_at",
)  # fmt: skip


@dataclass(frozen=True)
class Simulated:
    """SIMULATED payments of several banks, in the order of their times.

    Args:
        settings: what was asked for.
        bank: uint8, whose customer pays.
        at: int64, microseconds; strictly increasing.
        amount: int64, cents.
        customer: int32, numbers over all banks.
        payee: int32; merchants first, then accounts.
        terminal: int32; shops' terminals first, then web shops; -1 for a transfer.
        device: int32; -1 at a shop's terminal.
        channel: uint8, place in `CHANNELS`.
        kind: uint8, place in `KINDS_OF_FRAUD`; 0 for genuine.
        reported_at: int64, when a fraud became known; for a genuine payment when it is taken for genuine.
        merchants: how many payees are merchants.
    """

    settings: SimulatorSettings
    bank: NDArray[np.uint8]
    at: NDArray[np.int64]
    amount: NDArray[np.int64]
    customer: NDArray[np.int32]
    payee: NDArray[np.int32]
    terminal: NDArray[np.int32]
    device: NDArray[np.int32]
    channel: NDArray[np.uint8]
    kind: NDArray[np.uint8]
    reported_at: NDArray[np.int64]
    merchants: int

    def __len__(self) -> int:
        return len(self.at)

    @property
    def fraud(self) -> NDArray[np.bool_]:
        """Whether each payment is fraud."""
        return self.kind > 0

    @cached_property
    def bank_names(self) -> tuple[str, ...]:
        """What the banks are called."""
        return tuple(f"Bank {chr(65 + number)}" for number in range(self.settings.banks))

    def rows(self, bank: int | None = None) -> NDArray[np.int64]:
        """Return the places of a bank's payments, or of all."""
        import numpy as np

        return np.arange(len(self)) if bank is None else np.flatnonzero(self.bank == bank)

    def payments(self, bank: int | None = None) -> Sequence[Payment]:
        """Return payments, made when they are looked at."""
        return _Payments(self, self.rows(bank))

    def labels(self, bank: int | None = None) -> list[Label]:
        """Return what payments turned out to be, in the order in which that became known."""
        rows = self.rows(bank)
        order = rows[self.reported_at[rows].argsort(kind="stable")]
        return [
            Label(self.payment(row), kind > 0, known)
            for row, kind, known in zip(
                order.tolist(), self.kind[order].tolist(), self.reported_at[order].tolist(), strict=True
            )
        ]

    def payment(self, row: int) -> Payment:
        """Make one payment."""
        return next(self._made([row]))

    def _made(self, rows: Any) -> Iterator[Payment]:
        columns = (
            self.at, self.amount, self.customer, self.payee, self.terminal, self.device, self.channel, self.bank,
        )  # fmt: skip
        for row, at, amount, customer, payee, terminal, device, channel, bank in zip(
            list(rows), *(column[rows].tolist() for column in columns), strict=True
        ):
            who = f"{chr(65 + bank)}{customer:07}"
            merchant = payee < self.merchants
            yield Payment(
                id=f"SIM-{row:09}",
                at=at,
                amount=amount,
                currency="EUR",
                customer=f"C-{who}",
                payee=f"M-{payee:06}" if merchant else f"A-{payee:07}",
                channel=CHANNELS[channel],
                card=f"K-{who}" if merchant else "",
                terminal="" if terminal == NONE else f"T-{terminal:06}",
                device="" if device == NONE else f"D-{device:07}",
            )

    def summary(self) -> dict[str, Any]:
        """Return counts and rates as plain data, for people and statements."""
        import numpy as np

        counts = np.bincount(self.kind, minlength=len(KINDS_OF_FRAUD)).tolist()
        frauds = len(self) - counts[0]
        return {
            "banks": self.settings.banks,
            "customers": self.settings.customers,
            "fraud_rate": f"{frauds / max(len(self), 1):.6f}",
            "frauds": dict(zip(KINDS_OF_FRAUD[1:], counts[1:], strict=True)),
            "payments": len(self),
            "seed": self.settings.seed,
            "simulated": True,
            "terminals": self.settings.terminals,
        }

    def write_csv(self, path: Path, *, bank: int | None = None) -> int:
        """Write payments with their labels as CSV, every id beginning with SIM; how many there are."""
        rows = self.rows(bank)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            kinds, known = self.kind[rows].tolist(), self.reported_at[rows].tolist()
            for payment, kind, at in zip(self._made(rows), kinds, known, strict=True):
                record = payment.record()
                writer.writerow([*(record.get(name, "") for name in COLUMNS[:-2]), int(kind > 0), at])
        return len(rows)


class _Payments(Sequence[Payment]):
    """Payments that are made when they are looked at."""

    def __init__(self, simulated: Simulated, rows: NDArray[np.int64]) -> None:
        self._simulated, self._rows = simulated, rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> Payment: ...
    @overload
    def __getitem__(self, place: slice) -> list[Payment]: ...
    def __getitem__(self, place: int | slice) -> Payment | list[Payment]:
        if isinstance(place, slice):
            return list(self._simulated._made(self._rows[place]))
        return self._simulated.payment(int(self._rows[place]))

    def __iter__(self) -> Iterator[Payment]:
        for start in range(0, len(self._rows), 4096):
            yield from self._simulated._made(self._rows[start : start + 4096])
