import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from helvetia.agent.errors import AgentRefused
from helvetia.agent.post_batches import Server
from helvetia.agent.spool import Spool
from helvetia.kernel.clock import SystemClock


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


def test_many_threads_may_add_at_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(spool.add, [b"x" * 5_000] * 40))
    assert spool.waiting_count == 40
    assert {path.stat().st_size for path in tmp_path.iterdir()} == {5_000}
