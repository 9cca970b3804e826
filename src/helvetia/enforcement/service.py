"""The use cases of enforcement: the pass, the check of quotas, explaining, rehearsing, and an operator's exceptions."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from helvetia.accounts.store import lock_account
from helvetia.audit.store import record
from helvetia.catalogue.plans import PLANS
from helvetia.containers.model import HoldCause
from helvetia.containers.store_holds import (
    accounts_held_by,
    lift_holds,
    place_holds,
    save_stop_order,
)
from helvetia.database.pool import Database, Transaction
from helvetia.enforcement import store
from helvetia.enforcement.admit_service import PlanAdmission
from helvetia.enforcement.errors import InvalidOverride, InvalidStopOrder, NothingToChoose, PassNotFound
from helvetia.enforcement.hold_services import check_quota, lift_payment_holds, services_of
from helvetia.enforcement.model import (
    ACTOR,
    EnforcementConfig,
    EnforcementMode,
    Explanation,
    Intent,
    OverrideKind,
    PassOutcome,
    PaymentState,
    Resources,
    ServiceFacts,
    Standing,
    Verdict,
)
from helvetia.enforcement.news.tell_cards import tell_cards
from helvetia.enforcement.news.tell_news import tell_news
from helvetia.enforcement.policy import PLAN_RULES, decide, next_steps, over_quota
from helvetia.enforcement.read_failures import ReadParts
from helvetia.enforcement.run_pass import each, plan_pass, run_pass
from helvetia.kernel.clock import Clock
from helvetia.kernel.errors import LimitReached, PaymentRequired
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.observability.metrics import ENFORCEMENT_BRAKE
from helvetia.stripe_gateway.actions import StripeActions
from helvetia.subscriptions.errors import SubscriptionNotFound
from helvetia.subscriptions.service import SubscriptionService

QUOTA_EVERY = timedelta(seconds=60)
QUOTA_ACCOUNTS_MAX = 500
PASSES_SHOWN_MAX = 50
NOT_CHOSEN = "ENFORCEMENT_MODE is not set, so with a live key nobody is held"
LIFTED_FOR = timedelta(days=1)

_log = structlog.get_logger()


class EnforcementService:
    """What is in force, and putting it in force."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        config: EnforcementConfig,
        gateway: StripeActions,
        account_subscriptions: SubscriptionService,
        admission: PlanAdmission,
    ) -> None:
        self._database = database
        self._clock = clock
        self._config = config
        self._admission = admission
        self._parts = ReadParts(database=database, clock=clock, gateway=gateway, subscriptions=account_subscriptions)
        self._last_seen: tuple[int, str | None] = (0, None)

    @property
    def mode(self) -> EnforcementMode:
        return self._config.mode

    @property
    def mode_warning(self) -> str | None:
        """What the operator is to know of the mode: that nobody chose it; None when there is nothing."""
        return None if self._config.is_mode_chosen else NOT_CHOSEN

    async def run_pass(self, *, actor: str = ACTOR, despite_brake: str | None = None) -> PassOutcome:
        """The tick: tell, resume, hold. What was done, or would be and was not before, is kept as a row."""
        outcome = await run_pass(self._parts, self._config, actor=actor, despite_brake=despite_brake)
        ENFORCEMENT_BRAKE.set(outcome.brake is not None)
        if outcome.brake is not None:
            _log.error("enforcement.brake", why=outcome.brake, would_hold=len(outcome.would_hold))
        seen = (len(outcome.would_hold), outcome.brake)
        if outcome.held or outcome.resumed or seen != self._last_seen:
            async with self._database.transaction() as tx:
                await store.insert_pass(tx, outcome, self._clock.now())
            self._last_seen = seen
        return outcome

    async def check_quotas(self) -> int:
        """The tick: look at the accounts whose use was looked at longest ago; says how many."""
        now = self._clock.now()
        holds = self._config.mode is EnforcementMode.ENFORCE
        tells = self._config.mode is not EnforcementMode.OBSERVE
        async with self._database.transaction() as tx:
            due = await store.accounts_to_check(tx, checked_before=now - QUOTA_EVERY, limit=QUOTA_ACCOUNTS_MAX)

        async def check(account_id: AccountId) -> None:
            async with self._database.transaction() as tx:
                await check_quota(tx, account_id, holds=holds, tells=tells, at=now)

        await each(due, check, "enforcement.quota_not_checked")
        return len(due)

    async def tell_news(self) -> int:
        """The tick: invoices that became ready and plans that changed; says how many notices were written."""
        if self._config.mode is EnforcementMode.OBSERVE:
            return 0
        async with self._database.transaction() as tx:
            return await tell_news(tx, self._clock.now())

    async def tell_cards(self) -> int:
        """The tick: cards that expire soon; says how many accounts were looked at."""
        if self._config.mode is EnforcementMode.OBSERVE:
            return 0
        return await tell_cards(self._parts)

    async def rehearse(self, at: datetime | None = None) -> Sequence[Intent]:
        """What a pass would do at that instant, by what is known now; changes nothing."""
        async with self._database.transaction() as tx:
            return plan_pass(await store.facts_of_interest(tx), at or self._clock.now())

    async def explain(self, account_id: AccountId, at: datetime | None = None) -> Explanation:
        """What is in force for one account, why, until when, and what happens next.

        Raises:
            SubscriptionNotFound
        """
        now = at or self._clock.now()
        async with self._database.transaction() as tx:
            facts = await store.facts_of(tx, account_id)
            if facts is None:
                raise SubscriptionNotFound
            use = await store.quota_use(tx, account_id, facts.period_at(now))
            services = await services_of(tx, account_id)
        rule = PLAN_RULES[facts.effective_plan]
        return Explanation(
            facts=facts,
            verdict=decide(facts, now),
            mode=self._config.mode,
            at=now,
            steps=next_steps(facts, now),
            services=tuple(reversed(services)),
            bandwidth_action=rule.over_bandwidth,
            storage_action=rule.over_storage,
            over_quota=over_quota(PLANS[facts.effective_plan].limits, use),
        )

    async def standing(self, account_id: AccountId) -> Standing:
        """What the policy says of the account's payments now, for the line on every page.

        Raises:
            SubscriptionNotFound
        """
        now = self._clock.now()
        async with self._database.transaction() as tx:
            facts = await store.facts_of(tx, account_id)
        if facts is None:
            raise SubscriptionNotFound
        return Standing(facts=facts, verdict=decide(facts, now), mode=self._config.mode, at=now)

    async def check_account(self, account_id: AccountId, requested: Resources | None = None) -> Verdict:
        """May this account start something (of this size)? Raises NewWorkRefused, LimitReached."""
        try:
            async with self._database.transaction() as tx:
                return await self._admission.check_account(tx, account_id, requested or Resources())
        except (PaymentRequired, LimitReached) as refusal:
            await self._admission.note_refusal(self._database, account_id, refusal)
            raise

    async def choose_free(self, account_id: AccountId, *, actor: str) -> None:
        """After the end of a subscription go on with FREE; what does not fit it stays held.

        Raises:
            NothingToChoose
        """
        now = self._clock.now()
        async with self._database.transaction() as tx:
            await lock_account(tx, account_id)
            facts = await store.facts_of(tx, account_id)
            if facts is None or decide(facts, now).state is not PaymentState.ENDED:
                raise NothingToChoose
            await store.save_free_chosen(tx, account_id, now)
            await record(tx, account_id=account_id, actor=actor, action="free_chosen", at=now)
            await check_quota(tx, account_id, holds=True, tells=False, at=now)
            await lift_payment_holds(tx, account_id, at=now)

    async def set_stop_order(
        self, account_id: AccountId, services: Sequence[ServiceId], *, actor: str
    ) -> Sequence[ServiceFacts]:
        """Which services are stopped first, in this order, before all others. Raises InvalidStopOrder."""
        async with self._database.transaction() as tx:
            await lock_account(tx, account_id)
            known = {one.service_id for one in await services_of(tx, account_id)}
            if len(set(services)) < len(services) or not set(services) <= known:
                raise InvalidStopOrder
            await save_stop_order(tx, account_id, services)
            detail = {"services": [str(one) for one in services]}
            await record(
                tx, account_id=account_id, actor=actor, action="stop_order_set", detail=detail, at=self._clock.now()
            )
            return tuple(reversed(await services_of(tx, account_id)))

    async def add_override(
        self, account_id: AccountId, kind: OverrideKind, *, until_at: datetime, reason: str, actor: str
    ) -> UUID:
        """An exception for one account. Raises InvalidOverride, AccountNotFound."""
        async with self._database.transaction() as tx:
            await lock_account(tx, account_id)
            return await self._override(tx, account_id, kind, until_at=until_at, reason=reason, actor=actor)

    async def revoke_overrides(self, account_id: AccountId, *, reason: str, actor: str) -> int:
        """End every exception of the account; says how many were in force."""
        now = self._clock.now()
        async with self._database.transaction() as tx:
            await lock_account(tx, account_id)
            await record(
                tx, account_id=account_id, actor=actor, action="overrides_revoked", reason=_checked(reason), at=now
            )
            return await store.revoke_overrides(tx, account_id, now)

    async def hold_by_operator(self, account_id: AccountId, *, reason: str, actor: str) -> int:
        """Hold every service of the account; says how many."""
        now = self._clock.now()
        async with self._database.transaction() as tx:
            await lock_account(tx, account_id)
            services = [one.service_id for one in reversed(await services_of(tx, account_id))]
            placed = await place_holds(
                tx,
                account_id,
                services,
                HoldCause.OPERATOR,
                reason=_checked(reason),
                placed_by=actor,
                pass_id=None,
                at=now,
            )
            await record(tx, account_id=account_id, actor=actor, action="operator_hold", reason=reason, at=now)
            return len(placed)

    async def release_by_operator(self, account_id: AccountId, *, reason: str, actor: str) -> int:
        """Lift every operator's hold of the account; says how many services were held so."""
        now = self._clock.now()
        async with self._database.transaction() as tx:
            await lock_account(tx, account_id)
            lifted = await lift_holds(tx, account_id, HoldCause.OPERATOR, None, at=now)
            await record(
                tx, account_id=account_id, actor=actor, action="operator_release", reason=_checked(reason), at=now
            )
            return len(lifted)

    async def lift_pass(
        self, pass_id: UUID, *, reason: str, actor: str, lasts: timedelta = LIFTED_FOR
    ) -> Sequence[AccountId]:
        """Take back what one pass did: its holds are lifted, and the accounts have time until the next. Idempotent.

        Raises:
            PassNotFound, InvalidOverride
        """
        now, reason = self._clock.now(), _checked(reason)
        async with self._database.transaction() as tx:
            if not await store.mark_pass_lifted(tx, pass_id, now):
                raise PassNotFound
            accounts = await accounts_held_by(tx, pass_id)
        for account_id in accounts:
            async with self._database.transaction() as tx:
                await lock_account(tx, account_id)
                await self._override(
                    tx, account_id, OverrideKind.EXTEND, until_at=now + lasts, reason=reason, actor=actor
                )
                await lift_payment_holds(tx, account_id, at=now)
        return accounts

    async def last_passes(self) -> Sequence[Mapping[str, Any]]:
        """Passes that did or wanted something, newest first."""
        async with self._database.transaction() as tx:
            return await store.last_passes(tx, PASSES_SHOWN_MAX)

    async def _override(
        self, tx: Transaction, account_id: AccountId, kind: OverrideKind, *, until_at: datetime, reason: str, actor: str
    ) -> UUID:
        now = self._clock.now()
        if until_at <= now:
            raise InvalidOverride
        override_id = await store.insert_override(
            tx, account_id, kind, until_at=until_at, reason=_checked(reason), actor=actor, at=now
        )
        detail = {"kind": kind.value, "until_at": until_at.isoformat()}
        await record(
            tx, account_id=account_id, actor=actor, action="override_added", reason=reason, detail=detail, at=now
        )
        return override_id


def _checked(reason: str) -> str:
    if not reason.strip():
        raise InvalidOverride
    return reason.strip()
