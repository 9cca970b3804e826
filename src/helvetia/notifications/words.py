"""The words of every notice, in English and German: a subject, paragraphs, and what to do. Pure data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from helvetia.notifications.model import NoticeKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Names in braces are figures of the notice."""

    subject: str
    paragraphs: Sequence[str]
    action: str
    path: str = "/billing"


_PAY_EN, _PAY_DE = "Pay the invoice", "Rechnung bezahlen"
_LOOK_EN, _LOOK_DE = "See your billing page", "Zur Abrechnung"

ENGLISH: Mapping[NoticeKind, Words] = {
    NoticeKind.PAYMENT_FAILED: Words(
        subject="Your payment failed",
        paragraphs=(
            "A payment for {account} failed on {failed_at}.",
            "Your services go on running. If nothing is paid, they are stopped on {held_at}; your data stays.",
        ),
        action=_PAY_EN,
    ),
    NoticeKind.PAYMENT_REMINDER: Words(
        subject="Your payment is still open",
        paragraphs=(
            "The payment for {account} that failed on {failed_at} is still open.",
            "If nothing is paid, your services are stopped on {held_at}; your data stays.",
        ),
        action=_PAY_EN,
    ),
    NoticeKind.PAYMENT_LAST_DAY: Words(
        subject="Last day: your services will be stopped",
        paragraphs=(
            "The payment for {account} that failed on {failed_at} is still open.",
            "Your services are stopped on {held_at}, within 24 hours, unless it is paid. Your data stays.",
        ),
        action=_PAY_EN,
    ),
    NoticeKind.SERVICES_HELD: Words(
        subject="Your services are stopped",
        paragraphs=(
            "The services of {account} were stopped on {placed_at}: {reason}",
            "Data and definitions stay. Once this is settled, what you want to run comes back within a minute.",
        ),
        action=_LOOK_EN,
    ),
    NoticeKind.SERVICES_RESUMED: Words(
        subject="Your services are back",
        paragraphs=("The services of {account} run again since {resumed_at}, as you had left them.",),
        action=_LOOK_EN,
    ),
    NoticeKind.LIMIT_REACHED: Words(
        subject="{percent} % of your {resource} is used",
        paragraphs=(
            "{account} has used {percent} % of the {resource} of the {plan} plan ({used} of {allowed} GB).",
            "A larger plan has more room.",
        ),
        action=_LOOK_EN,
    ),
    NoticeKind.INVOICE_READY: Words(
        subject="Invoice {number} over {amount}",
        paragraphs=("Invoice {number} for {account} over {amount} is ready.",),
        action=_LOOK_EN,
    ),
    NoticeKind.PLAN_CHANGED: Words(
        subject="Your plan is now {plan}",
        paragraphs=("The plan of {account} changed from {former} to {plan}.",),
        action=_LOOK_EN,
    ),
    NoticeKind.CARD_EXPIRING: Words(
        subject="Your card expires soon",
        paragraphs=("The card {card} that pays for {account} expires at the end of {expires}.",),
        action="Change the card",
    ),
}

GERMAN: Mapping[NoticeKind, Words] = {
    NoticeKind.PAYMENT_FAILED: Words(
        subject="Ihre Zahlung ist fehlgeschlagen",
        paragraphs=(
            "Eine Zahlung für {account} ist am {failed_at} fehlgeschlagen.",
            "Ihre Dienste laufen weiter. Ohne Zahlung werden sie am {held_at} angehalten; Ihre Daten bleiben.",
        ),
        action=_PAY_DE,
    ),
    NoticeKind.PAYMENT_REMINDER: Words(
        subject="Ihre Zahlung ist noch offen",
        paragraphs=(
            "Die am {failed_at} fehlgeschlagene Zahlung für {account} ist noch offen.",
            "Ohne Zahlung werden Ihre Dienste am {held_at} angehalten; Ihre Daten bleiben.",
        ),
        action=_PAY_DE,
    ),
    NoticeKind.PAYMENT_LAST_DAY: Words(
        subject="Letzter Tag: Ihre Dienste werden angehalten",
        paragraphs=(
            "Die am {failed_at} fehlgeschlagene Zahlung für {account} ist noch offen.",
            "Ohne Zahlung werden Ihre Dienste in weniger als 24 Stunden, am {held_at}, angehalten. Ihre Daten bleiben.",
        ),
        action=_PAY_DE,
    ),
    NoticeKind.SERVICES_HELD: Words(
        subject="Ihre Dienste sind angehalten",
        paragraphs=(
            "Die Dienste von {account} wurden am {placed_at} angehalten.",
            "Daten und Einstellungen bleiben. Ist das geklärt, läuft nach einer Minute wieder, was laufen soll.",
        ),
        action=_LOOK_DE,
    ),
    NoticeKind.SERVICES_RESUMED: Words(
        subject="Ihre Dienste laufen wieder",
        paragraphs=("Die Dienste von {account} laufen seit {resumed_at} wieder, so wie Sie sie verlassen haben.",),
        action=_LOOK_DE,
    ),
    NoticeKind.LIMIT_REACHED: Words(
        subject="{percent} % Ihres Kontingents ({resource}) sind verbraucht",
        paragraphs=(
            "{account} hat {percent} % von {resource} im Tarif {plan} verbraucht: {used} von {allowed} GB.",
            "Ein grösserer Tarif bietet mehr Platz.",
        ),
        action=_LOOK_DE,
    ),
    NoticeKind.INVOICE_READY: Words(
        subject="Rechnung {number} über {amount}",
        paragraphs=("Die Rechnung {number} für {account} über {amount} liegt bereit.",),
        action=_LOOK_DE,
    ),
    NoticeKind.PLAN_CHANGED: Words(
        subject="Ihr Tarif ist jetzt {plan}",
        paragraphs=("Der Tarif von {account} hat von {former} auf {plan} gewechselt.",),
        action=_LOOK_DE,
    ),
    NoticeKind.CARD_EXPIRING: Words(
        subject="Ihre Karte läuft bald ab",
        paragraphs=("Die Karte {card}, mit der {account} bezahlt, läuft Ende {expires} ab.",),
        action="Karte wechseln",
    ),
}

LANGUAGES: Mapping[str, Mapping[NoticeKind, Words]] = {"en": ENGLISH, "de": GERMAN}
GREETINGS: Mapping[str, tuple[str, str]] = {"en": ("Hello,", "Helvetia Cloud"), "de": ("Guten Tag", "Helvetia Cloud")}
INSTANTS: Mapping[str, str] = {"en": "%d %B %Y, %H:%M:%S UTC", "de": "%d.%m.%Y, %H:%M:%S UTC"}
