"""The use cases of services: each changes a wish, a definition or a hold in one transaction.

Each leaves its entry in the audit record, in that transaction. Nothing here talks to an engine; the reconciler drives
it there.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields, replace

from helvetia.accounts.store import lock_account
from helvetia.audit.store import record
from helvetia.containers import store, store_holds, store_transfers
from helvetia.containers.errors import SameOwner, ServiceHeld, ServiceNameTaken, ServiceNotFound
from helvetia.containers.model import Admission, HoldCause, Service, ServiceChange, ServiceDefinition, Wish
from helvetia.database.pool import Database, Transaction
from helvetia.kernel.clock import Clock
from helvetia.kernel.errors import LimitReached, PaymentRequired
from helvetia.kernel.identity import AccountId, ServiceId, new_service_id

LIST_LIMIT_MAX = 100
HOUSE = "helvetia"  # who acts where nobody asked: the demo, the time machine
# All else of a definition may hold secrets (command, environment): that it changed is on record, never what it is.
_FIELDS = ("image", "replicas", "memory_mb", "cpu_cores")


class ContainerService:
    """Services of an account. Every change takes the account's row lock, so limits hold under any parallel use."""

    def __init__(self, database: Database, clock: Clock, admission: Admission) -> None:
        self._database = database
        self._clock = clock
        self._admission = admission

    async def create_service(
        self, account_id: AccountId, definition: ServiceDefinition, *, actor: str = HOUSE
    ) -> Service:
        """A new service, wished to run.

        Raises:
            LimitReached: the plan has no room for it.
            ServiceNameTaken: the account has a service of this name.
        """
        service_id = new_service_id()
        async with self._changing(account_id) as tx:
            await self._admission.admit(tx, account_id, definition, Wish.RUNNING, former=None)
            made = await store.insert_service(tx, account_id, service_id, definition, self._clock.now())
            if made is None:
                raise ServiceNameTaken
            told = _told(made.definition, set(_FIELDS))
            await self._audit(tx, made, actor, "service_created", revision=made.revision, **told)
            return made

    async def list_services(
        self, account_id: AccountId, after: ServiceId | None = None, limit: int = LIST_LIMIT_MAX
    ) -> Sequence[Service]:
        async with self._database.transaction() as tx:
            return await store.list_services(tx, account_id, after=after, limit=min(limit, LIST_LIMIT_MAX))

    async def get_service(self, account_id: AccountId, service_id: ServiceId) -> Service:
        """Raises ServiceNotFound, also for another tenant's service."""
        async with self._database.transaction() as tx:
            return await self._find(tx, account_id, service_id)

    async def change_service(
        self, account_id: AccountId, service_id: ServiceId, change: ServiceChange, *, actor: str = HOUSE
    ) -> Service:
        """A deploy: the changed definition becomes the next revision and replaces what runs."""
        async with self._changing(account_id) as tx:
            service = await self._find(tx, account_id, service_id)
            changes = {f.name: v for f in fields(change) if (v := getattr(change, f.name)) is not None}
            definition = replace(service.definition, **changes)
            if definition == service.definition:
                return service
            await self._admission.admit(tx, account_id, definition, service.wish, former=service)
            is_deploy = replace(service.definition, replicas=definition.replicas) != definition
            await store.save_definition(tx, service, definition, is_deploy=is_deploy, at=self._clock.now())
            changed = {name for name in changes if getattr(definition, name) != getattr(service.definition, name)}
            made, former = await self._find(tx, account_id, service_id), _told(service.definition, changed)
            former.pop("also", None)
            told = {"revision": made.revision, "former": former, **_told(definition, changed)}
            await self._audit(tx, made, actor, "service_changed", **told)
            return made

    async def scale_service(
        self, account_id: AccountId, service_id: ServiceId, replicas: int, *, actor: str = HOUSE
    ) -> Service:
        """Change the number of replicas; what runs and stays is not touched."""
        return await self.change_service(account_id, service_id, ServiceChange(replicas=replicas), actor=actor)

    async def start_service(self, account_id: AccountId, service_id: ServiceId, *, actor: str = HOUSE) -> Service:
        """Wish it to run. Raises ServiceHeld while a hold is in force."""
        return await self._wish(account_id, service_id, Wish.RUNNING, actor, "service_started")

    async def stop_service(self, account_id: AccountId, service_id: ServiceId, *, actor: str = HOUSE) -> Service:
        return await self._wish(account_id, service_id, Wish.STOPPED, actor, "service_stopped")

    async def restart_service(self, account_id: AccountId, service_id: ServiceId, *, actor: str = HOUSE) -> Service:
        """Replace what runs by new containers of the same revision."""
        return await self._wish(account_id, service_id, Wish.RUNNING, actor, "service_restarted")

    async def delete_service(self, account_id: AccountId, service_id: ServiceId, *, actor: str = HOUSE) -> None:
        """Stop it, remove its containers once they are metered, and its volumes; its usage stays."""
        async with self._changing(account_id) as tx:
            service = await self._find(tx, account_id, service_id)
            await store.mark_deleted(tx, service, self._clock.now())
            await self._audit(tx, service, actor, "service_deleted")

    async def transfer_service(
        self, account_id: AccountId, service_id: ServiceId, to_account_id: AccountId, *, actor: str
    ) -> Service:
        """Give it to another account; it runs on. What it used before this instant stays the former owner's.

        Raises:
            ServiceNotFound, SameOwner, AccountNotFound
            ServiceHeld: what is held for its owner's debts does not go to another.
            ServiceNameTaken, LimitReached: the other account has no place for it.
        """
        if to_account_id == account_id:
            raise SameOwner
        async with self._changing(to_account_id, account_id) as tx:
            service = await self._find(tx, account_id, service_id)
            if service.holds:
                raise ServiceHeld(causes=sorted(service.holds))
            await self._admission.admit(tx, to_account_id, service.definition, service.wish, former=None)
            if await store_transfers.name_is_taken(tx, to_account_id, service.definition.name):
                raise ServiceNameTaken
            await store_transfers.lock_owners(tx)
            at = await store_transfers.next_instant(tx, service_id, self._clock.now())
            await store_transfers.move_service(tx, service, to_account_id, at)
            moved = await self._find(tx, to_account_id, service_id)
            accounts = {"fromAccountId": str(account_id), "toAccountId": str(to_account_id)}
            for one in (service, moved):
                await self._audit(tx, one, actor, "service_transferred", **accounts)
            return moved

    async def place_hold(
        self, account_id: AccountId, service_id: ServiceId, cause: HoldCause, *, reason: str, placed_by: str
    ) -> Service:
        """Stop it for a cause, leaving the owner's wish as it is."""
        async with self._changing(account_id) as tx:
            service = await self._find(tx, account_id, service_id)
            await store_holds.place_holds(
                tx,
                account_id,
                [service_id],
                cause,
                reason=reason,
                placed_by=placed_by,
                pass_id=None,
                at=self._clock.now(),
            )
            await self._audit(tx, service, placed_by, "service_held", cause=cause.value, reason=reason)
            return await self._find(tx, account_id, service_id)

    async def lift_hold(
        self, account_id: AccountId, service_id: ServiceId, cause: HoldCause, *, actor: str = HOUSE
    ) -> Service:
        """Lift one cause's hold; it runs again if it is wished and no other cause holds it."""
        async with self._changing(account_id) as tx:
            service = await self._find(tx, account_id, service_id)
            await store_holds.lift_holds(tx, account_id, cause, [service_id], at=self._clock.now())
            await self._audit(tx, service, actor, "service_resumed", cause=cause.value)
            return await self._find(tx, account_id, service_id)

    @asynccontextmanager
    async def _changing(self, account_id: AccountId, *others: AccountId) -> AsyncIterator[Transaction]:
        """One transaction under the account's lock, and others'. What it refuses goes on record once it is undone."""
        try:
            async with self._database.transaction() as tx:
                for one in sorted({account_id, *others}):
                    await lock_account(tx, one)
                yield tx
        except (PaymentRequired, LimitReached) as refusal:
            await self._admission.note_refusal(self._database, account_id, refusal)
            raise

    async def _wish(self, account_id: AccountId, service_id: ServiceId, wish: Wish, actor: str, action: str) -> Service:
        async with self._changing(account_id) as tx:
            service = await self._find(tx, account_id, service_id)
            if wish is Wish.RUNNING:
                await self._admit_start(tx, service)
            restarts = 1 if action == "service_restarted" else 0
            await store.save_wish(tx, service, wish, restarts=restarts, at=self._clock.now())
            await self._audit(tx, service, actor, action)
            return await self._find(tx, account_id, service_id)

    async def _admit_start(self, tx: Transaction, service: Service) -> None:
        """A start is admitted like a new service; of what runs already, only a hold that came meanwhile is told."""
        if not service.should_run:
            await self._admission.admit(tx, service.account_id, service.definition, Wish.RUNNING, former=service)
        if service.holds:
            raise ServiceHeld(causes=sorted(service.holds))

    async def _audit(self, tx: Transaction, service: Service, actor: str, action: str, **detail: object) -> None:
        figures = {"serviceId": str(service.service_id), "name": service.definition.name, **detail}
        at = self._clock.now()
        await record(tx, account_id=service.account_id, actor=actor, action=action, detail=figures, at=at)

    @staticmethod
    async def _find(tx: Transaction, account_id: AccountId, service_id: ServiceId) -> Service:
        service = await store.get_service(tx, account_id, service_id)
        if service is None:
            raise ServiceNotFound
        return service


def _told(definition: ServiceDefinition, changed: set[str]) -> dict[str, object]:
    """What of a definition goes on record."""
    told: dict[str, object] = {name: str(getattr(definition, name)) for name in _FIELDS if name in changed}
    hidden = sorted(changed - set(_FIELDS))
    return {**told, "also": hidden} if hidden else told
