"""Stripe as an outsider moves it: a test clock that goes along with business time, and a few direct strokes."""

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import aiohttp
import stripe

from helvetia.kernel.clock import ManualClock, ShiftedClock, to_unix_s


class StripeWorld:
    """Uses a client of its own, so that what is tested is never what sets the scene."""

    def __init__(self, url: str, secret_key: str, clock: ManualClock | ShiftedClock) -> None:
        self._http = stripe.AIOHTTPClient(timeout=aiohttp.ClientTimeout(total=10))
        self._client = stripe.StripeClient(secret_key, base_addresses={"api": url}, http_client=self._http)
        self._clock = clock
        self.v1 = self._client.v1
        self.test_clock = ""

    async def start_clock(self) -> None:
        made = await self.v1.test_helpers.test_clocks.create_async({"frozen_time": to_unix_s(self._clock.now())})
        self.test_clock = made.id

    async def advance_to(self, instant: datetime) -> None:
        """Business time and Stripe's go to the instant together."""
        await self.advance_all_to(instant, [self.test_clock])

    async def advance_all_to(self, instant: datetime, test_clocks: Sequence[str]) -> None:
        """Business time and these clocks of Stripe's."""
        await asyncio.gather(*(self._advance(test_clock, instant) for test_clock in test_clocks))
        self._clock.advance_to(instant)

    async def _advance(self, test_clock: str, instant: datetime) -> None:
        await self.v1.test_helpers.test_clocks.advance_async(test_clock, {"frozen_time": to_unix_s(instant)})
        for _ in range(500):
            state = await self.v1.test_helpers.test_clocks.retrieve_async(test_clock)
            if state.status == "ready":
                return
            await asyncio.sleep(0.02)
        raise TimeoutError("the test clock did not arrive")

    async def invoices(self, customer_id: str) -> list[Any]:
        page = await self.v1.invoices.list_async({"customer": customer_id, "limit": 100})
        return list(page.data)

    async def get(self, path: str, **options: Any) -> Any:
        """The JSON of an answer as it came, which takes much less time than the client's objects."""
        answer = await self._client.raw_request_async("get", path, **options)
        return json.loads(answer.body)

    async def close(self) -> None:
        await self._http.close_async()
