"""The columns of each list, in the order in which they are read."""

from collections.abc import Mapping, Sequence

from helvetia.operations.model import CellKind, Column, ListName

_ACCOUNT = Column(key="account")
_CUSTOMER = Column(key="customer")
_STATUS = (Column(key="plan"), Column(key="status"))

COLUMNS: Mapping[ListName, Sequence[Column]] = {
    ListName.SUBSCRIBERS: (
        _ACCOUNT,
        *_STATUS,
        Column(key="fee_minor", kind=CellKind.MONEY),
        Column(key="period_ends_at", kind=CellKind.INSTANT),
        _CUSTOMER,
    ),
    ListName.PAST_DUE: (
        _ACCOUNT,
        *_STATUS,
        Column(key="open_minor", kind=CellKind.MONEY),
        Column(key="first_failed_at", kind=CellKind.INSTANT),
        _CUSTOMER,
    ),
    ListName.GRACE: (
        _ACCOUNT,
        *_STATUS,
        Column(key="days_left", kind=CellKind.COUNT),
        Column(key="hold_due_at", kind=CellKind.INSTANT),
        Column(key="services", kind=CellKind.COUNT),
    ),
    ListName.HELD: (
        _ACCOUNT,
        Column(key="service"),
        Column(key="cause"),
        Column(key="placed_at", kind=CellKind.INSTANT),
        Column(key="reason"),
        Column(key="placed_by"),
    ),
    ListName.TASKS: (
        _ACCOUNT,
        Column(key="metric"),
        Column(key="quantity", kind=CellKind.QUANTITY),
        Column(key="amount_minor", kind=CellKind.MONEY),
        Column(key="cause"),
        Column(key="starts_at", kind=CellKind.INSTANT),
        Column(key="ends_at", kind=CellKind.INSTANT),
    ),
    ListName.WEBHOOKS: (
        Column(key="event"),
        Column(key="type"),
        _CUSTOMER,
        Column(key="received_at", kind=CellKind.INSTANT),
        Column(key="attempts", kind=CellKind.COUNT),
        Column(key="state"),
    ),
    ListName.OUTBOX: (
        _ACCOUNT,
        Column(key="metric"),
        Column(key="piece_start", kind=CellKind.INSTANT),
        Column(key="value", kind=CellKind.QUANTITY),
        Column(key="state"),
        Column(key="attempts", kind=CellKind.COUNT),
        Column(key="last_error"),
    ),
    ListName.GAPS: (
        _ACCOUNT,
        Column(key="service"),
        Column(key="cause"),
        Column(key="starts_at", kind=CellKind.INSTANT),
        Column(key="ends_at", kind=CellKind.INSTANT),
    ),
    ListName.HOSTS: (
        Column(key="host"),
        Column(key="read_until_at", kind=CellKind.INSTANT),
        Column(key="heard_at", kind=CellKind.INSTANT),
        Column(key="accounts", kind=CellKind.COUNT),
        Column(key="services", kind=CellKind.COUNT),
    ),
    ListName.DIFFERENCES: (
        Column(key="accountId"),
        Column(key="hop"),
        Column(key="metric"),
        Column(key="startsAt"),
        Column(key="ours"),
        Column(key="theirs"),
        Column(key="amountMinor"),
        Column(key="repair"),
    ),
}
