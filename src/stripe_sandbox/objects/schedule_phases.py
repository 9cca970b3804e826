"""The phases of a schedule as callers send them. Stripe: phases follow each other without a gap."""

from __future__ import annotations

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc, Params
from stripe_sandbox.engine import schedules
from stripe_sandbox.engine.changes.wanted import price_for
from stripe_sandbox.engine.lines import is_metered
from stripe_sandbox.engine.periods import boundary
from stripe_sandbox.objects.subscription_params import ITEM_FIELDS, MAX_ITEMS
from stripe_sandbox.wire.errors import BadRequest
from stripe_sandbox.wire.schema import Array, Choice, Either, Hash, Integer, Metadata, NotSimulated, Text

_MAX_PHASES = 10
_DATE = Either(("now",), Integer(minimum=1))
_DURATION = Hash(
    fields={"interval": Choice(words=("day", "month", "week", "year")), "interval_count": Integer(minimum=1)},
    required=("interval",),
)
_PHASE = Hash(
    fields={
        "add_invoice_items": NotSimulated(("",)),
        "automatic_tax": NotSimulated(("",)),
        "billing_cycle_anchor": Choice(words=("automatic", "phase_start")),
        "collection_method": NotSimulated(("charge_automatically",)),
        "currency": Text(pattern=r"[A-Za-z]{3}"),
        "default_payment_method": NotSimulated(("",)),
        "default_tax_rates": NotSimulated(("",)),
        "description": Text(clearable=True),
        "discounts": NotSimulated(("",)),
        "duration": _DURATION,
        "end_date": _DATE,
        "invoice_settings": NotSimulated(("",)),
        "items": Array(Hash(fields={**ITEM_FIELDS, "plan": NotSimulated()}, required=("price",)), MAX_ITEMS),
        "metadata": Metadata(),
        "proration_behavior": Choice(words=("always_invoice", "create_prorations", "none")),
        "start_date": _DATE,
        "trial": NotSimulated(("false",)),
        "trial_end": NotSimulated(("",)),
    },
    required=("items",),
)
PHASES = Array(_PHASE, _MAX_PHASES)


def blank_phase(currency: str) -> Doc:
    """Return a phase without time and items."""
    return {
        "add_invoice_items": [],
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": None,
        "billing_thresholds": None,
        "collection_method": None,
        "currency": currency,
        "default_payment_method": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "invoice_settings": None,
        "metadata": {},
        "on_behalf_of": None,
        "proration_behavior": "create_prorations",
        "transfer_data": None,
        "trial": None,
        "trial_end": None,
    }


def read_phases(ctx: Context, sent: list[Params], start_at: int, now_s: int) -> list[Doc]:
    """Return the phases from an instant on, each with its start and its end."""
    if not sent:
        raise BadRequest("A schedule needs at least one phase.", param="phases")
    phases: list[Doc] = []
    for index, wish in enumerate(sent):
        expected = phases[-1]["end_date"] if phases else start_at
        started = now_s if wish.get("start_date") == "now" else wish.get("start_date", expected)
        if started != expected:
            message = "A phase must start where the phase before it ends; a running phase keeps its start."
            raise BadRequest(message, param=f"phases[{index}][start_date]")
        phases.append(_read(ctx, wish, (started, now_s), index))
    return phases


def _read(ctx: Context, wish: Params, times: tuple[int, int], index: int) -> Doc:
    items = [_item(ctx, item, place) for place, item in enumerate(wish["items"])]
    if not items:
        raise BadRequest("A phase needs at least one item.", param=f"phases[{index}][items]")
    price = ctx.get("price", items[0]["price"])
    end_at = _end(wish, times, price["recurring"])
    if end_at <= times[0]:
        raise BadRequest("A phase must end after its start.", param=f"phases[{index}][end_date]")
    named = ("billing_cycle_anchor", "description", "proration_behavior")
    chosen = {name: wish[name] for name in named if name in wish}
    return (
        blank_phase(price["currency"])
        | chosen
        | {
            "start_date": times[0],
            "end_date": end_at,
            "items": items,
            "metadata": wish.get("metadata") or {},
        }
    )


def _end(wish: Params, times: tuple[int, int], recurring: Doc) -> int:
    started, now_s = times
    if "end_date" in wish and "duration" in wish:
        message = "You may only give one of these parameters: end_date, duration."
        raise BadRequest(message, code="parameters_exclusive", param="duration")
    if "end_date" in wish:
        return now_s if wish["end_date"] == "now" else int(wish["end_date"])
    length = wish.get("duration") or recurring
    return boundary(started, length["interval"], length.get("interval_count", 1), 1)


def _item(ctx: Context, wish: Params, place: int) -> Doc:
    price = price_for(ctx, wish, place)
    quantity = {} if is_metered(price) else {"quantity": wish.get("quantity", 1)}
    known = {"price": price["id"], "metadata": wish.get("metadata") or {}} | quantity
    return schedules.phase_item(known)


def check_current(phases: list[Doc], running: Doc, now_s: int) -> Doc:
    """Return the running phase among the sent ones; it keeps its start and cannot have ended before now."""
    first = phases[0]
    if first["start_date"] != running["start_date"] or first["end_date"] < now_s:
        message = "The running phase must come first, with its start date, and cannot end in the past."
        raise BadRequest(message, param="phases[0][start_date]")
    return first
