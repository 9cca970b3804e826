"""The parts list: every service and controller is in it, once; the graph is whole."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

import helvetia
from helvetia.kernel.clock import SystemClock
from helvetia.settings import Settings
from helvetia.wiring.controllers import WebProvider
from helvetia.wiring.data import DataDirectory
from helvetia.wiring.house import build_container


def named_classes() -> Iterator[type]:
    """Every class of the product whose name ends in Service or Controller; data, errors and protocols left out."""
    for module in pkgutil.walk_packages(helvetia.__path__, "helvetia."):
        if module.name.endswith("__main__"):
            continue
        for _, found in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            is_data = is_dataclass(found) or issubclass(found, Exception) or getattr(found, "_is_protocol", False)
            is_own = found.__module__ == module.name and not is_data
            if is_own and found.__name__.endswith(("Service", "Controller")):
                yield found


SINGLETONS = sorted(set(named_classes()), key=lambda one: one.__name__)


def test_the_names_of_the_mission_exist() -> None:
    names = {one.__name__ for one in SINGLETONS}
    assert {"BillingService", "SubscriptionService", "UsageTrackingService", "BillingController"} <= names


@pytest.mark.parametrize("part", SINGLETONS, ids=lambda one: one.__name__)
async def test_service_and_controller_are_singletons(part: type, database_url: str, tmp_path: Path) -> None:
    settings = Settings.load(_env_file=None, database_url=SecretStr(database_url), container_host="process")
    container = build_container(settings, SystemClock(), DataDirectory(tmp_path), WebProvider())
    try:
        assert await container.get(part) is await container.get(part)
    finally:
        await container.close()
