"""Reporting from a page to the desk and back: who gets there, what each side reads, and the links on every page."""

import pytest
from django.test import Client

from apps.accounts.models import Organisation, User
from apps.fulfilment.services import accept_match
from apps.matching.models import Match
from apps.reports.models import AbuseReport, ReportState
from apps.supply.models import Offer
from tests.factories import DemandFactory, MatchFactory, OfferFactory, OrganisationFactory, member, region
from tests.portal.conftest import Login, queries

pytestmark = pytest.mark.django_db

NOTE = "They sent stones. Ask 13700000000."


@pytest.fixture
def match(hospital: Organisation, maker: Organisation) -> Match:
    return MatchFactory.create(
        demand=DemandFactory.create(organisation=hospital), offer=OfferFactory.create(organisation=maker)
    )


def report(by: Client, match: Match) -> AbuseReport:
    by.post(f"/reports/new/match/{match.pk}/", {"reason": "fake_goods", "note": NOTE})
    return AbuseReport.objects.get()


def test_a_report_goes_to_the_desk_and_its_decision_to_both_sides(
    log_in: Login, buyer: User, supplier: User, desk: Client, match: Match
) -> None:
    theirs, ours = log_in(supplier), log_in(buyer)
    filed = report(ours, match)
    assert NOTE in ours.get(f"/reports/{filed.pk}/").text
    assert theirs.get(f"/reports/{filed.pk}/").status_code == 404
    assert f"/desk/reports/{filed.pk}/" in desk.get("/desk/").text
    assert NOTE in desk.get(f"/desk/reports/{filed.pk}/").text

    bad = desk.post(f"/desk/reports/{filed.pk}/", {"measure": "post"})
    assert bad.status_code == 400
    desk.post(f"/desk/reports/{filed.pk}/", {"measure": "post", "decision": "No such number."})

    for client in (ours, theirs):
        assert "No such number." in client.get(f"/reports/{filed.pk}/").text
        assert f"/reports/{filed.pk}/" in client.get("/reports/").text
    page = theirs.get(f"/reports/{filed.pk}/").text
    assert NOTE not in page
    assert str(buyer) not in page
    assert "Read why, and object" in theirs.get(f"/supply/{match.offer_id}/").text


def test_the_second_of_two_desks_is_told_that_the_first_has_decided(
    log_in: Login, buyer: User, desk: Client, match: Match
) -> None:
    filed = report(log_in(buyer), match)
    page = f"/desk/reports/{filed.pk}/"
    office = OrganisationFactory.create(kind="coordinator", region=region("CN"))
    other = log_in(member(office, email="other@example.org"))
    before = other.get(page).context["form"]["seen"].value()
    shown = desk.get(page).context["form"]["seen"].value()

    # It changed under both: somebody noted more, or decided and the accused objected.
    AbuseReport.objects.filter(pk=filed.pk).update(note=f"{NOTE} And twigs.")
    late = desk.post(page, {"measure": "dismiss", "decision": "Nothing.", "seen": shown}, follow=True)
    assert "has just changed" in late.text
    assert AbuseReport.objects.get().state == ReportState.OPEN

    shown = desk.get(page).context["form"]["seen"].value()
    desk.post(page, {"measure": "post", "decision": "Fake.", "seen": shown})
    late = other.post(page, {"measure": "dismiss", "decision": "Nothing.", "seen": before}, follow=True)
    assert "has just changed" in late.text
    assert AbuseReport.objects.get().decision == "Fake."


def test_a_manager_objects_and_another_coordinator_lifts_it(
    log_in: Login, buyer: User, supplier: User, maker: Organisation, desk: Client, match: Match
) -> None:
    filed = report(log_in(buyer), match)
    desk.post(f"/desk/reports/{filed.pk}/", {"measure": "post", "decision": "Fake."})
    assert log_in(buyer).post(f"/reports/{filed.pk}/", {"appeal": "Me."}).status_code == 404
    viewer = member(maker, "viewer", email="viewer@example.org")
    assert log_in(viewer).post(f"/reports/{filed.pk}/", {"appeal": "Me."}).status_code == 404

    log_in(supplier).post(f"/reports/{filed.pk}/", {"appeal": "Here is the licence."})
    desk.post(f"/desk/reports/{filed.pk}/", {"lift": "no", "decision": "No."})
    filed.refresh_from_db()
    assert filed.state == ReportState.APPEALED
    assert "another coordinator has to decide" in desk.get(f"/desk/reports/{filed.pk}/").text

    office = OrganisationFactory.create(kind="coordinator", region=region("CN"))
    other = log_in(member(office, email="other@example.org"))
    assert "Here is the licence." in other.get(f"/desk/reports/{filed.pk}/").text
    other.post(f"/desk/reports/{filed.pk}/", {"lift": "yes", "decision": "It is genuine."})
    assert "It is genuine." in log_in(buyer).get(f"/reports/{filed.pk}/").text
    assert not Offer.objects.get(pk=match.offer_id).is_blocked


def test_every_page_of_others_has_the_way_to_report_it(
    log_in: Login, buyer: User, supplier: User, partner: User, maker: Organisation, hospital: Organisation, match: Match
) -> None:
    order = accept_match(match, by=supplier)
    for user, page, link in [
        (buyer, f"/needs/{match.demand_id}/", f"match/{match.pk}"),
        (buyer, f"/orders/{order.pk}/", f"order/{order.pk}"),
        (supplier, f"/inbox/{match.pk}/", f"match/{match.pk}"),
        (partner, f"/needs/{match.demand_id}/", f"demand/{match.demand_id}"),
        (partner, f"/organisation/{hospital.pk}/", f"organisation/{hospital.pk}"),
    ]:
        assert f"/reports/new/{link}/" in log_in(user).get(page).text
    for user, page in [
        (supplier, f"/supply/{match.offer_id}/"),
        (supplier, f"/organisation/{maker.pk}/"),
        (buyer, f"/organisation/{hospital.pk}/"),
    ]:
        assert "/reports/new/" not in log_in(user).get(page).text


def test_a_coordinator_reports_an_offer_from_its_page(
    log_in: Login, coordinator: User, maker: Organisation, match: Match
) -> None:
    client = log_in(coordinator)
    assert f"/reports/new/offer/{match.offer_id}/" in client.get(f"/supply/{match.offer_id}/").text
    client.post(f"/reports/new/offer/{match.offer_id}/", {"reason": "price", "note": "Ten times dearer."})
    assert AbuseReport.objects.get().accused == maker


def test_a_coordinator_of_another_place_sees_no_report(
    log_in: Login, buyer: User, province: User, match: Match
) -> None:
    filed = report(log_in(buyer), match)
    client = log_in(province)
    assert client.get(f"/desk/reports/{filed.pk}/").status_code == 404
    answer = client.post(f"/desk/reports/{filed.pk}/", {"measure": "dismiss", "decision": "x"})
    assert answer.status_code == 404
    filed.refresh_from_db()
    assert filed.state == ReportState.OPEN


def test_the_desk_shows_no_case_to_who_belongs_to_the_accused(
    log_in: Login, buyer: User, coordinator: User, maker: Organisation, match: Match
) -> None:
    filed = report(log_in(buyer), match)
    maker.memberships.create(user=coordinator, role="member")
    desk = log_in(coordinator)
    assert desk.get(f"/desk/reports/{filed.pk}/").status_code == 404
    assert f"/desk/reports/{filed.pk}/" not in desk.get("/desk/waiting/reports/").text


def test_a_list_of_reports_asks_no_more_than_a_short_one(log_in: Login, buyer: User, maker: Organisation) -> None:
    def some(number: int) -> None:
        for _number in range(number):
            offer = OfferFactory.create(organisation=maker)
            AbuseReport.objects.create(
                kind="offer", subject_id=offer.pk, accused=maker, reported_by=buyer, reason="price", note="Dear"
            )

    client = log_in(buyer)
    some(1)
    few = queries(client, "/reports/")
    some(5)
    assert queries(client, "/reports/") == few
