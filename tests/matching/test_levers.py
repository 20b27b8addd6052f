"""Levers: what one act would do for many needs is what it does once it is done, and whoever can act is asked."""

import datetime as dt
from collections.abc import Callable

import pytest
from django.utils import timezone

from apps.accounts.models import User
from apps.catalogue.models import Satisfaction
from apps.core.errors import RuleViolation
from apps.core.models import AuditEntry
from apps.demands.models import QuantityKind
from apps.demands.services import request_matching
from apps.matching import services as matching
from apps.matching.models import Lever, LeverCount, LeverEffect, LeverPull
from apps.matching.scoring.causes import Cause
from apps.notifications.models import Message
from apps.supply.models import Offer
from tests.factories import OrganisationFactory, StandardFactory, region
from tests.matching.rematching import WUHAN, asked, need, offer_in

pytestmark = pytest.mark.django_db

NOW = timezone.now()
YESTERDAY = (NOW - dt.timedelta(days=1)).date()


@pytest.fixture(autouse=True)
def offices() -> None:
    """Levers are counted for the regions of desks and departments."""
    for code, kind in (("CN", "coordinator"), ("420000", "government"), ("420100", "coordinator")):
        OrganisationFactory.create(kind=kind, region=region(code))


def count() -> list[Lever]:
    LeverCount.objects.all().delete()
    matching.count_levers()
    return list(Lever.objects.order_by("pk"))


def effect_in(code: str) -> tuple[int, int, int, int]:
    return LeverEffect.objects.values_list("needs", "organisations", "quantity", "tier").get(region=code)


def minimum() -> tuple[Cause, Callable[[], object]]:
    offer = offer_in(WUHAN, 9000, minimum_order=2000)
    return Cause.MINIMUM, lambda: Offer.objects.filter(pk=offer.pk).update(minimum_order=500)


def unstated() -> tuple[Cause, Callable[[], object]]:
    offer_in(WUHAN, 9000, standard=None)
    return Cause.UNSTATED, lambda: Offer.objects.update(standard=StandardFactory.create(code="asked for"))


def standard() -> tuple[Cause, Callable[[], object]]:
    other = StandardFactory.create(code="another")
    offer_in(WUHAN, 9000, standard=other)
    asked_for = StandardFactory.create(code="asked for")
    return Cause.STANDARD, lambda: Satisfaction.objects.create(offered=other, demanded=asked_for)


def certificate() -> tuple[Cause, Callable[[], object]]:
    offer_in(WUHAN, 9000, certificate_number="1", certificate_valid_until=YESTERDAY)
    return Cause.CERTIFICATE, lambda: Offer.objects.update(certificate_valid_until=NOW.date())


def stale() -> tuple[Cause, Callable[[], object]]:
    offer_in(WUHAN, 9000, state="stale", state_code="nobody_confirmed")
    return Cause.STALE, lambda: Offer.objects.update(state="published", state_code="")


@pytest.mark.parametrize("kept_back", [minimum, unstated, standard, certificate, stale])
def test_a_lever_promises_what_its_act_brings(kept_back: Callable[[], tuple[Cause, Callable[[], object]]]) -> None:
    asked_for = StandardFactory.create(code="asked for") if kept_back in {unstated, standard} else None
    needs = [need(500, standard=asked_for) for _ in range(3)]
    cause, act = kept_back()
    matching.sweep()
    assert asked() == {}

    [lever] = count()
    assert lever.cause == cause
    assert effect_in("420100") == effect_in("420000") == effect_in("CN") == (3, 3, 1500, 1)

    act()
    request_matching([one.pk for one in needs], now=timezone.now())
    matching.sweep()
    assert sum(asked().values()) == 1500
    assert count() == []


def test_stock_for_one_need_is_promised_to_one() -> None:
    for _ in range(3):
        need(500)
    offer_in(WUHAN, 700, minimum_order=600)

    count()

    assert effect_in("CN") == (1, 1, 500, 1)


def test_no_lever_where_a_second_term_refuses() -> None:
    need(500, standard=StandardFactory.create())
    offer_in(WUHAN, 9000, standard=None, minimum_order=600)
    offer_in(WUHAN, 9000, minimum_order=600, ships_to=["440000"])

    assert count() == []


def test_unknown_quantities_take_a_plausible_minimum_in_it() -> None:
    asked_for = StandardFactory.create()
    need(None, quantity_kind=QuantityKind.UNSPECIFIED, standard=asked_for)
    offer_in(WUHAN, 9000, standard=None, minimum_order=600)

    [lever] = count()

    assert lever.cause == Cause.UNSTATED
    assert effect_in("CN") == (1, 1, 600, 1)


def test_nothing_is_kept_for_regions_without_an_office() -> None:
    need(500)
    offer_in(WUHAN, 9000, minimum_order=600)

    count()

    assert set(LeverEffect.objects.values_list("region_id", flat=True)) == {"CN", "420000", "420100"}


def test_what_is_counted_again_stays_the_same_row() -> None:
    need(500)
    offer_in(WUHAN, 9000, minimum_order=600)
    [before] = count()
    need(400)

    [after] = count()

    assert (after.pk, before.minimum, after.minimum) == (before.pk, 500, 400)
    assert effect_in("CN") == (2, 2, 900, 1)


def test_a_count_rests_as_long_as_it_took() -> None:
    assert matching.count_levers(now=NOW) == 0
    LeverCount.objects.update(seconds=40)
    assert matching.count_levers(now=NOW + dt.timedelta(seconds=79)) is None, "it ended after 40"
    assert matching.count_levers(now=NOW + dt.timedelta(seconds=81)) == 0


def test_pulling_asks_the_supplier_and_says_who_did(coordinator: User) -> None:
    need(500)
    offer = offer_in(WUHAN, 9000, minimum_order=600)
    [lever] = count()

    pull = matching.pull_lever(lever, by=coordinator, region=region("420000"), note="By phone too")

    told = Message.objects.get(event="offer.change_asked")
    assert told.organisation_id == offer.organisation_id
    assert {name: told.context[name] for name in ("cause", "before", "minimum", "needs")} == {
        "cause": "minimum",
        "before": 600,
        "minimum": 500,
        "needs": 1,
    }
    assert (pull.asked, pull.needs, pull.quantity, pull.by) == (1, 1, 500, coordinator)
    assert AuditEntry.objects.get(event="lever.pulled").data["note"] == "By phone too"

    offer.minimum_order = 100
    offer.save()
    matching.sweep()
    assert count() == [lever]
    assert (LeverPull.objects.count(), LeverEffect.objects.count()) == (1, 0)


def test_requesters_are_asked_once_each(coordinator: User) -> None:
    asked_for, other = StandardFactory.create(code="asked for"), StandardFactory.create(code="another")
    first = need(500, standard=asked_for)
    need(300, standard=asked_for, organisation=first.organisation)
    elsewhere = need(300, standard=asked_for, region=region("440300"))
    offer_in(WUHAN, 9000, standard=other)
    [lever] = count()

    matching.pull_lever(lever, by=coordinator, region=region("420000"))

    told = Message.objects.filter(event="demand.change_asked")
    assert {(one.organisation_id, one.context["needs"]) for one in told} == {(first.organisation_id, 2)}
    assert elsewhere.organisation_id != first.organisation_id


def test_a_lever_is_pulled_once_a_day(coordinator: User) -> None:
    need(500)
    offer_in(WUHAN, 9000, minimum_order=600)
    [lever] = count()
    hubei = region("420000")
    matching.pull_lever(lever, by=coordinator, region=hubei, now=NOW)

    with pytest.raises(RuleViolation, match="within the last day"):
        matching.pull_lever(lever, by=coordinator, region=hubei, now=NOW + dt.timedelta(hours=23))
    matching.pull_lever(lever, by=coordinator, region=hubei, now=NOW + dt.timedelta(hours=25))


def test_a_lever_that_helps_nobody_there_is_not_pulled(coordinator: User) -> None:
    need(500)
    offer_in(WUHAN, 9000, minimum_order=600)
    [lever] = count()

    with pytest.raises(RuleViolation, match="no need of your region"):
        matching.pull_lever(lever, by=coordinator, region=region("440000"))
