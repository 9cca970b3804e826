"""Fixtures that every kind of test may ask for: a clock, a database, a Docker Engine."""

import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import settings

from helvetia.database.enums import DATABASE_ENUMS
from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from support import trials
from support.databases import cloned_database, running_server

# Machines are noisy: how long an example takes says nothing. A full run tries many more examples.
settings.register_profile("house", deadline=None, max_examples=trials.choose(small=100, full=2_000))
settings.load_profile("house")


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    with running_server() as url:
        yield url


@pytest.fixture
def database_url(server_url: str) -> Iterator[str]:
    with cloned_database(server_url) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, enums=DATABASE_ENUMS)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC))


def missing(part: str, hint: str) -> None:
    """Skip loudly, or fail where everything is required (CI)."""
    message = f"{part} is not available: {hint}"
    if os.environ.get("HELVETIA_REQUIRE_ALL") == "1":
        pytest.fail(message)
    pytest.skip(message)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the machine's one Docker Engine take turns; a browser is started once. The rest runs side by side."""
    for item in items:
        if "docker" in item.keywords or "scenarios" in item.path.parts:
            item.add_marker(pytest.mark.xdist_group("engine"))
        elif "browser" in item.keywords:
            item.add_marker(pytest.mark.xdist_group("browser"))


def pytest_sessionfinish() -> None:
    """A full run leaves its table in docs/reliability.md."""
    trials.write_page()
