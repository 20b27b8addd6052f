"""Web, workers and beat of `make run`, forked from one process that has loaded the program once.

Each by itself takes some 90 MB. Forked, they share what none of them writes to. A deployment starts each by itself.
"""

import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from apps.local.processes import bound_to_us
from apps.local.supervisor import Process, stop_on_signals, supervise

# What Celery and gunicorn import when they start.
IMPORTED = (
    "celery.apps.beat",
    "celery.apps.worker",
    "celery.concurrency.asynpool",
    "celery.concurrency.thread",
    "celery.worker.consumer",
    "gunicorn.app.wsgiapp",
    "kombu.transport.redis",
    "psycopg_pool",
)


class Child(multiprocessing.get_context("fork").Process):  # type: ignore[misc]  # made at run time
    """One of the program's processes. To its supervisor it looks like a `Popen`."""

    def __init__(self, name: str, work: Callable[[], int | None], environment: Mapping[str, str]) -> None:
        super().__init__(name=name)
        self.work = work
        self.environment = environment
        self.end_with_parent = bound_to_us()

    def run(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.setpgid(0, 0)
        self.end_with_parent()
        adopt(self.environment)
        sys.exit(self.work())

    def poll(self) -> int | None:
        code: int | None = self.exitcode
        return code

    def wait(self, timeout: float | None = None) -> None:
        self.join(timeout)
        if self.exitcode is None:
            raise subprocess.TimeoutExpired(self.name, timeout or 0)


@dataclass
class Forked(Process):
    """A process that is forked and executes no command."""

    work: Callable[[], int | None] = lambda: None

    def spawn(self) -> Any:
        child = Child(self.name, self.work, self.environment)
        child.start()
        return child


def adopt(environment: Mapping[str, str]) -> None:
    """Read the settings anew, as if this process had been started in this environment."""
    from django.conf import settings
    from django.db import connections

    if environment:
        os.environ.update(environment)
        anew = importlib.reload(sys.modules["cosmomatch.settings"])
        for name in filter(str.isupper, dir(anew)):
            setattr(settings, name, getattr(anew, name))
        connections.settings = connections.configure_settings(None)
        for alias in connections:
            with suppress(AttributeError):  # this thread has not asked for it yet
                del connections[alias]


def work_on(name: str, *queues: str, **options: Any) -> int | None:
    from celery import current_app as app

    worker = app.Worker(
        hostname=f"{name}@{os.uname().nodename}",
        queues=queues,
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        **options,
    )
    worker.start()
    code: int | None = worker.exitcode
    return code


def beat() -> None:
    from celery import current_app as app

    app.Beat(quiet=True).run()


def serve(listener: int) -> None:
    from gunicorn.app.wsgiapp import WSGIApplication

    sys.argv = ["gunicorn", "-c", "python:apps.ops.web", "-b", f"fd://{listener}", "cosmomatch.wsgi"]
    WSGIApplication(prog="gunicorn").run()


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def main(workers: int, listener: int | None = None) -> None:
    import django

    django.setup()
    from celery import current_app as app
    from django.core import checks

    from apps.ops.preloading import preload

    app.loader.import_default_modules()
    app.finalize()
    # Once for all: Celery would ask the same of each worker, and write to all that it looks at.
    checks.run_checks()
    os.environ["CELERY_SKIP_CHECKS"] = "1"
    for name in IMPORTED:
        importlib.import_module(name)
    preload()
    group = [
        Forked("worker", work=partial(work_on, "worker", "match", concurrency=workers)),
        *(
            Forked(queue, work=partial(work_on, queue, queue, concurrency=1))
            for queue in ("clocks", "allocation", "heavy")
        ),
        Forked(
            "sender",
            environment={"PROCESS": "sender"},
            work=partial(work_on, "sender", "email", "sms", "webhook", pool_cls="threads", concurrency=4),
        ),
        Forked("beat", work=beat),
    ]
    if listener is not None:
        group.append(Forked("web", environment={"PROCESS": "web"}, work=partial(serve, listener)))
    with stop_on_signals() as stop:
        supervise(
            group,
            is_ready=lambda: True,
            when_ready=lambda: None,
            mend_servers=lambda: None,
            say=say,
            stop=stop,
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
