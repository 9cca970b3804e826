"""A stateful Stripe on the loopback interface, speaking API version 2026-10-28.endive.

Owns: the wire (forms, errors, idempotency, lists, expansion), the objects a billing product touches,
the engine that moves subscriptions and invoices through time, its own SQLite file, signed webhooks, fault switches,
and the pages that a browser sees (checkout, portal, invoice, inspector).
Does not own: anything of the product. It shares no code with ``helvetia``; the HTTP API is all they have in common.
"""

API_VERSION = "2026-10-28.endive"
