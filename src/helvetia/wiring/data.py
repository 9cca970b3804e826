"""Where this installation keeps what is not in the database."""

from dataclasses import dataclass
from pathlib import Path

from helvetia.database.embedded import data_directory
from helvetia.settings import Settings, project_directory


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """A directory of the installation's own; made when first used."""

    path: Path

    @classmethod
    def of(cls, settings: Settings) -> "DataDirectory":
        """DATA_DIRECTORY if set; else `.data/` of the project, or /var/lib/helvetia/<hash> for root."""
        return cls(settings.data_directory or data_directory(project_directory()))

    @property
    def postgresql(self) -> Path:
        return self.path / "postgresql"
