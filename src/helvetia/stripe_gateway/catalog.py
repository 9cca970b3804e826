"""Prices at Stripe: verified against the catalogue, found by lookup key, or made once.

Verification collects every problem before it fails, each with what was expected and what was found. Making the
catalogue is idempotent by lookup key and, for meters, by event name.
"""

from collections.abc import Mapping
from decimal import Decimal

from helvetia.catalogue.plans import PAID_PLANS, PLANS, SubscriptionPlan
from helvetia.catalogue.prices import CURRENCY, METERED_PRICES, MeteredPrice
from helvetia.kernel.quantity import UsageMetric
from helvetia.stripe_gateway.errors import PriceMismatch, StripeObjectMissing
from helvetia.stripe_gateway.model import Meter, MeterPrice, NewPrice, PlanPrice, Price, PriceBook, StripeGateway

PLAN_NAMES: Mapping[SubscriptionPlan, str] = {plan: f"STRIPE_PRICE_ID_{plan.value}" for plan in PAID_PLANS}
METRIC_NAMES: Mapping[UsageMetric, str] = {metric: f"STRIPE_PRICE_ID_{metric.value}" for metric in UsageMetric}
PRICE_NAMES: tuple[str, ...] = (*PLAN_NAMES.values(), *METRIC_NAMES.values())
LOOKUP_KEYS: Mapping[str, str] = {
    name: f"helvetia_{name.removeprefix('STRIPE_PRICE_ID_').lower()}" for name in PRICE_NAMES
}


class _Findings:
    """Collects what does not fit."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def expect(self, where: str, what: str, expected: object, found: object) -> None:
        if expected != found:
            self.problems.append(f"{where}: {what} should be {expected}, but is {found}")


async def verify_prices(gateway: StripeGateway, price_ids: Mapping[str, str]) -> PriceBook:
    """Read every price and meter, and return them as the price book. `price_ids` is by environment name.

    Raises:
        PriceMismatch: something is missing or does not fit; names all of it.
    """
    findings = _Findings()
    plans: dict[SubscriptionPlan, PlanPrice] = {}
    meters: dict[UsageMetric, MeterPrice] = {}
    for plan, name in PLAN_NAMES.items():
        price = await _read_price(gateway, findings, name, price_ids.get(name))
        if price is not None:
            plans[plan] = _check_plan_price(findings, name, price)
    for metric, name in METRIC_NAMES.items():
        price = await _read_price(gateway, findings, name, price_ids.get(name))
        if price is not None:
            meter = await _read_meter(gateway, findings, name, price)
            meters[metric] = _check_metered_price(findings, name, price, METERED_PRICES[metric], meter)
    _check_distinct(findings, price_ids, [entry.event_name for entry in meters.values()])
    if findings.problems:
        raise PriceMismatch(findings.problems)
    return PriceBook(plans=plans, meters=meters, currency=CURRENCY)


async def _read_price(gateway: StripeGateway, findings: _Findings, name: str, price_id: str | None) -> Price | None:
    if not price_id:
        findings.problems.append(f"{name}: should name a price, but is not set")
        return None
    try:
        return await gateway.retrieve_price(price_id)
    except StripeObjectMissing:
        findings.problems.append(f"{name}: {price_id} should be a price, but Stripe knows none of this id")
        return None


async def _read_meter(gateway: StripeGateway, findings: _Findings, name: str, price: Price) -> Meter | None:
    if price.meter_id is None:
        findings.problems.append(f"{name}: {price.price_id} should have a meter, but has none")
        return None
    try:
        return await gateway.retrieve_meter(price.meter_id)
    except StripeObjectMissing:
        findings.problems.append(f"{name}: {price.meter_id} should be a meter, but Stripe knows none of this id")
        return None


def _check_shape(findings: _Findings, name: str, price: Price, usage_type: str) -> None:
    where = f"{name} ({price.price_id})"
    findings.expect(where, "the price's state", "active", "active" if price.is_active else "archived")
    findings.expect(where, "the currency", CURRENCY, price.currency)
    findings.expect(where, "the interval", "1 month", f"{price.interval_count} {price.interval}")
    findings.expect(where, "the usage type", usage_type, price.usage_type)
    findings.expect(where, "the billing scheme", "per_unit", price.billing_scheme)
    findings.expect(where, "the quantity transformation", "none", "set" if price.transforms_quantity else "none")


def _check_plan_price(findings: _Findings, name: str, price: Price) -> PlanPrice:
    """The fee is Stripe's to say; it only has to be whole cents."""
    _check_shape(findings, name, price, "licensed")
    fee = price.unit_price_minor
    if fee is None or fee != fee.to_integral_value() or fee < 0:
        findings.problems.append(f"{name} ({price.price_id}): the fee should be whole cents, but is {fee}")
        fee = Decimal(0)
    return PlanPrice(price_id=price.price_id, product_id=price.product_id, fee_minor=int(fee))


def _check_metered_price(
    findings: _Findings, name: str, price: Price, catalogued: MeteredPrice, meter: Meter | None
) -> MeterPrice:
    _check_shape(findings, name, price, "metered")
    where = f"{name} ({price.price_id})"
    findings.expect(where, f"cents per {catalogued.unit.name}", catalogued.unit_price_minor, price.unit_price_minor)
    if meter is not None:
        where = f"{name} (meter {meter.meter_id})"
        findings.expect(where, "the meter's state", "active", "active" if meter.is_active else "inactive")
        findings.expect(where, "the formula", "sum", meter.formula)
        findings.expect(where, "the event time window", None, meter.event_time_window)
        findings.expect(where, "the customer key", "stripe_customer_id", meter.customer_key)
        findings.expect(where, "the value key", "value", meter.value_key)
    return MeterPrice(
        price_id=price.price_id,
        product_id=price.product_id,
        meter_id=price.meter_id or "",
        event_name="" if meter is None else meter.event_name,
        unit_price_minor=catalogued.unit_price_minor,
    )


def _check_distinct(findings: _Findings, price_ids: Mapping[str, str], event_names: list[str]) -> None:
    given = [price_ids[name] for name in PRICE_NAMES if price_ids.get(name)]
    findings.expect("all prices", "the number of different ids", len(given), len(set(given)))
    named = [name for name in event_names if name]
    findings.expect("all meters", "the number of different event names", len(named), len(set(named)))


async def find_prices_by_lookup_key(gateway: StripeGateway) -> dict[str, str]:
    """Environment name → price id of what `set_up_catalog` made; what is not there is left out."""
    by_key = {price.lookup_key: price for price in await gateway.list_prices(tuple(LOOKUP_KEYS.values()))}
    return {name: by_key[key].price_id for name, key in LOOKUP_KEYS.items() if key in by_key}


async def set_up_catalog(gateway: StripeGateway) -> dict[str, str]:
    """Make what is missing (products, meters, prices) and return environment name → price id. Safe to run twice."""
    found = await find_prices_by_lookup_key(gateway)
    for plan, name in PLAN_NAMES.items():
        if name not in found:
            found[name] = await _make_plan_price(gateway, plan, LOOKUP_KEYS[name])
    by_event_name = {meter.event_name: meter for meter in await gateway.list_meters()}
    for metric, name in METRIC_NAMES.items():
        if name not in found:
            catalogued = METERED_PRICES[metric]
            meter = by_event_name.get(catalogued.event_name)
            if meter is None:
                meter = await gateway.create_meter(title=catalogued.title, event_name=catalogued.event_name)
            found[name] = await _make_metered_price(gateway, catalogued, meter.meter_id, LOOKUP_KEYS[name])
    return {name: found[name] for name in PRICE_NAMES}


async def _make_plan_price(gateway: StripeGateway, plan: SubscriptionPlan, key: str) -> str:
    title = PLANS[plan].title
    product = await gateway.create_product(name=title, plan=plan, key=key)
    price = await gateway.create_price(
        NewPrice(
            product_id=product.product_id,
            currency=CURRENCY,
            unit_price_minor=Decimal(PLANS[plan].fee_minor),
            lookup_key=key,
            nickname=title,
            plan=plan,
        )
    )
    return price.price_id


async def _make_metered_price(gateway: StripeGateway, catalogued: MeteredPrice, meter_id: str, key: str) -> str:
    name = f"{catalogued.title} ({catalogued.unit.name})"
    product = await gateway.create_product(name=name, plan=None, key=key)
    price = await gateway.create_price(
        NewPrice(
            product_id=product.product_id,
            currency=CURRENCY,
            unit_price_minor=catalogued.unit_price_minor,
            lookup_key=key,
            nickname=name,
            meter_id=meter_id,
        )
    )
    return price.price_id
