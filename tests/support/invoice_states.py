"""An invoice as Stripe makes it of what the ledger holds, but for what it is told to lack."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from helvetia.catalogue.prices import METERED_PRICES
from helvetia.database.pool import Database
from helvetia.kernel.identity import AccountId
from helvetia.kernel.money import round_metered_line
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric, to_sold_quantity
from helvetia.metering.store_usage import totals
from support import page_states
from support.page_prices import price_id

NUMBER = "HC-2026-0024"
FEE_MINOR = 2900


async def invoice_of(
    database: Database,
    account_id: AccountId,
    period: Period,
    less: Mapping[UsageMetric, Decimal] | None = None,
    **more: Any,
) -> str:
    """The invoice that bills a period's usage and the fee of the next one."""
    async with database.transaction() as tx:
        used = (await totals(tx, account_id, period)).quantities
    lines: list[dict[str, Any]] = [{"stripe_price_id": "price_pro", "description": "Pro", "amount_minor": FEE_MINOR}]
    for metric in UsageMetric:
        quantity = to_sold_quantity(metric, used[metric]) - (less or {}).get(metric, Decimal(0))
        unit = METERED_PRICES[metric].unit_price_minor
        lines.append(
            {
                "stripe_price_id": price_id(metric),
                "description": metric.value,
                "quantity": quantity,
                "unit_price_minor": unit,
                "amount_minor": round_metered_line(quantity, unit),
            }
        )
    total_minor = sum(line["amount_minor"] for line in lines)
    values = {"total_minor": total_minor, **more}
    invoice_id = await page_states.with_invoice(database, account_id, NUMBER, period.ends_at, **values)
    for number, line in enumerate(lines, start=1):
        span = (period.starts_at, period.ends_at)
        await page_states.with_line(database, account_id, invoice_id, number, span, **line)
    return invoice_id
