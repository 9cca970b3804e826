"""Time on a price → money, to the second.

Stripe: fraction = rest of the period / whole period as an exact rational; each line floors toward −∞ on its own.
Flexible billing credits what was debited: an item keeps its debits as spans of time, and a credit gives back the
part of each span that lies after the change.
"""

from __future__ import annotations

from dataclasses import dataclass

from stripe_sandbox.documents import Doc

DEBITS = "_debits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """What a change gives back of one earlier debit: an amount below or at 0, and the line or item debited."""

    amount: int
    source: str


def share(amount: int, part_s: int, whole_s: int) -> int:
    """Return the part of an amount, floored toward −∞."""
    return amount * part_s // whole_s


def debit(amount: int, period: tuple[int, int], source: str) -> Doc:
    """Return the note of an amount debited for a span of time; ``until`` is where credits have cut it."""
    return {"amount": amount, "start": period[0], "end": period[1], "until": period[1], "source": source}


def credits_from(debits: list[Doc], at_s: int) -> list[Credit]:
    """Return the credits for everything debited after an instant."""
    found = []
    for note in debits:
        unused_s = note["until"] - max(note["start"], at_s)
        if unused_s > 0 and note["amount"]:
            amount = share(-note["amount"], unused_s, note["end"] - note["start"])
            found.append(Credit(amount=amount, source=note["source"]))
    return found


def cut(debits: list[Doc], at_s: int) -> list[Doc]:
    """Return the debits with everything after an instant given back."""
    kept = [note | {"until": min(note["until"], max(note["start"], at_s))} for note in debits]
    return [note for note in kept if note["until"] > note["start"]]
