"""An invoice as a PDF file: parties, dates, lines and totals on A4, marked as the sandbox's.

The built-in fonts of PDF know Western letters only; others are written as their nearest relatives.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

from fpdf import FPDF
from fpdf.enums import XPos, YPos

from stripe_sandbox.documents import Doc
from stripe_sandbox.pages import words

_FONT = "Helvetica"
_CODEC = "cp1252"
_INK, _SOFT, _LINE, _WASH, _ACCENT = (38, 35, 30), (95, 88, 77), (220, 211, 195), (245, 241, 233), (29, 94, 89)
_MARGIN, _WIDTH = 20.0, 170.0
_COLUMNS = (92.0, 22.0, 28.0, 28.0)
_BOTTOM = 32.0
# Letters with a stroke do not come apart into a letter and a mark.
_NEAREST = {"\N{MINUS SIGN}": "-", "Ł": "L", "ł": "l", "Đ": "D", "đ": "d", "ı": "i"}


class _Sheet(FPDF):
    """A4 with the sandbox's band on top and the invoice's number at the foot of each page."""

    def __init__(self, number: str) -> None:
        super().__init__(format="A4", unit="mm")
        self.core_fonts_encoding = _CODEC
        self.c_margin = 0
        self.number = number
        self.set_margins(_MARGIN, 30, _MARGIN)
        self.set_auto_page_break(auto=True, margin=_BOTTOM)
        self.alias_nb_pages()

    def header(self) -> None:
        self.set_fill_color(*_WASH)
        self.rect(0, 0, self.w, 14, style="F")
        self.set_draw_color(*_ACCENT)
        self.set_line_width(0.7)
        for y in (5.6, 8.6):
            self.bezier([(_MARGIN, y + 1), (_MARGIN + 2, y - 1.6), (_MARGIN + 4, y + 3), (_MARGIN + 6, y)])
        self.set_xy(_MARGIN + 9, 4)
        self.text_line("Sandbox", 9.5, style="B", width=18, height=6)
        self.set_xy(_MARGIN + 26, 4)
        self.text_line("A document of the test environment. Nothing is owed.", 9, _SOFT, height=6)
        self.set_y(30)

    def footer(self) -> None:
        self.set_y(-20)
        self.rule()
        self.set_y(-17)
        self.text_line(f"{self.number}  ·  Sandbox", 8, _SOFT, width=_WIDTH / 2)
        place = f"Page {self.page_no()} of "
        self.set_xy(_MARGIN + _WIDTH - self.get_string_width(f"{place}{self.page_no()}"), -17)
        self.text_line(f"{place}{{nb}}", 8, _SOFT)

    def text_line(
        self,
        text: str,
        size: float,
        colour: tuple[int, int, int] = _INK,
        *,
        style: str = "",
        width: float = 0,
        height: float = 5,
        align: str = "L",
    ) -> None:
        """Write one line at the cursor and go below it."""
        self.set_font(_FONT, style, size)
        self.set_text_color(*colour)
        self.cell(width, height, plain(text), align=align, new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def rule(self) -> None:
        """Draw a hair line over the width of the text."""
        self.set_draw_color(*_LINE)
        self.set_line_width(0.25)
        self.line(_MARGIN, self.get_y(), _MARGIN + _WIDTH, self.get_y())


def plain(text: str) -> str:
    """Return the text with letters that the built-in fonts have."""
    return "".join(_letter(letter) for letter in text)


def _letter(letter: str) -> str:
    letter = _NEAREST.get(letter, letter)
    for candidate in (letter, unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()):
        try:
            candidate.encode(_CODEC)
        except UnicodeEncodeError:
            continue
        if candidate:
            return candidate
    return "?"


def draw(invoice: Doc, seller: str) -> bytes:
    """Return the file of a finalized invoice (its document, with all lines)."""
    sheet = _Sheet(str(invoice["number"]))
    at = datetime.fromtimestamp(invoice["effective_at"], UTC)
    sheet.set_creation_date(at)
    sheet.set_title(plain(f"Invoice {invoice['number']}"))
    sheet.set_author(plain(seller))
    sheet.add_page()
    _head(sheet, invoice)
    _parties(sheet, invoice, seller)
    _lines(sheet, invoice)
    _totals(sheet, invoice)
    return bytes(sheet.output())


def _head(sheet: _Sheet, invoice: Doc) -> None:
    sheet.text_line("Invoice", 24, style="B", height=11)
    sheet.ln(3)
    facts = [
        ("Invoice number", str(invoice["number"])),
        ("Date of issue", words.day(invoice["effective_at"])),
        ("Date due", words.day(invoice["due_date"] or invoice["effective_at"])),
        ("Status", words.sentence(invoice["status"])),
    ]
    if invoice["period_end"] > invoice["period_start"]:
        facts.insert(3, ("Period", f"{words.day(invoice['period_start'])} – {words.day(invoice['period_end'])}"))
    for label, value in facts:
        y = sheet.get_y()
        sheet.text_line(label, 9.5, _SOFT, width=34)
        sheet.set_xy(_MARGIN + 34, y)
        sheet.text_line(value, 9.5)
    sheet.ln(8)


def _parties(sheet: _Sheet, invoice: Doc, seller: str) -> None:
    top = sheet.get_y()
    _party(sheet, _MARGIN, top, "From", [seller, invoice["account_country"] or ""])
    below = sheet.get_y()
    address = invoice["customer_address"] or {}
    town = " ".join(part for part in (address.get("postal_code"), address.get("city")) if part)
    whom = [
        invoice["customer_name"],
        address.get("line1"),
        address.get("line2"),
        town,
        address.get("state"),
        address.get("country"),
        invoice["customer_email"],
        *(number["value"] for number in invoice["customer_tax_ids"]),
    ]
    _party(sheet, _MARGIN + 85, top, "Bill to", [line for line in whom if line] or [invoice["customer"]])
    sheet.set_y(max(below, sheet.get_y()) + 9)
    sheet.text_line(_sentence(invoice), 15, style="B", height=8)
    if invoice["description"]:
        sheet.set_font(_FONT, "", 9.5)
        sheet.multi_cell(_WIDTH, 5, plain(invoice["description"]), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    sheet.ln(6)


def _party(sheet: _Sheet, left: float, top: float, label: str, lines: Iterable[str]) -> None:
    sheet.set_xy(left, top)
    sheet.text_line(label, 9.5, style="B")
    for line in lines:
        sheet.set_x(left)
        sheet.set_font(_FONT, "", 9.5)
        sheet.set_text_color(*_INK)
        sheet.multi_cell(80, 5, plain(line), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _sentence(invoice: Doc) -> str:
    currency, marks = invoice["currency"], invoice["status_transitions"]
    if invoice["status"] == "paid":
        return f"{words.money(invoice['amount_paid'], currency)} paid on {words.day(marks['paid_at'])}"
    if invoice["status"] == "void":
        return f"Voided on {words.day(marks['voided_at'])}. Nothing is due."
    due = words.day(invoice["due_date"] or invoice["effective_at"])
    return f"{words.money(invoice['amount_remaining'], currency)} due on {due}"


def _row(sheet: _Sheet, cells: tuple[str, ...], size: float, colour: tuple[int, int, int], style: str = "") -> None:
    """Write a table row; the first cell may wrap, the others are figures."""
    sheet.set_font(_FONT, style, size)
    sheet.set_text_color(*colour)
    top, left = sheet.get_y(), _MARGIN + _COLUMNS[0]
    for width, cell in zip(_COLUMNS[1:], cells[1:], strict=True):
        sheet.set_xy(left, top)
        sheet.cell(width, 5, plain(cell), align="R")
        left += width
    sheet.set_xy(_MARGIN, top)
    sheet.multi_cell(_COLUMNS[0] - 4, 5, plain(cells[0]), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _lines(sheet: _Sheet, invoice: Doc) -> None:
    _table_head(sheet)
    for line in invoice["_lines"]:
        if sheet.will_page_break(16):
            sheet.add_page()
            _table_head(sheet)
        sheet.ln(2)
        _row(sheet, _cells(line), 9.5, _INK)
        period = f"{words.day(line['period']['start'])} – {words.day(line['period']['end'])}"
        sheet.text_line(period, 8, _SOFT, height=4)
        sheet.ln(2)
        sheet.rule()


def _table_head(sheet: _Sheet) -> None:
    _row(sheet, ("Description", "Quantity", "Unit price", "Amount"), 8.5, _SOFT)
    sheet.ln(1)
    sheet.rule()


def _cells(line: Doc) -> tuple[str, ...]:
    unit = (line.get("pricing") or {}).get("unit_amount_decimal")
    quantity = line.get("quantity_decimal") or str(line.get("quantity") or "")
    return (
        line["description"] or "",
        f"{Decimal(quantity):,f}" if quantity else "",
        words.unit_price(unit, line["currency"]) if unit else "",
        words.money(line["amount"], line["currency"]),
    )


def _totals(sheet: _Sheet, invoice: Doc) -> None:
    currency = invoice["currency"]
    rows = [("Subtotal", invoice["subtotal"])]
    rows += [("Discount", -taken["amount"]) for taken in invoice["total_discount_amounts"] if taken["amount"]]
    rows += [
        ("Tax" if tax["tax_behavior"] == "exclusive" else "Tax included", tax["amount"])
        for tax in invoice["total_taxes"] or []
    ]
    rows.append(("Total", invoice["total"]))
    carried = (invoice["ending_balance"] or 0) - (invoice["starting_balance"] or 0)
    if carried:
        rows.append(("Applied balance", -carried))
    if invoice["amount_paid"]:
        rows.append(("Amount paid", -invoice["amount_paid"]))
    rows.append(("Amount due", invoice["amount_remaining"]))
    sheet.ln(3)
    if sheet.will_page_break(7.0 * len(rows)):
        sheet.add_page()
    for label, amount in rows:
        strong = label in ("Total", "Amount due")
        y, style = sheet.get_y(), "B" if strong else ""
        sheet.set_x(_MARGIN + 92)
        sheet.text_line(label, 9.5, style=style, width=50, height=7)
        sheet.set_xy(_MARGIN + 142, y)
        sheet.text_line(words.money(amount, currency), 9.5, style=style, width=28, height=7, align="R")


def draw_note(note: Doc, seller: str) -> bytes:
    """Return the file of a credit note (its document, with all lines)."""
    currency = note["currency"]
    sheet = _Sheet(str(note["number"]))
    sheet.set_creation_date(datetime.fromtimestamp(note["effective_at"], UTC))
    sheet.set_title(plain(f"Credit note {note['number']}"))
    sheet.set_author(plain(seller))
    sheet.add_page()
    sheet.text_line("Credit note", 24, style="B", height=11)
    facts = f"{note['number']}  ·  {words.day(note['effective_at'])}  ·  {words.sentence(note['status'])}"
    sheet.text_line(facts, 9.5, _SOFT)
    sheet.text_line(seller, 9.5)
    sheet.ln(6)
    for line in note["_lines"]:
        _row(sheet, (line["description"] or "Credit", "", "", words.money(line["amount"], currency)), 9.5, _INK)
        sheet.ln(2)
    for label, name in (("Discount", "discount_amount"), ("Total credited", "total")):
        _row(sheet, (label, "", "", words.money(note[name], currency)), 9.5, _INK, "B")
    return bytes(sheet.output())
