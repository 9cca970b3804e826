"""Each known defect of billing systems has a test by its id, such as `test_w05_…`; one test may be of several ids."""

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
DEFECTS = {"m": 22, "w": 16, "d": 12, "e": 15}
_NAME = re.compile(r"^\s*(?:async )?def test_((?:[mwde]\d{2}_)+)", re.MULTILINE)


def test_every_known_defect_has_a_test_by_its_id() -> None:
    known = {f"{letter}{number:02}" for letter, count in DEFECTS.items() for number in range(1, count + 1)}
    covered = {
        one
        for path in TESTS.rglob("test_*.py")
        for ids in _NAME.findall(path.read_text())
        for one in ids.rstrip("_").split("_")
    }
    assert covered == known
