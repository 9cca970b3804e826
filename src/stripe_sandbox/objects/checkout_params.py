"""What callers may send about a checkout session, and the checks of one session's lines and addresses."""

from __future__ import annotations

from stripe_sandbox.clock import DAY_S, HOUR_S
from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc, Params
from stripe_sandbox.objects import subscription_params
from stripe_sandbox.objects.tax_rate import RATES
from stripe_sandbox.wire.errors import BadRequest, missing_param, not_simulated
from stripe_sandbox.wire.schema import (
    Array,
    Boolean,
    Choice,
    Hash,
    Integer,
    Metadata,
    NotSimulated,
    Range,
    Text,
    Type,
    list_table,
    table,
)

MODES = ("payment", "setup", "subscription")
UI_MODES = ("elements", "embedded_page", "form", "hosted_page")
DEFAULT_LIFE_S = DAY_S
_SHORTEST_LIFE_S = HOUR_S // 2
MAX_LINES = 40
_MAX_OF_A_KIND = 20
_ADDRESS = r"https?://[^\s]+"
_ENABLED = Hash(fields={"enabled": Boolean()}, required=("enabled",))
_OFF = Hash(fields={"enabled": NotSimulated(("false",)), "liability": NotSimulated()})
_OF_SUBSCRIPTION = (
    "billing_cycle_anchor",
    "billing_mode",
    "default_tax_rates",
    "description",
    "proration_behavior",
    "trial_end",
    "trial_period_days",
    "trial_settings",
)
_SUBSCRIPTION_DATA = Hash(
    fields={
        **{name: subscription_params.CREATE.fields[name] for name in _OF_SUBSCRIPTION},
        **dict.fromkeys(
            (
                "application_fee_percent",
                "billing_cycle_anchor_config",
                "invoice_settings",
                "on_behalf_of",
                "pending_invoice_item_interval",
                "transfer_data",
            ),
            NotSimulated(),
        ),
        "metadata": Metadata(),
    }
)
_LINE = Hash(
    fields={
        "adjustable_quantity": NotSimulated(),
        "metadata": Metadata(),
        "price": Text(),
        "price_data": NotSimulated(),
        "quantity": Integer(minimum=0, maximum=999_999_999),
        "tax_rates": RATES,
    }
)
_AUTO_OR_NEVER = Choice(words=("auto", "never"))
_REFUSED = (
    "after_expiration",
    "branding_settings",
    "consent_collection",
    "custom_fields",
    "custom_text",
    "customer_account",
    "invoice_creation",
    "name_collection",
    "optional_items",
    "payment_method_configuration",
    "payment_method_data",
    "payment_method_options",
    "permissions",
    "redirect_on_completion",
    "return_url",
    "shipping_address_collection",
    "shipping_options",
    "wallet_options",
)
_FIELDS: dict[str, Type] = {
    **dict.fromkeys(_REFUSED, NotSimulated()),
    "adaptive_pricing": Hash(fields={"enabled": Boolean()}),
    "allow_promotion_codes": Boolean(),
    "allowed_payment_method_types": Array(Text()),
    "automatic_tax": subscription_params.AUTOMATIC_TAX,
    "billing_address_collection": Choice(words=("auto", "required")),
    "cancel_url": Text(pattern=_ADDRESS, code="url_invalid"),
    "client_reference_id": Text(max_length=200),
    "currency": Text(pattern=r"[A-Za-z]{3}"),
    "customer": Text(),
    "customer_creation": Choice(words=("always", "if_required")),
    "customer_email": Text(max_length=800, pattern=r"[^@\s]+@[^@\s]+", code="email_invalid"),
    "discounts": Array(Hash(fields={"coupon": Text(), "promotion_code": Text()}), 1),
    "customer_update": Hash(fields=dict.fromkeys(("address", "name", "shipping"), _AUTO_OR_NEVER)),
    "excluded_payment_method_types": Array(Text()),
    "expires_at": Integer(),
    "integration_identifier": Text(max_length=200),
    "line_items": Array(_LINE, MAX_LINES),
    "locale": Text(max_length=10),
    "managed_payments": _OFF,
    "metadata": Metadata(),
    "mode": Choice(words=MODES),
    "origin_context": Choice(words=("mobile_app", "web")),
    "payment_intent_data": Hash(fields={"description": Text(), "metadata": Metadata()}),
    "payment_method_collection": Choice(words=("always", "if_required")),
    "payment_method_types": Array(Text()),
    "phone_number_collection": _ENABLED,
    "saved_payment_method_options": Hash(
        fields={
            "allow_redisplay_filters": Array(Choice(words=("always", "limited", "unspecified"))),
            "payment_method_remove": Choice(words=("enabled", "disabled")),
            "payment_method_save": Choice(words=("enabled", "disabled")),
        }
    ),
    "setup_intent_data": Hash(fields={"description": Text(), "metadata": Metadata()}),
    "submit_type": Choice(words=("auto", "book", "donate", "pay", "subscribe")),
    "subscription_data": _SUBSCRIPTION_DATA,
    "success_url": Text(pattern=_ADDRESS, code="url_invalid"),
    "tax_id_collection": Hash(fields={"enabled": Boolean(), "required": Choice(words=("if_supported", "never"))}),
    "ui_mode": Choice(words=UI_MODES),
}
CREATE = table(_FIELDS)
LIST = list_table(
    {
        "created": Range(),
        "customer": Text(),
        "customer_details": Hash(fields={"email": Text()}, required=("email",)),
        "payment_intent": Text(),
        "status": Choice(words=("complete", "expired", "open")),
        "subscription": Text(),
    }
)


def check(ctx: Context, sent: Params) -> None:
    """Refuse combinations that Checkout does not take."""
    if "payment_method_types" in sent:
        raise BadRequest(
            "payment_method_types is no longer taken here; methods are chosen dynamically.",
            code="payment_method_types_no_longer_supported",
            param="payment_method_types",
        )
    if sent.get("ui_mode", "hosted_page") != "hosted_page":
        raise not_simulated("checkout other than the hosted page", "ui_mode")
    mode = sent.get("mode", "payment")
    if "success_url" not in sent:
        raise missing_param("success_url")
    for name, only in (("subscription_data", "subscription"), ("payment_intent_data", "payment")):
        if name in sent and mode != only:
            raise BadRequest(f"You can only use `{name}` in `{only}` mode.", param=name)
    if "setup_intent_data" in sent and mode != "setup":
        raise BadRequest("You can only use `setup_intent_data` in `setup` mode.", param="setup_intent_data")
    if "payment_method_collection" in sent and mode != "subscription":
        raise BadRequest("You can only set `payment_method_collection` in `subscription` mode.")
    if sent.get("discounts") and "allow_promotion_codes" in sent:
        raise BadRequest(
            "You may only specify one of these parameters: allow_promotion_codes, discounts.",
            code="parameters_exclusive",
            param="discounts",
        )
    _check_customer(ctx, sent, mode)


def _check_customer(ctx: Context, sent: Params, mode: str) -> None:
    if "customer" in sent:
        ctx.get("customer", sent["customer"], "customer")
        for name in ("customer_email", "customer_creation"):
            if name in sent:
                raise BadRequest(
                    f"You may only specify one of these parameters: customer, {name}.",
                    code="parameters_exclusive",
                    param="customer",
                )
    elif "customer_update" in sent:
        raise BadRequest("`customer_update` can only be used with `customer`.", param="customer_update")
    if "customer_creation" in sent and mode == "subscription":
        raise BadRequest("`customer_creation` can only be used in `payment` and `setup` mode.")


def expiry(sent: Params, now_s: int) -> int:
    """Return when the session ends by itself. Stripe: 30 minutes to 24 hours ahead, 24 hours unless told."""
    at_s = int(sent.get("expires_at", now_s + DEFAULT_LIFE_S))
    if not now_s + _SHORTEST_LIFE_S <= at_s <= now_s + DEFAULT_LIFE_S:
        raise BadRequest(
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.",
            param="expires_at",
        )
    return at_s


def priced_lines(ctx: Context, sent: Params) -> list[tuple[Params, Doc]]:
    """Return each sent line with its price, refusing what the mode cannot sell."""
    mode, lines = sent.get("mode", "payment"), sent.get("line_items") or []
    if mode == "setup":
        if lines:
            raise BadRequest("You cannot pass `line_items` in `setup` mode.", param="line_items")
        return []
    if not lines:
        raise missing_param("line_items")
    priced = [(line, _price(ctx, line, f"line_items[{index}]")) for index, line in enumerate(lines)]
    recurring = [price for _line, price in priced if price["recurring"]]
    if mode == "payment" and recurring:
        raise BadRequest(
            "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use"
            " only one-time prices."
        )
    if mode == "subscription":
        _check_subscription(recurring, len(priced))
    if len({price["currency"] for _line, price in priced}) > 1:
        raise BadRequest("All line items must have the same currency.", param="line_items")
    return priced


def _check_subscription(recurring: list[Doc], lines: int) -> None:
    if not recurring:
        raise BadRequest("You must provide at least one recurring price in `subscription` mode.")
    if len(recurring) > _MAX_OF_A_KIND:
        raise BadRequest(f"A session takes at most {_MAX_OF_A_KIND} recurring line items.", param="line_items")
    if len(recurring) < lines:
        raise not_simulated("one-time prices in subscription mode", "line_items")
    if len({(price["recurring"]["interval"], price["recurring"]["interval_count"]) for price in recurring}) > 1:
        raise BadRequest("All recurring prices of a session must have the same billing interval.", param="line_items")
    if len({price["id"] for price in recurring}) < lines:
        raise BadRequest("A session cannot have the same recurring price twice.", param="line_items")


def _price(ctx: Context, line: Params, where: str) -> Doc:
    if "price" not in line:
        raise missing_param(f"{where}[price]")
    price = ctx.get("price", line["price"], f"{where}[price]")
    if not price["active"]:
        raise BadRequest(f"The price {price['id']} is inactive.", param=f"{where}[price]")
    metered = bool(price["recurring"]) and price["recurring"]["usage_type"] == "metered"
    if metered and "quantity" in line:
        raise BadRequest(
            f"Quantity should not be specified where usage_type is `metered`. Remove `quantity` from `{where}`",
            param=f"{where}[quantity]",
        )
    if not metered and "quantity" not in line:
        raise BadRequest(f"Quantity is required. Add `quantity` to `{where}`", param=f"{where}[quantity]")
    return price
