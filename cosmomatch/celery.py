"""The Celery application: its queues, and the schedule of periodic tasks.

Rows are the queue (decision 0005): every task here only looks for work in rows. So a run that is lost costs the seconds
until the next one.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from celery import Celery
from celery.signals import setup_logging
from django.conf import settings
from django_structlog.celery.steps import DjangoStructLogInitStep
from kombu import Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cosmomatch.settings")

app = Celery("cosmomatch")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add(DjangoStructLogInitStep)  # binds the ids of the request that sent a task


@dataclass(frozen=True)
class TaskQueue:
    """Tasks that are promised within the same time, so that none of them waits behind longer ones."""

    # A task is asked to end after so many seconds, and killed 30 s later. Less than `visibility_timeout`, after which
    # another worker would run the same task beside this one.
    seconds: int
    # By the name of each task, the seconds between two runs; 0 if it is only woken.
    tasks: Mapping[str, float]


PROMISES: Final = {
    # Seconds: a need is matched, and both sides are told.
    "match": TaskQueue(60, {
        "apps.matching.tasks.sweep": 0,
        "apps.ops.tasks.heartbeat": 10,
    }),
    # Each channel by itself, so that no slow server delays another's.
    "email": TaskQueue(210, {"apps.notifications.tasks.send_emails": 0}),
    "sms": TaskQueue(210, {"apps.notifications.tasks.send_texts": 0}),
    "webhook": TaskQueue(210, {"apps.notifications.tasks.send_webhooks": 0}),
    # A minute: what time does to rows, batch by batch.
    "clocks": TaskQueue(90, {
        "apps.matching.tasks.expire_holds": 0,
        "apps.matching.tasks.escalate": 0,
        "apps.matching.tasks.index_offers": 60,
        "apps.matching.tasks.watch_verifications": 60,
        "apps.demands.tasks.sweep": 60,
        "apps.supply.tasks.sweep": 60,
    }),
    # Minutes: contested items solved together.
    "allocation": TaskQueue(210, {
        "apps.matching.tasks.reallocate": 60,
        "apps.matching.tasks.allocate_next": 0,
    }),
    # As soon as may be: imports, replays, statistics, and what is kept no longer.
    "heavy": TaskQueue(210, {
        "apps.supply.tasks.import_sheets": 0,
        "apps.matching.tasks.replay_drafts": 60,
        "apps.matching.tasks.count_levers": 60,
        "apps.duplicates.tasks.look": 60,
        "apps.duplicates.tasks.follow": 60,
        "apps.exports.tasks.publish": 60,
        "apps.exports.tasks.count_regions": 60,
        "apps.matching.tasks.check_holds": 3600,
        "apps.matching.tasks.refresh_supplier_statistics": 3600,
        "apps.matching.tasks.purge_replays": 3600,
        "apps.notifications.tasks.purge": 3600,
        "apps.api.tasks.forget_old_keys": 3600,
        "apps.exports.tasks.forget_tombstones": 3600,
        "apps.portal.tasks.forget_ended_sessions": 3600,
        "apps.accounts.tasks.purge": 3600,
        "apps.supply.tasks.purge_imports": 3600,
    }),
}  # fmt: skip

# Commits wake tasks at once (`notifications.tasks.wake`). For wake-ups that were lost, and for what falls due with
# time, `poll` looks every so many seconds, in the first of these queues for all of them.
POLLS: Final[dict[tuple[str, ...], float]] = {
    ("match",): 5,
    ("email", "sms", "webhook"): 5,
    ("clocks",): 5,
    ("heavy",): 15,
}

# A worker that is started without `-Q` takes them all.
app.conf.task_queues = [Queue(name) for name in PROMISES]
app.conf.task_default_queue = "heavy"
app.conf.task_routes = {task: {"queue": name} for name, queue in PROMISES.items() for task in queue.tasks}
app.conf.task_annotations = {
    task: {"soft_time_limit": queue.seconds, "time_limit": queue.seconds + 30}
    for queue in PROMISES.values()
    for task in queue.tasks
}


def every(seconds: float, task: str, *queues: str) -> dict[str, Any]:
    """A beat entry that expires when the next one is due, so that no runs pile up while there is no worker."""
    options = {"expires": seconds} | ({"queue": queues[0]} if queues else {})
    return {"task": task, "schedule": seconds, "args": queues, "options": options}


app.conf.beat_schedule = {
    task: every(seconds, task) for queue in PROMISES.values() for task, seconds in queue.tasks.items() if seconds
} | {f"poll {queues[0]}": every(seconds, "apps.notifications.tasks.poll", *queues) for queues, seconds in POLLS.items()}


@setup_logging.connect
def keep_our_logging(**_: Any) -> None:
    """Celery would otherwise replace the loggers of `settings.LOGGING`."""
    from logging.config import dictConfig

    dictConfig(settings.LOGGING)
