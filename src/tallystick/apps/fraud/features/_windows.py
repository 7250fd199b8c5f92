"""Windows in process: bounded, restored exactly, and the same path for training and for deciding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, Final

from tallystick.apps.fraud.payments import Label, Payment
from tallystick.errors import ConfigurationError, DamagedError
from tallystick.proof import Files, write_atomically

from ._features import NAMES
from ._records import IDLE, last_time
from ._seeing import KINDS, MICROSECONDS, Records, Terms, label_record, names_of, see
from ._state import Kept, format_kept, parse_kept

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Limits", "Windows"]

SWEEP: Final = 4_096  # payments between two looks for entities that were idle too long
SWEPT: Final = 8_192  # entities of a kind that one look may free
SHARE: Final = 64  # one of so many goes when a limit is passed
_ROW: Final = Struct(f"{len(NAMES)}d")
LABELLED: Final = (3, 4)  # places in KINDS that labels belong to


@dataclass(frozen=True, slots=True)
class Limits:
    """How many entities of each kind are kept at most.

    Args:
        customer: most customers.
        card: most cards.
        device: most devices.
        payee: most payees.
        terminal: most terminals.

    Raises:
        ConfigurationError: one is below 64.
    """

    customer: int = 2_000_000
    card: int = 3_000_000
    device: int = 3_000_000
    payee: int = 2_000_000
    terminal: int = 500_000

    def __post_init__(self) -> None:
        if min(self.values) < SHARE:
            raise ConfigurationError(f"a limit of entities must be at least {SHARE}")

    @property
    def values(self) -> tuple[int, ...]:
        """The limits in the order of the kinds."""
        return tuple(getattr(self, field.name) for field in fields(self))


class Windows:
    """Features from windows that are kept in this process; see the package for what they mean. One thread at a time.

    A payment is taken as a whole or not at all. The state after a snapshot and the rest of a stream is the state after
    all of it, so that a process may die at any moment: who holds the stream can bring it back.

    Args:
        lateness_s: how far behind the newest a payment is taken exactly.
        label_delay_s: how far before a payment its risk windows end.
        utc_offset_s: of the bank's wall clock, for hour, night and weekend.
        limits: how many entities are kept.

    Raises:
        ConfigurationError: a number is out of its range.
    """

    names: tuple[str, ...] = NAMES

    def __init__(
        self,
        *,
        lateness_s: int = 300,
        label_delay_s: int = 7 * 86_400,
        utc_offset_s: int = 0,
        limits: Limits = Limits(),
    ) -> None:
        self.terms = Terms(lateness_s, label_delay_s, utc_offset_s)
        self.limits = limits
        self.position = 0
        """How many payments were taken."""
        self.newest = 0
        """Latest time of a payment that was taken, microseconds."""
        self.late_taken = 0
        """How many payments were later than the bound."""
        self._kept: tuple[Kept, ...] = tuple({} for _ in KINDS)
        self._most = limits.values

    def late(self, payment: Payment) -> bool:
        """Say whether a payment is further behind the newest than `lateness_s`."""
        return payment.at < self.newest - self.terms.lateness_s * MICROSECONDS

    def take(self, payments: Sequence[Payment]) -> NDArray[np.float64]:
        """Return each payment's features as of its own time, and make the payment part of what is known.

        Args:
            payments: in the order of their arrival; a late one gets what is left of its time.

        Returns:
            float64, shape (payments, names); finite.
        """
        import numpy as np

        rows = bytearray(_ROW.size * len(payments))
        customers, cards, devices, payees, terminals = self._kept
        for place, payment in enumerate(payments):
            names = names_of(payment)
            customer, card, device, payee, terminal = names
            records: Records = (
                customers.get(customer),
                cards.get(card),
                devices.get(device),
                payees.get(payee),
                terminals.get(terminal),
            )
            row, after = see(payment, records, self.terms)
            _ROW.pack_into(rows, place * _ROW.size, *row)
            self._keep(payment.at, names, after)
        return np.frombuffer(rows).reshape(len(payments), len(self.names))

    def _keep(self, at: int, names: tuple[str, ...], after: Records) -> None:
        if at >= self.newest:
            self.newest = at
        elif at < self.newest - self.terms.lateness_s * MICROSECONDS:
            self.late_taken += 1
        for name, record, kept, most in zip(names, after, self._kept, self._most, strict=True):
            if record is not None:
                # Out and in again: a dictionary keeps its order of insertion, so the longest idle stand first.
                kept.pop(name, None)
                kept[name] = record
                if len(kept) > most:
                    for longest_idle in list(islice(kept, most // SHARE)):
                        del kept[longest_idle]
        self.position += 1
        if not self.position % SWEEP:
            self._sweep()

    def _sweep(self) -> None:
        """Free what was idle for so long that nobody within the bound of lateness can see it any more."""
        oldest = self.newest // MICROSECONDS - IDLE - self.terms.lateness_s
        for kind, kept in zip(KINDS, self._kept, strict=True):
            idle = []
            for name, record in islice(kept.items(), SWEPT):
                if last_time(kind, record) >= oldest:
                    break
                idle.append(name)
            for name in idle:
                del kept[name]

    def learn(self, labels: Sequence[Label]) -> None:
        """Make labels part of what is known, each from its own `known_at` on.

        That a payment is genuine is kept where it takes back that it was fraud. Labels of payees and terminals that
        are not kept are dropped.
        """
        for label in labels:
            names = names_of(label.payment)
            for place in LABELLED:
                kept, name = self._kept[place], names[place]
                record = kept.get(name)
                if record is not None:
                    kept[name] = label_record(KINDS[place], record, label)

    def memory(self) -> dict[str, int]:
        """Return, for each kind, how many are kept (``customers``) and the bytes of their records (``customer_bytes``).

        Reads every record's length: some 0.1 s for a million of them. Other threads may ask at any time.
        """
        said = {}
        for kind, kept in zip(KINDS, self._kept, strict=True):
            said[f"{kind}s"] = len(kept)
            said[f"{kind}_bytes"] = sum(map(len, list(kept.values())))
        return said

    def copy(self) -> Windows:
        """Return windows that go on from here by themselves, so that these can be written down while they go on.

        Records are shared, since none is ever changed in place: some 0.1 s for a million customers.
        """
        terms = self.terms
        made = Windows(
            lateness_s=terms.lateness_s,
            label_delay_s=terms.label_delay_s,
            utc_offset_s=terms.utc_offset_s,
            limits=self.limits,
        )
        made.position, made.newest, made.late_taken = self.position, self.newest, self.late_taken
        made._kept = tuple(dict(kept) for kept in self._kept)
        return made

    def format_state(self) -> bytes:
        """Return all that is known as bytes, with a checksum; the same stream gives the same bytes."""
        numbers = (self.position, self.newest, self.late_taken)
        terms = (self.terms.lateness_s, self.terms.label_delay_s, self.terms.utc_offset_s)
        return format_kept((*numbers, *terms, *self._most), self._kept)

    @classmethod
    def parse_state(cls, data: bytes) -> Windows:
        """Read what `format_state` gave.

        Raises:
            DamagedError: it is not that, byte for byte.
            UnknownFormatError: another version wrote it.
        """
        numbers, kept = parse_kept(data, len(KINDS))
        try:
            terms = {"lateness_s": numbers[3], "label_delay_s": numbers[4], "utc_offset_s": numbers[5]}
            made = cls(**terms, limits=Limits(*numbers[6:]))
        except ConfigurationError as error:
            raise DamagedError(f"the state of features has terms that cannot be: {error.message}") from None
        made.position, made.newest, made.late_taken = numbers[:3]
        made._kept = kept
        return made

    def write_snapshot(self, files: Files, path: Path) -> None:
        """Write the state to a file; a crash leaves the old one or the new one.

        Customers' ids stand in it as they are: the directory has to be protected, or use `format_state` and encrypt.

        Raises:
            StorageError: it could not be written.
        """
        write_atomically(files, path, self.format_state())
