"""What a service and a container are, and the two protocols of the package: ContainerHost and Admission."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, Protocol

from helvetia.database.pool import Database, Transaction
from helvetia.kernel.errors import HelvetiaError
from helvetia.kernel.identity import AccountId, ServiceId

INSTALLATION_LABEL = "helvetia.installation"
SERVICE_LABEL = "helvetia.service_id"
ACCOUNT_LABEL = "helvetia.account_id"
"""Who owned the service when the container was made; who owns it now says the service's row."""
REVISION_LABEL = "helvetia.revision"
REPLICA_LABEL = "helvetia.replica"
OWN_MAC_PREFIX = "0a"
"""Addresses that we give begin so (locally administered); the engine gives others, and gives those again."""


class Wish(StrEnum):
    """What the owner wants; observed state never overwrites it."""

    RUNNING = "running"
    STOPPED = "stopped"


class HoldCause(StrEnum):
    """Why a wished service must not run."""

    PAYMENT = "payment"
    QUOTA = "quota"
    BUDGET = "budget"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A named volume of a service, mounted at an absolute path."""

    name: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDefinition:
    """All that a customer may say about a service; everything else is refused."""

    name: str
    image: str
    command: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    memory_mb: int
    cpu_cores: Decimal
    replicas: int = 1
    volumes: Sequence[Volume] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceChange:
    """What a deploy changes; None leaves it as it is."""

    image: str | None = None
    command: Sequence[str] | None = None
    env: Mapping[str, str] | None = None
    memory_mb: int | None = None
    cpu_cores: Decimal | None = None
    replicas: int | None = None
    volumes: Sequence[Volume] | None = None


class ServiceStatus(StrEnum):
    """What the engine last said of a service."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPED = "stopped"
    HELD = "held"
    FAILED = "failed"
    UNKNOWN = "unknown"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service as the ledger knows it: its definition, the wish, its active holds, and what the engine last said."""

    account_id: AccountId
    service_id: ServiceId
    definition: ServiceDefinition
    wish: Wish
    holds: frozenset[HoldCause]
    revision: int
    restart_number: int
    status: ServiceStatus
    status_code: str | None
    status_message: str | None
    status_at: datetime
    created_at: datetime
    deleted_at: datetime | None
    stop_rank: int | None = None

    @property
    def generation(self) -> int:
        """Grows with every deploy and every restart; a container of an older generation is replaced."""
        return self.revision + self.restart_number

    @property
    def should_run(self) -> bool:
        """It runs iff it is wished and not held and not deleted."""
        return self.wish is Wish.RUNNING and not self.holds and self.deleted_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """What a host is asked to run: one replica of one generation (`revision`) of a service."""

    account_id: AccountId
    service_id: ServiceId
    revision: int
    replica: int
    image: str
    command: Sequence[str]
    env: Mapping[str, str]
    memory_bytes: int
    cpu_cores: Decimal
    volumes: Sequence[Volume]


class ContainerState(StrEnum):
    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    EXITED = "exited"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRecord:
    """A container of this installation, as the engine itself tells it; instants in nanoseconds since the epoch.

    `started_ns` is None for a container that never started; `finished_ns` is None while it runs. Both are the latest
    run's: a restart replaces them, so (container_id, started_ns) names an incarnation.
    """

    container_id: str
    account_id: AccountId
    service_id: ServiceId
    revision: int
    replica: int
    state: ContainerState
    created_ns: int
    started_ns: int | None
    finished_ns: int | None
    restart_count: int
    exit_code: int | None
    oom_killed: bool
    process_id: int | None
    volumes: Sequence[str] = ()
    mac_address: str | None = None

    @property
    def incarnation(self) -> str | None:
        """The run that counters belong to."""
        return None if self.started_ns is None else f"{self.container_id}:{self.started_ns}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerCounters:
    """One look at a running container. Counters are cumulative since this start; None means not measured, never 0.

    `external_bytes`: those of the transmitted bytes that left the host's container networks.
    """

    container_id: str
    sampled_ns: int
    memory_bytes: int | None
    memory_peak_bytes: int | None
    cpu_ns: int | None
    transmitted_bytes: int | None
    received_bytes: int | None
    external_bytes: int | None = None


class Counts(NamedTuple):
    """ContainerCounters without whose they are, for paths that thousands of them take."""

    sampled_ns: int
    memory_bytes: int | None
    memory_peak_bytes: int | None
    cpu_ns: int | None
    transmitted_bytes: int | None
    received_bytes: int | None
    external_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSize:
    """Bytes held by a writable layer (`kind` layer, `holder` = container id) or a named volume (`kind` volume).

    None means that it is there and could not be sized this time: neither 0 nor gone.
    """

    holder: str
    kind: str
    account_id: AccountId
    service_id: ServiceId
    sampled_ns: int
    size_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerEvent:
    """A hint that something changed; the record is always the inspect that follows."""

    container_id: str
    action: str
    occurred_ns: int


class ContainerHost(Protocol):
    """A place that runs containers of this installation; others on the same engine are never read or touched.

    Every method raises HostUnavailable when the engine does not answer in time.
    """

    @property
    def node(self) -> str:
        """A stable name of the host."""
        ...

    async def list_containers(self) -> Sequence[ContainerRecord]:
        """Every container of this installation, running or not, each inspected."""
        ...

    async def list_running_ids(self) -> Sequence[str]:
        """Those that run, in one question to the engine; which run of theirs it is, only an inspect tells."""
        ...

    async def inspect(self, container_id: str) -> ContainerRecord | None:
        """One container of this installation, or None when it is gone (or not ours)."""
        ...

    async def create_and_start(self, spec: ContainerSpec) -> ContainerRecord:
        """Run one replica. Raises ImageNotFound, ContainerRefused; nothing half-made remains."""
        ...

    async def stop(self, container_id: str, *, grace_s: int = 10) -> None:
        """Stop it; a container that is already stopped or gone is fine."""
        ...

    async def remove(self, container_id: str) -> None:
        """Remove a stopped container, not its volumes; one that is gone is fine. Only metering's finalizer calls it."""
        ...

    async def remove_volumes(self, service_id: ServiceId) -> None:
        """Delete the named volumes of a deleted service."""
        ...

    async def read_counters(self, containers: Sequence[ContainerRecord]) -> Sequence[ContainerCounters]:
        """Counters of the running ones among `containers`; one that cannot be read is left out, never guessed."""
        ...

    async def read_storage(self) -> Sequence[StorageSize]:
        """Sizes of all writable layers and named volumes of this installation."""
        ...

    def events(self) -> AsyncIterator[ContainerEvent]:
        """Start and die events from now on; ends when the connection does. Only a hint for speed."""
        ...

    async def close(self) -> None:
        """Let go of connections; containers run on (a process host stops what it started)."""
        ...


class Admission(Protocol):
    """Asked, inside the caller's transaction and under the account's row lock, before anything new may run."""

    async def admit(
        self, tx: Transaction, account_id: AccountId, wanted: ServiceDefinition, wish: Wish, *, former: Service | None
    ) -> None:
        """Raises LimitReached or PaymentRequired when the account may not have it so.

        `former`: the service as it is, or None for a new one, which the limits do not count yet.
        """
        ...

    async def note_refusal(self, database: Database, account_id: AccountId, refusal: HelvetiaError) -> None:
        """Told of each refusal once the refused transaction is undone; raises nothing of its own."""
        ...
