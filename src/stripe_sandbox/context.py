"""One unit of work: an account inside one transaction, with its clock, its objects and its events.

Everything handlers and the engine do to stored objects goes through here, so that each change is written once,
seen at once and told as an event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stripe_sandbox import clock, events
from stripe_sandbox.documents import Doc, Kind, deleted_stub, without_empty
from stripe_sandbox.store import Page, Store
from stripe_sandbox.wire.errors import missing_object

TEST_CLOCK = "test_helpers.test_clock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Which API request made a change; both are None when a clock did."""

    request_id: str | None = None
    idempotency_key: str | None = None


class Context:
    """The account's objects as one transaction sees them."""

    def __init__(
        self, store: Store, kinds: Mapping[str, Kind], account: str, cause: Cause, *, pinned_s: int | None = None
    ) -> None:
        """Bind the unit of work; ``pinned_s`` holds the account's clock at the instant a timer was due."""
        self.store = store
        self.kinds = kinds
        self.account = account
        self.cause = cause
        self._pinned_s = pinned_s

    def now(self, test_clock: str | None = None) -> int:
        """Return the time for objects of that test clock, or of the account's own clock."""
        if test_clock:
            return int(self.get(TEST_CLOCK, test_clock)["frozen_time"])
        return self._pinned_s if self._pinned_s is not None else clock.account_now_s(self.store, self.account)

    def find(self, kind: str, object_id: str) -> Doc | None:
        """Return a stored document or None; deleted ones are found too."""
        return self.store.get(self.account, kind, object_id)

    def get(self, kind: str, object_id: str, param: str = "id") -> Doc:
        """Return a live document; an unknown or deleted one is refused under ``param``."""
        doc = self.find(kind, object_id)
        if doc is None or doc.get("deleted"):
            raise missing_object(self.kinds[kind].label, object_id, param)
        return doc

    def select(self, page: Page) -> list[Doc]:
        """Return stored documents."""
        return self.store.select(self.account, page)

    def children(self, kind: str, parent: str) -> list[Doc]:
        """Return the documents under a parent, oldest first."""
        return self.select(Page(kind=kind, conditions=("parent=?",), arguments=(parent,), oldest_first=True))

    def write(self, doc: Doc) -> None:
        """Store a document without telling anybody."""
        customer = doc.get("customer")
        parent = self.kinds[doc["object"]].parent(doc)
        created = int(doc.get("created") or doc.get("date") or 0)
        self.store.put(self.account, doc, created=created, customer=customer, parent=parent)

    def shown(self, doc: Doc) -> Doc:
        """Return the document as the API shows it."""
        if doc.get("deleted"):
            return deleted_stub(doc)
        kind = self.kinds[doc["object"]]
        return without_empty(kind.render(self, doc), kind.omitted)

    def add(self, doc: Doc, event: str | None) -> Doc:
        """Store a new document and tell of it; return it as shown."""
        self.write(doc)
        shown = self.shown(doc)
        if event:
            self.emit(event, shown)
        return shown

    def update(self, doc: Doc, event: str, before: Doc | None = None) -> Doc:
        """Store a changed document; tell of it, with what changed, only if the shown object differs.

        ``before`` is the object as shown before parts of it that are stored elsewhere were changed.
        """
        if before is None:
            before = self.shown(self.get(doc["object"], doc["id"]))
        self.write(doc)
        after = self.shown(doc)
        previous = events.changes(before, after)
        if previous:
            self.emit(event, after, previous)
        return after

    def emit(self, event_type: str, shown: Doc, previous: Doc | None = None) -> None:
        """Record an event about an object."""
        events.record(self, event_type, shown, previous)
