"""What the arrows of billing work with, and two rules they share: one at a time per account, and no doubt unsaid."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta

from helvetia.billing.errors import CheckoutBusy, NothingCharged, PaymentInDoubt
from helvetia.billing.model import BillingConfig
from helvetia.database.job_queue import JobQueue
from helvetia.database.lease import Lease, give_up_lease, take_lease
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.identity import AccountId, new_id
from helvetia.stripe_gateway.actions import StripeActions
from helvetia.stripe_gateway.errors import StripeRateLimited, StripeUnavailable
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.stripe_gateway.time_limit import REQUEST_S, within
from helvetia.subscriptions.service import SubscriptionService

# Longer than all calls of one turn together, so that two turns never overlap.
TURN_LASTS = timedelta(seconds=3 * REQUEST_S)
WAIT_S = 10.0
LOOK_AGAIN_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingParts:
    """The parts of BillingService, handed to its arrows."""

    database: Database
    clock: Clock
    gateway: StripeActions
    prices: PriceBookHolder
    subscriptions: SubscriptionService
    queue: JobQueue
    config: BillingConfig


class Turn:
    """An account's turn with Stripe; its number goes into the keys of what is asked for in it."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.is_in_doubt = False

    @contextmanager
    def creating(self) -> Iterator[None]:
        """Around what must not be made twice: unanswered, nobody else gets a turn while it may still be on its way."""
        try:
            yield
        except StripeUnavailable:
            self.is_in_doubt = True
            raise


@asynccontextmanager
async def one_at_a_time(parts: BillingParts, account_id: AccountId) -> AsyncIterator[Turn]:
    """An account's turn with Stripe, across processes; all its calls together are bounded.

    Raises:
        CheckoutBusy: others had their turn for too long.
    """
    turn = Turn(await _wait_for_turn(parts, account_id))
    try:
        with within(REQUEST_S):
            yield turn
    finally:
        if not turn.is_in_doubt:
            async with parts.database.transaction() as tx:
                await give_up_lease(tx, turn.lease)


async def _wait_for_turn(parts: BillingParts, account_id: AccountId) -> Lease:
    holder = f"turn/{new_id()}"
    for _ in range(int(WAIT_S / LOOK_AGAIN_S)):
        async with parts.database.transaction() as tx:
            lease = await take_lease(
                tx, f"subscribe:{account_id}", holder=holder, wall=parts.clock.wall(), lasts=TURN_LASTS
            )
        if lease is not None:
            return lease
        await asyncio.sleep(LOOK_AGAIN_S)
    raise CheckoutBusy(retry_after_s=5)


@contextmanager
def nothing_charged() -> Iterator[None]:
    """Around what moves no money: when Stripe is away, say that nothing was charged."""
    try:
        yield
    except StripeUnavailable as error:
        raise NothingCharged from error
    except StripeRateLimited as error:
        raise NothingCharged(error.detail) from error


@contextmanager
def charging() -> Iterator[None]:
    """Around the one call that may charge: no answer means doubt; a rate limit means that nothing was done."""
    try:
        yield
    except StripeUnavailable as error:
        raise PaymentInDoubt from error
    except StripeRateLimited as error:
        raise NothingCharged(error.detail) from error
