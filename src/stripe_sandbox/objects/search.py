"""Searching what Stripe lets one search. There an index lags behind by up to a minute; here it never does."""

from __future__ import annotations

import re
from functools import partial

from stripe_sandbox.documents import Call, Doc
from stripe_sandbox.store import Page
from stripe_sandbox.wire import search
from stripe_sandbox.wire.errors import BadRequest
from stripe_sandbox.wire.paging import NOT_DELETED, page_size
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import Integer, Text, table
from stripe_sandbox.wire.search import Field, Searchable

_TOKEN = re.compile(r"(\d{1,12})x(\d{1,18})")
_TEXT, _WORD, _NUMBER = Field(kind="text"), Field(kind="token"), Field(kind="number")
_CARD = "payment_method_details.card"
_ALL: dict[str, Field] = {"metadata": _TEXT}
_MONEY = {"created": _NUMBER, "currency": _WORD, "customer": _WORD, "status": _WORD}
SEARCH = table({"query": Text(), "limit": Integer(), "page": Text(max_length=100)}, ("query",))
_SEARCHED = (
    Searchable(
        kind="charge",
        url="/v1/charges/search",
        fields=_ALL
        | _MONEY
        | {"amount": _NUMBER, "disputed": _WORD, "refunded": _WORD, f"{_CARD}.brand": _WORD, f"{_CARD}.last4": _WORD}
        | {f"{_CARD}.exp_month": _NUMBER, f"{_CARD}.exp_year": _NUMBER, f"{_CARD}.fingerprint": _WORD}
        | {"billing_details.address.postal_code": _WORD},
    ),
    Searchable(
        kind="customer",
        url="/v1/customers/search",
        fields=_ALL | {"created": _NUMBER, "email": _TEXT, "name": _TEXT, "phone": _TEXT},
    ),
    Searchable(
        kind="invoice",
        url="/v1/invoices/search",
        fields=_ALL
        | _MONEY
        | {"number": _TEXT, "receipt_number": _TEXT, "total": _NUMBER}
        | {"subscription": Field(kind="token", path="parent.subscription_details.subscription")}
        | {"last_finalization_error_code": Field(kind="token", path="last_finalization_error.code")}
        | {"last_finalization_error_type": Field(kind="token", path="last_finalization_error.type")},
    ),
    Searchable(kind="payment_intent", url="/v1/payment_intents/search", fields=_ALL | _MONEY | {"amount": _NUMBER}),
    Searchable(
        kind="price",
        url="/v1/prices/search",
        fields=_ALL | dict.fromkeys(("active", "currency", "lookup_key", "product", "type"), _WORD),
    ),
    Searchable(
        kind="product",
        url="/v1/products/search",
        fields=_ALL | {"active": _WORD, "description": _TEXT, "name": _TEXT, "shippable": _WORD, "url": _TEXT},
    ),
    Searchable(
        kind="subscription",
        url="/v1/subscriptions/search",
        fields=_ALL | {"canceled_at": _NUMBER, "created": _NUMBER, "status": _WORD},
    ),
)


def _search(of: Searchable, call: Call) -> Doc:
    """Return one page, newest first."""
    ctx, sent = call.ctx, call.params
    condition, arguments = search.where(sent["query"], of)
    conditions: tuple[str, ...] = (NOT_DELETED, condition)
    if "page" in sent:
        token = _TOKEN.fullmatch(sent["page"])
        if token is None:
            raise BadRequest("Invalid page token: take it from next_page of an earlier answer.", param="page")
        conditions += ("(created, seq) < (?, ?)",)
        arguments += (int(token[1]), int(token[2]))
    limit = page_size(sent)
    found = ctx.select(Page(kind=of.kind, conditions=conditions, arguments=arguments, limit=limit + 1))
    data, more = found[:limit], len(found) > limit
    created, seq = (ctx.store.place(ctx.account, of.kind, data[-1]["id"]) if more else None) or (0, 0)
    return {
        "object": "search_result",
        "data": [ctx.shown(doc) for doc in data],
        "has_more": more,
        "next_page": f"{created}x{seq}" if more else None,
        "url": of.url,
    }


ENDPOINTS = tuple(Endpoint("GET", of.url, SEARCH, partial(_search, of)) for of in _SEARCHED)
