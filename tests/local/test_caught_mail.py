"""The pages of the mail that was caught: for a developer on this machine, and nobody else."""

from pathlib import Path

import pytest
from django.test import Client
from pytest_django import Settings

pytestmark = pytest.mark.django_db


@pytest.fixture
def mails(settings: Settings, tmp_path: Path) -> Path:
    settings.VAR_DIR, settings.EMAIL_IS_CAUGHT, settings.PRODUCTION = tmp_path, True, False
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "one.eml").write_text(
        "Subject: =?utf-8?b?6ZyA6KaB?=\nTo: b@example.org\n\nSee http://127.0.0.1:8000/a/x\n", encoding="utf-8"
    )
    (tmp_path / "secret_key").write_text("secret", encoding="utf-8")
    return tmp_path


@pytest.mark.usefixtures("mails")
def test_a_developer_reads_caught_mail(client: Client) -> None:
    assert "需要" in client.get("/dev/mail/").content.decode()
    assert 'href="http://127.0.0.1:8000/a/x"' in client.get("/dev/mail/one.eml").content.decode()
    assert client.get("/dev/mail/secret_key").status_code == 404


@pytest.mark.usefixtures("mails")
def test_nobody_else_does(client: Client, settings: Settings) -> None:
    assert client.get("/dev/mail/", REMOTE_ADDR="203.0.113.7").status_code == 404
    settings.PRODUCTION = True
    assert client.get("/dev/mail/").status_code == 404
    assert client.get("/dev/mail/one.eml").status_code == 404
