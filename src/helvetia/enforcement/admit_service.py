"""The arrow account → admission: may this account run this service? Asked under the account's row lock.

Every way to start something comes through here: create, start, scale, deploy, and the lifting of a hold for quota. A
restart of what runs and a resumption after payment are no new starts. Payment comes first (402), then the limits (403).
It fails closed: what is not known admits nothing new. A class on stores only, so that all above can depend on it.
"""

from collections.abc import Mapping
from decimal import Decimal

from helvetia.catalogue.plans import PLANS
from helvetia.containers.model import HoldCause, Service, ServiceDefinition, Wish
from helvetia.database.pool import Database, Transaction
from helvetia.enforcement import store
from helvetia.enforcement.errors import (
    BandwidthLimitReached,
    CpuLimitReached,
    MemoryLimitReached,
    NewWorkRefused,
    PaymentOverdue,
    ServiceLimitReached,
    StorageLimitReached,
    SubscriptionEnded,
    SubscriptionUnpaid,
)
from helvetia.enforcement.model import (
    AccountFacts,
    Admitting,
    EnforcementConfig,
    EnforcementMode,
    NewWork,
    PaymentState,
    QuotaAction,
    QuotaUse,
    Resources,
    Verdict,
)
from helvetia.enforcement.policy import PLAN_RULES, decide, first_exceeded, over_quota, smallest_plan
from helvetia.enforcement.record_refusals import RefusalRecord, note_observed
from helvetia.kernel.clock import Clock
from helvetia.kernel.errors import HelvetiaError, LimitReached
from helvetia.kernel.identity import AccountId
from helvetia.kernel.quantity import BYTES_PER_GB
from helvetia.subscriptions.errors import SubscriptionNotFound

_REFUSALS: dict[PaymentState, type[NewWorkRefused]] = {
    PaymentState.GRACE: NewWorkRefused,
    PaymentState.LOCKED: SubscriptionUnpaid,
    PaymentState.OVERDUE: PaymentOverdue,
    PaymentState.ENDED: SubscriptionEnded,
}
_RESERVATION_ERRORS: dict[str, type[LimitReached]] = {
    "services": ServiceLimitReached,
    "memory": MemoryLimitReached,
    "cpu": CpuLimitReached,
}
_QUOTA_ERRORS: dict[str, type[LimitReached]] = {
    "bandwidth": BandwidthLimitReached,
    "storage": StorageLimitReached,
}


def reserved_by(definition: ServiceDefinition, wish: Wish) -> Resources:
    """What one service reserves: its place, and while it is wished to run, memory and cores of all replicas."""
    if wish is Wish.STOPPED:
        return Resources(services=1)
    return Resources(
        services=1,
        memory_mb=definition.memory_mb * definition.replicas,
        cpu_cores=definition.cpu_cores * definition.replicas,
    )


class PlanAdmission:
    """Implements containers.model.Admission by the payment policy and the plan's limits."""

    def __init__(self, clock: Clock, config: EnforcementConfig) -> None:
        self._clock = clock
        self._config = config
        self._refusals = RefusalRecord()

    async def admit(
        self, tx: Transaction, account_id: AccountId, wanted: ServiceDefinition, wish: Wish, *, former: Service | None
    ) -> None:
        """Let the service become `wanted` and `wish`, or raise; `former` is None for a new one.

        Raises:
            NewWorkRefused: its payment state allows nothing new.
            LimitReached: the plan has no room for it.
        """
        known = await self._known(tx, account_id)
        await self._note_observed(tx, known.facts, self.check_payment(known.facts))
        is_counted = former is not None and HoldCause.QUOTA not in former.holds
        before = reserved_by(former.definition, former.wish) if former is not None and is_counted else Resources()
        added = reserved_by(wanted, wish) - before
        self.check_limits(known, added, adds_data=_adds_data(wanted, former))

    async def check_account(self, tx: Transaction, account_id: AccountId, requested: Resources) -> Verdict:
        """What a request in front of the real admission asks; says the verdict, or raises as `admit` does."""
        known = await self._known(tx, account_id)
        verdict = self.check_payment(known.facts)
        await self._note_observed(tx, known.facts, verdict)
        self.check_limits(known, requested, adds_data=False)
        return verdict

    async def note_refusal(self, database: Database, account_id: AccountId, refusal: HelvetiaError) -> None:
        """Put a refusal on record, the first of its kind in the hour; raises nothing of its own."""
        await self._refusals.note(database, account_id, refusal, self._clock.now())

    def check_payment(self, facts: AccountFacts) -> Verdict:
        """Raises NewWorkRefused, in the mode that enforces."""
        verdict = decide(facts, self._clock.now())
        if verdict.new_work is NewWork.REFUSED and self._config.mode is EnforcementMode.ENFORCE:
            raise _REFUSALS[verdict.state](
                state=verdict.state,
                reason=verdict.reason,
                first_failed_at=facts.first_failed_at,
                services_held_from=verdict.hold_due_at,
            )
        return verdict

    async def _note_observed(self, tx: Transaction, facts: AccountFacts, verdict: Verdict) -> None:
        """In the modes that refuse nobody: what would be refused is on record all the same."""
        if verdict.new_work is NewWork.REFUSED:
            code = _REFUSALS[verdict.state].code
            await note_observed(tx, facts.account_id, code, reason=verdict.reason, at=self._clock.now())

    def check_limits(self, known: Admitting, added: Resources, *, adds_data: bool) -> None:
        """Raises LimitReached for what grows beyond the plan; what does not grow is never refused."""
        facts, used, use = known.facts, known.used, known.use
        limits = PLANS[facts.effective_plan].limits
        grows = Resources(
            services=max(0, added.services),
            memory_mb=max(0, added.memory_mb),
            cpu_cores=max(Decimal(0), added.cpu_cores),
        )
        if grows == Resources() and not adds_data:
            return
        amounts: Mapping[str, tuple[int | Decimal, int | Decimal, int | Decimal]] = {
            "services": (limits.services_max, used.services, grows.services),
            "memory": (limits.memory_mb_max, used.memory_mb, grows.memory_mb),
            "cpu": (limits.cpu_cores_max, used.cpu_cores, grows.cpu_cores),
        }
        for name, (allowed, amount, more) in amounts.items():
            if more and first_exceeded(limits, _only(name, amount + more)) is not None:
                plan = smallest_plan(used + grows, use)
                raise _RESERVATION_ERRORS[name](limit=name, allowed=allowed, used=amount, requested=more, plan=plan)
        self._check_quota(facts, use, smallest_plan(used + grows, use))

    def _check_quota(self, facts: AccountFacts, use: QuotaUse, plan: str) -> None:
        rule, limits = PLAN_RULES[facts.effective_plan], PLANS[facts.effective_plan].limits
        if self._config.mode is not EnforcementMode.ENFORCE:
            return
        sizes = {
            "bandwidth": (rule.over_bandwidth, limits.bandwidth_gb_max, use.bandwidth_bytes),
            "storage": (rule.over_storage, limits.storage_gb_max, use.storage_bytes),
        }
        for name in over_quota(limits, use):
            action, allowed_gb, used_bytes = sizes[name]
            if action is not QuotaAction.WARN:
                used_gb = Decimal(used_bytes * 10**6 // BYTES_PER_GB).scaleb(-6)
                raise _QUOTA_ERRORS[name](
                    limit=name, allowed=allowed_gb, used=used_gb, requested=None, unit="GB", plan=plan
                )

    async def _known(self, tx: Transaction, account_id: AccountId) -> Admitting:
        known = await store.admission_of(tx, account_id, self._clock.now())
        if known is None:
            raise SubscriptionNotFound
        return known


def _only(name: str, amount: int | Decimal) -> Resources:
    if name == "cpu":
        return Resources(cpu_cores=Decimal(amount))
    return Resources(services=int(amount)) if name == "services" else Resources(memory_mb=int(amount))


def _adds_data(wanted: ServiceDefinition, former: Service | None) -> bool:
    """Whether there are volumes that were not there before."""
    known = set() if former is None else {volume.name for volume in former.definition.volumes}
    return any(volume.name not in known for volume in wanted.volumes)
