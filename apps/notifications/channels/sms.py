"""Text messages through an HTTP gateway: `POST {to, text, id}`, JSON with a bearer token. A repeat has the same id."""

from types import TracebackType
from typing import Self

import httpx
from django.conf import settings

from apps.notifications.channels import DeliveryError, RouteDownError
from apps.notifications.models import Message
from apps.notifications.rendering import render_sms

TIMEOUT = httpx.Timeout(10, connect=5)
# Answers that say nothing about this message: a wrong token of ours, a time-out, and too many requests.
NOT_ITS_FAULT = frozenset({401, 408, 429})


class SmsSender:
    def __init__(self) -> None:
        self._client = httpx.Client(timeout=TIMEOUT, follow_redirects=False, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def send(self, message: Message) -> None:
        if not settings.SMS_GATEWAY_URL:
            raise DeliveryError("No gateway for text messages is set (SMS_GATEWAY_URL).")
        try:
            response = self._client.post(
                settings.SMS_GATEWAY_URL,
                json={"to": message.address, "text": render_sms(message), "id": str(message.uid)},
                headers={"Authorization": f"Bearer {settings.SMS_GATEWAY_TOKEN}"},
            )
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise RouteDownError(f"The gateway cannot be reached: {error!r}") from error
        except httpx.HTTPError as error:
            raise DeliveryError(f"The gateway broke off: {error!r}", unreachable=True) from error
        if response.is_success:
            return
        # Any other 4xx is about the message itself, such as a number that does not exist: no use in trying again.
        permanent = response.is_client_error and response.status_code not in NOT_ITS_FAULT
        raise DeliveryError(
            f"The gateway answered {response.status_code}.", permanent=permanent, unreachable=not permanent
        )
