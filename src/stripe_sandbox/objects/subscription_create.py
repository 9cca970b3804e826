"""Creating a subscription: its first period, its first invoice, and how payment of that decides its status.

Stripe: the first invoice bills licensed items only and is finalized and attempted inside the call; with only metered
items there is none. ``allow_incomplete`` leaves a declined creation incomplete for 23 h, ``default_incomplete`` never
charges in the call, ``error_if_incomplete`` saves nothing on a decline.
"""

from __future__ import annotations

from dataclasses import replace

from stripe_sandbox.clock import HOUR_S
from stripe_sandbox.context import Context
from stripe_sandbox.documents import Call, Doc, Params, new_id
from stripe_sandbox.engine import discounts, lines, setups, taxes, timers, trials
from stripe_sandbox.engine.changes.wanted import dress, new_item, price_for
from stripe_sandbox.engine.collect import Attempt, collect, payment_method_id
from stripe_sandbox.engine.draft import Plan, new_draft
from stripe_sandbox.engine.finalize import await_finalization, finalize
from stripe_sandbox.engine.periods import next_boundary
from stripe_sandbox.engine.renew import ENDED, arm_boundary, note_debit
from stripe_sandbox.objects import payment_method
from stripe_sandbox.objects.subscription_params import CREATE, automatic_tax, cancel_at_of, collection_of, holder_of
from stripe_sandbox.store import Page
from stripe_sandbox.wire.errors import BadRequest, NotFound, missing_param

__all__ = ["CREATE", "create"]
INCOMPLETE_S = 23 * HOUR_S
_MAX_ON_TEST_CLOCK = 3


def create(call: Call) -> Doc:
    """Create a subscription and pay (or leave open) its first invoice."""
    subscription, _invoice = open_subscription(call.ctx, call.params)
    return subscription


def open_subscription(
    ctx: Context, sent: Params, *, until_draft: bool = False, schedule: str | None = None
) -> tuple[Doc, Doc | None]:
    """Create a subscription; return it as shown, and its first invoice if it has one."""
    customer = _customer(ctx, sent)
    prices = _prices(ctx, sent)
    behavior = sent.get("payment_behavior", "allow_incomplete")
    if behavior == "pending_if_incomplete":
        raise BadRequest("payment_behavior=pending_if_incomplete is for updates only.", param="payment_behavior")
    method = sent.get("default_payment_method")
    if method:
        payment_method.check_owner(ctx, method, customer["id"], "default_payment_method")
    subscription = _new(ctx, customer, sent, prices[0]["currency"]) | {"schedule": schedule}
    trial = trials.on(subscription["created"], trials.end_of(sent, subscription["created"]))
    taxes.check_location(customer, enabled=subscription["automatic_tax"]["enabled"])
    subscription |= trial
    _set_currency(ctx, customer, subscription["currency"])
    subscription["default_tax_rates"] = taxes.check_rates(ctx, sent.get("default_tax_rates"), "default_tax_rates")
    ctx.write(subscription)
    items = _add_items(ctx, subscription, sent["items"], prices)
    _add_discounts(ctx, subscription, sent, items)
    subscription["cancel_at"] = cancel_at_of(sent, items, subscription["created"])
    _note_cancellation(subscription)
    ctx.write(subscription)
    invoice = _first_draft(ctx, subscription, items)
    if invoice is None:
        subscription |= {name: value for name, value in trial.items() if name == "status"}
        ctx.write(subscription)
    if invoice is not None and not until_draft:
        _settle_first(ctx, subscription, invoice, behavior)
    subscription = ctx.get("subscription", subscription["id"])
    subscription.pop("_new")
    if subscription["status"] in {"active", "trialing"} and not _was_charged(ctx, invoice):
        setups.ask_for_method(ctx, subscription)
    arm_boundary(ctx, subscription)
    shown = ctx.add(subscription, "customer.subscription.created")
    if subscription["status"] == "trialing":
        trials.announce(ctx, subscription)
    return shown, invoice


def _was_charged(ctx: Context, invoice: Doc | None) -> bool:
    return invoice is not None and bool(ctx.get("invoice", invoice["id"])["amount_due"])


def _customer(ctx: Context, sent: Params) -> Doc:
    """Stripe: an unknown customer is a 404 here, although it is a body parameter."""
    if "customer" not in sent:
        raise missing_param("customer")
    customer = ctx.find("customer", sent["customer"])
    if customer is None or customer.get("deleted"):
        raise NotFound(f"No such customer: '{sent['customer']}'", code="resource_missing", param="customer")
    if customer["test_clock"]:
        page = Page(kind="subscription", conditions=("customer=?",), arguments=(customer["id"],))
        live = [found for found in ctx.select(page) if found["status"] not in ENDED]
        if len(live) >= _MAX_ON_TEST_CLOCK:
            raise BadRequest(
                f"A customer of a test clock can have at most {_MAX_ON_TEST_CLOCK} subscriptions.",
                code="customer_max_subscriptions",
            )
    return customer


def _prices(ctx: Context, sent: Params) -> list[Doc]:
    if not sent.get("items"):
        raise missing_param("items")
    prices = [price_for(ctx, item, index) for index, item in enumerate(sent["items"])]
    first = prices[0]
    if len({price["id"] for price in prices}) < len(prices):
        raise BadRequest("Subscription items cannot have the same price twice.", param="plan")
    if len({price["currency"] for price in prices}) > 1:
        raise BadRequest("All prices of a subscription must have the same currency.", param="items")
    if str(sent.get("currency", first["currency"])).lower() != first["currency"]:
        raise BadRequest("The prices are not in the given currency.", param="currency")
    return prices


def _set_currency(ctx: Context, customer: Doc, currency: str) -> None:
    """Stripe: a customer's currency is set by the first subscription and then fixed."""
    if customer["currency"] is None:
        ctx.update(ctx.get("customer", customer["id"]) | {"currency": currency}, "customer.updated")
    elif customer["currency"] != currency:
        raise BadRequest(
            f"You cannot combine currencies on a single customer; this one is billed in {customer['currency']}.",
            param="currency",
        )


def _add_items(ctx: Context, subscription: Doc, sent: list[Params], prices: list[Doc]) -> list[Doc]:
    start_at = subscription["created"]
    items = [
        dress(ctx, subscription, new_item(subscription, price, item, start_at), item, f"items[{index}]")
        for index, (item, price) in enumerate(zip(sent, prices, strict=True))
    ]
    for item, price in zip(items, prices, strict=True):
        recurring = price["recurring"]
        item["current_period_start"] = start_at
        item["current_period_end"] = next_boundary(
            subscription["billing_cycle_anchor"], recurring["interval"], recurring["interval_count"], start_at
        )
        ctx.write(item)
    return items


def _add_discounts(ctx: Context, subscription: Doc, sent: Params, items: list[Doc]) -> None:
    if sent.get("discounts"):
        holder = replace(holder_of(ctx, subscription, items), checkout_session=sent.get("_checkout_session"))
        subscription["discounts"] = discounts.redeem_all(ctx, sent["discounts"], holder, [], "discounts")


def _note_cancellation(subscription: Doc) -> None:
    if subscription["cancel_at"] is not None:
        subscription["canceled_at"] = subscription["created"]
        subscription["cancellation_details"]["reason"] = "cancellation_requested"


def _first_draft(ctx: Context, subscription: Doc, items: list[Doc]) -> Doc | None:
    billed = _licensed_lines(ctx, items, free=subscription["status"] == "trialing")
    if not billed:
        return None
    now_s = subscription["created"]
    plan = Plan(reason="subscription_create", created_at=now_s, period=(now_s, now_s), lines=billed)
    invoice = new_draft(ctx, subscription, plan)
    subscription |= {"latest_invoice": invoice["id"], "status": "incomplete"}
    ctx.write(subscription)
    return invoice


def _settle_first(ctx: Context, subscription: Doc, invoice: Doc, behavior: str) -> None:
    if subscription["collection_method"] == "send_invoice" and invoice["total"]:
        ctx.write(ctx.get("subscription", subscription["id"]) | {"status": "active"})
        await_finalization(ctx, invoice)
        return
    invoice = finalize(ctx, invoice["id"])
    if invoice["status"] == "paid":
        status = "trialing" if subscription["trial_end"] else "active"
        ctx.write(ctx.get("subscription", subscription["id"]) | {"status": status})
        return
    if behavior != "default_incomplete":
        _pay_first(ctx, invoice, behavior)
    current = ctx.get("subscription", subscription["id"])
    if current["status"] == "incomplete":
        timers.arm(ctx, current, "expire", subscription["created"] + INCOMPLETE_S)


def _pay_first(ctx: Context, invoice: Doc, behavior: str) -> None:
    if payment_method_id(ctx, invoice) is None:
        raise BadRequest(
            "This customer has no attached payment source or default payment method. Add one and make it the"
            " default, or create the subscription with payment_behavior=default_incomplete.",
            code="resource_missing",
        )
    refusal = collect(ctx, invoice, Attempt())
    if refusal is not None and behavior == "error_if_incomplete":
        if refusal.code == "authentication_required":
            refusal.code = "subscription_payment_intent_requires_action"
        raise refusal


def _licensed_lines(ctx: Context, items: list[Doc], *, free: bool) -> list[Doc]:
    found = []
    for item in items:
        price = ctx.get("price", item["price"])
        if not lines.is_metered(price):
            line = lines.licensed_line(ctx, item, price)
            product = ctx.find("product", price["product"]) or {}
            found.append(trials.free_line(line, product.get("name", "")) if free else line)
            note_debit(ctx, item, found[-1])
    return found


def _new(ctx: Context, customer: Doc, sent: Params, currency: str) -> Doc:
    now_s = ctx.now(customer["test_clock"])
    return {
        "id": new_id("sub"),
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": automatic_tax(sent.get("automatic_tax")),
        "billing_cycle_anchor": now_s,
        "billing_cycle_anchor_config": None,
        "billing_mode": {"type": "flexible", "flexible": {"proration_discounts": "included"}, "updated_at": None},
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": sent.get("cancel_at_period_end", False),
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "feedback_option": None, "reason": None},
        "created": now_s,
        "currency": currency,
        "customer": customer["id"],
        "customer_account": None,
        **collection_of(sent),
        "default_payment_method": sent.get("default_payment_method"),
        "default_source": None,
        "default_tax_rates": [],
        "description": sent.get("description"),
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {
            **dict.fromkeys(("account_tax_ids", "custom_fields", "description", "footer")),
            "issuer": {"type": "self"},
        },
        "latest_invoice": None,
        "livemode": False,
        "managed_payments": None,
        "metadata": sent.get("metadata") or {},
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        }
        | (sent.get("payment_settings") or {}),
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": now_s,
        "status": "active",
        "status_details": None,
        "test_clock": customer["test_clock"],
        "transfer_data": None,
        "trial_end": None,
        "trial_settings": trials.settings_of(sent.get("trial_settings")),
        "trial_start": None,
        "_new": True,
    }
