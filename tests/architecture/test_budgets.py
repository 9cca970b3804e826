"""Sizes that keep the house readable: files, functions, folders, parameters."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
POSITIONAL_PARAMETERS_MAX = 6
FOLDER_FILES_MAX = 12  # 10 is the aim
LISTS_OF_LIKE_THINGS = {"cli", "objects", "stripe_gateway", "api", "schemas", "pages", "dashboard", "engine"}
FORBIDDEN_NAMES = {"utils", "helpers", "common", "manager", "base", "misc", "mapper"}

FILES = sorted(SOURCE.rglob("*.py"))


def functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node


def test_no_file_is_longer_than_the_budget() -> None:
    lengths = {str(path.relative_to(SOURCE)): len(path.read_text().splitlines()) for path in FILES}
    assert {name: lines for name, lines in lengths.items() if lines > FILE_LINES_MAX} == {}


def test_no_function_is_longer_than_the_budget() -> None:
    too_long = {
        f"{path.relative_to(SOURCE)}:{node.name}": length
        for path, node in functions()
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    }
    assert too_long == {}


def test_no_function_takes_more_positional_parameters_than_the_budget() -> None:
    too_many = {
        f"{path.relative_to(SOURCE)}:{node.name}": len(names)
        for path, node in functions()
        if len(names := [a.arg for a in (*node.args.posonlyargs, *node.args.args) if a.arg not in {"self", "cls"}])
        > POSITIONAL_PARAMETERS_MAX
        and node.name != "__init__"
    }
    assert too_many == {}


def test_no_folder_holds_more_files_than_the_budget() -> None:
    folders = {path.parent for path in FILES}
    counts = {
        str(folder.relative_to(SOURCE)): sum(1 for one in folder.glob("*.py") if one.name != "__init__.py")
        for folder in folders
        if folder.name not in LISTS_OF_LIKE_THINGS
    }
    assert {name: count for name, count in counts.items() if count > FOLDER_FILES_MAX} == {}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_module_says_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree) or not tree.body
    assert path.stem not in FORBIDDEN_NAMES
