"""An account that a test brings into a state, and what its pages say then."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from helvetia.accounts.model import User
from helvetia.billing.plan_change.model import ChangeState, Direction, PlanChangeRecord
from helvetia.billing.plan_change.store import insert_change
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.enforcement.model import OverrideKind
from helvetia.enforcement.store import insert_override
from helvetia.kernel.identity import AccountId, new_id
from support import page_states
from support.web_world import WebWorld


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A page in a state: its address, what it says, and with which status it answers."""

    path: str
    words: str
    status: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """An account of Ada's, on Pro, twenty days into its period, with a card and two services."""

    world: WebWorld
    user: User
    now: datetime

    @property
    def account_id(self) -> AccountId:
        return self.user.account_id

    async def set(self, **columns: object) -> None:
        """Columns of the subscription."""
        names = ", ".join(f"{name} = %({name})s" for name in columns)
        async with self.world.database.transaction() as tx:
            await tx.execute(
                f"UPDATE subscriptions SET {names} WHERE account_id = %(account_id)s",
                {**columns, "account_id": self.account_id},
            )

    async def wait_for(self, state: ChangeState, plan: SubscriptionPlan, direction: Direction) -> None:
        """A change of plan that was confirmed an hour ago."""
        change = PlanChangeRecord(
            account_id=self.account_id,
            change_id=new_id(),
            state=state,
            direction=direction,
            plan=plan,
            from_plan=SubscriptionPlan.PRO,
            stripe_subscription_id=f"{page_states.SUBSCRIPTION}_{self.account_id}",
            item_id="si_page",
            from_price_id="price_pro",
            price_id="price_next",
            prorated_at=self.now - timedelta(hours=1),
            effective_at=self.now + timedelta(days=10),
            period_start=self.now - timedelta(days=20),
            period_end=self.now + timedelta(days=10),
            total_minor=17000,
            amount_due_minor=17000,
            currency="usd",
            stripe_invoice_id=None,
            created_at=self.now - timedelta(hours=1),
            confirmed_at=self.now - timedelta(hours=1),
            settled_at=None,
        )
        async with self.world.database.transaction() as tx:
            await insert_change(tx, change)

    async def exception(self, kind: OverrideKind) -> None:
        """The operator's word, for nine days."""
        async with self.world.database.transaction() as tx:
            await insert_override(
                tx,
                self.account_id,
                kind,
                until_at=self.now + timedelta(days=9),
                reason="card under way",
                actor="operator:grace",
                at=self.now,
            )

    async def fail(self, ago: timedelta, status: str = "PAST_DUE") -> None:
        await page_states.payment_failed(self.world.database, self.account_id, self.now - ago, status=status)
