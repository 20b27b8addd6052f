"""Of several beats one sends tasks. It holds a lease in Redis, and another beat takes over when that ends."""

import uuid
from typing import Any, Final

import structlog
from celery.beat import Scheduler
from django.core.cache import cache
from redis.exceptions import RedisError

from apps.ops.tasks import touch_heartbeat_file

log = structlog.get_logger(__name__)

KEY: Final = "ops:beat-lease"
# Seconds. Longer than a few looks, so that a beat that is slow for a moment keeps it.
LEASE: Final = 10
LOOKS_EVERY: Final = 3


class LeasedScheduler(Scheduler):
    """Celery's schedule in memory: all intervals are short, so beat need not remember anything on disk."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.name = str(uuid.uuid4())
        self.has_lease = False

    def tick(self, *args: Any, **options: Any) -> float:
        """Send what is due; returns the seconds until the next look."""
        had_it, self.has_lease = self.has_lease, self._take_lease()
        if had_it != self.has_lease:
            log.info("beat_takes_over" if self.has_lease else "beat_waits")
        if not self.has_lease:
            touch_heartbeat_file()  # it sends nothing, which would show that it lives
            return LOOKS_EVERY
        return min(LOOKS_EVERY, super().tick(*args, **options))

    def _take_lease(self) -> bool:
        try:
            # `add` writes only if nobody holds it.
            return cache.add(KEY, self.name, LEASE) or (cache.get(KEY) == self.name and cache.touch(KEY, LEASE))
        except RedisError:
            # Without Redis nothing can be sent, either.
            return False
