"""Runs every benchmark of this folder and writes the figures: build/bench.json and docs/benchmarks.md.

A benchmark is a file bench_*.py with `WHAT` (a sentence) and `async def run() -> dict[str, object]`.
"""

import asyncio
import importlib
import json
import platform
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent)]

HEADER = """# Benchmarks

Written by `make bench`, or by some benchmarks alone (`tests/performance/run.py webhooks`), the others keeping theirs.
The load generator runs on the same cores as what it measures; a ratio compares with the bare form in the same run.
Machines differ and are noisy: compare ratios, not milliseconds.

Machine: {machine}, Python {python}.
"""


def main() -> None:
    names = sorted(path.stem for path in HERE.glob("bench_*.py"))
    chosen = [name for name in names if not sys.argv[1:] or name.removeprefix("bench_") in sys.argv[1:]]
    figures = {}
    for name in chosen:
        module = importlib.import_module(name)
        print(f"{name} …", flush=True)
        figures[name] = {"what": (module.__doc__ or "").splitlines()[0], "figures": asyncio.run(module.run())}
        print(json.dumps(figures[name]["figures"], indent=2, default=str), flush=True)
        _write(figures)  # after each: one that fails takes nothing with it


def _write(figures: dict[str, dict[str, object]]) -> None:
    """The figures of this run; on the page, benchmarks that were not run keep theirs."""
    build = PROJECT / "build"
    build.mkdir(exist_ok=True)
    (build / "bench.json").write_text(json.dumps(figures, indent=2, default=str) + "\n")
    page = PROJECT / "docs" / "benchmarks.md"
    _, *kept = page.read_text().split("\n## ") if page.exists() else [""]
    sections = {text.partition("\n")[0]: f"## {text.rstrip()}\n" for text in kept}
    sections |= {name.removeprefix("bench_"): _section(name, one) for name, one in figures.items()}
    header = HEADER.format(machine=platform.machine(), python=platform.python_version())
    page.write_text("\n".join([header, *(sections[name] for name in sorted(sections))]))


def _section(name: str, one: dict[str, object]) -> str:
    rows = one["figures"]
    assert isinstance(rows, dict)
    lines = [f"## {name.removeprefix('bench_')}", "", str(one["what"]), "", "| figure | value |", "|---|---|"]
    lines += [f"| {key.replace('_', ' ')} | {value} |" for key, value in rows.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
