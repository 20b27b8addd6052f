"""Every event that any service queues, in both languages, from the facts that the services really give."""

import datetime as dt
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.template import Context
from django.urls import resolve
from django.utils import timezone

from apps.accounts import invitations
from apps.accounts import services as accounts
from apps.accounts.models import Organisation, OrganisationState, User
from apps.accounts.permissions import OrganisationKind, Role
from apps.core.errors import RuleViolation
from apps.demands import freshness as demand_freshness
from apps.demands import services as demands
from apps.demands.decisions import return_demand
from apps.demands.lines import DemandLine
from apps.demands.models import Demand, QuantityKind
from apps.duplicates.merging import merge_organisations, undo_merge
from apps.fulfilment import destinations
from apps.fulfilment import services as fulfilment
from apps.fulfilment.models import Order, Side
from apps.matching import escalation, notices
from apps.matching import services as matching
from apps.matching.models import Lever, LeverEffect, Match
from apps.matching.scoring.causes import Cause
from apps.notifications import rendering
from apps.notifications import services as notifications
from apps.notifications.models import Channel, Message, Notification
from apps.notifications.services import queue, queue_pending_notices, warn_of_change
from apps.policy.services import make_policy
from apps.portal.takeover import take_back
from apps.reports import services as reports
from apps.reports.subjects import subject_for
from apps.supply import freshness as offer_freshness
from apps.supply import services as supply
from tests.factories import (
    DemandFactory,
    ItemFactory,
    OfferFactory,
    OrganisationFactory,
    StandardFactory,
    UserFactory,
    member,
    region,
)

pytestmark = pytest.mark.django_db

MISSING = "MISSING-FACT"


def queued_events() -> set[str]:
    """The first argument of every `queue(`, `News(` and `tell(`, and of what `_announce` chooses between."""
    found: set[str] = set()
    for file in Path(settings.BASE_DIR, "apps").rglob("*.py"):
        text = file.read_text()
        found |= set(re.findall(r'\b_?(?:queue|News|tell)\(\s*"([a-z_.]+)"', text))
        found |= set(re.findall(r'\bevent(?:, recipient)? = "([a-z_.]+)"', text))
    return found


def test_the_events_that_are_queued_are_the_events_that_have_a_template() -> None:
    assert queued_events() == set(rendering.events())


@pytest.fixture
def everything(hospital: Organisation, buyer: User, maker: Organisation, supplier: User, coordinator: User) -> None:
    """A history in which everything happened that anybody is told."""
    now = timezone.now()
    OfferFactory.create(organisation=maker, quantity=900_000, unit_price=2)
    OfferFactory.create(organisation__region=region("650000"), quantity=90_000, unit_price=3, is_donation=False)
    lines = [
        DemandLine(item=ItemFactory.create(), quantity=1_000, needed_by=now + dt.timedelta(days=9)),
        DemandLine(item=ItemFactory.create(), quantity_kind=QuantityKind.UNSPECIFIED, urgency="emergency"),
        DemandLine(item=ItemFactory.create(), quantity=70_000, quantity_kind=QuantityKind.AT_LEAST, urgency="routine"),
        DemandLine(item=ItemFactory.create(), quantity=300, quantity_kind=QuantityKind.ESTIMATE),
    ]
    posted = [
        demands.open_demand(demand, by=buyer, quantity_confirmed=True)
        for demand in demands.post_demands(hospital, lines, by=buyer)
    ]
    matching.sweep()

    first = Match.objects.held().filter(demand=posted[0]).order_by("pk")[0]
    order = fulfilment.accept_match(first, by=supplier)
    destinations.amend_demand(first.demand, by=buyer, address="Gate <b>5</b>")
    again = fulfilment.repeat_order(order, by=buyer, quantity=20_000)
    fulfilment.ship_order(again, by=supplier, carrier="SF <Express>", tracking_number="SF1", expected_on=now.date())
    fulfilment.deliver_order(again, by=buyer, quantity_accepted=19_000, quantity_rejected=10, reason="Torn <b>open</b>")
    fulfilment.close_order(Order.objects.get(pk=again.pk), by=buyer, reason="Lost")
    fulfilment.cancel_order(order, by=supplier, side=Side.SUPPLIER, reason="Fire")
    demands.pause_demand(Demand.objects.get(pk=posted[2].pk), by=buyer)
    matching.take_back_invalid()
    notices.notify_withdrawn()
    matching.sweep(now=now + dt.timedelta(hours=3))
    matching.decline(Match.objects.held()[0], by=None, reason="gone", now=now + dt.timedelta(hours=3))
    matching.sweep(now=now + dt.timedelta(hours=3))

    DemandFactory.create(organisation=hospital, item=ItemFactory.create(key="gown"), escalates_at=now)
    escalation.escalate_due(now=now + dt.timedelta(hours=1))
    DemandFactory.create_batch(2, organisation=hospital, item=ItemFactory.create(key="gown"), escalates_at=now)
    escalation.escalate_due(now=now + dt.timedelta(hours=2))
    demand_freshness.ask_whether_still_needed(now=now + dt.timedelta(days=6))
    demand_freshness.suspend_stale(now=now + dt.timedelta(days=20))
    offer_freshness.ask_whether_still_there(now=now + dt.timedelta(days=11))
    offer_freshness.suspend_stale(now=now + dt.timedelta(days=20))

    [absurd] = demands.post_demands(hospital, [DemandLine(item=ItemFactory.create(), quantity=10**11)], by=buyer)
    demands.open_demand(absurd, by=buyer, quantity_confirmed=True)

    [subject] = [subject_for(buyer, "offer", match.offer_id) for match in Match.objects.visible_to(buyer)[:1]]
    assert subject is not None
    report = reports.file_report(subject, by=buyer, reason="price", note="Ten times <b>too</b> dear.")
    report = reports.decide_report(report, by=coordinator, measure="post", decision="It is <b>dear</b>.")
    reports.appeal_report(report, by=supplier, appeal="It is not.")
    second = member(coordinator.grants[0].organisation, email="second@example.org")
    reports.decide_appeal(report, by=second, lift=True, decision="It is not.")

    OrganisationFactory.create(kind=OrganisationKind.COORDINATOR, region=region("440300"))
    rich = supply.create_offer(maker, item=ItemFactory.create(), by=supplier, quantity=10**11)
    supply.publish_offer(rich, by=supplier, confirmed=True)
    escalation.escalate_due(now=now + dt.timedelta(hours=11))
    supply.return_offer(rich, by=coordinator, reason="How <b>many</b>?")

    asked_for, other = StandardFactory.create(code="asked for"), StandardFactory.create(code="other")
    waiting = DemandFactory.create(organisation=hospital, item=ItemFactory.create(key="suit"), standard=asked_for)
    idle = OfferFactory.create(organisation=maker, item=waiting.item, minimum_order=9_000, state="paused")
    for cause in Cause:
        of = {"minimum": 500, "offer": idle} if cause == Cause.MINIMUM else {"asked_standard": asked_for}
        if cause == Cause.STANDARD:
            of["offered_standard"] = other
        lever = Lever.objects.create(cause=cause, item=waiting.item, offers=[idle.pk], suppliers=1, **of)
        LeverEffect.objects.create(lever=lever, region=region("CN"), needs=1, organisations=1, quantity=5, tier=1)
        matching.pull_lever(lever, by=coordinator, region=region("CN"))

    province = OrganisationFactory.create(kind=OrganisationKind.COORDINATOR, region=region("420000"))
    member(province, email="province@example.org")
    make_policy({"phases": {"420000": {"phase": "emergency", "approval": True}}}, note="Emergency", by=coordinator)
    lines = [DemandLine(item=ItemFactory.create(), quantity=100, urgency="emergency")]
    [looked_at] = demands.post_demands(hospital, lines, by=buyer)
    demands.open_demand(looked_at, by=buyer, quantity_confirmed=True)
    escalation.escalate_due(now=now + dt.timedelta(hours=3))
    return_demand(looked_at, by=coordinator, reason="Which <b>size</b>?")

    clinic = OrganisationFactory.create(unverified=True, kind=OrganisationKind.HEALTH_FACILITY, identifier="X1")
    owner = member(clinic, email="clinic@example.org")
    desk = coordinator
    accounts.submit_for_verification(clinic, by=owner)
    notices.announce_verifications()
    accounts.reject_organisation(clinic, by=desk, reason="The stamp is missing.")
    notices.announce_verifications()
    accounts.verify_organisation(clinic, by=desk)
    notices.announce_verifications()
    accounts.amend_organisation(clinic, by=owner, name="Clinic of another name")
    notices.announce_verifications()

    for change in ("address", "address_requested", "password", "password_reset", "token", "webhook"):
        warn_of_change(buyer, change, network="10.1.2.3")
    for change in ("factor_added", "factor_removed", "codes"):
        warn_of_change(buyer, change)

    endpoint = notifications.add_webhook(hospital, url="https://example.org/hook", by=buyer)
    notifications.note_webhook_failure(endpoint, "The endpoint answered <410>.", is_gone=True, now=now)

    joining = UserFactory.create(email="nurse@example.org")
    asked = [
        invitations.invite(hospital, email, role="member", by=buyer)
        for email in ("nurse@example.org", "no@example.org", "never@example.org")
    ]
    joined = invitations.accept_invitation(asked[0], by=joining)
    invitations.decline_invitation(asked[1], by=UserFactory.create(email="no@example.org"))
    invitations.withdraw_invitation(asked[2], by=buyer)
    accounts.remove_member(joined, by=buyer)
    successor = member(clinic, Role.MEMBER).memberships.get()
    accounts.leave_organisation(owner.memberships.get(), successor=successor)
    # Of the maker, the only one left is told that nobody manages it.
    member(maker, Role.MEMBER)
    accounts.leave_organisation(supplier.memberships.get(), goes_dormant=True)
    twin = OrganisationFactory.create(name="Wuchang <Hospital>", unverified=True)
    member(twin, email="twin@example.org")
    undo_merge(merge_organisations(twin, hospital, by=desk, with_people=False), by=desk)
    merge_organisations(twin, hospital, by=desk, with_people=True)
    take_back(buyer, address=buyer.email, since=now)
    queue_pending_notices()


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Templates that shout about a fact that is not there."""
    shouting = rendering.engine(MISSING)
    monkeypatch.setattr(rendering, "engine", lambda: shouting)


@pytest.mark.usefixtures("everything", "strict")
def test_every_event_is_rendered_from_real_facts_and_misses_none() -> None:
    told = {message.event: message for message in Message.objects.filter(channel=Channel.EMAIL).select_related("user")}
    assert set(told) == set(rendering.events())

    # Both in one test, because it takes longer to have everything happen than to render it.
    for language in ("en", "zh-hans"):
        for message in Message.objects.filter(channel=Channel.EMAIL).select_related("user"):
            message.language = language
            check_rendering(message)
        for notification in Notification.objects.all():
            subject, path = rendering.render_inbox(notification, language)
            assert subject
            assert resolve(path).kwargs.get("pk", 1), "a page of the portal"


def check_rendering(message: Message) -> None:
    mail = rendering.render_mail(message)
    sms = rendering.render_sms(message)
    for text in (mail.subject, mail.text, mail.html, sms):
        assert MISSING not in text, (message.event, text)
        assert "None" not in text, (message.event, text)
        assert "%(" not in text
        assert "{{" not in text
    assert "\n\n\n" not in mail.text
    assert mail.subject.strip() == mail.subject
    assert "\n" not in mail.subject
    assert f"{settings.SITE_URL}/" in mail.text
    assert "<b>open</b>" not in mail.html
    assert "<Express>" not in mail.html


def message_of(event: str, **context: object) -> Message:
    return Message(event=event, key="k", context=context, channel=Channel.EMAIL, address="a@example.org", language="en")


PLACE = {
    "demand_id": 7,
    "item": {"en": "Surgical mask", "zh-hans": "医用外科口罩"},
    "unit": {"en": "pcs", "zh-hans": "只"},
}
ORDER = {
    **PLACE,
    "order_id": 3,
    "offered_item": PLACE["item"],
    "organisation": "H",
    "supplier": "S",
    "ordered": 20_000,
    "region": "R",
}


def test_what_people_wrote_is_escaped_in_html_and_cannot_begin_a_header() -> None:
    message = message_of("order.cancelled", **ORDER | {"reason": "<script>x</script>\r\n\r\nSubject: y & z"})
    message.context["offered_item"] = "Mask\r\nBcc: everyone@example.org"

    mail = rendering.render_mail(message)

    assert mail.subject == "Cancelled: the order of 20,000 pcs of Mask Bcc: everyone@example.org"
    assert "<script>" not in mail.html
    assert "&lt;script&gt;x&lt;/script&gt; Subject: y &amp; z" in mail.html
    assert "Reason: <script>x</script> Subject: y & z\n" in mail.text


def test_a_very_long_name_is_cut_in_the_subject() -> None:
    message = message_of("order.cancelled", **ORDER | {"reason": "", "offered_item": "long " * 100})

    assert len(rendering.render_mail(message).subject) == rendering.SUBJECT_LENGTH


def test_texts_numbers_and_times_are_in_the_readers_language_and_zone(buyer: User) -> None:
    buyer.time_zone = "Asia/Kolkata"
    facts = {
        **PLACE, "asked": 20_000, "respond_by": "2026-11-22T05:30:00+00:00", "match_id": 1, "reasons": [],
        "is_substitute": False, "organisation": "H", "quantity": 20_000, "quantity_kind": "exact", "urgency": "urgent",
    }  # fmt: skip
    message = Message(event="match.proposed", context=facts, language="en", user=buyer, created_at=timezone.now())

    english = rendering.render_mail(message)
    assert english.subject == "Can you supply 20,000 pcs of Surgical mask? Answer by 22 Nov 2026, 11:00 (UTC+5:30)"
    assert english.text.count("/a/") == 2
    assert "Needed by" not in english.text

    message.language = "zh-hans"
    chinese = rendering.render_mail(message)
    assert "20,000 只" in chinese.subject
    assert "医用外科口罩" in chinese.subject
    assert 'lang="zh-Hans"' in chinese.html


def test_a_message_that_is_sent_again_has_the_same_links(buyer: User) -> None:
    context = PLACE | {"quantity": 5, "quantity_kind": "exact", "urgency": "urgent"}
    queue("demand.freshness_asked", buyer, context, key="1")
    message = Message.objects.select_related("user").get()

    assert rendering.render_mail(message) == rendering.render_mail(message)


def test_an_address_without_a_person_gets_no_one_click_links(hospital: Organisation) -> None:
    context = PLACE | {"quantity": 5, "quantity_kind": "exact", "urgency": "urgent"}
    queue("demand.freshness_asked", hospital, context, key="1")
    message = Message.objects.get()

    assert message.address == hospital.contact_email
    assert "/a/" not in rendering.render_mail(message).text


@pytest.mark.parametrize(
    ("value", "name", "expected"),
    [
        ({"en": "a", "zh-hans": "b"}, "", "b"),
        ({"en": "a"}, "", "a"),
        ({"en": "a", "zh-hans": ""}, "", "a"),
        ([{"region": {"en": "a", "zh-hans": "b"}}], "", [{"region": "b"}]),
        ({"needed_by": "2026-11-22T05:30:00Z"}, "", {"needed_by": dt.datetime(2026, 11, 22, 5, 30, tzinfo=dt.UTC)}),
        ("2026-11-22", "expected_on", dt.date(2026, 11, 22)),
        ("2026-99-22", "expected_on", "2026-99-22"),
        ("2026-11-22", "reason", "2026-11-22"),
        ({}, "", {}),
        (None, "needed_by", None),
    ],
)
def test_facts_are_resolved_for_the_reader(value: object, name: str, expected: object) -> None:
    assert rendering.resolve(value, "zh-hans", name) == expected


def test_every_template_compiles_and_an_unknown_event_does_not_exist() -> None:
    for event in rendering.events():
        rendering.engine().get_template(f"{event}.txt").render(Context({"part": "path", "demand_id": 1}))
    with pytest.raises(Exception, match=r"unheard\.of"):
        rendering.render_mail(message_of("unheard.of"))


def test_a_state_that_was_imported_is_no_news(hospital: Organisation) -> None:
    assert hospital.state == OrganisationState.VERIFIED
    assert notices.announce_verifications() == 0
    assert notices.announce_verifications() == 0
    with pytest.raises(RuleViolation):
        accounts.verify_organisation(hospital, by=User())
