"""The preview of a draft of the policy: asked for, followed, read, and by whom."""

import datetime as dt
import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.permissions import OrganisationKind
from apps.demands.models import Demand
from apps.matching.models import Replay
from apps.matching.simulation import previews
from apps.policy.services import draft_policy, make_policy
from tests.factories import (
    DemandFactory,
    ItemFactory,
    OfferFactory,
    OrganisationFactory,
    SupplierFactory,
    member,
    region,
)
from tests.portal.conftest import FIRMS_FIRST, Login, queries

pytestmark = pytest.mark.django_db


def two_needs(name: str, **facts: Any) -> tuple[Demand, Demand]:
    hour = timezone.now() - dt.timedelta(days=1)
    item = ItemFactory.create(key=name)
    OfferFactory.create(item=item, quantity=1000, organisation__name=f"Maker {name}", published_at=hour)
    village = OrganisationFactory.create(kind=OrganisationKind.COMMUNITY, **facts)
    firm = OrganisationFactory.create(kind=OrganisationKind.ENTERPRISE, **facts)
    return (
        DemandFactory.create(organisation=village, item=item, opened_at=hour),
        DemandFactory.create(organisation=firm, item=item, opened_at=hour),
    )


def work() -> None:
    while previews.replay_due():
        pass


def test_a_preview_is_asked_for_followed_and_read(desk: Client, coordinator: User) -> None:
    village, firm = two_needs("gown")
    draft = draft_policy(FIRMS_FIRST, based_on=1, by=coordinator)
    page = f"/desk/policy/drafts/{draft.pk}/"

    assert "Waiting for its turn" in desk.post(f"{page}preview/", follow=True).text
    work()
    text = desk.get(page).text

    assert "2 of 2 needs in China would have been served differently." in text
    assert village.reference in text
    assert firm.reference in text
    assert "Maker gown: 1,000 pieces" in re.sub(r"\s+", " ", text)
    assert "Community (tier 3, under the draft 4)" in text
    assert "100 % → 0 %" in text
    assert "Hubei" in text


def test_a_preview_shows_needs_and_sums_of_ones_own_region_alone(
    log_in: Login, coordinator: User, province: User
) -> None:
    here, _firm = two_needs("gown")
    there, _firm = two_needs("mask", region=region("440300"))
    draft = draft_policy(FIRMS_FIRST, based_on=1, by=coordinator)
    previews.request_replay(draft, by=coordinator)
    work()

    page = log_in(province).get(f"/desk/policy/drafts/{draft.pk}/")

    assert "2 of 2 needs in Hubei would have been served differently." in page.text
    assert "The needs in Hubei are counted." in page.text
    assert here.reference in page.text
    assert there.reference not in page.text
    assert [(row.name, row.needs) for row in page.context["sums"].regions] == [("Hubei", 2)]
    assert [row.needs for row in page.context["sums"].kinds] == [1, 1]
    nation = log_in(coordinator).get(f"/desk/policy/drafts/{draft.pk}/").context["sums"]
    assert [(row.name, row.needs) for row in nation.regions] == [("Hubei", 2), ("Guangdong", 2)]
    assert [row.needs for row in nation.kinds] == [2, 2]


def test_a_preview_counts_for_a_city_what_is_delivered_in_the_city(log_in: Login, coordinator: User) -> None:
    two_needs("gown")
    two_needs("mask", region=region("429004"))
    draft = draft_policy(FIRMS_FIRST, based_on=1, by=coordinator)
    previews.request_replay(draft, by=coordinator)
    work()
    office = OrganisationFactory.create(kind=OrganisationKind.COORDINATOR, region=region("420100"))

    page = log_in(member(office)).get(f"/desk/policy/drafts/{draft.pk}/")

    assert "2 of 2 needs in Wuhan would have been served differently." in page.text
    assert [(row.name, row.needs) for row in page.context["sums"].regions] == [("Wuhan", 2)]
    assert [row.needs for row in page.context["sums"].kinds] == [1, 1]


def test_sums_of_a_replay_that_was_kept_without_places_are_not_shown(desk: Client, coordinator: User) -> None:
    two_needs("gown")
    draft = draft_policy(FIRMS_FIRST, based_on=1, by=coordinator)
    previews.request_replay(draft, by=coordinator)
    work()
    Replay.objects.update(totals={side: {"kinds": {}, "regions": {}} for side in ("before", "after")})

    page = desk.get(f"/desk/policy/drafts/{draft.pk}/")

    assert page.context["sums"] is None
    assert len(page.context["lines"]) == 2


def test_a_preview_names_no_supplier_that_the_reader_may_not_see(
    log_in: Login, coordinator: User, province: User
) -> None:
    village, _firm = two_needs("gown")
    near = SupplierFactory.create(name="Wuhan Maker", region=region("420100"))
    OfferFactory.create(organisation=near, item=village.item, quantity=400, published_at=village.opened_at)
    draft = draft_policy(FIRMS_FIRST, based_on=1, by=coordinator)
    previews.request_replay(draft, by=coordinator)
    work()
    page = f"/desk/policy/drafts/{draft.pk}/"

    text = re.sub(r"\s+", " ", log_in(province).get(page).text)
    assert ("Maker gown" in text, "Wuhan Maker: 400 pieces" in text) == (False, True)
    assert re.search(r"a supplier in Guangdong: [\d,]+ pieces", text)
    assert "Maker gown" in log_in(coordinator).get(page).text


def test_a_preview_of_something_else_is_marked_as_such(desk: Client, coordinator: User) -> None:
    draft = draft_policy({}, based_on=1, by=coordinator)
    previews.request_replay(draft, by=coordinator)
    work()
    page = f"/desk/policy/drafts/{draft.pk}/"
    assert "has changed since" not in desk.get(page).text
    assert "none would have been served differently" in desk.get(page).text

    make_policy({}, note="x", by=coordinator)

    assert "has changed since" in desk.get(page).text


def test_a_preview_says_when_too_much_competed(desk: Client, coordinator: User) -> None:
    draft = draft_policy({}, based_on=1, by=coordinator)
    asked = previews.request_replay(draft, by=coordinator)
    work()
    page = f"/desk/policy/drafts/{draft.pk}/"
    assert "too much competed" not in desk.get(page).text

    Replay.objects.filter(pk=asked.pk).update(apart=3)

    assert "In 3 hours too much competed" in desk.get(page).text


def test_the_table_of_a_preview_takes_equal_queries_for_any_rows(desk: Client, coordinator: User) -> None:
    def page_of(count: int) -> str:
        Demand.objects.all().update(opened_at=timezone.now() - dt.timedelta(days=30))
        for number in range(count):
            two_needs(f"item{count}-{number}")
        draft = draft_policy(FIRMS_FIRST, based_on=1, by=coordinator)
        previews.request_replay(draft, by=coordinator)
        work()
        page = f"/desk/policy/drafts/{draft.pk}/"
        assert len(desk.get(page).context["lines"]) == 2 * count
        return page

    few, many = page_of(1), page_of(9)
    assert queries(desk, many) == queries(desk, few)
