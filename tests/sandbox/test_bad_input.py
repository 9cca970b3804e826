"""Whatever is sent, at any endpoint: never a 500, and a refusal leaves everything as it was."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from sandbox.contract.samples import fitting, required
from sandbox.contract.test_refusals import nested
from sandbox.inside import Inside
from stripe_sandbox.objects.meter_event_v2 import STREAM
from stripe_sandbox.objects.registry import build_router
from support.trials import choose, record

SEED = 20_261_028
A_RUN = 25
REQUESTS = choose(small=1000, full=100_000)
ENDPOINTS = [one for one in build_router().endpoints() if one.path not in {STREAM, "/_sandbox/account"}]
NASTY = st.one_of(
    st.sampled_from(["", "0", "-1", "true", "now", "usd", "1e9", "9" * 19, "null", "\x00", "💶", "'\"--", "{}", "[]"]),
    st.text(max_size=30),
    st.integers(-(2**70), 2**70).map(str),
    st.decimals(allow_nan=True, allow_infinity=True).map(str),
)


class World:
    """A server with one of most objects, whose ids are put wherever an id may stand."""

    def __init__(self) -> None:
        self.inside = Inside()
        self.ids: list[str] = []
        self.loop = asyncio.new_event_loop()

    def ask(self, method: str, path: str, form: Any) -> Any:
        answer = self.loop.run_until_complete(self.inside.ask(method, path, form))
        if answer.status == 200 and isinstance(answer.body.get("id"), str):
            self.ids.append(answer.body["id"])
        return answer

    def known(self, text: str) -> str:
        """Put ids where their signs stand."""
        return re.sub(r"@(\d+)", lambda found: self.ids[int(found[1]) % len(self.ids)], text)

    def attempt(self, method: str, path: str, form: dict[str, str]) -> None:
        """Send one request; it must not break, and refused it must have changed nothing."""
        before = self.inside.state()
        filled = {name: self.known(value) for name, value in form.items()}
        sent: Any = nested(filled) if path.startswith("/v2/") and method == "POST" else filled
        answer = self.ask(method, self.known(path), sent)
        assert answer.status < 500, (method, path, sent)
        # A declined card (402) is written down on what it was to pay; nothing else that is refused leaves a trace.
        if answer.status in (400, 404):
            assert self.inside.state() == before, (method, self.known(path), sent, answer.body)

    def furnish(self) -> None:
        """Make the usual objects."""
        make = self.ask
        customer = make("POST", "/v1/customers", {"payment_method": "pm_card_visa"}).body["id"]
        card = make("GET", f"/v1/customers/{customer}/payment_methods", {}).body["data"][0]["id"]
        self.ids.append(card)
        make("POST", f"/v1/customers/{customer}", {"invoice_settings[default_payment_method]": card})
        product = make("POST", "/v1/products", {"name": "P"}).body["id"]
        meter = {"display_name": "m", "event_name": "m", "default_aggregation[formula]": "sum"}
        meter_id = make("POST", "/v1/billing/meters", meter).body["id"]
        base = {"currency": "usd", "product": product, "recurring[interval]": "month", "unit_amount": "500"}
        price = make("POST", "/v1/prices", base).body["id"]
        metered = base | {"recurring[usage_type]": "metered", "recurring[meter]": meter_id}
        other = make("POST", "/v1/prices", metered).body["id"]
        items = {"items[0][price]": price, "items[1][price]": other}
        made = make("POST", "/v1/subscriptions", {"customer": customer, **items}).body
        self.ids += [made["latest_invoice"], *(item["id"] for item in made["items"]["data"])]
        make("POST", "/v1/subscription_schedules", {"from_subscription": made["id"]})
        make("POST", "/v1/invoices", {"customer": customer})
        make("POST", "/v1/payment_intents", {"amount": "500", "currency": "usd", "customer": customer})
        make("POST", "/v1/test_helpers/test_clocks", {"frozen_time": "1767225600"})


# Stands for the id of one of the objects there are when the request is made.
SOME_ID = st.integers(0, 10_000).map(lambda which: f"@{which}")
VALUES = st.one_of(SOME_ID, NASTY)


@st.composite
def requests(draw: Any) -> tuple[str, str, dict[str, str]]:
    """Mostly what the endpoint wants, with some of it wrong, missing, or somebody else's id."""
    endpoint = draw(st.sampled_from(ENDPOINTS))
    path = endpoint.path
    while "*" in path:
        path = path.replace("*", draw(SOME_ID), 1)
    form = required(endpoint.params)
    fields = sorted(endpoint.params.fields)
    for name in draw(st.lists(st.sampled_from(fields), max_size=4)) if fields else ():
        form |= fitting(endpoint.params.fields[name], name)
    for name in draw(st.lists(st.sampled_from(sorted(form)), max_size=3)) if form else ():
        form[name] = draw(VALUES)
    return endpoint.method, path, form


@seed(SEED)
@settings(
    max_examples=REQUESTS // A_RUN,
    phases=[Phase.generate],  # each request is told whole where it fails; shrinking a life of many takes minutes
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(requests(), min_size=A_RUN, max_size=A_RUN))
def test_no_form_breaks_an_endpoint_or_leaves_half_of_its_work(run: list[tuple[str, str, dict[str, str]]]) -> None:
    world = World()
    world.furnish()
    try:
        for method, path, form in run:
            world.attempt(method, path, form)
    finally:
        world.loop.close()
        world.inside.store.close()


def test_the_trials_are_recorded() -> None:
    record("bad input at every endpoint of the Stripe sandbox", count=REQUESTS, seed=SEED)
