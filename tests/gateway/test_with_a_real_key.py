"""What we rely on without having seen it at Stripe itself; runs only with STRIPE_TEST_KEY (a sk_test_ key)."""

import os
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from helvetia.kernel.clock import SystemClock
from helvetia.kernel.identity import new_account_id
from helvetia.kernel.quantity import UsageMetric
from helvetia.stripe_gateway.catalog import set_up_catalog, verify_prices
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.errors import AlreadyUsedIdentifier, MeterEventOutOfTime
from helvetia.stripe_gateway.model import MeterEvent, NewCustomer

KEY = os.environ.get("STRIPE_TEST_KEY", "")
pytestmark = pytest.mark.skipif(not KEY.startswith("sk_test_"), reason="STRIPE_TEST_KEY is not set")


@pytest.fixture
async def real() -> AsyncIterator[StripeClientGateway]:
    gateway = StripeClientGateway(KEY)
    yield gateway
    await gateway.close()


async def test_decimal_values_are_taken_and_used_identifiers_and_old_events_are_told_apart(
    real: StripeClientGateway,
) -> None:
    book = await verify_prices(real, await set_up_catalog(real))
    customer = await real.get_or_create_customer(NewCustomer(account_id=new_account_id(), name="Contract test"))
    now = SystemClock().wall()
    event = MeterEvent(
        event_name=book.meters[UsageMetric.COMPUTE_HOURS].event_name,
        customer_id=customer.customer_id,
        value=Decimal("0.000001"),
        identifier=f"contract-{uuid4().hex}",
        occurred_at=now,
    )
    await real.send_meter_event(event)
    with pytest.raises(AlreadyUsedIdentifier):
        await real.send_meter_event(event)
    late = MeterEvent(
        event_name=event.event_name,
        customer_id=customer.customer_id,
        value=Decimal(1),
        identifier=f"contract-{uuid4().hex}",
        occurred_at=now - timedelta(days=40),
    )
    with pytest.raises(MeterEventOutOfTime):
        await real.send_meter_event(late)
