"""What a process host remembers across its own death: one small file, replaced as a whole at each change."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from helvetia.containers.errors import HostUnavailable
from helvetia.containers.model import ContainerRecord, ContainerState
from helvetia.kernel.identity import AccountId, ServiceId


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessEntry:
    """One process. `seen_ns`: when it was last known to live; a finish that nobody saw is never later than that."""

    container_id: str
    account_id: str
    service_id: str
    revision: int
    replica: int
    started_ns: int
    seen_ns: int
    process_id: int
    start_ticks: int
    finished_ns: int | None = None
    exit_code: int | None = None
    volumes: tuple[str, ...] = ()

    @property
    def slot(self) -> tuple[str, int, int]:
        return self.service_id, self.revision, self.replica

    def record(self) -> ContainerRecord:
        is_running = self.finished_ns is None
        return ContainerRecord(
            container_id=self.container_id,
            account_id=AccountId(UUID(self.account_id)),
            service_id=ServiceId(UUID(self.service_id)),
            revision=self.revision,
            replica=self.replica,
            state=ContainerState.RUNNING if is_running else ContainerState.EXITED,
            created_ns=self.started_ns,
            started_ns=self.started_ns,
            finished_ns=self.finished_ns,
            restart_count=0,
            exit_code=self.exit_code,
            oom_killed=False,
            process_id=self.process_id if is_running else None,
            volumes=self.volumes,
        )


def load_entries(path: Path) -> dict[str, ProcessEntry]:
    """All entries by container id; none when there is no file yet.

    Raises:
        HostUnavailable: the file is damaged. It is left as it is: what it recorded must not be lost silently.
    """
    if not path.exists():
        return {}
    try:
        entries = [_from_json(entry) for entry in json.loads(path.read_text("utf-8"))]
    except (ValueError, TypeError) as error:
        raise HostUnavailable(f"The record of the demo workloads, {path}, is damaged.") from error
    return {entry.container_id: entry for entry in entries}


def save_entries(path: Path, entries: Iterable[ProcessEntry]) -> None:
    """Replace the file in one step."""
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps([asdict(entry) for entry in entries]), "utf-8")
    draft.replace(path)


def _from_json(entry: Mapping[str, Any]) -> ProcessEntry:
    return ProcessEntry(**{**entry, "volumes": tuple(entry["volumes"])})
