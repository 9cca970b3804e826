"""What the HTTP border needs to know; wiring fills it from the settings."""

from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network
from urllib.parse import urlsplit

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
BODY_BYTES_MAX = 256 * 1024
STRIPE_PAGES = ("https://checkout.stripe.com", "https://billing.stripe.com")


@dataclass(frozen=True, kw_only=True)
class WebConfig:
    """The address that browsers use, and what the pages and headers derive from it.

    `redirect_origins` are the pages of Stripe (or of the sandbox) that a form may lead to; `trusted_proxies` are the
    networks whose word on a client's address is believed.
    """

    public_base_url: str
    stripe_publishable_key: str = ""
    is_sandbox: bool = False
    redirect_origins: tuple[str, ...] = STRIPE_PAGES
    metrics_token: str | None = None
    operator_token: str | None = None
    body_bytes_max: int = BODY_BYTES_MAX
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()

    @cached_property
    def is_https(self) -> bool:
        return urlsplit(self.public_base_url).scheme == "https"

    @cached_property
    def origins(self) -> frozenset[str]:
        """The origins that our own pages have; on loopback the machine's other names of itself count too."""
        parts = urlsplit(self.public_base_url)
        hosts = {parts.netloc}
        if parts.hostname in {"127.0.0.1", "localhost", "::1"}:
            port = f":{parts.port}" if parts.port else ""
            hosts |= {f"{name}{port}" for name in LOOPBACK_NAMES}
        return frozenset(f"{parts.scheme}://{host}".lower() for host in hosts)

    @cached_property
    def session_cookie(self) -> str:
        return self._cookie("helvetia_session")

    @cached_property
    def form_cookie(self) -> str:
        """Binds the sign-in form to the browser that asked for it, before there is a session."""
        return self._cookie("helvetia_form")

    def _cookie(self, name: str) -> str:
        return f"__Host-{name}" if self.is_https else name
