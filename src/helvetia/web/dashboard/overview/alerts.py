"""What waits for the reader or is going to change, in full sentences at the top, with what can be done. Pure.

Red is for what needs the reader now; a limit that comes near is amber; a plan that was made is told without colour.
"""

from helvetia.billing.plan_change.model import ChangeState
from helvetia.catalogue.plans import PLANS, SubscriptionPlan
from helvetia.enforcement.model import OverrideKind, PaymentState, QuotaUse
from helvetia.enforcement.policy import held_for_quota, stops_beyond_limits
from helvetia.kernel.status import SubscriptionStatus
from helvetia.web.dashboard.overview.facts import OverviewFacts
from helvetia.web.dashboard.overview.limit_alerts import Action, Alert, limit_alerts
from helvetia.web.dashboard.suspension.banner import stops_at
from helvetia.web.dashboard.words import list_words

_NAMED_MAX = 6
_OWING = frozenset({SubscriptionStatus.PAST_DUE, SubscriptionStatus.UNPAID})


def alerts(facts: OverviewFacts) -> list[Alert]:
    """The most pressing first."""
    found = [_payment(facts), _waiting_payment(facts), *limit_alerts(facts), _ending(facts), _moving(facts)]
    return [one for one in found if one is not None]


def _payment(facts: OverviewFacts) -> Alert | None:
    """A failed payment, stopped services, an ended subscription, or additional time."""
    state = PaymentState.CURRENT if facts.standing is None else facts.standing.verdict.state
    if state is PaymentState.EXEMPT:
        return _exempt(facts)
    if state is PaymentState.ENDED:
        return _ended(facts)
    if state is PaymentState.OVERDUE:
        return _overdue(facts)
    if facts.subscription.status not in _OWING:
        return None
    return _failed(facts)


def _failed(facts: OverviewFacts) -> Alert:
    voice, standing = facts.voice, facts.standing
    stopping_at = None if standing is None else stops_at(standing.verdict, standing.mode, standing.at)
    if stopping_at is None:
        title = voice.say("Payment failed.")
    else:
        left = voice.duration(stopping_at - facts.now)
        title = voice.say("Payment failed. Services stop in {duration}.", duration=left)
    lines = [_tried(facts), _new_card(facts), _retry(facts)]
    names = [] if standing is None else [one.name for one in standing.services if one.is_wished]
    if stopping_at is not None and names:
        shown = names[:_NAMED_MAX] + ([voice.say("the others")] if len(names) > _NAMED_MAX else [])
        words = {"names": list_words(shown, voice), "instant": voice.full_instant(stopping_at)}
        lines.append(
            voice.say("If nothing is paid, {names} stop in this order on {instant}.", **words)
            if len(names) > 1
            else voice.say("If nothing is paid, {names} stops on {instant}.", **words)
        )
    lines.append(voice.say("Your data and your usage are kept."))
    text = " ".join(line for line in lines if line)
    return Alert(title=title, text=text, tone="urgent", actions=_pay(facts), more=_cockpit(facts))


def _tried(facts: OverviewFacts) -> str:
    number = max((invoice.attempt_count for invoice in facts.open_invoices), default=0)
    voice, amount = facts.voice, facts.money(facts.open_minor)
    if not facts.open_minor:
        return ""
    if not number:
        return voice.say("{amount} could not be charged.", amount=amount)
    return voice.many(
        "{amount} could not be charged; it was tried once.",
        "{amount} could not be charged; it was tried {count} times.",
        number,
        amount=amount,
    )


def _new_card(facts: OverviewFacts) -> str:
    return "" if facts.offer is None else facts.voice.say("Your new card was not tried yet.")


def _retry(facts: OverviewFacts) -> str:
    planned = [at for invoice in facts.open_invoices if (at := invoice.next_payment_attempt_at) is not None]
    again = [at for at in planned if at > facts.now]
    if not again:
        return facts.voice.say("No further try is planned.")
    return facts.voice.say("The next try is on {day}.", day=facts.day(min(again)))


def _overdue(facts: OverviewFacts) -> Alert:
    voice, standing = facts.voice, facts.standing
    held_at = None if standing is None else standing.facts.noticed_hold_at or standing.verdict.hold_due_at
    title = voice.say("Services are stopped.")
    if held_at is not None:
        title = voice.say("Services are stopped since {day}.", day=facts.day(held_at))
    text = voice.say("Your data is kept. As soon as it is paid, what you want to run starts again by itself.")
    return Alert(title=title, text=text, tone="urgent", actions=_pay(facts), more=_cockpit(facts))


def _ended(facts: OverviewFacts) -> Alert:
    voice = facts.voice
    plans = Action(label=voice.say("Choose a plan"), path=facts.address("/billing/plans"), is_filled=True)
    return Alert(
        title=voice.say("The subscription has ended. Services are stopped."),
        text=voice.say("Your data is kept. Choose the Free plan or another one, and what you want to run comes back."),
        tone="urgent",
        actions=[plans] if facts.may_pay else [],
        more=_cockpit(facts),
    )


def _exempt(facts: OverviewFacts) -> Alert:
    voice = facts.voice
    found = () if facts.standing is None else facts.standing.facts.overrides
    until = max(one.until_at for one in found if one.kind is OverrideKind.EXEMPT)
    why = next(one.reason for one in found if one.until_at == until)
    words = {"instant": voice.full_instant(until), "reason": why}
    return Alert(
        title=voice.say("A payment is open; you have been given more time."),
        text=voice.say("The operator asks for no payment until {instant}: “{reason}”.", **words),
        actions=_pay(facts),
        more=_cockpit(facts),
    )


def _pay(facts: OverviewFacts) -> list[Action]:
    """Only a past due subscription's sum is surely known without asking Stripe."""
    if not facts.may_pay:
        return []
    label = facts.voice.say("Pay what is open")
    if facts.subscription.status is SubscriptionStatus.PAST_DUE and facts.open_minor:
        label = facts.voice.say("Pay {amount} now", amount=facts.money(facts.open_minor))
    card = Action(label=facts.voice.say("Update card"), path=facts.address("/billing/portal"), is_portal=True)
    return [Action(label=label, path=facts.address("/billing/pay"), is_filled=True), card]


def _cockpit(facts: OverviewFacts) -> Action:
    return Action(label=facts.voice.say("What happens next"), path=facts.address("/billing/suspension"))


def _waiting_payment(facts: OverviewFacts) -> Alert | None:
    if facts.pending is None or facts.pending.state is not ChangeState.PENDING:
        return None
    voice, plan = facts.voice, PLANS[facts.pending.plan].title
    change = facts.address(f"/billing/plans/change/{facts.pending.change_id}")
    return Alert(
        title=voice.say("Your bank wants you to confirm a payment."),
        text=voice.say("The move to {plan} waits for it; until then nothing changes.", plan=plan),
        tone="urgent",
        actions=[Action(label=voice.say("Continue"), path=change, is_filled=True)] if facts.may_pay else [],
    )


def _ending(facts: OverviewFacts) -> Alert | None:
    subscription, voice = facts.subscription, facts.voice
    if subscription.cancel_at is None or not subscription.is_live_at_stripe:
        return None
    keep = [Action(label=voice.say("Keep my plan"), path=facts.address("/billing/plans"))] if facts.may_pay else []
    return Alert(
        title=voice.say("{plan} ends on {day}.", plan=facts.title, day=facts.day(subscription.cancel_at)),
        text=voice.say(
            "The last charge is about {amount}. Then services stop until you choose a plan; your data is kept.",
            amount=facts.money(facts.next_charge_minor),
        ),
        actions=keep,
    )


def _moving(facts: OverviewFacts) -> Alert | None:
    change, voice = facts.pending, facts.voice
    if change is None or change.state is not ChangeState.SCHEDULED:
        return None
    text = voice.say("Everything that you have fits.")
    if facts.misfits:
        limits = list_words([_misfit(one.limit, facts) for one in facts.misfits], voice)
        told = voice.say("Some of it will not fit: {limits}.", limits=limits)
        text = f"{told} {_after_the_move(facts, change.plan)}"
    undo = [Action(label=voice.say("Undo"), path=facts.address("/billing/plans"))] if facts.may_pay else []
    title = voice.say("Moves to {plan} on {day}.", plan=PLANS[change.plan].title, day=facts.day(change.effective_at))
    return Alert(title=title, text=text, tone="warn" if facts.misfits else "", actions=undo)


def _after_the_move(facts: OverviewFacts, plan: SubscriptionPlan) -> str:
    """By the rule that later does it; the new period begins with nothing sent."""
    voice = facts.voice
    if not stops_beyond_limits(plan):
        return voice.say("What runs goes on; nothing new starts until all of it fits.")
    kept = () if facts.standing is None else tuple(reversed(facts.standing.services))
    held = held_for_quota(plan, QuotaUse(), kept)
    names = [one.name for one in reversed(kept) if one in held and one.is_wished]
    if not names:
        return voice.say("What does not fit is stopped then; your data is kept.")
    shown = names[:_NAMED_MAX] + ([voice.say("the others")] if len(names) > _NAMED_MAX else [])
    return voice.many(
        "{names} stops then; your data is kept.",
        "{names} stop then; your data is kept.",
        len(names),
        names=list_words(shown, voice),
    )


def _misfit(limit: str, facts: OverviewFacts) -> str:
    voice = facts.voice
    return {
        "services": voice.say("number of services"),
        "memory": voice.say("memory"),
        "cpu": voice.say("cores"),
        "bandwidth": voice.say("bandwidth"),
        "storage": voice.say("storage"),
    }.get(limit, limit)
