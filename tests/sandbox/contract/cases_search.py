"""Searches."""

from __future__ import annotations

from sandbox.contract.case import case
from sandbox.contract.stage import Stage


def _after_a_sale(stage: Stage) -> tuple[dict[str, object]]:
    assert stage.paid_invoice
    return ({"query": "created>0", "limit": 2},)


_OF_A_SALE = ("charges", "customers", "invoices", "payment_intents", "subscriptions")
CASES = (
    *(case(f"GET /v1/{name}/search", f"v1.{name}.search", _after_a_sale) for name in _OF_A_SALE),
    case("GET /v1/prices/search", "v1.prices.search", lambda s: ({"query": f'product:"{s.product}"'},)),
    case("GET /v1/products/search", "v1.products.search", lambda s: (s.product and {"query": 'active:"true"'},)),
)
