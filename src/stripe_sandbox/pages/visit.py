"""One browser's visit to a page, inside the transaction that answers it."""

from __future__ import annotations

from dataclasses import dataclass, field

from stripe_sandbox.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What a page is given: the account's objects, the ids in its address, and what was posted."""

    ctx: Context
    ids: dict[str, str]
    form: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    path: str = ""
