"""Stripe's checkout sessions, portal, schedules, payment methods, charges and refunds → ours."""

from typing import Any

from helvetia.kernel.clock import from_unix_s
from helvetia.stripe_gateway.actions import (
    Charge,
    CheckoutSession,
    InvoiceItem,
    PaymentIntent,
    PaymentMethod,
    PortalConfiguration,
    PortalSession,
    Refund,
    Schedule,
    SchedulePhase,
)
from helvetia.stripe_gateway.fields import Json, read_id, read_own_id, read_path

VERSION_KEY = "helvetia_version"


def from_stripe_checkout_session(raw: Json) -> CheckoutSession:
    return CheckoutSession(
        session_id=read_own_id(raw, "checkout.session"),
        status=raw.get("status") or "",
        url=raw.get("url"),
        plan_hint=read_path(raw, "metadata", "plan"),
        subscription_id=read_id(raw.get("subscription")),
        customer_id=read_id(raw.get("customer")),
    )


def from_stripe_portal_session(raw: Json) -> PortalSession:
    return PortalSession(session_id=read_own_id(raw, "billing_portal.session"), url=raw["url"])


def from_stripe_portal_configuration(raw: Json) -> PortalConfiguration:
    return PortalConfiguration(
        configuration_id=read_own_id(raw, "billing_portal.configuration"),
        is_active=bool(raw.get("active")),
        version=read_path(raw, "metadata", VERSION_KEY),
    )


def from_stripe_schedule(raw: Json) -> Schedule:
    return Schedule(
        schedule_id=read_own_id(raw, "subscription_schedule"),
        status=raw["status"],
        subscription_id=read_id(raw.get("subscription")),
        phases=tuple(
            SchedulePhase(
                price_ids=tuple(read_id(item["price"]) or "" for item in phase["items"]),
                starts_at=from_unix_s(phase["start_date"]),
                ends_at=from_unix_s(phase["end_date"]),
            )
            for phase in raw["phases"]
        ),
    )


def from_stripe_payment_method(raw: Json) -> PaymentMethod:
    return PaymentMethod(
        payment_method_id=read_own_id(raw, "payment_method"),
        kind=raw["type"],
        brand=read_path(raw, "card", "brand"),
        last4=read_path(raw, raw["type"], "last4"),
        expires_month=read_path(raw, "card", "exp_month"),
        expires_year=read_path(raw, "card", "exp_year"),
    )


def from_stripe_payment_intent(raw: Json) -> PaymentIntent:
    return PaymentIntent(
        payment_intent_id=read_own_id(raw, "payment_intent"),
        status=raw["status"],
        failure_code=_finest(raw.get("last_payment_error")),
    )


def from_stripe_charge(raw: Json) -> Charge:
    details = raw.get("payment_method_details") or {}
    kind = details.get("type")
    return Charge(
        charge_id=read_own_id(raw, "charge"),
        payment_intent_id=read_id(raw.get("payment_intent")),
        amount_minor=raw["amount"],
        refunded_minor=raw.get("amount_refunded") or 0,
        currency=raw["currency"],
        status=raw["status"],
        failure_code=_reason_of_charge(raw),
        method_kind=kind,
        brand=read_path(details, "card", "brand"),
        last4=None if kind is None else read_path(details, kind, "last4"),
        created_at=from_unix_s(raw["created"]),
        payment_method_id=read_id(raw.get("payment_method")),
    )


def from_stripe_refund(raw: Json) -> Refund:
    return Refund(
        refund_id=read_own_id(raw, "refund"),
        charge_id=read_id(raw.get("charge")),
        amount_minor=raw["amount"],
        currency=raw["currency"],
        status=raw.get("status") or "pending",
        reason=raw.get("reason"),
        created_at=from_unix_s(raw["created"]),
    )


def _finest(error: Any) -> str | None:
    """The decline code where there is one: `card_declined` alone says nothing."""
    reason: str | None = read_path(error, "decline_code") or read_path(error, "code")
    return reason


def _reason_of_charge(raw: Json) -> str | None:
    code: str | None = raw.get("failure_code")
    reason: str | None = read_path(raw, "outcome", "reason")
    return reason if code == "card_declined" and reason else code


def from_stripe_invoice_item(raw: Json) -> InvoiceItem:
    return InvoiceItem(
        item_id=read_own_id(raw, "invoiceitem"),
        task_id=read_path(raw, "metadata", "usage_task"),
        invoice_id=read_id(raw.get("invoice")),
    )
