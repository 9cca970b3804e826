"""The operator's overview: figures, each of which leads to its list. Amounts are integers in minor units."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from helvetia.enforcement.model import EnforcementMode

ROWS_SHOWN_MAX = 200
GRACE_DAYS = 7


class ListName(StrEnum):
    """The lists; the words are their addresses."""

    SUBSCRIBERS = "subscribers"
    PAST_DUE = "past-due"
    GRACE = "grace"
    HELD = "held"
    TASKS = "tasks"
    WEBHOOKS = "webhooks"
    OUTBOX = "outbox"
    GAPS = "gaps"
    HOSTS = "hosts"
    DIFFERENCES = "differences"


class CellKind(StrEnum):
    TEXT = "text"
    COUNT = "count"
    MONEY = "money"
    INSTANT = "instant"
    QUANTITY = "quantity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """`key`: the value of a row; `currency_key`: the value that names a money column's currency."""

    key: str
    kind: CellKind = CellKind.TEXT
    currency_key: str = "currency"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorList:
    """At most ROWS_SHOWN_MAX rows, the most urgent first; `count` is of all."""

    name: ListName
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, object]]
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """Rows and their money in one currency."""

    count: int
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhooks:
    """Events not handled yet; `complete_until_at`: Stripe's own list was walked through to there."""

    waiting_count: int
    parked_count: int
    oldest_waiting_at: datetime | None
    complete_until_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metering:
    """`open_gap_count`: stretches of the last day that nothing read; `late_host_count`: hosts that tell nothing now."""

    open_gap_count: int
    late_host_count: int
    running_count: int
    read_until_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorOverview:
    """Everything of one transaction, so that the figures belong to one moment.

    `fees`: the monthly fees of live subscriptions by currency; `past_due`: what is open; `in_grace`: accounts by whole
    days left, from 0; `held_services`: by cause; `outbox`: reports by state; `tasks`: usage that no invoice bills.
    """

    at: datetime
    fees: Sequence[Sum]
    past_due: Sequence[Sum]
    past_due_count: int
    in_grace: Mapping[int, int]
    held_services: Mapping[str, int]
    held_account_count: int
    tasks: Sequence[Sum]
    stuck_cancellation_count: int
    webhooks: Webhooks
    outbox: Mapping[str, int]
    oldest_due_at: datetime | None
    metering: Metering
    difference_count: int
    compared_from: datetime | None
    mode: EnforcementMode
    mode_warning: str | None
    brake: str | None
