"""Subscription schedules: made from a subscription or from scratch, changed phase by phase, released or canceled.

Stripe: ``from_subscription`` goes with nothing else; an update names all phases from the running one on; the start
of the running phase cannot change.
"""

from __future__ import annotations

from stripe_sandbox.context import TEST_CLOCK, Context
from stripe_sandbox.documents import Call, Doc, Kind, new_id
from stripe_sandbox.engine import schedules, settle
from stripe_sandbox.engine.end import Ending, end_now
from stripe_sandbox.engine.renew import ENDED, items_of
from stripe_sandbox.objects.schedule_phases import PHASES, check_current, read_phases
from stripe_sandbox.wire.errors import BadRequest, StripeError, missing_param
from stripe_sandbox.wire.paging import Listing, answer_list, json_field
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import (
    Boolean,
    Choice,
    Either,
    Hash,
    Integer,
    Metadata,
    NotSimulated,
    Range,
    Text,
    Type,
    list_table,
    merge_metadata,
    table,
)

_URL = "/v1/subscription_schedules"
KIND = Kind(
    name=schedules.KIND,
    label="subscription schedule",
    expandable={
        "customer": "customer",
        "subscription": "subscription",
        "test_clock": TEST_CLOCK,
        "phases.items.price": "price",
        "default_settings.default_payment_method": "payment_method",
    },
    omitted=("billing_mode.updated_at", "phases.trial"),
)
_SETTINGS = Hash(
    fields={
        "billing_cycle_anchor": Choice(words=("automatic", "phase_start")),
        "collection_method": NotSimulated(("charge_automatically",)),
        "default_payment_method": NotSimulated(("",)),
        "description": Text(clearable=True),
    }
)
_SHARED: dict[str, Type] = {
    "default_settings": _SETTINGS,
    "end_behavior": Choice(words=("cancel", "release")),
    "metadata": Metadata(),
    "phases": PHASES,
}
_MODE = Hash(fields={"type": NotSimulated(("flexible",))}, required=("type",))
CREATE = table(
    {
        **_SHARED,
        "billing_mode": _MODE,
        "customer": Text(),
        "from_subscription": Text(),
        "start_date": Either(("now",), Integer(minimum=1)),
    }
)
UPDATE = table({**_SHARED, "proration_behavior": Choice(words=("always_invoice", "create_prorations", "none"))})
_TIMES = ("canceled_at", "completed_at", "released_at")
LIST = list_table(
    {"created": Range(), "customer": Text(), "scheduled": Boolean(), **{name: Range() for name in _TIMES}}
)
_LISTING = Listing(
    kind=schedules.KIND,
    url=_URL,
    equals={"customer": "customer"},
    ranges={"created": "created", **{name: json_field(name) for name in _TIMES}},
)


def _create(call: Call) -> Doc:
    sent = call.params
    if "from_subscription" in sent:
        refused = sorted(set(sent) - {"from_subscription", "metadata", "expand", "billing_mode"})
        if refused:
            raise BadRequest(f"from_subscription cannot go with {', '.join(refused)}.", param=refused[0])
        return _adopt(call)
    for name in ("customer", "phases"):
        if name not in sent:
            raise missing_param(name)
    return _from_scratch(call)


def _adopt(call: Call) -> Doc:
    ctx = call.ctx
    subscription = ctx.get("subscription", call.params["from_subscription"], "from_subscription")
    if subscription["schedule"]:
        message = f"The subscription is already attached to a schedule: {subscription['schedule']}."
        raise BadRequest(message, param="from_subscription")
    if subscription["status"] in ENDED:
        raise BadRequest("A subscription that has ended cannot get a schedule.", param="from_subscription")
    items = items_of(ctx, subscription["id"])
    phase = _first_phase(subscription, items)
    schedule = _new(ctx, ctx.get("customer", subscription["customer"]), call.params) | {
        "status": "active",
        "subscription": subscription["id"],
        "phases": [phase],
        "current_phase": schedules.span(phase),
    }
    if subscription["cancel_at"]:
        schedule["end_behavior"] = "cancel"
    ctx.write(schedule)
    settle.change(ctx, subscription, {"schedule": schedule["id"]})
    schedules.arm(ctx, schedule)
    return ctx.add(schedule, "subscription_schedule.created")


def _first_phase(subscription: Doc, items: list[Doc]) -> Doc:
    from stripe_sandbox.objects.schedule_phases import blank_phase

    end_at = subscription["cancel_at"] or min(item["current_period_end"] for item in items)
    return blank_phase(subscription["currency"]) | {
        "start_date": max(item["current_period_start"] for item in items),
        "end_date": end_at,
        "items": [schedules.phase_item(item) for item in items],
    }


def _from_scratch(call: Call) -> Doc:
    ctx, sent = call.ctx, call.params
    customer = ctx.get("customer", sent["customer"], "customer")
    now_s = ctx.now(customer["test_clock"])
    wanted = sent.get("start_date", "now")
    start_at = now_s if wanted == "now" else int(wanted)
    if start_at < now_s:
        raise BadRequest("start_date must not lie in the past.", param="start_date")
    schedule = _new(ctx, customer, sent)
    schedule["phases"] = read_phases(ctx, sent["phases"], start_at, now_s)
    ctx.write(schedule)
    if start_at == now_s:
        schedules.start(ctx, schedule)
    else:
        schedules.arm(ctx, schedule)
    return ctx.add(ctx.get(schedules.KIND, schedule["id"]), "subscription_schedule.created")


def _new(ctx: Context, customer: Doc, sent: Doc) -> Doc:
    settings = sent.get("default_settings") or {}
    return {
        "id": new_id("sub_sched"),
        "object": schedules.KIND,
        "application": None,
        "billing_mode": {"type": "flexible", "flexible": {"proration_discounts": "included"}, "updated_at": None},
        "canceled_at": None,
        "completed_at": None,
        "created": ctx.now(customer["test_clock"]),
        "current_phase": None,
        "customer": customer["id"],
        "customer_account": None,
        "default_settings": _default_settings() | settings,
        "end_behavior": sent.get("end_behavior", "release"),
        "livemode": False,
        "metadata": sent.get("metadata") or {},
        "pause_schedules": [],
        "phases": [],
        "released_at": None,
        "released_subscription": None,
        "status": "not_started",
        "subscription": None,
        "test_clock": customer["test_clock"],
    }


def _default_settings() -> Doc:
    return {
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": "automatic",
        "billing_thresholds": None,
        "collection_method": "charge_automatically",
        "default_payment_method": None,
        "description": None,
        "invoice_settings": {
            "account_tax_ids": None,
            "custom_fields": None,
            "days_until_due": None,
            "description": None,
            "footer": None,
            "issuer": {"type": "self"},
        },
        "on_behalf_of": None,
        "transfer_data": None,
    }


def _update(call: Call) -> Doc:
    schedule = _live(call.ctx, call.ids[0], "update")
    before = call.ctx.shown(schedule)
    update_schedule(call.ctx, schedule, call.params)
    current = call.ctx.get(schedules.KIND, schedule["id"])
    return call.ctx.update(current, "subscription_schedule.updated", before)


def update_schedule(ctx: Context, schedule: Doc, sent: Doc) -> None:
    """Apply what was sent; a changed running phase changes the subscription at once."""
    now_s = ctx.now(schedule["test_clock"])
    schedule["end_behavior"] = sent.get("end_behavior", schedule["end_behavior"])
    schedule["default_settings"] = schedule["default_settings"] | (sent.get("default_settings") or {})
    if "metadata" in sent:
        schedule["metadata"] = merge_metadata(schedule["metadata"], sent["metadata"])
    if "phases" in sent:
        _set_phases(ctx, schedule, sent, now_s)
    ctx.write(schedule)
    if schedule["status"] == "active":
        schedules.note_end(ctx, schedule)
    schedules.arm(ctx, schedule)


def _set_phases(ctx: Context, schedule: Doc, sent: Doc, now_s: int) -> None:
    running = schedule["current_phase"]
    start_at = running["start_date"] if running else schedule["phases"][0]["start_date"]
    phases = read_phases(ctx, sent["phases"], start_at, now_s)
    if running is None:
        schedule["phases"] = phases
        return
    first = check_current(phases, running, now_s)
    past = [phase for phase in schedule["phases"] if phase["end_date"] <= running["start_date"]]
    schedule |= {"phases": past + phases, "current_phase": schedules.span(first)}
    ctx.write(schedule)
    behavior = {"proration_behavior": sent.get("proration_behavior", "create_prorations")}
    subscription = ctx.get("subscription", schedule["subscription"])
    before = ctx.shown(subscription)
    schedules.apply_phase(ctx, subscription, first | behavior | {"billing_cycle_anchor": None}, now_s)
    ctx.update(ctx.get("subscription", subscription["id"]), settle.SUBSCRIPTION_UPDATED, before)


def _live(ctx: Context, schedule_id: str, act: str) -> Doc:
    schedule = ctx.get(schedules.KIND, schedule_id)
    if schedule["status"] not in {"active", "not_started"}:
        raise _closed(schedule, act)
    return schedule


def _closed(schedule: Doc, act: str) -> StripeError:
    return BadRequest(f"You cannot {act} a subscription schedule that is currently in the {schedule['status']} status.")


def _release(call: Call) -> Doc:
    ctx = call.ctx
    schedule = _live(ctx, call.ids[0], "release")
    if schedule["status"] == "active" and not call.params.get("preserve_cancel_date"):
        schedules.note_end(ctx, schedule | {"end_behavior": "release"})
    return schedules.release(ctx, schedule, ctx.now(schedule["test_clock"]))


def _cancel(call: Call) -> Doc:
    ctx = call.ctx
    schedule = _live(ctx, call.ids[0], "cancel")
    shown = schedules.cancel(ctx, schedule, ctx.now(schedule["test_clock"]))
    if schedule["subscription"]:
        subscription = ctx.get("subscription", schedule["subscription"])
        wish = Ending(
            invoice_now=call.params.get("invoice_now", True),
            prorate=call.params.get("prorate", True),
        )
        end_now(ctx, subscription, wish)
    return shown


def _get(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get(schedules.KIND, call.ids[0]))


def _list(call: Call) -> Doc:
    extra: list[tuple[str, object]] = []
    if "scheduled" in call.params:
        extra.append((f"{json_field('status')} {'=' if call.params['scheduled'] else '<>'} 'not_started'", None))
    return answer_list(call, _LISTING, tuple(extra))


ENDPOINTS = (
    Endpoint("POST", _URL, CREATE, _create),
    Endpoint("GET", _URL, LIST, _list),
    Endpoint("GET", f"{_URL}/*", table(), _get),
    Endpoint("POST", f"{_URL}/*", UPDATE, _update),
    Endpoint("POST", f"{_URL}/*/cancel", table({"invoice_now": Boolean(), "prorate": Boolean()}), _cancel),
    Endpoint("POST", f"{_URL}/*/release", table({"preserve_cancel_date": Boolean()}), _release),
)
