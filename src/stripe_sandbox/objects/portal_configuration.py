"""Portal configurations: what a customer may do in the portal. Every account has a default one from the start."""

from __future__ import annotations

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Call, Doc, Kind, Params, new_id
from stripe_sandbox.store import Page
from stripe_sandbox.wire.errors import BadRequest, not_simulated
from stripe_sandbox.wire.paging import Listing, answer_list, json_field
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import (
    ANYTHING,
    Array,
    Boolean,
    Choice,
    Hash,
    Integer,
    Metadata,
    NotSimulated,
    Text,
    Type,
    list_table,
    merge_metadata,
    table,
)

NAME = "billing_portal.configuration"
KIND = Kind(name=NAME, label="billing portal configuration")
REASONS = (
    "customer_service",
    "low_quality",
    "missing_features",
    "other",
    "switched_service",
    "too_complex",
    "too_expensive",
    "unused",
)
_URL = "/v1/billing_portal/configurations"
_PRORATIONS = ("always_invoice", "create_prorations", "none")
_UPDATES = ("address", "email", "name", "phone", "shipping", "tax_id")
_MAX_PRODUCTS = 10
_ADDRESS = Text(pattern=r"https?://[^\s]+", code="url_invalid", clearable=True)
_REASON = Hash(
    fields={
        "enabled": Boolean(),
        "feedback_options": NotSimulated(("",)),
        "options": Array(Choice(words=REASONS), clearable=True),
    },
    required=("enabled",),
)
_PRODUCT = Hash(
    fields={
        "adjustable_quantity": Hash(
            fields={"enabled": Boolean(), "maximum": Integer(minimum=1), "minimum": Integer(minimum=0)}
        ),
        "prices": Array(Text()),
        "product": Text(),
    },
    required=("prices", "product"),
)
_CONDITIONS = Array(
    Hash(fields={"type": Choice(words=("decreasing_item_amount", "shortening_interval"))}, required=("type",)),
    clearable=True,
)
_PAUSE = Hash(fields={"enabled": Boolean(), "duration": NotSimulated()})
_FEATURES: dict[str, Type] = {
    "customer_update": Hash(
        fields={"allowed_updates": Array(Choice(words=_UPDATES), clearable=True), "enabled": Boolean()}
    ),
    "invoice_history": Hash(fields={"enabled": Boolean()}, required=("enabled",)),
    "payment_method_update": Hash(
        fields={"enabled": Boolean(), "payment_method_configuration": NotSimulated(("",))}, required=("enabled",)
    ),
    "subscription_cancel": Hash(
        fields={
            "cancellation_reason": _REASON,
            "enabled": Boolean(),
            "mode": Choice(words=("at_period_end", "immediately")),
            "proration_behavior": Choice(words=_PRORATIONS),
        }
    ),
    "subscription_pause": _PAUSE,
    "subscription_update": Hash(
        fields={
            "billing_cycle_anchor": Choice(words=("now", "unchanged")),
            "default_allowed_updates": Array(Choice(words=("price", "promotion_code", "quantity")), clearable=True),
            "enabled": Boolean(),
            "products": Array(_PRODUCT, _MAX_PRODUCTS, clearable=True),
            "proration_behavior": Choice(words=_PRORATIONS),
            "schedule_at_period_end": Hash(fields={"conditions": _CONDITIONS}),
            "trial_update_behavior": Choice(words=("continue_trial", "end_trial")),
        }
    ),
}
_FIELDS: dict[str, Type] = {
    "business_profile": Hash(
        fields={"headline": ANYTHING, "privacy_policy_url": _ADDRESS, "terms_of_service_url": _ADDRESS}
    ),
    "default_return_url": _ADDRESS,
    "features": Hash(fields=_FEATURES),
    "login_page": Hash(fields={"enabled": NotSimulated(("false",))}, required=("enabled",)),
    "metadata": Metadata(),
    "name": Text(max_length=100, clearable=True),
}
CREATE = table(_FIELDS, ("features",))
UPDATE = table({**_FIELDS, "active": Boolean()})
_LISTING = Listing(kind=NAME, url=_URL, equals={"active": json_field("active"), "is_default": json_field("is_default")})


def _off() -> Doc:
    """Return every feature switched off, with Stripe's defaults inside."""
    return {
        "customer_update": {"allowed_updates": [], "enabled": False},
        "invoice_history": {"enabled": False},
        "payment_method_update": {"enabled": False, "payment_method_configuration": None},
        "subscription_cancel": {
            "cancellation_reason": {"enabled": False, "feedback_options": None, "options": list(REASONS)},
            "enabled": False,
            "mode": "at_period_end",
            "proration_behavior": "none",
        },
        "subscription_pause": {"duration": {"interval_options": [], "type": "indefinite"}, "enabled": False},
        "subscription_update": {
            "billing_cycle_anchor": "unchanged",
            "default_allowed_updates": [],
            "enabled": False,
            "products": None,
            "proration_behavior": "none",
            "schedule_at_period_end": {"conditions": []},
            "trial_update_behavior": "end_trial",
        },
    }


def default(ctx: Context) -> Doc:
    """Return the account's default configuration, making it when it is first needed."""
    found = ctx.select(Page(kind=NAME, conditions=(f"{json_field('is_default')}=1",), limit=1))
    if found:
        return found[0]
    configuration = _new(ctx.now()) | {"is_default": True}
    features = configuration["features"]
    for name in ("invoice_history", "payment_method_update", "subscription_cancel", "customer_update"):
        features[name]["enabled"] = True
    features["customer_update"]["allowed_updates"] = ["email", "address", "name", "phone", "tax_id"]
    features["subscription_cancel"]["cancellation_reason"]["enabled"] = True
    ctx.write(configuration)
    return configuration


def _new(now_s: int) -> Doc:
    return {
        "id": new_id("bpc"),
        "object": NAME,
        "active": True,
        "application": None,
        "business_profile": dict.fromkeys(("headline", "privacy_policy_url", "terms_of_service_url")),
        "created": now_s,
        "default_return_url": None,
        "features": _off(),
        "is_default": False,
        "livemode": False,
        "login_page": {"enabled": False, "url": None},
        "metadata": {},
        "name": None,
        "updated": now_s,
    }


def _apply(ctx: Context, configuration: Doc, sent: Params) -> None:
    configuration |= {name: sent[name] for name in ("default_return_url", "name", "active") if name in sent}
    if "metadata" in sent:
        configuration["metadata"] = merge_metadata(configuration["metadata"], sent["metadata"])
    configuration["business_profile"] = configuration["business_profile"] | (sent.get("business_profile") or {})
    for name, fields in (sent.get("features") or {}).items():
        configuration["features"][name] = _feature(configuration["features"][name], fields)
    _check(ctx, configuration["features"])


def _feature(old: Doc, sent: Params) -> Doc:
    merged = dict(old)
    for name, value in sent.items():
        nested = isinstance(value, dict) and isinstance(old.get(name), dict)
        merged[name] = old[name] | value if nested else value
        if value is None:
            merged[name] = []
    return merged


def _check(ctx: Context, features: Doc) -> None:
    if features["subscription_pause"]["enabled"]:
        raise not_simulated("pausing in the portal", "features[subscription_pause][enabled]")
    for index, product in enumerate(features["subscription_update"]["products"] or []):
        where = f"features[subscription_update][products][{index}]"
        ctx.get("product", product["product"], f"{where}[product]")
        for position, price in enumerate(product["prices"]):
            ctx.get("price", price, f"{where}[prices][{position}]")
        product.setdefault("adjustable_quantity", {"enabled": False, "maximum": None, "minimum": 0})


def _create(call: Call) -> Doc:
    ctx = call.ctx
    default(ctx)
    configuration = _new(ctx.now())
    _apply(ctx, configuration, call.params)
    return ctx.add(configuration, "billing_portal.configuration.created")


def _update(call: Call) -> Doc:
    ctx = call.ctx
    configuration = ctx.get(NAME, call.ids[0])
    if configuration["is_default"] and call.params.get("active") is False:
        raise BadRequest("The default configuration cannot be deactivated.", param="active")
    _apply(ctx, configuration, call.params)
    configuration["updated"] = ctx.now()
    return ctx.update(configuration, "billing_portal.configuration.updated")


def _get(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get(NAME, call.ids[0]))


def _list(call: Call) -> Doc:
    default(call.ctx)
    return answer_list(call, _LISTING)


ENDPOINTS = (
    Endpoint("POST", _URL, CREATE, _create),
    Endpoint("GET", _URL, list_table({"active": Boolean(), "is_default": Boolean()}), _list),
    Endpoint("GET", f"{_URL}/*", table(), _get),
    Endpoint("POST", f"{_URL}/*", UPDATE, _update),
)
