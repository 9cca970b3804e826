"""Stripe's credit note → ours."""

from helvetia.kernel.clock import from_unix_s
from helvetia.stripe_gateway.credit_notes import CreditNote
from helvetia.stripe_gateway.fields import Json, read_id, read_instant, read_own_id


def from_stripe_credit_note(raw: Json) -> CreditNote:
    """`refunds` names each refund with its part; one that a refund gave back for several notes counts by that part."""
    return CreditNote(
        credit_note_id=read_own_id(raw, "credit_note"),
        invoice_id=read_id(raw["invoice"]) or "",
        customer_id=read_id(raw.get("customer")),
        number=raw["number"],
        status=raw["status"],
        currency=raw["currency"],
        total_minor=raw["total"],
        before_payment_minor=raw["pre_payment_amount"],
        after_payment_minor=raw["post_payment_amount"],
        refunded_minor=sum(one["amount_refunded"] for one in raw.get("refunds") or []),
        outside_minor=raw.get("out_of_band_amount") or 0,
        reason=raw.get("reason"),
        memo=raw.get("memo"),
        issued_at=from_unix_s(raw["created"]),
        voided_at=read_instant(raw.get("voided_at")),
        pdf_url=raw.get("pdf"),
    )
