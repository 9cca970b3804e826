"""Enforcement and notices on the wire."""

from uuid import UUID

from pydantic import Field

from helvetia.enforcement.model import Explanation
from helvetia.enforcement.policy import POLICY
from helvetia.notifications.model import Notification
from helvetia.web.api.schemas.wire import WireAnswer, WireInstant, WireRequest


class StepAnswer(WireAnswer):
    at: WireInstant
    what: str


class OverrideAnswer(WireAnswer):
    kind: str
    until: WireInstant
    reason: str


class StoppingAnswer(WireAnswer):
    service_id: str
    name: str
    is_wished: bool
    held_for: list[str]


class EnforcementAnswer(WireAnswer):
    """What is in force, why, until when, and what happens next.

    `services` stand in the order in which they would be stopped.
    """

    at: WireInstant
    mode: str
    state: str
    code: str | None
    reason: str
    new_work: str
    services_run: bool
    first_failed_at: WireInstant | None
    hold_at: WireInstant | None
    over_quota: list[str]
    on_bandwidth_used_up: str
    on_storage_used_up: str
    overrides: list[OverrideAnswer]
    next: list[StepAnswer]
    services: list[StoppingAnswer]


class StopOrderRequest(WireRequest):
    """The services to stop first, in this order; all others are stopped after them, newest first."""

    services: list[str] = Field(max_length=1000)


class StopOrderAnswer(WireAnswer):
    services: list[StoppingAnswer]


class NotificationAnswer(WireAnswer):
    id: UUID
    kind: str
    state: str
    due_at: WireInstant
    sent_at: WireInstant | None
    channel: str | None
    recipients: list[str]
    subject: str | None
    text: str | None
    attempts: int
    error: str | None


class NotificationListAnswer(WireAnswer):
    notifications: list[NotificationAnswer]
    language: str


class LanguageRequest(WireRequest):
    language: str = Field(min_length=2, max_length=2)


class LanguageAnswer(WireAnswer):
    language: str


def to_wire_enforcement(found: Explanation) -> EnforcementAnswer:
    facts, verdict = found.facts, found.verdict
    return EnforcementAnswer(
        at=found.at,
        mode=found.mode.value,
        state=verdict.state.value,
        code=POLICY[verdict.state].code,
        reason=verdict.reason,
        new_work=verdict.new_work.value,
        services_run=verdict.services_run,
        first_failed_at=facts.first_failed_at,
        hold_at=verdict.hold_due_at,
        over_quota=list(found.over_quota),
        on_bandwidth_used_up=found.bandwidth_action.value,
        on_storage_used_up=found.storage_action.value,
        overrides=[
            OverrideAnswer(kind=one.kind.value, until=one.until_at, reason=one.reason)
            for one in facts.overrides
            if one.until_at > found.at
        ],
        next=[StepAnswer(at=step.at, what=step.what) for step in found.steps],
        services=to_wire_order(found),
    )


def to_wire_order(found: Explanation) -> list[StoppingAnswer]:
    return [
        StoppingAnswer(
            service_id=str(one.service_id), name=one.name, is_wished=one.is_wished, held_for=sorted(one.causes)
        )
        for one in found.services
    ]


def to_wire_notification(one: Notification) -> NotificationAnswer:
    return NotificationAnswer(
        id=one.notification_id,
        kind=one.kind,
        state=one.state,
        due_at=one.due_at,
        sent_at=one.sent_at,
        channel=one.channel,
        recipients=list(one.recipients),
        subject=one.subject,
        text=one.body_text,
        attempts=one.attempt_count,
        error=one.last_error,
    )
