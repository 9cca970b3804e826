"""How often something happened lately, by key: fixed windows in the memory of one process.

The number of keys is bounded: the key untouched the longest goes first, which can only forgive.
"""

import math
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from helvetia.kernel.clock import Clock

KEYS_MAX = 20_000


@dataclass(slots=True)
class _Window:
    started_s: float
    count: int


class WindowCounter:
    """Counts in windows of `window_s` seconds, each beginning with its key's first count."""

    def __init__(self, clock: Clock, *, window_s: float) -> None:
        self._clock = clock
        self._window_s = window_s
        self._windows: OrderedDict[Hashable, _Window] = OrderedDict()

    def count(self, key: Hashable, limit: int) -> int | None:
        """Count one; the seconds until the window ends when that was more than the limit, else None."""
        window = self._current(key)
        window.count += 1
        if window.count <= limit:
            return None
        return max(1, math.ceil(window.started_s + self._window_s - self._clock.monotonic()))

    def forget(self, key: Hashable) -> None:
        """The key begins anew."""
        self._windows.pop(key, None)

    def _current(self, key: Hashable) -> _Window:
        now_s = self._clock.monotonic()
        window = self._windows.get(key)
        if window is None or now_s - window.started_s >= self._window_s:
            window = self._windows[key] = _Window(started_s=now_s, count=0)
        self._windows.move_to_end(key)
        while len(self._windows) > KEYS_MAX:
            self._windows.popitem(last=False)
        return window
