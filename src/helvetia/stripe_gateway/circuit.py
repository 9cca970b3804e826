"""The circuit between us and Stripe: after five failures in a row calls fail at once, and one at a time is let through
to see whether Stripe is back.

A failure is a call without an answer, or answered 5xx, all its repetitions included; a refusal or a rate limit is an
answer. An open circuit looks like Stripe not answering: safe to ask again, nothing was done.
"""

from collections.abc import Mapping
from typing import Any

import aiohttp
import stripe
import structlog

from helvetia.kernel.clock import Clock
from helvetia.observability.metrics import STRIPE_CIRCUIT_OPEN

FAILURES_MAX = 5
OPEN_S = 10.0
HANGING_S = 5.0  # a call given up by its caller after this long counts as not answered
_STATUS_SERVER_ERROR = 500

_log = structlog.get_logger()


class Circuit:
    """Counts failures in a row; `closed → open (10 s) → one trial → closed or open again`."""

    def __init__(self, clock: Clock, *, failures_max: int = FAILURES_MAX, open_s: float = OPEN_S) -> None:
        self._clock = clock
        self._failures_max = failures_max
        self._open_s = open_s
        self._failure_count = 0
        self._opened_s: float | None = None
        self._is_trying = False

    @property
    def is_open(self) -> bool:
        return self._opened_s is not None

    def may_pass(self) -> bool:
        """Whether a call may go out now; a call that may has to be followed by `succeeded`, `failed` or `left`."""
        if self._opened_s is None:
            return True
        if self._is_trying or self._clock.monotonic() - self._opened_s < self._open_s:
            return False
        self._is_trying = True
        return True

    def succeeded(self) -> None:
        if self._opened_s is not None:
            _log.info("stripe_gateway.circuit_closed")
        self._failure_count, self._opened_s, self._is_trying = 0, None, False
        STRIPE_CIRCUIT_OPEN.set(0)

    def failed(self) -> None:
        self._failure_count += 1
        self._is_trying = False
        if self._failure_count < self._failures_max:
            return
        if self._opened_s is None:
            _log.error("stripe_gateway.circuit_opened", failures=self._failure_count, tries_again_s=self._open_s)
        self._opened_s = self._clock.monotonic()
        STRIPE_CIRCUIT_OPEN.set(1)

    def left(self) -> None:
        """The caller went away before an answer could be expected: this says nothing about Stripe."""
        self._is_trying = False


class CircuitHttpClient(stripe.AIOHTTPClient):
    """The SDK's HTTP client behind a circuit."""

    def __init__(self, circuit: Circuit, clock: Clock, *, attempt_s: float) -> None:
        super().__init__(timeout=aiohttp.ClientTimeout(total=attempt_s))
        self._circuit = circuit
        self._clock = clock

    async def request_with_retries_async(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        post_data: Any = None,
        max_network_retries: int | None = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[Any, int, Any]:
        """Raises APIConnectionError at once while the circuit is open."""
        if not self._circuit.may_pass():
            raise stripe.APIConnectionError("The circuit to Stripe is open.")  # type: ignore[no-untyped-call]
        began_s = self._clock.monotonic()
        try:
            answer = await super().request_with_retries_async(
                method, url, headers, post_data, max_network_retries, _usage=_usage
            )
        except stripe.APIConnectionError:
            self._circuit.failed()
            raise
        except BaseException:
            is_hanging = self._clock.monotonic() - began_s >= HANGING_S
            self._circuit.failed() if is_hanging else self._circuit.left()
            raise
        if answer[1] >= _STATUS_SERVER_ERROR:
            self._circuit.failed()
        else:
            self._circuit.succeeded()
        return answer
