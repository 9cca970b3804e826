"""Pausing and resuming a subscription, and its billing mode.

Stripe: a subscription with a schedule cannot be paused; ``resume`` takes a paused one only; there is one billing mode
left to migrate to, and every subscription here has it.
"""

from __future__ import annotations

from stripe_sandbox.documents import Call, Doc, Params
from stripe_sandbox.engine import resumption, standstill
from stripe_sandbox.wire.errors import BadRequest
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import Choice, Hash, Integer, NotSimulated, Type, table

_BILL_FOR = Hash(
    fields={
        "outstanding_usage_through": Hash(fields={"type": Choice(words=("none", "now"))}, required=("type",)),
        "unused_time_from": Hash(
            fields={"type": Choice(words=("item_current_period_start", "none", "now"))}, required=("type",)
        ),
    }
)
PAUSE_FIELDS: dict[str, Type] = {
    "bill_for": _BILL_FOR,
    "invoicing_behavior": Choice(words=("invoice", "pending_invoice_item")),
}
PAUSE = table({**PAUSE_FIELDS, "type": Choice(words=("subscription",))})
RESUME = table(
    {
        "billing_cycle_anchor": Hash(fields={"type": Choice(words=("now", "unchanged"))}, required=("type",)),
        "payment_behavior": Choice(words=("resume_on_payment_attempt", "resume_on_payment_success")),
        "proration_behavior": Choice(words=("always_invoice", "create_prorations", "none")),
        "proration_date": Integer(minimum=1),
    }
)
_MODE = Hash(
    fields={
        "type": Choice(words=("flexible",)),
        "flexible": Hash(fields={"proration_discounts": NotSimulated(("included",))}),
    },
    required=("type",),
)


def pause_wish(sent: Params, *, until_draft: bool = False) -> standstill.Wish:
    """Return what the parameters of a pause ask for."""
    bill_for = sent.get("bill_for") or {}
    return standstill.Wish(
        usage=(bill_for.get("outstanding_usage_through") or {}).get("type", "now") == "now",
        unused_from=(bill_for.get("unused_time_from") or {}).get("type", "now"),
        invoices=sent.get("invoicing_behavior") == "invoice",
        until_draft=until_draft,
    )


def resume_wish(sent: Params, *, until_draft: bool = False) -> resumption.Wish:
    """Return what the parameters of a resumption ask for, refusing what contradicts itself."""
    anchor = (sent.get("billing_cycle_anchor") or {}).get("type", "now")
    behavior = sent.get("proration_behavior", "create_prorations")
    if "proration_date" in sent and (anchor == "now" or behavior == "none"):
        message = "proration_date goes with an unchanged billing cycle and a proration_behavior other than none."
        raise BadRequest(message, param="proration_date")
    return resumption.Wish(
        anchor=anchor,
        behavior=behavior,
        payment=sent.get("payment_behavior", "resume_on_payment_attempt"),
        at_s=sent.get("proration_date"),
        until_draft=until_draft,
    )


def check_pausable(subscription: Doc) -> None:
    """Refuse what cannot be paused."""
    if subscription["schedule"]:
        raise BadRequest("A subscription with a schedule cannot be paused; release the schedule first.")
    if not standstill.can_pause(subscription):
        message = f"You cannot pause a subscription with the status {subscription['status']}."
        raise BadRequest(message, code="status_transition_invalid")


def _pause(call: Call) -> Doc:
    subscription = call.ctx.get("subscription", call.ids[0])
    check_pausable(subscription)
    standstill.pause(call.ctx, subscription, pause_wish(call.params))
    return call.ctx.shown(call.ctx.get("subscription", subscription["id"]))


def _resume(call: Call) -> Doc:
    subscription = call.ctx.get("subscription", call.ids[0])
    resumption.resume(call.ctx, subscription, resume_wish(call.params))
    return call.ctx.shown(call.ctx.get("subscription", subscription["id"]))


def _migrate(call: Call) -> Doc:
    call.ctx.get("subscription", call.ids[0])
    raise BadRequest("This subscription already has the billing mode flexible.", param="billing_mode[type]")


ENDPOINTS = (
    Endpoint("POST", "/v1/subscriptions/*/pause", PAUSE, _pause),
    Endpoint("POST", "/v1/subscriptions/*/resume", RESUME, _resume),
    Endpoint("POST", "/v1/subscriptions/*/migrate", table({"billing_mode": _MODE}, ("billing_mode",)), _migrate),
)
