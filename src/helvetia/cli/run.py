"""How a command runs: settings, a database, the parts list, and a plain sentence when something expected is wrong."""

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any

import uvloop
from dishka import AsyncContainer, Provider

from helvetia.observability.logging import set_up_logging
from helvetia.settings import Settings
from helvetia.wiring.house import open_house, running_database

Work = Callable[[AsyncContainer], Awaitable[int]]


def run_in_house(work: Work, *more: Provider) -> int:
    """Run one piece of work with everything open; `main` says an expected error in a sentence."""
    settings = Settings.load()
    set_up_logging(level=settings.log_level, log_format=settings.log_format)
    with running_database(settings) as ready:
        return uvloop.run(_open_and_work(ready, work, more))


async def _open_and_work(settings: Settings, work: Work, more: Sequence[Provider]) -> int:
    async with open_house(settings, None, None, *more) as house:
        return await work(house)


def stop_on_signal() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def print_json(value: object) -> None:
    """Machine-readable output: dataclasses as objects, decimals as strings, instants in ISO 8601."""
    print(json.dumps(value, default=_to_json, indent=2))


def _to_json(value: Any) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {key: getattr(value, key) for key in asdict(value)}
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)
