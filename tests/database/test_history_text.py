"""The history as text is the history as a model, byte for byte of each figure."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from helvetia.costs.usage_history_service import UsageHistoryService
from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.period import Period
from helvetia.metering.history.model import Grain, UsageFilter
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.web.api.schemas.history_text import to_history_text
from helvetia.web.api.schemas.usage import UsageHistoryAnswer, to_wire_history
from support.usage_world import open_account, random_rows, write_rows

NOW = datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC)


@pytest.mark.parametrize("grain", list(Grain))
@pytest.mark.parametrize("by_service", [True, False])
async def test_history_text_is_the_model_of_the_same_history(
    database: Database, clock: ManualClock, grain: Grain, *, by_service: bool
) -> None:
    account_id, services = await open_account(database, NOW, services=3)
    await write_rows(database, random_rows(random.Random(7), account_id, services, NOW, days=30, count=80))
    usage = UsageHistoryService(database, clock, PriceBookHolder())
    period = Period(starts_at=NOW - timedelta(days=30), ends_at=NOW)
    history = await usage.history(account_id, UsageFilter(period=period, grain=grain, by_service=by_service))
    names = {services[0]: 'we"b\\\n<é>'}
    model = to_wire_history(history, names, "usd")
    text = to_history_text(history, names, "usd")
    read = UsageHistoryAnswer.model_validate_json(text, by_alias=True, by_name=False)
    assert read.rows
    assert read == model
    assert read.model_dump_json(by_alias=True) == model.model_dump_json(by_alias=True)
    assert sorted(text) == sorted(model.model_dump_json(by_alias=True))


async def test_history_text_of_nothing_has_no_rows(database: Database, clock: ManualClock) -> None:
    account_id, _ = await open_account(database, NOW)
    period = Period(starts_at=NOW - timedelta(days=30), ends_at=NOW)
    history = await UsageHistoryService(database, clock, PriceBookHolder()).history(
        account_id, UsageFilter(period=period, grain=Grain.DAY)
    )
    text = to_history_text(history, {}, "usd")
    assert UsageHistoryAnswer.model_validate_json(text, by_alias=True, by_name=False) == to_wire_history(
        history, {}, "usd"
    )
