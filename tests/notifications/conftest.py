from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests.notifications.receivers import PostOffice, Receiver, post_office, receiver


@pytest.fixture
def office(settings: Settings) -> Iterator[PostOffice]:
    """A real mail server, which is where the mails of this test go."""
    with post_office() as office:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", office.port
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        settings.EMAIL_TIMEOUT = 5
        yield office


@pytest.fixture
def partner_system() -> Iterator[Receiver]:
    """A real HTTP server, for webhooks or as a gateway."""
    with receiver() as server:
        yield server
