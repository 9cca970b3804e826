"""Time → due timers → transactions: what moves objects when nobody calls.

Each timer is one transaction, in time order. The account's own clock is ticked in real time; an advancing test clock
is worked off in the background and resumes after a restart; ``advance`` moves an account's own clock and returns when
everything up to the target has happened. A timer that breaks is rolled back and tried again an hour later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping

from stripe_sandbox import clock, events
from stripe_sandbox.context import TEST_CLOCK, Cause, Context
from stripe_sandbox.documents import Kind
from stripe_sandbox.engine import timers
from stripe_sandbox.engine.fire import fire
from stripe_sandbox.engine.timers import Timer
from stripe_sandbox.store import Store
from stripe_sandbox.wire import idempotency
from stripe_sandbox.wire.errors import TooManyRequests

TICK_S = 0.5
PURGE_EVERY_S = 60
TIMERS_A_TURN = 200
BROKEN_TIMER_S = 3600
LOG = logging.getLogger(__name__)


class Driver:
    """The background worker of the server."""

    def __init__(self, store: Store, kinds: Mapping[str, Kind]) -> None:
        """Bind the worker to the store; nothing runs until ``run``."""
        self._store = store
        self._kinds = kinds
        self._woken = asyncio.Event()
        self._advancing: set[str] = set()
        self._purged_at = 0

    def wake(self) -> None:
        """Look for work at once."""
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._tick_accounts()
            await self._advance_clocks()
            self._purge()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), TICK_S)
            self._woken.clear()

    async def advance(self, account: str, target_s: int) -> None:
        """Move an account's own clock to ``target_s``, carrying out everything due on the way."""
        if account in self._advancing:
            message = "Clock advancement underway. Wait until it is done and try again."
            raise TooManyRequests(message, code="lock_timeout")
        self._advancing.add(account)
        try:
            while (timer := timers.next_due(self._store, account, timers.OWN_CLOCK, target_s)) is not None:
                self._carry_out(timer)
                await asyncio.sleep(0)
            with self._store.transaction():
                clock.move_to(self._store, account, target_s)
        finally:
            self._advancing.discard(account)

    async def _tick_accounts(self) -> None:
        rows = self._store.rows(
            "SELECT DISTINCT t.account FROM timers t JOIN accounts a ON a.id=t.account"
            " WHERE t.clock=? AND t.due_at<=?+a.offset_s",
            *(timers.OWN_CLOCK, clock.wall_s()),
        )
        for row in rows:
            account = row["account"]
            if account in self._advancing:
                continue
            for _ in range(TIMERS_A_TURN):
                now_s = clock.account_now_s(self._store, account)
                timer = timers.next_due(self._store, account, timers.OWN_CLOCK, now_s)
                if timer is None:
                    break
                self._carry_out(timer)
                await asyncio.sleep(0)

    async def _advance_clocks(self) -> None:
        rows = self._store.rows(
            "SELECT account, object, due_at FROM timers WHERE clock=? ORDER BY seq", timers.ADVANCING
        )
        for row in rows:
            await self._advance_clock(row["account"], row["object"], row["due_at"])

    async def _advance_clock(self, account: str, clock_id: str, target_s: int) -> None:
        while (timer := timers.next_due(self._store, account, clock_id, target_s)) is not None:
            self._carry_out(timer)
            await asyncio.sleep(0)
        with self._store.transaction():
            ctx = Context(self._store, self._kinds, account, Cause())
            found = ctx.find(TEST_CLOCK, clock_id)
            timers.disarm(ctx, clock_id, "advance")
            if found is not None:
                ready = found | {"frozen_time": target_s, "status": "ready", "status_details": {}}
                ctx.add(ready, "test_helpers.test_clock.ready")

    def _carry_out(self, timer: Timer) -> None:
        try:
            with self._store.transaction():
                ctx = self._context_at(timer)
                fire(ctx, timer)
        except Exception:
            LOG.exception("timer %s of %s failed and was put off", timer.name, timer.object_id)
            self._put_off(timer)

    def _context_at(self, timer: Timer) -> Context:
        if timer.clock == timers.OWN_CLOCK:
            clock.move_to(self._store, timer.account, timer.due_at)
            return Context(self._store, self._kinds, timer.account, Cause(), pinned_s=timer.due_at)
        ctx = Context(self._store, self._kinds, timer.account, Cause())
        frozen = ctx.get(TEST_CLOCK, timer.clock)
        ctx.write(frozen | {"frozen_time": max(frozen["frozen_time"], timer.due_at)})
        return ctx

    def _put_off(self, timer: Timer) -> None:
        with self._store.transaction():
            self._store.run(
                "UPDATE timers SET due_at=due_at+? WHERE account=? AND object=? AND name=?",
                *(BROKEN_TIMER_S, timer.account, timer.object_id, timer.name),
            )

    def _purge(self) -> None:
        """Drop what Stripe would have forgotten."""
        now_s = clock.wall_s()
        if now_s - self._purged_at < PURGE_EVERY_S:
            return
        self._purged_at = now_s
        with self._store.transaction():
            idempotency.purge(self._store)
            for row in self._store.rows("SELECT id, offset_s FROM accounts"):
                self._store.run(
                    "DELETE FROM objects WHERE account=? AND kind='event' AND created<=?",
                    *(row["id"], now_s + row["offset_s"] - events.KEPT_S),
                )
            self._store.run("DELETE FROM delivery_answers WHERE sent_at<=?", now_s - events.KEPT_S)
