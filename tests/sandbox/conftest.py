"""A real sandbox process on a free loopback port, and one account (secret key) per test."""

from __future__ import annotations

import signal
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
import stripe

from conftest import missing
from sandbox.harness import Http, Sandbox, Shop, World, start_sandbox

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-background-networking", "--disable-gpu"]
WATCH = "document.addEventListener('securitypolicyviolation', event => console.error('CSP ' + event.violatedDirective))"


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    running = start_sandbox()
    yield running
    running.stop()


@pytest.fixture
def launch() -> Iterator[Callable[..., Sandbox]]:
    """Start further servers that are gone after the test."""
    started: list[Sandbox] = []

    def _launch(*options: str) -> Sandbox:
        started.append(start_sandbox(*options))
        return started[-1]

    yield _launch
    for running in started:
        if running.process.poll() is None:
            running.stop(signal.SIGKILL)
        running.session.close()


@pytest.fixture
def key() -> str:
    return f"sk_test_{uuid.uuid4().hex}"


@pytest.fixture
def client(sandbox: Sandbox, key: str) -> stripe.StripeClient:
    return sandbox.client(key)


@pytest.fixture
def http(sandbox: Sandbox, key: str) -> Http:
    return Http(base=sandbox.base, key=key, session=sandbox.session)


@pytest.fixture
def world(client: stripe.StripeClient) -> World:
    return World(client=client)


@pytest.fixture
def shop() -> Iterator[Shop]:
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            hops = self.path.startswith("/hop")
            self.send_response(303 if hops else 200)
            if hops:
                self.send_header("Location", f"http://localhost:{self.server.server_port}/landed")
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<h1>Back at the shop</h1>")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_port
    yield Shop(f"http://127.0.0.1:{port}", f"http://localhost:{port}", seen)
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def chromium() -> Path:
    if not CHROMIUM.exists():
        missing("Chromium", f"install it at {CHROMIUM}")
    return CHROMIUM


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(chromium: Path) -> AsyncIterator[Browser]:
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page that fails the test when anything complains or a foreign host is asked."""
    context = await browser.new_context()
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2].partition(":")[0]))
    await page.add_init_script(WATCH)
    yield page
    await context.close()
    assert [text for text in complaints if "CSP" in text or "Refused" in text or "Error:" in text] == []
    assert hosts <= {"127.0.0.1", "localhost", ""}
