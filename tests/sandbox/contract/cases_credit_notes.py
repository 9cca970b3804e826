"""Credit notes."""

from __future__ import annotations

from typing import Any

from sandbox.contract.case import case
from sandbox.contract.stage import Stage


def _part(stage: Stage) -> dict[str, Any]:
    return {"invoice": stage.new_open(), "amount": 500}


def _note(stage: Stage) -> str:
    return stage.v1.credit_notes.create(_part(stage)).id


def _given_back(stage: Stage) -> dict[str, Any]:
    invoice = stage.v1.invoices.pay(stage.new_open())
    lines = [{"type": "invoice_line_item", "invoice_line_item": invoice.lines.data[0].id, "amount": 900}]
    back = {"refund_amount": 300, "credit_amount": 500, "out_of_band_amount": 100}
    return {"invoice": invoice.id, "lines": lines, "reason": "duplicate", "memo": "m", "metadata": {"a": "1"}, **back}


CASES = (
    case("POST /v1/credit_notes", "v1.credit_notes.create", lambda s: (_part(s),), "open"),
    case("POST /v1/credit_notes", "v1.credit_notes.create", lambda s: (_given_back(s),), "paid"),
    case("GET /v1/credit_notes", "v1.credit_notes.list", lambda s: (_note(s) and {"limit": 3},)),
    case("GET /v1/credit_notes/preview", "v1.credit_notes.preview", lambda s: (_part(s),)),
    case("GET /v1/credit_notes/preview/lines", "v1.credit_notes.preview_lines.list", lambda s: (_part(s),)),
    case("GET /v1/credit_notes/*", "v1.credit_notes.retrieve", lambda s: (_note(s),)),
    case("POST /v1/credit_notes/*", "v1.credit_notes.update", lambda s: (_note(s), {"memo": "n"})),
    case("GET /v1/credit_notes/*/lines", "v1.credit_notes.line_items.list", lambda s: (_note(s),)),
    case("POST /v1/credit_notes/*/void", "v1.credit_notes.void_credit_note", lambda s: (_note(s),)),
)
