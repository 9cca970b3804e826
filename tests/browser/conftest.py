"""The application on a port of loopback, and a real browser to read it with."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn
from playwright.async_api import Browser, async_playwright

from conftest import missing
from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from helvetia.web.config import WebConfig
from support.sandbox_process import free_port
from support.web_world import WebWorld, web_world

CHROMIUM = Path("/usr/bin/chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture
async def world(database: Database, clock: ManualClock) -> AsyncIterator[WebWorld]:
    """The application on a port of loopback."""
    port = free_port()
    async with web_world(
        database, clock, WebConfig(public_base_url=f"http://127.0.0.1:{port}", is_sandbox=True)
    ) as world:
        server = uvicorn.Server(uvicorn.Config(world.app, host="127.0.0.1", port=port, log_level="warning", ws="none"))
        task = asyncio.create_task(server.serve())
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.sleep(0.02)
        yield world
        server.should_exit = True
        await task


@pytest.fixture
def chromium() -> Path:
    if not CHROMIUM.exists():
        missing("Chromium", f"install it at {CHROMIUM}")
    return CHROMIUM


@pytest.fixture
async def browser(chromium: Path) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=QUIET)
        yield browser
        await browser.close()
