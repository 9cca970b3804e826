"""The plans as an account sees them: where it stands, what it may choose, and what each choice leads to. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from helvetia.billing.plan_change.model import AccountUse, ChangeState, PlanChangeRecord, PlanOffer
from helvetia.catalogue.plans import PLANS, SubscriptionPlan
from helvetia.kernel.status import SubscriptionStatus
from helvetia.subscriptions.model import SubscriptionRecord
from helvetia.web.dashboard.plans.table import LimitRow, PlanColumn, to_columns, to_rows
from helvetia.web.dashboard.voice import Voice


@dataclass(frozen=True, slots=True, kw_only=True)
class PlansFacts:
    """What the services answered, read within one request."""

    subscription: SubscriptionRecord
    offers: Sequence[PlanOffer]
    use: AccountUse
    pending: PlanChangeRecord | None
    ending_since: datetime | None
    may_choose_free: bool
    may_pay: bool
    voice: Voice

    @property
    def title(self) -> str:
        return PLANS[self.subscription.plan].title

    @property
    def is_live(self) -> bool:
        return self.subscription.is_live_at_stripe


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What stands under a plan: a button (`label`), or only words."""

    label: str | None = None
    words: str | None = None
    is_filled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlansView:
    """`keep_label`: the way back from what is scheduled. `opens_dialog`: a choice shows a preview first."""

    sentence: str
    note: str
    keep_label: str | None
    pending_id: str | None
    may_end: bool
    may_pay: bool
    opens_dialog: bool
    columns: Sequence[PlanColumn]
    rows: Sequence[LimitRow]
    choices: Sequence[Choice]


def to_plans_view(facts: PlansFacts) -> PlansView:
    voice = facts.voice
    is_free_to_choose = facts.may_pay and facts.ending_since is None
    scheduled = facts.is_live and (facts.subscription.cancel_at is not None or _is_scheduled(facts.pending))
    waits = facts.pending is not None and not _is_scheduled(facts.pending)
    return PlansView(
        sentence=_sentence(facts),
        note=_note(facts),
        keep_label=voice.say("Keep {plan}", plan=facts.title) if scheduled and is_free_to_choose else None,
        pending_id=str(facts.pending.change_id) if waits and facts.pending is not None else None,
        may_end=facts.is_live and is_free_to_choose and facts.subscription.cancel_at is None,
        may_pay=facts.may_pay,
        opens_dialog=facts.is_live,
        columns=to_columns(facts.offers, voice),
        rows=to_rows(facts.offers, facts.use, voice),
        choices=_choices(facts) if is_free_to_choose else [_only_words(offer, voice) for offer in facts.offers],
    )


def _is_scheduled(pending: PlanChangeRecord | None) -> bool:
    return pending is not None and pending.state is ChangeState.SCHEDULED


def _sentence(facts: PlansFacts) -> str:
    subscription, voice = facts.subscription, facts.voice
    if facts.ending_since is not None:
        return voice.say("{plan} is being ended: its usage is billed, then it is over.", plan=facts.title)
    if subscription.status is SubscriptionStatus.CANCELED:
        return _ended(facts)
    if not facts.is_live:
        return voice.say("You are on the Free plan. Choose more when you need it.")
    if facts.pending is not None and _is_scheduled(facts.pending):
        return voice.say(
            "{plan} until {day}, then {next}.",
            plan=facts.title,
            day=voice.day(facts.pending.effective_at),
            next=PLANS[facts.pending.plan].title,
        )
    if subscription.cancel_at is not None:
        return voice.say("{plan} ends on {day}.", plan=facts.title, day=voice.day(subscription.cancel_at))
    return voice.say(
        "You are on {plan}, {fee} a month. It renews on {day}.",
        plan=facts.title,
        fee=voice.money(subscription.fee_minor, subscription.currency),
        day=voice.day(subscription.period.ends_at),
    )


def _ended(facts: PlansFacts) -> str:
    voice, ended_at = facts.voice, facts.subscription.ended_at
    if ended_at is None:
        return voice.say("{plan} has ended. Choose how to go on.", plan=facts.title)
    return voice.say("{plan} ended on {day}. Choose how to go on.", plan=facts.title, day=voice.day(ended_at))


def _note(facts: PlansFacts) -> str:
    voice = facts.voice
    if not facts.may_pay:
        return voice.say("An owner or billing admin of this account can change the plan.")
    if facts.is_live and facts.subscription.cancel_at is not None:
        return voice.say("Keep {plan} first to change to another plan.", plan=facts.title)
    if facts.is_live:
        return voice.say("A bigger plan begins now, a smaller one with the next period. You see every amount first.")
    return voice.say("You pay on Stripe’s page; nothing is charged before you confirm there.")


def _only_words(offer: PlanOffer, voice: Voice) -> Choice:
    return Choice(words=voice.say("Your plan") if offer.is_current else None)


def _choices(facts: PlansFacts) -> list[Choice]:
    suggested = _suggested(facts)
    return [_choice(facts, offer, is_filled=offer is suggested) for offer in facts.offers]


def _suggested(facts: PlansFacts) -> PlanOffer | None:
    """The smallest bigger plan that holds what is used: the one filled button."""
    if facts.subscription.cancel_at is not None or facts.pending is not None:
        return None
    is_above = False
    for offer in facts.offers:
        if is_above and offer.is_sold and not offer.will_not_fit:
            return offer
        is_above = is_above or offer.is_current
    return None


def _choice(facts: PlansFacts, offer: PlanOffer, *, is_filled: bool) -> Choice:
    voice = facts.voice
    if offer.plan is SubscriptionPlan.FREE and not facts.is_live:
        label = voice.say("Go on with Free") if facts.may_choose_free else None
        return Choice(label=label, words=None if label else voice.say("Your plan"))
    if offer.is_current:
        return Choice(words=voice.say("Your plan"))
    if not offer.is_sold:
        return Choice(words=voice.say("not for sale at this moment"))
    if facts.pending is not None and offer.plan is facts.pending.plan and _is_scheduled(facts.pending):
        return Choice(words=voice.say("from {day}", day=voice.day(facts.pending.effective_at)))
    if facts.is_live and facts.subscription.cancel_at is not None:
        return Choice()
    if facts.is_live:
        return Choice(label=voice.say("Change to {plan}", plan=offer.title), is_filled=is_filled)
    return Choice(label=voice.say("Choose {plan}", plan=offer.title), is_filled=is_filled)
