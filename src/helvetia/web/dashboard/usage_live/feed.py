"""The arrow readings → open pages: one look at the database for all pages of an account, one rendering for alike ones.

Promises: a page hears of a reading at most POLL_S after it is in the ledger; the number of listeners is bounded; a page
that is slow to listen gets the newest figures next, never a queue of old ones. Fails: while the database does not
answer nothing new is told, and the next look goes on.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from helvetia.costs.usage_history_service import UsageHistoryService
from helvetia.kernel.errors import HelvetiaError, Unavailable
from helvetia.kernel.identity import AccountId

POLL_S = 4.0
LISTENERS_MAX = 500

_log = structlog.get_logger()

Render = Callable[[], Awaitable[str]]


class TooManyListeners(Unavailable):
    """Too many pages listen at the moment; reload this one to see newer figures."""

    code = "too_many_listeners"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What an open page shows from now on, as it goes over the wire; `id` is the mark it was made at."""

    id: str
    event: bytes


@dataclass(slots=True, kw_only=True)
class _Channel:
    """One account's listeners: the newest mark, and for each kind of page its rendering at that mark."""

    mark: str | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    made: dict[str, tuple[str, asyncio.Task[bytes]]] = field(default_factory=dict)
    listeners: Counter[str] = field(default_factory=Counter)
    poll: asyncio.Task[None] | None = None

    def tell(self, mark: str) -> None:
        if mark != self.mark:
            self.mark = mark
            changed, self.changed = self.changed, asyncio.Event()
            changed.set()

    async def message(self, key: str, render: Render) -> Message:
        """The page of this kind as of the newest mark, rendered by whoever asks first."""
        mark = self.mark or ""
        made_at, task = self.made.get(key, (None, None))
        if task is None or made_at != mark or (task.done() and (task.cancelled() or task.exception())):
            task = asyncio.ensure_future(_make(mark, render))
            self.made[key] = (mark, task)
        return Message(id=mark, event=await asyncio.shield(task))


async def _make(mark: str, render: Render) -> bytes:
    """An event with its id and its text line by line, made once for all who listen."""
    lines = (line.strip() for line in (await render()).splitlines())
    return "".join((f"id: {mark}\n", *(f"data: {line}\n" for line in lines if line), "\n")).encode()


@dataclass(frozen=True, slots=True)
class Listener:
    """One open page."""

    _channel: _Channel
    _key: str
    _render: Render

    @property
    def is_over(self) -> bool:
        """Whether nobody looks any more, so that nothing new will ever come."""
        return self._channel.poll is None or self._channel.poll.done()

    async def next(self, seen: str | None, *, wait_s: float) -> Message | None:
        """What is newer than the mark `seen`, now or within `wait_s`; None: nothing is."""
        channel = self._channel
        try:
            async with asyncio.timeout(wait_s):
                while channel.mark is None or channel.mark == seen:
                    await channel.changed.wait()
        except TimeoutError:
            return None
        return await channel.message(self._key, self._render)


class UsageFeed:
    """Who listens, by account; the application holds one."""

    def __init__(self, usage: UsageHistoryService) -> None:
        self._usage = usage
        self._channels: dict[AccountId, _Channel] = {}
        self.listener_count = 0

    def check_room(self) -> None:
        """Raises TooManyListeners."""
        if self.listener_count >= LISTENERS_MAX:
            raise TooManyListeners

    @asynccontextmanager
    async def listen(self, account_id: AccountId, key: str, render: Render) -> AsyncIterator[Listener]:
        """Listen for the account; pages of the same `key` are rendered once.

        Raises:
            TooManyListeners
        """
        self.check_room()
        channel = self._channels.get(account_id)
        if channel is None:
            channel = self._channels[account_id] = _Channel()
            channel.poll = asyncio.create_task(self._poll(account_id, channel))
        self.listener_count += 1
        channel.listeners[key] += 1
        try:
            yield Listener(channel, key, render)
        finally:
            self._leave(account_id, channel, key)

    def _leave(self, account_id: AccountId, channel: _Channel, key: str) -> None:
        self.listener_count -= 1
        channel.listeners[key] -= 1
        if not channel.listeners[key]:
            del channel.listeners[key]
            channel.made.pop(key, None)
        if not channel.listeners and channel.poll is not None:
            channel.poll.cancel()
            self._channels.pop(account_id, None)

    async def _poll(self, account_id: AccountId, channel: _Channel) -> None:
        """Look until the last listener has left, which cancels this."""
        while True:
            try:
                channel.tell(await self._usage.mark(account_id))
            except HelvetiaError as error:
                _log.warning("usage_feed.not_read", code=error.code)
            await asyncio.sleep(POLL_S)
