"""Events → signed webhook requests, at least once and in no promised order.

Stripe: ``Stripe-Signature: t=…,v1=HMAC-SHA256(secret, "{t}.{body}")``; any 2xx is success, redirects are failures;
each try has a new signature of the same event. The days of real retries are shortened to minutes here.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from stripe_sandbox import thin
from stripe_sandbox.clock import wall_precise_s, wall_s
from stripe_sandbox.context import Cause, Context
from stripe_sandbox.documents import Doc, Kind
from stripe_sandbox.store import Store

POLL_S = 0.1
BUSY_POLL_S = 0.01
TIMEOUT_S = 10
AT_ONCE = 32
RETRIES_AFTER_S = (1, 5, 30, 120, 600)
_OK = range(200, 300)
_ANSWER_KEPT = 500
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Delivery:
    seq: int
    account: str
    event: str
    endpoint: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What one try came to: the receiver's status, or None with the reason nothing was answered."""

    url: str
    sent_at: float
    took_ms: int
    status: int | None
    answer: str


def signature(secret: str, body: bytes, at_s: int) -> str:
    """Return the value of the Stripe-Signature header."""
    digest = hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={digest}"


class Deliverer:
    """The background sender of webhooks."""

    def __init__(self, store: Store, kinds: Mapping[str, Kind]) -> None:
        """Bind the sender to the store; nothing is sent until ``run``."""
        self._store = store
        self._kinds = kinds
        self._sending: set[int] = set()

    async def run(self) -> None:
        """Send what is due until cancelled; a slow receiver holds up only its own requests."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
            while True:
                due = self._due()
                for delivery in due:
                    self._sending.add(delivery.seq)
                    group.create_task(self._send(session, delivery))
                await asyncio.sleep(BUSY_POLL_S if due else POLL_S)

    async def _send(self, session: aiohttp.ClientSession, delivery: _Delivery) -> None:
        try:
            await self._deliver(session, delivery)
        except Exception:
            LOG.exception("webhook delivery %s failed inside the sandbox", delivery.seq)
            self._put_off(delivery)
        finally:
            self._sending.discard(delivery.seq)

    def _due(self) -> list[_Delivery]:
        rows = self._store.rows(
            "SELECT seq, account, event, endpoint, attempts FROM deliveries"
            " WHERE next_at<=? ORDER BY next_at, seq LIMIT ?",
            *(wall_precise_s(), AT_ONCE),
        )
        waiting = [_Delivery(**dict(row)) for row in rows if row["seq"] not in self._sending]
        return waiting[: AT_ONCE - len(self._sending)]

    async def _deliver(self, session: aiohttp.ClientSession, delivery: _Delivery) -> None:
        event = self._find(delivery.account, ("event", thin.EVENT), delivery.event)
        endpoint = self._find(delivery.account, ("webhook_endpoint", thin.DESTINATION), delivery.endpoint)
        if event is None or endpoint is None or endpoint["status"] != "enabled":
            self._finish(delivery, delivered=False)
            return
        body = json.dumps(thin.notice(event) if event["object"] == thin.EVENT else event, indent=2).encode()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(endpoint["_secret"], body, wall_s()),
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        outcome = await _post(session, endpoint["url"], body, headers)
        self._note(delivery, outcome)
        if outcome.status in _OK:
            self._finish(delivery, delivered=True)
        elif delivery.attempts < len(RETRIES_AFTER_S):
            self._put_off(delivery)
        else:
            self._finish(delivery, delivered=False)

    def _find(self, account: str, kinds: tuple[str, str], object_id: str) -> Doc | None:
        return self._store.get(account, kinds[0], object_id) or self._store.get(account, kinds[1], object_id)

    def _note(self, delivery: _Delivery, outcome: _Outcome) -> None:
        """Keep what the receiver answered, for whoever looks into it."""
        with self._store.transaction():
            self._store.run(
                "INSERT INTO delivery_answers (account, event, endpoint, url, sent_at, took_ms, status, answer)"
                " VALUES (?,?,?,?,?,?,?,?)",
                *(delivery.account, delivery.event, delivery.endpoint, outcome.url, outcome.sent_at),
                *(outcome.took_ms, outcome.status, outcome.answer),
            )

    def _put_off(self, delivery: _Delivery) -> None:
        next_at = wall_s() + RETRIES_AFTER_S[min(delivery.attempts, len(RETRIES_AFTER_S) - 1)]
        with self._store.transaction():
            self._store.run("UPDATE deliveries SET attempts=attempts+1, next_at=? WHERE seq=?", next_at, delivery.seq)

    def _finish(self, delivery: _Delivery, *, delivered: bool) -> None:
        with self._store.transaction():
            self._store.run("DELETE FROM deliveries WHERE seq=?", delivery.seq)
            event = self._store.get(delivery.account, "event", delivery.event)
            again = self._store.row(
                "SELECT 1 FROM deliveries WHERE account=? AND event=? AND endpoint=?",
                *(delivery.account, delivery.event, delivery.endpoint),
            )
            if delivered and event is not None and again is None:
                ctx = Context(self._store, self._kinds, delivery.account, Cause())
                ctx.write(event | {"pending_webhooks": max(event["pending_webhooks"] - 1, 0)})


async def _post(session: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]) -> _Outcome:
    sent_at = wall_precise_s()
    status: int | None = None
    try:
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as received:
            status = received.status
            answer = (await received.content.read(_ANSWER_KEPT)).decode(errors="replace")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        LOG.info("webhook to %s failed: %s", url, error)
        answer = f"{type(error).__name__}: {error}"[:_ANSWER_KEPT]
    took_ms = int((wall_precise_s() - sent_at) * 1000)
    return _Outcome(url=url, sent_at=sent_at, took_ms=took_ms, status=status, answer=answer)
