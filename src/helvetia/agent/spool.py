"""The arrow look → disk: batches wait here, in order, while the server cannot be reached.

Promises: a batch that was added survives a kill; one is removed only when the server answered it. Bounded: when the
spool is full the oldest go first, which is counted (time and bytes are recovered from later looks; memory is a gap).
"""

import os
import threading
from itertools import islice
from pathlib import Path
from typing import Final

BYTES_MAX: Final = 256 * 2**20
WAITING_BYTES_MAX: Final = 8 * 2**20
_SUFFIX: Final = ".json"


class Spool:
    """Files of one directory, named by a growing number; any thread may call."""

    def __init__(self, directory: Path, *, bytes_max: int = BYTES_MAX) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory = directory
        self._bytes_max = bytes_max
        for half_written in directory.glob("*.tmp"):
            half_written.unlink()
        self._sizes = {path.name: path.stat().st_size for path in sorted(directory.glob(f"*{_SUFFIX}"))}
        self._next = int(max(self._sizes).removesuffix(_SUFFIX)) + 1 if self._sizes else 0
        self.dropped_count = 0
        self._turn = threading.RLock()

    @property
    def waiting_count(self) -> int:
        return len(self._sizes)

    def add(self, batch: bytes) -> None:
        """Keep a batch; raises OSError, with nothing kept of it, when the disk does not take it."""
        with self._turn:
            self._add(batch)

    def waiting(self, count_max: int) -> list[tuple[str, bytes]]:
        """The batches to post next, oldest first, with their names; no more of them than WAITING_BYTES_MAX hold."""
        found: list[tuple[str, bytes]] = []
        with self._turn:
            left = WAITING_BYTES_MAX
            for name, size in islice(self._sizes.items(), count_max):
                left -= size
                if found and left < 0:
                    break
                found.append((name, (self._directory / name).read_bytes()))
        return found

    def remove(self, name: str) -> None:
        """The server has answered it, or there is no room. Removing twice is removing once."""
        with self._turn:
            if self._sizes.pop(name, None) is not None:
                (self._directory / name).unlink(missing_ok=True)

    def _add(self, batch: bytes) -> None:
        name = f"{self._next:020d}{_SUFFIX}"
        half_written = self._directory / f"{name}.tmp"
        try:
            with half_written.open("wb") as file:
                file.write(batch)
                file.flush()
                os.fsync(file.fileno())
            half_written.rename(self._directory / name)
        except OSError:
            half_written.unlink(missing_ok=True)  # a full disk needs the room
            raise
        self._next += 1
        self._sizes[name] = len(batch)
        while sum(self._sizes.values()) > self._bytes_max and len(self._sizes) > 1:
            self.remove(next(iter(self._sizes)))
            self.dropped_count += 1
