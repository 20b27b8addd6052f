"""How gunicorn serves: `python -m gunicorn -c python:apps.ops.web cosmomatch.wsgi`."""

import os
from pathlib import Path
from typing import Any

# gunicorn reads this file before anything of Django, and its numbers are settings.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cosmomatch.settings")
os.environ["PROCESS"] = "web"

from django.conf import settings

bind = settings.WEB_BIND
workers = settings.WEB_PROCESSES
threads = settings.WEB_THREADS
preload_app = True  # what the program imports is in memory once
worker_class = "apps.ops.serving.buffering.BufferingWorker"
graceful_timeout = 20
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  heartbeats; a disk may stall them
control_socket_disable = True
logconfig_dict = settings.LOGGING


def when_ready(_server: Any) -> None:
    from apps.ops.preloading import preload

    preload()


def child_exit(_server: Any, worker: Any) -> None:
    """Gauges of a dead process must not be counted for ever."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]  # the library's
