"""The arrow Stripe's request → stored event: verified, then kept under its id in one statement, then answered.

Nothing else happens here: what the event leads to is found in the table of events, so that an answer means exactly
that the event is on disk. The same event twice is stored once. Fails with a refusal before anything is stored, or with
DatabaseUnavailable, upon which Stripe sends it again.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.observability.metrics import WEBHOOK_ALARMS
from helvetia.stripe_gateway.convert_event import from_stripe_event
from helvetia.stripe_gateway.events import StripeEvent
from helvetia.webhooks import store
from helvetia.webhooks.errors import EventMalformed, WrongMode
from helvetia.webhooks.model import (
    OF_CONNECTED_ACCOUNT,
    Effect,
    Handling,
    Receipt,
    WebhookConfig,
    handling_of,
)
from helvetia.webhooks.verify_signature import verify_signature

BAD_SIGNATURES_MAX = 10
WINDOW = timedelta(minutes=5)
ALARM_AGAIN_AFTER = timedelta(hours=1)

_log = structlog.get_logger()


class SignatureWatch:
    """Raises one alarm when many bad signatures come within minutes, and is then silent for an hour."""

    def __init__(self) -> None:
        self._recent: list[datetime] = []
        self._alarmed_at: datetime | None = None

    def note_refusal(self, wall: datetime) -> None:
        recent = [at for at in self._recent if wall - at <= WINDOW]
        self._recent = [*recent[-BAD_SIGNATURES_MAX:], wall]
        is_silent = self._alarmed_at is not None and wall - self._alarmed_at < ALARM_AGAIN_AFTER
        if len(self._recent) < BAD_SIGNATURES_MAX or is_silent:
            return
        self._alarmed_at = wall
        WEBHOOK_ALARMS.labels("bad_signatures").inc()
        _log.error("webhooks.bad_signatures_repeated", count=len(self._recent), within_s=WINDOW.total_seconds())


def read_event(body: bytes, headers: Sequence[str], config: WebhookConfig, wall: datetime) -> StripeEvent:
    """The event of a request that Stripe signed.

    Raises:
        SignatureMalformed, SignatureRefused, SignatureOutOfTime, EventMalformed, WrongMode
    """
    verify_signature(body, headers, config.secrets, wall=wall, tolerance_s=config.tolerance_s)
    try:
        event = from_stripe_event(json.loads(body), body)
    except (ValueError, RecursionError) as error:
        raise EventMalformed from error
    if event.is_live != config.is_live:
        raise WrongMode
    if event.api_version is not None and event.api_version != config.api_version:
        _log.warning(
            "webhooks.other_api_version",
            event_id=event.event_id,
            api_version=event.api_version,
            ours=config.api_version,
        )
    return event


def handling_of_event(event: StripeEvent) -> Handling:
    return OF_CONNECTED_ACCOUNT if event.connected_account_id is not None else handling_of(event.event_type)


def ignored_because(event: StripeEvent) -> str | None:
    handling = handling_of_event(event)
    return handling.why if handling.effect is Effect.IGNORE else None


async def receive_event(database: Database, clock: Clock, event: StripeEvent) -> Receipt:
    """Keep a verified event."""
    because = ignored_because(event)
    async with database.single_statement() as tx:
        is_new = await store.insert_event(tx, event, source="webhook", wall=clock.wall(), ignored_because=because)
    if not is_new:
        return Receipt.DUPLICATE
    return Receipt.STORED if because is None else Receipt.IGNORED
