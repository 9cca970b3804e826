"""Loads that benchmarks put on a server: requests on a fixed schedule, each timed from the instant it was due."""

import asyncio
from collections.abc import Awaitable, Callable

from helvetia.kernel.clock import SystemClock

CLOCK = SystemClock()


async def open_loop(send: Callable[[int], Awaitable[None]], *, rate_per_s: int, lasts_s: float) -> list[float]:
    """Milliseconds from the instant a request was due to its answer, whatever the ones before it do."""
    took_ms: list[float] = []
    began_s = CLOCK.monotonic() + 0.05

    async def one(number: int) -> None:
        due_s = began_s + number / rate_per_s
        await asyncio.sleep(due_s - CLOCK.monotonic())
        await send(number)
        took_ms.append((CLOCK.monotonic() - due_s) * 1000)

    async with asyncio.TaskGroup() as group:
        for number in range(int(rate_per_s * lasts_s)):
            group.create_task(one(number))
    return took_ms
