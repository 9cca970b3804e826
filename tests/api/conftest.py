from collections.abc import AsyncIterator

import pytest

from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from helvetia.web.config import WebConfig
from support.web_world import WebWorld, web_world


@pytest.fixture
async def world(database: Database, clock: ManualClock) -> AsyncIterator[WebWorld]:
    config = WebConfig(
        public_base_url="https://cloud.example", stripe_publishable_key="pk_test_x", metrics_token="m-token"
    )
    async with web_world(database, clock, config) as world:
        yield world
