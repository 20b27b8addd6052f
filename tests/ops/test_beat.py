"""Two beats at one Redis."""

import pytest
from django.core.cache import cache
from pytest_django import Settings

from apps.ops import beat
from apps.ops.beat import LeasedScheduler
from apps.ops.tasks import heartbeat
from cosmomatch import celery_app


@pytest.fixture(autouse=True)
def clean_cache() -> None:
    cache.clear()


def test_of_two_beats_one_sends_and_the_other_takes_over_when_it_is_gone() -> None:
    first, second = (LeasedScheduler(celery_app, lazy=True) for _beat in range(2))

    first.tick()
    assert second.tick() == beat.LOOKS_EVERY
    assert (first.has_lease, second.has_lease) == (True, False)
    first.tick()
    assert first.has_lease, "it renews its own"

    cache.delete(beat.KEY)  # the first is gone for longer than its lease
    second.tick()
    first.tick()
    assert (first.has_lease, second.has_lease) == (False, True)


def test_a_beat_without_the_lease_sends_nothing() -> None:
    cache.set(beat.KEY, "another", beat.LEASE)
    waiting = LeasedScheduler(celery_app)
    waiting.tick()

    assert {entry.total_run_count for entry in waiting.schedule.values()} == {0}


def test_a_beat_renews_its_lease_before_it_ends() -> None:
    assert LeasedScheduler(celery_app, lazy=True).tick() <= beat.LEASE / 3
    assert heartbeat.name in {entry["task"] for entry in celery_app.conf.beat_schedule.values()}


def test_without_redis_a_beat_waits(settings: Settings, tmp_path: object) -> None:
    settings.CACHES = {"default": settings.CACHES["default"] | {"LOCATION": f"unix://{tmp_path}/nobody.sock"}}
    waiting = LeasedScheduler(celery_app, lazy=True)

    assert waiting.tick() == beat.LOOKS_EVERY
    assert not waiting.has_lease
