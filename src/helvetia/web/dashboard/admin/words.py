"""The words of the operator's pages: titles of lists, causes of holds, states of reports. Pure."""

from helvetia.operations.model import ListName
from helvetia.web.dashboard.voice import Voice


def list_title(name: ListName, voice: Voice) -> str:
    return {
        ListName.SUBSCRIBERS: voice.say("Live subscriptions"),
        ListName.PAST_DUE: voice.say("Past due"),
        ListName.GRACE: voice.say("In grace"),
        ListName.HELD: voice.say("Services held"),
        ListName.TASKS: voice.say("Usage that no invoice bills"),
        ListName.WEBHOOKS: voice.say("Webhook events not handled"),
        ListName.OUTBOX: voice.say("Usage reports not confirmed"),
        ListName.GAPS: voice.say("Gaps of the last day"),
        ListName.HOSTS: voice.say("Hosts that usage is late for"),
        ListName.DIFFERENCES: voice.say("Differences from Stripe"),
    }[name]


def hold_cause(cause: str, voice: Voice) -> str:
    return {
        "payment": voice.say("for payment"),
        "quota": voice.say("for quota"),
        "budget": voice.say("for budget"),
        "operator": voice.say("by an operator"),
    }.get(cause, cause)


def report_state(state: str, voice: Voice) -> str:
    return {
        "due": voice.say("due"),
        "sent": voice.say("sent"),
        "rejected": voice.say("rejected"),
        "unknown": voice.say("without an answer"),
        "dead": voice.say("too old to send"),
    }.get(state, state)


def column_title(key: str, voice: Voice) -> str:
    """The head of a column; a test holds this table against the columns of every list."""
    return {
        "account": voice.say("Account"),
        "accountId": voice.say("Account"),
        "customer": voice.say("Customer at Stripe"),
        "plan": voice.say("Plan"),
        "status": voice.say("Status"),
        "fee_minor": voice.say("Fee a month"),
        "period_ends_at": voice.say("Period ends"),
        "open_minor": voice.say("Open"),
        "first_failed_at": voice.say("First failed"),
        "days_left": voice.say("Days left"),
        "hold_due_at": voice.say("Services stop"),
        "services": voice.say("Services"),
        "service": voice.say("Service"),
        "cause": voice.say("Cause"),
        "placed_at": voice.say("Since"),
        "reason": voice.say("Reason"),
        "placed_by": voice.say("By"),
        "metric": voice.say("Metric"),
        "quantity": voice.say("Quantity"),
        "amount_minor": voice.say("Amount"),
        "amountMinor": voice.say("Amount in cents"),
        "starts_at": voice.say("From"),
        "startsAt": voice.say("From"),
        "ends_at": voice.say("To"),
        "event": voice.say("Event"),
        "type": voice.say("Type"),
        "received_at": voice.say("Received"),
        "attempts": voice.say("Attempts"),
        "state": voice.say("State"),
        "piece_start": voice.say("Usage from"),
        "value": voice.say("Quantity"),
        "last_error": voice.say("Last error"),
        "host": voice.say("Host"),
        "read_until_at": voice.say("Read until"),
        "heard_at": voice.say("Last heard of"),
        "accounts": voice.say("Accounts"),
        "hop": voice.say("Between"),
        "ours": voice.say("Ours"),
        "theirs": voice.say("Theirs"),
        "repair": voice.say("Suggested repair"),
    }[key]
