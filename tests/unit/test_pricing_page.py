"""docs/pricing.md says what the catalogue and the rating say."""

from pathlib import Path

import pytest

from helvetia.catalogue.plans import PLANS, UNLIMITED, SubscriptionPlan
from helvetia.catalogue.prices import METERED_PRICES
from helvetia.kernel.quantity import UsageMetric
from helvetia.rating.rate_usage import rate_usage

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "pricing.md").read_text()


def rows(heading: str) -> list[list[str]]:
    section = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def test_plans_are_the_catalogues() -> None:
    told = {SubscriptionPlan(row[0]): row[1:] for row in rows("Plans")}
    assert set(told) == set(PLANS)
    for code, plan in PLANS.items():
        limits = plan.limits
        figures = [
            (limits.services_max, ""),
            (limits.memory_mb_max, " MB"),
            (limits.cpu_cores_max, ""),
            (limits.bandwidth_gb_max, " GB"),
            (limits.storage_gb_max, " GB"),
        ]
        wanted = ["unlimited" if one == UNLIMITED else f"{one}{unit}" for one, unit in figures]
        assert told[code] == [f"${plan.fee_minor // 100}.{plan.fee_minor % 100:02d}", *wanted]


def test_prices_are_the_catalogues() -> None:
    told = {UsageMetric(row[0]): (row[1], row[2]) for row in rows("Usage")}
    wanted = {
        metric: (price.unit.name, f"${(price.unit_price_minor / 100).normalize():f}")
        for metric, price in METERED_PRICES.items()
    }
    assert told == wanted


@pytest.mark.parametrize("row", rows("Examples"), ids=lambda row: row[0])
def test_example_is_what_the_rating_says(row: list[str]) -> None:
    metric = UsageMetric(row[1])
    prices = {one: price.unit_price_minor for one, price in METERED_PRICES.items()}
    line = next(one for one in rate_usage({metric: int(row[2])}, prices) if one.metric is metric)
    assert (format(line.quantity, "f"), f"${line.amount_minor // 100}.{line.amount_minor % 100:02d}") == (
        row[3],
        row[4],
    )
