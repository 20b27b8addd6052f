"""Deleting rows whose time is over."""

import time
from typing import Any, Final

from django.db.models import QuerySet

BATCH: Final = 2_000
SECONDS: Final = 45.0  # a task may delete from four tables before its own time is over


def delete_in_batches(rows: QuerySet[Any], *, batch: int = BATCH, seconds: float = SECONDS) -> int:
    """Delete these rows until none is left, or the time is over and the next run goes on. Returns how many.

    The rows are in the order of an index, so that a batch reads little more than what it deletes. Each batch is a
    transaction of its own: nobody waits long for it, and it keeps no dead rows of others.
    """
    until = time.monotonic() + seconds
    deleted: int = 0
    while True:
        # Keys first, as a DELETE has no LIMIT.
        keys = list(rows.values_list("pk", flat=True)[:batch])
        _all, by_model = rows.model._default_manager.filter(pk__in=keys).delete()
        deleted += int(by_model.get(rows.model._meta.label, 0))
        if len(keys) < batch or time.monotonic() > until:
            return deleted
