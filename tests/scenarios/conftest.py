"""Scenarios run against the sandbox over HTTP and, where they say so, a real Docker Engine."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from support.command_shell import Shell
from support.sandbox_process import running_sandbox
from support.whole_house import sandbox_variables


@pytest.fixture(scope="session")
def sandbox_url() -> Iterator[str]:
    with running_sandbox() as url:
        yield url


@pytest.fixture
async def shell(sandbox_url: str, database_url: str, tmp_path: Path) -> Shell:
    variables = await sandbox_variables(sandbox_url, f"sk_test_{uuid4().hex}")
    house = {"DATABASE_URL": database_url, "CONTAINER_HOST": "process", "DATA_DIRECTORY": str(tmp_path / "data")}
    return Shell(tmp_path, {**variables, **house})
