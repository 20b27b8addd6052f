"""The module that Django looks for in an `ENGINE`."""

import time
from typing import Any, ClassVar, Final

import psycopg
from django.db.backends.postgresql import base

REST_SECONDS: Final = 3.0


class DatabaseWrapper(base.DatabaseWrapper):
    """After a connection that could not be had, the next ones fail at once for a moment.

    One request may ask several times, and each time would cost it, and its thread, the five seconds of the pool.
    """

    # By alias, and of the class: each thread has an object of its own.
    resting_until: ClassVar[dict[str, float]] = {}

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        if not self.pool:
            return super().get_new_connection(conn_params)
        if time.monotonic() < self.resting_until.get(self.alias, 0):
            raise psycopg.OperationalError("The database was away a moment ago.")
        try:
            return super().get_new_connection(conn_params)
        except psycopg.OperationalError:
            self.resting_until[self.alias] = time.monotonic() + REST_SECONDS
            raise
