"""The same windows with their records in Redis, where several workers decide at once.

- One payment is one transaction: what it saw, and what it changed, is as if the workers had taken turns. Who finds that
  another worker was quicker (WATCH) tries again with what stands there now.
- A transaction whose answer was lost is not done twice: it carries a mark of its own, which the next try looks for.
- Fails closed: Redis that cannot be reached, is full or answers nonsense is a `StorageError`, and no payment is taken.
- Records go 90 days, and the lateness, after they were last written, by Redis' own clock. There are no other limits:
  Redis has to be told ``maxmemory-policy noeviction``, for with any other it would forget in silence.
- One primary, no cluster. Keys hold ids of customers, cards and devices as they are: protect it like the bank's books.
- It holds what was taken, and no journal: after a crash between taking a payment and deciding on it, that payment stands
  in the windows and is counted again when it comes again.
"""

from __future__ import annotations

import os
import random
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from tallystick.apps.fraud.payments import Label, Payment
from tallystick.errors import (
    ConfigurationError,
    DamagedError,
    MissingExtraError,
    OverloadedError,
    StorageError,
)
from tallystick.proof import Randomness

from ._features import NAMES
from ._records import IDLE
from ._seeing import KINDS, MICROSECONDS, Records, Terms, label_record, names_of, see

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["RedisWindows"]

PREFIX: Final = "tallystick:features:"
TOGETHER: Final = 16  # payments in one transaction: more are quicker, but collide more often
TRIES: Final = 64
WAIT_S: Final = 0.000_5  # longest wait after the first collision; doubles up to 64 times that
TIMEOUT_S: Final = 1.0
MARK_DAYS: Final = 1
_HINT: Final = "is Redis running, may it write, and has it memory left? nothing is taken until it answers"

Work = Callable[[dict[str, bytes | None]], dict[str, bytes]]
"""Records by key, as they stand -> those that are written."""


class RedisWindows:
    """Features from windows in Redis; see the package for what they mean. One thread at a time for each object.

    Args:
        client: a ``redis.Redis`` with ``decode_responses=False``; `open` makes one.
        prefix: of all keys.
        lateness_s: as of `Windows`; all workers must have the same.
        label_delay_s: likewise.
        utc_offset_s: likewise.
        randomness: source of this worker's mark.
        sleep: waits some seconds.

    Raises:
        ConfigurationError: a number is out of its range, or other workers use others.
        StorageError: Redis cannot be reached.
    """

    names: tuple[str, ...] = NAMES

    def __init__(
        self,
        client: Any,
        *,
        prefix: str = PREFIX,
        lateness_s: int = 300,
        label_delay_s: int = 7 * 86_400,
        utc_offset_s: int = 0,
        randomness: Randomness = os.urandom,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.terms = Terms(lateness_s, label_delay_s, utc_offset_s)
        self.late_taken = 0
        """How many payments this worker took later than the bound."""
        self.newest = 0
        """Latest time that this worker has heard of, microseconds."""
        self._client, self._prefix, self._sleep = client, prefix, sleep
        self._expiry_s = IDLE + lateness_s
        worker = randomness(16)
        self._mark_key = f"{prefix}mark:{worker.hex()}"
        self._dice = random.Random(worker)  # noqa: S311 - spreads waits, guards nothing
        self._done = 0
        self._heard = 0
        self._agree()

    @classmethod
    def open(cls, url: str, **options: Any) -> RedisWindows:
        """Connect to a server.

        Args:
            url: such as ``redis://127.0.0.1:6379/0`` or ``rediss://...``.
            options: as of the class.

        Raises:
            ConfigurationError: not such an address, or as of the class.
            MissingExtraError: the client is not installed.
            StorageError: Redis cannot be reached.
        """
        redis = _module()
        # One more try at once and no longer wait: who decides on payments cannot stand still for a server.
        retry = redis.retry.Retry(redis.backoff.NoBackoff(), 1)
        try:
            client = redis.Redis.from_url(
                url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=retry
            )
        except ValueError:
            raise ConfigurationError(
                "an address of Redis must begin with redis://, rediss:// or unix://"
            ) from None
        return cls(client, **options)

    def close(self) -> None:
        """Close the connection; what was taken stays."""
        with suppress(_module().RedisError):
            self._client.close()

    @property
    def position(self) -> int:
        """How many payments all workers took together.

        Raises:
            StorageError: Redis cannot be reached.
        """
        try:
            return int(self._client.get(self._prefix + "position") or 0)
        except _module().RedisError as error:
            raise _unreachable(error) from None

    def late(self, payment: Payment) -> bool:
        """Say whether a payment is further behind the newest, as far as this worker has heard, than `lateness_s`."""
        return payment.at < self.newest - self.terms.lateness_s * MICROSECONDS

    def take(self, payments: Sequence[Payment]) -> NDArray[np.float64]:
        """Return each payment's features as of its own time, and make the payment part of what is known.

        Args:
            payments: in the order of their arrival.

        Returns:
            float64, shape (payments, names); finite.

        Raises:
            DamagedError: what stands in Redis is no record.
            OverloadedError: other workers were quicker every time.
            StorageError: Redis cannot be reached; of these payments the first 0, 16, 32... are taken.
        """
        import numpy as np

        rows = np.empty((len(payments), len(self.names)), dtype=np.float64)
        for start in range(0, len(payments), TOGETHER):
            some = payments[start : start + TOGETHER]
            rows[start : start + len(some)] = self._take(some)
        return rows

    def _take(self, payments: Sequence[Payment]) -> list[tuple[float, ...]]:
        keys = [self._keys(payment) for payment in payments]
        rows: list[tuple[float, ...]] = []

        def work(known: dict[str, bytes | None]) -> dict[str, bytes]:
            rows.clear()
            fresh: dict[str, bytes] = {}
            for payment, (customer, card, device, payee, terminal) in zip(payments, keys, strict=True):
                before: Records = (
                    known[customer], known.get(card), known.get(device), known[payee], known.get(terminal),
                )  # fmt: skip
                row, after = see(payment, before, self.terms)
                rows.append(row)
                for key, record in zip((customer, card, device, payee, terminal), after, strict=True):
                    if record is not None:
                        known[key] = fresh[key] = record
            return fresh

        newest = max(payment.at for payment in payments)
        self._transact([key for of_one in keys for key in of_one if key], work, len(payments), newest)
        for payment in payments:
            self.late_taken += self.late(payment)
            self.newest = max(self.newest, payment.at)
        self.newest = max(self.newest, self._heard)
        return rows

    def learn(self, labels: Sequence[Label]) -> None:
        """Make labels part of what is known, each from its own `known_at` on; as of `Windows.learn`.

        Raises:
            OverloadedError: other workers were quicker every time.
            StorageError: Redis cannot be reached; labels that come again change nothing.
        """
        for start in range(0, len(labels), TOGETHER):
            some = labels[start : start + TOGETHER]
            placed = [
                (label, kind, key)
                for label in some
                for kind, key in zip(KINDS[3:], self._keys(label.payment)[3:], strict=True)
                if key
            ]

            def work(
                known: dict[str, bytes | None], placed: list[tuple[Label, str, str]] = placed
            ) -> dict[str, bytes]:
                fresh: dict[str, bytes] = {}
                for label, kind, key in placed:
                    record = known[key]
                    if record is not None and (after := label_record(kind, record, label)) != record:
                        known[key] = fresh[key] = after
                return fresh

            self._transact([key for _, _, key in placed], work, 0, 0)

    def _keys(self, payment: Payment) -> tuple[str, ...]:
        return tuple(
            f"{self._prefix}{kind}:{name}" if name else ""
            for kind, name in zip(KINDS, names_of(payment), strict=True)
        )

    def _transact(self, keys: list[str], work: Work, taken: int, newest: int) -> None:
        """Read, work and write as one, again and again while others write the same."""
        redis = _module()
        keys = list(dict.fromkeys(keys))
        self._done += 1
        for attempt in range(TRIES):
            try:
                with self._client.pipeline(transaction=True) as pipe:
                    if self._tried(pipe, keys, work, (taken, newest), attempt):
                        return
            except redis.WatchError:
                self._sleep(self._dice.random() * WAIT_S * min(2**attempt, 64))
            except redis.RedisError as error:
                raise _unreachable(error) from None
            except (struct.error, IndexError):
                raise DamagedError("shared windows: Redis holds a record that nobody here wrote") from None
        raise OverloadedError(
            "other workers changed the same windows every time",
            hint="send the payment again, or use fewer workers",
        )

    def _tried(self, pipe: Any, keys: list[str], work: Work, count: tuple[int, int], attempt: int) -> bool:
        mark = b"%d" % self._done
        pipe.watch(*keys)
        *records, done = pipe.mget([*keys, self._mark_key])
        if attempt and done == mark:
            return True  # the last try was carried out, only its answer was lost
        fresh = work(dict(zip(keys, records, strict=True)))
        if not fresh:
            return True
        taken, newest = count
        pipe.multi()
        for key, record in fresh.items():
            pipe.set(key, record, ex=self._expiry_s)
        pipe.set(self._mark_key, mark, ex=MARK_DAYS * 86_400)
        if taken:
            pipe.incrby(self._prefix + "position", taken)
            pipe.zadd(self._prefix + "newest", {"at": newest}, gt=True)
            pipe.zscore(self._prefix + "newest", "at")
        answers = pipe.execute()
        if taken:
            self._heard = int(answers[-1])
        return True

    def _agree(self) -> None:
        """Fix the terms with the first worker; hold to them as any other."""
        said = f"{self.terms.lateness_s} {self.terms.label_delay_s} {self.terms.utc_offset_s}".encode()
        try:
            self._client.set(self._prefix + "terms", said, nx=True)
            agreed = self._client.get(self._prefix + "terms")
            self.newest = int(self._client.zscore(self._prefix + "newest", "at") or 0)
        except _module().RedisError as error:
            raise _unreachable(error) from None
        if agreed != said:
            raise ConfigurationError(
                "other workers use another lateness, label delay or offset from UTC",
                hint="give all workers the same, or this one another prefix",
            )


def _module() -> Any:
    try:
        import redis
        import redis.backoff
        import redis.retry
    except ImportError as error:
        raise MissingExtraError(
            "shared windows need redis", hint="pip install 'tallystick[redis]'"
        ) from error
    return redis


def _unreachable(error: Exception) -> StorageError:
    return StorageError(
        f"shared windows: Redis gave no answer that can be used ({type(error).__name__})", hint=_HINT
    )
