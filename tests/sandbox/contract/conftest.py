"""The stage of the contract tests: the sandbox always, Stripe's own test mode with STRIPE_TEST_KEY."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest
import requests
import stripe

from sandbox.contract.stage import Recorder, Stage
from sandbox.harness import Sandbox

STRIPE_KEY = os.environ.get("STRIPE_TEST_KEY", "")
NO_KEY = "STRIPE_TEST_KEY IS NOT SET: nothing here was compared with Stripe itself, only with its SDK's declarations"


def _stage(key: str, base: str | None) -> Iterator[Stage]:
    with requests.Session() as session:
        recorder = Recorder(timeout=40, session=session)
        addresses = {"base_addresses": {"api": base, "meter_events": base}} if base else {}
        client = stripe.StripeClient(key, http_client=recorder, max_network_retries=2, **addresses)
        yield Stage(client=client, recorder=recorder, is_sandbox=base is not None)


@pytest.fixture(scope="module", params=["sandbox", "stripe"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    if request.param == "sandbox":
        sandbox: Sandbox = request.getfixturevalue("sandbox")
        yield from _stage(f"sk_test_{uuid.uuid4().hex}", sandbox.base)
        return
    if not STRIPE_KEY:
        pytest.skip(NO_KEY)
    yield from _stage(STRIPE_KEY, None)
