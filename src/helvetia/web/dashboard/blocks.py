"""A page is whole when a part of it cannot be read: the part says so, everything else stands.

Only what the page is about may fail it: its subscription and its figures. Everything around them is a block.
"""

from collections.abc import Awaitable
from typing import TypeVar

import structlog

T = TypeVar("T")

_log = structlog.get_logger()


async def read_block(name: str, reading: Awaitable[T]) -> T | None:
    """What was read; None when it could not be, whatever the reason: that is in the log."""
    try:
        return await reading
    except Exception:  # noqa: BLE001 - whatever fails in a part, the page stands and the log has the cause
        _log.exception("web.block_not_read", block=name)
        return None
