"""Current usage: limits, shares, money and what Stripe lacks."""

from decimal import Decimal

import pytest

from helvetia.catalogue.plans import PLANS, SubscriptionPlan
from helvetia.catalogue.prices import METERED_PRICES
from helvetia.costs.model import limit_uses
from helvetia.kernel.quantity import BYTES_PER_GB, UsageMetric
from helvetia.stripe_gateway.errors import PricesNotVerified
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder


def test_bandwidth_and_storage_have_limits_and_shares() -> None:
    uses = limit_uses(PLANS[SubscriptionPlan.FREE].limits, Decimal("2.5"), BYTES_PER_GB)
    assert set(uses) == {UsageMetric.BANDWIDTH_GB, UsageMetric.STORAGE_GB}
    bandwidth, storage = uses[UsageMetric.BANDWIDTH_GB], uses[UsageMetric.STORAGE_GB]
    assert (bandwidth.limit, bandwidth.share) == (Decimal(10), Decimal("0.25"))
    assert (storage.used, storage.limit, storage.share) == (Decimal(1), Decimal(5), Decimal("0.2"))


def test_unlimited_is_none_and_never_minus_one() -> None:
    uses = limit_uses(PLANS[SubscriptionPlan.ENTERPRISE].limits, Decimal(9000), 2**60)
    assert all(use.limit is None and use.share is None for use in uses.values())


def test_prices_not_verified_show_the_catalogue_and_sell_nothing() -> None:
    holder = PriceBookHolder()
    assert holder.unit_prices_minor() == {metric: price.unit_price_minor for metric, price in METERED_PRICES.items()}
    assert holder.problem is not None
    holder.fail("STRIPE_PRICE_ID_PRO: wrong")
    with pytest.raises(PricesNotVerified, match="STRIPE_PRICE_ID_PRO: wrong") as caught:
        holder.require()
    assert caught.value.status == 503
