"""What a browser test looks at besides the text: complaints, foreign hosts, barriers (axe-core), sideways scrolling."""

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

WATCH = "document.addEventListener('securitypolicyviolation', event => console.error('CSP ' + event.violatedDirective))"
INJECTED = '<img src=x onerror="window.hit = 1"><p style="color: red">'
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def watch(page: Page) -> tuple[list[str], set[str]]:
    complaints: list[str] = []
    hosts: set[str] = set()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    return complaints, hosts


async def barriers(page: Page) -> list[str]:
    """What axe-core finds against WCAG 2.2 AA and good practice, each with where it stands; none is asked."""
    results = await Axe().run(page, options=RULES)
    return [
        f"{one['id']}: {node['target']} {node['html'][:160]}"
        for one in results.response["violations"]
        for node in one["nodes"]
    ]


async def sideways(page: Page) -> int:
    """Pixels by which the page is wider than the window; a table may scroll within its frame."""
    return int(await page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))
