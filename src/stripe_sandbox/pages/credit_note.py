"""The file of a credit note, under an address that only its object tells."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from starlette.responses import Response

from stripe_sandbox.engine.credit_notes import KIND
from stripe_sandbox.pages import render
from stripe_sandbox.pages.visit import Visit
from stripe_sandbox.wire.errors import NotFound


def pdf(visit: Visit) -> Response:
    """Send the note as a file."""
    from stripe_sandbox.pages.invoice import seller
    from stripe_sandbox.pages.invoice_pdf import draw_note

    note = visit.ctx.find(KIND, visit.ids["note"])
    if note is None or not hmac.compare_digest(note["_token"].encode(), visit.ids["token"].encode()):
        raise NotFound("There is no such credit note.")
    headers = render.HEADERS | {"Content-Disposition": f'inline; filename="Credit-note-{note["number"]}.pdf"'}
    return Response(draw_note(note, seller(visit)), media_type="application/pdf", headers=headers)


PAGES: tuple[tuple[str, str, Callable[[Visit], Response]], ...] = (("GET", "/cn/{account}/{note}/{token}/pdf", pdf),)
