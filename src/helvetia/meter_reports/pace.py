"""A token bucket: calls to one of Stripe's endpoints pass at a bounded rate, a fifth of a second's worth at once."""

import asyncio

from helvetia.kernel.clock import Clock

BURST_S = 0.2


class Pace:
    """One bucket of an endpoint; who asks waits for his turn, in the order of asking."""

    def __init__(self, clock: Clock, calls_per_second: int) -> None:
        self._clock = clock
        self._every_s = 1 / calls_per_second
        self._next_s = 0.0

    async def wait(self) -> None:
        now_s = self._clock.monotonic()
        turn_s = max(now_s - BURST_S, self._next_s)
        self._next_s = turn_s + self._every_s
        if turn_s > now_s:
            await asyncio.sleep(turn_s - now_s)
