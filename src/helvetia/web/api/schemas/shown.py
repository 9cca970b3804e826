"""What is recorded of a service and never billed, on the wire."""

from decimal import Decimal

from helvetia.metering.history.model import ShownFigures
from helvetia.web.api.schemas.wire import WireAnswer, WireDecimal, WireInstant

_NS_PLACES = -9


class ShownAnswer(WireAnswer):
    """Not billed. From the readings still kept: of the range from `knownFrom` on; null where no reading tells.

    `memoryPeakBytes` is the most that one container held at once since its start, page cache included; `internalBytes`
    was sent between containers of one host, null where the host cannot tell.
    """

    known_from: WireInstant
    cpu_seconds: WireDecimal | None
    memory_peak_bytes: int | None
    received_bytes: int | None
    internal_bytes: int | None


def to_wire_shown(shown: ShownFigures) -> ShownAnswer:
    return ShownAnswer(
        known_from=shown.known_from,
        cpu_seconds=None if shown.cpu_ns is None else Decimal(shown.cpu_ns).scaleb(_NS_PLACES),
        memory_peak_bytes=shown.memory_peak_bytes,
        received_bytes=shown.received_bytes,
        internal_bytes=shown.internal_bytes,
    )
