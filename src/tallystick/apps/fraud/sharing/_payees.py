"""The list of reported payees, as one member computes it from the receipts that it has seen.

Each word arrives as a receipt with the token, the customer's tag and the time opened; it is verified under this
member's own policy before it counts. Every member that saw the same receipts has the same list and the same root.
"""

from __future__ import annotations

import threading
from bisect import insort
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Final, cast

from tallystick.errors import (
    DeadlineError,
    DisclosureError,
    EncodingError,
    RateLimitError,
    ReceiptError,
    VerificationError,
)
from tallystick.proof import (
    Clock,
    Policy,
    Receipt,
    decode_base64url,
    parse_receipt,
    system_clock,
    verify,
)

from ._epochs import Epoch
from ._limits import SECOND
from ._sorted_tree import SortedTree, TokenProof
from ._tokens import TOKEN_SIZE
from ._words import Listed, ReporterRecord, Verb, Word, entry_at, overturned

__all__ = ["DISCLOSED", "KEPT_DAYS", "ListStatement", "PayeeList"]

KEPT_DAYS: Final = 30
RECEIPT_LIMIT: Final = 64 * 1024  # bytes; one of a report has about two thousand, more with every witness
WORDS_PER_BANK: Final = 100_000  # in one epoch, about 400 bytes each in memory
AHEAD_US: Final = 300 * SECOND  # a member's clock may be ahead of this one's
TAG_SIZE: Final = 16  # bytes
DISCLOSED: Final = {
    "payee.disputed": ("at", "token"),
    "payee.removed": ("at", "token"),
    "payee.reported": ("at", "reporter", "token"),
    "payee.withdrawn": ("at", "reporter", "token"),
}
"""What is opened to the other members, by kind of statement; the payment behind a report stays closed."""


@dataclass(frozen=True, slots=True)
class ListStatement:
    """The list at a moment.

    Args:
        epoch: number of the epoch that its tokens are of.
        number: 1, 2, ...
        as_of: the moment, microseconds.
        entries: sorted by token.
    """

    epoch: int
    number: int
    as_of: int
    entries: tuple[Listed, ...]
    _tree: SortedTree = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_tree", SortedTree([entry.bytes for entry in self.entries]))

    @property
    def root(self) -> bytes:
        """Root over the entries, 32 bytes."""
        return self._tree.root

    @property
    def body(self) -> dict[str, Any]:
        """The body of ``list.stated``."""
        return {
            "as_of": self.as_of,
            "entries": len(self.entries),
            "epoch": self.epoch,
            "number": self.number,
            "root": self.root.hex(),
        }

    def prove(self, token: bytes) -> TokenProof:
        """Prove that a token is on the list, or that it is not."""
        return self._tree.prove(token)


class PayeeList:
    """The list within one epoch.

    Args:
        epoch: the epoch; its end empties the list.
        policy: under which receipts are verified.
        days: how long a report counts; the same for all members, or their lists differ.
        clock: microseconds; the one that epochs are opened by.
        keep: stores a receipt durably before it counts; None keeps the list in memory only.
    """

    def __init__(
        self,
        epoch: Epoch,
        *,
        policy: Policy,
        days: int = KEPT_DAYS,
        clock: Clock = system_clock,
        keep: Callable[[bytes], None] | None = None,
    ) -> None:
        self.epoch, self._keep = epoch, keep
        self._policy, self._days, self._clock = policy, days, clock
        self._words: dict[bytes, list[Word]] = {}
        self._said = Counter[str]()
        self._received: dict[str, int] = {}  # statement -> when it reached this member
        self._lock = threading.Lock()

    def receive(self, receipt: Receipt | bytes, *, kept_at: int | None = None) -> Word:
        """Take up what a member stated about a payee; the same receipt again changes nothing.

        Args:
            receipt: with the fields of `DISCLOSED` opened.
            kept_at: it is read again after a restart, and reached this member then.

        Raises:
            DeadlineError: a time outside the epoch, or ahead of this member's clock.
            DisclosureError: the fields that all members need are not opened.
            RateLimitError: more than one bank may say in an epoch.
            ReceiptError: malformed, or larger than a receipt of a report can be.
            VerificationError: it does not hold under the policy, is of another epoch or not of a member.
        """
        data = receipt.format() if isinstance(receipt, Receipt) else receipt
        if len(data) > RECEIPT_LIMIT:
            # It is kept for the whole epoch: a member must not be able to fill the others' disks.
            raise ReceiptError(f"a receipt about a payee must have at most {RECEIPT_LIMIT} bytes")
        word = self._read(receipt if isinstance(receipt, Receipt) else parse_receipt(receipt))
        now = self._clock() if kept_at is None else kept_at
        self.check_time(word.at)
        with self._lock:
            if word.statement not in self._received:
                if self._said[word.bank] >= WORDS_PER_BANK:
                    raise RateLimitError(
                        f"a bank may state at most {WORDS_PER_BANK:,} things about payees in an epoch",
                        hint="open the next epoch",
                    )
                if self._keep is not None and kept_at is None:
                    # Durable before it counts: what this member's decisions were made by must outlive a crash.
                    self._keep(data)
                self._received[word.statement] = now
                self._said[word.bank] += 1
                # Replaced, not changed: a reader that holds the old list goes on undisturbed.
                about = list(self._words.get(word.token, ()))
                insort(about, word)
                self._words[word.token] = about
        return word

    def check_time(self, at: int) -> None:
        """Refuse a time outside the epoch, or ahead of this member's clock.

        Raises:
            DeadlineError: it is.
        """
        self.epoch.check_time(at)
        if at > self._clock() + AHEAD_US:
            raise DeadlineError("a report must not be ahead of the clock", hint="set the clocks")

    def entry(self, token: bytes, at: int) -> Listed | None:
        """Return a payee's entry at a moment, or None: it is not on the list then."""
        about = self._words.get(token)
        return entry_at(about, at, days=self._days) if about and at < self.epoch.until else None

    def entries(self, at: int) -> tuple[Listed, ...]:
        """The list at a moment, sorted by token."""
        found = (self.entry(token, at) for token in sorted(self._words))
        return tuple(entry for entry in found if entry is not None)

    def statement(self, number: int, *, at: int) -> ListStatement:
        """The list at a moment, ready to be stated, posted and proved from."""
        return ListStatement(self.epoch.number, number, at, self.entries(at))

    def words(self, token: bytes) -> tuple[Word, ...]:
        """All that was said about a payee, in order; who said it stands there."""
        return tuple(self._words.get(token, ()))

    def received_at(self, statement: str) -> int | None:
        """When a statement reached this member, microseconds; None when it did not."""
        return self._received.get(statement)

    @property
    def tokens(self) -> Collection[bytes]:
        """All payees that anything was said about."""
        return tuple(self._words)

    def record_of(self, bank: str) -> ReporterRecord:
        """How a member's reports have stood; anybody who has the words computes the same."""
        return overturned(list(self._words.values()), bank)

    def _read(self, receipt: Receipt) -> Word:
        statement = receipt.statement
        if statement.kind not in DISCLOSED:
            raise VerificationError(
                "what is said about a payee must be reported, disputed, withdrawn or removed"
            )
        if statement.party not in self.epoch.commitments:
            raise VerificationError("only a member of the epoch can say something about a payee")
        opened = verify(receipt, policy=self._policy).opened
        if statement.body.get("epoch") != self.epoch.number:
            raise VerificationError(f"expected a statement of epoch {self.epoch.number}, got another one's")
        if not isinstance(opened, dict) or any(name not in opened for name in DISCLOSED[statement.kind]):
            raise DisclosureError(
                "a statement about a payee must be opened to the members",
                hint=f"open {', '.join(DISCLOSED[statement.kind])}",
            )
        try:
            token = decode_base64url(opened["token"], size=TOKEN_SIZE)
            reporter = decode_base64url(opened["reporter"], size=TAG_SIZE) if "reporter" in opened else b""
        except TypeError as error:
            raise EncodingError("a token and a tag must be text") from error
        if type(opened["at"]) is not int:
            raise EncodingError("the time of a report must be whole microseconds")
        verb = cast(Verb, statement.kind.partition(".")[2])
        return Word(opened["at"], statement.id, verb, statement.party, token, reporter)
