"""All kinds of objects and all endpoints, gathered in one place."""

from __future__ import annotations

from stripe_sandbox.documents import Kind
from stripe_sandbox.objects import (
    account,
    checkout_session,
    customer,
    customer_balance,
    event,
    event_destination,
    fault,
    intent,
    invoice,
    invoice_acts,
    invoice_item,
    invoice_preview,
    meter,
    meter_event,
    meter_event_v2,
    payment,
    payment_method,
    portal_configuration,
    portal_session,
    price,
    product,
    refund,
    subscription,
    subscription_item,
    subscription_pause,
    subscription_schedule,
    test_clock,
    webhook_endpoint,
)
from stripe_sandbox.wire.routing import Router

_MODULES = (
    account,
    checkout_session,
    customer,
    customer_balance,
    event,
    event_destination,
    fault,
    intent,
    invoice,
    invoice_acts,
    invoice_item,
    invoice_preview,
    meter,
    meter_event,
    meter_event_v2,
    payment,
    payment_method,
    portal_configuration,
    portal_session,
    price,
    product,
    refund,
    subscription,
    subscription_item,
    subscription_pause,
    subscription_schedule,
    test_clock,
    webhook_endpoint,
)
_KINDS = (
    checkout_session.KIND,
    checkout_session.ITEM_KIND,
    customer.KIND,
    customer_balance.KIND,
    event.KIND,
    event_destination.EVENT_KIND,
    event_destination.KIND,
    fault.KIND,
    fault.INJECTION_KIND,
    intent.SETUP_KIND,
    invoice.KIND,
    invoice.LINE_KIND,
    invoice_item.KIND,
    meter.KIND,
    meter_event_v2.KIND,
    payment.CHARGE_KIND,
    payment.INTENT_KIND,
    payment.INVOICE_PAYMENT_KIND,
    payment_method.KIND,
    portal_configuration.KIND,
    portal_session.KIND,
    price.KIND,
    product.KIND,
    refund.KIND,
    refund.TRANSACTION_KIND,
    refund.DISPUTE_KIND,
    subscription.KIND,
    subscription_item.KIND,
    subscription_schedule.KIND,
    test_clock.KIND,
    webhook_endpoint.KIND,
)


def all_kinds() -> dict[str, Kind]:
    """Return every stored kind by its ``object`` word."""
    return {kind.name: kind for kind in _KINDS}


def build_router() -> Router:
    """Return the router over every endpoint."""
    return Router(endpoint for module in _MODULES for endpoint in module.ENDPOINTS)
