"""Where an account stands with its payments, in one line for every page. Pure.

The countdown is a length of time that the server sends, never a comparison with the reader's clock.
"""

import json
from dataclasses import dataclass
from datetime import datetime

from helvetia.enforcement.model import EnforcementMode, PaymentState, Standing, Verdict
from helvetia.web.dashboard.voice import Voice

_FAILED = frozenset({PaymentState.GRACE, PaymentState.LOCKED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Countdown:
    """What is left, in words and in seconds; `forms` are the words that a script goes on counting with."""

    words: str
    remaining_s: int
    at: str
    iso: str
    forms: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    """A sentence and the way to the page that explains it; `needs` marks what waits for the reader in red."""

    text: str
    link: str
    needs: bool


def stops_at(verdict: Verdict, mode: EnforcementMode, now: datetime) -> datetime | None:
    """When services will stop for a failed payment; None when nothing is going to."""
    if verdict.state not in _FAILED or mode is not EnforcementMode.ENFORCE:
        return None
    due_at = verdict.hold_due_at
    return due_at if due_at is not None and due_at > now else None


def countdown(until: datetime, now: datetime, voice: Voice) -> Countdown:
    forms = {
        "day": [voice.many("{count} day", "{count} days", count) for count in (1, 2)],
        "hour": [voice.many("{count} hour", "{count} hours", count) for count in (1, 2)],
        "minute": [voice.many("{count} minute", "{count} minutes", count) for count in (1, 2)],
    }
    return Countdown(
        words=voice.duration(until - now),
        remaining_s=max(0, int((until - now).total_seconds())),
        at=voice.full_instant(until),
        iso=until.isoformat(),
        forms=json.dumps(forms, ensure_ascii=False),
    )


def to_banner(standing: Standing, voice: Voice) -> Banner | None:
    """None where everything is paid."""
    verdict, stopping_at = standing.verdict, stops_at(standing.verdict, standing.mode, standing.at)
    link = voice.say("What happens next")
    if verdict.state is PaymentState.EXEMPT:
        return Banner(text=voice.say("A payment is open; you have been given more time."), link=link, needs=False)
    if stopping_at is not None:
        words = {"duration": voice.duration(stopping_at - standing.at), "instant": voice.full_instant(stopping_at)}
        text = voice.say("Payment failed. Services stop in {duration}: {instant}.", **words)
        return Banner(text=text, link=link, needs=True)
    failed = {
        PaymentState.GRACE: voice.say("Payment failed."),
        PaymentState.LOCKED: voice.say("Payment failed. Nothing new can be started."),
        PaymentState.OVERDUE: voice.say("Payment failed. Services are stopped; your data is kept."),
        PaymentState.ENDED: voice.say("The subscription has ended. Services are stopped; your data is kept."),
    }
    return Banner(text=failed[verdict.state], link=link, needs=True) if verdict.state in failed else None
