"""A notice, how it travels, and what became of it. Frozen data only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from helvetia.kernel.identity import AccountId


class NoticeKind(StrEnum):
    PAYMENT_FAILED = "payment_failed"
    PAYMENT_REMINDER = "payment_reminder"
    PAYMENT_LAST_DAY = "payment_last_day"
    SERVICES_HELD = "services_held"
    SERVICES_RESUMED = "services_resumed"
    LIMIT_REACHED = "limit_reached"
    INVOICE_READY = "invoice_ready"
    PLAN_CHANGED = "plan_changed"
    CARD_EXPIRING = "card_expiring"


class NoticeState(StrEnum):
    """superseded: a later notice of its series was due too. cancelled: its reason went before it was due."""

    DUE = "due"
    SENDING = "sending"
    SENT = "sent"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What to tell and when. `key` makes it unique in its account; of a `series` only the newest that is due is sent.

    Figures are text; those whose name ends in `_at` are instants in ISO 8601.
    """

    account_id: AccountId
    key: str
    series: str
    kind: NoticeKind
    due_at: datetime
    figures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A notice in the outbox, and its delivery."""

    account_id: AccountId
    notification_id: UUID
    key: str
    kind: str
    figures: Mapping[str, str]
    due_at: datetime
    state: str
    channel: str | None
    recipients: Sequence[str]
    subject: str | None
    body_text: str | None
    body_html: str | None
    attempt_count: int
    sent_at: datetime | None
    last_error: str | None
    read_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A rendered notice; `message_id` is the same in every attempt, so that mail stores fold a second copy."""

    message_id: str
    recipients: Sequence[str]
    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MailConfig:
    """`smtp_url` None: mail stays in the local mailbox."""

    smtp_url: str | None = None
    sender: str = "Helvetia Billing <billing@localhost>"
    language: str = "en"
    base_url: str = "http://127.0.0.1:8000"


class MailChannel(Protocol):
    """A way for mail to leave the house."""

    async def send(self, message: Message) -> Sequence[str]:
        """Says which addresses were refused while others were served. Raises MailNotAccepted."""
        ...
