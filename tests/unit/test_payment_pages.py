"""Pages of payments: every entry once, whatever comes in or goes meanwhile, also many of one instant."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from helvetia.billing.model import PageCursor
from helvetia.billing.payments.model import PaymentEntry, PaymentKind, to_page

NOW = datetime(2026, 3, 10, tzinfo=UTC)
ENTRY = PaymentEntry(
    payment_id="ch_0",
    kind=PaymentKind.PAYMENT,
    status="succeeded",
    happened_at=NOW,
    amount_minor=900,
    currency="usd",
    method=None,
    invoice_id=None,
    invoice_number=None,
    reason_code=None,
    reason=None,
)


def entries_at(seconds: list[int]) -> list[PaymentEntry]:
    """Newest first, as they are read."""
    made = [
        replace(ENTRY, payment_id=f"ch_{number:03}", happened_at=NOW + timedelta(seconds=second))
        for number, second in enumerate(seconds)
    ]
    return sorted(made, key=lambda one: (one.happened_at, one.payment_id), reverse=True)


@given(seconds=st.lists(st.integers(0, 5), max_size=30), limit=st.integers(1, 7))
def test_pages_hold_every_entry_once_while_newer_ones_come(seconds: list[int], limit: int) -> None:
    entries, seen, after = entries_at(seconds), list[PaymentEntry](), None
    for number in range(len(seconds) + 1):
        newer = [replace(ENTRY, payment_id=f"new_{number}", happened_at=NOW + timedelta(days=1))] if number else []
        page = to_page([*newer, *entries], after=after, limit=limit, as_of=NOW)
        seen += page.entries
        if page.next_cursor is None:
            break
        after = PageCursor.from_wire(page.next_cursor)
    assert seen == entries


def test_cursor_of_an_entry_that_is_gone_holds_its_place() -> None:
    first, second, third = entries_at([3, 2, 1])
    page = to_page([first, second, third], after=None, limit=2, as_of=NOW)
    after = PageCursor.from_wire(page.next_cursor or "")
    assert list(to_page([first, third], after=after, limit=2, as_of=NOW).entries) == [third]
