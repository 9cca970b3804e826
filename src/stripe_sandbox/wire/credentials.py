"""Authorization header → secret key. Live keys are refused: this is not Stripe, and must never look like it."""

from __future__ import annotations

import base64
import binascii
import re

from stripe_sandbox.wire.errors import Unauthorized

_TEST_KEY = re.compile(r"(sk|rk)_test_[A-Za-z0-9_\-]{1,200}")
_LIVE_KEY = re.compile(r"(sk|rk|pk)_live_.*")


def read_key(header: str | None) -> str:
    """Return the test key of a Bearer header, or of a Basic header's user name."""
    key = _key_of(header or "")
    if not key:
        raise Unauthorized("You did not provide an API key. Send it as 'Authorization: Bearer sk_test_…'.")
    if _LIVE_KEY.fullmatch(key):
        raise Unauthorized("A live key was sent to the sandbox. Use a test key here, and keep live keys away from it.")
    if not _TEST_KEY.fullmatch(key):
        raise Unauthorized("Invalid API Key provided. The sandbox takes keys that begin with sk_test_ or rk_test_.")
    return key


def _key_of(header: str) -> str:
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""
