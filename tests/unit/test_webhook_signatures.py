"""Signature vectors: what is let in, and everything that is not."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
import stripe

from helvetia.kernel.clock import to_unix_s
from helvetia.webhooks.errors import SignatureMalformed, SignatureOutOfTime, SignatureRefused
from helvetia.webhooks.model import WebhookConfig
from helvetia.webhooks.receive_event import ALARM_AGAIN_AFTER, BAD_SIGNATURES_MAX, SignatureWatch
from helvetia.webhooks.verify_signature import sign, verify_signature

NOW = datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC)
T = to_unix_s(NOW)
BODY = b'{"id":"evt_1","object":"event"}'
OLD, NEW = "whsec_old", "whsec_new"


def digest(secret: str, body: bytes = BODY, at_s: int | str = T) -> str:
    return hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()


def check(header: str | list[str], *, body: bytes = BODY, secrets: tuple[str, ...] = (NEW, OLD)) -> None:
    headers = [header] if isinstance(header, str) else header
    verify_signature(body, headers, secrets, wall=NOW, tolerance_s=300)


GOOD = digest(NEW)
ACCEPTED = {
    "the secret of today": f"t={T},v1={GOOD}",
    "the former secret, while it is rolled": f"t={T},v1={digest(OLD)}",
    "both signatures, as Stripe sends while it rolls": f"t={T},v1={digest(OLD)},v1={GOOD}",
    "a right one after wrong ones": f"t={T},v1={'0' * 64},v1={'f' * 64},v1={GOOD}",
    "another scheme beside": f"t={T},v1={GOOD},v0={digest('whsec_test')}",
    "an unknown scheme beside": f"t={T},v9=abc,v1={GOOD}",
    "the time last": f"v1={GOOD},t={T}",
    "blanks after commas": f"t={T}, v1={GOOD}",
    "300 s old": f"t={T - 300},v1={digest(NEW, at_s=T - 300)}",
    "300 s ahead": f"t={T + 300},v1={digest(NEW, at_s=T + 300)}",
    "as the SDK makes it": stripe.WebhookSignature.generate_signature_header(  # type: ignore[attr-defined]
        BODY.decode(), NEW, timestamp=T
    ),
    "as we make it": sign(BODY, OLD, NOW),
}
REFUSED: dict[str, tuple[str | list[str], type[SignatureRefused]]] = {
    "a wrong secret": (f"t={T},v1={digest('whsec_other')}", SignatureRefused),
    "another time than was signed": (f"t={T + 1},v1={GOOD}", SignatureRefused),
    "only the other scheme": (f"t={T},v0={GOOD}", SignatureMalformed),
    "no signature": (f"t={T}", SignatureMalformed),
    "an empty signature": (f"t={T},v1=", SignatureRefused),
    "a shortened signature": (f"t={T},v1={GOOD[:-1]}", SignatureRefused),
    "upper case hex": (f"t={T},v1={GOOD.upper()}", SignatureRefused),
    "no time": (f"v1={GOOD}", SignatureMalformed),
    "two times": (f"t={T},t={T},v1={GOOD}", SignatureMalformed),
    "a time that is no number": (f"t=now,v1={digest(NEW, at_s='now')}", SignatureMalformed),
    "a negative time": (f"t=-5,v1={digest(NEW, at_s='-5')}", SignatureMalformed),
    "digits of another script": (f"t=١٢٣,v1={digest(NEW, at_s='١٢٣')}", SignatureMalformed),
    "an endless time": (f"t={'9' * 40},v1={digest(NEW, at_s='9' * 40)}", SignatureMalformed),
    "301 s old": (f"t={T - 301},v1={digest(NEW, at_s=T - 301)}", SignatureOutOfTime),
    "301 s ahead": (f"t={T + 301},v1={digest(NEW, at_s=T + 301)}", SignatureOutOfTime),
    "an empty header": ("", SignatureMalformed),
    "no header": ([], SignatureMalformed),
    "two headers": ([f"t={T},v1={GOOD}", f"t={T},v1={GOOD}"], SignatureMalformed),
    "a huge header": (f"t={T},v1={GOOD}," + "v1=0," * 2000, SignatureMalformed),
    "too many signatures": (f"t={T}," + ",".join(f"v1={GOOD}" for _ in range(17)), SignatureMalformed),
    "not ASCII": (f"t={T},v1=ü{GOOD}", SignatureRefused),
    "signed with nothing": (f"t={T},v1={digest('')}", SignatureRefused),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_signature_is_accepted(name: str) -> None:
    check(ACCEPTED[name])


@pytest.mark.parametrize("name", REFUSED)
def test_signature_is_refused(name: str) -> None:
    header, error = REFUSED[name]
    with pytest.raises(SignatureRefused) as caught:
        check(header)
    assert type(caught.value) is error


@pytest.mark.parametrize("position", range(0, len(BODY), 5))
def test_body_changed_by_one_bit_is_refused(position: int) -> None:
    changed = bytearray(BODY)
    changed[position] ^= 1
    with pytest.raises(SignatureRefused):
        check(f"t={T},v1={GOOD}", body=bytes(changed))


def test_empty_secret_lets_nobody_in() -> None:
    with pytest.raises(SignatureRefused):
        check(f"t={T},v1={digest('')}", secrets=("",))
    for secrets in ((), ("",), ("whsec_",), ("whsec_a", ""), ("secret",)):
        with pytest.raises(ValueError, match="whsec_"):
            WebhookConfig(secrets=secrets, is_live=False, api_version="x")


def test_s51_repeated_bad_signatures_raise_one_alarm() -> None:
    watch, alarms = SignatureWatch(), []
    for number in range(3 * BAD_SIGNATURES_MAX):
        before = watch._alarmed_at
        watch.note_refusal(NOW + timedelta(seconds=number))
        if watch._alarmed_at != before:
            alarms.append(number)
    assert alarms == [BAD_SIGNATURES_MAX - 1]
    later = NOW + ALARM_AGAIN_AFTER + timedelta(minutes=10)
    for number in range(BAD_SIGNATURES_MAX):
        watch.note_refusal(later + timedelta(seconds=number))
    assert watch._alarmed_at is not None
    assert watch._alarmed_at > later


def test_bad_signatures_far_apart_raise_no_alarm() -> None:
    watch = SignatureWatch()
    for number in range(3 * BAD_SIGNATURES_MAX):
        watch.note_refusal(NOW + timedelta(minutes=number))
    assert watch._alarmed_at is None
