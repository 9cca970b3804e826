"""Billing periods of an account that never overlap, so that every piece of usage is reported to one of them. Pure.

A later start ends the period before it: of the same subscription for good (its anchor was reset), of another one
until the inner period is over. While several subscriptions live, all usage from the start of the newest one on is its.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

from helvetia.kernel.period import Period
from helvetia.stripe_gateway.model import Subscription
from helvetia.subscriptions.lifecycle import CANCELED
from helvetia.subscriptions.model import BillingPeriod


def make_disjoint(
    known: Iterable[BillingPeriod], read: Iterable[BillingPeriod], relevant: Sequence[Subscription]
) -> tuple[BillingPeriod, ...]:
    """The account's periods, oldest first: what is stored already, and on top of it what a read said.

    No stored start is lost, so that reports of its period can always be taken back.
    """
    by_start = {billed.period.starts_at: billed for billed in known}
    for billed in _of_one_live(read, relevant):
        by_start[billed.period.starts_at] = billed
    return _lay_out(_end_at_next_of_same([by_start[start] for start in sorted(by_start)]))


def _of_one_live(read: Iterable[BillingPeriod], relevant: Sequence[Subscription]) -> list[BillingPeriod]:
    """Without what the other live subscriptions would bill beside the newest; `relevant` begins with that one."""
    live = [subscription for subscription in relevant if subscription.status != CANCELED]
    others = {subscription.subscription_id for subscription in live[1:]}
    kept: list[BillingPeriod] = []
    for billed in read:
        if billed.stripe_subscription_id not in others:
            kept.append(billed)
        elif billed.period.starts_at < live[0].started_at:
            kept.append(_ended_by(billed, live[0].started_at))
    return kept


def _end_at_next_of_same(ordered: Sequence[BillingPeriod]) -> list[BillingPeriod]:
    ended: list[BillingPeriod] = []
    for position, billed in enumerate(ordered):
        later = (
            other.period.starts_at
            for other in ordered[position + 1 :]
            if other.stripe_subscription_id == billed.stripe_subscription_id
        )
        ended.append(_ended_by(billed, next(later, billed.period.ends_at)))
    return ended


def _lay_out(ordered: Sequence[BillingPeriod]) -> tuple[BillingPeriod, ...]:
    """Each stretch belongs to the period that started last among those that hold it."""
    edges = sorted({edge for billed in ordered for edge in (billed.period.starts_at, billed.period.ends_at)})
    laid: list[BillingPeriod] = []
    last_holder: BillingPeriod | None = None
    for starts_at, ends_at in pairwise(edges):
        holder = next((billed for billed in reversed(ordered) if starts_at in billed.period), None)
        if holder is not None and holder is last_holder:
            laid[-1] = replace(holder, period=Period(starts_at=laid[-1].period.starts_at, ends_at=ends_at))
        elif holder is not None:
            laid.append(replace(holder, period=Period(starts_at=starts_at, ends_at=ends_at)))
        last_holder = holder
    return tuple(laid)


def _ended_by(billed: BillingPeriod, ends_at: datetime) -> BillingPeriod:
    """The period, over at the instant at the latest."""
    starts_at = billed.period.starts_at
    return replace(billed, period=Period(starts_at=starts_at, ends_at=min(billed.period.ends_at, ends_at)))
