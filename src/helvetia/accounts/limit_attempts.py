"""How often somebody may try to sign in: per address and e-mail together, per address, and per e-mail."""

from helvetia.accounts.errors import TooManyAttempts
from helvetia.kernel.clock import Clock
from helvetia.kernel.window_counter import WindowCounter

WINDOW_S = 300.0


class AttemptLimiter:
    """Counts attempts in windows of five minutes."""

    def __init__(self, clock: Clock, *, per_pair: int = 10, per_address: int = 50, per_email: int = 100) -> None:
        self._limits = {"pair": per_pair, "address": per_address, "email": per_email}
        self._attempts = WindowCounter(clock, window_s=WINDOW_S)

    def count(self, *, email: str, address: str) -> None:
        """Count one attempt.

        Raises:
            TooManyAttempts: with the seconds after which the window ends.
        """
        for kind, key in self._keys(email, address):
            wait_s = self._attempts.count((kind, key), self._limits[kind])
            if wait_s is not None:
                raise TooManyAttempts(retry_after_s=wait_s)

    def forgive(self, *, email: str, address: str) -> None:
        """Forget the attempts of a pair that has signed in."""
        self._attempts.forget(("pair", f"{address} {email.lower()}"))

    def _keys(self, email: str, address: str) -> tuple[tuple[str, str], ...]:
        email = email.lower()
        return (("pair", f"{address} {email}"), ("address", address), ("email", email))
