"""Wanted items + a moment → the whole change, worked out before anything is written.

A change either keeps the billing cycle, and then only the time from the moment to the period's end is credited and
charged; or it starts a new cycle now (asked for, or by another interval), and then everything unused is credited,
usage so far is charged and the new period is charged whole.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from decimal import Decimal

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc, Params
from stripe_sandbox.engine import discounts, lines, reckon
from stripe_sandbox.engine.amounts import line_amount
from stripe_sandbox.engine.changes import texts
from stripe_sandbox.engine.changes.prorate import DEBITS, credits_from, cut, debit, share
from stripe_sandbox.engine.changes.wanted import Swap, read_items
from stripe_sandbox.engine.invoice_items import Charge, new_invoice_item
from stripe_sandbox.engine.periods import next_boundary

# Statuses in which neither time nor usage is worth money.
_FREE = frozenset({"paused", "trialing"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a caller wants of a subscription's items; ``at_s`` is the moment from which money is counted."""

    items: list[Params]
    behavior: str = "create_prorations"
    at_s: int
    resets: bool = False
    anchor: int | None = None
    until_draft: bool = False
    payment: str = "allow_incomplete"


@dataclass(slots=True, kw_only=True)
class Change:
    """A change worked out: documents as they are to be written."""

    items: list[Doc]
    removed: list[Doc]
    prorations: list[Doc] = field(default_factory=list)
    lines: list[Doc] = field(default_factory=list)
    anchor: int | None = None

    def packed(self) -> Doc:
        """Return the change as JSON."""
        return asdict(self)


def plan(ctx: Context, subscription: Doc, request: Request) -> Change:
    """Work a change out."""
    swaps = read_items(ctx, subscription, request.items, ctx.now(subscription["test_clock"]))
    return plan_swaps(ctx, subscription, request, swaps)


def plan_swaps(ctx: Context, subscription: Doc, request: Request, swaps: list[Swap]) -> Change:
    """Work out a change whose items are known."""
    planner = _Planner(ctx, subscription, request)
    if request.resets or any(_changes_interval(ctx, swap) for swap in swaps):
        return planner.new_cycle(swaps)
    return planner.same_cycle(swaps)


def _changes_interval(ctx: Context, swap: Swap) -> bool:
    if swap.old is None or swap.new is None:
        return False
    return _rhythm(ctx, swap.old) != _rhythm(ctx, swap.new)


def _rhythm(ctx: Context, item: Doc) -> tuple[str, int]:
    recurring = ctx.get("price", item["price"])["recurring"]
    return recurring["interval"], recurring["interval_count"]


class _Planner:
    """Gathers the invoice items of one change."""

    def __init__(self, ctx: Context, subscription: Doc, request: Request) -> None:
        self._ctx = ctx
        self._subscription = subscription
        self._request = request
        self._customer = ctx.get("customer", subscription["customer"])
        self._prorates = request.behavior != "none" and subscription["status"] not in _FREE
        self._charges: list[Doc] = []
        self._wanted: list[Doc] | None = None

    def same_cycle(self, swaps: list[Swap]) -> Change:
        """Return the change within the running period."""
        self._wanted = [swap.new for swap in swaps if swap.new is not None]
        items = []
        for swap in swaps:
            item = swap.new
            if item is not None and swap.old is None:
                item = self._placed(item)
            if swap.bills_differently:
                item = self._swapped(swap, item)
            if item is not None:
                items.append(item)
        removed = [swap.old for swap in swaps if swap.old is not None and swap.new is None]
        return Change(items=items, removed=removed, prorations=self._charges)

    def new_cycle(self, swaps: list[Swap]) -> Change:
        """Return the change that starts a new period now."""
        at_s = self._request.at_s
        anchor = at_s if self._request.anchor is None else self._request.anchor
        items, billed = [], []
        for swap in swaps:
            self._close(swap)
            if swap.new is None:
                continue
            item = self._from_now(swap.new, anchor)
            price = self._ctx.get("price", item["price"])
            if not lines.is_metered(price):
                line = lines.licensed_line(self._ctx, item, price)
                item[DEBITS] = [debit(line["amount"], _period(item), line["id"])]
                billed.append(line)
            items.append(item)
        removed = [swap.old for swap in swaps if swap.old is not None and swap.new is None]
        return Change(items=items, removed=removed, prorations=self._charges, lines=billed, anchor=anchor)

    def _placed(self, item: Doc) -> Doc:
        """Give an added item its period: the running one of its rhythm, counted from the subscription's anchor."""
        rhythm = _rhythm(self._ctx, item)
        start_at, end_at = running_period(self._ctx, self._subscription, rhythm, self._request.at_s)
        return item | {"current_period_start": start_at, "current_period_end": end_at}

    def _from_now(self, item: Doc, anchor: int) -> Doc:
        interval, count = _rhythm(self._ctx, item)
        at_s = self._request.at_s
        end_at = next_boundary(anchor, interval, count, at_s)
        period = {"current_period_start": at_s, "current_period_end": end_at}
        return {name: value for name, value in (item | period).items() if name != "_used_from"}

    def _swapped(self, swap: Swap, item: Doc | None) -> Doc | None:
        notes = self._close(swap)
        if item is None:
            return None
        price = self._ctx.get("price", item["price"])
        if lines.is_metered(price):
            changed = item | {"_used_from": self._request.at_s}
            changed.pop(DEBITS, None)
            return changed
        return item | {DEBITS: notes + self._debit(item, price)}

    def _close(self, swap: Swap) -> list[Doc]:
        """Credit, or bill the usage of, what an item was; return the debits that stay."""
        if swap.old is None:
            return []
        price = self._ctx.get("price", swap.old["price"])
        if lines.is_metered(price):
            if not (swap.clear_usage or (swap.new is None and not self._prorates)):
                self._bill_usage(swap.old, price)
            return []
        notes = debits_of(self._ctx, swap.old)
        if not self._prorates:
            return notes
        for credit in credits_from(notes, self._request.at_s):
            self._credit(swap.old, price, credit.amount, credit.source)
        return cut(notes, self._request.at_s)

    def _credit(self, item: Doc, price: Doc, amount: int, source: str) -> None:
        credited = texts.credited(self._ctx, self._subscription["id"], source)
        end_at = max(item["current_period_end"], self._request.at_s)
        self._charge(texts.unused(self._ctx, item, price, self._request.at_s), amount, (item, price), end_at, credited)

    def rest(self, item: Doc) -> tuple[Doc, list[Doc]]:
        """Charge an item for what is left of its period, unless that was paid; return it and the charge."""
        notes = [note for note in item.get(DEBITS, ()) if note["until"] > self._request.at_s]
        if not notes:
            notes = self._debit(item, self._ctx.get("price", item["price"]))
        return item | {DEBITS: notes}, self._charges

    def _debit(self, item: Doc, price: Doc) -> list[Doc]:
        if not self._prorates:
            return []
        start_at, end_at = _period(item)
        at_s = self._request.at_s
        line = whole_line(self._ctx, self._subscription, item, self._wanted)
        amount = share(reckon.net(line), end_at - at_s, end_at - start_at)
        text = texts.remaining(self._ctx, item, price, at_s)
        off = [
            one | {"amount": share(one["amount"], end_at - at_s, end_at - start_at)} for one in line["discount_amounts"]
        ]
        charge = self._charge(text, amount, (item, price), end_at, None, off)
        return [debit(amount, (at_s, end_at), charge["id"])]

    def _charge(
        self,
        text: str,
        amount: int,
        what: tuple[Doc, Doc],
        end_at: int,
        credited: Doc | None,
        off: list[Doc] | None = None,
    ) -> Doc:
        item, price = what
        charge = Charge(
            amount=amount,
            currency=price["currency"],
            description=text,
            period=(self._request.at_s, end_at),
            quantity=Decimal(item["quantity"]),
            price=price,
            item=item,
            proration=True,
            credited=credited,
            discount_amounts=off or [],
        )
        return self._keep(charge)

    def _bill_usage(self, item: Doc, price: Doc) -> None:
        """Flexible billing: usage is priced at the price in force when it happened; in a trial or pause it is free."""
        if self._subscription["status"] in _FREE:
            return
        line = lines.metered_line(self._ctx, item, price, lines.usage_period(item, self._request.at_s))
        if not Decimal(line["quantity_decimal"]):
            return
        charge = Charge(
            amount=line["amount"],
            currency=price["currency"],
            description=line["description"],
            period=(line["period"]["start"], line["period"]["end"]),
            quantity=Decimal(line["quantity_decimal"]),
            price=price,
            item=item,
        )
        self._keep(charge)

    def _keep(self, charge: Charge) -> Doc:
        at_s = self._ctx.now(self._subscription["test_clock"])
        self._charges.append(new_invoice_item(self._customer, charge, at_s))
        return self._charges[-1]


def rest_of_period(ctx: Context, subscription: Doc, item: Doc, at_s: int, *, prorates: bool) -> tuple[Doc, list[Doc]]:
    """Return an item that begins in mid period, and the invoice items of what is left of that period."""
    request = Request(items=[], behavior="create_prorations" if prorates else "none", at_s=at_s)
    return _Planner(ctx, subscription | {"status": "active"}, request).rest(item)


def whole_line(ctx: Context, subscription: Doc, item: Doc, wanted: list[Doc] | None) -> Doc:
    """Return the line of an item's whole period with the discounts that last, beside the other fixed items."""
    from stripe_sandbox.engine.renew import items_of

    at_s = ctx.now(subscription["test_clock"])
    found = []
    for one in [item, *(other for other in wanted or items_of(ctx, subscription["id"]) if other["id"] != item["id"])]:
        price = ctx.get("price", one["price"])
        if not lines.is_metered(price):
            found.append(lines.licensed_line(ctx, one, price))

    def offs(ids: list[str]) -> list[reckon.Off]:
        return discounts.offs(ctx, discounts.lasting(ctx, ids), subscription["currency"], at_s)

    return reckon.discount(found, lambda line: offs(line["discounts"]), offs(subscription["discounts"]))[0]


def running_period(ctx: Context, subscription: Doc, rhythm: tuple[str, int], at_s: int) -> tuple[int, int]:
    """Return the period around an instant: that of an item of the same rhythm, else counted from the anchor."""
    from stripe_sandbox.engine.renew import items_of

    for item in items_of(ctx, subscription["id"]):
        if _rhythm(ctx, item) == rhythm:
            return _period(item)
    anchor = subscription["billing_cycle_anchor"]
    return max(anchor, subscription["start_date"]), next_boundary(anchor, *rhythm, at_s)


def debits_of(ctx: Context, item: Doc) -> list[Doc]:
    """Return what was debited for an item's running period; by its price where no note was kept."""
    if DEBITS in item:
        return list(item[DEBITS])
    price = ctx.get("price", item["price"])
    whole = line_amount(Decimal(item["quantity"]), price["unit_amount_decimal"])
    return [debit(whole, _period(item), "")]


def _period(item: Doc) -> tuple[int, int]:
    return item["current_period_start"], item["current_period_end"]
