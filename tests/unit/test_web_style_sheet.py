"""The one style sheet is whole: what two people append to it at once must not end up inside one another."""

import re

from helvetia.web.dashboard.render import STATIC_PATH

SHEET = re.sub(r"/\*.*?\*/", "", (STATIC_PATH / "helvetia.css").read_text(), flags=re.DOTALL)


def test_every_block_is_closed_and_rules_stand_at_most_within_one_condition() -> None:
    depth, deepest = 0, 0
    for sign in re.findall(r"[{}]", SHEET):
        depth += 1 if sign == "{" else -1
        assert depth >= 0
        deepest = max(deepest, depth)
    assert (depth, deepest) == (0, 2)


def test_only_conditions_hold_other_rules() -> None:
    outer: list[str] = []
    for lead, sign in re.findall(r"([^{}]*)([{}])", SHEET):
        if sign == "}":
            outer.pop()
            continue
        assert not outer or outer[-1].startswith("@"), f"{lead.strip()} stands inside {outer[-1]}"
        outer.append(lead.strip())
