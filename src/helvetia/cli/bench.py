"""`helvetia bench`: measure this machine."""

import subprocess
import sys

from helvetia.settings import project_directory


def bench() -> int:
    """Run the benchmarks of the source checkout; writes build/bench.json and docs/benchmarks.md.

    Example: helvetia bench
    """
    script = project_directory() / "tests" / "performance" / "run.py"
    if not script.is_file():
        print("The benchmarks are part of the source checkout; run this there.", file=sys.stderr)
        return 1
    return subprocess.run([sys.executable, str(script)], check=False).returncode  # noqa: S603 - our own script
