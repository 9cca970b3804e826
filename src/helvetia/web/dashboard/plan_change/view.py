"""One change of plan as a page: before it is confirmed its lines and its price, afterwards what became of it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from helvetia.billing.plan_change.model import ChangeState, Direction, Misfit, PlanChangeRecord, PlanPreview
from helvetia.catalogue.plans import PLANS, SubscriptionPlan
from helvetia.enforcement.policy import stops_beyond_limits
from helvetia.subscriptions.model import SubscriptionRecord
from helvetia.web.dashboard.plans.table import misfit_words
from helvetia.web.dashboard.voice import Voice

_TWO = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeFacts:
    """`holds`: it can still be confirmed as shown. `confirm_url`: where the bank asks. `card`: what is charged."""

    preview: PlanPreview
    holds: bool
    subscription: SubscriptionRecord
    usage_minor: int
    card: str | None
    voice: Voice
    confirm_url: str | None = None
    is_new: bool = False
    lacks_consent: bool = False

    @property
    def change(self) -> PlanChangeRecord:
        return self.preview.change

    def money(self, amount_minor: int) -> str:
        return self.voice.money(amount_minor, self.change.currency)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeLine:
    words: str
    amount: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeView:
    """`button` confirms; `again` asks for a new preview of `plan`; `keep` leaves everything as it is."""

    title: str
    as_of: str | None
    alert: str | None
    lines: Sequence[ChangeLine]
    total: ChangeLine | None
    notes: Sequence[str]
    misfits: Sequence[str]
    misfit_note: str
    consent: str | None
    complaint: str | None
    button: str | None
    again: str | None
    keep: str
    confirm_url: str | None
    change_id: str
    plan: str


def to_change_view(facts: ChangeFacts) -> ChangeView:
    change, voice = facts.change, facts.voice
    is_open = facts.holds or change.state is ChangeState.APPLYING
    shows_lines = facts.holds and change.direction is Direction.UPGRADE
    return ChangeView(
        title=_title(facts),
        as_of=_as_of(facts) if facts.holds else None,
        alert=_alert(facts),
        lines=_lines(facts) if shows_lines else [],
        total=_total(facts) if shows_lines else None,
        notes=_notes(facts) if facts.holds else [],
        misfits=[misfit_words(one, voice) for one in facts.preview.will_not_fit] if facts.holds else [],
        misfit_note=_misfit_note(facts),
        consent=_consent(facts) if facts.holds else None,
        complaint=voice.say("Tick the box to go on; nothing was charged.") if facts.lacks_consent else None,
        button=_button(facts) if is_open else None,
        again=_again(facts),
        keep=voice.say("Keep {plan}", plan=_name(change.from_plan)) if facts.holds else voice.say("Back to the plans"),
        confirm_url=facts.confirm_url,
        change_id=str(change.change_id),
        plan=change.plan.value,
    )


def needs_consent(change: PlanChangeRecord, misfits: Sequence[Misfit]) -> bool:
    """Whether money moves now, or something will stop."""
    return change.amount_due_minor > 0 or bool(misfits)


def _name(plan: SubscriptionPlan) -> str:
    return PLANS[plan].title


def _title(facts: ChangeFacts) -> str:
    change, voice = facts.change, facts.voice
    names = {"from_plan": _name(change.from_plan), "plan": _name(change.plan)}
    day = voice.day(change.effective_at)
    if change.state is ChangeState.APPLIED or _is_done(facts):
        return voice.say("You are on {plan} now.", plan=names["plan"])
    if change.state is ChangeState.SCHEDULED:
        return voice.say("{from_plan} until {day}, then {plan}.", day=day, **names)
    if change.state is ChangeState.UNDONE:
        return voice.say("You keep {from_plan}.", from_plan=names["from_plan"])
    if change.state is ChangeState.DECLINED:
        return voice.say("The payment was declined. You keep {from_plan}.", from_plan=names["from_plan"])
    if change.state is ChangeState.PENDING:
        return voice.say("Your bank wants you to confirm the payment.")
    if change.state is ChangeState.APPLYING:
        return voice.say("It is not known yet whether the payment arrived.")
    if not facts.holds:
        return voice.say("This preview has run out.")
    return voice.say("Change from {from_plan} to {plan}", **names)


def _is_done(facts: ChangeFacts) -> bool:
    """A payment that was waited for has come, and our records have the plan."""
    is_waiting = facts.change.state in {ChangeState.PENDING, ChangeState.APPLYING}
    return is_waiting and facts.subscription.plan is facts.change.plan


def _alert(facts: ChangeFacts) -> str | None:
    change, voice = facts.change, facts.voice
    if facts.is_new and facts.holds:
        return voice.say("What it costs has changed since you looked. Nothing was charged; this is the new price.")
    if _is_done(facts):
        return None
    if change.state is ChangeState.DECLINED:
        return voice.say(
            "Nothing was charged and nothing was changed. Use another card, then look at the change again."
        )
    if change.state is ChangeState.PENDING:
        return voice.say("Until you do, nothing is charged, and plan and limits stay as they are.")
    if change.state is ChangeState.APPLYING:
        return voice.say("Stripe did not answer in time. Press the button again: nothing is charged twice.")
    if change.state in {ChangeState.PREVIEWED, ChangeState.REFUSED} and not facts.holds:
        return voice.say("Nothing was charged and nothing was changed. Prices are frozen for ten minutes; look again.")
    return None


def _as_of(facts: ChangeFacts) -> str:
    change, voice = facts.change, facts.voice
    left = voice.duration(change.valid_until - voice.now)
    frozen = voice.say(
        "Prices frozen at {instant}, valid for {left}.", instant=voice.instant(change.prorated_at), left=left
    )
    if change.direction is Direction.UPGRADE:
        return voice.say("Takes effect now. {frozen}", frozen=frozen)
    effective = voice.full_instant(change.effective_at)
    return voice.say("Takes effect on {instant}. Nothing is charged now.", instant=effective)


def _lines(facts: ChangeFacts) -> list[ChangeLine]:
    change, voice = facts.change, facts.voice
    span = {"first": voice.shortest_day(change.prorated_at), "last": voice.shortest_day(change.period_end)}
    found = list(facts.preview.lines)
    named = len(found) == _TWO and found[0].amount_minor <= 0 <= found[1].amount_minor
    words = [
        voice.say("Unused time on {plan}, {first} – {last}", plan=_name(change.from_plan), **span),
        voice.say("{plan}, {first} – {last}", plan=_name(change.plan), **span),
    ]
    lines = [
        ChangeLine(words=words[number] if named else line.description or "", amount=facts.money(line.amount_minor))
        for number, line in enumerate(found)
    ]
    extra = change.total_minor - sum(line.amount_minor for line in found)
    if extra:
        lines.append(
            ChangeLine(words=voice.say("Tax") if extra > 0 else voice.say("Discount"), amount=facts.money(extra))
        )
    credit = change.amount_due_minor - change.total_minor
    if credit:
        lines.append(ChangeLine(words=voice.say("Your credit"), amount=facts.money(credit)))
    usage = voice.say("Usage so far, billed on {day} as before", day=voice.day(change.period_end))
    return [*lines, ChangeLine(words=usage, amount="—")]


def _total(facts: ChangeFacts) -> ChangeLine:
    voice, amount = facts.voice, facts.money(facts.change.amount_due_minor)
    if facts.card is None:
        return ChangeLine(words=voice.say("Due now"), amount=amount)
    return ChangeLine(words=voice.say("Due now, {card}", card=facts.card), amount=amount)


def _notes(facts: ChangeFacts) -> list[str]:
    change, voice = facts.change, facts.voice
    day = voice.day(change.period_end)
    usage = facts.money(facts.usage_minor)
    if change.direction is Direction.END:
        return [
            voice.say("Last invoice on {day}: the usage until then, {usage} so far.", day=day, usage=usage),
            voice.say("What fits Free runs on. Data is kept."),
        ]
    following = voice.say(
        "Next invoice on {day}: {plan} {fee}, and the usage until then, {usage} so far.",
        day=day,
        plan=_name(change.plan),
        fee=facts.money(facts.preview.next_fee_minor),
        usage=usage,
    )
    if change.direction is Direction.UPGRADE:
        return [following, voice.say("The limits rise at once.")]
    return [following, voice.say("Until then you keep {plan} and its limits.", plan=_name(change.from_plan))]


def _consent(facts: ChangeFacts) -> str | None:
    change, voice = facts.change, facts.voice
    if change.amount_due_minor > 0:
        return voice.say("I agree that {amount} is charged now.", amount=facts.money(change.amount_due_minor))
    if not facts.preview.will_not_fit:
        return None
    day = voice.day(change.effective_at)
    if stops_beyond_limits(change.plan):
        return voice.say("I know that what does not fit on {day} is stopped until it does. Data is kept.", day=day)
    return voice.say("I know that nothing new starts from {day} on until everything fits.", day=day)


def _misfit_note(facts: ChangeFacts) -> str:
    """What becomes of it, by the rule that decides it on that day."""
    if stops_beyond_limits(facts.change.plan):
        return facts.voice.say(
            "Stop or shrink services, or delete volumes, before that day; then nothing is stopped for you."
        )
    return facts.voice.say(
        "What runs goes on. Stop or shrink services, or delete volumes, before that day; else nothing new starts."
    )


def _button(facts: ChangeFacts) -> str:
    change, voice = facts.change, facts.voice
    plan = _name(change.plan)
    if change.direction is not Direction.UPGRADE:
        return voice.say("Change to {plan} on {day}", plan=plan, day=voice.day(change.effective_at))
    if change.amount_due_minor > 0:
        return voice.say("Change to {plan}, pay {amount} now", plan=plan, amount=facts.money(change.amount_due_minor))
    return voice.say("Change to {plan}, pay nothing now", plan=plan)


def _again(facts: ChangeFacts) -> str | None:
    """A new preview, where this one cannot be confirmed any more and did not come about."""
    state, voice = facts.change.state, facts.voice
    is_over = state in {ChangeState.PREVIEWED, ChangeState.REFUSED} and not facts.holds
    if is_over or state in {ChangeState.DECLINED, ChangeState.UNDONE}:
        return voice.say("Look at {plan} again", plan=_name(facts.change.plan))
    return None
