"""Every environment variable, typed; the only reader of the environment.

A wrong or half-set configuration stops the start with one message that names every missing or wrong variable.
Wiring hands each package its own small frozen configuration; nobody imports these settings as a global.
"""

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

SANDBOX_KEY = "sk_test_helvetia_sandbox"
SANDBOX_PUBLISHABLE_KEY = "pk_test_helvetia_sandbox"
SANDBOX_WEBHOOK_SECRET = "whsec_helvetia_sandbox"  # noqa: S105 - the sandbox is on loopback and guards nothing
PRICE_VARIABLES = (
    "STRIPE_PRICE_ID_STARTER",
    "STRIPE_PRICE_ID_PRO",
    "STRIPE_PRICE_ID_ENTERPRISE",
    "STRIPE_PRICE_ID_COMPUTE_HOURS",
    "STRIPE_PRICE_ID_MEMORY_GB_HOURS",
    "STRIPE_PRICE_ID_BANDWIDTH_GB",
    "STRIPE_PRICE_ID_STORAGE_GB",
)


class ConfigurationError(Exception):
    """The configuration is wrong or incomplete; the message names every variable concerned."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"The configuration cannot be used:\n{lines}\nSee .env.example for every variable.")


class Settings(BaseSettings):
    """The configuration as it stands in the environment or in `.env`."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    stripe_secret_key: SecretStr | None = None
    stripe_publishable_key: str | None = None
    stripe_webhook_secret: SecretStr | None = None
    stripe_price_id_starter: str | None = None
    stripe_price_id_pro: str | None = None
    stripe_price_id_enterprise: str | None = None
    stripe_price_id_compute_hours: str | None = None
    stripe_price_id_memory_gb_hours: str | None = None
    stripe_price_id_bandwidth_gb: str | None = None
    stripe_price_id_storage_gb: str | None = None
    stripe_api_base: str | None = None
    stripe_test_clock: str | None = None
    stripe_automatic_tax: bool = False
    unpaid_drafts: str = Field(default="void", pattern="^(void|collect)$")

    database_url: SecretStr | None = None
    data_directory: Path | None = None
    database_connections_max: int = Field(default=10, ge=1, le=200)

    public_base_url: str = "http://127.0.0.1:8000"
    bind_host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    sandbox_port: int = Field(default=12111, ge=1, le=65535)
    trusted_proxies: str = ""
    metrics_token: SecretStr | None = None
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    log_format: str = Field(default="console", pattern="^(console|json)$")

    container_host: str = Field(default="auto", pattern="^(auto|docker|process)$")
    docker_host: str | None = None
    metering_interval_s: float = Field(default=10.0, ge=0.2, le=60)
    metering_sweep_s: float = Field(default=60.0, ge=0.2, le=300)
    metering_storage_interval_s: float = Field(default=300.0, ge=0.5, le=3600)
    metering_settle_s: float = Field(default=180.0, ge=0, le=3600)
    container_keep_s: float = Field(default=0.0, ge=0, le=86_400)
    enforcement_mode: str | None = Field(default=None, pattern="^(observe|warn|enforce)$")
    enforcement_interval_s: float = Field(default=15.0, ge=0.2, le=60)
    smtp_url: SecretStr | None = None
    mail_from: str = "Helvetia Billing <billing@localhost>"
    notification_language: str = Field(default="en", pattern="^(en|de)$")

    meter_calls_per_second: int | None = Field(default=None, ge=1, le=1000)
    operator_token: SecretStr | None = None
    stripe_poll_s: float = Field(default=60.0, ge=0.2, le=3600)

    @classmethod
    def load(cls, **overrides: object) -> Self:
        """Read and check everything.

        Raises:
            ConfigurationError: naming every missing or wrong variable at once.
        """
        try:
            settings = cls(**overrides)  # type: ignore[arg-type] # pydantic checks what the caller overrides
        except ValidationError as error:
            raise ConfigurationError([_describe(dict(one)) for one in error.errors()]) from None
        if problems := settings.problems():
            raise ConfigurationError(problems)
        return settings

    @classmethod
    def load_for_setup(cls) -> Self:
        """Read what `setup-stripe` needs: the price ids, which it is about to make, may still be missing.

        Raises:
            ConfigurationError: naming every wrong variable at once.
        """
        try:
            settings = cls()
        except ValidationError as error:
            raise ConfigurationError([_describe(dict(one)) for one in error.errors()]) from None
        if problems := [problem for problem in settings.problems() if " is missing " not in problem]:
            raise ConfigurationError(problems)
        return settings

    @property
    def is_sandbox(self) -> bool:
        """Whether the built-in sandbox stands in for Stripe."""
        return self.stripe_secret_key is None or (
            self.stripe_api_base is not None and _is_loopback(urlsplit(self.stripe_api_base).hostname)
        )

    @property
    def is_live(self) -> bool:
        """Whether real money moves."""
        key = self.stripe_secret_key
        return key is not None and _mode(key.get_secret_value()) == "live"

    @property
    def enforcement_mode_in_force(self) -> str:
        """What is set; unset, only observe where real money moves, and enforce everywhere else."""
        return self.enforcement_mode or ("observe" if self.is_live else "enforce")

    @property
    def meter_calls_per_second_in_force(self) -> int:
        """What is set; unset, what Stripe allows: 1,000 meter calls a second in live mode, else 25 calls in all."""
        return self.meter_calls_per_second or (1000 if self.is_live else 25)

    @property
    def is_loopback_bind(self) -> bool:
        """Whether only this machine can reach the web server."""
        return _is_loopback(self.bind_host)

    @property
    def secret_key(self) -> SecretStr:
        return self.stripe_secret_key or SecretStr(SANDBOX_KEY)

    @property
    def publishable_key(self) -> str:
        return self.stripe_publishable_key or SANDBOX_PUBLISHABLE_KEY

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """The signing secrets that are valid now, several while one is rolled."""
        given = _text(self.stripe_webhook_secret) or SANDBOX_WEBHOOK_SECRET
        return tuple(secret.strip() for secret in given.split(","))

    @property
    def api_base(self) -> str | None:
        """Where Stripe's API is; None means Stripe itself."""
        if self.stripe_api_base is None and self.stripe_secret_key is None:
            return f"http://127.0.0.1:{self.sandbox_port}"
        return self.stripe_api_base

    @property
    def proxy_networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """The networks of TRUSTED_PROXIES. Raises ValueError where one cannot be read."""
        return tuple(ipaddress.ip_network(one.strip()) for one in self.trusted_proxies.split(",") if one.strip())

    @property
    def price_ids(self) -> Mapping[str, str]:
        """The price ids that are set, by the name of their variable."""
        values = {name: getattr(self, name.lower()) for name in PRICE_VARIABLES}
        return {name: value for name, value in values.items() if value is not None}

    def problems(self) -> list[str]:
        """Everything that is missing or contradicts, one sentence a variable; empty when all is well."""
        return [*self._stripe_problems(), *self._base_problems()]

    def _stripe_problems(self) -> list[str]:
        given = {
            "STRIPE_SECRET_KEY": _text(self.stripe_secret_key),
            "STRIPE_PUBLISHABLE_KEY": self.stripe_publishable_key,
            "STRIPE_WEBHOOK_SECRET": _text(self.stripe_webhook_secret),
            **{name: self.price_ids.get(name) for name in PRICE_VARIABLES},
        }
        if not any(given.values()):
            return []
        found = [f"{name} is missing (set all of Stripe's variables, or none)" for name in given if not given[name]]
        found += [
            f"{name} does not look right: it begins with {' or '.join(prefixes)}"
            for name, prefixes in _PREFIXES.items()
            if (value := given.get(name)) and not value.startswith(prefixes)
        ]
        if given["STRIPE_WEBHOOK_SECRET"] and not all(_is_webhook_secret(one) for one in self.webhook_secrets):
            found.append("STRIPE_WEBHOOK_SECRET is one secret (whsec_…), or several separated by commas, none empty")
        modes = {n: _mode(v) for n in ("STRIPE_SECRET_KEY", "STRIPE_PUBLISHABLE_KEY") if (v := given[n])}
        if len(set(modes.values()) - {None}) > 1:
            found.append("STRIPE_SECRET_KEY and STRIPE_PUBLISHABLE_KEY are of different modes (one test, one live)")
        return found

    def _base_problems(self) -> list[str]:
        found: list[str] = []
        for name, url in (("STRIPE_API_BASE", self.stripe_api_base), ("PUBLIC_BASE_URL", self.public_base_url)):
            if url is not None and (urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname):
                found.append(f"{name} is not a URL that begins with http:// or https://")
        if self.database_url is not None and urlsplit(_text(self.database_url)).scheme not in _DATABASE_SCHEMES:
            found.append("DATABASE_URL is not a URL that begins with postgresql://")
        found += self._proxy_problems()
        if self.is_live and self.stripe_api_base is not None:
            found.append("STRIPE_API_BASE must not be set with a live STRIPE_SECRET_KEY: the sandbox takes no live key")
        if self.is_live and self.stripe_test_clock is not None:
            found.append("STRIPE_TEST_CLOCK must not be set with a live STRIPE_SECRET_KEY")
        if self.is_live and self.container_host == "process":
            found.append("CONTAINER_HOST=process runs demo workloads only and must not be used with a live key")
        if self.container_host == "process" and not self.is_loopback_bind:
            found.append("CONTAINER_HOST=process needs a loopback BIND_HOST")
        return found

    def _proxy_problems(self) -> list[str]:
        try:
            is_everybody = any(network.prefixlen == 0 for network in self.proxy_networks)
        except ValueError as error:
            return [f"TRUSTED_PROXIES is a list of networks such as 10.0.0.0/8,2001:db8::/32: {error}"]
        return ["TRUSTED_PROXIES must not be everybody: clients could choose their address"] if is_everybody else []


_DATABASE_SCHEMES = frozenset({"postgresql", "postgres"})
_PREFIXES: Mapping[str, tuple[str, ...]] = {
    "STRIPE_SECRET_KEY": ("sk_test_", "sk_live_", "rk_test_", "rk_live_"),
    "STRIPE_PUBLISHABLE_KEY": ("pk_test_", "pk_live_"),
    **dict.fromkeys(PRICE_VARIABLES, ("price_",)),
}


def _text(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _is_webhook_secret(secret: str) -> bool:
    return secret.startswith("whsec_") and len(secret) > len("whsec_")


def _mode(key: str) -> str | None:
    """`test` or `live`, from the middle word of a Stripe key."""
    words = key.split("_")
    return words[1] if len(words) > 2 and words[1] in {"test", "live"} else None  # noqa: PLR2004 - kind_mode_rest


def _is_loopback(host: str | None) -> bool:
    if host is None or host == "localhost":
        return host == "localhost"
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _describe(error: Mapping[str, object]) -> str:
    location = error.get("loc")
    name = str(location[0]).upper() if isinstance(location, tuple) and location else "the environment"
    return f"{name}: {error.get('msg')}"


def project_directory() -> Path:
    """The checkout, or the directory the command was started in."""
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()
