from datetime import UTC, datetime, timedelta

import pytest

from helvetia.accounts.errors import InvalidEmail, InvalidName, TooManyAttempts, WeakPassword
from helvetia.accounts.limit_attempts import WINDOW_S, AttemptLimiter
from helvetia.accounts.model import (
    ROLE_PERMISSIONS,
    Permission,
    Role,
    Session,
    SessionLimits,
    User,
    checked_email,
    checked_name,
    checked_password,
)
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import new_account_id
from helvetia.kernel.window_counter import KEYS_MAX

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
GRANTED = {
    Role.OWNER: set(Permission),
    Role.BILLING_ADMIN: {Permission.READ_SERVICES, Permission.READ_BILLING, Permission.MOVE_MONEY},
    Role.BILLING_VIEWER: {Permission.READ_BILLING},
    Role.DEVELOPER: {Permission.READ_SERVICES, Permission.RUN_SERVICES},
    Role.MEMBER: {Permission.READ_SERVICES},
}


class TickingClock(ManualClock):
    """A monotonic clock that a test moves."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.mark.parametrize("role", Role)
def test_each_role_grants_exactly_its_permissions(role: Role) -> None:
    assert ROLE_PERMISSIONS[role] == GRANTED[role]


@pytest.mark.parametrize(
    "email",
    [
        "",
        "a",
        "a@",
        "@b.ch",
        "a b@c.ch",
        "a@b c",
        "a@-b.ch",
        "a@b.ch\n\nx",
        "a\x00@b.ch",
        "<a@b.ch>",
        "x" * 250 + "@b.ch",
    ],
)
def test_no_address_is_refused(email: str) -> None:
    with pytest.raises(InvalidEmail):
        checked_email(email)


def test_address_keeps_its_local_part_and_lowers_its_domain() -> None:
    assert checked_email("  Ada.L+x@Example.CH ") == "Ada.L+x@example.ch"


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\nb", "a\x00b", "a\u202eb"])
def test_invisible_or_absurd_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidName):
        checked_name(name)


@pytest.mark.parametrize("password", ["", "x" * 11, "x" * 257])
def test_short_or_absurd_password_is_refused(password: str) -> None:
    with pytest.raises(WeakPassword):
        checked_password(password)


@pytest.mark.parametrize(
    ("idle", "age", "ended"),
    [
        (timedelta(), timedelta(hours=1), False),
        (timedelta(hours=2), timedelta(hours=2), True),
        (timedelta(minutes=1), timedelta(hours=12), True),
    ],
)
def test_session_ends_by_idleness_or_age(idle: timedelta, age: timedelta, ended: bool) -> None:
    user = User(account_id=new_account_id(), email="a@b.ch")
    session = Session(user=user, last_seen_at=NOON - idle, expires_at=NOON - age + timedelta(hours=12))
    assert session.has_ended(NOON, SessionLimits()) is ended


def test_too_many_attempts_of_a_pair_wait_for_the_window() -> None:
    clock = TickingClock(NOON)
    limiter = AttemptLimiter(clock, per_pair=3)
    for _ in range(3):
        limiter.count(email="A@b.ch", address="1")
    with pytest.raises(TooManyAttempts) as caught:
        limiter.count(email="a@b.ch", address="1")
    assert caught.value.figures == {"retry_after_s": WINDOW_S}
    limiter.count(email="a@b.ch", address="2")
    clock.seconds = WINDOW_S
    limiter.count(email="a@b.ch", address="1")


def test_one_address_trying_many_mails_is_limited() -> None:
    limiter = AttemptLimiter(TickingClock(NOON), per_address=5)
    for number in range(5):
        limiter.count(email=f"{number}@b.ch", address="1")
    with pytest.raises(TooManyAttempts):
        limiter.count(email="6@b.ch", address="1")


def test_success_forgives_the_pair() -> None:
    limiter = AttemptLimiter(TickingClock(NOON), per_pair=1)
    limiter.count(email="a@b.ch", address="1")
    limiter.forgive(email="A@b.ch", address="1")
    limiter.count(email="a@b.ch", address="1")


def test_many_keys_stay_within_the_bound() -> None:
    limiter = AttemptLimiter(TickingClock(NOON), per_address=10**9)
    for number in range(KEYS_MAX):
        limiter.count(email=f"{number}@b.ch", address="1")
    assert len(limiter._attempts._windows) == KEYS_MAX
