"""What UsageTrackingService says of money and of requests that cannot be right, without a database."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.errors import Invalid
from helvetia.kernel.identity import new_account_id, new_service_id
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import BYTES_PER_GB, NS_PER_HOUR, UsageMetric
from helvetia.metering.errors import InvalidPeriod, InvalidUsage
from helvetia.metering.service import UsageTrackingService

HOUR = Period(starts_at=datetime(2026, 3, 10, 9, tzinfo=UTC), ends_at=datetime(2026, 3, 10, 10, tzinfo=UTC))


@pytest.fixture
def usage(clock: ManualClock) -> UsageTrackingService:
    return UsageTrackingService(Database("postgresql://127.0.0.1:1/never-opened"), clock)


def test_cost_is_quantity_times_the_catalogues_prices(usage: UsageTrackingService) -> None:
    lines = usage.calculate_cost(
        {UsageMetric.COMPUTE_HOURS: 100 * NS_PER_HOUR, UsageMetric.BANDWIDTH_GB: 10 * BYTES_PER_GB}
    )
    assert {line.metric: line.amount_minor for line in lines} == {
        UsageMetric.COMPUTE_HOURS: 100,
        UsageMetric.MEMORY_GB_HOURS: 0,
        UsageMetric.BANDWIDTH_GB: 120,
        UsageMetric.STORAGE_GB: 0,
    }


def test_prices_in_force_replace_the_catalogues(usage: UsageTrackingService) -> None:
    lines = usage.calculate_cost(
        {UsageMetric.COMPUTE_HOURS: 100 * NS_PER_HOUR}, {UsageMetric.COMPUTE_HOURS: Decimal("2.5")}
    )
    assert lines[0].amount_minor == 250


def test_cost_of_a_negative_quantity_is_refused(usage: UsageTrackingService) -> None:
    with pytest.raises(InvalidUsage):
        usage.calculate_cost({UsageMetric.COMPUTE_HOURS: -1})


@pytest.mark.parametrize(
    ("quantity", "key", "reason", "actor"),
    [
        (-1, "k", "r", "a"),
        (10**40, "k", "r", "a"),
        (1, " ", "r", "a"),
        (1, "k", "", "a"),
        (1, "k", "r", ""),
        (1, "k" * 201, "r", "a"),
    ],
)
async def test_a_record_that_cannot_be_right_is_refused(
    usage: UsageTrackingService, quantity: int, key: str, reason: str, actor: str
) -> None:
    with pytest.raises(InvalidUsage):
        await usage.record_usage(
            new_account_id(),
            new_service_id(),
            UsageMetric.BANDWIDTH_GB,
            quantity,
            HOUR,
            idempotency_key=key,
            reason=reason,
            actor=actor,
        )


async def test_a_record_of_the_future_is_refused(usage: UsageTrackingService) -> None:
    future = Period(starts_at=HOUR.starts_at, ends_at=datetime(2026, 3, 10, 11, tzinfo=UTC))
    with pytest.raises(InvalidUsage):
        await usage.record_usage(
            new_account_id(),
            new_service_id(),
            UsageMetric.BANDWIDTH_GB,
            1,
            future,
            idempotency_key="k",
            reason="r",
            actor="a",
        )


async def test_a_period_without_a_time_zone_is_refused(usage: UsageTrackingService) -> None:
    naive = Period(starts_at=datetime(2026, 3, 10, 9), ends_at=datetime(2026, 3, 10, 10))  # noqa: DTZ001
    with pytest.raises(InvalidPeriod) as refused:
        await usage.get_aggregated_usage(new_account_id(), naive)
    assert isinstance(refused.value, Invalid)
