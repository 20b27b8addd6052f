"""Webhooks after the Standard Webhooks specification: a signed JSON body `{type, timestamp, data}`.

An organisation typed the address, so it may point anywhere. In production the sender connects only to public addresses.
It checks what the name resolves to at that moment, and it follows no redirects. A receiver that answers one byte at a
time cannot hold the sender longer than `PATIENCE`.
"""

import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final, Self

import httpcore
from django.conf import settings
from django.utils import timezone
from django.utils.module_loading import import_string
from standardwebhooks import Webhook

from apps.notifications.channels import DeliveryError, EndpointGoneError
from apps.notifications.models import Message, WebhookEndpoint

# In seconds. `PATIENCE` is for the whole exchange, however it is divided.
CONNECT_TIMEOUT: Final = 5.0
PATIENCE: Final = 10.0


class AddressRefusedError(httpcore.ConnectError):
    """The name leads into a network that is not public."""


class WebhookSender:
    def __init__(self) -> None:
        self._backend = _GuardedBackend()
        # No retries here: the outbox tries again, with a back-off.
        # Several threads send at once, each to another endpoint.
        self._pool = httpcore.ConnectionPool(network_backend=self._backend, max_connections=20, retries=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.close()

    def send(self, message: Message) -> None:
        endpoint = message.endpoint
        if endpoint is None or not endpoint.is_active:
            raise DeliveryError("The endpoint has been switched off.", permanent=True)
        # What was its own is another's now. It is told only that it was merged.
        if endpoint.organisation.is_merged and message.event != "organisation.merged":
            raise DeliveryError("The organisation was merged into another one.", permanent=True)

        body, headers = compose(message, endpoint)
        self._backend.deadline = time.monotonic() + PATIENCE
        try:
            with self._pool.stream(
                "POST",
                endpoint.url,
                headers=headers,
                content=body,
                extensions={"timeout": {"connect": CONNECT_TIMEOUT, "read": PATIENCE, "write": PATIENCE, "pool": 1}},
            ) as response:
                status = response.status  # the body is of no interest
        except AddressRefusedError as error:
            raise DeliveryError(str(error), permanent=True) from error
        except (httpcore.UnsupportedProtocol, httpcore.LocalProtocolError, UnicodeError, ValueError) as error:
            raise DeliveryError(f"The address cannot be used: {error}", permanent=True) from error
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.RemoteProtocolError, OSError) as error:
            raise DeliveryError(f"The endpoint cannot be reached: {error!r}", unreachable=True) from error
        _judge(status)


def _judge(status: int) -> None:
    if 200 <= status < 300:
        return
    if status == 410:
        raise EndpointGoneError("The endpoint answered 410: it wants no more messages.")
    # Redirects are not followed: they could lead into a private network. A 4xx is tried again, too: most come from a
    # release of the receiver that went wrong, and are mended within a day.
    raise DeliveryError(f"The endpoint answered {status}.", unreachable=True)


def data_of(message: Message) -> dict[str, Any]:
    """What is told of the event of a message at this moment."""
    data: dict[str, Any] = import_string(settings.WEBHOOK_DATA)(message.event, message.context)
    return data


def compose(message: Message, endpoint: WebhookEndpoint) -> tuple[bytes, dict[bytes | str, bytes | str]]:
    """The body and the headers. A message that is sent again has the same id, and a new time of signing."""
    now = timezone.now()
    body = json.dumps(
        {"type": message.event, "timestamp": message.created_at.isoformat(), "data": message.context},
        ensure_ascii=False,
        separators=(",", ":"),
    )
    return body.encode(), {
        "Content-Type": "application/json",
        "User-Agent": "CosmoMatch-Webhooks/1",
        "webhook-id": str(message.uid),
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(endpoint.secret).sign(str(message.uid), now, body),
    }


def is_public(address: str) -> bool:
    """Whether hosts of the public internet may have this address: an allow-list, so a new range of another use is
    refused.

    An IPv6 address that carries an IPv4 address for a gateway (mapped, NAT64) is judged by the latter.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and (inner := ip.ipv4_mapped or _inside_nat64(ip)):
        ip = inner
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast
    return ip in _GLOBAL_UNICAST and not any(ip in network for network in _NOT_OF_HOSTS)


def _inside_nat64(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None


# RFC 6052: IPv6 addresses that carry an IPv4 address in their last 32 bits.
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
# All that IANA has given out to hosts (its registry "IPv6 Global Unicast Address Space"), and what is set aside in it:
# protocol assignments with Teredo, documentation twice, and 6to4.
_GLOBAL_UNICAST: Final = ipaddress.ip_network("2000::/3")
_NOT_OF_HOSTS: Final = [ipaddress.ip_network(name) for name in ("2001::/23", "2001:db8::/32", "3fff::/20", "2002::/16")]


class _GuardedBackend(httpcore.NetworkBackend):
    """Connects only to public addresses, and gives up at a deadline even if the other side sends a byte at a time."""

    def __init__(self) -> None:
        self._plain = httpcore.SyncBackend()
        self._exchange = threading.local()  # each thread has an exchange of its own

    @property
    def deadline(self) -> float:
        """When the exchange of this thread must end, by the monotonic clock."""
        return float(self._exchange.deadline)

    @deadline.setter
    def deadline(self, value: float) -> None:
        self._exchange.deadline = value

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(f"{host} is not known: {error}") from error
        addresses = [str(entry[4][0]) for entry in found]
        if not settings.WEBHOOKS_MAY_BE_PRIVATE and not all(is_public(address) for address in addresses):
            raise AddressRefusedError(f"{host} leads to an address that is not public.")
        # The addresses that were checked are those that are connected to. Resolving the name again here would allow DNS
        # rebinding.
        failure: Exception = httpcore.ConnectError(f"{host} has no address.")
        for address in dict.fromkeys(addresses):
            try:
                stream = self._plain.connect_tcp(address, port, timeout, local_address, socket_options)
                return _Stream(stream, self)
            except (httpcore.NetworkError, httpcore.TimeoutException) as error:
                failure = error
        raise failure


class _Stream(httpcore.NetworkStream):
    """A stream on which no read or write waits beyond the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, backend: _GuardedBackend) -> None:
        self._stream = stream
        self._backend = backend

    def _left(self) -> float:
        left = self._backend.deadline - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout(f"No answer within {PATIENCE:.0f} s.")
        return left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, self._left()), self._backend)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
