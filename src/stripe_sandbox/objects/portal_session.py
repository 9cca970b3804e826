"""Portal sessions: one short-lived address that logs a customer in once, perhaps straight into one flow.

Stripe: the address is meant to be used at once; it works minutes, and one time. What it opens lasts an hour here.
Both are counted in real time, whatever the account's clock says.
"""

from __future__ import annotations

from stripe_sandbox.clock import HOUR_S, wall_s
from stripe_sandbox.context import Context
from stripe_sandbox.documents import Call, Doc, Kind, Params, new_id, public, random_text
from stripe_sandbox.engine.renew import items_of
from stripe_sandbox.objects import portal_configuration
from stripe_sandbox.wire.errors import BadRequest, StripeError, missing_param, not_simulated
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import Array, Choice, Hash, Integer, NotSimulated, Text, table

NAME = "billing_portal.session"
LINK_LIFE_S = 300
LOGIN_LIFE_S = HOUR_S
_TOKEN_LENGTH = 40
_URL = "/v1/billing_portal/sessions"
_FLOWS = (
    "customer_update",
    "payment_method_update",
    "subscription_cancel",
    "subscription_pause",
    "subscription_update",
    "subscription_update_confirm",
)
_FEATURE_OF = {"subscription_update_confirm": "subscription_update"}
_ENDED = frozenset({"canceled", "incomplete_expired"})
_ADDRESS = Text(pattern=r"https?://[^\s]+", code="url_invalid")
_AFTER = Hash(
    fields={
        "hosted_confirmation": Hash(fields={"custom_message": Text(max_length=500)}),
        "redirect": Hash(fields={"return_url": _ADDRESS}, required=("return_url",)),
        "type": Choice(words=("hosted_confirmation", "portal_homepage", "redirect")),
    },
    required=("type",),
)
_ITEM = Hash(
    fields={"id": Text(), "price": Text(), "quantity": Integer(minimum=0, maximum=999_999_999)}, required=("id",)
)
_DISCOUNTS = Array(Hash(fields={"coupon": Text(), "promotion_code": Text()}), 1)
_FLOW = Hash(
    fields={
        "after_completion": _AFTER,
        "subscription_cancel": Hash(
            fields={"retention": NotSimulated(), "subscription": Text()}, required=("subscription",)
        ),
        "subscription_pause": NotSimulated(),
        "subscription_update": Hash(fields={"subscription": Text()}, required=("subscription",)),
        "subscription_update_confirm": Hash(
            fields={"discounts": _DISCOUNTS, "items": Array(_ITEM, 1), "subscription": Text()},
            required=("items", "subscription"),
        ),
        "type": Choice(words=_FLOWS),
    },
    required=("type",),
)
CREATE = table(
    {
        "after_expiration": NotSimulated(),
        "configuration": Text(),
        "customer": Text(),
        "customer_account": NotSimulated(),
        "flow_data": _FLOW,
        "locale": Text(max_length=10),
        "on_behalf_of": NotSimulated(),
        "return_url": _ADDRESS,
    }
)


def show_session(ctx: Context, session: Doc) -> Doc:
    """Return a session with its address."""
    url = f"{ctx.store.origin}/p/session/{ctx.account}/{session['id']}/{session['_token']}"
    return public(session) | {"url": url}


KIND = Kind(
    name=NAME,
    label="billing portal session",
    render=show_session,
    expandable={"configuration": portal_configuration.NAME},
)


def _create(call: Call) -> Doc:
    ctx, sent = call.ctx, call.params
    if "customer" not in sent:
        raise missing_param("customer")
    customer = ctx.get("customer", sent["customer"], "customer")
    configuration = _configuration(ctx, sent)
    session: Doc = {
        "id": new_id("bps"),
        "object": NAME,
        "after_expiration": None,
        "configuration": configuration["id"],
        "created": ctx.now(),
        "customer": customer["id"],
        "customer_account": None,
        "flow": _flow(ctx, customer, configuration, sent["flow_data"]) if "flow_data" in sent else None,
        "livemode": False,
        "locale": sent.get("locale"),
        "on_behalf_of": None,
        "return_url": sent.get("return_url") or configuration["default_return_url"],
        "_token": random_text(_TOKEN_LENGTH),
        "_login": random_text(_TOKEN_LENGTH),
        "_made_at": wall_s(),
        "_opened_at": None,
    }
    return ctx.add(session, "billing_portal.session.created")


def _configuration(ctx: Context, sent: Params) -> Doc:
    if "configuration" not in sent:
        return portal_configuration.default(ctx)
    configuration = ctx.get(portal_configuration.NAME, sent["configuration"], "configuration")
    if not configuration["active"]:
        raise BadRequest("This portal configuration is not active.", param="configuration")
    return configuration


def _flow(ctx: Context, customer: Doc, configuration: Doc, sent: Params) -> Doc:
    kind = sent["type"]
    if kind == "subscription_pause":
        raise not_simulated(f"the portal flow {kind}", "flow_data[type]")
    feature = _FEATURE_OF.get(kind, kind)
    if not configuration["features"][feature]["enabled"]:
        raise BadRequest(
            f"The portal flow {kind} needs the feature {feature}, which the portal configuration has switched off.",
            param="flow_data[type]",
        )
    details = sent.get(kind)
    if kind.startswith("subscription"):
        if details is None:
            raise missing_param(f"flow_data[{kind}]")
        _check_subscription(ctx, customer, kind, details)
    if kind == "subscription_update_confirm":
        details = {"discounts": None} | (details or {})
        _check_update(ctx, configuration, details)
        details["discounts"] = _discounts(ctx, details["discounts"])
    elif kind == "subscription_update":
        _check_changeable(ctx, configuration, (details or {})["subscription"])
    elif kind == "subscription_cancel":
        details = (details or {}) | {"retention": None}
    flow: Doc = {"type": kind, "after_completion": _after(sent.get("after_completion"))}
    return (
        flow
        | dict.fromkeys(name for name in _FLOWS if name != "payment_method_update")
        | ({kind: details} if details else {})
    )


def _after(sent: Params | None) -> Doc:
    sent = sent or {"type": "portal_homepage"}
    if sent["type"] == "redirect" and "redirect" not in sent:
        raise missing_param("flow_data[after_completion][redirect]")
    confirmation = sent.get("hosted_confirmation")
    return {
        "hosted_confirmation": None if confirmation is None else {"custom_message": None} | confirmation,
        "redirect": sent.get("redirect"),
        "type": sent["type"],
    }


def _check_subscription(ctx: Context, customer: Doc, kind: str, details: Params) -> None:
    where = f"flow_data[{kind}][subscription]"
    subscription = ctx.get("subscription", details["subscription"], where)
    if subscription["customer"] != customer["id"]:
        raise BadRequest("This subscription belongs to another customer.", param=where)
    if subscription["status"] in _ENDED:
        raise BadRequest("This subscription has ended and cannot change any more.", param=where)
    if kind == "subscription_cancel" and subscription["cancel_at"] is not None:
        raise BadRequest("This subscription is already set to be canceled.", param=where)


def _check_changeable(ctx: Context, configuration: Doc, subscription_id: str) -> None:
    where = "flow_data[subscription_update][subscription]"
    if not configuration["features"]["subscription_update"]["products"]:
        raise BadRequest("The portal configuration offers no products to change to.", param="flow_data[type]")
    if len(items_of(ctx, subscription_id)) > 1:
        raise _several(where)
    subscription = ctx.get("subscription", subscription_id)
    if subscription["schedule"] or subscription["cancel_at"]:
        message = "This subscription cannot be updated because it is set to change or to be canceled."
        raise BadRequest(message, param=where)


def _several(where: str) -> StripeError:
    return BadRequest("A subscription with several items cannot be updated in the portal.", param=where)


def _discounts(ctx: Context, sent: list[Params] | None) -> list[Doc] | None:
    """Return the discounts of a prepared change as the session shows them."""
    where = "flow_data[subscription_update_confirm][discounts][0]"
    for wish in sent or []:
        if ("coupon" in wish) == ("promotion_code" in wish):
            message = "You may only give one of these parameters: coupon, promotion_code."
            raise BadRequest(message, code="parameters_exclusive", param=where)
        for kind, object_id in wish.items():
            ctx.get(kind, object_id, f"{where}[{kind}]")
    return None if sent is None else [{"coupon": None, "promotion_code": None} | wish for wish in sent]


def _check_update(ctx: Context, configuration: Doc, details: Params) -> None:
    where = "flow_data[subscription_update_confirm][items][0]"
    if not details["items"]:
        raise missing_param("flow_data[subscription_update_confirm][items]")
    items = items_of(ctx, details["subscription"])
    if len(items) > 1:
        raise _several(where)
    sent = details["items"][0]
    if sent["id"] != items[0]["id"]:
        raise BadRequest(f"Invalid subscription_item id: {sent['id']}", param=f"{where}[id]")
    if "price" in sent:
        ctx.get("price", sent["price"], f"{where}[price]")
        offered = [
            price
            for product in configuration["features"]["subscription_update"]["products"] or []
            for price in product["prices"]
        ]
        if sent["price"] not in offered:
            raise BadRequest("The portal configuration does not offer this price.", param=f"{where}[price]")


ENDPOINTS = (Endpoint("POST", _URL, CREATE, _create),)
