"""An error as a reader needs it: what happened, what it means for their money, what to do next. Pure.

The code and the request id stand below, for whoever is asked for help.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from helvetia.accounts.model import Role
from helvetia.kernel.errors import (
    Conflict,
    Forbidden,
    HelvetiaError,
    LimitReached,
    NotSignedIn,
    PaymentRequired,
    Unavailable,
)
from helvetia.web.dashboard.frame import role_words
from helvetia.web.dashboard.voice import Voice

_TOO_MANY, _BROKEN = 429, 500
_FOR_PLANS = frozenset({"subscription_ended", "not_subscribed", "preview_outdated"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorView:
    """`notes`: figures and advice in sentences; `link`: the one way onwards; `is_retry`: it leads to this same page."""

    happened: str
    notes: Sequence[str]
    link: str
    link_words: str
    is_retry: bool
    reference: str


def to_error_view(error: HelvetiaError, *, path: str, query: str, request_id: str, voice: Voice) -> ErrorView:
    """`path`: a page that can be loaded again, empty where the request did something; `query` names the account."""
    link, words = _onwards(error, path, query, voice)
    return ErrorView(
        happened=voice.say_plainly(error.detail),
        notes=_notes(error, voice),
        link=link,
        link_words=words,
        is_retry=link == path,
        reference=voice.say("{code}, request {id}", code=f"{error.status} {error.code}", id=request_id),
    )


def _onwards(error: HelvetiaError, path: str, query: str, voice: Voice) -> tuple[str, str]:
    confirm_at = error.figures.get("confirm_url")
    if isinstance(confirm_at, str):
        return confirm_at, voice.say("Confirm at your bank")
    if error.code == "operator_signed_out" or isinstance(error, NotSignedIn):
        return "/admin/sign-in" if error.code == "operator_signed_out" else "/sign-in", voice.say("Sign in")
    if path and (isinstance(error, Unavailable) or error.status in {_TOO_MANY, _BROKEN}):
        return path, voice.say("Try again")
    page, words = _page_of(error, voice)
    return f"{page}{query}", words


def _page_of(error: HelvetiaError, voice: Voice) -> tuple[str, str]:
    if isinstance(error, LimitReached) or error.code in _FOR_PLANS:
        return "/billing/plans", voice.say("Compare the plans")
    if isinstance(error, PaymentRequired) or error.code == "open_invoices_changed":
        return "/billing/pay", voice.say("See what is open")
    if error.code.startswith("range_") or error.code == "too_many_rows":
        return "/billing/usage", voice.say("See what is used")
    if isinstance(error, Conflict):
        return "/billing", voice.say("Look at it again")
    return "/billing", voice.say("Go to the overview")


def _notes(error: HelvetiaError, voice: Voice) -> list[str]:
    figures, notes = error.figures, list[str]()
    if figures.get("charged") == "no" and "charged" not in error.detail:
        notes.append(voice.say("Nothing was charged."))
    if isinstance(error, LimitReached):
        notes += _limit_notes(figures, voice)
    elif isinstance(error, Forbidden) and isinstance(role := figures.get("role"), Role):
        words = role_words(role, voice)
        notes.append(voice.say("Your role in this account is {role}; an owner of it can change that.", role=words))
    if isinstance(seconds := figures.get("retry_after_s"), int):
        notes.append(voice.say("Wait {seconds} seconds, then try again.", seconds=seconds))
    if error.status >= _BROKEN and not isinstance(error, Unavailable):
        notes.append(voice.say("If it stays like this, tell support the request id below."))
    return notes


def _limit_notes(figures: Mapping[str, object], voice: Voice) -> list[str]:
    notes = []
    if None not in (figures.get("used"), figures.get("requested"), figures.get("allowed")):
        named = {name: figures[name] for name in ("used", "requested", "allowed")}
        notes.append(voice.say("Used {used}, asked for {requested}, allowed {allowed}.", **named))
    if figures.get("plan") is not None:
        notes.append(voice.say("The smallest plan that fits is {plan}.", plan=figures["plan"]))
    return notes
