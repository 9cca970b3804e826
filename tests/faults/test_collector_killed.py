"""SIGKILL of the collector at random while real containers come and go: no second lost, none doubled."""

import asyncio
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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
READY_S = 120
ROOT = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def _collector(url: str, installation_id: str, log: Path) -> AsyncIterator[None]:
    """A collector at work until the end of the block, then killed; it must have lived until then."""
    with log.open("ab") as complaints:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "support.collector_process",
            url,
            installation_id,
            cwd=ROOT / "tests",
            env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}"},
            stdout=asyncio.subprocess.PIPE,
            stderr=complaints,
        )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), READY_S) == b"ready\n", _tell(log)
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    assert process.returncode == -signal.SIGKILL, _tell(log)


def _tell(log: Path) -> str:
    return log.read_text()[-4_000:]


async def test_killed_at_random_the_collector_loses_and_doubles_no_second(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    reason = await why_no_engine()
    if reason is not None:
        missing("Docker", f"{reason} ({HINT})")
    dice = random.Random(SEED)
    async with own_installation() as engine:
        metered = await MeteredEngine.open(engine, database)
        await metered.run("sleep 600", replica=0)
        for kill in range(KILLS):
            async with _collector(database_url, engine.installation_id, tmp_path / "collector.log"):
                for number in range(3):
                    await metered.run(f"sleep {dice.uniform(0.1, 1.5):.2f}", replica=1 + 3 * kill + number)
                await asyncio.sleep(dice.uniform(0, 1.5))
        for record in await metered.host.list_containers():
            await metered.host.stop(record.container_id, grace_s=0)
        await metered.tick()
        assert (await metered.totals())[UsageMetric.COMPUTE_HOURS] == await metered.truth_ns()
        await metered.check()
    trials.record("SIGKILL of the collector among real containers: no second lost or doubled", count=KILLS, seed=SEED)
