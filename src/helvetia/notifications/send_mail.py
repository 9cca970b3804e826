"""Mail leaves by SMTP: aiosmtplib, one connection a message.

Promises: it ends in time, and either the server took the message or `MailNotAccepted` says why; addresses it refused
beside others that it took are told. Credentials are sent only over TLS (smtps, or STARTTLS which the server must
offer), except to this machine.
"""

import asyncio
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from urllib.parse import SplitResult, unquote, urlsplit

import aiosmtplib

from helvetia.database.pool import assert_no_transaction
from helvetia.notifications.errors import MailNotAccepted
from helvetia.notifications.model import MailConfig, Message

STEP_MAX_S = 10.0
SEND_MAX_S = 60.0
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS = {"smtp": 25, "smtps": 465}


class SmtpChannel:
    """Implements MailChannel."""

    def __init__(self, config: MailConfig) -> None:
        self._config = config

    async def send(self, message: Message) -> Sequence[str]:
        """Raises MailNotAccepted."""
        assert_no_transaction()
        if not message.recipients:
            raise MailNotAccepted("The account has nobody whom mail could reach.")
        try:
            async with asyncio.timeout(SEND_MAX_S):
                return await self._deliver(to_email(message, self._config.sender))
        except (OSError, aiosmtplib.SMTPException, ValueError) as error:
            raise MailNotAccepted(f"The mail server did not take the message: {type(error).__name__}.") from error

    async def _deliver(self, email: EmailMessage) -> Sequence[str]:
        url = urlsplit(self._config.smtp_url or "")
        client = aiosmtplib.SMTP(
            hostname=url.hostname or "localhost",
            port=url.port or _PORTS.get(url.scheme, 25),
            timeout=STEP_MAX_S,
            use_tls=url.scheme == "smtps",
            tls_context=ssl.create_default_context(),
        )
        async with client:
            if url.username is not None:
                await _sign_in(client, url)
            refused, _ = await client.send_message(email)
        return sorted(refused)


async def _sign_in(client: aiosmtplib.SMTP, url: SplitResult) -> None:
    """The connection has used STARTTLS by now where the server offers it."""
    is_secure = client.transport is not None and client.transport.get_extra_info("sslcontext") is not None
    if not is_secure and url.hostname not in _LOCAL:
        raise aiosmtplib.SMTPException("no TLS to send credentials over")
    await client.login(unquote(url.username or ""), unquote(url.password or ""))


def to_email(message: Message, sender: str) -> EmailMessage:
    """Both forms of the message, with an id that a second attempt repeats."""
    email = EmailMessage()
    email["From"] = sender
    email["To"] = ", ".join(message.recipients)
    email["Subject"] = message.subject
    email["Message-ID"] = message.message_id
    email["Auto-Submitted"] = "auto-generated"
    email.set_content(message.text)
    email.add_alternative(message.html, subtype="html")
    return email
