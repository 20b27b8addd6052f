"""The pages of levers: what would help most in one's region, done in one click and said who did it."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.accounts.permissions import OrganisationKind
from apps.matching.models import Lever, LeverEffect, LeverPull
from apps.notifications.models import Message
from apps.supply.models import Offer
from tests.factories import OfferFactory, OrganisationFactory, SupplierFactory, member, region

pytestmark = pytest.mark.django_db


def lever(name: str, *codes: str, tier: int = 1, organisations: int = 3) -> Lever:
    """A supplier of this name could lower its minimum order, which would help needs in these regions."""
    offer: Offer = OfferFactory.create(organisation=SupplierFactory.create(name=name), minimum_order=2000)
    made = Lever.objects.create(
        cause="minimum", item=offer.item, offer=offer, minimum=500, offers=[offer.pk], suppliers=1
    )
    for code in codes:
        LeverEffect.objects.create(
            lever=made,
            region=region(code),
            needs=organisations,
            organisations=organisations,
            quantity=organisations * 500,
            tier=tier,
        )
    return made


@pytest.fixture
def province(client: Client) -> Client:
    """A coordinator of Hubei."""
    desk = OrganisationFactory.create(kind=OrganisationKind.COORDINATOR, region=region("420000"))
    client.force_login(member(desk, name="Dr Li"))
    return client


def named(client: Client, path: str) -> list[str]:
    page = client.get(path).content.decode()
    names = ("First", "Second", "Third", "Elsewhere")
    return sorted((name for name in names if f"{name} Maker" in page), key=page.index)


@pytest.mark.parametrize("path", ["/desk/", "/levers/"])
def test_the_biggest_come_first_by_tier_then_bodies(province: Client, path: str) -> None:
    lever("Third Maker", "420000", tier=2, organisations=90)
    lever("Second Maker", "420000", organisations=4)
    lever("First Maker", "420000", organisations=5)
    lever("Elsewhere Maker", "440000", organisations=50)

    assert named(province, path) == ["First", "Second", "Third"]


def test_whoever_watches_a_region_sees_them_and_cannot_pull(client: Client) -> None:
    office = OrganisationFactory.create(kind=OrganisationKind.GOVERNMENT, region=region("420000"))
    client.force_login(member(office))
    made = lever("First Maker", "420000")

    for path in ("/partner/", "/levers/"):
        assert named(client, path) == ["First"]
        assert f"/levers/{made.pk}/" not in client.get(path).content.decode()
    assert client.post(f"/levers/{made.pk}/").status_code == 404


def test_others_see_no_levers(client: Client, buyer: User) -> None:
    client.force_login(buyer)
    assert client.get("/levers/").status_code == 404


def test_a_lever_is_pulled_after_a_look_and_shows_by_whom(province: Client) -> None:
    made = lever("First Maker", "420000")

    asked = province.get(f"/levers/{made.pk}/").content.decode()
    assert "First Maker asks for at least 2,000" in asked
    assert not Message.objects.exists()

    page = province.post(f"/levers/{made.pk}/", {"note": "Called as well"}, follow=True).content.decode()
    assert "1 organisation is asked." in page
    assert "Done by Dr Li" in page
    assert "Called as well" in page
    assert Message.objects.get().event == "offer.change_asked"

    again = province.post(f"/levers/{made.pk}/", follow=True).content.decode()
    assert "within the last day" in again
    assert LeverPull.objects.count() == 1


def test_what_was_done_is_told_when_nobody_is_left_to_help(province: Client) -> None:
    made = lever("First Maker", "420000")
    province.post(f"/levers/{made.pk}/")
    LeverEffect.objects.all().delete()

    page = province.get("/levers/").content.decode()
    assert "nobody left to help" in page
    assert named(province, "/levers/") == ["First"]


@pytest.mark.parametrize("path", ["/desk/", "/levers/"])
def test_ten_levers_cost_no_more_queries_than_one(province: Client, path: str) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            province.get(path)
        return len(captured)

    lever("First Maker", "420000")
    queries()
    one = queries()
    for number in range(9):
        lever(f"Maker {number}", "420000")
    assert queries() == one
