"""How long promises took, counted by matching and by the sender, and shown to Prometheus."""

import datetime as dt
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from apps.fulfilment import services as fulfilment
from apps.matching import services as matching
from apps.matching.models import Match
from apps.notifications import sending
from apps.notifications.models import Message
from apps.notifications.promises import LIMITS, Promise, histograms, observe
from tests.factories import DemandFactory, OfferFactory, member

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clean_cache() -> None:
    cache.clear()


def numbers() -> dict[Promise, int]:
    return {promise: sum(histogram.counts) for promise, histogram in histograms().items()}


def test_asking_telling_and_answering_count_once_each() -> None:
    demand, offer = DemandFactory.create(queued=True), OfferFactory.create()
    member(offer.organisation)
    member(demand.organisation)

    matching.sweep()
    assert numbers() == {Promise.POST_TO_ASKED: 1, Promise.ASKED_TO_TOLD: 0, Promise.ANSWER_TO_TOLD: 0}
    sending.send_due()
    fulfilment.accept_match(Match.objects.held().get(), by=None)
    sending.send_due()

    assert numbers() == dict.fromkeys(Promise, 1)


def test_a_message_counts_from_when_it_was_queued() -> None:
    DemandFactory.create(queued=True)
    member(OfferFactory.create().organisation)
    matching.sweep()
    Message.objects.update(created_at=timezone.now() - dt.timedelta(seconds=45))

    sending.send_due()

    told = histograms()[Promise.ASKED_TO_TOLD]
    assert told.counts[LIMITS.index(60)] == 1
    assert 45 <= told.sum < 60


def test_the_histogram_is_shown_with_classes_that_add_up(client: Client) -> None:
    observe(Promise.POST_TO_ASKED, [0.2, 0.2, 4, 9999])

    page = client.get("/metrics").content.decode()

    name = 'cosmomatch_promise_seconds_bucket{le="%s",promise="post_to_asked"}'
    assert f"{name % '0.5'} 2.0" in page
    assert f"{name % '5'} 3.0" in page
    assert f"{name % '+Inf'} 4.0" in page
    assert 'cosmomatch_promise_seconds_sum{promise="post_to_asked"} 10003.4' in page


def test_without_redis_nothing_is_counted_and_nothing_fails(client: Client, settings: Settings, tmp_path: Path) -> None:
    settings.CACHES = {"default": django_settings.CACHES["default"] | {"LOCATION": f"unix://{tmp_path}/nobody.sock"}}

    observe(Promise.POST_TO_ASKED, [1])

    answer = client.get("/metrics")
    assert (answer.status_code, b"cosmomatch_promise" in answer.content) == (200, False)
