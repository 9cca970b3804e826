"""The words of every notice, in both languages, as text and as HTML, and as mail."""

from string import Formatter
from uuid import UUID

import pytest

from helvetia.notifications.model import NoticeKind
from helvetia.notifications.render_message import render_message
from helvetia.notifications.send_mail import to_email
from helvetia.notifications.words import LANGUAGES

ID = UUID("01a20490-03bf-7423-ad0a-7625f27fe8d3")
FIGURES = {
    "account": "Ada & <Söhne>",
    "failed_at": "2026-03-10T10:17:23+00:00",
    "held_at": "2026-03-17T10:17:23+00:00",
    "placed_at": "2026-03-17T10:17:30+00:00",
    "resumed_at": "2026-03-17T11:00:00+00:00",
    "reason": "A payment failed.",
    "percent": "80",
    "resource": "bandwidth",
    "plan": "Pro",
    "former": "Starter",
    "used": "400.00",
    "allowed": "500",
    "number": "AB-0001",
    "amount": "USD 29.00",
    "card": "Visa ···· 4242",
    "expires": "04/2026",
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", NoticeKind)
def test_every_notice_has_words_in_both_languages(kind: NoticeKind, language: str) -> None:
    message = render_message(
        kind, FIGURES, language=language, notification_id=ID, recipients=["ada@example.com"], base_url="https://x.ch/"
    )
    assert message.subject
    assert "{" not in message.subject + message.text + message.html.partition("</head>")[2]
    assert "https://x.ch/billing" in message.text
    assert f'lang="{language}"' in message.html
    assert "<Söhne>" not in message.html
    email = to_email(message, "billing@x.ch")
    assert email["Message-ID"] == f"<{ID}@helvetia.billing>"
    assert [part.get_content_type() for part in email.iter_parts()] == ["text/plain", "text/html"]


def test_both_languages_use_the_same_figures() -> None:
    optional = {"reason"}
    for kind in NoticeKind:
        used = []
        for words in (LANGUAGES["en"][kind], LANGUAGES["de"][kind]):
            texts = [words.subject, *words.paragraphs]
            used.append({name for text in texts for _, name, _, _ in Formatter().parse(text) if name} - optional)
        assert used[0] == used[1], kind


def test_instants_are_told_to_the_second_in_the_reader_s_order() -> None:
    german = render_message(
        NoticeKind.PAYMENT_FAILED, FIGURES, language="de", notification_id=ID, recipients=[], base_url="https://x.ch"
    )
    assert "17.03.2026, 10:17:23 UTC" in german.text


def test_line_break_in_a_name_makes_no_header() -> None:
    figures = {**FIGURES, "resource": "x\r\nBcc: eve@example.com"}
    message = render_message(
        NoticeKind.LIMIT_REACHED,
        figures,
        language="en",
        notification_id=ID,
        recipients=["a@b.ch"],
        base_url="https://x",
    )
    assert to_email(message, "billing@x.ch")["Bcc"] is None
