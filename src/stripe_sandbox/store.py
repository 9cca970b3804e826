"""All state of the sandbox in one SQLite database: in memory, or a file that survives SIGKILL.

Promises: what ``transaction`` commits is handed to the operating system before the caller goes on, and a
transaction that raises leaves nothing behind. One process, one connection, one thread.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from stripe_sandbox.documents import Doc

_SCHEMA = """
CREATE TABLE IF NOT EXISTS accounts (
  id TEXT PRIMARY KEY, key_hash TEXT NOT NULL UNIQUE, offset_s INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS objects (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,
  created INTEGER NOT NULL, customer TEXT, parent TEXT, body TEXT NOT NULL, UNIQUE (account, id));
CREATE INDEX IF NOT EXISTS objects_by_kind ON objects (account, kind, created, seq);
CREATE INDEX IF NOT EXISTS objects_by_customer ON objects (account, kind, customer, created, seq)
  WHERE customer IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_by_parent ON objects (account, kind, parent, created, seq)
  WHERE parent IS NOT NULL;
CREATE TABLE IF NOT EXISTS timers (
  account TEXT NOT NULL, clock TEXT NOT NULL, due_at INTEGER NOT NULL, seq INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL, object TEXT NOT NULL, UNIQUE (account, object, name));
CREATE INDEX IF NOT EXISTS timers_due ON timers (account, clock, due_at, seq);
CREATE TABLE IF NOT EXISTS meter_events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, event_name TEXT NOT NULL, identifier TEXT NOT NULL,
  customer TEXT, value TEXT, timestamp INTEGER NOT NULL, received_at INTEGER NOT NULL,
  cancelled INTEGER NOT NULL DEFAULT 0, fault TEXT);
CREATE INDEX IF NOT EXISTS meter_events_usage ON meter_events (account, event_name, customer, timestamp);
CREATE INDEX IF NOT EXISTS meter_events_identifier ON meter_events (account, identifier);
CREATE TABLE IF NOT EXISTS idempotency (
  account TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL,
  request_id TEXT NOT NULL, stored_at INTEGER NOT NULL, PRIMARY KEY (account, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS idempotency_age ON idempotency (stored_at);
CREATE TABLE IF NOT EXISTS idempotency_v2 (
  account TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL,
  request_id TEXT NOT NULL, stored_at INTEGER NOT NULL, PRIMARY KEY (account, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS idempotency_v2_age ON idempotency_v2 (stored_at);
CREATE TABLE IF NOT EXISTS deliveries (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, event TEXT NOT NULL, endpoint TEXT NOT NULL,
  attempts INTEGER NOT NULL, next_at INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (next_at, seq);
CREATE TABLE IF NOT EXISTS delivery_answers (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, event TEXT NOT NULL, endpoint TEXT NOT NULL,
  url TEXT NOT NULL, sent_at REAL NOT NULL, took_ms INTEGER NOT NULL, status INTEGER, answer TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS delivery_answers_by_event ON delivery_answers (account, event, seq);
"""
LOCK_WAIT_S = 0.5
_ACCOUNT_TABLES = (
    "objects",
    "timers",
    "meter_events",
    "idempotency",
    "idempotency_v2",
    "deliveries",
    "delivery_answers",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which part of a kind to read, newest first: column filters, JSON conditions and one cursor."""

    kind: str
    conditions: tuple[str, ...] = ()
    arguments: tuple[object, ...] = ()
    limit: int | None = None
    oldest_first: bool = False


class Store:
    """The database connection and the few statements every part needs."""

    def __init__(self, path: str | None) -> None:
        """Open (and create) the database; ``None`` keeps everything in memory.

        ``origin`` is where this process answers: links that lead to its own pages begin with it.
        """
        self.origin = "http://127.0.0.1"
        self._connection = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=LOCK_WAIT_S)
        self._connection.row_factory = sqlite3.Row
        if path:
            self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what happens inside, or nothing of it."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Undo everything that happens inside, within a running transaction."""
        self._connection.execute("SAVEPOINT rehearsal")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK TO rehearsal")
            self._connection.execute("RELEASE rehearsal")

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Within a running transaction: undo what happens inside if it raises, and only that."""
        self._connection.execute("SAVEPOINT attempt")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK TO attempt")
            self._connection.execute("RELEASE attempt")
            raise
        self._connection.execute("RELEASE attempt")

    def rows(self, statement: str, *arguments: object) -> list[sqlite3.Row]:
        """Run one statement and return all its rows."""
        return self._connection.execute(statement, arguments).fetchall()

    def row(self, statement: str, *arguments: object) -> sqlite3.Row | None:
        """Run one statement and return its first row."""
        found: sqlite3.Row | None = self._connection.execute(statement, arguments).fetchone()
        return found

    def run(self, statement: str, *arguments: object) -> int:
        """Run one statement and return how many rows it touched."""
        return self._connection.execute(statement, arguments).rowcount

    def put(self, account: str, doc: Doc, *, created: int, customer: str | None, parent: str | None) -> None:
        """Write a document whole; its place in lists stays where its first writing put it."""
        self.run(
            "INSERT INTO objects (account, kind, id, created, customer, parent, body) VALUES (?,?,?,?,?,?,?)"
            " ON CONFLICT (account, id) DO UPDATE SET customer=excluded.customer, parent=excluded.parent,"
            " body=excluded.body",
            *(account, doc["object"], doc["id"], created, customer, parent, _dump(doc)),
        )

    def get(self, account: str, kind: str, object_id: str) -> Doc | None:
        """Return one document of that kind, or None."""
        row = self.row("SELECT body FROM objects WHERE account=? AND id=? AND kind=?", account, object_id, kind)
        return None if row is None else _load(row["body"])

    def place(self, account: str, kind: str, object_id: str) -> tuple[int, int] | None:
        """Return the sort key (created, seq) of a document."""
        row = self.row("SELECT created, seq FROM objects WHERE account=? AND id=? AND kind=?", account, object_id, kind)
        return None if row is None else (row["created"], row["seq"])

    def remove(self, account: str, object_id: str) -> None:
        """Delete one document and its timers."""
        self.run("DELETE FROM objects WHERE account=? AND id=?", account, object_id)
        self.run("DELETE FROM timers WHERE account=? AND object=?", account, object_id)

    def select(self, account: str, page: Page) -> list[Doc]:
        """Return the documents of a page. Conditions are constants of this program, never a caller's text."""
        order = "ASC" if page.oldest_first else "DESC"
        where = " AND ".join(("account=?", "kind=?", *page.conditions))
        statement = f"SELECT body FROM objects WHERE {where} ORDER BY created {order}, seq {order} LIMIT ?"
        limit = -1 if page.limit is None else page.limit
        return [_load(row["body"]) for row in self.rows(statement, account, page.kind, *page.arguments, limit)]

    def forget_account(self, account: str) -> None:
        """Delete an account with everything it has."""
        for name in _ACCOUNT_TABLES:
            self.run(f"DELETE FROM {name} WHERE account=?", account)
        self.run("DELETE FROM accounts WHERE id=?", account)


def _dump(doc: Doc) -> str:
    return json.dumps(doc, separators=(",", ":"))


def _load(body: str) -> Any:
    return json.loads(body)
