"""The Celery application, and the schedule of periodic tasks.

Rows are the queue (decision 0005): every task here only looks for work in rows. So a run that is lost costs the seconds
until the next one.
"""

import os
from typing import Any

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

# Each channel of messages has a queue of its own, and so have imports, so that nothing slow delays another or the
# matching. A worker that is started without `-Q` takes them all.
app.conf.task_queues = [Queue(name) for name in ("celery", "email", "sms", "webhook", "imports")]
app.conf.task_routes = {
    "apps.notifications.tasks.send_emails": {"queue": "email"},
    "apps.notifications.tasks.send_texts": {"queue": "sms"},
    "apps.notifications.tasks.send_webhooks": {"queue": "webhook"},
    "apps.supply.tasks.import_sheets": {"queue": "imports"},
}


def every(seconds: float, task: str) -> dict[str, Any]:
    """A beat entry that expires when the next one is due, so that no runs pile up while there is no worker."""
    return {"task": task, "schedule": seconds, "options": {"expires": seconds}}


# Seconds between two runs. Wake-ups on commit are faster (`notifications.tasks.wake`); these make up for lost ones.
app.conf.beat_schedule = {
    "match what waits": every(5, "apps.matching.tasks.sweep"),
    "solve together what is contested": every(60, "apps.matching.tasks.reallocate"),
    "check that no hold is invalid": every(3600, "apps.matching.tasks.check_holds"),
    "index new and changed offers": every(5, "apps.matching.tasks.index_offers"),
    "refresh statistics of suppliers": every(3600, "apps.matching.tasks.refresh_supplier_statistics"),
    "replay drafts of the policy": every(15, "apps.matching.tasks.replay_drafts"),
    "forget old drafts of the policy and their replays": every(3600, "apps.matching.tasks.purge_replays"),
    "watch verifications": every(10, "apps.matching.tasks.watch_verifications"),
    "send e-mails": every(5, "apps.notifications.tasks.send_emails"),
    "send text messages": every(5, "apps.notifications.tasks.send_texts"),
    "send webhooks": every(5, "apps.notifications.tasks.send_webhooks"),
    "forget what was sent long ago": every(3600, "apps.notifications.tasks.purge"),
    "look for organisations that stand here twice": every(60, "apps.duplicates.tasks.look"),
    "move what was posted for a merged organisation": every(60, "apps.duplicates.tasks.follow"),
    "age demands": every(60, "apps.demands.tasks.sweep"),
    "age offers": every(60, "apps.supply.tasks.sweep"),
    "forget answers kept for repeats": every(3600, "apps.api.tasks.forget_old_keys"),
    "publish the sums of the hour": every(60, "apps.exports.tasks.publish"),
    "forget old tombstones": every(3600, "apps.exports.tasks.forget_tombstones"),
    "import sheets": every(15, "apps.supply.tasks.import_sheets"),
    "forget ended sessions": every(3600, "apps.portal.tasks.forget_ended_sessions"),
    "forget tokens and invitations that ended": every(3600, "apps.accounts.tasks.purge"),
    "forget old imports": every(3600, "apps.supply.tasks.purge_imports"),
    "prove that beat and worker live": every(10, "apps.ops.tasks.heartbeat"),
}


@setup_logging.connect
def keep_our_logging(**_: Any) -> None:
    """Celery would otherwise replace the loggers of `settings.LOGGING`."""
    from logging.config import dictConfig

    dictConfig(settings.LOGGING)
