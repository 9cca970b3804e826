"""A real SMTP server on loopback that keeps what it takes, and refuses what a test wants refused."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session


@dataclass
class MailSink:
    """`refusals` counts down the messages it does not take; `unknown` are addresses it does not serve."""

    host: str = "127.0.0.1"
    port: int = 0
    refusals: int = 0
    unknown: set[str] = field(default_factory=set)
    messages: list[str] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    ciphers: list[str] = field(default_factory=list)

    def url(self, user: str = "") -> str:
        return f"smtp://{user}{self.host}:{self.port}"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.unknown:
            return "550 nobody here by this name"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.refusals > 0:
            self.refusals -= 1
            return "451 later"
        secured = session.ssl
        self.ciphers.append("" if secured is None else str(secured["cipher"][1]))
        content = envelope.content or b""
        self.messages.append(content.decode() if isinstance(content, bytes) else content)
        return "250 taken"

    def sign_in(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=True)


@asynccontextmanager
async def mail_sink(host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncIterator[MailSink]:
    """With `tls` it offers STARTTLS, and takes mail and credentials only after it."""
    sink = MailSink(host=host)

    def protocol() -> SMTP:
        return SMTP(
            sink,
            enable_SMTPUTF8=True,
            authenticator=sink.sign_in,
            auth_require_tls=tls is not None,
            hostname="sink",
            tls_context=tls,
            require_starttls=tls is not None,
        )

    server = await asyncio.get_running_loop().create_server(protocol, host, 0)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        server.close()
