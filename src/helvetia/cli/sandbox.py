"""`helvetia sandbox`: the Stripe sandbox alone."""

import os
import sys
from pathlib import Path


def sandbox(*, port: int = 12111, state: Path | None = None) -> int:
    """Run the Stripe sandbox on loopback: any official Stripe SDK works against it with a key like sk_test_anything.

    Example: helvetia sandbox --port 12111 --state sandbox.sqlite

    Parameters
    ----------
    port
        The port to listen on.
    state
        A file that keeps everything between runs; without it nothing is kept.
    """
    arguments = [sys.executable, "-m", "stripe_sandbox", "--port", str(port)]
    if state is not None:
        arguments += ["--state", str(state)]
    os.execv(sys.executable, arguments)  # noqa: S606 - becomes the sandbox, with arguments of our own
