"""Cards and other methods in words. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from helvetia.billing.payments.model import MethodEntry, Methods
from helvetia.web.dashboard.voice import Voice

_WARN_AHEAD = timedelta(days=60)
_STALE_AFTER = timedelta(minutes=1)
_DECEMBER = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodRow:
    label: str
    expires: str
    hint: str | None
    tone: str
    is_default: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodsView:
    """`trouble`: Stripe could not be read; what is shown is then a copy, or nothing."""

    sentence: str
    as_of: str
    trouble: bool
    rows: Sequence[MethodRow]
    may_change: bool


def to_methods_view(methods: Methods | None, voice: Voice, *, may_change: bool) -> MethodsView:
    if methods is None:
        return MethodsView(
            sentence=voice.say("Your cards could not be read."),
            as_of=voice.say("Stripe does not answer right now. Nothing was changed; load the page again in a moment."),
            trouble=True,
            rows=[],
            may_change=may_change,
        )
    is_copy = methods.as_of is not None and voice.now - methods.as_of > _STALE_AFTER
    rows = [_to_row(entry, voice) for entry in methods.entries]
    return MethodsView(
        sentence=_sentence(methods.entries, voice),
        as_of=_as_of(methods, voice, is_copy=is_copy),
        trouble=is_copy,
        rows=rows,
        may_change=may_change,
    )


def _sentence(entries: Sequence[MethodEntry], voice: Voice) -> str:
    if not entries:
        return voice.say("No card is on file.")
    default = next((entry for entry in entries if entry.is_default), None)
    if default is None:
        return voice.say("No card is chosen for invoices.")
    return voice.say("Invoices are charged to {card}.", card=default.label)


def _as_of(methods: Methods, voice: Voice, *, is_copy: bool) -> str:
    if methods.as_of is None:
        return voice.say("You enter a card on Stripe’s page when you buy a plan, or here.")
    instant = voice.instant(methods.as_of)
    if is_copy:
        return voice.say("Stripe could not be read; cards as of {instant}.", instant=instant)
    return voice.say(
        "Read from Stripe at {instant}. Card numbers are entered and kept there, never here.", instant=instant
    )


def _to_row(entry: MethodEntry, voice: Voice) -> MethodRow:
    ends_at = _ends_at(entry)
    hint, tone = None, "good"
    if ends_at is not None and ends_at <= voice.now:
        hint, tone = voice.say("expired"), "bad"
    elif ends_at is not None and ends_at - voice.now <= _WARN_AHEAD:
        hint, tone = voice.say("expires soon"), "warn"
    expires = "—" if ends_at is None else f"{entry.expires_month:02d}/{entry.expires_year}"
    return MethodRow(label=entry.label, expires=expires, hint=hint, tone=tone, is_default=entry.is_default)


def _ends_at(entry: MethodEntry) -> datetime | None:
    """A card is good until the last day of its month."""
    if entry.expires_month is None or entry.expires_year is None:
        return None
    years, month = divmod(entry.expires_month, _DECEMBER)
    return datetime(entry.expires_year + years, month + 1, 1, tzinfo=UTC)
