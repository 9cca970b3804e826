"""Prices as they stand after Stripe was read, for pages: those of the catalogue, with ids of their own."""

from helvetia.catalogue.plans import PLANS
from helvetia.catalogue.prices import CURRENCY, METERED_PRICES
from helvetia.kernel.quantity import UsageMetric
from helvetia.stripe_gateway.model import MeterPrice, PlanPrice, PriceBook


def price_id(metric: UsageMetric) -> str:
    return f"price_{metric.value.lower()}"


def verified_book() -> PriceBook:
    return PriceBook(
        plans={
            plan: PlanPrice(
                price_id=f"price_{plan.value.lower()}",
                product_id=f"prod_{plan.value.lower()}",
                fee_minor=known.fee_minor,
            )
            for plan, known in PLANS.items()
            if known.fee_minor
        },
        meters={
            metric: MeterPrice(
                price_id=price_id(metric),
                product_id=f"prod_{metric.value.lower()}",
                meter_id=f"mtr_{metric.value.lower()}",
                event_name=metric.value.lower(),
                unit_price_minor=price.unit_price_minor,
            )
            for metric, price in METERED_PRICES.items()
        },
        currency=CURRENCY,
    )
