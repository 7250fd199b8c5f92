"""What is simulated: how many of whom, how often they pay, and how they are robbed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tallystick.errors import DataError

__all__ = ["KINDS_OF_FRAUD", "SimulatorSettings"]

KINDS_OF_FRAUD: Final = (
    "genuine",
    "large amount",
    "compromised terminal",
    "compromised card",
    "mule account",
    "stolen card online",
)
"""By number, as `Simulated.kind` holds them; 0 is no fraud."""

MAX_BANKS: Final = 26
MAX_PAYMENTS: Final = 20_000_000


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """What is asked of the simulator; the same settings make the same payments, bit for bit.

    Args:
        banks: whose customers pay, 1 to 26; terminals and payees are shared.
        payments: in all, frauds included.
        days: that they are spread over, >= 15.
        seed: of all that is drawn.
        start: midnight of the first day, microseconds since the epoch (UTC).
        rate: payments a customer and day, on average; gives the number of customers.
        terminals_per_customer: shops' terminals.
        terminal_frauds: share of the terminals that are compromised on any day.
        card_frauds: share of the customers whose card is compromised on any day.
        mules: mule accounts that open for each thousand customers and month.
        online_bursts: stolen cards used online, for each thousand customers and month.

    Raises:
        DataError: a number is out of its range.
    """

    banks: int = 3
    payments: int = 200_000
    days: int = 60
    seed: int = 0
    start: int = 1_785_542_400_000_000  # 2026-08-01
    rate: float = 1.5
    terminals_per_customer: float = 1.0
    terminal_frauds: float = 0.006
    card_frauds: float = 0.006
    mules: float = 4.0
    online_bursts: float = 2.0

    def __post_init__(self) -> None:
        if not 1 <= self.banks <= MAX_BANKS:
            raise DataError(f"there must be 1 to {MAX_BANKS} banks, got {self.banks}")
        if not 1_000 <= self.payments <= MAX_PAYMENTS:
            raise DataError(f"there must be 1,000 to {MAX_PAYMENTS:,} payments, got {self.payments:,}")
        if not 15 <= self.days <= 3_650:
            raise DataError(f"there must be 15 to 3,650 days, got {self.days}")
        if not 0.01 <= self.rate <= 100 or not 0 < self.terminals_per_customer <= 10:
            raise DataError(
                "expected 0.01 to 100 payments a customer and day, and up to 10 terminals a customer"
            )
        if not all(0 <= share <= 0.2 for share in (self.terminal_frauds, self.card_frauds)):
            raise DataError("shares of terminals and cards must be 0 to 0.2")
        if not all(0 <= count <= 100 for count in (self.mules, self.online_bursts)):
            raise DataError("mules and bursts for each thousand customers and month must be 0 to 100")

    @property
    def customers(self) -> int:
        """How many customers all banks have together, at least 50 a bank."""
        return max(50 * self.banks, round(self.payments / (self.days * self.rate)))

    @property
    def terminals(self) -> int:
        """How many terminals there are."""
        return max(200, round(self.customers * self.terminals_per_customer))
