import random
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from helvetia.catalogue.prices import METERED_PRICES
from helvetia.kernel.quantity import BYTES_PER_GB, NS_PER_HOUR, SOLD_UNITS, UsageMetric
from helvetia.rating.rate_usage import rate_usage
from support import trials

SEED = 20

CATALOGUE = {metric: price.unit_price_minor for metric, price in METERED_PRICES.items()}


def test_a_month_of_known_usage_costs_what_the_mission_says() -> None:
    lines = rate_usage(
        {
            UsageMetric.COMPUTE_HOURS: 720 * NS_PER_HOUR,
            UsageMetric.MEMORY_GB_HOURS: 360 * BYTES_PER_GB * NS_PER_HOUR,
            UsageMetric.BANDWIDTH_GB: 10 * BYTES_PER_GB,
            UsageMetric.STORAGE_GB: 5 * BYTES_PER_GB * 730 * NS_PER_HOUR,
        },
        CATALOGUE,
    )
    assert [(line.quantity, line.amount_minor) for line in lines] == [
        (Decimal(720), 720),
        (Decimal(360), 180),
        (Decimal(10), 120),
        (Decimal(5), 12),  # 11.5 cents, half-up
    ]


@given(
    st.dictionaries(st.sampled_from(UsageMetric), st.integers(0, 10**24)),
    st.lists(st.decimals(0, 10_000, places=6), min_size=4, max_size=4),
)
def test_d03_lines_agree_with_an_exact_oracle(usage: dict[UsageMetric, int], prices: list[Decimal]) -> None:
    unit_prices = dict(zip(UsageMetric, prices, strict=True))
    for line in rate_usage(usage, unit_prices):
        base = usage.get(line.metric, 0)
        quantity = Fraction(base * 10**6 // SOLD_UNITS[line.metric].base_per_unit, 10**6)
        assert Fraction(line.quantity) == quantity
        assert line.amount_minor == (2 * quantity * Fraction(unit_prices[line.metric]) + 1) // 2


def test_ten_thousand_random_price_tables_agree_with_fractions() -> None:
    """Half-up of exact fractions, worked out without a Decimal."""
    chance = random.Random(SEED)
    for _ in range(10_000):
        usage = {metric: chance.randrange(10 ** chance.randrange(1, 25)) for metric in UsageMetric}
        places = chance.randrange(13)
        cents = {
            metric: Fraction(chance.randrange(10 ** chance.randrange(1, 12)), 10**places) for metric in UsageMetric
        }
        prices = {metric: Decimal(cent.numerator) / Decimal(cent.denominator) for metric, cent in cents.items()}
        for line in rate_usage(usage, prices):
            sold = Fraction(usage[line.metric] * 10**6 // SOLD_UNITS[line.metric].base_per_unit, 10**6)
            assert line.amount_minor == (2 * sold * cents[line.metric] + 1) // 2
    trials.record("R20 random price tables and usages against exact fractions", count=10_000, seed=SEED)
