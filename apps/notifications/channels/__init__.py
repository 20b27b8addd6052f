"""The channels, one module each, with one class that is a `Sender`: a context that keeps its connection for a batch."""

from types import TracebackType
from typing import Protocol, Self

from apps.notifications.models import Message


class DeliveryError(Exception):
    """A message could not be handed over.

    `permanent` means that trying again is of no use. `unreachable` means that the other side does not answer at all,
    so other messages on the same route need not be tried now.
    """

    def __init__(self, reason: str, *, permanent: bool = False, unreachable: bool = False) -> None:
        super().__init__(reason)
        self.permanent = permanent
        self.unreachable = unreachable


class RouteDownError(DeliveryError):
    """There is no way to the other side, so nothing was tried: no attempt of the message, and none of the next ones."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, unreachable=True)


class EndpointGoneError(DeliveryError):
    """The receiver has asked for no more messages (HTTP 410)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, permanent=True)


class Sender(Protocol):
    """One batch through one channel."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def send(self, message: Message) -> None:
        """Hand the message over, or raise `DeliveryError`, or `RouteDownError` where one server takes all messages."""
