"""The use cases of notices: send what is due, each once, and show what was sent.

Without a mail server a notice and its delivery are one transaction. With one, a row is claimed first; a worker that
dies while sending leaves a claim that runs out, and the second attempt carries the same message id.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from helvetia.audit.store import record
from helvetia.database.pool import Database, Transaction
from helvetia.kernel.clock import Clock
from helvetia.kernel.identity import AccountId
from helvetia.notifications import store
from helvetia.notifications.errors import MailNotAccepted, UnknownLanguage
from helvetia.notifications.model import (
    MailChannel,
    MailConfig,
    Message,
    NoticeKind,
    NoticeState,
    Notification,
)
from helvetia.notifications.render_message import render_message
from helvetia.notifications.words import LANGUAGES

BATCH_MAX = 50
MAILBOX_MAX = 100
DELIVERIES_MAX = 1_000
ATTEMPTS_MAX = 8
CLAIM_LASTS = timedelta(minutes=5)
RETRY_FIRST = timedelta(minutes=1)

_log = structlog.get_logger()


class NotificationService:
    """The outbox of notices."""

    def __init__(self, database: Database, clock: Clock, config: MailConfig, channel: MailChannel) -> None:
        self._database = database
        self._clock = clock
        self._config = config
        self._channel = channel

    @property
    def sends_mail(self) -> bool:
        """Whether mail leaves the house; else it stays in the local mailbox."""
        return self._config.smtp_url is not None

    async def send_due(self) -> int:
        """One batch of what is due; says how many were sent."""
        async with self._database.transaction() as tx:
            await store.supersede(tx, self._clock.now())
            claimed = await self._claim(tx)
            if self._config.smtp_url is None:
                for one in claimed:
                    message = await self._render(tx, one)
                    await store.mark_sent(tx, one, message, channel="mailbox", at=self._clock.now())
                return len(claimed)
        return sum([await self._send(one) for one in claimed])

    async def list_notifications(
        self, account_id: AccountId, *, before: tuple[datetime, UUID] | None = None, limit: int = 50
    ) -> Sequence[Notification]:
        """Notices of one account, newest first."""
        async with self._database.transaction() as tx:
            return await store.newest(tx, account_id, before=before, now=self._clock.now(), limit=limit)

    async def list_deliveries(
        self, account_id: AccountId | None, *, failed_only: bool, limit: int
    ) -> Sequence[Notification]:
        """Notices of one account or of all, with those that are still to come, the latest due first."""
        async with self._database.transaction() as tx:
            bound = max(1, min(limit, DELIVERIES_MAX))
            return await store.deliveries(tx, account_id, failed_only=failed_only, limit=bound)

    async def language(self, account_id: AccountId) -> str:
        """The language of the account's notices: its own choice, else this installation's."""
        async with self._database.transaction() as tx:
            chosen, _, _ = await store.recipients_of(tx, account_id)
        return chosen or self._config.language

    async def set_language(self, account_id: AccountId, language: str, *, actor: str) -> None:
        """Notices rendered from now on are in that language. Raises UnknownLanguage."""
        if language not in LANGUAGES:
            raise UnknownLanguage(languages=sorted(LANGUAGES))
        async with self._database.transaction() as tx:
            await store.set_language(tx, account_id, language)
            detail = {"language": language}
            await record(
                tx, account_id=account_id, actor=actor, action="language_set", detail=detail, at=self._clock.now()
            )

    async def read_mailbox(self) -> Sequence[Notification]:
        """The local mailbox; empty where mail leaves the house."""
        async with self._database.transaction() as tx:
            return await store.mailbox(tx, MAILBOX_MAX)

    async def _claim(self, tx: Transaction) -> Sequence[Notification]:
        wall = self._clock.wall()
        return await store.claim_due(tx, now=self._clock.now(), wall=wall, retry_at=wall + CLAIM_LASTS, limit=BATCH_MAX)

    async def _render(self, tx: Transaction, one: Notification) -> Message:
        language, name, recipients = await store.recipients_of(tx, one.account_id)
        return render_message(
            NoticeKind(one.kind),
            {**one.figures, "account": name},
            language=language or self._config.language,
            notification_id=one.notification_id,
            recipients=recipients,
            base_url=self._config.base_url,
        )

    async def _send(self, one: Notification) -> int:
        async with self._database.transaction() as tx:
            message = await self._render(tx, one)
        try:
            refused = await self._channel.send(message)
        except MailNotAccepted as error:
            await self._note_failure(one, error)
            return 0
        async with self._database.transaction() as tx:
            await store.mark_sent(tx, one, message, channel="smtp", at=self._clock.now(), refused=refused)
        return 1

    async def _note_failure(self, one: Notification, error: MailNotAccepted) -> None:
        is_last = one.attempt_count >= ATTEMPTS_MAX
        retry_at = self._clock.wall() + RETRY_FIRST * 2 ** (one.attempt_count - 1)
        state = NoticeState.FAILED if is_last else NoticeState.DUE
        _log.warning("notifications.not_sent", key=one.key, attempt=one.attempt_count, detail=error.detail)
        async with self._database.transaction() as tx:
            await store.mark_not_sent(tx, one, state=state, error=error.detail, retry_at=retry_at)
