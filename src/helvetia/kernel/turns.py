"""Whose turn it is, tick after tick: a tick that is cut short goes on next time with those it did not reach."""

from collections.abc import Iterator, Sequence

from helvetia.kernel.identity import AccountId


class Turns:
    """Remembers, within one process, which account had its turn last; every account gets one sooner or later."""

    def __init__(self) -> None:
        self._last: AccountId | None = None

    def rotate(self, account_ids: Sequence[AccountId]) -> Iterator[AccountId]:
        """All of them once, beginning after the last one that was handed out."""
        last = self._last
        ordered = sorted(account_ids)
        later = ordered if last is None else [one for one in ordered if one > last]
        for account_id in (*later, *ordered[: len(ordered) - len(later)]):
            self._last = account_id
            yield account_id
