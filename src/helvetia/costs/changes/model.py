"""A change of a service, and what it did to the cost of a day. Pure; costs in cents, exact until they are shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from helvetia.kernel.identity import ServiceId


class ChangeKind(StrEnum):
    """What was done; `SCALED` changed the number of replicas alone and made no new revision."""

    CREATED = "created"
    DEPLOYED = "deployed"
    SCALED = "scaled"
    STARTED = "started"
    STOPPED = "stopped"
    DELETED = "deleted"
    HELD = "held"
    RESUMED = "resumed"
    TRANSFERRED = "transferred"


class NoDifference(StrEnum):
    """Why nobody can say what a change did to the cost of a day."""

    NO_FULL_DAY_AFTER = "no_full_day_after"
    NO_FULL_DAY_BEFORE = "no_full_day_before"
    SEVERAL_THAT_DAY = "several_that_day"
    GAPS = "gaps"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedChange:
    """`revision`: the one that runs from then on, None where the record does not tell. `former` and `now`: fields that
    changed (`image`, `replicas`, `memory_mb`, `cpu_cores`); `also`: names of others, whose values are not on record.
    """

    at: datetime
    service_id: ServiceId
    kind: ChangeKind
    revision: int | None = None
    former: Mapping[str, str] = field(default_factory=dict)
    now: Mapping[str, str] = field(default_factory=dict)
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeCost:
    """A change with the mean cost of a full UTC day before and after it, each over at most `DAYS_MAX` days.

    A service that was created cost nothing before (of 0 days). `reason` tells why there is no difference.
    """

    change: RecordedChange
    days_before: int = 0
    days_after: int = 0
    before_minor: Decimal | None = None
    after_minor: Decimal | None = None
    reason: NoDifference | None = None

    @property
    def difference_minor(self) -> Decimal | None:
        if self.before_minor is None or self.after_minor is None:
            return None
        return self.after_minor - self.before_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Changes of a range, newest first; `has_more`: there were more than are told."""

    found: tuple[ChangeCost, ...]
    has_more: bool


NO_CHANGES = Changes(found=(), has_more=False)
