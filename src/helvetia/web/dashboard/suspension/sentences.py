"""How a failed payment stands, what is still to come, what is kept and what comes back, in sentences. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from helvetia.containers.model import HoldCause
from helvetia.enforcement.model import EnforcementMode, Override, OverrideKind, PaymentState, Step, StepKind
from helvetia.web.dashboard.suspension.banner import stops_at
from helvetia.web.dashboard.suspension.facts import SuspensionFacts
from helvetia.web.dashboard.voice import Voice


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedLine:
    at: str
    text: str


def sentence(facts: SuspensionFacts) -> str:
    """How things stand, with the instant that matters."""
    verdict, voice = facts.found.verdict, facts.voice
    stopping_at = stops_at(verdict, facts.found.mode, facts.found.at)
    if stopping_at is not None:
        return voice.say("Payment failed. Services stop on {instant}.", instant=voice.full_instant(stopping_at))
    held_at = facts.found.facts.noticed_hold_at or verdict.hold_due_at
    if verdict.state is PaymentState.OVERDUE and held_at is not None:
        return voice.say("Services are stopped since {day}. Your data is kept.", day=voice.day(held_at))
    if verdict.state is PaymentState.ENDED:
        ended_at = facts.found.facts.ended_at
        if ended_at is None:
            return voice.say("The subscription has ended. Your data is kept.")
        return voice.say("The subscription ended on {day}. Your data is kept.", day=voice.day(ended_at))
    return {
        PaymentState.GRACE: voice.say("Payment failed. Everything goes on for now."),
        PaymentState.LOCKED: voice.say("Payment failed. What runs goes on, nothing new can be started."),
        PaymentState.OVERDUE: voice.say("Services are stopped. Your data is kept."),
        PaymentState.EXEMPT: voice.say("A payment is open; you have been given more time."),
    }.get(verdict.state, voice.say("Everything is paid. Nothing is going to be stopped."))


def reason(facts: SuspensionFacts) -> str:
    """Since when, and what it means for new work."""
    voice, state = facts.voice, facts.found.verdict.state
    failed_at = facts.found.facts.first_failed_at
    if state is PaymentState.CURRENT:
        return voice.say("This page tells what would happen if a payment failed, and in which order.")
    if state is PaymentState.ENDED:
        return voice.say("Choose the Free plan or another one, and what you want to run comes back.")
    since = "" if failed_at is None else voice.say("Failed first on {instant}.", instant=voice.full_instant(failed_at))
    work = {
        PaymentState.GRACE: voice.say("Until then you may go on starting and changing services."),
        PaymentState.LOCKED: voice.say("Starting, scaling and deploying is refused until it is paid."),
        PaymentState.OVERDUE: voice.say("Starting, scaling and deploying is refused until it is paid."),
    }.get(state, voice.say("Nothing is refused as long as you have more time."))
    return f"{since} {work}".strip()


def observed(facts: SuspensionFacts) -> str | None:
    """In this installation nothing may be stopped at all; the page must not threaten with it."""
    if facts.found.mode is EnforcementMode.ENFORCE:
        return None
    return facts.voice.say("In this installation services are not stopped for payments; the operator decided so.")


def steps(found: Sequence[Step], voice: Voice) -> list[DatedLine]:
    words = {
        StepKind.REMINDER: voice.say("We send a reminder."),
        StepKind.EXEMPTION_ENDS: voice.say("The time that you were given ends."),
        StepKind.HOLD: voice.say("Services stop, in the order shown here. Data and definitions stay."),
    }
    return [DatedLine(at=voice.full_instant(step.at), text=words[step.kind]) for step in found]


def overrides(facts: SuspensionFacts) -> list[str]:
    """Exceptions by the operator that are in force: what, until when, why and by whom."""
    return [_override(one, facts.voice) for one in facts.found.facts.overrides if one.until_at > facts.found.at]


def _override(one: Override, voice: Voice) -> str:
    values = {"instant": voice.full_instant(one.until_at), "reason": one.reason, "actor": one.actor.partition(":")[2]}
    if one.kind is OverrideKind.EXEMPT:
        return voice.say("Until {instant} no payment is asked for: “{reason}” (operator {actor}).", **values)
    return voice.say("Nothing is stopped before {instant}: “{reason}” (operator {actor}).", **values)


def promises(facts: SuspensionFacts) -> list[str]:
    """What is kept, and what comes back by itself."""
    voice = facts.voice
    lines = [
        voice.say("Volumes, definitions, settings and your usage are kept. Nothing is deleted."),
        voice.say("Stopped services cost no compute and no memory; what they store goes on counting."),
        voice.say("As soon as you choose a plan, what you want to run and what fits it starts again by itself.")
        if facts.found.verdict.state is PaymentState.ENDED
        else voice.say("As soon as it is paid, everything you want to run starts again by itself, within a minute."),
    ]
    stopped = [one for one in facts.found.services if not one.is_wished]
    if stopped:
        lines.append(
            voice.many(
                "One service stays stopped, because you stopped it yourself.",
                "{count} services stay stopped, because you stopped them yourself.",
                len(stopped),
            )
        )
    others = [one for one in facts.found.services if one.causes - {HoldCause.PAYMENT}]
    if others:
        lines.append(
            voice.many(
                "One service is also stopped for another reason, which a payment does not lift.",
                "{count} services are also stopped for another reason, which a payment does not lift.",
                len(others),
            )
        )
    return lines
