"""Why an invoice's line and our own count differ, by what is known of the usage's way to Stripe."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helvetia.billing.model import InvoiceLineRecord
from helvetia.costs.estimate.check_invoice import CheckedLine, Counted, InvoiceCheck, Verdict, check_line
from helvetia.kernel.money import round_metered_line
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import SOLD_UNITS, UsageMetric, to_sold_quantity

METRIC = UsageMetric.BANDWIDTH_GB
GB = SOLD_UNITS[METRIC].base_per_unit
START = datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC)
PERIOD = Period(starts_at=START, ends_at=START + timedelta(days=31))
PRICE = Decimal(12)


def line_of(quantity: Decimal, amount_minor: int | None = None) -> InvoiceLineRecord:
    return InvoiceLineRecord(
        line_number=1,
        stripe_line_id="il_1",
        stripe_price_id="price_1",
        description=None,
        quantity=quantity,
        unit_price_minor=PRICE,
        amount_minor=round_metered_line(quantity, PRICE) if amount_minor is None else amount_minor,
        is_proration=False,
        period_start=PERIOD.starts_at,
        period_end=PERIOD.ends_at,
    )


def checked(quantity: int, used: int, *, is_final: bool, **known: Decimal | frozenset[Decimal]) -> CheckedLine:
    facts = {name: {METRIC: value} for name, value in known.items()}
    counted = Counted(base_quantities={METRIC: used * GB}, **facts)  # type: ignore[arg-type]
    return check_line(line_of(Decimal(quantity)), METRIC, PERIOD, counted, is_final=is_final)


@pytest.mark.parametrize(
    ("quantity", "used", "known", "verdict"),
    [
        (3, 3, {}, Verdict.EQUAL),
        (3, 4, {"at_stripe": Decimal(3)}, Verdict.NOT_AT_STRIPE_YET),
        (3, 2, {"at_stripe": Decimal(3)}, Verdict.NOT_AT_STRIPE_YET),
        (3, 4, {"at_stripe": Decimal(4)}, Verdict.NOT_COUNTED_YET),
        (3, 4, {"at_stripe": Decimal(3), "refused": frozenset({Decimal(1)})}, Verdict.REFUSED),
        (3, 2, {"at_stripe": Decimal(2)}, Verdict.NOT_COUNTED_YET),
        (3, 2, {"at_stripe": Decimal(1)}, Verdict.UNEXPLAINED),
    ],
)
def test_difference_of_a_draft_has_its_reason(
    quantity: int, used: int, known: dict[str, Decimal], verdict: Verdict
) -> None:
    assert checked(quantity, used, is_final=False, **known).verdict is verdict


@pytest.mark.parametrize(
    ("quantity", "used", "known", "verdict"),
    [
        (3, 3, {}, Verdict.EQUAL),
        (3, 4, {"at_stripe": Decimal(3)}, Verdict.KNOWN_AFTER_INVOICE),
        (3, 4, {"at_stripe": Decimal(4)}, Verdict.KNOWN_AFTER_INVOICE),
        (3, 2, {"at_stripe": Decimal(3)}, Verdict.KNOWN_AFTER_INVOICE),
        (3, 4, {"at_stripe": Decimal(3), "billed": Decimal(1)}, Verdict.BILLED_SEPARATELY),
        (3, 4, {"at_stripe": Decimal(3), "waived": Decimal(1)}, Verdict.WAIVED),
        (3, 5, {"billed": Decimal(1), "waived": Decimal(1)}, Verdict.BILLED_SEPARATELY),
        (3, 5, {"at_stripe": Decimal(3), "billed": Decimal(1)}, Verdict.KNOWN_AFTER_INVOICE),
        (3, 4, {"at_stripe": Decimal(3), "refused": frozenset({Decimal(1)})}, Verdict.REFUSED),
        (3, 4, {"at_stripe": Decimal(2)}, Verdict.UNEXPLAINED),
    ],
)
def test_difference_of_a_final_invoice_has_its_reason(
    quantity: int, used: int, known: dict[str, Decimal], verdict: Verdict
) -> None:
    assert checked(quantity, used, is_final=True, **known).verdict is verdict


def test_equal_quantity_at_another_amount_is_not_explained() -> None:
    counted = Counted(base_quantities={METRIC: 3 * GB})
    found = check_line(line_of(Decimal(3), amount_minor=37), METRIC, PERIOD, counted, is_final=True)
    assert (found.verdict, found.difference_minor) == (Verdict.UNEXPLAINED, -1)


@given(st.lists(st.tuples(st.integers(0, 10**15), st.integers(0, 10**15)), max_size=4))
def test_difference_in_all_is_that_of_the_lines(pairs: list[tuple[int, int]]) -> None:
    lines = [
        check_line(
            line_of(to_sold_quantity(METRIC, billed)),
            METRIC,
            PERIOD,
            Counted(base_quantities={METRIC: used}),
            is_final=True,
        )
        for billed, used in pairs
    ]
    found = InvoiceCheck(lines=lines)
    own = sum(round_metered_line(to_sold_quantity(METRIC, used), PRICE) for _, used in pairs)
    assert found.difference_minor == own - sum(one.amount_minor for one in lines)
    assert found.is_equal == all(one.quantity == one.own_quantity for one in lines)
