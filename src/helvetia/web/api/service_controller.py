"""Services: create, read, deploy, start, stop, restart, scale, transfer, delete.

Every change is accepted (202) as a wish; what the engine makes of it appears as the service's status.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from helvetia.accounts.model import Permission
from helvetia.accounts.service import AccountService
from helvetia.containers.model import Service
from helvetia.containers.service import ContainerService
from helvetia.kernel.errors import Forbidden
from helvetia.kernel.identity import ServiceId
from helvetia.web.api.schemas.services import (
    ScaleRequest,
    ServiceAnswer,
    ServiceChangeRequest,
    ServiceListAnswer,
    ServiceRequest,
    TransferRequest,
    to_wire_service,
)
from helvetia.web.middleware.authenticate import Caller, ServiceReader, ServiceRunner
from helvetia.web.middleware.enforcement import MayStart

ServiceIdPath = Annotated[UUID, Path(description="The service's id.")]
Cursor = Annotated[UUID | None, Query(description="`nextCursor` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=100)]
_SERVICES = "/api/v1/services"
_SERVICE = f"{_SERVICES}/{{service_id}}"


class ServiceController:
    """The services of the selected account."""

    def __init__(self, containers: ContainerService, accounts: AccountService) -> None:
        self._containers = containers
        self._accounts = accounts

    def add_to(self, router: APIRouter) -> None:
        def add(path: str, endpoint: Callable[..., Awaitable[object]], method: str, status: int = 202) -> None:
            router.add_api_route(path, endpoint, methods=[method], status_code=status, tags=["services"])

        add(_SERVICES, self.create_service, "POST")
        add(_SERVICES, self.list_services, "GET", 200)
        add(_SERVICE, self.get_service, "GET", 200)
        add(_SERVICE, self.change_service, "PATCH")
        add(_SERVICE, self.delete_service, "DELETE", 204)
        add(f"{_SERVICE}/start", self.start_service, "POST")
        add(f"{_SERVICE}/stop", self.stop_service, "POST")
        add(f"{_SERVICE}/restart", self.restart_service, "POST")
        add(f"{_SERVICE}/scale", self.scale_service, "POST")
        add(f"{_SERVICE}/transfer", self.transfer_service, "POST")

    async def create_service(self, caller: ServiceRunner, _may: MayStart, service: ServiceRequest) -> ServiceAnswer:
        """Admit a new service and wish it to run."""
        return _answer(
            caller,
            await self._containers.create_service(caller.account_id, service.to_definition(), actor=caller.actor),
        )

    async def list_services(self, caller: ServiceReader, cursor: Cursor = None, limit: Limit = 50) -> ServiceListAnswer:
        """The account's services, a page at a time."""
        after = None if cursor is None else ServiceId(cursor)
        services = await self._containers.list_services(caller.account_id, after, limit)
        is_full = len(services) == limit
        return ServiceListAnswer(
            services=[_answer(caller, service) for service in services],
            next_cursor=str(services[-1].service_id) if is_full else None,
        )

    async def get_service(self, caller: ServiceReader, service_id: ServiceIdPath) -> ServiceAnswer:
        """One service."""
        return _answer(caller, await self._containers.get_service(caller.account_id, ServiceId(service_id)))

    async def change_service(
        self, caller: ServiceRunner, _may: MayStart, service_id: ServiceIdPath, change: ServiceChangeRequest
    ) -> ServiceAnswer:
        """Deploy: a numbered revision of the definition."""
        service = await self._containers.change_service(
            caller.account_id, ServiceId(service_id), change.to_change(), actor=caller.actor
        )
        return _answer(caller, service)

    async def delete_service(self, caller: ServiceRunner, service_id: ServiceIdPath) -> Response:
        """Stop it and remove its containers and volumes; its usage stays."""
        await self._containers.delete_service(caller.account_id, ServiceId(service_id), actor=caller.actor)
        return Response(status_code=204)

    async def start_service(self, caller: ServiceRunner, _may: MayStart, service_id: ServiceIdPath) -> ServiceAnswer:
        """Wish it to run."""
        return _answer(
            caller, await self._containers.start_service(caller.account_id, ServiceId(service_id), actor=caller.actor)
        )

    async def stop_service(self, caller: ServiceRunner, service_id: ServiceIdPath) -> ServiceAnswer:
        """Wish it stopped; its volumes stay."""
        return _answer(
            caller, await self._containers.stop_service(caller.account_id, ServiceId(service_id), actor=caller.actor)
        )

    async def restart_service(self, caller: ServiceRunner, service_id: ServiceIdPath) -> ServiceAnswer:
        """Replace its containers by new ones of the same revision."""
        return _answer(
            caller, await self._containers.restart_service(caller.account_id, ServiceId(service_id), actor=caller.actor)
        )

    async def scale_service(
        self, caller: ServiceRunner, _may: MayStart, service_id: ServiceIdPath, scale: ScaleRequest
    ) -> ServiceAnswer:
        """Change the number of replicas."""
        service = await self._containers.scale_service(
            caller.account_id, ServiceId(service_id), scale.replicas, actor=caller.actor
        )
        return _answer(caller, service)

    async def transfer_service(
        self, caller: ServiceRunner, service_id: ServiceIdPath, transfer: TransferRequest
    ) -> ServiceAnswer:
        """Give it to another account in which the caller may run services; it runs on, and is billed there from now."""
        service = await self._containers.get_service(caller.account_id, ServiceId(service_id))
        membership = await self._accounts.membership(transfer.account_id, caller.user.account_id)
        if not membership.allows(Permission.RUN_SERVICES):
            raise Forbidden(needs=Permission.RUN_SERVICES, role=membership.role)
        moved = await self._containers.transfer_service(
            caller.account_id, service.service_id, transfer.account_id, actor=caller.actor
        )
        return _answer(caller, moved)


def _answer(caller: Caller, service: Service) -> ServiceAnswer:
    return to_wire_service(service, with_env=caller.allows(Permission.RUN_SERVICES))
