"""How many trials a test makes: a small seeded number by default, the full one under HELVETIA_FULL=1.

What was tried in full is written to docs/reliability.md at the end of the run.
"""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

IS_FULL = os.environ.get("HELVETIA_FULL") == "1"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
HEADER = """# Reliability

Written by full runs (`make test-full`, or one file with `HELVETIA_FULL=1`): each row tells the last of them that tried
this. A row is there only when all of its trials passed; with 0 failures in N trials, 3/N is the upper bound of the
failure rate at 95 % confidence. `make test` makes the same trials with a small N.

| what was tried | trials | failures | bound | seed |
|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """A design, and how often it was tried without a failure."""

    design: str
    count: int
    seed: str


_passed: list[Trials] = []


def choose(*, small: int, full: int) -> int:
    """The number of trials of this run."""
    return full if IS_FULL else small


def record(design: str, *, count: int, seed: object = "") -> None:
    """Call at the end of a test whose trials all passed; rows of one design are added up."""
    _passed.append(Trials(design=design, count=count, seed=str(seed)))


def write_page(page: Path = PAGE) -> None:
    """Put the rows of this run into the table; only a full run that recorded something does."""
    if not IS_FULL or not _passed:
        return
    with page.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # runs beside this one write too
        file.seek(0)
        rows = {**_rows_of(file.read()), **_rows_of_this_run()}
        file.truncate(0)
        file.write(HEADER + "".join(f"{rows[design]}\n" for design in sorted(rows)))


def _rows_of(text: str) -> dict[str, str]:
    """The rows of a page, by what was tried."""
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| what was tried")]
    return {row.split(" | ", 1)[0].removeprefix("| "): row for row in rows}


def _rows_of_this_run() -> dict[str, str]:
    rows = {}
    for design in {one.design for one in _passed}:
        of_design = [one for one in _passed if one.design == design]
        count = sum(one.count for one in of_design)
        seeds = ", ".join(sorted({one.seed for one in of_design if one.seed}))
        rows[design] = f"| {design} | {count} | 0 | {min(1.0, 3 / count):.4f} | {seeds} |"
    return rows
