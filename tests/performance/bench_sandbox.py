"""The Stripe sandbox through the official SDK: requests a second, a month's advance, its start, 200 accounts.

Requests: four client processes with one connection each, closed loop, against one server process; the bare equivalent
is the same calls against an aiohttp server that sends the same bytes. Bounds: 400 requests/s, 300 ms, 1.5 s, 400 MB.
"""

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import stripe
from aiohttp import web

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support.sandbox_process import answers, free_port, running_sandbox

CLIENTS = 4
RUN_S = 1.0
ROUNDS = 3
ACCOUNTS = 200
MONTH_S = 31 * 86_400
JAN_1 = 1_767_225_600
METERS = ("compute", "memory", "bandwidth", "storage")


async def run() -> dict[str, object]:
    return await asyncio.to_thread(measure)


def measure() -> dict[str, object]:
    load = os.getloadavg()[0]
    starts = [start_s() for _ in range(ROUNDS)]
    with running_sandbox() as url:
        customer = client(url).v1.customers.create({"name": "Ada", "email": "ada@example.com"})
        reads, writes = rate(url, customer.id), rate(url, "")
        advance_ms = statistics.median(advance_of_a_month_ms(url) for _ in range(ROUNDS))
    with bare_server(customer.last_response.body) as url:
        bare_reads, bare_writes = rate(url, customer.id), rate(url, "")
    return {
        "reads_per_s": round(reads),
        "writes_per_s": round(writes),
        "bare_reads_per_s": round(bare_reads),
        "bare_writes_per_s": round(bare_writes),
        "reads_ratio_to_bare": round(reads / bare_reads, 2),
        "writes_ratio_to_bare": round(writes / bare_writes, 2),
        "client_processes": CLIENTS,
        "month_advance_of_five_items_ms": round(advance_ms),
        "start_s": round(statistics.median(starts), 2),
        f"resident_mb_of_{ACCOUNTS}_accounts": round(many_accounts_mb()),
        "load_average_at_start": round(load, 1),
        "cores": os.cpu_count(),
    }


def client(url: str, key: str = "sk_test_bench") -> stripe.StripeClient:
    return stripe.StripeClient(key, base_addresses={"api": url, "meter_events": url})


def start_s() -> float:
    started = time.monotonic()
    with running_sandbox():
        return time.monotonic() - started


def rate(url: str, customer: str) -> float:
    """Requests a second of all clients together, the median of the rounds."""
    return statistics.median(_round(url, customer) for _ in range(ROUNDS))


def _round(url: str, customer: str) -> float:
    command = [sys.executable, __file__, url, customer]
    clients = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(CLIENTS)]
    for one in clients:
        assert one.stdout is not None
        one.stdout.readline()
    for one in clients:
        assert one.stdin is not None
        one.stdin.write(b"go\n")
        one.stdin.flush()
    return sum(float(one.communicate()[0]) for one in clients)


def drive(url: str, customer: str) -> None:
    """One client process: says that it is ready, waits for the word, prints its requests a second."""
    customers = client(url).v1.customers
    params: Any = {"name": "Ada", "email": "ada@example.com"}
    call = (lambda: customers.retrieve(customer)) if customer else (lambda: customers.create(params))
    call()
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.perf_counter()
    count = 0
    while time.perf_counter() - started < RUN_S:
        call()
        count += 1
    print(count / (time.perf_counter() - started), flush=True)


def advance_of_a_month_ms(url: str) -> float:
    """From the call to a test clock that is ready again; one licensed and four metered items, usage on each."""
    made = client(url, f"sk_test_{uuid.uuid4().hex}")
    v1: Any = made.v1
    clock = v1.test_helpers.test_clocks.create({"frozen_time": JAN_1}).id
    customer = v1.customers.create({"test_clock": clock}).id
    card = v1.payment_methods.attach("pm_card_visa", {"customer": customer}).id
    v1.customers.update(customer, {"invoice_settings": {"default_payment_method": card}})
    subscribe(v1, customer)
    started = time.perf_counter()
    v1.test_helpers.test_clocks.advance(clock, {"frozen_time": JAN_1 + MONTH_S + 7200})
    while v1.test_helpers.test_clocks.retrieve(clock).status != "ready":
        time.sleep(0.002)
    took_s = time.perf_counter() - started
    assert len(v1.invoices.list({"customer": customer, "status": "paid"}).data) == 2
    return took_s * 1000


def subscribe(v1: Any, customer: str) -> None:
    product = v1.products.create({"name": "PRO"}).id
    shape = {"currency": "usd", "product": product}
    prices = [v1.prices.create({**shape, "unit_amount": 2900, "recurring": {"interval": "month"}}).id]
    for name in METERS:
        formula = {"default_aggregation": {"formula": "sum"}}
        meter = v1.billing.meters.create({"display_name": name, "event_name": name, **formula}).id
        recurring = {"interval": "month", "usage_type": "metered", "meter": meter}
        prices.append(v1.prices.create({**shape, "unit_amount_decimal": "0.5", "recurring": recurring}).id)
        usage = {"event_name": name, "payload": {"stripe_customer_id": customer, "value": "10"}}
        v1.billing.meter_events.create({**usage, "timestamp": JAN_1 + 60})
    v1.subscriptions.create({"customer": customer, "items": [{"price": price} for price in prices]})


def many_accounts_mb() -> float:
    """Resident memory of a server with 200 accounts, each with a plan, a subscription and its invoice."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen([sys.executable, "-m", "stripe_sandbox", "--port", str(port)])
    try:
        wait_for(f"{url}/healthz")
        for index in range(ACCOUNTS):
            v1: Any = client(url, f"sk_test_many{index}").v1
            customer = v1.customers.create({"payment_method": "pm_card_visa"}).id
            card = v1.customers.payment_methods.list(customer).data[0].id
            v1.customers.update(customer, {"invoice_settings": {"default_payment_method": card}})
            product = v1.products.create({"name": "PRO"}).id
            shape = {"currency": "usd", "product": product, "unit_amount": 2900, "recurring": {"interval": "month"}}
            price = v1.prices.create(shape).id
            v1.subscriptions.create({"customer": customer, "items": [{"price": price}]})
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1_000_000
    finally:
        process.terminate()
        process.wait(timeout=10)


def wait_for(url: str) -> None:
    until = time.monotonic() + 30
    while not answers(url):
        assert time.monotonic() < until, "it did not start"
        time.sleep(0.02)


@contextlib.contextmanager
def bare_server(body: str) -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen([sys.executable, __file__, "bare", str(port)], stdin=subprocess.PIPE)
    try:
        assert process.stdin is not None
        process.stdin.write(body.encode())
        process.stdin.close()
        wait_for(f"http://127.0.0.1:{port}/")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)


def serve_bare(port: int) -> None:
    """Answer everything with the same body."""
    body = sys.stdin.buffer.read()

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=body, content_type="application/json", headers={"Request-Id": "req_bare"})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    web.run_app(application, host="127.0.0.1", port=port, print=None)


if __name__ == "__main__":
    if sys.argv[1] == "bare":
        serve_bare(int(sys.argv[2]))
    else:
        drive(sys.argv[1], sys.argv[2])
