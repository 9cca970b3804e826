"""Stripe's event → ours. Raises ValueError when the JSON is no event: it may come from anybody's request."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from helvetia.kernel.clock import from_unix_s
from helvetia.kernel.period import Period
from helvetia.stripe_gateway.events import NO_CUSTOMER, MeterErrorReport, StripeEvent
from helvetia.stripe_gateway.fields import Json, read_path

_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
_TYPE = re.compile(r"[a-z0-9_.]{1,200}")
_VERSION_LENGTH_MAX = 64
_SNAPSHOT, _THIN = "event", "v2.core.event"
_SAMPLES_MAX = 1000


def from_stripe_event(raw: object, body: bytes) -> StripeEvent:
    """Raises ValueError."""
    if not isinstance(raw, Mapping) or raw.get("object") not in (_SNAPSHOT, _THIN):
        raise ValueError("not an event")
    is_thin = raw["object"] == _THIN
    about = raw.get("related_object") if is_thin else read_path(raw, "data", "object")
    event_id, event_type, is_live = raw.get("id"), raw.get("type"), raw.get("livemode")
    if not _is_word(event_id, _ID) or not _is_word(event_type, _TYPE) or not isinstance(is_live, bool):
        raise ValueError("not an event")
    if not is_thin and not isinstance(about, Mapping):
        raise ValueError("not an event")
    version = raw.get("api_version")
    return StripeEvent(
        event_id=str(event_id),
        event_type=str(event_type),
        created_at=_created_at(raw.get("created")),
        is_live=is_live,
        is_thin=is_thin,
        api_version=version[:_VERSION_LENGTH_MAX] if isinstance(version, str) and version.isprintable() else None,
        connected_account_id=_word_or_none(raw.get("account"), _ID),
        customer_id=NO_CUSTOMER if is_thin else _customer_id(raw),
        object_id=_word_or_none(read_path(about, "id"), _ID),
        body=body,
    )


def _created_at(value: object) -> datetime:
    """Snapshots carry Unix seconds, thin events ISO 8601."""
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            return from_unix_s(value)
        if isinstance(value, str):
            instant = datetime.fromisoformat(value)
            return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError("not an event") from error
    raise ValueError("not an event")


def _customer_id(raw: Json) -> str:
    """The customer that the object is, belongs to, or was just taken from."""
    about: Any = raw["data"]["object"]
    if about.get("object") == "customer":
        return _word_or_none(about.get("id"), _ID) or NO_CUSTOMER
    for place in (about.get("customer"), read_path(raw, "data", "previous_attributes", "customer")):
        found = _word_or_none(place.get("id") if isinstance(place, Mapping) else place, _ID)
        if found is not None:
            return found
    return NO_CUSTOMER


def _is_word(value: object, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _word_or_none(value: object, pattern: re.Pattern[str]) -> str | None:
    return str(value) if _is_word(value, pattern) else None


def from_stripe_meter_error_report(raw: Json) -> MeterErrorReport:
    """At most _SAMPLES_MAX identifiers; Stripe names only some of a large number."""
    types = read_path(raw, "data", "reason", "error_types") or []
    identifiers = [
        identifier
        for one in types
        for sample in one.get("sample_errors") or []
        if isinstance(identifier := read_path(sample, "request", "identifier"), str)
    ]
    return MeterErrorReport(
        meter_id=_word_or_none(read_path(raw, "related_object", "id"), _ID),
        summary=str(read_path(raw, "data", "developer_message_summary") or ""),
        error_count=int(read_path(raw, "data", "reason", "error_count") or 0),
        codes=tuple(sorted({str(one.get("code")) for one in types})),
        identifiers=tuple(dict.fromkeys(identifiers))[:_SAMPLES_MAX],
        validated=_validated(raw),
    )


def _validated(raw: Json) -> Period | None:
    """Whole seconds on Stripe's side: the last one counts as a whole."""
    edges = [read_path(raw, "data", name) for name in ("validation_start", "validation_end")]
    if not all(isinstance(edge, str) for edge in edges):
        return None
    try:
        starts_at, ends_at = sorted(_created_at(edge) for edge in edges)
    except ValueError:
        return None
    return Period(starts_at=starts_at, ends_at=ends_at + timedelta(seconds=1))
