"""Which time it is for an account.

An account's own clock is the wall clock plus an offset that only ever grows by request. Objects of a customer on
a test clock follow that clock's frozen time instead.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stripe_sandbox.store import Store

HOUR_S = 3600
DAY_S = 86400


def wall_s() -> int:
    """Return the real time in Unix seconds."""
    return int(time.time())  # noqa: TID251 - the sandbox has its own clock; this is where it reads the wall


def wall_precise_s() -> float:
    """Return the real time in Unix seconds with its fraction."""
    return time.time()  # noqa: TID251 - as above


def account_now_s(store: Store, account: str) -> int:
    """Return the account's own time in Unix seconds."""
    return wall_s() + offset_s(store, account)


def offset_s(store: Store, account: str) -> int:
    """Return how far the account's clock is ahead of the wall clock."""
    row = store.row("SELECT offset_s FROM accounts WHERE id=?", account)
    return 0 if row is None else int(row["offset_s"])


def move_to(store: Store, account: str, now_s: int) -> None:
    """Set the account's clock forward to ``now_s``; it never goes back."""
    store.run("UPDATE accounts SET offset_s=MAX(offset_s, ?) WHERE id=?", now_s - wall_s(), account)
