"""When a crowd falls due at once: few statements, batch by batch, until nothing is left."""

import datetime as dt
from collections.abc import Callable
from functools import partial

import pytest
from celery import Task
from django.core.cache import cache
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.core.posts import AT_ONCE
from apps.demands import freshness as demand_freshness
from apps.demands import tasks as demand_tasks
from apps.demands.models import Demand, DemandState
from apps.matching import escalation, services
from apps.matching.desks import notices as desk_notices
from apps.matching.models import Escalation, Match, MatchState
from apps.matching.tasks import escalate, expire_holds, index_offers
from apps.notifications.models import Message, Notification
from apps.notifications.tasks import poll
from apps.policy.models import Policy
from apps.supply import freshness as offer_freshness
from apps.supply import tasks as supply_tasks
from apps.supply.models import Offer, OfferState
from cosmomatch.celery import app
from tests.factories import DemandFactory, ItemFactory, MatchFactory, OfferFactory, OrganisationFactory, member, region
from tests.notifications.test_tasks import waiting
from tests.plans import rows_read

LONG_AGO = timezone.now() - dt.timedelta(days=99)
CLOCKS: tuple[Callable[..., object], ...] = (
    demand_freshness.ask_whether_still_needed,
    demand_freshness.suspend_stale,
    offer_freshness.ask_whether_still_there,
    offer_freshness.suspend_stale,
    escalation.escalate_due,
)


def crowd(size: int) -> None:
    """As many needs and offers, of one organisation each, whose clocks have all run out."""
    item = ItemFactory.create()
    body, maker = OrganisationFactory.create(), OrganisationFactory.create(kind="supplier", region=region("440300"))
    for each in (body, maker):
        member(each)
    OrganisationFactory.create(kind="coordinator", region=region("CN"))
    for clock in ({"ask_at": LONG_AGO}, {"stale_at": LONG_AGO, "asked_at": LONG_AGO}, {"escalates_at": LONG_AGO}):
        Demand.objects.bulk_create(DemandFactory.build_batch(size, organisation=body, item=item, **clock))
    for asked_at in (None, LONG_AGO):
        rows = OfferFactory.build_batch(size, organisation=maker, item=item, confirmed_at=LONG_AGO, asked_at=asked_at)
        Offer.objects.bulk_create(rows)


@pytest.mark.django_db
def test_a_batch_takes_as_many_statements_however_many_are_due() -> None:
    def statements(size: int) -> list[int]:
        crowd(size)
        counted = []
        for work in CLOCKS:
            with CaptureQueriesContext(connection) as captured:
                work(limit=size)
            counted.append(len(captured))
        return counted

    statements(1)  # what is remembered from now on
    few = statements(3)
    assert statements(9) == few
    assert max(few) <= 20
    assert Demand.objects.filter(asked_at=None, ask_at=LONG_AGO).count() == 0
    assert Demand.objects.filter(state=DemandState.STALE).count() == 13
    assert Offer.objects.filter(state=OfferState.STALE).count() == 13
    assert Offer.objects.filter(asked_at=None).count() == 0
    assert Escalation.objects.count() == 13
    assert Notification.objects.count() == 13 * 5, "each owner hears of each, once"
    assert Message.objects.count() == 13 * 5 + 1, "and the coordinator, who has no members, by mail of the first"
    desk_notices.tell_desks(now=timezone.now() + dt.timedelta(hours=1))
    assert Message.objects.get(event="escalations.gathered").context["needs"] == 12


@pytest.mark.django_db
def test_twenty_escalations_are_no_longer_each_explained() -> None:
    def statements(size: int) -> int:
        crowd(size)
        with CaptureQueriesContext(connection) as captured:
            escalation.escalate_due(limit=AT_ONCE)
        return len(captured)

    statements(1)  # what is remembered from now on
    assert statements(20) == statements(40) < statements(10), "ten are explained: their suppliers are counted"


@pytest.mark.django_db
def test_a_batch_reads_as_many_rows_however_many_wait_behind_it() -> None:
    now, policy = timezone.now(), Policy.objects.current().values
    looks: tuple[tuple[str, Callable[[], QuerySet[Demand] | QuerySet[Offer]]], ...] = (
        ("ask_at", lambda: Demand.objects.to_be_asked(now)),
        ("stale_at", lambda: Demand.objects.gone_stale(now)),
        ("confirmed_at", lambda: Offer.objects.to_be_asked(now, policy)),
        ("escalates_at", lambda: Demand.objects.escalation_due(now).open()),
    )

    def read() -> list[int]:
        return [rows_read(partial(list, look().order_by(clock)[:5])) for clock, look in looks]

    # With fewer rows the planner would rather read all of them.
    crowd(100)
    few = read()
    crowd(200)
    assert read() == few == [5, 5, 5, 5]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "task", [demand_tasks.sweep, supply_tasks.sweep, escalate], ids=["needs", "offers", "escalations"]
)
def test_a_crowd_is_dealt_with_turn_by_turn_until_none_is_left(task: Task[[], dict[str, int]]) -> None:
    cache.clear()
    app.control.purge()
    crowd(AT_ONCE + 1)
    turns = 0
    while any(task().values()):
        assert waiting("clocks") > turns, "each turn sends the next one"
        turns += 1
        cache.clear()
    assert turns == 2
    assert waiting("clocks") == 2, "a turn with nothing to do sends none"
    app.control.purge()


@pytest.mark.django_db
def test_one_look_finds_which_clocks_ring() -> None:
    with CaptureQueriesContext(connection) as captured:
        assert poll("clocks") == []
    assert len(captured) == 1
    DemandFactory.create(escalates_at=LONG_AGO)
    assert poll("clocks") == [escalate.name]
    MatchFactory.create(state=MatchState.HELD, respond_by=LONG_AGO)
    assert sorted(poll("clocks")) == sorted([escalate.name, expire_holds.name, index_offers.name])


@pytest.mark.django_db
def test_matching_leaves_the_clocks_to_their_own_tasks() -> None:
    held = MatchFactory.create(state=MatchState.HELD, respond_by=LONG_AGO)
    services.match_waiting()
    assert Match.objects.get(pk=held.pk).state == MatchState.HELD
    expire_holds()
    assert Match.objects.get(pk=held.pk).state == MatchState.EXPIRED
