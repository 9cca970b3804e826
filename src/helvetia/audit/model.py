"""An entry of the audit record, as it is read. Frozen data."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who did what, when and why; `detail` holds figures."""

    audit_id: UUID
    recorded_at: datetime
    actor: str
    action: str
    reason: str | None
    detail: Mapping[str, Any]
