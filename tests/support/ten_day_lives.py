"""Accounts whose renewal fails at a random second and that pay at a random or a critical one; what each must live.

Failures are spread over time, so that few fall due at once and the brake has no reason to say no.
"""

import random
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from helvetia.kernel.identity import AccountId
from support.enforcement_world import EnforcementWorld

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
INTERVAL = timedelta(seconds=15)
NOTICES = {"day-0": 0, "day-1": 1, "day-3": 3, "day-5": 5, "last-day": 6}


class TenDayLives:
    """What happens to each account and when, and what was seen of it."""

    def __init__(self, dice: random.Random, start: datetime) -> None:
        self._dice = dice
        self._start = start
        self.failed_at: dict[AccountId, datetime] = {}
        self.paid_at: dict[AccountId, datetime] = {}
        self.held_at: dict[AccountId, datetime] = {}
        self.resumed_at: dict[AccountId, datetime] = {}
        self._done: set[tuple[str, AccountId]] = set()

    async def begin(self, world: EnforcementWorld, count: int) -> None:
        for number in range(count):
            account_id = await world.account(f"life-{number}")
            self.failed_at[account_id] = self._start + self._dice.randrange(0, 2 * 86_400) * SECOND
            critical = [7 * DAY - SECOND, 7 * DAY, 7 * DAY + SECOND]
            after = self._dice.choice([*critical, self._dice.randrange(1, 8 * 86_400) * SECOND])
            self.paid_at[account_id] = self.failed_at[account_id] + after

    def instants(self) -> Sequence[datetime]:
        """Every six hours, whenever something is due, and one interval after what must have happened by then."""
        found = {self._start + step * timedelta(hours=6) for step in range(40)}
        found |= {at + day * DAY for at in self.failed_at.values() for day in (0, 1, 3, 5, 6, 7)}
        found |= {at + 7 * DAY + INTERVAL for at in self.failed_at.values()} | set(self.paid_at.values())
        found |= {at + 2 * INTERVAL for at in self.paid_at.values()}
        return sorted(one for one in found if one >= self._start)

    async def happen(self, world: EnforcementWorld, instant: datetime) -> None:
        """What Stripe says by then, and that it was read just now."""
        for account_id, at in self.failed_at.items():
            if at <= instant and ("fail", account_id) not in self._done:
                self._done.add(("fail", account_id))
                await world.fail(account_id, at)
        for account_id, at in self.paid_at.items():
            if at <= instant and ("pay", account_id) not in self._done:
                self._done.add(("pay", account_id))
                await world.pay(account_id)
        await world.read_stripe()

    async def look(self, world: EnforcementWorld, instant: datetime) -> None:
        """Who is held now, and who is not any more."""
        held = await world.held()
        for account_id in held - set(self.held_at):
            self.held_at[account_id] = instant
        for account_id in set(self.held_at) - held - set(self.resumed_at):
            self.resumed_at[account_id] = instant

    async def check(self, world: EnforcementWorld) -> None:
        """Held from day seven on if not paid by then, back in less than a minute, and told each thing once."""
        for account_id, failed_at in self.failed_at.items():
            due_at, paid_at = failed_at + 7 * DAY, self.paid_at[account_id]
            if paid_at <= due_at:
                assert account_id not in self.held_at
            else:
                assert due_at <= self.held_at[account_id] <= due_at + INTERVAL
                assert self.resumed_at[account_id] - paid_at < timedelta(seconds=60)
            told = [one for one in await world.notifications.list_notifications(account_id) if one.state == "sent"]
            steps = Counter(one.key.split(":")[-1] for one in told if one.key.startswith("failure:"))
            until = min(paid_at, due_at)
            assert set(steps) == {name for name, day in NOTICES.items() if failed_at + day * DAY < until}
            assert set(steps.values()) <= {1}
            kinds = Counter(one.kind for one in told)
            assert kinds["services_held"] == kinds["services_resumed"] == int(account_id in self.held_at)
