"""Scenarios run against the sandbox over HTTP and, where they say so, a real Docker Engine."""

from collections.abc import Iterator

import pytest

from support.sandbox_process import running_sandbox


@pytest.fixture(scope="session")
def sandbox_url() -> Iterator[str]:
    with running_sandbox() as url:
        yield url
