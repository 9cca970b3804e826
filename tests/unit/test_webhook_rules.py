"""The table of events: whole, reasoned, told in the docs; and what the comparison calls a difference."""

import re
from pathlib import Path

import pytest

from helvetia.webhooks.model import EVENT_TABLE, Effect, handling_of

DOCS = (Path(__file__).resolve().parents[2] / "docs" / "stripe-setup.md").read_text()
MISSIONS_FIVE = (
    *("customer.subscription.created", "customer.subscription.updated", "customer.subscription.deleted"),
    *("invoice.paid", "invoice.payment_failed"),
)


def test_w13_every_type_is_handled_or_ignored_with_the_reason() -> None:
    assert len(EVENT_TABLE) >= 25
    assert all(handling.why for handling in EVENT_TABLE.values())
    assert handling_of("a.type.of.tomorrow").effect is Effect.IGNORE


@pytest.mark.parametrize("event_type", MISSIONS_FIVE)
def test_the_missions_five_are_read_again(event_type: str) -> None:
    assert EVENT_TABLE[event_type].effect is Effect.SYNC
    assert event_type in DOCS


@pytest.mark.parametrize("event_type", sorted(EVENT_TABLE))
def test_docs_tell_every_type(event_type: str) -> None:
    family, _, verb = event_type.rpartition(".")
    assert event_type in DOCS or re.search(rf"`[^`]*{re.escape(family)}\.(\*|[^`]*\b{verb}\b)", DOCS), event_type


def test_what_changes_the_boundaries_of_usage_is_never_ignored() -> None:
    changing = [one for one in EVENT_TABLE if one.startswith(("customer.subscription.", "subscription_schedule."))]
    ignored = {one for one in changing if EVENT_TABLE[one].effect is Effect.IGNORE}
    assert ignored == {"customer.subscription.trial_will_end"}
