import asyncio
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from helvetia.agent.errors import AgentRefused
from helvetia.agent.post_batches import Server
from helvetia.agent.run_agent import Agent, AgentConfig
from helvetia.agent.spool import Spool
from helvetia.containers.simulated_host import SimulatedHost
from helvetia.kernel.clock import SystemClock
from helvetia.metering.nodes.model import NodeBatch
from helvetia.metering.nodes.wire import from_wire_batch


def test_the_agent_loads_neither_stripe_nor_the_web_framework() -> None:
    code = (
        "import sys, helvetia.cli.agent, helvetia.wiring.agent\n"
        "print([name for name in ('stripe', 'fastapi') if name in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2] / "src")},
    )
    assert told.stdout.strip() == "[]"


@pytest.mark.parametrize("url", ["http://billing.example.com", "ftp://x", "http://127.0.0.1.example.com"])
def test_a_token_is_not_sent_in_the_clear(url: str) -> None:
    with pytest.raises(AgentRefused, match="https"):
        Server(SystemClock(), url, "hvn_x")


def test_what_was_spooled_survives_in_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for batch in (b"one", b"two", b"three"):
        spool.add(batch)
    (tmp_path / "00000000000000000009.json.tmp").write_bytes(b"half")
    again = Spool(tmp_path)
    read = []
    while waiting := again.waiting(2):
        read.append(waiting[0][1])
        again.remove(waiting[0][0])
        again.remove(waiting[0][0])
    assert read == [b"one", b"two", b"three"]
    assert list(tmp_path.iterdir()) == []


def test_a_full_spool_lets_go_of_the_oldest_and_counts_them(tmp_path: Path) -> None:
    spool = Spool(tmp_path, bytes_max=10)
    for number in range(5):
        spool.add(str(number).encode() * 4)
    assert (spool.waiting_count, spool.dropped_count) == (2, 3)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10
    assert [body for _, body in spool.waiting(9)] == [b"3333", b"4444"]


def test_a_disk_that_takes_nothing_leaves_nothing_half_written_and_goes_on_when_it_does(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.add(b"before")
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, most[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            spool.add(b"x" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    spool.add(b"after")
    assert [body for _, body in spool.waiting(9)] == [b"before", b"after"]
    assert len(list(tmp_path.iterdir())) == 2


class EndingLooker:
    """Looks once, then can look no more."""

    def __init__(self, spool_directory: Path) -> None:
        self.directory, self.looks = spool_directory, 0

    async def sample(self) -> list[NodeBatch]:
        self.looks += 1
        if self.looks > 2:
            raise ZeroDivisionError
        places = [self.directory, self.directory.with_name("away")]
        places[self.looks - 1].rename(places[2 - self.looks])
        return [NodeBatch(batch_id=uuid4(), looked_ns=self.looks, interval_ms=1_000, items=[])]

    async def sweep(self) -> list[NodeBatch]:
        return []

    async def sample_storage(self) -> list[NodeBatch]:
        return []


async def test_an_agent_goes_on_without_its_disk_and_ends_aloud_when_it_cannot_look(tmp_path: Path) -> None:
    clock, directory = SystemClock(), tmp_path / "spool"
    spool, looker = Spool(directory), EndingLooker(directory)
    agent = Agent(AgentConfig(interval_s=0.05), clock, SimulatedHost("n", clock), looker, spool)  # type: ignore[arg-type]
    nobody = Server(clock, "http://127.0.0.1:9", "hvn_x", timeout_s=0.1)
    async with asyncio.timeout(10):
        with pytest.raises(ZeroDivisionError):
            await agent.run(nobody, asyncio.Event())
    assert looker.looks == 3
    assert [from_wire_batch(body).looked_ns for _, body in spool.waiting(9)] == [2]


def test_many_threads_may_add_at_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(spool.add, [b"x" * 5_000] * 40))
    assert spool.waiting_count == 40
    assert {path.stat().st_size for path in tmp_path.iterdir()} == {5_000}
