"""Customers, their cards, their balance; products and prices."""

from __future__ import annotations

from decimal import Decimal

from sandbox.contract.case import case
from sandbox.contract.stage import Stage

ADDRESS = {"city": "Bern", "country": "CH", "line1": "Bundesplatz 3", "postal_code": "3005"}
FULL = {
    "address": ADDRESS,
    "balance": -500,
    "description": "d",
    "email": "ada@example.com",
    "metadata": {"a": "1"},
    "name": "Ada",
    "payment_method": "pm_card_visa",
    "phone": "+41310000000",
    "preferred_locales": ["de"],
    "shipping": {"address": ADDRESS, "name": "Ada"},
    "tax_exempt": "none",
    "tax_id_data": [{"type": "ch_uid", "value": "CHE-123.456.789"}],
}
_BALANCE = {"amount": -100, "currency": "usd", "description": "gift"}


def _moved(stage: Stage) -> tuple[str, str]:
    customer = stage.new_customer(None)
    return customer, stage.v1.customers.balance_transactions.create(customer, _BALANCE).id


_CUSTOMERS = (
    case("POST /v1/customers", "v1.customers.create", lambda _: ({},), "empty"),
    case("POST /v1/customers", "v1.customers.create", lambda _: (FULL,)),
    case("GET /v1/customers", "v1.customers.list", lambda s: (s.customer and {"limit": 3},)),
    case("GET /v1/customers/*", "v1.customers.retrieve", lambda s: (s.customer,)),
    case(
        "GET /v1/customers/*",
        "v1.customers.retrieve",
        lambda s: (s.subscription.customer, {"expand": ["subscriptions", "invoice_settings.default_payment_method"]}),
        "expanded",
    ),
    case("POST /v1/customers/*", "v1.customers.update", lambda s: (s.new_customer(), {"name": "Eve", "balance": 7})),
    case("DELETE /v1/customers/*", "v1.customers.delete", lambda s: (s.new_customer(),)),
    case("GET /v1/customers/*", "v1.customers.retrieve", lambda s: (_deleted_customer(s),), "deleted"),
    case(
        "GET /v1/customers/*/payment_methods", "v1.customers.payment_methods.list", lambda s: (s.customer, {"limit": 2})
    ),
    case(
        "GET /v1/customers/*/payment_methods/*",
        "v1.customers.payment_methods.retrieve",
        lambda s: (s.customer, s.new_card(s.customer)),
    ),
    case(
        "POST /v1/customers/*/balance_transactions",
        "v1.customers.balance_transactions.create",
        lambda s: (s.new_customer(), _BALANCE),
    ),
    case(
        "GET /v1/customers/*/balance_transactions",
        "v1.customers.balance_transactions.list",
        lambda s: (_moved(s)[0],),
    ),
    case(
        "GET /v1/customers/*/balance_transactions/*",
        "v1.customers.balance_transactions.retrieve",
        _moved,
    ),
    case(
        "POST /v1/customers/*/balance_transactions/*",
        "v1.customers.balance_transactions.update",
        lambda s: (*_moved(s), {"description": "other", "metadata": {"a": "1"}}),
    ),
)


def _deleted_customer(stage: Stage) -> str:
    customer = stage.new_customer()
    stage.v1.customers.delete(customer)
    return customer


def _known_by(stage: Stage) -> tuple[str, str]:
    customer = stage.new_customer(None)
    return customer, stage.v1.customers.tax_ids.create(customer, {"type": "eu_vat", "value": "DE123456789"}).id


_TAX_IDS = (
    case(
        "POST /v1/customers/*/tax_ids",
        "v1.customers.tax_ids.create",
        lambda s: (s.new_customer(None), {"type": "us_ein", "value": "12-3456789", "expand": ["customer"]}),
    ),
    case("GET /v1/customers/*/tax_ids", "v1.customers.tax_ids.list", lambda s: (_known_by(s)[0],)),
    case("GET /v1/customers/*/tax_ids/*", "v1.customers.tax_ids.retrieve", _known_by),
    case("DELETE /v1/customers/*/tax_ids/*", "v1.customers.tax_ids.delete", _known_by),
    case(
        "GET /v1/customers/*",
        "v1.customers.retrieve",
        lambda s: (_known_by(s)[0], {"expand": ["tax_ids"]}),
        "tax ids",
    ),
)
_METHODS = (
    case(
        "POST /v1/payment_methods",
        "v1.payment_methods.create",
        lambda _: ({"type": "card", "card": {"token": "tok_visa"}},),
    ),
    case("GET /v1/payment_methods", "v1.payment_methods.list", lambda s: ({"customer": s.customer, "type": "card"},)),
    case("GET /v1/payment_methods/*", "v1.payment_methods.retrieve", lambda s: (s.new_card(s.customer),)),
    case(
        "POST /v1/payment_methods/*",
        "v1.payment_methods.update",
        lambda s: (s.new_card(s.customer), {"metadata": {"a": "1"}}),
    ),
    case(
        "POST /v1/payment_methods/*/attach",
        "v1.payment_methods.attach",
        lambda s: ("pm_card_mastercard", {"customer": s.customer}),
    ),
    case("POST /v1/payment_methods/*/detach", "v1.payment_methods.detach", lambda s: (s.new_card(s.customer),)),
)
_PRODUCTS = (
    case(
        "POST /v1/products",
        "v1.products.create",
        lambda s: (
            {"name": s.name(), "description": "d", "images": ["https://example.com/i.png"], "metadata": {"a": "1"}}
            | {"marketing_features": [{"name": "fast"}], "unit_label": "hour", "url": "https://example.com"},
        ),
    ),
    case("POST /v1/products", "v1.products.create", lambda s: ({"name": s.name()},), "bare"),
    case("GET /v1/products", "v1.products.list", lambda s: (s.product and {"active": True},)),
    case("GET /v1/products/*", "v1.products.retrieve", lambda s: (s.product,)),
    case("POST /v1/products/*", "v1.products.update", lambda s: (_spare_product(s), {"active": False})),
    case("DELETE /v1/products/*", "v1.products.delete", lambda s: (_spare_product(s),)),
)


def _spare_product(stage: Stage) -> str:
    return stage.v1.products.create({"name": stage.name()}).id


_PRICES = (
    case(
        "POST /v1/prices",
        "v1.prices.create",
        lambda s: ({"currency": "usd", "product": s.product, "unit_amount": 5, "lookup_key": s.name()},),
        "one time",
    ),
    case(
        "POST /v1/prices",
        "v1.prices.create",
        lambda s: (
            {"currency": "usd", "product_data": {"name": s.name()}, "unit_amount_decimal": Decimal("0.25")}
            | {"recurring": {"interval": "month", "usage_type": "metered", "meter": s.meter.id}, "nickname": "n"},
        ),
        "metered",
    ),
    case("GET /v1/prices", "v1.prices.list", lambda s: ({"product": s.product, "active": bool(s.price)},)),
    case("GET /v1/prices/*", "v1.prices.retrieve", lambda s: (s.metered_price, {"expand": ["product"]})),
    case("POST /v1/prices/*", "v1.prices.update", lambda s: (s.new_price(100), {"active": False, "nickname": "old"})),
)
CASES = (*_CUSTOMERS, *_TAX_IDS, *_METHODS, *_PRODUCTS, *_PRICES)
