"""What a worker weighs while it meters: bounded, and the same after the second half of its time as after the first."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from helvetia.database.pool import Database
from support import trials
from support.metered_house import MeteredHouse

TICKS = trials.choose(small=40, full=720)
CONTAINERS = trials.choose(small=30, full=500)
RESIDENT_MAX_BYTES = 150 * 2**20
GROWTH_MAX_BYTES = 8 * 2**20
TESTS = Path(__file__).resolve().parents[1]


@pytest.mark.slow
async def test_a_worker_weighs_the_same_after_many_ticks(database: Database, database_url: str) -> None:
    house = MeteredHouse(database, datetime(2026, 3, 10, 9, tzinfo=UTC))
    await house.move_in()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "support.tree_process",
        *(database_url, str(house.account_id), str(house.service_id), str(CONTAINERS), str(TICKS)),
        cwd=TESTS,
        env={"PYTHONPATH": f"{TESTS.parent / 'src'}:{TESTS}"},
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(1_800):
        told, _ = await process.communicate()
    assert process.returncode == 0
    warm_bytes, end_bytes = map(int, told.split())
    assert end_bytes < RESIDENT_MAX_BYTES
    assert end_bytes - warm_bytes < GROWTH_MAX_BYTES
    assert await house.fetch("SELECT count(*) FROM container_readings") == [(CONTAINERS * TICKS,)]
    await house.check()
    design = "ticks of 10 s over 500 containers: the worker below 150 MB, and as heavy after two hours as after one"
    trials.record(design, count=TICKS)
