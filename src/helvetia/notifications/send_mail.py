"""Mail leaves by SMTP: the standard library's client, one connection a message, in a thread of its own.

Promises: it ends in time, and either the server took the message for all recipients or `MailNotAccepted` says why.
Credentials are sent only over TLS (smtps, or STARTTLS which the server must offer), except to this machine.
"""

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from helvetia.database.pool import assert_no_transaction
from helvetia.notifications.errors import MailNotAccepted
from helvetia.notifications.model import MailConfig, Message

CONNECT_S = 10.0
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS = {"smtp": 25, "smtps": 465}


class SmtpChannel:
    """Implements MailChannel."""

    def __init__(self, config: MailConfig) -> None:
        self._config = config

    async def send(self, message: Message) -> None:
        """Raises MailNotAccepted."""
        assert_no_transaction()
        try:
            await asyncio.to_thread(self._deliver, to_email(message, self._config.sender))
        except (OSError, smtplib.SMTPException) as error:
            raise MailNotAccepted(f"The mail server did not take the message: {type(error).__name__}.") from error

    def _deliver(self, email: EmailMessage) -> None:
        url = urlsplit(self._config.smtp_url or "")
        host, port = url.hostname or "localhost", url.port or _PORTS.get(url.scheme, 25)
        context = ssl.create_default_context()
        if url.scheme == "smtps":
            client: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=CONNECT_S, context=context)
        else:
            client = smtplib.SMTP(host, port, timeout=CONNECT_S)
        with client:
            client.ehlo_or_helo_if_needed()
            is_secure = url.scheme == "smtps"
            if not is_secure and client.has_extn("starttls"):
                client.starttls(context=context)
                is_secure = True
            if url.username is not None:
                if not is_secure and host not in _LOCAL:
                    raise smtplib.SMTPNotSupportedError("no TLS to send credentials over")
                client.login(unquote(url.username), unquote(url.password or ""))
            client.send_message(email)


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
