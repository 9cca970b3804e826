"""Usage over time on the wire: shapes, figures that agree, refusals that say why, files that do no harm."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock, from_ns, to_ns
from helvetia.kernel.identity import ServiceId
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric
from helvetia.metering.service import UsageTrackingService
from support.web_world import SERVICE, WebWorld

USAGE = "/api/v1/billing/usage"


class Customer:
    """A signed-in user with one service that used two hours of compute, an hour apart."""

    def __init__(self, client: httpx2.AsyncClient, service_id: str, now: datetime) -> None:
        self.client = client
        self.service_id = service_id
        self.now = now

    async def get(self, path: str, **query: str) -> Any:
        answer = await self.client.get(f"{USAGE}/{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def refused(self, path: str, **query: str) -> tuple[int, str]:
        answer = await self.client.get(f"{USAGE}/{path}", params=query)
        return answer.status_code, answer.json()["code"]


@pytest.fixture
async def customer(world: WebWorld, database: Database, clock: ManualClock) -> AsyncIterator[Customer]:
    user = await world.user("ada")
    async with world.as_user(user) as client:
        made = (await client.post("/api/v1/services", json={**SERVICE, "name": "web"})).json()
        tracking = UsageTrackingService(database, clock)
        for number in (1, 2):
            start = clock.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=2 * number)
            await tracking.record_usage(
                user.account_id,
                ServiceId(UUID(made["id"])),
                UsageMetric.COMPUTE_HOURS,
                NS_PER_HOUR,
                Period(starts_at=start, ends_at=start + timedelta(hours=1)),
                idempotency_key=f"hour-{number}",
                reason="test",
                actor="test",
            )
        yield Customer(client, made["id"], clock.now())


async def test_d06_history_defaults_to_the_current_period_by_day(customer: Customer) -> None:
    body = await customer.get("history")
    assert (body["start"], body["end"]) == ("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z")
    assert body["rows"] == [
        {
            "start": "2026-03-10T00:00:00Z",
            "end": "2026-03-11T00:00:00Z",
            "serviceId": customer.service_id,
            "metric": "COMPUTE_HOURS",
            "quantity": "2.000000",
            "cost": "0.02000000",
            "baseQuantity": str(2 * NS_PER_HOUR),
        }
    ]
    assert body["services"] == {customer.service_id: "web"}
    assert Decimal(body["total"]) == Decimal("0.02")


async def test_history_page_and_usage_agree_to_the_last_digit(customer: Customer) -> None:
    current = (await customer.client.get(USAGE)).json()
    history = await customer.get("history", groupBy="all")
    by_metric = {total["metric"]: total["quantity"] for total in history["totals"]}
    assert by_metric == {line["metric"]: line["quantity"] for line in current["usage"]}


async def test_service_tells_its_rows_runs_and_gaps(customer: Customer) -> None:
    body = await customer.get(f"services/{customer.service_id}", grain="hour", **_last_day(customer))
    assert [row["start"] for row in body["history"]["rows"]] == ["2026-03-10T06:00:00Z", "2026-03-10T08:00:00Z"]
    assert (body["name"], body["complete"], body["gaps"], body["runs"]) == ("web", True, [], [])
    assert body["shown"] == {
        "knownFrom": body["history"]["start"],
        "cpuSeconds": None,
        "memoryPeakBytes": None,
        "receivedBytes": None,
        "internalBytes": None,
    }


async def test_explanation_leads_from_the_amount_to_the_record(customer: Customer) -> None:
    body = await customer.get("explain", metric="COMPUTE_HOURS")
    assert (body["quantity"], body["unitPrice"], body["cost"], body["amount"]) == (
        "2.000000",
        "0.01",
        "0.02000000",
        "0.02",
    )
    assert sum(int(piece["baseQuantity"]) for piece in body["pieces"]) == int(body["baseQuantity"])
    evidence = await customer.get(f"explain/{body['pieces'][0]['recordId']}")
    assert evidence["piece"]["reason"] == "test"
    assert (evidence["readings"], evidence["readingsKept"], evidence["readingsLeftOut"]) == ([], True, 0)


async def test_csv_is_a_named_attachment_with_plain_numbers(customer: Customer) -> None:
    answer = await customer.client.get(f"{USAGE}/export")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert 'filename="usage-2026-03-01-2026-04-01.csv"' in answer.headers["content-disposition"]
    (line,) = csv.DictReader(io.StringIO(answer.text))
    assert (line["quantity"], line["unit_price"], line["cost"], line["currency"]) == (
        *("2.000000", "0.01", "0.02000000"),
        "usd",
    )


async def test_json_export_is_one_object_a_line(customer: Customer) -> None:
    answer = await customer.client.get(
        f"{USAGE}/export", params={"format": "json", "grain": "hour", **_last_day(customer)}
    )
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert len(answer.text.splitlines()) == 2


BAD_QUESTIONS = [
    ({"from": "2026-03-05T00:00:00Z", "to": "2026-03-04T00:00:00Z"}, "range_reversed"),
    ({"from": "2026-03-05T00:00:00Z", "to": "2026-03-05T00:00:00Z"}, "range_reversed"),
    ({"from": "2026-03-20T00:00:00Z", "to": "2026-03-21T00:00:00Z"}, "range_in_future"),
    ({"from": "2023-03-20T00:00:00Z", "to": "2026-03-21T00:00:00Z"}, "range_too_long"),
    ({"zone": "Mars/Olympus"}, "unknown_zone"),
    ({"zone": "../../etc/passwd"}, "unknown_zone"),
    ({"metric": "GOLD"}, "validation_failed"),
    ({"grain": "minute"}, "validation_failed"),
    ({"from": "yesterday"}, "validation_failed"),
    ({"from": "2026-03-05T00:00:00"}, "validation_failed"),
]
RANGED = ("history", "export", "comparison", "changes", "explain", "services/{service_id}")


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        (path, query, code)
        for path in RANGED
        for query, code in BAD_QUESTIONS
        if path not in {"changes", "explain"} or not query.keys() & {"zone", "grain", "metric"}  # they have none
    ],
)
async def test_bad_question_is_a_clear_problem(customer: Customer, path: str, query: dict[str, str], code: str) -> None:
    asked = {"metric": "COMPUTE_HOURS"} | query
    assert await customer.refused(path.format(service_id=customer.service_id), **asked) == (422, code)


async def test_hours_of_months_are_exported_but_not_shown_at_once(customer: Customer) -> None:
    query = {"from": "2026-01-20T00:00:00Z", "grain": "hour"}
    assert await customer.refused("history", **query) == (422, "range_too_long")
    answer = await customer.client.get(f"{USAGE}/export", params=query)
    assert len(answer.text.splitlines()) == 3


@pytest.mark.parametrize("path", RANGED)
async def test_foreign_and_missing_service_answer_alike(world: WebWorld, customer: Customer, path: str) -> None:
    answers = []
    async with world.as_user(await world.user("eve")) as eve:
        for service_id in (customer.service_id, str(uuid4())):
            query = {"serviceId": service_id, "metric": "COMPUTE_HOURS"}
            url = f"{USAGE}/{path.format(service_id=service_id)}"
            answers.append(await eve.get(url, params={} if service_id in url else query))
    foreign, missing = answers
    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert {**foreign.json(), "requestId": ""} == {**missing.json(), "requestId": ""}


async def test_foreign_and_missing_record_answer_alike(world: WebWorld, customer: Customer) -> None:
    [piece, *_] = (await customer.get("explain", metric="COMPUTE_HOURS"))["pieces"]
    async with world.as_user(await world.user("eve")) as eve:
        foreign, missing = [await eve.get(f"{USAGE}/explain/{record}") for record in (piece["recordId"], uuid4())]
    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert {**foreign.json(), "requestId": ""} == {**missing.json(), "requestId": ""}


async def test_gap_is_told_as_a_gap_and_the_period_as_incomplete(customer: Customer, database: Database) -> None:
    starts_ns, ends_ns = (to_ns(customer.now - timedelta(minutes=back)) for back in (90, 60))
    async with database.transaction() as tx:
        await tx.execute(
            """INSERT INTO metering_findings (account_id, service_id, incarnation, kind, cause, starts_ns, ends_ns,
                   detail, recorded_at)
               SELECT account_id, service_id, 'x', 'gap', 'engine_unreachable', %s, %s, 'it did not answer', %s
               FROM services WHERE service_id = %s""",
            (starts_ns, ends_ns, customer.now, customer.service_id),
        )
    expected = {
        "serviceId": customer.service_id,
        "cause": "engine_unreachable",
        "start": f"{from_ns(starts_ns):%Y-%m-%dT%H:%M:%SZ}",
        "end": f"{from_ns(ends_ns):%Y-%m-%dT%H:%M:%SZ}",
        "detail": "it did not answer",
    }
    whole, of_service = (await customer.client.get(USAGE)).json(), await customer.get(f"services/{customer.service_id}")
    assert (whole["complete"], whole["gaps"]) == (False, [expected])
    assert (of_service["complete"], of_service["gaps"]) == (False, [expected])


async def test_wrong_cursor_is_refused(customer: Customer) -> None:
    for cursor in ("x", "AAAA", "MjAyNi0wMy0xMCBub3BlCg=="):
        assert await customer.refused("explain", metric="COMPUTE_HOURS", cursor=cursor) == (422, "invalid_cursor")


def _last_day(customer: Customer) -> dict[str, str]:
    return {"from": (customer.now - timedelta(days=1)).isoformat(), "to": customer.now.isoformat()}


async def test_forecast_is_honest_about_a_single_day(customer: Customer) -> None:
    body = await customer.get("forecast")
    assert (body["periodStart"], body["usageCost"]["p50"], body["usageCost"]["method"]) == (
        *("2026-03-01T00:00:00Z", None),
        "none",
    )
    bandwidth = body["metrics"][2]
    assert (bandwidth["metric"], bandwidth["limit"]["outlook"]) == ("BANDWIDTH_GB", "unlikely")
    assert bandwidth["forecast"]["past"]["forecasts"] == 0
