"""`helvetia …` as a child process, with its exit code and what it wrote."""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Answer:
    code: int
    out: str
    err: str


class Shell:
    """Runs `helvetia …` in an empty directory with just these variables set."""

    def __init__(self, directory: Path, variables: dict[str, str]) -> None:
        self._directory = directory
        self.variables = variables

    async def helvetia(self, *arguments: str, **more: str) -> Answer:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "helvetia",
            *arguments,
            cwd=self._directory,
            env={**kept, **self.variables, **more},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
        return Answer(code=process.returncode or 0, out=out.decode(), err=err.decode())
