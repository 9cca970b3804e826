"""The circuit in front of a Stripe that really fails: it opens, answers at once, and closes by itself."""

import time

import aiohttp
import pytest

from helvetia.kernel.clock import SystemClock
from helvetia.stripe_gateway import circuit
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.errors import StripeUnavailable


class HastyClock(SystemClock):
    """Durations run ahead when a test says so."""

    ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s


async def strike(sandbox_url: str, secret_key: str, count: int) -> int:
    """Switch the fault on (a count above 0) or all off; how often any fault has struck so far."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {secret_key}"}) as session:
        if count:
            fault = {"kind": "unavailable", "path": "/v1/account", "count": str(count), "should_retry": "false"}
            async with session.post(f"{sandbox_url}/_sandbox/faults", data=fault) as answer:
                assert answer.status == 200, await answer.text()
        async with session.get(f"{sandbox_url}/_sandbox/faults/log", params={"limit": "100"}) as answer:
            return len((await answer.json())["data"])


async def test_circuit_opens_answers_at_once_and_closes_by_itself(sandbox_url: str, secret_key: str) -> None:
    clock = HastyClock()
    gateway = StripeClientGateway(secret_key, api_base=sandbox_url, clock=clock)
    try:
        await strike(sandbox_url, secret_key, circuit.FAILURES_MAX + 1)
        for _ in range(circuit.FAILURES_MAX):
            with pytest.raises(StripeUnavailable):
                await gateway.retrieve_account()
        struck = await strike(sandbox_url, secret_key, 0)
        began_s = time.monotonic()
        for _ in range(50):
            with pytest.raises(StripeUnavailable):
                await gateway.retrieve_account()
        assert time.monotonic() - began_s < 1
        assert await strike(sandbox_url, secret_key, 0) == struck == circuit.FAILURES_MAX
        clock.ahead_s += circuit.OPEN_S
        with pytest.raises(StripeUnavailable):  # the trial meets the last fault
            await gateway.retrieve_account()
        assert await strike(sandbox_url, secret_key, 0) == circuit.FAILURES_MAX + 1
        clock.ahead_s += circuit.OPEN_S
        assert (await gateway.retrieve_account()).account_id
        assert (await gateway.retrieve_account()).account_id
    finally:
        await gateway.close()
