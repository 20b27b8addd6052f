"""Who sees to a stuck need, notes, and the same done to many."""

import datetime as dt

import pytest
from django.utils import timezone

from apps.accounts.models import User
from apps.core.errors import RuleViolation
from apps.core.models import AuditEntry
from apps.demands import decisions
from apps.demands.models import Demand, DemandState
from apps.desk import services
from apps.desk.models import DeskNote, Handling
from tests.factories import DemandFactory, UserFactory

pytestmark = pytest.mark.django_db

NOW = timezone.now()


def test_one_coordinator_has_a_need_and_hands_it_over_only_if_seen(coordinator: User) -> None:
    demand, other = DemandFactory.create(), UserFactory.create(name="Li Wei")
    services.take_need(demand, by=other, now=NOW)
    services.take_need(demand, by=other, now=NOW + dt.timedelta(hours=1))
    assert Handling.objects.get().since == NOW

    with pytest.raises(RuleViolation, match="Li Wei") as refused:
        services.take_need(demand, by=coordinator)
    assert refused.value.code == "taken_by_other"
    services.take_need(demand, by=coordinator, instead_of=other.pk)
    assert Handling.objects.get().owner == coordinator

    with pytest.raises(RuleViolation):
        services.leave_need(demand, by=other)
    services.leave_need(demand, by=coordinator)
    assert not Handling.objects.exists()
    acts = AuditEntry.objects.filter(target_type="demands.demand").order_by("pk").values_list("event", flat=True)
    assert list(acts) == [*["demand.taken"] * 3, "demand.left"]


def test_a_note_is_not_empty(coordinator: User) -> None:
    with pytest.raises(RuleViolation):
        services.write_note(DemandFactory.create(), by=coordinator, text="  ")


def test_two_hours_more_count_from_now_or_from_a_later_clock(coordinator: User) -> None:
    late = DemandFactory.create(escalates_at=NOW - dt.timedelta(hours=1))
    early = DemandFactory.create(escalates_at=NOW + dt.timedelta(hours=1))
    for demand in (late, early):
        decisions.give_more_time(demand, by=coordinator, now=NOW)
    assert late.escalates_at == NOW + dt.timedelta(hours=2)
    assert early.escalates_at == NOW + dt.timedelta(hours=3)

    for none in (DemandFactory.create(escalates_at=None), DemandFactory.create(state="paused", escalates_at=NOW)):
        with pytest.raises(RuleViolation) as refused:
            decisions.give_more_time(none, by=coordinator)
        assert refused.value.code == "no_clock"


def test_of_many_one_that_cannot_be_holds_up_no_other(coordinator: User) -> None:
    good, over, best = DemandFactory.create(), DemandFactory.create(state="cancelled"), DemandFactory.create()

    outcome = services.act_on_many([good, over, best], "pause", by=coordinator, note="Flood")

    assert (outcome.done, [demand for demand, _why in outcome.refused]) == (2, [over])
    assert Demand.objects.filter(state=DemandState.PAUSED, state_note="Flood").count() == 2
    assert set(DeskNote.objects.values_list("demand", "text")) == {(good.pk, "Flood"), (best.pk, "Flood")}


@pytest.mark.parametrize("act", list(services.BulkAct))
def test_each_act_is_done(coordinator: User, act: str) -> None:
    demand = DemandFactory.create()
    assert services.act_on_many([demand], act, by=coordinator, note="Called at 9").done == 1
    assert DeskNote.objects.get().text == "Called at 9"
