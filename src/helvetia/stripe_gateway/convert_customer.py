"""Stripe's customer and account → ours."""

from helvetia.stripe_gateway.fields import Json, read_id, read_own_id, read_path
from helvetia.stripe_gateway.model import Customer, StripeAccount


def from_stripe_customer(raw: Json) -> Customer:
    """A deleted customer comes as a stub that has only its id."""
    return Customer(
        customer_id=read_own_id(raw, "customer"),
        account_id=read_path(raw, "metadata", "account_id"),
        email=raw.get("email"),
        default_payment_method_id=read_id(read_path(raw, "invoice_settings", "default_payment_method")),
        test_clock=read_id(raw.get("test_clock")),
        is_deleted=bool(raw.get("deleted")),
    )


def from_stripe_account(raw: Json) -> StripeAccount:
    return StripeAccount(
        account_id=read_own_id(raw, "account"),
        country=raw.get("country"),
        display_name=read_path(raw, "settings", "dashboard", "display_name"),
    )
