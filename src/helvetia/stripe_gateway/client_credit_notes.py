"""The part of the client that reads credit notes; StripeClientGateway inherits it."""

from collections.abc import Sequence

import stripe

from helvetia.stripe_gateway.convert_credit_note import from_stripe_credit_note
from helvetia.stripe_gateway.credit_notes import CreditNote
from helvetia.stripe_gateway.transport import all_pages, call, refuse_transaction


class CreditNoteReader:
    """Wants `_client` of its heir."""

    _client: stripe.StripeClient

    async def list_credit_notes(self, customer_id: str) -> Sequence[CreditNote]:
        refuse_transaction()
        found = await all_pages(self._client.v1.credit_notes.list_async, {"customer": customer_id})
        return tuple(from_stripe_credit_note(raw) for raw in found)

    async def retrieve_credit_note(self, credit_note_id: str) -> CreditNote:
        refuse_transaction()
        return from_stripe_credit_note(await call(self._client.v1.credit_notes.retrieve_async(credit_note_id)))
