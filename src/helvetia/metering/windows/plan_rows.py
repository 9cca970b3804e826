"""The arrow piece → row: what must be written so that the ledger tells the pieces as they are now known. Pure.

An open row is rewritten. A closed row never is: what changed becomes one difference row, closed at once, with the next
revision and the new end, so that a piece is the sum of its revisions and ends where the last one ends. A piece that a
late cut carved out of time that was closed is closed at once too, or the account's total would dip meanwhile.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from helvetia.metering.model import Life, Piece, PieceKey, PlannedRow, WrittenPiece


def plan_rows(
    life: Life, pieces: Iterable[Piece], written: Mapping[PieceKey, WrittenPiece], edges: Sequence[int]
) -> list[PlannedRow]:
    """Rows that turn what is written into what is known; no difference when both agree.

    The open value of a piece grows with what is seen; only a fact learnt late (a boundary, a reading that moves bytes
    to its own window) makes it smaller, by what another piece gains. A piece whose readings were dropped stands as it
    is. No stale count can come here: both what is
    written and what is known are read under the account's row lock.
    """
    known = {(piece.metric, piece.starts_ns): piece for piece in pieces}
    ends = dict(pairwise(edges))
    emptied = [
        _empty(old, ends[old.starts_ns])
        for key, old in written.items()
        if key not in known and life.can_recount(old.metric, old.starts_ns)
    ]
    rows = (_plan(life, piece, written) for piece in (*known.values(), *emptied))
    return [row for row in rows if row is not None]


def _plan(life: Life, piece: Piece, written: Mapping[PieceKey, WrittenPiece]) -> PlannedRow | None:
    old = written.get((piece.metric, piece.starts_ns))
    if old is None:
        return PlannedRow(life=life, piece=piece, revision=0, is_closed=_was_closed(piece, written.values()))
    if old.is_open:
        return PlannedRow(life=life, piece=piece, revision=old.revision, is_closed=False)
    if old.quantity == piece.quantity and old.ends_ns == piece.ends_ns:
        return None
    difference = replace(piece, quantity=piece.quantity - old.quantity)
    return PlannedRow(life=life, piece=difference, revision=old.revision + 1, is_closed=True)


def _was_closed(piece: Piece, written: Iterable[WrittenPiece]) -> bool:
    """Whether a closed piece of the same life and metric once covered this one."""
    return any(
        not old.is_open
        and old.metric is piece.metric
        and old.starts_ns < piece.starts_ns
        and old.furthest_ns >= piece.ends_ns
        for old in written
    )


def _empty(old: WrittenPiece, ends_ns: int) -> Piece:
    return Piece(
        metric=old.metric,
        starts_ns=old.starts_ns,
        ends_ns=ends_ns,
        quantity=0,
        reading_count=0,
        first_reading_ns=None,
        last_reading_ns=None,
        bound="nothing ran here after all",
    )
