"""The back office: every list and page opens, what services own cannot be edited, and actions call the services."""

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth.models import Permission as ModelPermission
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.accounts import invitations
from apps.accounts import services as accounts
from apps.accounts.admin import KeptAdmin
from apps.accounts.admin.organisations import OrganisationAdminForm
from apps.accounts.models import ApiToken, Invitation, Membership, Organisation, OrganisationState, User
from apps.accounts.permissions import OrganisationKind, Role
from apps.core.models import AuditEntry
from apps.demands.models import Demand, DemandState
from apps.fulfilment import services as fulfilment
from apps.fulfilment.models import Order, OrderState
from apps.matching.models import ContestedItem, Match, MatchState
from apps.matching.simulation.previews import request_replay
from apps.notifications.models import Channel, Message, MessageState, Notification, WebhookEndpoint
from apps.notifications.services import add_webhook, queue
from apps.policy.models import Policy
from apps.policy.services import draft_policy
from apps.portal.entrance import sessions
from apps.supply.models import Offer, OfferState
from tests.factories import (
    PASSWORD,
    DemandFactory,
    EscalationFactory,
    ItemFactory,
    MatchFactory,
    OfferFactory,
    OrganisationFactory,
    UserFactory,
    member,
    region,
)

pytestmark = pytest.mark.django_db

OURS = [model for model in admin.site._registry if model.__module__.startswith("apps.")]


@pytest.fixture
def root(db: None) -> User:
    return UserFactory.create(email="root@example.org", is_staff=True, is_superuser=True)


@pytest.fixture
def office(client: Client, root: User) -> Client:
    client.force_login(root)
    client.post("/account/reauthenticate/", {"password": PASSWORD})
    return client


def clerk(*rights: str) -> User:
    """Staff with these rights alone, such as `view_demand`."""
    user = UserFactory.create(is_staff=True)
    user.user_permissions.set(ModelPermission.objects.filter(codename__in=rights))
    return user


def page(model: type[models.Model], view: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{view}", args=args)


def act(client: Client, action: str, row: models.Model, reason: str = "") -> list[str]:
    """Choose one row and an action; gives what was said."""
    response = client.post(
        page(type(row), "changelist"), {"action": action, "_selected_action": [row.pk], "reason": reason}, follow=True
    )
    assert response.status_code == 200
    return [str(message) for message in response.context["messages"]]


def fill(hospital: Organisation, buyer: User, number: int) -> None:
    """So many of everything."""
    for index in range(number):
        match = MatchFactory.create(demand=DemandFactory.create(organisation=OrganisationFactory.create()))
        order = fulfilment.accept_match(match, by=None)
        fulfilment.ship_order(order, by=None, quantity=10)
        fulfilment.deliver_order(order, by=None, quantity_accepted=5)
        fulfilment.reveal_contact(match, to=buyer)
        EscalationFactory.create(demand=match.demand, organisation=OrganisationFactory.create())
        Policy.objects.create(version=index + 2, made_by=UserFactory.create())
        request_replay(draft_policy({}, based_on=1, by=UserFactory.create()), by=UserFactory.create())
        accounts.issue_token(UserFactory.create(), name="t", scopes=["read"], region=region("420000"))
        add_webhook(OrganisationFactory.create(), url=f"http://example.org/{index}", by=buyer)
        accounts.add_member(OrganisationFactory.create(), UserFactory.create(), role=Role.MEMBER, by=buyer)
        organisation = OrganisationFactory.create()
        invitations.invite(organisation, f"p{number}{index}@example.org", role=Role.MEMBER, by=buyer)
        queue("order.closed", UserFactory.create(), {}, key="1")
        item = ItemFactory.create(key=f"contested.{number}.{index}", category=match.demand.item.category)
        ContestedItem.objects.create(item=item, group=item.pk, waiting_since=timezone.now())


def queries_of(office: Client, model: type[models.Model], **search: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert office.get(page(model, "changelist"), search).status_code == 200, model
    return len(captured)


def test_every_page_takes_as_many_queries_for_few_rows_as_for_many(
    office: Client, hospital: Organisation, buyer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All pages in one test: making the rows takes ten times as long as asking for a page."""
    # On a busy machine this takes longer than a minute, and one page more would write the session.
    monkeypatch.setattr(sessions, "NOTED_EVERY", 3600)
    fill(hospital, buyer, 1)
    Policy.objects.all().delete()
    few = {}
    for model in OURS:
        queries_of(office, model)
        few[model] = queries_of(office, model)
    assert {model: count for model, count in few.items() if count > 12} == {}

    fill(hospital, buyer, 2)
    searched = {model: {"q": "x"} if admin.site._registry[model].search_fields else {} for model in OURS}
    # A search asks once for each field, and once more where that is in another table.
    most = {model: few[model] + 2 * len(admin.site._registry[model].search_fields) for model in OURS}
    assert [model for model in OURS if queries_of(office, model, **searched[model]) > most[model]] == []
    assert [model for model in OURS if queries_of(office, model) > few[model]] == []

    for model in OURS:
        row = model._default_manager.first()
        if row is not None:
            assert office.get(page(model, "change", row.pk)).status_code == 200, model


def test_what_is_kept_cannot_be_deleted_nor_what_services_own_be_changed(office: Client) -> None:
    demand, offer = DemandFactory.create(), OfferFactory.create()
    for row in (demand, offer, demand.organisation):
        assert isinstance(admin.site._registry[type(row)], KeptAdmin)
        assert office.post(page(type(row), "delete", row.pk), {"post": "yes"}).status_code == 403
        assert "delete_selected" not in str(office.get(page(type(row), "changelist")).content)
    for row in (demand, offer):
        assert office.post(page(type(row), "change", row.pk), {"quantity": 1}).status_code == 403
        assert office.get(page(type(row), "add")).status_code == 403
    assert (Demand.objects.get().quantity, Offer.objects.get().quantity) == (1000, 5000)
    entry = AuditEntry.objects.first() or AuditEntry.objects.create(event="a.b", target_type="x", target_id="1")
    assert office.post(page(AuditEntry, "change", entry.pk), {"event": "x"}).status_code == 403
    assert office.post(page(AuditEntry, "delete", entry.pk), {"post": "yes"}).status_code == 403


def test_no_page_shows_what_would_let_its_reader_in(office: Client, buyer: User) -> None:
    """With the secret of a factor or the key of a session, staff would be that person."""
    factor = Authenticator.objects.create(user=buyer, type="totp", data={"secret": "JBSWY3DPEHPK3PXP"})
    session = UserSession.objects.create(user=buyer, ip="10.0.0.1", session_key="the-key-of-a-session", user_agent="x")
    webhook = add_webhook(OrganisationFactory.create(), url="http://example.org/", by=buyer)
    for row, secret in ((factor, "JBSWY3DP"), (session, "the-key-of-a-session"), (webhook, webhook.secret)):
        for address in (page(type(row), "change", row.pk), page(type(row), "changelist")):
            shown = office.get(address)
            assert shown.status_code == 200
            assert secret not in shown.text


def test_a_lost_factor_is_removed_by_superusers_alone(client: Client, root: User, buyer: User) -> None:
    factor = Authenticator.objects.create(user=buyer, type="totp", data={"secret": "JBSWY3DPEHPK3PXP"})
    token, _text = accounts.issue_token(buyer, name="ERP", scopes=["read"])
    helper = clerk("view_authenticator", "change_authenticator", "delete_authenticator")
    client.force_login(helper)
    act(client, "remove", factor)
    assert client.post(page(Authenticator, "delete", factor.pk), {"post": "yes"}).status_code == 403
    assert Authenticator.objects.exists()

    client.force_login(root)
    assert act(client, "remove", factor) == ["1 row: done."]
    assert not Authenticator.objects.exists()
    assert not ApiToken.objects.filter(pk=token.pk).exists()
    assert AuditEntry.objects.filter(event="factor.removed", actor=root, target_id=str(buyer.pk)).exists()


def test_nobody_but_staff_gets_in(client: Client, buyer: User, coordinator: User) -> None:
    for user in (None, buyer, coordinator):
        if user:
            client.force_login(user)
        response = client.get(page(Demand, "changelist"))
        assert response.status_code == 302
        assert "/login/" in response.headers["Location"]


def test_who_may_only_look_has_no_actions(client: Client) -> None:
    demand = DemandFactory.create()
    client.force_login(clerk("view_demand"))

    act(client, "cancel", demand)
    assert Demand.objects.get().state == DemandState.OPEN

    client.force_login(clerk("view_demand", "change_demand"))
    act(client, "cancel", demand, "Double")
    assert (Demand.objects.get().state, Demand.objects.get().state_reason) == (DemandState.CANCELLED, "Double")


def decide(office: Client, organisation: Organisation, decision: str, **said: str) -> str:
    """Send the form of an organisation back as it was shown, with a decision. Gives the page that follows."""
    address = page(Organisation, "change", organisation.pk)
    form = office.get(address).context["adminform"].form
    facts = {name: form[name].value() or "" for name in (*OrganisationAdminForm.Meta.fields, "seen")}
    inlines = {"memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}
    inlines |= {"evidence-TOTAL_FORMS": 0, "evidence-INITIAL_FORMS": 0}
    return office.post(address, facts | inlines | {"decision": decision} | said, follow=True).text


def test_organisations_are_verified_and_rejected_with_a_reason(office: Client, root: User) -> None:
    organisation = OrganisationFactory.create(unverified=True, state=OrganisationState.PENDING, identifier_kind="other")

    assert "Say why, so that they can correct it." in decide(office, organisation, "reject")
    decide(office, organisation, "reject", reason="No stamp")
    organisation.refresh_from_db()
    assert (organisation.state, organisation.state_reason) == (OrganisationState.REJECTED, "No stamp")

    assert "A hospital needs a document" in decide(office, organisation, "verify")
    decide(office, organisation, "verify", noted_call="Register 027-5550 0101")
    organisation.refresh_from_db()
    assert (organisation.state, organisation.verified_by) == (OrganisationState.VERIFIED, root)
    assert organisation.call_back == "Register 027-5550 0101"


@pytest.mark.parametrize("seen", ["", "2026-11-30T08:15:42.031337+00:00"])
def test_the_back_office_decides_on_what_was_seen(office: Client, seen: str) -> None:
    organisation = OrganisationFactory.create(kind="community", unverified=True, identifier_kind="other")
    assert "has just changed" in decide(office, organisation, "verify", seen=seen)
    assert "Save the changes first" in decide(office, organisation, "verify", name="Another")
    organisation.refresh_from_db()
    assert (organisation.state, organisation.name == "Another") == (OrganisationState.UNVERIFIED, False)


def test_staff_do_not_verify_what_they_have_set_up(office: Client, root: User) -> None:
    desk = OrganisationFactory.create(kind=OrganisationKind.COORDINATOR, unverified=True, identifier_kind="other")
    AuditEntry.objects.create(
        actor=root, event="organisation.registered", target_type="accounts.organisation", target_id=str(desk.pk)
    )
    assert "somebody else has to verify it" in decide(office, desk, "verify")


def test_editing_verified_facts_in_the_admin_clears_the_verification(office: Client, hospital: Organisation) -> None:
    form = {
        "name": "Another name", "kind": hospital.kind, "identifier_kind": "other", "identifier": "",
        "region": hospital.region_id, "address": hospital.address, "contact_name": "C",
        "memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0, "evidence-TOTAL_FORMS": 0,
        "evidence-INITIAL_FORMS": 0,
    }  # fmt: skip
    response = office.post(page(Organisation, "change", hospital.pk), form)

    assert response.status_code == 302, response.context["errors"]
    hospital.refresh_from_db()
    assert (hospital.name, hospital.state) == ("Another name", OrganisationState.UNVERIFIED)

    response = office.post(
        page(Organisation, "change", hospital.pk), form | {"identifier_kind": "uscc", "identifier": "91"}
    )
    assert "18 characters" in str(response.context["errors"])


def test_coordinators_are_set_up_here(office: Client) -> None:
    response = office.post(
        page(Organisation, "add"),
        {
            "name": "Hubei desk", "kind": "coordinator", "region": region("420000").pk, "memberships-TOTAL_FORMS": 0,
            "memberships-INITIAL_FORMS": 0, "evidence-TOTAL_FORMS": 0, "evidence-INITIAL_FORMS": 0,
        },
    )  # fmt: skip

    assert response.status_code == 302, response.context["errors"]
    assert Organisation.objects.get().kind == OrganisationKind.COORDINATOR
    assert AuditEntry.objects.get(target_type="accounts.organisation").event == "organisation.registered"


def test_staff_invite_as_everybody_does_and_add_nobody(office: Client, hospital: Organisation) -> None:
    person = UserFactory.create()
    assert office.get(page(Membership, "add")).status_code == 403
    form = {"organisation": hospital.pk, "email": person.email.upper(), "role": "manager"}
    made = office.post(page(Invitation, "add"), form)
    assert made.status_code == 302, made.context["errors"]
    assert "invited already" in office.post(page(Invitation, "add"), form).text

    assert not person.memberships.exists()
    invitation = Invitation.objects.get()
    assert (invitation.email, invitation.state) == (person.email, "open")
    act(office, "withdraw", invitation)
    invitation.refresh_from_db()
    assert invitation.state == "withdrawn"


def test_members_are_changed_and_removed_but_not_the_last_manager(
    office: Client, hospital: Organisation, buyer: User
) -> None:
    person = member(hospital, Role.VIEWER)
    membership = Membership.objects.get(user=person)

    office.post(page(Membership, "change", membership.pk), {"role": "member"})
    membership.refresh_from_db()
    assert membership.role == Role.MEMBER

    act(office, "remove", membership)
    assert not Membership.objects.filter(user=person).exists()
    [said] = act(office, "remove", Membership.objects.get(user=buyer))
    assert "last manager" in said


def test_a_user_is_made_with_a_password_and_can_log_in(office: Client) -> None:
    response = office.post(
        page(User, "add"),
        {
            "email": "new@example.org", "name": "New", "language": "en", "usable_password": "true",
            "password1": PASSWORD, "password2": PASSWORD, "memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0,
        },
    )  # fmt: skip

    assert response.status_code == 302, response.context["errors"]
    assert User.objects.get(email="new@example.org").check_password(PASSWORD)


def test_staff_cannot_take_the_rights_of_others(client: Client, root: User) -> None:
    helper = clerk("view_user", "change_user")
    client.force_login(helper)
    client.post("/account/reauthenticate/", {"password": PASSWORD})

    assert client.post(page(User, "change", root.pk), {"email": "taken@example.org"}).status_code == 403
    assert client.get(reverse("admin:auth_user_password_change", args=[root.pk])).status_code == 403
    client.post(
        page(User, "change", helper.pk),
        {
            "email": helper.email, "name": "N", "language": "en", "time_zone": "UTC", "is_active": "on",
            "is_superuser": "on", "is_staff": "on", "memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0,
        },
    )  # fmt: skip
    helper.refresh_from_db()
    assert (helper.name, helper.is_superuser) == ("N", False)


def test_offers_orders_messages_keys_and_endpoints_have_their_actions(
    office: Client, root: User, hospital: Organisation, buyer: User
) -> None:
    offer = OfferFactory.create()
    act(office, "pause", offer, "Holiday")
    offer.refresh_from_db()
    assert (offer.state, offer.state_reason) == (OfferState.PAUSED, "Holiday")
    act(office, "withdraw", offer)
    offer.refresh_from_db()
    assert offer.state == OfferState.WITHDRAWN

    order = fulfilment.accept_match(MatchFactory.create(), by=None)
    act(office, "cancel", order, "Fire")
    order.refresh_from_db()
    assert (order.state, order.state_reason) == (OrderState.CANCELLED, "Fire")
    assert Match.objects.get(pk=order.match_id).state == MatchState.CANCELLED
    assert Order.objects.count() == 1

    message = Message.objects.create(
        event="order.closed", key="k", channel=Channel.EMAIL, address="a@example.org", state=MessageState.FAILED
    )
    act(office, "retry", message)
    message.refresh_from_db()
    assert message.state == MessageState.QUEUED
    [said] = act(office, "retry", message)
    assert "not possible any more" in said

    token, text = accounts.issue_token(buyer, name="t", scopes=["read"])
    shown = office.get(page(ApiToken, "change", token.pk)).content.decode()
    assert text not in shown
    act(office, "revoke", token)
    assert not ApiToken.objects.exists()

    endpoint = add_webhook(hospital, url="http://example.org/", by=buyer)
    assert endpoint.secret not in office.get(page(WebhookEndpoint, "change", endpoint.pk)).content.decode()
    act(office, "remove", endpoint)
    assert not WebhookEndpoint.objects.exists()
    assert not Notification.objects.filter(user=root).exists()


def test_a_policy_is_checked_and_a_change_is_a_new_version(office: Client, root: User) -> None:
    response = office.post(page(Policy, "add"), {"settings": '{"share_cap": 7}', "note": "x"})
    assert "must be more than 0 and at most 100" in str(response.context["errors"])

    office.post(page(Policy, "add"), {"settings": '{"share_cap": 0.4}', "note": "Less for each"})
    policy = Policy.objects.get()
    assert (policy.version, policy.values.share_cap, policy.made_by) == (2, 0.4, root)
    assert office.post(page(Policy, "change", policy.pk), {"note": "y"}).status_code == 403


def test_the_only_way_into_the_admin_is_the_log_in_with_second_factor(client: Client, root: User) -> None:
    answer = client.post("/admin/login/?next=/admin/", {"username": root.email, "password": PASSWORD})

    assert (answer.status_code, answer.headers["Location"]) == (302, "/login/?next=%2Fadmin%2F")
    assert "_auth_user_id" not in client.session


def test_who_is_logged_in_and_not_of_the_staff_is_kept_out(client: Client) -> None:
    client.force_login(UserFactory.create())

    assert client.get("/admin/", follow=True).status_code == 403
