"""Settings and payment methods as pages: what is kept, who may, and that no card is ever entered here."""

import re

import httpx2
import pytest

from helvetia.accounts.model import Role, User
from helvetia.accounts.reader_settings_service import PAGE_LANGUAGES, time_zones
from helvetia.web.dashboard.catalog import LANGUAGES
from support.web_world import PASSWORD, WebWorld

HTML = {"Accept": "text/html"}


async def send(client: httpx2.AsyncClient, path: str, **fields: str) -> httpx2.Response:
    page = await client.get("/billing/settings", headers=HTML)
    token = re.search(r'name="csrfToken" value="([0-9a-f]+)"', page.text)
    assert token is not None
    return await client.post(path, data={"csrfToken": token[1], **fields}, headers=HTML)


async def audited(world: WebWorld, user: User) -> list[str]:
    async with world.database.transaction() as tx:
        rows = await tx.execute(
            "SELECT action FROM audit_entries WHERE account_id = %s ORDER BY audit_id", (user.account_id,)
        )
        return [row[0] for row in await rows.fetchall()]


async def test_reader_chooses_language_and_zone_and_no_amount_changes(world: WebWorld) -> None:
    user = await world.user("ada", PASSWORD)
    async with await world.browser(user) as client:
        before = await client.get("/billing/settings", headers=HTML)
        assert "Settings of ada@example.ch." in before.text
        saved = await send(client, "/billing/settings/reader", language="de", timeZone="Europe/Zurich")
        assert (saved.status_code, saved.headers["location"]) == (303, "/billing/settings?saved=true")
        after = await client.get(saved.headers["location"], headers=HTML)
    assert "Einstellungen von ada@example.ch." in after.text
    assert "Zeiten in Europe/Zurich" in after.text
    assert '<option value="Europe/Zurich" selected>' in after.text
    assert (await audited(world, user))[-1] == "reader_settings_set"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"language": "tlh"}, 422),
        ({"timeZone": "Europe/Nowhere"}, 422),
        ({"timeZone": "../../etc/passwd"}, 422),
        ({"timeZone": "posix/Europe/Zurich"}, 422),
        ({"language": "", "timeZone": ""}, 303),
    ],
)
async def test_unknown_language_or_zone_is_refused_and_nothing_kept(
    world: WebWorld, fields: dict[str, str], status: int
) -> None:
    user = await world.user("ada", PASSWORD)
    async with await world.browser(user) as client:
        assert (await send(client, "/billing/settings/reader", **fields)).status_code == status
    found = await world.accounts.find_user_by_email(user.email)
    assert found is not None
    assert (found.language, found.time_zone) == (None, None)


def test_pages_and_settings_know_the_same_languages_and_real_zones() -> None:
    assert PAGE_LANGUAGES == LANGUAGES
    assert time_zones()[0] == "UTC"
    assert {"Europe/Zurich", "America/New_York", "Asia/Kolkata"} <= set(time_zones())


async def test_theme_is_kept_in_this_browser_until_the_system_decides(world: WebWorld) -> None:
    user = await world.user("ada", PASSWORD)
    async with await world.browser(user) as client:
        await send(client, "/billing/settings/theme", theme="dark")
        assert 'data-theme="dark"' in (await client.get("/billing/settings", headers=HTML)).text
        await send(client, "/billing/settings/theme", theme="system")
        assert "data-theme" not in (await client.get("/billing/settings", headers=HTML)).text
        assert (await send(client, "/billing/settings/theme", theme="pink")).status_code == 422


async def test_organization_is_founded_or_its_name_complained_about_beside_the_field(world: WebWorld) -> None:
    user = await world.user("ada", PASSWORD)
    async with await world.browser(user) as client:
        wrong = await send(client, "/billing/settings/organizations", name="  ")
        assert (wrong.status_code, 'aria-describedby="complaint"' in wrong.text) == (422, True)
        made = await send(client, "/billing/settings/organizations", name="Alpine Labs")
        assert made.headers["location"].startswith("/billing?organizationId=")
        assert "Alpine Labs</a>" in (await client.get("/billing/settings", headers=HTML)).text


async def test_members_are_listed_to_owners_only(world: WebWorld) -> None:
    owner = await world.user("owner")
    organization = await world.accounts.create_organization("Alpine Labs", owner.account_id)
    developer = await world.member(organization, Role.DEVELOPER)
    async with world.as_user(owner, organization) as client:
        page = (await client.get("/billing/settings", headers=HTML)).text
    assert developer.email in page
    async with world.as_user(developer, organization) as client:
        page = (await client.get("/billing/settings", headers=HTML)).text
    assert owner.email not in page
    assert "Change billing details at Stripe" not in page
    assert "Language of these pages" in page


async def test_notices_speak_the_language_chosen_here(world: WebWorld) -> None:
    user = await world.user("ada", PASSWORD)
    async with await world.browser(user) as client:
        assert (await send(client, "/billing/settings/notices", language="de")).status_code == 303
        assert (await client.get("/api/v1/notifications")).json()["language"] == "de"


async def test_page_of_cards_is_whole_without_stripe_and_takes_no_card(world: WebWorld) -> None:
    user = await world.user("ada", PASSWORD)
    async with await world.browser(user) as client:
        page = (await client.get("/billing/payment-methods", headers=HTML)).text
        away = await send(client, "/billing/portal", flow="payment_method", back="payment-methods")
        forged = await send(client, "/billing/portal", back="https://evil.example")
    assert "No card is on file." in page
    assert re.findall(r'<input(?! type="hidden")', page) == []
    assert "cc-number" not in page
    assert away.status_code == 503
    assert forged.status_code == 422
