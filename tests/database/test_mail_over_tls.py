"""STARTTLS with a real server and a certificate made for it: credentials go out only to one that is trusted."""

import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from shutil import which

import pytest

from conftest import missing
from helvetia.database.pool import Database
from helvetia.enforcement.model import EnforcementConfig
from helvetia.kernel.clock import ManualClock
from helvetia.notifications import store
from helvetia.notifications.model import MailConfig, Notice, NoticeKind, Notification
from support.enforcement_world import EnforcementWorld
from support.mail_sink import MailSink, mail_sink

HOST = "127.0.0.2"  # another machine, as far as credentials are concerned


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificate and key of HOST in one file, signed by itself."""
    if which("openssl") is None:
        missing("openssl", "it makes the certificate of the mail server")
    made = tmp_path_factory.mktemp("mail") / "server.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", str(made), "-out", f"{made}.crt", "-days", "2", "-subj", "/CN=sink"),
            *("-addext", f"subjectAltName=IP:{HOST}"),
        ],
        check=True,
        capture_output=True,
        timeout=30,
    )
    made.write_text(made.read_text() + Path(f"{made}.crt").read_text())
    return made


@pytest.fixture
async def mail(certificate: Path) -> AsyncIterator[MailSink]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with mail_sink(HOST, context) as sink:
        yield sink


async def send(database: Database, clock: ManualClock, url: str) -> Notification:
    world = EnforcementWorld(database, clock, EnforcementConfig(), MailConfig(smtp_url=url))
    account_id = await world.account("ada", services=0)
    notice = Notice(
        account_id=account_id,
        key="plan:1",
        series="plan:1",
        kind=NoticeKind.PLAN_CHANGED,
        due_at=clock.now(),
        figures={"former": "Free", "plan": "Pro"},
    )
    async with database.transaction() as tx:
        await store.queue(tx, notice, at=clock.now())
    await world.notifications.send_due()
    (shown,) = await world.notifications.list_notifications(account_id)
    return shown


async def test_trusted_server_gets_credentials_and_mail_over_tls(
    database: Database, clock: ManualClock, mail: MailSink, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    shown = await send(database, clock, mail.url("helvetia:p%40ss@"))
    assert (shown.state, shown.channel, shown.last_error) == ("sent", "smtp", None)
    assert (len(mail.messages), mail.logins) == (1, [("helvetia", "p@ss")])
    assert mail.ciphers[0].startswith("TLSv1.")


async def test_server_that_nobody_vouches_for_gets_neither_and_it_is_tried_again(
    database: Database, clock: ManualClock, mail: MailSink
) -> None:
    shown = await send(database, clock, mail.url("helvetia:p%40ss@"))
    assert (shown.state, shown.attempt_count, shown.sent_at) == ("due", 1, None)
    assert "mail server" in (shown.last_error or "")
    assert (mail.messages, mail.logins) == ([], [])


async def test_certificate_of_another_machine_is_not_taken(
    database: Database, clock: ManualClock, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with mail_sink("127.0.0.3", context) as other:
        shown = await send(database, clock, other.url("helvetia:p%40ss@"))
    assert (shown.state, other.messages, other.logins) == ("due", [], [])
