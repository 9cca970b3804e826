"""Every error has a page: what happened, what to do next, and what to tell whoever helps."""

from datetime import UTC, datetime

import pytest

from helvetia.accounts.model import Permission, Role
from helvetia.billing.errors import ConfirmationNeeded, NothingCharged, OpenInvoicesChanged
from helvetia.costs.errors import RangeTooLong
from helvetia.enforcement.errors import MemoryLimitReached, PaymentOverdue, SubscriptionEnded
from helvetia.kernel.errors import Conflict, Forbidden, HelvetiaError, NotFound, NotSignedIn
from helvetia.stripe_gateway.errors import CardDeclined
from helvetia.web.dashboard.admin.session import OperatorSignedOut
from helvetia.web.dashboard.error_view import ErrorView, to_error_view
from helvetia.web.dashboard.voice import Voice
from helvetia.web.problems import Unexpected

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
QUERY = "?organizationId=7"


def shown(error: HelvetiaError, language: str = "en", path: str = "/billing/invoices") -> ErrorView:
    voice = Voice(now=NOW, language=language)
    return to_error_view(error, path=path, query=QUERY, request_id="r-1", voice=voice)


@pytest.mark.parametrize(
    ("error", "link", "words"),
    [
        (MemoryLimitReached(), "/billing/plans?organizationId=7", "Compare the plans"),
        (SubscriptionEnded(), "/billing/plans?organizationId=7", "Compare the plans"),
        (PaymentOverdue(), "/billing/pay?organizationId=7", "See what is open"),
        (CardDeclined(charged="no"), "/billing/pay?organizationId=7", "See what is open"),
        (OpenInvoicesChanged(), "/billing/pay?organizationId=7", "See what is open"),
        (
            ConfirmationNeeded(confirm_url="https://stripe.example/i"),
            "https://stripe.example/i",
            "Confirm at your bank",
        ),
        (RangeTooLong(), "/billing/usage?organizationId=7", "See what is used"),
        (NothingCharged(), "/billing/invoices", "Try again"),
        (Unexpected(), "/billing/invoices", "Try again"),
        (Conflict(), "/billing?organizationId=7", "Look at it again"),
        (NotFound(), "/billing?organizationId=7", "Go to the overview"),
        (NotSignedIn(), "/sign-in", "Sign in"),
        (OperatorSignedOut(), "/admin/sign-in", "Sign in"),
    ],
    ids=lambda value: getattr(value, "code", None),
)
def test_error_leads_to_where_it_can_be_mended(error: HelvetiaError, link: str, words: str) -> None:
    view = shown(error)
    assert (view.happened, view.link, view.link_words) == (error.detail, link, words)
    assert view.reference == f"{error.status} {error.code}, request r-1"


def test_failed_post_is_never_offered_as_a_link_to_repeat() -> None:
    assert shown(Unexpected(), path="").link == f"/billing{QUERY}"


def test_declined_card_says_once_that_nothing_was_charged() -> None:
    assert shown(CardDeclined(charged="no")).notes == ["Nothing was charged."]
    assert "Nothing was charged" in shown(NothingCharged()).happened
    assert "Nothing was charged." not in shown(NothingCharged()).notes


def test_limit_names_its_figures_and_the_plan_that_fits() -> None:
    error = MemoryLimitReached(limit="memory", allowed=2048, used=1024, requested=2048, plan="PRO")
    assert shown(error).notes == [
        "Used 1024, asked for 2048, allowed 2048.",
        "The smallest plan that fits is PRO.",
    ]


def test_missing_role_says_who_can_change_it() -> None:
    error = Forbidden(needs=Permission.MOVE_MONEY, role=Role.MEMBER)
    assert shown(error).notes == ["Your role in this account is Member; an owner of it can change that."]


def test_error_speaks_german() -> None:
    view = shown(PaymentOverdue(), "de")
    assert view.happened.startswith("Die Schonfrist nach der fehlgeschlagenen Zahlung ist vorbei.")
    assert view.link_words == "Zeigen, was offen ist"
