"""Notices with their delivery, ready for the template. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from helvetia.notifications.model import NoticeKind, NoticeState, Notification
from helvetia.web.dashboard.overview.timeline import notice_words
from helvetia.web.dashboard.voice import Voice
from helvetia.web.dashboard.words import list_words


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeRow:
    at: str
    text: str
    status: str
    tone: str
    delivery: str
    body: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticesView:
    sentence: str
    rows: Sequence[NoticeRow]
    next_link: str | None


def to_view(found: Sequence[Notification], next_link: str | None, voice: Voice) -> NoticesView:
    """Everything that the page says."""
    failed = sum(one.state == NoticeState.FAILED for one in found)
    sentence = voice.say("What we told you, and when.")
    if failed:
        sentence = voice.many("One notice did not reach you.", "{count} notices did not reach you.", failed)
    return NoticesView(sentence=sentence, rows=[_row(one, voice) for one in found], next_link=next_link)


def _row(one: Notification, voice: Voice) -> NoticeRow:
    status, tone = _states(voice)[NoticeState(one.state)]
    return NoticeRow(
        at=voice.full_instant(one.sent_at or one.due_at),
        text=notice_words(NoticeKind(one.kind), one.figures, voice),
        status=status,
        tone=tone,
        delivery=_delivery(one, voice),
        body=one.body_text,
    )


def _states(voice: Voice) -> Mapping[NoticeState, tuple[str, str]]:
    return {
        NoticeState.DUE: (voice.say("Waiting to be sent"), ""),
        NoticeState.SENDING: (voice.say("Being sent"), ""),
        NoticeState.SENT: (voice.say("Sent"), "good"),
        NoticeState.SUPERSEDED: (voice.say("Replaced by a later one"), ""),
        NoticeState.CANCELLED: (voice.say("Not needed any more"), ""),
        NoticeState.FAILED: (voice.say("Not delivered"), "bad"),
    }


def _delivery(one: Notification, voice: Voice) -> str:
    if one.state == NoticeState.SENT:
        if one.channel == "mailbox":
            return voice.say("in the local mailbox of this installation")
        return voice.say("by mail to {names}", names=list_words(list(one.recipients), voice))
    if one.state == NoticeState.FAILED:
        return voice.many(
            "The mail server refused it once.", "The mail server refused it {count} times.", one.attempt_count
        )
    return ""
