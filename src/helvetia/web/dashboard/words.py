"""Words of the trade that several pages say: what is sold, why something is held, how an invoice stands. Pure."""

from helvetia.containers.model import HoldCause
from helvetia.kernel.quantity import UsageMetric
from helvetia.web.dashboard.usage.words import metric_title, metric_unit
from helvetia.web.dashboard.voice import Voice


def metric_head(metric: UsageMetric, voice: Voice) -> str:
    """What is sold and in which unit, over a column of quantities."""
    return f"{metric_title(metric, voice)} {metric_unit(metric, voice)}"


def hold_words(cause: HoldCause, voice: Voice) -> str:
    """Why a service is held, as a sentence."""
    return {
        HoldCause.PAYMENT: voice.say("Stopped because a payment is due."),
        HoldCause.QUOTA: voice.say("Stopped because it exceeds the plan."),
        HoldCause.BUDGET: voice.say("Stopped because your budget is used up."),
        HoldCause.OPERATOR: voice.say("Stopped by the operator."),
    }[cause]


def invoice_status(status: str, voice: Voice) -> tuple[str, str]:
    """An invoice's state in words, and its tone."""
    known = {
        "draft": (voice.say("Draft"), ""),
        "open": (voice.say("Open"), "warn"),
        "paid": (voice.say("Paid"), "good"),
        "void": (voice.say("Void"), ""),
        "uncollectible": (voice.say("Not collected"), "bad"),
    }
    return known.get(status, (status.capitalize(), ""))


def list_words(items: list[str], voice: Voice) -> str:
    """a, b and c."""
    if len(items) < 2:  # noqa: PLR2004 - one needs no joining word
        return "".join(items)
    return voice.say("{first} and {last}", first=", ".join(items[:-1]), last=items[-1])
