"""Whether this process can serve: each check names what it asks, and says why it cannot."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from helvetia.kernel.errors import HelvetiaError

_WAIT_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """The checks of this process by name; one that raises an expected error, or takes over 3 s, is not ready."""

    checks: Mapping[str, Callable[[], Awaitable[None]]]

    async def reasons(self) -> dict[str, str]:
        """Why it is not ready, by check; empty when it is."""
        outcomes = await asyncio.gather(*(self._reason(check) for check in self.checks.values()))
        return {name: reason for name, reason in zip(self.checks, outcomes, strict=True) if reason is not None}

    @staticmethod
    async def _reason(check: Callable[[], Awaitable[None]]) -> str | None:
        try:
            async with asyncio.timeout(_WAIT_S):
                await check()
        except HelvetiaError as error:
            return error.detail
        except TimeoutError:
            return f"It did not answer within {_WAIT_S:g} s."
        return None
