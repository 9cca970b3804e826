"""The rhythm of the worker: spread, without drift, each tick alone with its deadline, and its lag told."""

import asyncio
import random

import pytest

from helvetia.kernel.clock import SystemClock
from helvetia.observability.metrics import TICK_FAILURES, TICK_LATE_S, TICK_TOOK_S
from helvetia.worker import ticks
from helvetia.worker.ticks import JITTER_SHARE, Tick, run_ticks


class LoopClock(SystemClock):
    """Durations are what the ticks say they take: nothing is waited for."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0

    def monotonic(self) -> float:
        return self.elapsed_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> LoopClock:
    clock = LoopClock()

    async def sleep_until(due_s: float, _clock: object, _stop: object) -> None:
        clock.elapsed_s = max(clock.elapsed_s, due_s)

    monkeypatch.setattr(ticks, "_sleep_until", sleep_until)
    return clock


async def starts_of(clock: LoopClock, takes_s: list[float]) -> tuple[list[float], list[float]]:
    """When a tick of every 10 s began, and how late it was said to be, if its runs take so long."""
    stop, began_s, late_s = asyncio.Event(), list[float](), list[float]()

    async def work() -> None:
        late_s.append(TICK_LATE_S.labels("test.rhythm")._value.get())
        began_s.append(clock.elapsed_s)
        clock.elapsed_s += takes_s[len(began_s) - 1]
        if len(began_s) == len(takes_s):
            stop.set()

    await run_ticks([Tick(name="test.rhythm", every_s=10, deadline_s=60, run=work)], clock, stop)
    return began_s, late_s


async def test_turns_are_spread_by_a_little_and_do_not_drift(clock: LoopClock, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(5)
    monkeypatch.setattr(ticks.random, "random", dice.random)
    began_s, late_s = await starts_of(clock, [1.0] * 50)
    spread_s = [at_s - 10 * turn for turn, at_s in enumerate(began_s)]
    assert all(0 <= one <= 10 * JITTER_SHARE for one in spread_s)
    assert len(set(spread_s)) == 50
    assert max(late_s) <= 10 * JITTER_SHARE


async def test_lag_of_a_tick_that_overran_is_told_and_caught_up_without_a_burst(
    clock: LoopClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticks.random, "random", lambda: 0.0)
    began_s, late_s = await starts_of(clock, [1.0, 95.0, 1.0, 1.0, 1.0])
    assert began_s == [0, 10, 105, 115, 125]
    assert late_s == [0, 0, 85, 0, 0]
    assert TICK_TOOK_S.labels("test.rhythm")._value.get() == 1


async def test_one_that_hangs_is_ended_at_its_deadline_and_delays_no_other() -> None:
    stop, turns = asyncio.Event(), []

    async def hang() -> None:
        await asyncio.Event().wait()

    async def work() -> None:
        turns.append(TICK_FAILURES.labels("test.hangs")._value.get())
        if len(turns) >= 5 and turns[-1] >= 2:
            stop.set()

    rhythm = [
        Tick(name="test.hangs", every_s=0.01, deadline_s=0.05, run=hang),
        Tick(name="test.works", every_s=0.01, deadline_s=5, run=work),
    ]
    async with asyncio.timeout(30):
        await run_ticks(rhythm, SystemClock(), stop)
    assert turns[0] < 2
