"""The cache: Django's own in Redis, with a circuit breaker."""

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from django.core.cache.backends.redis import RedisCache, RedisCacheClient
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

# Seconds for which a Redis that did not answer in time is not asked again.
REST: Final = 5.0

Answer = TypeVar("Answer")


class Breaker(Retry):
    """Never asks twice, and lets a Redis rest that hangs: each call of a request would cost its time-out."""

    def __init__(self) -> None:
        # By default redis-py tries a dead server ten times: 3.4 s a call.
        super().__init__(NoBackoff(), 0)
        self._rests_until = 0.0

    def __deepcopy__(self, _memo: object) -> "Breaker":
        return self  # redis-py copies it for each connection, and all of them lead to one server

    def call_with_retry(self, do: Callable[[], Answer], *args: Any, **options: Any) -> Answer:
        if time.monotonic() < self._rests_until:
            raise RedisConnectionError("Redis did not answer in time, and is not asked again for some seconds.")
        try:
            return super().call_with_retry(do, *args, **options)
        except RedisTimeoutError:
            self._rests_until = time.monotonic() + REST
            raise


class RestingClient(RedisCacheClient):
    def __init__(self, servers: list[str], **options: Any) -> None:
        super().__init__(servers, retry=Breaker(), **options)


class RestingRedisCache(RedisCache):
    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = RestingClient
