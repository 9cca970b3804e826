"""How things stand and what happens next, in sentences and amounts. Pure.

Three amounts, never one for another: the open invoice, the usage so far, and the next charge.
"""

from dataclasses import dataclass
from datetime import timedelta

from helvetia.billing.plan_change.model import ChangeState
from helvetia.catalogue.plans import PLANS, ResourceLimits, SubscriptionPlan
from helvetia.kernel.status import SubscriptionStatus
from helvetia.web.dashboard.overview.facts import OverviewFacts
from helvetia.web.dashboard.voice import Voice
from helvetia.web.dashboard.words import late_words

# Of the poll's rhythm, several times: Stripe, or the way to it, is away then.
STRIPE_LATE_AFTER = timedelta(minutes=30)
_OWING = frozenset({SubscriptionStatus.PAST_DUE, SubscriptionStatus.UNPAID})


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    label: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    label: str
    amount: str
    note: str
    links: tuple[Link, ...] = ()


def sentence(facts: OverviewFacts) -> str:
    subscription, voice, plan = facts.subscription, facts.voice, facts.title
    if subscription.status is SubscriptionStatus.CANCELED:
        if subscription.ended_at is None:
            return voice.say("{plan} plan ended. The limits of the Free plan apply.", plan=plan)
        day = facts.day(subscription.ended_at)
        return voice.say("{plan} plan ended on {day}. The limits of the Free plan apply.", plan=plan, day=day)
    if not facts.usage.is_charged:
        day = facts.day(facts.period.ends_at)
        return voice.say("Free plan. Nothing is charged; usage counts anew on {day}.", day=day)
    if subscription.status in _OWING:
        return _owing_sentence(facts)
    amount = facts.money(facts.next_charge_minor)
    if subscription.cancel_at is not None:
        day = facts.day(subscription.cancel_at)
        return voice.say("{plan} plan until {day}. Last charge about {amount}.", plan=plan, day=day, amount=amount)
    words = {"plan": plan, "day": facts.day(facts.period.ends_at), "amount": amount}
    if facts.pending is not None and facts.pending.state is ChangeState.SCHEDULED:
        later = PLANS[facts.pending.plan].title
        return voice.say("{plan} plan, then {later}. Next charge about {amount} on {day}.", later=later, **words)
    return voice.say("{plan} plan. Next charge about {amount} on {day}.", **words)


def _owing_sentence(facts: OverviewFacts) -> str:
    voice, is_past_due = facts.voice, facts.subscription.status is SubscriptionStatus.PAST_DUE
    if not facts.open_invoices:
        told = voice.say("{plan} plan, payment due.", plan=facts.title)
        return told if is_past_due else voice.say("{plan} plan, unpaid.", plan=facts.title)
    since = facts.day(min(invoice.issued_at for invoice in facts.open_invoices))
    words = {"plan": facts.title, "amount": facts.money(facts.open_minor), "day": since}
    if is_past_due:
        return voice.say("{plan} plan, payment due. {amount} is open since {day}.", **words)
    return voice.say("{plan} plan, unpaid. {amount} is open since {day}.", **words)


def as_of(facts: OverviewFacts) -> str:
    """Complete to when, gaps, which period."""
    words = {
        "instant": facts.voice.instant(facts.usage.as_of),
        "first": facts.voice.shortest_day(facts.period.starts_at),
        "last": facts.voice.shortest_day(facts.period.ends_at),
    }
    late = late_words(facts.usage.late_hosts, facts.voice)
    if facts.usage.is_complete:
        return facts.voice.say("Usage complete to {instant}, no gaps. Period {first} – {last}.", **words) + late
    told = facts.voice.say(
        "Usage complete to {instant}, with gaps, which are never billed. Period {first} – {last}.", **words
    )
    return told + late


def stripe_as_of(facts: OverviewFacts) -> str | None:
    """Payments and invoices are Stripe's: when it was not read for long, that is said; usage is not touched by it."""
    synced_at = facts.subscription.synced_at
    if not facts.subscription.is_live_at_stripe or synced_at is None or facts.now - synced_at <= STRIPE_LATE_AFTER:
        return None
    return facts.voice.say(
        "Stripe could not be reached since {instant}: payments and invoices are as of then. Usage and services go on.",
        instant=facts.voice.instant(synced_at),
    )


def amounts(facts: OverviewFacts) -> list[Fact]:
    voice, used = facts.voice, facts.money(facts.usage.usage_minor)
    since, until = facts.day(facts.period.starts_at), facts.day(facts.period.ends_at)
    if not facts.usage.is_charged:
        note = voice.say("since {day} at list prices, not charged", day=since)
        plans = (Link(label=voice.say("See plans"), path=facts.address("/billing/plans")),)
        return [
            Fact(label=voice.say("Usage so far"), amount=used, note=note),
            Fact(label=voice.say("Next charge"), amount=voice.say("None"), note=voice.say("the Free plan has no fee")),
            Fact(
                label=voice.say("Plan"),
                amount=PLANS[SubscriptionPlan.FREE].title,
                note=_limit_words(facts.limits, voice),
                links=plans,
            ),
        ]
    note = voice.say("since {since}, billed on {until}", since=since, until=until)
    usage_so_far = Fact(label=voice.say("Usage so far"), amount=used, note=note)
    if facts.open_minor:
        return [_open_invoice(facts), usage_so_far, _paid_with(facts)]
    return [usage_so_far, _next_charge(facts), _paid_with(facts)]


def _open_invoice(facts: OverviewFacts) -> Fact:
    invoices = facts.open_invoices
    link = Link(
        label=", ".join(invoice.number or facts.voice.say("draft") for invoice in invoices),
        path=facts.address(f"/billing/invoices/{invoices[0].stripe_invoice_id}"),
    )
    amount = facts.money(facts.open_minor)
    since = facts.voice.say("since {day}", day=facts.day(min(invoice.issued_at for invoice in invoices)))
    return Fact(label=facts.voice.say("Open invoice"), amount=amount, note=since, links=(link,))


def _next_charge(facts: OverviewFacts) -> Fact:
    voice, until = facts.voice, facts.day(facts.period.ends_at)
    expected = facts.expected_usage_minor
    words = {
        "usage": facts.money(facts.usage.usage_minor if expected is None else expected),
        "plan": PLANS[facts.next_fee[0]].title,
        "fee": facts.money(facts.next_fee_minor),
    }
    note = (
        voice.say("usage {usage} + {plan} {fee}", **words)
        if facts.next_fee_minor
        else voice.say("usage {usage}", **words)
    )
    found = facts.next_charge
    if found is not None and found.estimate.sums.total_minor != found.estimate.sums.subtotal_minor:
        note = voice.say("{parts}, with discounts and tax", parts=note)
    if (
        found is not None
        and found.low_minor is not None
        and found.high_minor is not None
        and (found.low_minor < found.high_minor)
    ):
        span = {"low": facts.money(found.low_minor), "high": facts.money(found.high_minor), "parts": note}
        note = voice.say("{parts} · 4 times in 5 between {low} and {high}", **span)
    amount = voice.say("about {amount}", amount=facts.money(facts.next_charge_minor))
    return Fact(label=voice.say("Next charge, {day}", day=until), amount=amount, note=note)


def _paid_with(facts: OverviewFacts) -> Fact:
    """The card that invoices are charged to, as Stripe was last read."""
    voice = facts.voice
    links = (
        Link(label=voice.say("Update"), path=facts.address("/billing/payment-methods")),
        Link(label=voice.say("Change plan"), path=facts.address("/billing/plans")),
    )
    shown = links if facts.may_pay else ()
    label = voice.say("Paid with")
    if facts.methods is None:
        note = voice.say("Stripe did not answer; try again in a minute")
        return Fact(label=label, amount=voice.say("not known now"), note=note, links=shown)
    default = next((one for one in facts.methods.entries if one.is_default), None)
    if default is None:
        note = voice.say("add one, so that the next charge goes through")
        return Fact(label=label, amount=voice.say("no card"), note=note, links=shown)
    note = ""
    if default.expires_month is not None and default.expires_year is not None:
        expires = f"{default.expires_month:02}/{default.expires_year % 100:02}"
        note = voice.say("expires {month}", month=expires)
    return Fact(label=label, amount=default.label, note=note, links=shown)


def _limit_words(limits: ResourceLimits, voice: Voice) -> str:
    services = voice.many("{count} service", "{count} services", limits.services_max)
    cores = voice.plain(limits.cpu_cores_max)
    memory = voice.megabytes(limits.memory_mb_max)
    return voice.say("{services}, {memory}, {cores} cores", services=services, memory=memory, cores=cores)


def no_invoices(facts: OverviewFacts) -> str:
    if facts.usage.is_charged:
        day = facts.day(facts.period.ends_at)
        return facts.voice.say("No invoice has arrived from Stripe yet. The next one is due on {day}.", day=day)
    return facts.voice.say("The Free plan is not charged, so there are no invoices.")


def free_limits(facts: OverviewFacts) -> str | None:
    """What the limits of the Free plan mean, for who has not reached them; None on every other plan."""
    if facts.usage.is_charged or facts.subscription.status is not SubscriptionStatus.ACTIVE:
        return None
    return facts.voice.say(
        "At a limit, creating, starting, scaling up and deploying are refused; what runs goes on. When the bandwidth is"
        " used up, services stop until the next period. Nothing is ever charged on Free."
    )
