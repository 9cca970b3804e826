"""Idempotency keys: the first answer of a key is kept and replayed.

Stripe: POST only; at most 255 characters; kept 24 h; another use of the key with other parameters is refused;
nothing is kept of a request that failed validation before it was executed, nor of 401, 409 and 429.
The answer is stored in the transaction of the work itself, so work without its answer cannot be left behind.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from stripe_sandbox.clock import DAY_S, wall_s
from stripe_sandbox.store import Store
from stripe_sandbox.wire.errors import BadRequest, IdempotencyMismatch, InFlight
from stripe_sandbox.wire.forms import Raw

MAX_LENGTH = 255
KEPT_S = DAY_S
_UNSTORED = frozenset({401, 409, 429})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A finished answer: HTTP status, JSON body, whether it is a replay, and headers of its own."""

    status: int
    body: str
    request_id: str
    replayed: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


def check_length(key: str) -> None:
    """Refuse a key that is too long."""
    if len(key) > MAX_LENGTH:
        message = f"Idempotency keys can be at most {MAX_LENGTH} characters."
        raise BadRequest(message)


def in_flight(key: str) -> InFlight:
    """Return the refusal for a key whose first request is still running."""
    message = f"Another request with the idempotency key '{key}' is still in progress. Try again later."
    return InFlight(message, code="idempotency_key_in_use")


def fingerprint(method: str, path: str, raw: dict[str, Raw]) -> str:
    """Return a digest of the endpoint and its parameters."""
    text = json.dumps([method, path, raw], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def recall(store: Store, account: str, key: str, digest: str) -> Answer | None:
    """Return the kept answer of this key, or None when the key is new."""
    row = store.row(
        "SELECT fingerprint, status, body, request_id FROM idempotency WHERE account=? AND key=? AND stored_at>?",
        *(account, key, wall_s() - KEPT_S),
    )
    if row is None:
        return None
    if row["fingerprint"] != digest:
        message = (
            "Keys for idempotent requests can only be used with the same parameters they were first used with."
            f" Use another key than '{key}' for a different request."
        )
        raise IdempotencyMismatch(message)
    return Answer(status=row["status"], body=row["body"], request_id=row["request_id"], replayed=True)


def keep(store: Store, account: str, key: str, digest: str, answer: Answer) -> None:
    """Keep the first answer of this key."""
    if answer.status in _UNSTORED:
        return
    store.run(
        "INSERT OR REPLACE INTO idempotency (account, key, fingerprint, status, body, request_id, stored_at)"
        " VALUES (?,?,?,?,?,?,?)",
        *(account, key, digest, answer.status, answer.body, answer.request_id, wall_s()),
    )


def purge(store: Store) -> None:
    """Drop answers older than their time."""
    store.run("DELETE FROM idempotency WHERE stored_at<=?", wall_s() - KEPT_S)
