"""Limits how many requests one caller may make per minute. Redis keeps the counts; without it nobody is limited.

Answers tell how many are left in the headers `RateLimit` and `RateLimit-Policy`, as draft 10 of the IETF's "RateLimit
header fields for HTTP" writes them.
"""

import math
import time
from typing import Any, Final

import structlog
from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

log = structlog.get_logger(__name__)

WINDOW: Final = 60  # seconds


class PerMinuteThrottle(BaseThrottle):
    """Fixed windows of a minute, for each user whatever the token, else each address. A rate of 0 limits nothing."""

    def __init__(self) -> None:
        self.left = 1.0

    def allow_request(self, request: Request, _view: Any) -> bool:
        caller, rate = self._caller(request)
        if not rate:
            return True

        now = time.time()
        self.left = WINDOW - now % WINDOW
        try:
            count = self._count(f"throttle:{caller}:{int(now // WINDOW)}")
        # ValueError: what was counted was deleted meanwhile.
        except (RedisError, OSError, ValueError) as error:
            log.warning("throttling_without_redis", error=str(error))
            return True
        request.rate_limit_headers = {  # type: ignore[attr-defined]  # `ApiView` sends them
            "RateLimit-Policy": f'"minute";q={rate};w={WINDOW}',
            "RateLimit": f'"minute";r={max(rate - count, 0)};t={math.ceil(self.left)}',
        }
        return count <= rate

    def wait(self) -> float:
        return self.left

    def _caller(self, request: Request) -> tuple[str, int]:
        """Who is counted, and how many requests per minute they may make."""
        # By user and not by token: whoever may make tokens could have as many allowances as they like.
        if request.user.is_authenticated:
            return f"user:{request.user.pk}", settings.API_REQUESTS_PER_MINUTE
        return f"anonymous:{self.get_ident(request)}", settings.API_ANONYMOUS_REQUESTS_PER_MINUTE

    @staticmethod
    def _count(key: str) -> int:
        try:
            return cache.incr(key)
        except ValueError:  # the first request of this window
            # `add` writes only if there is nothing, so that of two first requests neither is lost. The count outlives
            # its window, so that it does not vanish between the two commands.
            cache.add(key, 0, timeout=2 * WINDOW)
            return cache.incr(key)
