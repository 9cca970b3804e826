"""The usage pages say the same as the API and the files, to the last digit, and are honest where there is nothing."""

import csv
import io
import random
import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from helvetia.accounts.model import User
from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock, to_ns
from helvetia.kernel.identity import ServiceId
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.model import FindingCause
from support import trials
from support.usage_pages import add_services, use_hours
from support.usage_world import random_rows, write_rows
from support.web_world import WebWorld

USAGE = "/billing/usage"
API = "/api/v1/billing/usage"
SEED = 20260322


class Tables(HTMLParser):
    """Every table of a page as rows of cells: the machine's value where a cell has one, else its words."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.links: list[str] = []
        self._cell: list[str] | None = None
        self._value: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self._cell, self._value = [], None
        elif tag == "data" and self._cell is not None:
            self._value = told["value"]
        elif tag == "a":
            self.links.append(told.get("href") or "")

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th"} and self._cell is not None:
            self.tables[-1][-1].append(self._value if self._value is not None else "".join(self._cell).strip())
            self._cell = None


async def page(client: httpx2.AsyncClient, path: str) -> str:
    answer = await client.get(path, headers={"Accept": "text/html"})
    assert answer.status_code == 200, answer.text[:2000]
    return answer.text


@pytest.fixture
async def user(world: WebWorld) -> User:
    return await world.user("ada")


@pytest.fixture
async def services(world: WebWorld, user: User, clock: ManualClock) -> dict[str, ServiceId]:
    return await add_services(world.database, user, clock.now() - timedelta(days=90))


async def file_of(client: httpx2.AsyncClient, tables: Tables) -> list[dict[str, str]]:
    """The rows of the page's own CSV link."""
    href = next(link for link in tables.links if "format=csv" in link)
    answer = await client.get(href)
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text)))


def sums(rows: list[dict[str, str]], by: str, column: str) -> dict[str, dict[str, Decimal]]:
    found: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for row in rows:
        found[row[by]][row["metric"]] += Decimal(row[column])
    return found


async def check_agreement(client: httpx2.AsyncClient, query: str, names: dict[str, str]) -> None:
    """The page of `query`, its CSV, the API's history and its explanations tell one and the same."""
    found = Tables(await page(client, f"{USAGE}?{query}"))
    if not found.tables:
        return
    chart, rising, table = found.tables[0], found.tables[1], found.tables[2]
    rows = await file_of(client, found)
    metrics = [metric.value for metric in UsageMetric if any(row["metric"] == metric.value for row in rows)]
    shown = len(table[0]) - 3
    metrics = [metric.value for metric in UsageMetric] if shown == len(UsageMetric) else metrics
    by_service, costs = sums(rows, "service_name", "quantity"), sums(rows, "service_name", "cost")
    body, total = table[1:-1], table[-1]
    assert {line[0] for line in body} == set(by_service)
    for line in body:
        assert [Decimal(one) for one in line[1 : 1 + shown]] == [by_service[line[0]][metric] for metric in metrics]
        assert Decimal(line[1 + shown]) == sum(costs[line[0]].values())
    whole = sum((sum(one.values()) for one in costs.values()), Decimal(0))
    assert Decimal(total[1 + shown]) == whole
    assert sum(Decimal(line[-1]) for line in chart[1:]) == whole
    by_start = sums(rows, "starts_at", "cost")
    assert sorted(value for line in chart[1:] if (value := Decimal(line[-1]))) == sorted(
        value for one in by_start.values() if (value := sum(one.values(), Decimal(0)))
    )
    api_href = next(link for link in found.links if "format=csv" in link).replace("/export", "/history")
    told: Any = (await client.get(api_href.replace("format=csv", "groupBy=service"))).json()
    assert Decimal(told["total"]) == whole
    assert Decimal(rising[-1][1]) in {whole, *(Decimal(one["quantity"]) for one in told["totals"])}
    assert {names[row["serviceId"]] for row in told["rows"]} == set(by_service)


async def test_page_chart_table_file_and_api_agree_to_the_last_digit(
    world: WebWorld, user: User, services: dict[str, ServiceId], clock: ManualClock
) -> None:
    luck = random.Random(SEED)
    rows = random_rows(luck, user.account_id, list(services.values()), clock.now(), days=60, count=400)
    await write_rows(world.database, rows)
    names = {str(service_id): name for name, service_id in services.items()}
    today = clock.now().date()
    queries = ["", "period=previous", "metric=BANDWIDTH_GB", f"service={services['web']}", "period=month&month=2026-02"]
    n = trials.choose(small=6, full=200)
    for _ in range(n):
        first = today - timedelta(days=luck.randrange(70))
        last = min(today, first + timedelta(days=luck.choice((0, 1, 5, 20, 60))))
        metric = luck.choice(["", "&metric=COMPUTE_HOURS", "&metric=STORAGE_GB"])
        queries.append(f"period=custom&from={first}&to={last}{metric}")
    async with world.as_user(user) as client:
        for query in queries:
            await check_agreement(client, query, names)


async def test_comparison_is_the_difference_of_two_histories_on_page_and_api_alike(
    world: WebWorld, user: User, services: dict[str, ServiceId], clock: ManualClock
) -> None:
    luck = random.Random(SEED + 1)
    rows = random_rows(luck, user.account_id, list(services.values()), clock.now(), days=60, count=400)
    await write_rows(world.database, rows)
    names = {str(service_id): name for name, service_id in services.items()}
    async with world.as_user(user) as client:
        for _ in range(trials.choose(small=5, full=150)):
            first = clock.now().date() - timedelta(days=luck.randrange(2, 50))
            last = first + timedelta(days=luck.choice((0, 1, 7, 30)))
            text = await page(client, f"{USAGE}?period=custom&from={first}&to={last}&compare=before")
            found, starts_at = Tables(text), datetime(first.year, first.month, first.day, tzinfo=UTC)
            until = min(clock.now(), starts_at + (last - first) + timedelta(days=1))
            before = {"from": (starts_at - (until - starts_at)).isoformat(), "to": starts_at.isoformat()}
            told: Any = (await client.get(f"{API}/history", params={**before, "grain": "hour"})).json()
            if "rows" not in told:  # more than 31 days by hour
                told = (await client.get(f"{API}/history", params={**before, "grain": "month"})).json()
            costs: dict[str, Decimal] = defaultdict(Decimal)
            for row in told["rows"]:
                costs[names[row["serviceId"]]] += Decimal(row["cost"])
            within = {"from": f"{first}T00:00:00Z", "to": f"{last + timedelta(days=1)}T00:00:00Z"}
            answer: Any = (await client.get(f"{API}/comparison", params=within)).json()
            assert Decimal(answer["costBefore"]) == Decimal(told["total"]) == sum(costs.values())
            assert Decimal(answer["difference"]) == Decimal(answer["cost"]) - Decimal(answer["costBefore"])
            if len(found.tables) < 3:
                continue
            body, total = found.tables[2][1:-1], found.tables[2][-1]
            assert Decimal(total[-3]) == Decimal(told["total"])
            assert {line[0] for line in body} >= set(costs)
            assert sum(Decimal(line[-3]) for line in body) == Decimal(told["total"])


async def test_page_shows_the_amount_that_the_usage_and_the_invoice_line_have(
    world: WebWorld, user: User, services: dict[str, ServiceId], clock: ManualClock
) -> None:
    start = clock.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    await use_hours(world.database, user, services, start, start + timedelta(days=5))
    async with world.as_user(user) as client:
        told = (await client.get(API)).json()
        shown = await page(client, USAGE)
    amount = re.search(r'<h1 class="sentence">\$([\d.,]+) of usage', shown)
    assert amount is not None
    assert Decimal(amount[1].replace(",", "")) == sum(Decimal(line["cost"]) for line in told["usage"])
    for line in told["usage"]:
        assert f'<data value="{line["quantity"]}">' in shown


async def test_figure_leads_down_to_its_pieces_and_they_add_up(
    world: WebWorld, user: User, services: dict[str, ServiceId], clock: ManualClock
) -> None:
    start = clock.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    await use_hours(world.database, user, services, start, start + timedelta(hours=70))
    async with world.as_user(user) as client:
        why = f"{USAGE}/why?metric=BANDWIDTH_GB&service={services['web']}"
        total, pages = 0, 0
        while why:
            text = await page(client, why)
            found = Tables(text)
            (table,) = found.tables
            pieces = [int(line[-1]) for line in table[1:-1]]
            assert int(table[-1][-1]) == sum(pieces)
            total, pages = total + sum(pieces), pages + 1
            why = next((link for link in found.links if "cursor=" in link), "")
        told = (await client.get(f"{API}/explain?metric=BANDWIDTH_GB&serviceId={services['web']}")).json()
        assert (pages, str(total)) == (2, told["baseQuantity"])
        assert f'<data value="{told["cost"]}">' in text
        piece = next(link for link in found.links if "/pieces/" in link)
        assert "1 reading" not in await page(client, piece)


@pytest.mark.parametrize("path", [USAGE, "/billing/history"])
async def test_account_that_used_nothing_is_told_so(world: WebWorld, user: User, path: str) -> None:
    async with world.as_user(user) as client:
        text = await page(client, path)
    assert "Nothing used" in text
    assert "None" not in text
    assert Tables(text).tables == [] or path.endswith("history")


async def test_single_day_is_told_by_hours(
    world: WebWorld, user: User, services: dict[str, ServiceId], clock: ManualClock
) -> None:
    day = clock.now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
    await use_hours(world.database, user, services, day + timedelta(hours=3), day + timedelta(hours=4))
    async with world.as_user(user) as client:
        found = Tables(await page(client, f"{USAGE}?period=custom&from={day:%Y-%m-%d}"))
    assert len(found.tables[0]) == 1 + 24
    assert [line[0] for line in found.tables[0][1:] if Decimal(line[-1])] == ["03:00"]


async def test_gap_is_told_with_when_and_never_guessed(
    world: WebWorld, user: User, services: dict[str, ServiceId], clock: ManualClock, database: Database
) -> None:
    day = datetime(2026, 3, 5, tzinfo=UTC)
    await use_hours(database, user, services, day, day + timedelta(hours=2))
    async with database.transaction() as tx:
        await tx.execute(
            """INSERT INTO metering_findings (account_id, service_id, incarnation, kind, cause, starts_ns, ends_ns,
                detail, recorded_at) VALUES (%s, %s, 'x', 'gap', %s, %s, %s, 'the node did not answer', %s)""",
            (
                *(user.account_id, services["web"], FindingCause.NODE_LOST.value),
                *(to_ns(day), to_ns(day + timedelta(minutes=20)), clock.now()),
            ),
        )
    async with world.as_user(user) as client:
        text = await page(client, USAGE)
    assert "1 gap, which is never billed" in text
    assert "its node was lost; counted until it was last heard of" in text


async def test_foreign_service_and_piece_answer_as_missing_ones(
    world: WebWorld, services: dict[str, ServiceId]
) -> None:
    async with world.as_user(await world.user("eve")) as eve:
        for path in (f"{USAGE}/services/{services['web']}", f"{USAGE}?service={services['web']}"):
            foreign = await eve.get(path)
            missing = await eve.get(path.replace(str(services["web"]), str(uuid4())))
            assert (foreign.status_code, missing.status_code) == (404, 404)
            assert foreign.json()["code"] == missing.json()["code"]


async def test_history_adds_up_month_by_month_and_year_by_year(
    world: WebWorld, user: User, services: dict[str, ServiceId], clock: ManualClock
) -> None:
    for start in (
        datetime(2025, 11, 28, tzinfo=UTC),
        datetime(2025, 12, 30, tzinfo=UTC),
        datetime(2026, 3, 1, tzinfo=UTC),
    ):
        await use_hours(world.database, user, services, start, start + timedelta(days=4))
    async with world.as_user(user) as client:
        text = await page(client, "/billing/history")
        found = Tables(text)
        rows = await file_of(client, found)
    months = {line[0]: Decimal(line[-1]) for line in found.tables[1][1:]}
    whole = sum(Decimal(row["cost"]) for row in rows)
    assert months["2026, 3 months"] + months["2025, 2 months"] == whole
    assert months["2026, 3 months"] == months["January 2026"] + months["February 2026"] + months["March 2026"]
    assert months["February 2026"] == 0
    assert "/billing/usage?period=month&month=2025-12" in found.links
    assert "A forecast never enters a bill." in text
