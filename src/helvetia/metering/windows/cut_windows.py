"""The arrow time → windows: UTC hours, cut at each boundary of the account. Windows tile: no gap, no overlap. Pure."""

from collections.abc import Sequence

from helvetia.kernel.quantity import NS_PER_HOUR
from helvetia.metering.model import floor_hour_ns


def cut_windows(from_ns: int, until_ns: int, cuts_ns: Sequence[int]) -> tuple[int, ...]:
    """Edges of the windows from an edge to the end of the window that holds the instant just before `until_ns`.

    At least one window, beginning at `from_ns`; `cuts_ns` may hold cuts outside.
    """
    last_hour_ns = floor_hour_ns(max(until_ns, from_ns + 1) - 1)
    edges = {from_ns, last_hour_ns + NS_PER_HOUR}
    edges.update(range(floor_hour_ns(from_ns) + NS_PER_HOUR, last_hour_ns + NS_PER_HOUR, NS_PER_HOUR))
    edges.update(cut for cut in cuts_ns if from_ns < cut < last_hour_ns + NS_PER_HOUR)
    ordered = sorted(edges)
    while len(ordered) > 2 and ordered[-2] >= max(until_ns, from_ns + 1):  # noqa: PLR2004 - the edges of one window
        ordered.pop()
    return tuple(ordered)
