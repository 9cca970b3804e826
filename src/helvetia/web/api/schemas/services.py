"""Services on the wire: everything that a customer may say about one is checked here, before it is admitted."""

import re
from decimal import Decimal
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from helvetia.containers.model import Service, ServiceChange, ServiceDefinition, Volume
from helvetia.kernel.identity import AccountId
from helvetia.web.api.schemas.wire import WireAnswer, WireDecimal, WireInstant, WireRequest

COMMAND_ITEMS_MAX = 64
ENV_MAX = 100
VOLUMES_MAX = 20
MEMORY_MB_MIN = 6  # the least that Docker's engine accepts
MEMORY_MB_MAX = 2**20
CPU_CORES_MIN = Decimal("0.01")  # the least that Docker's engine accepts
CPU_CORES_MAX = Decimal(256)
CPU_PLACES_MAX = 3
REPLICAS_MAX = 100
_NUMBER = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,12})?")

_TEXT_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_DOMAIN = r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?"
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?:{_DOMAIN}/)?{_COMPONENT}(?:/{_COMPONENT})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?"
)
_PATH = re.compile(r"(?:/[A-Za-z0-9._@+-]+)+")
_SYSTEM_PATHS = frozenset({"proc", "sys", "dev"})


def _checked_text(value: str) -> str:
    if _TEXT_CONTROLS.search(value):
        raise ValueError("holds a control character")
    return value


def _checked_image(value: str) -> str:
    if not _IMAGE.fullmatch(value):
        raise ValueError("is not an image name such as registry.example/team/app:1.2")
    return value


def _checked_path(value: str) -> str:
    parts = value.split("/")[1:]
    if not _PATH.fullmatch(value) or "." in parts or ".." in parts:
        raise ValueError("is not an absolute path in plain form, such as /data")
    if parts[0] in _SYSTEM_PATHS:
        raise ValueError("is a path of the system")
    return value


def _to_cores(value: Any) -> Decimal:
    """A JSON number or a decimal string, exactly as written."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("is neither a number nor a decimal string")  # noqa: TRY004 - pydantic wants a ValueError
    text = str(value)
    if not _NUMBER.fullmatch(text):
        raise ValueError("is not a plain decimal number")
    cores = Decimal(text)
    is_fit = CPU_CORES_MIN <= cores <= CPU_CORES_MAX
    if not is_fit or cores != round(cores, CPU_PLACES_MAX):
        raise ValueError(f"is not from {CPU_CORES_MIN} to {CPU_CORES_MAX} with at most {CPU_PLACES_MAX} places")
    return cores


Name = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]
Image = Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(_checked_image)]
Argument = Annotated[str, StringConstraints(max_length=4096), AfterValidator(_checked_text)]
EnvName = Annotated[str, StringConstraints(max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
EnvValue = Annotated[str, StringConstraints(max_length=8192), AfterValidator(_checked_text)]
Path = Annotated[str, StringConstraints(min_length=2, max_length=255), AfterValidator(_checked_path)]
Command = Annotated[list[Argument], Field(max_length=COMMAND_ITEMS_MAX)]
Env = Annotated[dict[EnvName, EnvValue], Field(max_length=ENV_MAX)]
MemoryMb = Annotated[int, Field(ge=MEMORY_MB_MIN, le=MEMORY_MB_MAX)]
CpuCores = Annotated[
    Decimal,
    BeforeValidator(_to_cores, json_schema_input_type=str | float),
    Field(description="Cores as a decimal string or a number, 0.01 to 256, at most 3 places."),
]
AccountIdText = Annotated[UUID, Field(strict=False)]
Replicas = Annotated[int, Field(ge=0, le=REPLICAS_MAX)]


class VolumeRequest(WireRequest):
    name: Name
    path: Path


def _checked_volumes(volumes: list[VolumeRequest]) -> list[VolumeRequest]:
    for field in ("name", "path"):
        if len({getattr(volume, field) for volume in volumes}) < len(volumes):
            raise ValueError(f"two volumes have the same {field}")
    return volumes


Volumes = Annotated[list[VolumeRequest], Field(max_length=VOLUMES_MAX), AfterValidator(_checked_volumes)]


class ServiceRequest(WireRequest):
    """A new service."""

    name: Name
    image: Image
    command: Command = Field(default_factory=list)
    env: Env = Field(default_factory=dict)
    memory_mb: MemoryMb
    cpu_cores: CpuCores
    replicas: Replicas = 1
    volumes: Volumes = Field(default_factory=list)

    def to_definition(self) -> ServiceDefinition:
        return ServiceDefinition(
            name=self.name,
            image=self.image,
            command=tuple(self.command),
            env=dict(self.env),
            memory_mb=self.memory_mb,
            cpu_cores=self.cpu_cores,
            replicas=self.replicas,
            volumes=_to_volumes(self.volumes),
        )


class ServiceChangeRequest(WireRequest):
    """What a deploy changes; a field left out stays as it is, and null is no value. The name stays for good."""

    image: Image | None = None
    command: Command | None = None
    env: Env | None = None
    memory_mb: MemoryMb | None = None
    cpu_cores: CpuCores | None = None
    replicas: Replicas | None = None
    volumes: Volumes | None = None

    @model_validator(mode="after")
    def _check_says_something(self) -> Self:
        if not self.model_fields_set or any(getattr(self, name) is None for name in self.model_fields_set):
            raise ValueError("name at least one field to change, and no null")
        return self

    def to_change(self) -> ServiceChange:
        return ServiceChange(
            image=self.image,
            command=None if self.command is None else tuple(self.command),
            env=None if self.env is None else dict(self.env),
            memory_mb=self.memory_mb,
            cpu_cores=self.cpu_cores,
            replicas=self.replicas,
            volumes=None if self.volumes is None else _to_volumes(self.volumes),
        )


class ScaleRequest(WireRequest):
    replicas: Replicas


class TransferRequest(WireRequest):
    """The new owner: an organization, or the caller's own account by their user id."""

    organization_id: AccountIdText | None = None
    user_id: AccountIdText | None = None

    @model_validator(mode="after")
    def _check_names_one(self) -> Self:
        if (self.organization_id is None) == (self.user_id is None):
            raise ValueError("name either organizationId or userId")
        return self

    @property
    def account_id(self) -> AccountId:
        return AccountId(self.organization_id or self.user_id or UUID(int=0))


class VolumeAnswer(WireAnswer):
    name: str
    path: str


class ServiceAnswer(WireAnswer):
    """A service; `env` is null for a caller who may not run services, because it may hold secrets."""

    id: str
    name: str
    image: str
    command: list[str]
    env: dict[str, str] | None
    memory_mb: int
    cpu_cores: WireDecimal
    replicas: int
    volumes: list[VolumeAnswer]
    wish: str
    holds: list[str]
    revision: int
    status: str
    status_code: str | None
    status_message: str | None
    status_at: WireInstant
    created_at: WireInstant


class ServiceListAnswer(WireAnswer):
    services: list[ServiceAnswer]
    next_cursor: str | None


def to_wire_service(service: Service, *, with_env: bool) -> ServiceAnswer:
    definition = service.definition
    return ServiceAnswer(
        id=str(service.service_id),
        name=definition.name,
        image=definition.image,
        command=list(definition.command),
        env=dict(definition.env) if with_env else None,
        memory_mb=definition.memory_mb,
        cpu_cores=definition.cpu_cores.normalize(),
        replicas=definition.replicas,
        volumes=[VolumeAnswer(name=volume.name, path=volume.path) for volume in definition.volumes],
        wish=service.wish.value,
        holds=sorted(hold.value for hold in service.holds),
        revision=service.revision,
        status=service.status,
        status_code=service.status_code,
        status_message=service.status_message,
        status_at=service.status_at,
        created_at=service.created_at,
    )


def _to_volumes(volumes: list[VolumeRequest]) -> tuple[Volume, ...]:
    return tuple(Volume(name=volume.name, path=volume.path) for volume in volumes)
