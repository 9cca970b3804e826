"""A notice and its language → a message as text and as HTML; every figure is escaped in HTML. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from uuid import UUID

from helvetia.notifications.model import Message, NoticeKind
from helvetia.notifications.words import GREETINGS, INSTANTS, LANGUAGES

_HTML = """<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{subject}</title></head>
<body style="font-family:sans-serif;line-height:1.5;max-width:36rem;margin:2rem auto">
<p>{greeting}</p>
{paragraphs}
<p><a href="{url}">{action}</a></p>
<p>{signature}</p>
</body></html>
"""


def render_message(
    kind: NoticeKind,
    figures: Mapping[str, str],
    *,
    language: str,
    notification_id: UUID,
    recipients: Sequence[str],
    base_url: str,
) -> Message:
    """The message as it is sent."""
    words = LANGUAGES[language][kind]
    values = {name: _in_words(name, value, language) for name, value in figures.items()}
    subject = " ".join(words.subject.format_map(values).split())
    paragraphs = [paragraph.format_map(values) for paragraph in words.paragraphs]
    greeting, signature = GREETINGS[language]
    url = base_url.rstrip("/") + words.path
    text = "\n\n".join([greeting, *paragraphs, f"{words.action}: {url}", signature]) + "\n"
    html = _HTML.format(
        language=language,
        subject=escape(subject),
        greeting=escape(greeting),
        paragraphs="\n".join(f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs),
        url=escape(url),
        action=escape(words.action),
        signature=escape(signature),
    )
    message_id = f"<{notification_id}@helvetia.billing>"
    return Message(message_id=message_id, recipients=tuple(recipients), subject=subject, text=text, html=html)


def _in_words(name: str, value: str, language: str) -> str:
    if not name.endswith("_at"):
        return value
    return datetime.fromisoformat(value).astimezone(UTC).strftime(INSTANTS[language])
