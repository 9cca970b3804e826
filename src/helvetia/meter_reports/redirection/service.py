"""The use cases of redirecting: take a report back from a customer whose usage it was not; go on with what waits."""

import structlog

from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.errors import HelvetiaError
from helvetia.meter_reports.redirection import store
from helvetia.meter_reports.redirection.model import Redirection, RedirectionState
from helvetia.meter_reports.redirection.redirect_report import redirect_report
from helvetia.meter_reports.redirection.take_back import RedirectParts, take_back
from helvetia.stripe_gateway.actions import StripeActions
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder

RESUMED_PER_TURN = 50

_log = structlog.get_logger()


class RedirectionService:
    """Reports that went to another customer's meter."""

    def __init__(self, database: Database, clock: Clock, gateway: StripeActions, prices: PriceBookHolder) -> None:
        self._prices = prices
        self._parts = RedirectParts(database=database, clock=clock, gateway=gateway)

    async def redirect(self, identifier: str, *, reason: str, actor: str) -> Redirection:
        """Take it back; the outbox sends the amount to the right customer by itself. Repeating it is fine.

        Raises:
            ReasonMissing, ReportNotFound, ReportNotMisdirected, ReportNotAtStripe, ReportBusy, RedirectionTooLate,
            WrongInvoiceFinal, PricesNotVerified; StripeUnavailable: it is on record, and goes on by itself.
        """
        return await redirect_report(self._parts, self._prices.require(), identifier, reason=reason, actor=actor)

    async def resume(self) -> int:
        """The tick: go on with every one that has no answer yet; says how many are done."""
        async with self._parts.database.transaction() as tx:
            waiting = await store.open_redirections(tx, RESUMED_PER_TURN)
        done_count = 0
        for one in waiting:
            try:
                done = await take_back(self._parts, self._prices.require(), one)
                done_count += done.state is RedirectionState.DONE
            except HelvetiaError as error:
                _log.warning("meter_reports.redirection_waits", identifier=one.identifier, code=error.code)
        return done_count
