"""Rules of the house that no general linter knows: floats near money, time, the environment, commits."""

import ast
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src" / "helvetia"
EXACT_PACKAGES = ("kernel", "catalogue", "rating", "metering", "meter_reports", "billing", "costs", "subscriptions")
# Durations in seconds may be floats; nothing that is counted or paid may.
DURATION_SUFFIXES = ("_s", "monotonic")


def test_m17_no_float_reaches_a_quantity_or_an_amount() -> None:
    found = []
    for package in EXACT_PACKAGES:
        for path in (SOURCE / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.arg | ast.AnnAssign) and _mentions_float(node.annotation):
                    name = node.arg if isinstance(node, ast.arg) else ast.unparse(node.target)
                    if not name.endswith(DURATION_SUFFIXES):
                        found.append(f"{path.relative_to(SOURCE)}:{node.lineno} {name}")
    assert found == []


def test_transactions_commit_in_one_place() -> None:
    found = [
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if ".commit(" in path.read_text() and path.parent.name != "database"
    ]
    assert found == []


def test_single_statement_block_holds_a_single_call() -> None:
    """Each statement in such a block commits by itself, so a second one would not belong to the first."""
    found = []
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.AsyncWith) or "single_statement()" not in ast.unparse(node.items[0]):
                continue
            if sum(isinstance(inner, ast.Await) for inner in ast.walk(node)) != 1 or len(node.body) != 1:
                found.append(f"{path.relative_to(SOURCE)}:{node.lineno}")
    assert found == []


def test_sql_stands_in_stores_only() -> None:
    found = []
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE).parts
        if "store" in path.stem or "invariants" in path.stem or parts[0] == "database":
            continue
        if any(f".{call}(" in path.read_text() for call in ("execute", "executemany", "copy")):
            found.append(str(path.relative_to(SOURCE)))
    assert found == []


def _mentions_float(annotation: ast.expr | None) -> bool:
    return annotation is not None and any(
        isinstance(node, ast.Name) and node.id == "float" for node in ast.walk(annotation)
    )


PURE_FILES = (
    "model.py",
    "policy.py",
    "lifecycle.py",
    "integrate.py",
    "plan_actions.py",
    "plan_rows.py",
    "cut_windows.py",
)
IMPURE_MODULES = {"psycopg", "aiohttp", "aiodocker", "fastapi", "starlette", "stripe", "asyncio", "sqlalchemy"}


def test_pure_files_import_nothing_that_does_io() -> None:
    found = []
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE).parts
        if path.name not in PURE_FILES and parts[0] not in {"kernel", "catalogue", "rating"}:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                continue
            found += [f"{path.relative_to(SOURCE)}: {name}" for name in names if name.split(".")[0] in IMPURE_MODULES]
    assert found == []


def test_every_deferred_job_is_bound_to_a_function() -> None:
    """A job is deferred by a literal name; the schedule binds every name."""
    deferred = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "defer":
                name = node.args[1]
                assert isinstance(name, ast.Constant), f"{path}: a job's name is a literal"
                deferred.add(name.value)
    schedule = (SOURCE / "worker" / "schedule.py").read_text()
    assert [name for name in deferred if f'"{name}"' not in schedule] == []
