"""What an account is told besides failures: a card that expires, an invoice that is ready, a plan that changed.

given a paying account with a card at the sandbox
when  months go by
then  each thing is told once, in the account's own language
"""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from helvetia.accounts.service import AccountService
from helvetia.billing.service import BillingService
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.enforcement.news.tell_cards import card_notice, month_end
from helvetia.enforcement.service import EnforcementService
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import AccountId, new_account_id
from helvetia.notifications.model import NoticeKind
from helvetia.notifications.service import NotificationService
from helvetia.stripe_gateway.actions import PaymentMethod, StripeActions
from helvetia.subscriptions.service import SubscriptionService
from support.whole_house import WholeHouse, whole_house

START = datetime(2026, 3, 10, 9, tzinfo=UTC)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


@pytest.fixture
async def house(sandbox_url: str, database_url: str, tmp_path: Path) -> AsyncIterator[WholeHouse]:
    options = {"container_host": "process"}
    async with whole_house(sandbox_url, database_url, ManualClock(START), tmp_path, options) as house:
        yield house


@pytest.fixture
async def account_id(house: WholeHouse) -> AccountId:
    user = await (await house.get(AccountService)).create_user("ada@example.com")
    await turn(house, user.account_id)
    await (await house.get(BillingService)).create_subscription(user.account_id, SubscriptionPlan.PRO, "pm_card_visa")
    await turn(house, user.account_id)
    return user.account_id


async def turn(house: WholeHouse, account_id: AccountId) -> None:
    """What the worker does in a minute, as far as news go."""
    await (await house.get(SubscriptionService)).sync_subscription(account_id)
    await (await house.get(BillingService)).mirror_all()
    enforcement = await house.get(EnforcementService)
    await enforcement.tell_news()
    await enforcement.tell_cards()
    await (await house.get(NotificationService)).send_due()


async def told(house: WholeHouse, account_id: AccountId) -> Counter[str]:
    found = await (await house.get(NotificationService)).list_notifications(account_id)
    assert {one.state for one in found} <= {"sent"}
    return Counter(one.kind for one in found)


async def test_invoice_and_new_plan_are_told_once(house: WholeHouse, account_id: AccountId) -> None:
    for _ in range(3):
        await turn(house, account_id)
    counted = await told(house, account_id)
    assert counted[NoticeKind.PLAN_CHANGED] == 1
    assert counted[NoticeKind.INVOICE_READY] == 1


async def test_card_that_expires_soon_is_told_once_in_the_account_s_language(
    house: WholeHouse, account_id: AccountId
) -> None:
    gateway, notifications = await house.get(StripeActions), await house.get(NotificationService)
    await notifications.set_language(account_id, "de", actor="user:ada")
    record = await (await house.get(SubscriptionService)).get_subscription(account_id)
    assert record.stripe_customer_id is not None
    (card,) = await gateway.list_payment_methods(record.stripe_customer_id)
    assert card.expires_year is not None
    assert card.expires_month is not None
    ends_at = month_end(card.expires_year, card.expires_month)
    house.clock.advance_to(ends_at - 30 * DAY - SECOND)
    await turn(house, account_id)
    assert (await told(house, account_id))[NoticeKind.CARD_EXPIRING] == 0
    for _ in range(3):
        house.clock.advance(DAY + SECOND)
        await turn(house, account_id)
    assert (await told(house, account_id))[NoticeKind.CARD_EXPIRING] == 1
    found = await notifications.list_notifications(account_id)
    (shown,) = [one for one in found if one.kind == NoticeKind.CARD_EXPIRING]
    assert shown.subject == "Ihre Karte läuft bald ab"
    assert "Visa ···· 4242" in (shown.body_text or "")


@pytest.mark.parametrize(("year", "month", "ends_at"), [(2026, 12, "2027-01-01"), (2028, 2, "2028-03-01")])
def test_card_is_good_to_the_end_of_its_month(year: int, month: int, ends_at: str) -> None:
    assert month_end(year, month) == datetime.fromisoformat(ends_at).replace(tzinfo=UTC)


def test_what_is_no_card_never_expires() -> None:
    debit = PaymentMethod(
        payment_method_id="pm_1", kind="sepa_debit", brand=None, last4=None, expires_month=None, expires_year=None
    )
    assert card_notice(new_account_id(), debit, START) is None
