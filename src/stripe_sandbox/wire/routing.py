"""Method and path → endpoint."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stripe_sandbox.documents import Handler
from stripe_sandbox.wire.schema import Hash


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One line of the API: ``*`` in the path stands for an id."""

    method: str
    path: str
    params: Hash
    handler: Handler


class Router:
    """All endpoints, found by the shape of the path; a literal segment goes before an id."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        """Index the endpoints by method and number of segments."""
        self._endpoints = tuple(endpoints)
        self._index: dict[tuple[str, int], list[tuple[list[str], Endpoint]]] = {}
        for endpoint in self._endpoints:
            segments = endpoint.path.strip("/").split("/")
            self._index.setdefault((endpoint.method, len(segments)), []).append((segments, endpoint))
        for candidates in self._index.values():
            candidates.sort(key=lambda candidate: candidate[0].count("*"))

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return every endpoint."""
        return self._endpoints

    def match(self, method: str, path: str) -> tuple[Endpoint, tuple[str, ...]] | None:
        """Return the endpoint and the ids of the path."""
        segments = path.strip("/").split("/")
        for pattern, endpoint in self._index.get((method, len(segments)), ()):
            pairs = list(zip(pattern, segments, strict=True))
            if all(want in ("*", got) for want, got in pairs) and all(segments):
                return endpoint, tuple(got for want, got in pairs if want == "*")
        return None
