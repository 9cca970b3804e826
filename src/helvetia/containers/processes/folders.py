"""Where a process host keeps layers (`layers/<container>`) and volumes (`volumes/<account>/<service>/<name>`).

The first owner of a volume stands in its path, and its service, which is known so after the last container is gone.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from helvetia.containers.model import ContainerSpec
from helvetia.kernel.identity import AccountId, ServiceId


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeFolder:
    account_id: AccountId
    service_id: ServiceId
    name: str
    path: Path

    @property
    def holder(self) -> str:
        return f"{self.service_id}/{self.name}"


class Folders:
    """The folders under one data directory."""

    def __init__(self, data_directory: Path) -> None:
        self._layers = data_directory / "layers"
        self._volumes = data_directory / "volumes"
        for folder in (self._layers, self._volumes):
            folder.mkdir(parents=True, exist_ok=True)

    def layer(self, container_id: str) -> Path:
        return self._layers / container_id

    def make_layer(self, container_id: str) -> Path:
        self.layer(container_id).mkdir()
        return self.layer(container_id)

    def remove_layer(self, container_id: str) -> None:
        shutil.rmtree(self.layer(container_id), ignore_errors=True)

    def make_volumes(self, spec: ContainerSpec) -> Sequence[VolumeFolder]:
        made: list[VolumeFolder] = []
        for volume in spec.volumes:
            path = self._of_service(spec) / volume.name
            path.mkdir(parents=True, exist_ok=True)
            made.append(
                VolumeFolder(account_id=spec.account_id, service_id=spec.service_id, name=volume.name, path=path)
            )
        return made

    def _of_service(self, spec: ContainerSpec) -> Path:
        """Where its volumes lie already, below an account that may be a former owner's, or will lie."""
        made = next(self._volumes.glob(f"*/{spec.service_id}"), None)
        return made or self._volumes / str(spec.account_id) / str(spec.service_id)

    def volumes(self) -> Iterator[VolumeFolder]:
        for path in sorted(self._volumes.glob("*/*/*")):
            account, service = path.parts[-3:-1]
            yield VolumeFolder(
                account_id=AccountId(UUID(account)), service_id=ServiceId(UUID(service)), name=path.name, path=path
            )

    def remove_volumes(self, service_id: ServiceId) -> None:
        for path in self._volumes.glob(f"*/{service_id}"):
            shutil.rmtree(path, ignore_errors=True)


def size_of_tree(folder: Path) -> int | None:
    """Bytes of all files in a folder, each counted once however many names it has; None when there is no folder."""
    if not folder.is_dir():
        return None
    sizes: dict[tuple[int, int], int] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                status = Path(parent, name).lstat()
            except FileNotFoundError:
                continue  # removed while we walked
            sizes[status.st_dev, status.st_ino] = status.st_size
    return sum(sizes.values())
