"""What a customer's job reads, and how: no object of the SDK's for what is read from its body, no read twice."""

from collections import Counter
from typing import Any

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.database.job_queue import JobQueue
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.client_events import API_VERSION
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.stripe_gateway.transport import call, plain_list
from helvetia.webhooks.model import WebhookConfig
from helvetia.webhooks.service import WebhookService
from support.billing_house import BillingHouse, build_house
from support.stripe_world import StripeWorld
from support.webhook_house import SECRET


class CountingGateway:
    """Counts the calls that reach Stripe."""

    def __init__(self, gateway: StripeClientGateway) -> None:
        self._gateway = gateway
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return getattr(self._gateway, name)


async def test_plain_list_answers_as_the_sdks_own_call(
    house: BillingHouse, gateway: StripeClientGateway, world: StripeWorld
) -> None:
    account_id = await house.new_account()
    record = await house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa")
    of_customer: dict[str, Any] = {"customer": record.stripe_customer_id, "limit": 100}
    lists: list[tuple[str, Any, dict[str, Any]]] = [
        ("/v1/subscriptions", world.v1.subscriptions.list_async, {**of_customer, "status": "all"}),
        ("/v1/invoices", world.v1.invoices.list_async, {**of_customer, "expand": ["data.payments"]}),
        ("/v1/events", world.v1.events.list_async, {"limit": 100, "created": {"gte": 0}}),
    ]
    for path, list_typed, wanted in lists:
        plain = await call(plain_list(gateway._client, path)(wanted))
        assert plain == await call(list_typed(wanted))
        assert plain["data"]


async def test_many_events_of_a_customer_are_one_read_of_each_kind(
    house: BillingHouse, gateway: StripeClientGateway, holder: PriceBookHolder, world: StripeWorld
) -> None:
    account_id = await house.new_account()
    customer_id = (
        await house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa")
    ).stripe_customer_id
    assert customer_id is not None
    await house.billing.adopt_card(account_id)
    counting: Any = CountingGateway(gateway)
    other = build_house(house.database, house.clock, counting, holder, test_clock=world.test_clock)
    service = WebhookService(
        WebhookConfig(secrets=(SECRET,), is_live=False, api_version=API_VERSION),
        *(house.database, house.clock, counting, other.subscriptions, other.billing, other.reports),
        JobQueue(house.database.url),
    )
    found = await service.backfill()
    assert found.found_count > 5
    counting.calls.clear()
    await service.sync_customer_job(customer_id)
    assert counting.calls == {"list_subscriptions": 1, "list_invoices": 1}
