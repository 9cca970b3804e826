"""Every state an account can be in, on the pages that tell of it, in a real browser."""

import os
import re
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Browser

from helvetia.kernel.clock import ManualClock
from support.browser_page import WATCH, barriers, sideways, watch
from support.state_builders import STATES, developer, set_stage
from support.trials import IS_FULL
from support.web_world import PASSWORD, WebWorld

pytestmark = pytest.mark.browser

SHOTS = os.environ.get("HELVETIA_SHOTS")
NO_PERMISSION = "no billing permission"
NARROW = ("planned downgrade", "extended", "back from checkout")
ALL = (*STATES, NO_PERMISSION)
SMALL = [(state, "light", 1280) for state in ALL] + [(state, "dark", 360) for state in NARROW]
FULL = [(state, theme, width) for state in ALL for theme in ("light", "dark") for width in (1280, 360)]


@pytest.mark.parametrize(("state", "theme", "width"), FULL if IS_FULL else SMALL)
async def test_state_is_told_without_barriers(
    world: WebWorld, browser: Browser, clock: ManualClock, state: str, theme: Literal["light", "dark"], width: int
) -> None:
    stage, pages = await set_stage(world, clock.now(), "planned end" if state == NO_PERMISSION else state)
    if state == NO_PERMISSION:
        stage, pages = await developer(stage)
    base = world.config.public_base_url
    page = await browser.new_page(
        color_scheme=theme, viewport={"width": width, "height": 900}, locale=os.environ.get("HELVETIA_SHOTS_LOCALE")
    )
    await page.add_init_script(WATCH)
    await page.goto(f"{base}/sign-in")
    await page.get_by_label("E-mail").fill(stage.user.email)
    await page.get_by_label(re.compile("Password|Passwort")).fill(PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{base}/billing")
    complaints, _ = watch(page)
    for number, seen in enumerate(pages):
        answer = await page.goto(f"{base}{seen.path}")
        assert answer is not None
        if SHOTS is not None:
            name = f"{state}-{theme}-{width}-{number}.png".replace(" ", "-")
            await page.screenshot(path=Path(SHOTS) / name, full_page=True)
        assert answer.status == seen.status, seen.path
        assert seen.words in await page.locator("body").inner_text()
        assert await barriers(page) == [], seen.path
        assert await sideways(page) <= 0, seen.path
    assert [one for one in complaints if "403" not in one] == []
