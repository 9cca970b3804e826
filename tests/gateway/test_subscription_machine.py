"""Any life of a subscription: whatever is done here or at Stripe, whichever events come when, once all is settled our
row is Stripe's object read by the documented table, field by field, and every invariant holds.

Events are delivered in any order, twice, late or never; the process dies at any statement or call and a new one goes on
with the same database. Lives are tried in two ways: settled and compared after every step, so that none leaves a wrong
state behind that a later one would hide; and settled at times only, so that unsettled states meet each other.
"""

import contextlib
import json
import random
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe
from hypothesis import HealthCheck, settings, strategies
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from helvetia.billing.model import InvoiceLineRecord
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.database.job_queue import JobQueue
from helvetia.kernel.clock import to_unix_s
from helvetia.kernel.errors import HelvetiaError
from helvetia.stripe_gateway.client_events import API_VERSION
from helvetia.stripe_gateway.model import InvoiceLine
from helvetia.subscriptions.invariants import broken_invariants as broken_subscriptions
from helvetia.webhooks.compare_fields import invoice_pairs
from helvetia.webhooks.invariants import broken_invariants as broken_webhooks
from helvetia.webhooks.model import WebhookConfig
from helvetia.webhooks.service import WebhookService
from helvetia.webhooks.verify_signature import sign
from support import trials
from support.billing_house import BillingHouse, MovableClock, build_house
from support.fuse import Died, Fuse, MortalDatabase, MortalGateway
from support.life_stage import Stage
from support.stripe_world import StripeWorld
from support.webhook_house import SECRET, events_after

ACTOR = "user:test"
FREE, STARTER, PRO, ENTERPRISE = SubscriptionPlan
PAID = strategies.sampled_from([STARTER, PRO, ENTERPRISE])
LUCK = strategies.integers(0, 2**32)
# The table of docs: Stripe's word → ours; a word that is not here has no say.
DOCUMENTED = {
    "active": "ACTIVE",
    "trialing": "ACTIVE",
    "past_due": "PAST_DUE",
    "unpaid": "UNPAID",
    "paused": "UNPAID",
    "canceled": "CANCELED",
}
FOR_THE_OPERATOR = {"no plan is in doubt"}


class SubscriptionLife(RuleBasedStateMachine):
    stage: Stage
    settles_after_each = False

    @initialize()
    def begin(self) -> None:
        self.clock = MovableClock(datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC))
        self.stage.begin_life()
        self.world = StripeWorld(self.stage.sandbox_url, self.stage.key, self.clock)
        self.fuse, self.newest = Fuse(), ""
        self.pending: list[dict[str, Any]] = []
        self.stage.run(self._begin())

    async def _begin(self) -> None:
        await self.world.start_clock()
        seen = await self.world.get("/v1/events", limit=1)
        self.newest = seen["data"][0]["id"]
        self._new_process()
        self.account_id = await self.house.new_account()
        self.customer_id = await self.house.billing.get_or_create_customer(self.account_id)
        await self._set_card("pm_card_visa")

    def _new_process(self) -> None:
        """A house that knows nothing but what the database holds."""
        self.fuse.set_to(None)
        database, gateway = MortalDatabase(self.stage.database, self.fuse), MortalGateway(self.stage.gateway, self.fuse)
        self.house: BillingHouse = build_house(
            database,
            self.clock,
            gateway,  # type: ignore[arg-type]
            self.stage.holder,
            test_clock=self.world.test_clock,
            sandbox_origin=self.stage.sandbox_url,
        )
        self.service = WebhookService(
            WebhookConfig(secrets=(SECRET,), is_live=False, api_version=API_VERSION),
            database,
            self.clock,
            gateway,  # type: ignore[arg-type]
            self.house.subscriptions,
            self.house.billing,
            self.house.reports,
            JobQueue(database.url),
        )

    # what the customer does here; `dies_at` is the moment at which the process ends, or past the end of all

    @rule(plan=PAID, dies_at=strategies.integers(0, 60))
    def subscribe(self, plan: SubscriptionPlan, dies_at: int) -> None:
        self._act(lambda: self.house.billing.create_subscription(self.account_id, plan, "pm_card_visa"), dies_at)

    @rule(plan=PAID, dies_at=strategies.integers(0, 60))
    def change_plan(self, plan: SubscriptionPlan, dies_at: int) -> None:
        async def change() -> None:
            preview = await self.house.billing.preview_update(self.account_id, plan, actor=ACTOR)
            change_id = preview.change.change_id
            await self.house.billing.update_subscription(self.account_id, plan, change_id, actor=ACTOR)

        self._act(change, dies_at)

    @rule(now=strategies.booleans(), dies_at=strategies.integers(0, 40))
    def cancel(self, now: bool, dies_at: int) -> None:
        self._act(lambda: self.house.billing.cancel_subscription(self.account_id, now=now, actor=ACTOR), dies_at)

    @rule(dies_at=strategies.integers(0, 40))
    def resume(self, dies_at: int) -> None:
        self._act(lambda: self.house.billing.resume_subscription(self.account_id, actor=ACTOR), dies_at)

    @rule(dies_at=strategies.integers(0, 40))
    def pay(self, dies_at: int) -> None:
        async def pay() -> None:
            page = await self.world.get("/v1/invoices", customer=self.customer_id, status="open", limit=100)
            for invoice in page["data"]:
                await self.house.payments.pay_invoice(self.account_id, invoice["id"], actor=ACTOR)

        self._act(pay, dies_at)

    # what happens at Stripe, past us

    @rule(card=strategies.sampled_from(["pm_card_visa", "pm_card_chargeCustomerFail"]))
    def change_card_at_stripe(self, card: str) -> None:
        self.stage.run(self._set_card(card))

    @rule(plan=PAID)
    def change_plan_at_stripe(self, plan: SubscriptionPlan) -> None:
        async def edit(found: Any) -> None:
            prices = {price.price_id for price in self.stage.holder.require().plans.values()}
            item = next(one["id"] for one in found["items"]["data"] if one["price"]["id"] in prices)
            items = [{"id": item, "price": self.stage.holder.require().plans[plan].price_id}]
            await self.world.v1.subscriptions.update_async(found["id"], {"items": items})  # type: ignore[typeddict-item]

        self._edit(edit)

    @rule(wish=strategies.booleans())
    def plan_the_end_at_stripe(self, wish: bool) -> None:
        async def edit(found: Any) -> None:
            await self.world.v1.subscriptions.update_async(found["id"], {"cancel_at_period_end": wish})

        self._edit(edit)

    @rule()
    def end_at_stripe(self) -> None:
        async def edit(found: Any) -> None:
            await self.world.v1.subscriptions.cancel_async(found["id"])

        self._edit(edit)

    @rule()
    def refund_at_stripe(self) -> None:
        async def refund() -> None:
            charges = await self.world.get("/v1/charges", customer=self.customer_id, limit=1)
            for charge in charges["data"]:
                if charge["paid"] and not charge["refunded"]:
                    await self.world.v1.refunds.create_async({"charge": charge["id"]})

        self.stage.run(refund())

    @rule(minutes=strategies.sampled_from([2, 60, 60 * 24, 60 * 24 * 9, 60 * 24 * 32]))
    def pass_time(self, minutes: int) -> None:
        self.stage.run(self.world.advance_to(self.clock.now() + timedelta(minutes=minutes)))

    # how we hear of it

    @rule(luck=LUCK, dies_at=strategies.integers(0, 80))
    def deliver_some(self, luck: int, dies_at: int) -> None:
        """Any half of the events in any order, some twice, and whoever handles them may die."""

        async def deliver() -> None:
            await self._collect()
            chance = random.Random(luck)
            chance.shuffle(self.pending)
            count = (len(self.pending) + 1) // 2
            for event in [*self.pending[:count], *self.pending[: count // 3]]:
                await self._receive(event)
            del self.pending[:count]
            await self.service.sync_customer_job(self.customer_id)

        self._act(deliver, dies_at)

    @rule(luck=LUCK)
    def lose_some(self, luck: int) -> None:
        self.stage.run(self._collect())
        self.pending = [event for event in self.pending if random.Random(f"{luck}{event['id']}").random() > 0.3]

    @rule()
    def settle(self) -> None:
        """Everything has arrived or is found by the walk; what is owed to a job is done."""
        self.stage.run(self._settle())

    @invariant()
    def agrees_after_each_step(self) -> None:
        """Late and doubled events of former steps still come afterwards: they are not taken away here."""
        if self.settles_after_each:
            self.stage.run(self._settle())

    def teardown(self) -> None:
        if hasattr(self, "house"):
            try:
                self.stage.run(self._settle())
            finally:
                self.stage.run(self.world.close())

    def _act(self, do: Callable[[], Coroutine[Any, Any, Any]], dies_at: int) -> None:
        """What a caller may be refused is refused; a process that dies is followed by another."""

        async def act() -> None:
            self.fuse.set_to(dies_at)
            try:
                await do()
            except HelvetiaError:
                pass
            except Died:
                self._new_process()
            self.fuse.set_to(None)

        self.stage.run(act())

    def _edit(self, edit: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        async def do() -> None:
            live = [one for one in await self._subscriptions() if one["status"] in {"active", "past_due", "trialing"}]
            for found in live[:1]:
                with contextlib.suppress(stripe.InvalidRequestError, stripe.CardError):
                    await edit(found)

        self.stage.run(do())

    async def _set_card(self, card: str) -> None:
        method = await self.world.v1.payment_methods.attach_async(card, {"customer": self.customer_id})
        default: Any = {"invoice_settings": {"default_payment_method": method.id}}
        await self.world.v1.customers.update_async(self.customer_id, default)

    async def _collect(self) -> None:
        seen = await events_after(self.world, self.newest)
        self.newest = seen[-1]["id"] if seen else self.newest
        self.pending += seen

    async def _receive(self, event: dict[str, Any]) -> None:
        body = json.dumps(event).encode()
        await self.service.receive(body, [sign(body, SECRET, self.clock.wall())])

    async def _subscriptions(self) -> list[Any]:
        page = await self.world.get("/v1/subscriptions", customer=self.customer_id, status="all", limit=100)
        return list(page["data"])

    async def _settle(self) -> None:
        await self.house.reports.finish_cancellations()
        assert (await self.service.backfill()).is_complete
        await self.service.sync_customer_job(self.customer_id)
        await self._assert_agrees()
        async with self.stage.database.transaction() as tx:
            broken = {**await broken_subscriptions(tx), **await broken_webhooks(tx)}
        assert {rule: rows for rule, rows in broken.items() if rule not in FOR_THE_OPERATOR} == {}

    async def _assert_agrees(self) -> None:
        record = await self.house.subscriptions.get_subscription(self.account_id)
        said = [one for one in await self._subscriptions() if one["status"] in DOCUMENTED]
        live = sorted((one for one in said if one["status"] != "canceled"), key=lambda one: -one["created"])
        ended = sorted((one for one in said if one["status"] == "canceled"), key=lambda one: -one["ended_at"])
        assert len(live) <= 1
        if not said:
            assert (record.stripe_subscription_id, record.plan, record.status) == (None, FREE, "ACTIVE")
            return
        theirs = (live + ended)[0]
        plans = {price.price_id: plan for plan, price in self.stage.holder.require().plans.items()}
        item = next(one for one in theirs["items"]["data"] if one["price"]["id"] in plans)
        ours: dict[str, Any] = {
            "id": record.stripe_subscription_id,
            "word": record.stripe_status,
            "status": record.status.value,
            "plan": record.plan,
            "started": to_unix_s(record.started_at),
            "customer": record.stripe_customer_id,
            "currency": record.currency,
        }
        expected = {
            "id": theirs["id"],
            "word": theirs["status"],
            "status": DOCUMENTED[theirs["status"]],
            "plan": plans[item["price"]["id"]],
            "started": theirs["start_date"],
            "customer": theirs["customer"],
            "currency": theirs["currency"],
        }
        if live:
            ours |= {"from": to_unix_s(record.period.starts_at), "to": to_unix_s(record.period.ends_at)}
            ours |= {"cancel_at": record.cancel_at and to_unix_s(record.cancel_at), "fee": record.fee_minor}
            ours |= {"ended": record.ended_at}
            expected |= {"from": item["current_period_start"], "to": item["current_period_end"]}
            expected |= {"cancel_at": theirs["cancel_at"], "fee": item["price"]["unit_amount"] * item["quantity"]}
            expected |= {"ended": None}
        else:
            ours |= {"ended": record.ended_at and to_unix_s(record.ended_at), "fee": record.fee_minor}
            expected |= {"ended": theirs["ended_at"], "fee": 0}
        assert ours == expected
        mirrored = (await self.house.billing.get_invoices(self.account_id, limit=100)).invoices
        invoices = await self.stage.gateway.list_invoices(customer_id=self.customer_id)
        assert invoice_pairs(mirrored, invoices) == []
        for invoice in invoices:
            assert not invoice.has_more_lines
            _, lines = await self.house.billing.get_invoice(self.account_id, invoice.invoice_id)
            assert [_line(line, line.stripe_line_id, line.period_start, line.period_end) for line in lines] == [
                _line(line, line.line_id, line.starts_at, line.ends_at) for line in invoice.lines
            ]


def _line(line: InvoiceLineRecord | InvoiceLine, line_id: str, starts_at: datetime, ends_at: datetime) -> object:
    facts = (line.description, line.quantity, line.unit_price_minor, line.amount_minor, line.is_proration)
    return line_id, starts_at, ends_at, *facts


@pytest.fixture
def stage(server_url: str, sandbox_url: str) -> Iterator[Stage]:
    stage = Stage(server_url, sandbox_url)
    yield stage
    stage.things.close()
    stage.runner.close()


class SettledLife(SubscriptionLife):
    settles_after_each = True


def test_any_life_agrees_with_stripe_after_every_step(stage: Stage) -> None:
    count = _live(stage, SettledLife, small=4)
    trials.record("random lives, settled and compared field by field after each of 25 steps", count=count)


def test_any_life_ends_in_stripes_state_read_by_the_documented_table(stage: Stage) -> None:
    count = _live(stage, SubscriptionLife, small=6)
    trials.record("random lives: own changes, edits at Stripe, lost and doubled events, deaths", count=count)


def _live(stage: Stage, machine: type[SubscriptionLife], *, small: int) -> int:
    machine.stage = stage
    examples = trials.choose(small=small, full=400)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=trials.choose(small=8, full=25),
            deadline=None,
            derandomize=not trials.IS_FULL,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return examples
