"""Reports of abuse: who may file one, what a decision does, and how it is appealed."""

import datetime as dt

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.accounts import services as accounts
from apps.accounts.models import Organisation, User
from apps.core.errors import RuleViolation
from apps.demands import services as demands
from apps.demands.models import Demand
from apps.fulfilment import services as fulfilment
from apps.fulfilment.models import Order
from apps.matching import services as matching
from apps.matching.models import Match, MatchState
from apps.notifications.models import Notification
from apps.reports import services
from apps.reports.models import AbuseReport, Measure, ReportState
from apps.reports.subjects import ReportSubject, subject_for
from apps.supply import services as supply
from apps.supply.models import Offer
from tests.factories import DemandFactory, MatchFactory, OfferFactory, OrganisationFactory, member, region

pytestmark = pytest.mark.django_db


@pytest.fixture
def match(hospital: Organisation, maker: Organisation) -> Match:
    """The maker was asked for 100 that the hospital needs."""
    return MatchFactory.create(
        demand=DemandFactory.create(organisation=hospital), offer=OfferFactory.create(organisation=maker)
    )


@pytest.fixture
def other_desk(db: None) -> User:
    desk = OrganisationFactory.create(name="Second desk", kind="coordinator", region=region("CN"))
    return member(desk, email="second@example.org")


def seen(user: User, kind: str, pk: int) -> ReportSubject:
    subject = subject_for(user, kind, pk)
    assert subject is not None
    return subject


def filed(by: User, kind: str, pk: int, reason: str = "fake_goods") -> AbuseReport:
    return services.file_report(seen(by, kind, pk), by=by, reason=reason, note="They sent stones.")


def told(user: User) -> list[str]:
    events = Notification.objects.filter(user=user, event__startswith="report.").order_by("pk")
    return list(events.values_list("event", flat=True))


def test_each_side_reports_what_it_sees_of_the_other(
    match: Match, buyer: User, supplier: User, hospital: Organisation, maker: Organisation
) -> None:
    order = fulfilment.accept_match(match, by=supplier)
    for kind, pk in [
        ("offer", match.offer_id), ("match", match.pk), ("order", order.pk), ("organisation", maker.pk)
    ]:  # fmt: skip
        assert filed(buyer, kind, pk).accused == maker
    for kind, pk in [("demand", match.demand_id), ("match", match.pk), ("organisation", hospital.pk)]:
        assert filed(supplier, kind, pk, "fake_need").accused == hospital


def test_nobody_reports_what_they_do_not_see(match: Match, stranger: User, rival: User) -> None:
    for user in (stranger, rival):
        for kind, pk in [
            ("offer", match.offer_id), ("demand", match.demand_id), ("match", match.pk),
            ("organisation", match.offer.organisation_id), ("user", 1), ("order", 1),
        ]:  # fmt: skip
            assert subject_for(user, kind, pk) is None


def test_a_backup_that_was_not_asked_sees_no_need_to_report(match: Match, supplier: User) -> None:
    Match.objects.filter(pk=match.pk).update(state=MatchState.STANDBY, respond_by=None)
    assert subject_for(supplier, "demand", match.demand_id) is None


def test_ones_own_is_changed_and_not_reported(match: Match, supplier: User) -> None:
    with pytest.raises(RuleViolation) as caught:
        filed(supplier, "offer", match.offer_id)
    assert caught.value.code == "report_own"


def test_a_report_twice_or_too_many_in_a_day_is_refused(match: Match, buyer: User) -> None:
    filed(buyer, "match", match.pk)
    with pytest.raises(RuleViolation) as twice:
        filed(buyer, "match", match.pk)
    AbuseReport.objects.update(state=ReportState.DISMISSED, decision="x", decided_by=buyer, decided_at=timezone.now())
    for _number in range(19):
        filed(buyer, "match", match.pk)
        AbuseReport.objects.update(
            state=ReportState.DISMISSED, decision="x", decided_by=buyer, decided_at=timezone.now()
        )
    with pytest.raises(RuleViolation) as many:
        filed(buyer, "match", match.pk)
    assert (twice.value.code, many.value.code) == ("report_open", "reports_too_many")
    later = timezone.now() + dt.timedelta(days=2)
    again = services.file_report(seen(buyer, "match", match.pk), by=buyer, reason="price", note="Again", now=later)
    assert again.state == ReportState.OPEN


def test_a_blocked_offer_serves_nobody_and_its_owner_cannot_resume_it(
    match: Match, buyer: User, supplier: User, coordinator: User
) -> None:
    report = filed(buyer, "match", match.pk)
    services.decide_report(report, by=coordinator, measure=Measure.POST, decision="The number is not registered.")

    offer = Offer.objects.get(pk=match.offer_id)
    assert (offer.state, offer.state_code, offer.is_repeatable) == ("paused", "blocked", False)
    for verb in (supply.publish_offer, supply.confirm_offer, supply.pause_offer):
        with pytest.raises(RuleViolation):
            verb(offer, by=supplier)
    # The request that waits for an answer is not accepted any more, and the next sweep takes it back.
    with pytest.raises(RuleViolation) as caught:
        fulfilment.accept_match(match, by=supplier)
    assert caught.value.code == "blocked"
    matching.take_back_invalid()
    match.refresh_from_db()
    assert match.state == MatchState.CANCELLED
    assert told(supplier) == told(buyer) == ["report.decided"]


def test_a_stale_offer_that_is_blocked_is_not_freed_by_a_pause(
    match: Match, buyer: User, supplier: User, coordinator: User
) -> None:
    Offer.objects.filter(pk=match.offer_id).update(state="stale")
    services.decide_report(filed(buyer, "match", match.pk), by=coordinator, measure=Measure.POST, decision="Fake.")
    offer = Offer.objects.get(pk=match.offer_id)
    for verb in (supply.pause_offer, supply.confirm_offer, supply.publish_offer):
        with pytest.raises(RuleViolation) as caught:
            verb(offer, by=supplier)
        assert caught.value.code == "blocked"


def test_nothing_is_ordered_again_from_a_blocked_offer(
    match: Match, buyer: User, supplier: User, coordinator: User
) -> None:
    order = fulfilment.accept_match(match, by=supplier)
    services.decide_report(filed(buyer, "order", order.pk), by=coordinator, measure=Measure.POST, decision="Fake.")
    with pytest.raises(RuleViolation):
        fulfilment.repeat_order(order, by=buyer, quantity=100)
    assert Order.objects.count() == 1


def test_a_fake_need_is_blocked(match: Match, supplier: User, buyer: User, coordinator: User) -> None:
    report = filed(supplier, "match", match.pk, "fake_need")
    services.decide_report(report, by=coordinator, measure=Measure.POST, decision="There is no such ward.")
    demand = Demand.objects.get(pk=match.demand_id)
    assert (demand.state, demand.is_blocked) == ("paused", True)
    for verb in (demands.resume_demand, demands.confirm_demand, demands.open_demand, demands.send_out):
        with pytest.raises(RuleViolation):
            verb(demand, by=buyer)
        demand.refresh_from_db()
        assert demand.is_blocked


def test_an_appeal_is_decided_by_another_and_gives_the_offer_back(
    match: Match, buyer: User, supplier: User, coordinator: User, other_desk: User
) -> None:
    report = filed(buyer, "offer", match.offer_id)
    report = services.decide_report(report, by=coordinator, measure=Measure.POST, decision="Fake.")
    services.appeal_report(report, by=supplier, appeal="Here is the registration.")
    with pytest.raises(RuleViolation) as same:
        services.decide_appeal(report, by=coordinator, lift=False, decision="No.")
    assert same.value.code == "needs_other_eyes"

    report = services.decide_appeal(report, by=other_desk, lift=True, decision="It is genuine.")

    offer = Offer.objects.get(pk=match.offer_id)
    assert (report.state, offer.state, offer.is_blocked) == (ReportState.LIFTED, "paused", False)
    assert supply.publish_offer(offer, by=supplier).state == "published"
    assert told(supplier) == told(buyer) == ["report.decided", "report.appeal_decided"]
    with pytest.raises(RuleViolation):
        services.appeal_report(report, by=supplier, appeal="Once more.")


def test_an_offer_that_two_reports_blocked_needs_two_appeals(
    match: Match, buyer: User, partner: User, supplier: User, coordinator: User, other_desk: User
) -> None:
    first, second = filed(buyer, "offer", match.offer_id), filed(partner, "match", match.pk)
    for report in (first, second):
        services.decide_report(report, by=coordinator, measure=Measure.POST, decision="Fake.")
    for report, is_blocked in ((first, True), (second, False)):
        report.refresh_from_db()
        services.appeal_report(report, by=supplier, appeal="No.")
        services.decide_appeal(report, by=other_desk, lift=True, decision="Genuine.")
        assert Offer.objects.get(pk=match.offer_id).is_blocked is is_blocked


def test_a_suspended_organisation_is_out_until_the_appeal(
    match: Match, buyer: User, supplier: User, maker: Organisation, coordinator: User, other_desk: User
) -> None:
    until = maker.verified_until
    report = filed(buyer, "organisation", maker.pk)
    report = services.decide_report(report, by=coordinator, measure=Measure.ORGANISATION, decision="A front.")
    maker.refresh_from_db()
    assert (maker.is_verified, maker.state_reason) == (False, "A front.")

    services.appeal_report(report, by=supplier, appeal="We are real.")
    services.decide_appeal(report, by=other_desk, lift=True, decision="They are.")
    maker.refresh_from_db()
    assert (maker.is_verified, maker.verified_until) == (True, until)


def test_who_goes_dormant_does_not_pass_over_a_suspension(
    match: Match, buyer: User, supplier: User, maker: Organisation, coordinator: User
) -> None:
    clerk = member(maker, "member")
    report = filed(buyer, "organisation", maker.pk)
    accounts.leave_organisation(supplier.memberships.get(), goes_dormant=True)
    services.decide_report(report, by=coordinator, measure=Measure.ORGANISATION, decision="A front.")

    accounts.change_role(clerk.memberships.get(), "manager", by=clerk)

    maker.refresh_from_db()
    assert (maker.is_verified, maker.is_dormant, maker.state_reason) == (False, False, "A front.")


def test_a_lifted_suspension_does_not_verify_facts_that_changed_since(
    match: Match, buyer: User, supplier: User, maker: Organisation, coordinator: User, other_desk: User
) -> None:
    report = filed(buyer, "organisation", maker.pk)
    report = services.decide_report(report, by=coordinator, measure=Measure.ORGANISATION, decision="A front.")
    maker.refresh_from_db()
    accounts.amend_organisation(maker, by=supplier, name="Ministry of Health")
    services.appeal_report(report, by=supplier, appeal="We are real.")
    services.decide_appeal(report, by=other_desk, lift=True, decision="They are.")
    maker.refresh_from_db()
    assert not maker.is_verified


def test_who_has_a_part_does_not_decide(
    match: Match, coordinator: User, other_desk: User, province: User, maker: Organisation
) -> None:
    report = filed(coordinator, "match", match.pk)
    maker.memberships.create(user=other_desk, role="member")
    for somebody in (coordinator, User.objects.get(pk=other_desk.pk), province):
        with pytest.raises(RuleViolation) as caught:
            services.decide_report(report, by=somebody, measure=None, decision="Nothing.")
        assert caught.value.code == "needs_other_eyes"
    assert AbuseReport.objects.waiting().count() == 1


@pytest.fixture
def province(db: None) -> User:
    """Coordinates Hubei, where the maker is not."""
    office = OrganisationFactory.create(name="Hubei desk", kind="coordinator", region=region("420000"))
    return member(office, email="province@example.org")


def test_a_dismissed_report_changes_nothing_and_is_told_to_both(
    match: Match, buyer: User, supplier: User, coordinator: User
) -> None:
    report = filed(buyer, "match", match.pk)
    report = services.decide_report(report, by=coordinator, measure=None, decision="The batch was tested.")
    assert (report.state, Offer.objects.get(pk=match.offer_id).state) == (ReportState.DISMISSED, "published")
    assert told(buyer) == told(supplier) == ["report.decided"]
    with pytest.raises(RuleViolation):
        services.appeal_report(report, by=supplier, appeal="Why?")
    with pytest.raises(RuleViolation):
        services.decide_report(report, by=coordinator, measure=None, decision="Again")


def test_no_message_about_a_report_names_who_filed_it(
    match: Match, buyer: User, supplier: User, coordinator: User
) -> None:
    report = filed(buyer, "match", match.pk)
    services.decide_report(report, by=coordinator, measure=Measure.POST, decision="Fake.")
    [notice] = Notification.objects.filter(user=supplier, event="report.decided")
    assert str(buyer) not in str(notice.context)
    assert "They sent stones" not in str(notice.context)


def test_the_accused_sees_a_report_only_once_it_is_decided(
    match: Match, buyer: User, supplier: User, rival: User, coordinator: User
) -> None:
    report = filed(buyer, "match", match.pk)
    assert [AbuseReport.objects.visible_to(one).count() for one in (buyer, supplier, rival)] == [1, 0, 0]
    services.decide_report(report, by=coordinator, measure=Measure.NONE, decision="Warned.")
    assert [AbuseReport.objects.visible_to(one).count() for one in (buyer, supplier, rival)] == [1, 1, 0]


def test_the_database_refuses_a_decision_on_ones_own_appeal(
    match: Match, buyer: User, supplier: User, coordinator: User
) -> None:
    report = services.decide_report(
        filed(buyer, "match", match.pk), by=coordinator, measure=Measure.POST, decision="Fake."
    )
    with pytest.raises(IntegrityError), transaction.atomic():
        AbuseReport.objects.filter(pk=report.pk).update(
            state=ReportState.CONFIRMED, appeal_decision="Yes", appeal_decided_by=coordinator
        )
