"""E-mail over SMTP: text and HTML, one connection for a batch."""

import contextlib
import smtplib
from types import TracebackType
from typing import Any, Self

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection

from apps.notifications.channels import DeliveryError, RouteDownError
from apps.notifications.models import Message
from apps.notifications.rendering import render_mail


class EmailSender:
    def __init__(self) -> None:
        self._connection: Any = get_connection(fail_silently=False)
        self._sent = 0  # messages on this connection

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def send(self, message: Message) -> None:
        mail = compose(message, self._connection)
        worked_before = self._sent > 0
        try:
            self._deliver(mail)
        except DeliveryError as error:
            if not (error.unreachable and worked_before):
                raise
            # Servers hang up after so many messages, or when they restart: a new connection says whether they are back.
            self._deliver(mail)

    # The order matters: smtplib's exceptions are all OSErrors, so the special ones are caught first.
    def _deliver(self, mail: EmailMultiAlternatives) -> None:
        self._open()
        try:
            sent = mail.send()
        except smtplib.SMTPRecipientsRefused as error:
            raise self._answered(*next(iter(error.recipients.values()))) from error
        except smtplib.SMTPDataError as error:
            raise self._answered(error.smtp_code, error.smtp_error) from error
        except smtplib.SMTPNotSupportedError as error:  # an address in letters that this server does not know
            raise DeliveryError(str(error), permanent=True) from error
        except OSError as error:  # all other trouble of smtplib too; a refused sender is our mistake, not the message's
            self._close()
            raise DeliveryError(f"The mail server broke off: {error}", unreachable=True) from error
        except ValueError as error:  # an address that is none, or a header that would have been two
            raise DeliveryError(str(error), permanent=True) from error
        if not sent:
            raise DeliveryError("There is no address.", permanent=True)
        self._sent += 1

    def _open(self) -> None:
        try:
            self._connection.open()
        except OSError as error:
            self._close()
            raise RouteDownError(f"The mail server cannot be reached: {error}") from error

    def _answered(self, code: int, reason: bytes | str) -> DeliveryError:
        """What the server said about this message; with 421 it says good-bye to all of them."""
        words = reason.decode(errors="replace") if isinstance(reason, bytes) else reason
        if code == 421:
            self._close()
        return DeliveryError(f"{code} {words}", permanent=code >= 500, unreachable=code == 421)

    def _close(self) -> None:
        self._sent = 0
        with contextlib.suppress(OSError):
            self._connection.close()
        self._connection.connection = None


def compose(message: Message, connection: Any = None) -> EmailMultiAlternatives:
    """The mail. Its Message-ID is that of the message, so that a repeat can be told from a second one."""
    rendered = render_mail(message)
    mail = EmailMultiAlternatives(
        rendered.subject,
        rendered.text,
        to=[message.address],
        connection=connection,
        headers={
            "Message-ID": f"<{message.uid}@{settings.SITE_HOST or 'localhost'}>",
            # RFC 3834: holiday notices and the like do not answer such a mail.
            "Auto-Submitted": "auto-generated",
            "Content-Language": message.language,
        },
    )
    mail.attach_alternative(rendered.html, "text/html")
    return mail
