"""How the pages speak to a user, and who belongs to an account: what the settings page reads and writes.

A language or zone that is not known is refused before anything is written; a write is audited in its own transaction.
"""

from functools import cache
from zoneinfo import available_timezones

from helvetia.accounts import store
from helvetia.accounts.errors import AccountNotFound, UnknownPageLanguage, UnknownTimeZone
from helvetia.accounts.model import Member
from helvetia.audit.store import record
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.identity import AccountId

PAGE_LANGUAGES = ("en", "de")
_MEMBERS_SHOWN_MAX = 200
_NO_PLACES = ("Etc/", "SystemV/", "US/")


@cache
def time_zones() -> tuple[str, ...]:
    """UTC, then every place of the IANA's list; its old names for the same places are left out."""
    places = (name for name in available_timezones() if "/" in name and not name.startswith(_NO_PLACES))
    return ("UTC", *sorted(places))


class ReaderSettingsService:
    """Language and time zone of a user."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def set_reader(self, user_id: AccountId, *, language: str | None, time_zone: str | None, actor: str) -> None:
        """From now on the pages speak so to this user; None: as their browser asks, in UTC.

        Raises:
            UnknownPageLanguage, UnknownTimeZone, AccountNotFound
        """
        if language is not None and language not in PAGE_LANGUAGES:
            raise UnknownPageLanguage(languages=PAGE_LANGUAGES)
        if time_zone is not None and time_zone not in time_zones():
            raise UnknownTimeZone
        async with self._database.transaction() as tx:
            if not await store.save_reader_settings(tx, user_id, language, time_zone):
                raise AccountNotFound
            detail = {"language": language, "time_zone": time_zone}
            at = self._clock.wall()
            await record(tx, account_id=user_id, actor=actor, action="reader_settings_set", detail=detail, at=at)

    async def members(self, account_id: AccountId) -> tuple[Member, ...]:
        """At most 200, by address."""
        async with self._database.transaction() as tx:
            return await store.members_of(tx, account_id, _MEMBERS_SHOWN_MAX)
