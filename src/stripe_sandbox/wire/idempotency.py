"""Idempotency keys: the first answer of a key is kept and replayed.

Stripe, version 1: POST only; at most 255 characters; kept 24 h; another use of the key with other parameters is
refused; nothing is kept of a request that failed validation before it was executed, nor of 401, 409 and 429.
Version 2: POST and DELETE; kept 30 days; a request that failed is executed again. The keys of the two are apart.
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
_UNSTORED = frozenset({401, 409, 429})
_FAILED = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a version of the API does with keys; ``table`` is where it keeps them."""

    table: str
    methods: frozenset[str]
    kept_s: int
    keeps_refusals: bool


V1 = Rule(table="idempotency", methods=frozenset({"POST"}), kept_s=DAY_S, keeps_refusals=True)
V2 = Rule(table="idempotency_v2", methods=frozenset({"POST", "DELETE"}), kept_s=30 * DAY_S, keeps_refusals=False)


def rule_of(path: str) -> Rule:
    """Return the rule of the version that this path belongs to."""
    return V2 if path.startswith("/v2/") else V1


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


def recall(store: Store, rule: Rule, owner: tuple[str, str], digest: str) -> Answer | None:
    """Return the kept answer of this (account, key), or None when the key is new."""
    account, key = owner
    row = store.row(
        f"SELECT fingerprint, status, body, request_id FROM {rule.table} WHERE account=? AND key=? AND stored_at>?",
        *(account, key, wall_s() - rule.kept_s),
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


def keep(store: Store, rule: Rule, owner: tuple[str, str], digest: str, answer: Answer) -> None:
    """Keep the first answer of this (account, key)."""
    if answer.status in _UNSTORED or (answer.status >= _FAILED and not rule.keeps_refusals):
        return
    account, key = owner
    store.run(
        f"INSERT OR REPLACE INTO {rule.table} (account, key, fingerprint, status, body, request_id, stored_at)"
        " VALUES (?,?,?,?,?,?,?)",
        *(account, key, digest, answer.status, answer.body, answer.request_id, wall_s()),
    )


def purge(store: Store) -> None:
    """Drop answers older than their time."""
    for rule in (V1, V2):
        store.run(f"DELETE FROM {rule.table} WHERE stored_at<=?", wall_s() - rule.kept_s)
