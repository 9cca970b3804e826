"""The Stripe sandbox as a child process on a free port of loopback."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

START_WITHIN_S = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - loopback
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def running_sandbox() -> Iterator[str]:
    """Yields the base URL of a sandbox that is ready."""
    url = f"http://127.0.0.1:{free_port()}"
    process = subprocess.Popen([sys.executable, "-m", "stripe_sandbox", "--port", url.rpartition(":")[2]])
    try:
        deadline_s = time.monotonic() + START_WITHIN_S
        while not answers(f"{url}/healthz"):
            assert process.poll() is None, "the sandbox ended by itself"
            assert time.monotonic() < deadline_s, "the sandbox did not start"
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)
