"""Credit notes: of an invoice's lines, of lines of their own, or of one amount; previewed by what makes them."""

from __future__ import annotations

from decimal import Decimal

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Call, Doc, Kind, Params, list_of, new_id, public, random_text
from stripe_sandbox.engine import credit_notes, reckon, taxes
from stripe_sandbox.engine.amounts import line_amount, plain
from stripe_sandbox.engine.credit_notes import GiveBack
from stripe_sandbox.objects.tax_rate import RATES
from stripe_sandbox.wire.errors import BadRequest, missing_param
from stripe_sandbox.wire.paging import Listing, answer_list, slice_list
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import (
    Array,
    Choice,
    Hash,
    Integer,
    Metadata,
    NotSimulated,
    Number,
    Range,
    Text,
    Type,
    list_table,
    merge_metadata,
    table,
)

_URL = "/v1/credit_notes"
_MAX_MINOR = 99_999_999_999
_EMBEDDED_LINES = 10
_TOKEN_LENGTH = 32
_MINOR = Integer(minimum=0, maximum=_MAX_MINOR)
_LINE = Hash(
    fields={
        "amount": _MINOR,
        "description": Text(),
        "invoice_line_item": Text(),
        "metadata": Metadata(),
        "quantity": Integer(minimum=1),
        "tax_amounts": NotSimulated(("",)),
        "tax_rates": RATES,
        "type": Choice(words=("custom_line_item", "invoice_line_item")),
        "unit_amount": _MINOR,
        "unit_amount_decimal": Number(minimum=Decimal(0)),
    },
    required=("type",),
)
_REFUND = Hash(
    fields={
        "amount_refunded": Integer(minimum=1),
        "payment_record_refund": NotSimulated(),
        "refund": Text(),
        "type": NotSimulated(("refund",)),
    }
)
_FIELDS: dict[str, Type] = {
    "amount": Integer(minimum=1, maximum=_MAX_MINOR),
    "credit_amount": _MINOR,
    "effective_at": Integer(minimum=1),
    "email_type": Choice(words=("credit_note", "none")),
    "invoice": Text(),
    "lines": Array(_LINE),
    "memo": Text(),
    "metadata": Metadata(),
    "out_of_band_amount": _MINOR,
    "reason": Choice(words=("duplicate", "fraudulent", "order_change", "product_unsatisfactory")),
    "refund_amount": _MINOR,
    "refunds": Array(_REFUND),
    "shipping_cost": NotSimulated(),
}
CREATE = table(_FIELDS, ("invoice",))
PREVIEW_LINES = list_table(_FIELDS, ("invoice",))
UPDATE = table({"memo": Text(), "metadata": Metadata()})
_LISTING = Listing(
    kind=credit_notes.KIND,
    url=_URL,
    equals={"customer": "customer", "invoice": "parent"},
    ranges={"created": "created"},
)


def show_note(ctx: Context, note: Doc) -> Doc:
    """Return a note with its first lines and the address of its file."""
    lines = [public(line) for line in note["_lines"]]
    embedded = list_of(f"{_URL}/{note['id']}/lines", lines[:_EMBEDDED_LINES], has_more=len(lines) > _EMBEDDED_LINES)
    page = f"{ctx.store.origin}/cn/{ctx.account}/{note['id']}/{note['_token']}/pdf"
    return public(note) | {"lines": embedded, "pdf": page}


KIND = Kind(
    name=credit_notes.KIND,
    label="credit note",
    parent=lambda note: note["invoice"],
    render=show_note,
    expandable={
        "customer": "customer",
        "customer_balance_transaction": "customer_balance_transaction",
        "invoice": "invoice",
    },
)


def _create(call: Call) -> Doc:
    ctx, sent = call.ctx, call.params
    invoice = ctx.get("invoice", sent["invoice"], "invoice")
    if invoice["status"] not in {"open", "paid", "uncollectible"}:
        raise BadRequest("Only a finalized invoice that is not void can be credited.", param="invoice")
    note = _new(ctx, invoice, sent, _lines(ctx, invoice, sent))
    room = invoice["total"] - sum(one["total"] for one in credit_notes.issued_of(ctx, invoice["id"]))
    if not 0 < note["total"] <= room:
        message = f"The credit note of {note['total']} must be above 0 and at most {room}, what is left of the invoice."
        raise BadRequest(message, param="amount")
    back = _give_back(ctx, sent)
    if back.total != note["post_payment_amount"]:
        raise BadRequest(
            f"The sum of credit amount, refund amount and out of band amount ({back.total}) must equal the post"
            f" payment amount ({note['post_payment_amount']})."
        )
    return credit_notes.carry_out(ctx, note, invoice, back)


def _lines(ctx: Context, invoice: Doc, sent: Params) -> list[Doc]:
    if ("lines" in sent) == ("amount" in sent):
        given = {"refund_amount", "credit_amount", "out_of_band_amount"} & set(sent)
        if "lines" in sent or not given:
            message = "You must give either lines or amount."
            raise BadRequest(message, code="parameters_exclusive", param="lines")
        total = sum(sent[name] for name in given)
        return [_custom(ctx, {"unit_amount": total}, invoice, "amount")]
    if "amount" in sent:
        return [_custom(ctx, {"unit_amount": sent["amount"]}, invoice, "amount")]
    return [_line(ctx, invoice, wish, f"lines[{index}]") for index, wish in enumerate(sent["lines"])]


def _line(ctx: Context, invoice: Doc, wish: Params, where: str) -> Doc:
    if wish["type"] == "custom_line_item":
        return _custom(ctx, wish, invoice, where)
    if "invoice_line_item" not in wish:
        raise missing_param(f"{where}[invoice_line_item]")
    line = next((one for one in invoice["_lines"] if one["id"] == wish["invoice_line_item"]), None)
    if line is None:
        raise BadRequest("The invoice has no such line.", code="resource_missing", param=f"{where}[invoice_line_item]")
    if ("amount" in wish) == ("quantity" in wish):
        raise BadRequest("Give either the amount or the quantity to credit.", param=f"{where}[amount]")
    unit = line["pricing"]["unit_amount_decimal"] if line["pricing"] else str(line["amount"])
    amount = wish["amount"] if "amount" in wish else line_amount(Decimal(wish["quantity"]), unit)
    known = credit_notes.issued_of(ctx, invoice["id"])
    earlier = [one for note in known for one in note["_lines"] if one.get("invoice_line_item") == line["id"]]
    left = line["amount"] - sum(one["amount"] for one in earlier)
    if not 0 < amount <= left:
        message = f"At most {left} of this line can be credited."
        raise BadRequest(message, param=f"{where}[amount]")
    return _shaped(credit_notes.credited_line(line, amount, earlier), wish, "invoice_line_item")


def _custom(ctx: Context, wish: Params, invoice: Doc, where: str) -> Doc:
    unit = wish.get("unit_amount_decimal", wish.get("unit_amount"))
    if unit is None:
        raise missing_param(f"{where}[unit_amount]")
    line = {"amount": line_amount(Decimal(wish.get("quantity", 1)), str(unit)), "discount_amounts": [], "_own_off": 0}
    ids = taxes.check_rates(ctx, wish.get("tax_rates"), f"{where}[tax_rates]")
    own: Doc = {"_tax_rates": ids, "pricing": None}
    rates = taxes.of_line(ctx, invoice | {"default_tax_rates": []}, own) if ids else []
    found = reckon.tax(line, rates) | {"description": wish.get("description")}
    shown = {"quantity": wish.get("quantity", 1), "unit_amount": int(unit), "unit_amount_decimal": plain(Decimal(unit))}
    return _shaped(found, wish, "custom_line_item") | shown | {"tax_rates": taxes.shown_rates(ctx, ids)}


def _shaped(line: Doc, wish: Params, kind: str) -> Doc:
    return {
        "id": new_id("cnli"),
        "object": "credit_note_line_item",
        "discount_amount": sum(one["amount"] for one in line["discount_amounts"]),
        "livemode": False,
        "metadata": wish.get("metadata") or {},
        "pretax_credit_amounts": reckon.pretax(line["discount_amounts"]),
        "quantity": wish.get("quantity"),
        "tax_rates": [],
        "type": kind,
        "unit_amount": None,
        "unit_amount_decimal": None,
    } | line


def _give_back(ctx: Context, sent: Params) -> GiveBack:
    refunds = []
    for index, wish in enumerate(sent.get("refunds") or []):
        if "refund" not in wish:
            raise missing_param(f"refunds[{index}][refund]")
        refund = ctx.get("refund", wish["refund"], f"refunds[{index}][refund]")
        refunds.append(credit_notes.refund_entry(refund["id"], wish.get("amount_refunded", refund["amount"])))
    names = {"refund": "refund_amount", "credit": "credit_amount", "outside": "out_of_band_amount"}
    return GiveBack(refunds=refunds, **{name: sent.get(param, 0) for name, param in names.items()})


def _new(ctx: Context, invoice: Doc, sent: Params, lines: list[Doc]) -> Doc:
    sums = credit_notes.summed(lines)
    before, after = credit_notes.split(invoice, sums["total"])
    kind = "mixed" if before and after else "post_payment" if after else "pre_payment"
    now_s = ctx.now(invoice["test_clock"])
    count = len(ctx.children(credit_notes.KIND, invoice["id"])) + 1
    return sums | {
        "id": new_id("cn"),
        "object": credit_notes.KIND,
        "amount_shipping": 0,
        "created": now_s,
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "customer_account": None,
        "customer_balance_transaction": None,
        "effective_at": sent.get("effective_at", now_s),
        "invoice": invoice["id"],
        "livemode": False,
        "memo": sent.get("memo"),
        "metadata": merge_metadata({}, sent.get("metadata", {})),
        "number": f"{invoice['number']}-CN-{count:02d}",
        "out_of_band_amount": sent.get("out_of_band_amount"),
        "post_payment_amount": after,
        "pre_payment_amount": before,
        "reason": sent.get("reason"),
        "refunds": [],
        "shipping_cost": None,
        "status": "issued",
        "type": kind,
        "voided_at": None,
        "_lines": lines,
        "_token": random_text(_TOKEN_LENGTH),
    }


def _preview(call: Call) -> Doc:
    """Make the note and undo it."""
    with call.ctx.store.rehearsal():
        return _create(call)


def _preview_lines(call: Call) -> Doc:
    with call.ctx.store.rehearsal():
        made = call.ctx.get(credit_notes.KIND, _create(call)["id"])
    return slice_list(f"{_URL}/preview/lines", [public(line) for line in made["_lines"]], call.params)


def _get(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get(credit_notes.KIND, call.ids[0]))


def _update(call: Call) -> Doc:
    note, sent = call.ctx.get(credit_notes.KIND, call.ids[0]), call.params
    if "memo" in sent:
        note["memo"] = sent["memo"]
    if "metadata" in sent:
        note["metadata"] = merge_metadata(note["metadata"], sent["metadata"])
    return call.ctx.update(note, "credit_note.updated")


def _void(call: Call) -> Doc:
    return credit_notes.void(call.ctx, call.ctx.get(credit_notes.KIND, call.ids[0]))


def _note_lines(call: Call) -> Doc:
    note = call.ctx.get(credit_notes.KIND, call.ids[0])
    return slice_list(f"{_URL}/{note['id']}/lines", [public(line) for line in note["_lines"]], call.params)


def _list(call: Call) -> Doc:
    return answer_list(call, _LISTING)


ENDPOINTS = (
    Endpoint("POST", _URL, CREATE, _create),
    Endpoint("GET", _URL, list_table({"created": Range(), "customer": Text(), "invoice": Text()}), _list),
    Endpoint("GET", f"{_URL}/preview", CREATE, _preview),
    Endpoint("GET", f"{_URL}/preview/lines", PREVIEW_LINES, _preview_lines),
    Endpoint("GET", f"{_URL}/*", table(), _get),
    Endpoint("POST", f"{_URL}/*", UPDATE, _update),
    Endpoint("GET", f"{_URL}/*/lines", list_table(), _note_lines),
    Endpoint("POST", f"{_URL}/*/void", table(), _void),
)
