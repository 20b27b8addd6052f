"""The loop of a Celery worker, which shows every few seconds that it turns."""

import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from celery.worker.consumer import Consumer
from django.core.cache import cache
from redis.exceptions import RedisError

from apps.ops.tasks import KEPT_SECONDS, WORKER_KEY, heartbeat, touch_heartbeat_file

log = structlog.get_logger(__name__)

BEAT_SECONDS: Final = 10


class WatchedConsumer(Consumer):
    """Celery's loop. It beats by itself, so no task that runs for long delays the beat."""

    def register_with_event_loop(self, hub: Any) -> None:
        super().register_with_event_loop(hub)
        # Celery cancels this when the connection is lost, and comes here again when it has a new one.
        hub.timer.call_repeatedly(BEAT_SECONDS, self.beat)
        self.beat()

    def beat(self) -> None:
        touch_heartbeat_file()
        queue = self.app.amqp.router.route({}, heartbeat.name)["queue"].name
        # The heart of a deployment is the worker that matches. Others are watched by their files alone.
        if queue in self.app.amqp.queues.consume_from:
            try:
                cache.set(WORKER_KEY, time.time(), KEPT_SECONDS)
            except (RedisError, OSError) as error:
                log.warning("heartbeat_not_noted", error=str(error))

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, and beat once a second while the broker is away: a process that waits for it does not hang."""
        connect = conn.ensure_connection

        def ensure_connection(*arguments: Any, callback: Callable[[], object], **options: Any) -> Any:
            def wait() -> None:
                touch_heartbeat_file()
                callback()

            return connect(*arguments, callback=wait, **options)

        touch_heartbeat_file()
        conn.ensure_connection = ensure_connection
        return super().ensure_connected(conn)
