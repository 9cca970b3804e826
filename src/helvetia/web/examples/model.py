"""What an example is, and the words and ids that examples share: one small customer on 10 March 2026."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from helvetia.accounts.errors import AccountNotFound
from helvetia.accounts.model import Permission, Role
from helvetia.kernel.errors import Forbidden, HelvetiaError, NotSignedIn
from helvetia.web.errors import KeyInFlight, KeyUsedForAnother
from helvetia.web.problems import ValidationFailed

USER_ID = "01a20585-d007-753e-93ef-1e3c7e7c349d"
SERVICE_ID = "01a20585-d3e5-7626-baeb-aa5b55d02960"
RECORD_ID = "01a20585-d403-764a-a803-803c8f1ddea2"
PREVIEW_ID = "01a20585-d69e-7354-90ce-b848a9e71396"
INVOICE_ID = "in_1TgQ2mHv7cXr4KaZ0b3YdWnE"
CONTAINER_ID = "4f1c0e8a6d2b97350b1e6c84a7d2f9300c5b8e1d7a64f2930be18c7d5a90f3e2"
NOW = "2026-03-15T10:17:23Z"
PERIOD_START = "2026-03-10T10:17:23Z"
PERIOD_END = "2026-04-10T10:17:23Z"

NOT_SIGNED_IN = NotSignedIn()
READS_FORBIDDEN = Forbidden(needs=Permission.READ_BILLING, role=Role.MEMBER)
MOVES_FORBIDDEN = Forbidden(needs=Permission.MOVE_MONEY, role=Role.BILLING_VIEWER)
RUNS_FORBIDDEN = Forbidden(needs=Permission.RUN_SERVICES, role=Role.BILLING_VIEWER)
NOT_FITTING = ValidationFailed(errors=[{"field": "body.plan", "message": "Field required"}])
NOT_FITTING_QUERY = ValidationFailed(
    errors=[{"field": "query.limit", "message": "Input should be less than or equal to 100"}]
)

READING: Sequence[HelvetiaError] = (NOT_SIGNED_IN, READS_FORBIDDEN, AccountNotFound())
MOVING: Sequence[HelvetiaError] = (
    *(NOT_SIGNED_IN, MOVES_FORBIDDEN, AccountNotFound()),
    *(KeyInFlight(), KeyUsedForAnother()),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One operation: a body, the answer to it, and the problems it is known for.

    Problems are the errors themselves, so that what the description shows is what is sent. `answer` None: no body.
    """

    request: JsonValue = None
    answer: JsonValue = None
    media_type: str = "application/json"
    problems: Sequence[HelvetiaError] = ()


Operation = tuple[str, str]
Examples = Mapping[Operation, Example]
