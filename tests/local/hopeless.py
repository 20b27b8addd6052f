"""Settings and tasks of a program in which some tasks take for ever."""

import time

from celery import shared_task
from django.core.cache import cache

from cosmomatch.settings import *  # noqa: F403  all of them

CELERY_IMPORTS = ["tests.local.hopeless"]


@shared_task
def hope(number: int) -> None:
    cache.set(f"hopes:{number}", True)
    time.sleep(600)
