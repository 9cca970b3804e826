"""SIGKILL of the collector at random while real containers come and go: no second lost, none doubled."""

import asyncio
import random
import sys
from pathlib import Path

import pytest

from conftest import missing
from helvetia.database.pool import Database
from helvetia.kernel.quantity import UsageMetric
from support import trials
from support.docker_engine import HINT, own_installation, why_no_engine
from support.metered_engine import MeteredEngine

pytestmark = [pytest.mark.docker, pytest.mark.slow]

KILLS = trials.choose(small=2, full=60)
SEED = 60_2026
ROOT = Path(__file__).resolve().parents[2]


async def _collector(url: str, installation_id: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "support.collector_process",
        url,
        installation_id,
        cwd=ROOT / "tests",
        env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}"},
        stdout=asyncio.subprocess.PIPE,
    )


async def test_killed_at_random_the_collector_loses_and_doubles_no_second(
    database: Database, database_url: str
) -> None:
    reason = await why_no_engine()
    if reason is not None:
        missing("Docker", f"{reason} ({HINT})")
    dice = random.Random(SEED)
    async with own_installation() as engine:
        metered = await MeteredEngine.open(engine, database)
        await metered.run("sleep 600", replica=0)
        for kill in range(KILLS):
            collector = await _collector(database_url, engine.installation_id)
            try:
                assert collector.stdout is not None
                assert await asyncio.wait_for(collector.stdout.readline(), 120) == b"ready\n"
                for number in range(3):
                    await metered.run(f"sleep {dice.uniform(0.1, 1.5):.2f}", replica=1 + 3 * kill + number)
                await asyncio.sleep(dice.uniform(0, 1.5))
            finally:
                collector.kill()
                await collector.wait()
        for record in await metered.host.list_containers():
            await metered.host.stop(record.container_id, grace_s=0)
        await metered.tick()
        assert (await metered.totals())[UsageMetric.COMPUTE_HOURS] == await metered.truth_ns()
        await metered.check()
    trials.record("SIGKILL of the collector among real containers: no second lost or doubled", count=KILLS, seed=SEED)
