"""From `helvetia up` to ready, on a fresh and on a used data directory, and what the worker then weighs.

Bounds: ready in under 10 s once installed; worker under 150 MB resident.
"""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from support.docker_engine import no_leftovers
from support.sandbox_process import answers, free_port

SETTLE_S = 12.0


async def run() -> dict[str, object]:
    directory = _new_directory()
    try:
        async with no_leftovers(directory):
            fresh_s, _ = await _start_once(directory)
            used_s, worker_mb = await _start_once(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    ready = {"ready_fresh_s": round(fresh_s, 2), "ready_used_s": round(used_s, 2)}
    return {**ready, "worker_resident_mb": round(worker_mb)}


def _new_directory() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="hvbench", dir="/tmp"))
    directory.chmod(0o755)
    return directory


async def _start_once(directory: Path) -> tuple[float, float]:
    port = free_port()
    environment = {**os.environ, "PORT": str(port), "DATA_DIRECTORY": str(directory), "SANDBOX_PORT": str(free_port())}
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "helvetia", "up", env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        while not await asyncio.to_thread(answers, f"http://127.0.0.1:{port}/readyz"):
            assert process.returncode is None, "it ended by itself"
            assert time.monotonic() - started < 60, "it did not become ready"
            await asyncio.sleep(0.05)
        ready_s = time.monotonic() - started
        await asyncio.sleep(SETTLE_S)
        return ready_s, _worker_resident_mb(process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.wait(), 60)


def _worker_resident_mb(parent: int) -> float:
    """Resident memory of the child whose command line ends in `worker`, from /proc."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            status = (entry / "status").read_text()
        except OSError:
            continue
        if b"worker" in words and f"PPid:\t{parent}\n" in status:
            return int(status.split("VmRSS:")[1].split()[0]) / 1024
    raise LookupError("the worker is not there")
