"""The sums of a usage page are those of the rows that the API and the files tell, to the last digit."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from helvetia.catalogue.plans import PLANS, SubscriptionPlan
from helvetia.costs.history import make_history
from helvetia.kernel.identity import ServiceId
from helvetia.kernel.period import calendar_month
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.history.model import UsageBlock
from helvetia.metering.model import UsageTotals
from helvetia.web.dashboard.usage.facts import UsageFacts, by_service
from helvetia.web.dashboard.usage.query import UsageQuery
from helvetia.web.dashboard.voice import Voice

START = datetime(2026, 3, 10, 10, tzinfo=UTC)
PERIOD = calendar_month(START)
PRICES = dict(zip(UsageMetric, map(Decimal, ("1", "0.5", "12", "25.25")), strict=True))
SERVICES = tuple(ServiceId(UUID(int=number)) for number in range(4))
DAYS = st.lists(st.dictionaries(st.sampled_from(SERVICES), st.integers(0, 10**19), min_size=1), max_size=9)


@given(days=DAYS)
def test_services_that_come_and_go_are_added_as_their_rows_are(days: list[dict[ServiceId, int]]) -> None:
    query = UsageQuery()
    blocks = [
        UsageBlock(
            starts_at=PERIOD.starts_at + timedelta(days=number),
            metric=metric,
            service_ids=tuple(sorted(used)),
            quantities=tuple(used[one] for one in sorted(used)),
        )
        for number, used in enumerate(days)
        for metric in UsageMetric
    ]
    facts = UsageFacts(
        query=query,
        current=PERIOD,
        previous=PERIOD,
        period=PERIOD,
        history=make_history(blocks, query.to_filter(PERIOD), PRICES),
        totals=UsageTotals(quantities={}, as_of=None, is_complete=True, is_closed=True, gaps=()),
        names={},
        limits=PLANS[SubscriptionPlan.FREE].limits,
        voice=Voice(now=START),
    )
    expected: dict[tuple[ServiceId | None, UsageMetric], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    assert facts.history is not None
    for row in facts.history.rows:
        sums = expected[row.service_id, row.metric]
        sums[0] += row.quantity
        sums[1] += row.cost_minor
    found = {
        (service_id, metric): [one.quantity, one.cost_minor]
        for service_id, of_service in by_service(facts).items()
        for metric, one in of_service.items()
    }
    assert found == expected
