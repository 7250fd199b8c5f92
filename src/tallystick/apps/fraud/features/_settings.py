"""Which windows a bank runs: in this process, or in Redis for several workers."""

from __future__ import annotations

from dataclasses import dataclass

from tallystick.errors import ConfigurationError

from ._records import DAY
from ._redis import PREFIX, RedisWindows
from ._seeing import Terms
from ._windows import Windows

__all__ = ["FeatureSettings"]


@dataclass(frozen=True, slots=True)
class FeatureSettings:
    """How windows are opened; the fields of a table ``[features]``.

    Args:
        lateness_s: as of `Windows`.
        label_delay_s: as of `Windows`; the models must have been trained with the same.
        utc_offset_s: likewise.
        redis: address of the Redis that several workers share; empty keeps the windows in this process.
        prefix: of the keys there; each bank has its own.

    Raises:
        ConfigurationError: a field is out of its range.
    """

    lateness_s: int = 300
    label_delay_s: int = 7 * DAY
    utc_offset_s: int = 0
    redis: str = ""
    prefix: str = PREFIX

    def __post_init__(self) -> None:
        Terms(self.lateness_s, self.label_delay_s, self.utc_offset_s)
        if type(self.redis) is not str or type(self.prefix) is not str or not self.prefix:
            raise ConfigurationError(
                "features.redis and features.prefix must be text, and the prefix not empty"
            )

    def open(self) -> Windows | RedisWindows:
        """Return the windows.

        Raises:
            ConfigurationError: not an address of Redis, or other workers use other numbers.
            MissingExtraError: the client of Redis is not installed.
            StorageError: Redis cannot be reached.
        """
        if not self.redis:
            return Windows(
                lateness_s=self.lateness_s, label_delay_s=self.label_delay_s, utc_offset_s=self.utc_offset_s
            )
        return RedisWindows.open(
            self.redis,
            prefix=self.prefix,
            lateness_s=self.lateness_s,
            label_delay_s=self.label_delay_s,
            utc_offset_s=self.utc_offset_s,
        )
