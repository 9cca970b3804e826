"""What is due when: one row per object and purpose, on the account's own clock or on a test clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stripe_sandbox.context import Context
    from stripe_sandbox.documents import Doc
    from stripe_sandbox.store import Store

OWN_CLOCK = ""
ADVANCING = "!advancing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """One due row."""

    account: str
    clock: str
    due_at: int
    name: str
    object_id: str


def arm(ctx: Context, doc: Doc, name: str, due_at: int) -> None:
    """Set (or move) a timer of an object, on the clock the object lives by."""
    disarm(ctx, doc["id"], name)
    ctx.store.run(
        "INSERT INTO timers (account, clock, due_at, name, object) VALUES (?,?,?,?,?)",
        *(ctx.account, doc.get("test_clock") or OWN_CLOCK, due_at, name, doc["id"]),
    )


def disarm(ctx: Context, object_id: str, name: str | None = None) -> None:
    """Remove one timer of an object, or all."""
    if name is None:
        ctx.store.run("DELETE FROM timers WHERE account=? AND object=?", ctx.account, object_id)
    else:
        ctx.store.run("DELETE FROM timers WHERE account=? AND object=? AND name=?", ctx.account, object_id, name)


def next_due(store: Store, account: str, clock: str, until_s: int) -> Timer | None:
    """Return the earliest timer of a clock that is due by ``until_s``."""
    row = store.row(
        "SELECT due_at, name, object FROM timers WHERE account=? AND clock=? AND due_at<=?"
        " ORDER BY due_at, seq LIMIT 1",
        *(account, clock, until_s),
    )
    if row is None:
        return None
    return Timer(account=account, clock=clock, due_at=row["due_at"], name=row["name"], object_id=row["object"])
