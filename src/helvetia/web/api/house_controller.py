"""The house's own routes: liveness, readiness, metrics and the description of the API."""

import hmac
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from helvetia.kernel.errors import Forbidden
from helvetia.web.config import WebConfig
from helvetia.web.middleware.authenticate import Open
from helvetia.web.readiness import Readiness

_LOOPBACK = frozenset({"127.0.0.1", "::1"})
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
Probe = Annotated[None, Depends(Open("probes hold no credential"))]


class MetricsForbidden(Forbidden):
    """Metrics are for this machine, or for who holds the metrics token."""

    code = "metrics_forbidden"


class HouseController:
    def __init__(self, config: WebConfig, readiness: Readiness, registry: CollectorRegistry) -> None:
        self._config = config
        self._readiness = readiness
        self._registry = registry

    def add_to(self, router: APIRouter) -> None:
        def add(path: str, endpoint: Any) -> None:
            router.add_api_route(path, endpoint, methods=["GET"], include_in_schema=False)

        add("/healthz", self.get_health)
        add("/readyz", self.get_readiness)
        add("/metrics", self.get_metrics)
        add("/api/v1/openapi.json", self.get_description)

    async def get_health(self, _probe: Probe) -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    async def get_readiness(self, _probe: Probe) -> Response:
        """200, or 503 with the reasons."""
        reasons = await self._readiness.reasons()
        content = {"status": "not ready" if reasons else "ready", "reasons": reasons}
        headers = {"Retry-After": "5"} if reasons else {}
        return JSONResponse(content, 503 if reasons else 200, headers)

    async def get_metrics(
        self, request: Request, _probe: Annotated[None, Depends(Open("checks its own peer"))]
    ) -> Response:
        """Prometheus text, for a peer on this machine (not one behind a proxy on it) or with the metrics token."""
        if not self._may_read_metrics(request):
            raise MetricsForbidden
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

    async def get_description(
        self, request: Request, _probe: Annotated[None, Depends(Open("describes only what is public"))]
    ) -> JSONResponse:
        """The OpenAPI description."""
        return JSONResponse(request.app.openapi())

    def _may_read_metrics(self, request: Request) -> bool:
        token = self._config.metrics_token
        sent = request.headers.get("authorization", "")
        if token and hmac.compare_digest(sent.encode(), f"Bearer {token}".encode()):
            return True
        return is_this_machine(request)


def is_this_machine(request: Request) -> bool:
    """Whether the peer is on this machine, and no proxy on it."""
    is_proxied = any(name in request.headers for name in _FORWARDED)
    return request.client is not None and request.client.host in _LOOPBACK and not is_proxied
