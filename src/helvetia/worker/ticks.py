"""Bounded loops: each tick runs alone, on its own schedule, and its failure never stops the others.

A tick that fails is logged and tried again at its next turn; one that hangs is cancelled at its deadline. How late a
tick is, how long it took and how often it failed are metrics.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from helvetia.kernel.clock import Clock
from helvetia.kernel.errors import HelvetiaError
from helvetia.observability.metrics import TICK_FAILURES, TICK_LATE_S, TICK_TOOK_S

JITTER_SHARE = 0.05

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A job of the schedule: its name, how often it runs, how long it may take, and what it does."""

    name: str
    every_s: float
    deadline_s: float
    run: Callable[[], Awaitable[object]]


async def run_ticks(ticks: Sequence[Tick], clock: Clock, stop: asyncio.Event) -> None:
    """Run every tick until `stop` is set."""
    async with asyncio.TaskGroup() as group:
        for tick in ticks:
            group.create_task(_run_tick(tick, clock, stop), name=tick.name)


async def _run_tick(tick: Tick, clock: Clock, stop: asyncio.Event) -> None:
    due_s = clock.monotonic()
    while not stop.is_set():
        started_s = clock.monotonic()
        TICK_LATE_S.labels(tick.name).set(max(0.0, started_s - due_s))
        await _run_once(tick)
        TICK_TOOK_S.labels(tick.name).set(clock.monotonic() - started_s)
        due_s += tick.every_s  # in the past when it overran: that is its lag, told at its next turn
        if due_s <= started_s:
            due_s = started_s + tick.every_s  # whole turns were missed: they are not made up for
        jitter_s = tick.every_s * JITTER_SHARE * random.random()  # noqa: S311 - spreads load, guards nothing
        await _sleep_until(due_s + jitter_s, clock, stop)


async def _run_once(tick: Tick) -> None:
    try:
        async with asyncio.timeout(tick.deadline_s):
            await tick.run()
    except HelvetiaError as error:
        TICK_FAILURES.labels(tick.name).inc()
        _log.warning("worker.tick_failed", tick=tick.name, code=error.code, detail=error.detail)
    except TimeoutError:
        TICK_FAILURES.labels(tick.name).inc()
        _log.warning("worker.tick_timed_out", tick=tick.name, deadline_s=tick.deadline_s)
    except Exception:  # noqa: BLE001 - a bug in one tick must not stop the others; it is logged with its trace
        TICK_FAILURES.labels(tick.name).inc()
        _log.exception("worker.tick_broke", tick=tick.name)


async def _sleep_until(due_s: float, clock: Clock, stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(max(0.0, due_s - clock.monotonic())):
            await stop.wait()
    except TimeoutError:
        return
