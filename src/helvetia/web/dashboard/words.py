"""Words of the trade that several pages say: what is sold, why something is held, how an invoice stands. Pure."""

from collections.abc import Sequence

from helvetia.containers.model import HoldCause
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.model import LateHost
from helvetia.web.dashboard.usage.words import metric_title, metric_unit
from helvetia.web.dashboard.voice import Voice

_HOSTS_NAMED = 3
_SERVICES_NAMED = 3


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


def late_words(hosts: Sequence[LateHost], voice: Voice) -> str:
    """Which hosts are late, as one more sentence of an as-of line; nothing where none is."""
    if not hosts:
        return ""
    told = [_host(one, voice) for one in hosts[:_HOSTS_NAMED]]
    if len(hosts) > len(told):
        told.append(voice.many("{count} more host", "{count} more hosts", len(hosts) - len(told)))
    return " " + voice.say("Nothing was heard of {hosts}.", hosts=list_words(told, voice))


def _host(host: LateHost, voice: Voice) -> str:
    """By the reader's own services on it, the first of them named."""
    names, more = list(host.service_names[:_SERVICES_NAMED]), len(host.service_names) - _SERVICES_NAMED
    if more > 0:
        names.append(voice.many("{count} more service", "{count} more services", more))
    words = {"services": list_words(names, voice), "instant": voice.instant(host.seen_at)}
    return voice.say("the host of {services} since {instant}", **words)
