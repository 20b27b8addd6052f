"""The workers of `make run`: each promise has a process of its own."""

from pathlib import Path

import pytest
from django.core.cache import cache
from django.db import transaction

from apps.matching.models import Match
from apps.matching.tasks import sweep
from apps.notifications.tasks import wake
from cosmomatch.celery import PROMISES, app
from tests.factories import DemandFactory, OfferFactory
from tests.local.processes import eventually, program
from tests.matching.holds.test_races import worker_environment


def test_every_task_is_kept_to_a_promise() -> None:
    app.loader.import_default_modules()
    ours = {name for name in app.tasks if name.startswith("apps.")} - {"apps.notifications.tasks.poll"}
    promised = [name for promise in PROMISES.values() for name in promise.tasks]
    assert sorted(promised) == sorted(ours)


def test_every_task_ends_before_another_worker_gets_it() -> None:
    longest = max(limits["time_limit"] for limits in app.conf.task_annotations.values())
    assert longest < app.conf.broker_transport_options["visibility_timeout"]


@pytest.mark.servers
@pytest.mark.django_db(transaction=True)
def test_hopeless_tasks_of_other_promises_delay_no_match(tmp_path: Path) -> None:
    cache.clear()
    app.control.purge()
    for number, queue in enumerate(["allocation", "heavy"] * 2):
        app.send_task("tests.local.hopeless.hope", [number], queue=queue)
    environment = worker_environment() | {"DJANGO_SETTINGS_MODULE": "tests.local.hopeless", "PROCESS": "worker"}

    with program(tmp_path / "log", "-m", "apps.local.forked", "1", **environment):
        eventually(lambda: cache.get("hopes:0") and cache.get("hopes:1"), "two tasks that never end", 180)
        with transaction.atomic():
            OfferFactory.create()
            DemandFactory.create(queued=True)
            wake(sweep)
        eventually(Match.objects.held().exists, "a match", 30)
    assert cache.get("hopes:2") is cache.get("hopes:3") is None, "those behind them still wait"
    app.control.purge()
