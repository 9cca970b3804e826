"""How often somebody may try to sign in: per address and e-mail together, per address, and per e-mail.

Kept in the memory of one process, with a bound on the keys: the oldest key goes first, which can only forgive attempts.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass

from helvetia.accounts.errors import TooManyAttempts
from helvetia.kernel.clock import Clock

WINDOW_S = 300.0
KEYS_MAX = 20_000


@dataclass(slots=True)
class _Attempts:
    started_s: float
    count: int


class AttemptLimiter:
    """Counts attempts in windows of five minutes."""

    def __init__(self, clock: Clock, *, per_pair: int = 10, per_address: int = 50, per_email: int = 100) -> None:
        self._clock = clock
        self._limits = {"pair": per_pair, "address": per_address, "email": per_email}
        self._attempts: OrderedDict[tuple[str, str], _Attempts] = OrderedDict()

    def count(self, *, email: str, address: str) -> None:
        """Count one attempt.

        Raises:
            TooManyAttempts: with the seconds after which the window ends.
        """
        for kind, key in self._keys(email, address):
            attempts = self._current(kind, key)
            attempts.count += 1
            if attempts.count > self._limits[kind]:
                left_s = attempts.started_s + WINDOW_S - self._clock.monotonic()
                raise TooManyAttempts(retry_after_s=max(1, math.ceil(left_s)))

    def forgive(self, *, email: str, address: str) -> None:
        """Forget the attempts of a pair that has signed in."""
        self._attempts.pop(("pair", f"{address} {email.lower()}"), None)

    def _keys(self, email: str, address: str) -> tuple[tuple[str, str], ...]:
        email = email.lower()
        return (("pair", f"{address} {email}"), ("address", address), ("email", email))

    def _current(self, kind: str, key: str) -> _Attempts:
        now_s = self._clock.monotonic()
        attempts = self._attempts.get((kind, key))
        if attempts is None or now_s - attempts.started_s >= WINDOW_S:
            attempts = self._attempts[kind, key] = _Attempts(started_s=now_s, count=0)
        self._attempts.move_to_end((kind, key))
        while len(self._attempts) > KEYS_MAX:
            self._attempts.popitem(last=False)
        return attempts
