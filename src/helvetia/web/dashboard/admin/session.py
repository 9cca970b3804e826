"""An operator's browser: who showed OPERATOR_TOKEN gets a cookie for twelve hours, signed with that very token.

Nothing is stored, so a restart signs nobody out; another token signs everybody out. The cookie never leaves /admin.
"""

import hmac
from datetime import datetime, timedelta
from hashlib import sha256

from helvetia.kernel.errors import Forbidden

COOKIE = "helvetia_operator"
LIFE = timedelta(hours=12)
_CONTEXT = b"operator session until "


class OperatorSignedOut(Forbidden):
    """Only the operator may read this page. Sign in with OPERATOR_TOKEN."""

    code = "operator_signed_out"


def issue(token: str, wall: datetime) -> str:
    """The cookie's value: until when, and the proof."""
    until = str(int((wall + LIFE).timestamp()))
    return f"{until}.{_sign(token, until)}"


def is_valid(token: str | None, value: str, wall: datetime) -> bool:
    until, _, proof = value.partition(".")
    if not token or not until.isascii() or not until.isdigit() or len(until) > 12:  # noqa: PLR2004 - digits of seconds
        return False
    return hmac.compare_digest(proof.encode(), _sign(token, until).encode()) and wall.timestamp() < int(until)


def is_token(token: str | None, shown: str) -> bool:
    return bool(token) and hmac.compare_digest(shown.encode(), (token or "").encode())


def _sign(token: str, until: str) -> str:
    return hmac.new(token.encode(), _CONTEXT + until.encode(), sha256).hexdigest()
