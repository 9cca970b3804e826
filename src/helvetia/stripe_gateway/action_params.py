"""Ours → what the SDK is asked, for checkout, portal, plan changes and schedules."""

from collections.abc import Sequence

from stripe.params import (
    InvoiceCreatePreviewParams,
    InvoiceItemCreateParams,
    SubscriptionScheduleUpdateParams,
    SubscriptionScheduleUpdateParamsPhaseItem,
    SubscriptionUpdateParams,
)
from stripe.params.billing_portal import ConfigurationCreateParams
from stripe.params.billing_portal import SessionCreateParams as PortalSessionCreateParams
from stripe.params.billing_portal import SessionCreateParamsFlowDataAfterCompletion as AfterCompletion
from stripe.params.checkout import SessionCreateParams, SessionCreateParamsLineItem

from helvetia.kernel.clock import to_unix_s
from helvetia.stripe_gateway.actions import (
    NewCheckout,
    NewInvoiceItem,
    NewPortalSession,
    PlanChange,
    PortalFlow,
    ScheduledChange,
)
from helvetia.stripe_gateway.convert_actions import VERSION_KEY


def of_new_checkout(new: NewCheckout) -> SessionCreateParams:
    """A metered line carries no quantity; the session's metadata is not the subscription's, so both get it."""
    lines: list[SessionCreateParamsLineItem] = [{"price": new.fixed_price_id, "quantity": 1}]
    lines += [{"price": price_id} for price_id in new.metered_price_ids]
    marks = {"account_id": str(new.account_id), "plan": new.plan.value}
    wanted: SessionCreateParams = {
        "mode": "subscription",
        "customer": new.customer_id,
        "client_reference_id": str(new.account_id),
        "line_items": lines,
        "success_url": new.success_url,
        "cancel_url": new.cancel_url,
        "payment_method_collection": "always",
        "metadata": marks,
        "subscription_data": {"metadata": dict(marks), "billing_mode": {"type": "flexible"}},
    }
    if new.collects_tax:
        wanted["automatic_tax"] = {"enabled": True}
        wanted["tax_id_collection"] = {"enabled": True}
        wanted["billing_address_collection"] = "required"
        wanted["customer_update"] = {"address": "auto", "name": "auto"}
    return wanted


def of_new_portal_session(new: NewPortalSession) -> PortalSessionCreateParams:
    wanted: PortalSessionCreateParams = {
        "customer": new.customer_id,
        "configuration": new.configuration_id,
        "return_url": new.return_url,
    }
    if new.flow is PortalFlow.PAYMENT_METHOD:
        wanted["flow_data"] = {"type": "payment_method_update", "after_completion": _back_to(new.return_url)}
    if new.flow is PortalFlow.CANCEL and new.subscription_id is not None:
        wanted["flow_data"] = {
            "type": "subscription_cancel",
            "subscription_cancel": {"subscription": new.subscription_id},
            "after_completion": _back_to(new.return_url),
        }
    return wanted


def _back_to(url: str) -> AfterCompletion:
    return {"type": "redirect", "redirect": {"return_url": url}}


def of_new_portal_configuration(version: str, return_url: str) -> ConfigurationCreateParams:
    """Cards, invoices, address and tax ids, the end of a subscription; plans are changed on our own pages."""
    return {
        "features": {
            "customer_update": {"enabled": True, "allowed_updates": ["address", "email", "name", "phone", "tax_id"]},
            "invoice_history": {"enabled": True},
            "payment_method_update": {"enabled": True},
            "subscription_cancel": {"enabled": True, "mode": "at_period_end", "proration_behavior": "none"},
            "subscription_update": {"enabled": False},
        },
        "business_profile": {"headline": "Helvetia Cloud: cards, invoices and billing details"},
        "default_return_url": return_url,
        "metadata": {VERSION_KEY: version},
    }


def of_preview(change: PlanChange) -> InvoiceCreatePreviewParams:
    """Only the prorations, as the change itself would invoice them."""
    return {
        "subscription": change.subscription_id,
        "subscription_details": {
            "items": [{"id": change.item_id, "price": change.price_id, "quantity": 1}],
            "proration_behavior": "always_invoice",
            "proration_date": to_unix_s(change.prorated_at),
        },
    }


def of_change(change: PlanChange) -> SubscriptionUpdateParams:
    """Only the fixed item: the metered ones and their usage stay as they are. Applied only if paid."""
    return {
        "items": [{"id": change.item_id, "price": change.price_id, "quantity": 1}],
        "proration_behavior": "always_invoice",
        "proration_date": to_unix_s(change.prorated_at),
        "payment_behavior": "pending_if_incomplete",
    }


def of_scheduled_change(change: ScheduledChange) -> SubscriptionScheduleUpdateParams:
    """The running phase as it is, then one month of the next; then the subscription goes on by itself."""
    return {
        "end_behavior": "release",
        "proration_behavior": "none",
        "phases": [
            {
                "items": _phase_items(change.running.price_ids, change.metered_price_ids),
                "start_date": to_unix_s(change.running.starts_at),
                "end_date": to_unix_s(change.running.ends_at),
                "proration_behavior": "none",
            },
            {
                "items": _phase_items(change.next_price_ids, change.metered_price_ids),
                "duration": {"interval": "month", "interval_count": 1},
                "proration_behavior": "none",
            },
        ],
    }


def _phase_items(price_ids: Sequence[str], metered: frozenset[str]) -> list[SubscriptionScheduleUpdateParamsPhaseItem]:
    return [{"price": one} if one in metered else {"price": one, "quantity": 1} for one in price_ids]


def of_new_invoice_item(new: NewInvoiceItem) -> InvoiceItemCreateParams:
    wanted: InvoiceItemCreateParams = {
        "customer": new.customer_id,
        "amount": new.amount_minor,
        "currency": new.currency,
        "description": new.description,
        "period": {"start": to_unix_s(new.starts_at), "end": to_unix_s(new.ends_at)},
        "metadata": {"usage_task": new.task_id},
    }
    if new.subscription_id is not None:
        wanted["subscription"] = new.subscription_id
    return wanted
