"""The arrow refusal → audit record: what an account was refused, once for each code and hour.

Written after the refused transaction was undone, in a statement of its own; a flood of refused requests adds no second
row, and asks the database once an hour and code. A record that cannot be written is logged and tried again by the next
refusal; it never changes the answer.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime

import psycopg
import structlog

from helvetia.audit.store import record_once
from helvetia.database.pool import Database, DatabaseUnavailable, Transaction
from helvetia.enforcement.model import ACTOR
from helvetia.kernel.errors import HelvetiaError
from helvetia.kernel.identity import AccountId

REFUSED, WOULD_REFUSE = "new_work_refused", "new_work_would_be_refused"
RECORD_MAX_S = 2.0
REMEMBERED_MAX = 10_000

_log = structlog.get_logger(__name__)


class RefusalRecord:
    """Remembers, within bounds, what it wrote in the hour; the key of the row decides among processes."""

    def __init__(self) -> None:
        self._hour = ""
        self._written: set[tuple[AccountId, str]] = set()

    async def note(self, database: Database, account_id: AccountId, refusal: HelvetiaError, at: datetime) -> None:
        """Write the first refusal of this account by this code in the hour of `at`; raises nothing of its own."""
        one = (account_id, refusal.code)
        if self._knows(one, hour_of(at)):
            return
        self._written.add(one)
        is_written = False
        try:
            async with asyncio.timeout(RECORD_MAX_S), database.single_statement() as tx:
                await record_once(
                    tx,
                    key=f"{refusal.code} {hour_of(at)}",
                    account_id=account_id,
                    actor=ACTOR,
                    action=REFUSED,
                    reason=str(refusal.figures.get("reason") or refusal.detail),
                    detail={"code": refusal.code, "status": refusal.status, **_plain(refusal.figures)},
                    at=at,
                )
            is_written = True
        except (psycopg.Error, DatabaseUnavailable, TimeoutError) as error:
            _log.warning("enforcement.refusal_not_recorded", code=refusal.code, error=type(error).__name__)
        finally:
            if not is_written:
                self._written.discard(one)

    def _knows(self, one: tuple[AccountId, str], hour: str) -> bool:
        if hour != self._hour or len(self._written) >= REMEMBERED_MAX:
            self._hour = hour
            self._written.clear()
        return one in self._written


async def note_observed(tx: Transaction, account_id: AccountId, code: str, *, reason: str, at: datetime) -> None:
    """What would be refused if the mode enforced, in the transaction that lets it pass; once an hour and code."""
    await record_once(
        tx,
        key=f"{code} {hour_of(at)}",
        account_id=account_id,
        actor=ACTOR,
        action=WOULD_REFUSE,
        reason=reason,
        detail={"code": code},
        at=at,
    )


def hour_of(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H")


def _plain(figures: Mapping[str, object]) -> dict[str, object]:
    """Figures as JSON has them: amounts and instants as text."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value if type(value) is int else _text(value)
        for name, value in figures.items()
        if name != "reason"
    }


def _text(value: object) -> str | None:
    return None if value is None else str(value)
