"""The log: a disk that takes no line more must not keep answers from anybody."""

from __future__ import annotations

import asyncio
import errno

import pytest

from tallystick.errors import PaymentError
from tallystick.server._log import FLUSH_LINES, RequestLog


@pytest.mark.parametrize("lines", [1, FLUSH_LINES, 2 * FLUSH_LINES])
def test_a_log_that_cannot_be_written_keeps_no_answer_back(lines: int) -> None:
    tried = 0

    def full(_lines: bytes) -> None:
        nonlocal tried
        tried += 1
        raise OSError(errno.ENOSPC, "no space left")

    async def serve() -> None:
        log = RequestLog(full)
        for _ in range(lines):
            log.fault("request", PaymentError("a payment must say its id"))
        log.note("request", 200, 0.001, "hub", None)
        log.flush()

    asyncio.run(serve())
    assert tried
