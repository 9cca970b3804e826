"""The arrow request → trust: is this body signed by Stripe, with a secret of ours, just now? Pure.

`Stripe-Signature: t=<unix seconds>,v1=<hex>[,v1=<hex>…]`, each v1 the HMAC-SHA256 of `{t}.{body}` under one secret;
while a secret is being rolled there are several on both sides. Other schemes (v0) say nothing. Every comparison takes
constant time, and every pair is compared whatever the earlier ones said. Fails with one of three SignatureRefused.
"""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from helvetia.kernel.clock import to_unix_s
from helvetia.webhooks.errors import SignatureMalformed, SignatureOutOfTime, SignatureRefused

SCHEME = "v1"
HEADER_LENGTH_MAX = 4096
SIGNATURES_MAX = 16
_SECONDS_DIGITS_MAX = 12


def verify_signature(
    body: bytes, headers: Sequence[str], secrets: Sequence[str], *, wall: datetime, tolerance_s: int
) -> None:
    """Return when one signature of the one header fits one secret, and its time is within the tolerance of `wall`.

    Raises:
        SignatureMalformed, SignatureRefused, SignatureOutOfTime
    """
    if len(headers) != 1:
        raise SignatureMalformed
    signed_s, signatures = _read_header(headers[0])
    message = signed_s.encode() + b"." + body
    fits = False
    for secret in secrets:
        expected = hmac.new(secret.encode(), message, hashlib.sha256).hexdigest().encode()
        for signature in signatures:
            fits |= bool(secret) and hmac.compare_digest(expected, signature)
    if not fits:
        raise SignatureRefused
    if abs(to_unix_s(wall) - int(signed_s)) > tolerance_s:
        raise SignatureOutOfTime(tolerance_s=tolerance_s)


def sign(body: bytes, secret: str, at: datetime) -> str:
    """The header that Stripe would send with this body."""
    signed_s = to_unix_s(at)
    digest = hmac.new(secret.encode(), f"{signed_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={signed_s},{SCHEME}={digest}"


def _read_header(header: str) -> tuple[str, list[bytes]]:
    """The time as it was signed, and the signatures of our scheme."""
    if len(header) > HEADER_LENGTH_MAX:
        raise SignatureMalformed
    pairs = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    signatures = [value.encode("utf-8", "replace") for name, _, value in pairs if name == SCHEME]
    if len(times) != 1 or not 0 < len(signatures) <= SIGNATURES_MAX:
        raise SignatureMalformed
    signed_s = times[0]
    if not (signed_s.isascii() and signed_s.isdigit() and len(signed_s) <= _SECONDS_DIGITS_MAX):
        raise SignatureMalformed
    return signed_s, signatures
