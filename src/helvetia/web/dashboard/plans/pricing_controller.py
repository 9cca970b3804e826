"""Prices for everybody: the plans and what usage costs, from the one table that also limits and bills."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from helvetia.billing.plan_change.plan_facts_service import PlanFactsService
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.catalogue.prices import CURRENCY, METERED_PRICES
from helvetia.kernel.quantity import BYTES_PER_GB, BYTES_PER_MB, NS_PER_HOUR, UsageMetric
from helvetia.rating.rate_usage import rate_usage
from helvetia.web.dashboard.plans.table import LimitRow, PlanColumn, to_columns, to_rows
from helvetia.web.dashboard.render import Renderer
from helvetia.web.dashboard.voice import Voice
from helvetia.web.middleware.authenticate import Open

_HOURS = 720
_MEMORY_MB = 512
_SENT_GB = 20
_KEPT_GB = 10
_EXAMPLE = {
    UsageMetric.COMPUTE_HOURS: _HOURS * NS_PER_HOUR,
    UsageMetric.MEMORY_GB_HOURS: _MEMORY_MB * BYTES_PER_MB * _HOURS * NS_PER_HOUR,
    UsageMetric.BANDWIDTH_GB: _SENT_GB * BYTES_PER_GB,
    UsageMetric.STORAGE_GB: _KEPT_GB * BYTES_PER_GB * _HOURS * NS_PER_HOUR,
}
Visitor = Annotated[None, Depends(Open("who compares prices has no account yet"))]


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRow:
    title: str
    unit: str
    price: str
    counted: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleRow:
    title: str
    quantity: str
    price: str
    cost: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PricingView:
    columns: Sequence[PlanColumn]
    rows: Sequence[LimitRow]
    prices: Sequence[PriceRow]
    example: Sequence[ExampleRow]
    example_fee: ExampleRow
    example_total: str


class PricingPageController:
    def __init__(self, renderer: Renderer, facts: PlanFactsService) -> None:
        self._renderer = renderer
        self._facts = facts

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route("/pricing", self.show, methods=["GET"], include_in_schema=False)

    async def show(self, request: Request, _visitor: Visitor) -> Response:
        """The plans and the prices of usage, with a month worked out by the code that bills."""
        voice = self._renderer.voice(request)
        offers = self._facts.price_list()
        starter = next(offer for offer in offers if offer.plan is SubscriptionPlan.STARTER)
        example, usage_minor = _example(voice)
        fee = voice.money(starter.fee_minor, starter.currency)
        view = PricingView(
            columns=to_columns(offers, voice, has_use=False),
            rows=to_rows(offers, None, voice),
            prices=_prices(voice),
            example=example,
            example_fee=ExampleRow(title=starter.title, quantity=voice.say("1 month"), price=fee, cost=fee),
            example_total=voice.money(starter.fee_minor + usage_minor, CURRENCY),
        )
        return self._renderer.render(request, "plans/pricing.html", {"view": view})


def metric_title(metric: UsageMetric, voice: Voice) -> str:
    return {
        UsageMetric.COMPUTE_HOURS: voice.say("Compute"),
        UsageMetric.MEMORY_GB_HOURS: voice.say("Memory"),
        UsageMetric.BANDWIDTH_GB: voice.say("Bandwidth"),
        UsageMetric.STORAGE_GB: voice.say("Storage"),
    }[metric]


def unit_words(metric: UsageMetric, voice: Voice) -> str:
    return {
        UsageMetric.COMPUTE_HOURS: voice.say("hour"),
        UsageMetric.MEMORY_GB_HOURS: voice.say("GB-hour"),
        UsageMetric.BANDWIDTH_GB: "GB",
        UsageMetric.STORAGE_GB: voice.say("GB-month"),
    }[metric]


def _short_unit(metric: UsageMetric, voice: Voice) -> str:
    """As it stands behind a quantity."""
    return {
        UsageMetric.COMPUTE_HOURS: "h",
        UsageMetric.MEMORY_GB_HOURS: "GB-h",
        UsageMetric.BANDWIDTH_GB: "GB",
        UsageMetric.STORAGE_GB: voice.say("GB-months"),
    }[metric]


def _prices(voice: Voice) -> list[PriceRow]:
    counted = {
        UsageMetric.COMPUTE_HOURS: voice.say("from start to stop of every container, to the nanosecond"),
        UsageMetric.MEMORY_GB_HOURS: voice.say("memory in use, over time"),
        UsageMetric.BANDWIDTH_GB: voice.say("what is sent to the outside"),
        UsageMetric.STORAGE_GB: voice.say("what volumes hold, over time; a month is 730 hours"),
    }
    return [
        PriceRow(
            title=metric_title(metric, voice),
            unit=unit_words(metric, voice),
            price=voice.unit_price(price.unit_price_minor, CURRENCY),
            counted=counted[metric],
        )
        for metric, price in METERED_PRICES.items()
    ]


def _example(voice: Voice) -> tuple[list[ExampleRow], int]:
    """One service for thirty days, by the code that rates usage."""
    rated = rate_usage(_EXAMPLE, {metric: price.unit_price_minor for metric, price in METERED_PRICES.items()})
    rows = [
        ExampleRow(
            title=metric_title(line.metric, voice),
            quantity=f"{voice.quantity(line.quantity)} {_short_unit(line.metric, voice)}",
            price=voice.unit_price(line.unit_price_minor, CURRENCY),
            cost=voice.money(line.amount_minor, CURRENCY),
        )
        for line in rated
    ]
    return rows, sum(line.amount_minor for line in rated)
