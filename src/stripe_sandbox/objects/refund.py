"""Refunds, balance transactions and disputes. Stripe: a refund does not change its invoice's status."""

from __future__ import annotations

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Call, Doc, Kind, Params
from stripe_sandbox.engine import movements
from stripe_sandbox.wire.errors import BadRequest, missing_param
from stripe_sandbox.wire.paging import Listing, answer_list, json_field
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import Choice, Integer, Metadata, Range, Text, Type, list_table, merge_metadata, table

KIND = Kind(
    name="refund",
    label="refund",
    parent=lambda refund: refund["charge"],
    expandable={
        "balance_transaction": "balance_transaction",
        "charge": "charge",
        "payment_intent": "payment_intent",
    },
)
TRANSACTION_KIND = Kind(
    name="balance_transaction", label="balance transaction", expandable={"source": ("charge", "refund")}
)
DISPUTE_KIND = Kind(
    name="dispute",
    label="dispute",
    parent=lambda dispute: dispute["charge"],
    expandable={"charge": "charge", "payment_intent": "payment_intent"},
)
CREATE = table(
    {
        "amount": Integer(minimum=1),
        "charge": Text(),
        "metadata": Metadata(),
        "payment_intent": Text(),
        "reason": Choice(words=("duplicate", "fraudulent", "requested_by_customer")),
    }
)
_FILTERS: dict[str, Type] = {"charge": Text(), "created": Range(), "payment_intent": Text()}
_BY_CHARGE = {"charge": "parent", "payment_intent": json_field("payment_intent")}


def _create(call: Call) -> Doc:
    ctx, sent = call.ctx, call.params
    charge = _charge(ctx, sent)
    rest = charge["amount"] - charge["amount_refunded"]
    if not charge["paid"] or rest == 0:
        message = f"Charge {charge['id']} has already been refunded or was never paid."
        raise BadRequest(message, code="charge_already_refunded")
    amount = sent.get("amount", rest)
    if amount > rest:
        raise BadRequest(f"Refund amount ({amount}) is greater than unrefunded amount ({rest}).", param="amount")
    return movements.refund(ctx, charge, amount, sent)


def _charge(ctx: Context, sent: Params) -> Doc:
    if "charge" in sent:
        return ctx.get("charge", sent["charge"], "charge")
    if "payment_intent" not in sent:
        raise missing_param("charge")
    intent = ctx.get("payment_intent", sent["payment_intent"], "payment_intent")
    if intent["latest_charge"] is None:
        raise BadRequest("This PaymentIntent does not have a successful charge to refund.", param="payment_intent")
    return ctx.get("charge", intent["latest_charge"])


def _update(call: Call) -> Doc:
    refund = call.ctx.get("refund", call.ids[0])
    if "metadata" in call.params:
        refund["metadata"] = merge_metadata(refund["metadata"], call.params["metadata"])
    return call.ctx.update(refund, "refund.updated")


def _get(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get("refund", call.ids[0]))


def _list(call: Call) -> Doc:
    return answer_list(
        call, Listing(kind="refund", url="/v1/refunds", equals=_BY_CHARGE, ranges={"created": "created"})
    )


def _get_transaction(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get("balance_transaction", call.ids[0]))


def _list_transactions(call: Call) -> Doc:
    equals = {name: json_field(name) for name in ("currency", "source", "type")}
    url = "/v1/balance_transactions"
    return answer_list(call, Listing(kind="balance_transaction", url=url, equals=equals, ranges={"created": "created"}))


def _get_dispute(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get("dispute", call.ids[0]))


def _list_disputes(call: Call) -> Doc:
    url = "/v1/disputes"
    return answer_list(call, Listing(kind="dispute", url=url, equals=_BY_CHARGE, ranges={"created": "created"}))


_TRANSACTIONS = list_table({"created": Range(), "currency": Text(), "source": Text(), "type": Text()})
ENDPOINTS = (
    Endpoint("POST", "/v1/refunds", CREATE, _create),
    Endpoint("GET", "/v1/refunds", list_table(_FILTERS), _list),
    Endpoint("GET", "/v1/refunds/*", table(), _get),
    Endpoint("POST", "/v1/refunds/*", table({"metadata": Metadata()}), _update),
    Endpoint("GET", "/v1/balance_transactions", _TRANSACTIONS, _list_transactions),
    Endpoint("GET", "/v1/balance_transactions/*", table(), _get_transaction),
    Endpoint("GET", "/v1/disputes", list_table(_FILTERS), _list_disputes),
    Endpoint("GET", "/v1/disputes/*", table(), _get_dispute),
)
