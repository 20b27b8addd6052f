"""What the people of a merged organisation who stay behind still reach, and what an undo gives back."""

from collections.abc import Iterator

import pytest

from apps.accounts import services as accounts
from apps.accounts.models import Organisation, OrganisationState, User
from apps.accounts.permissions import Role
from apps.demands.models import Demand
from apps.demands.services import confirm_demand
from apps.duplicates.merging import merge_organisations, undo_merge
from apps.notifications import sending
from apps.notifications.models import Message
from apps.notifications.services import add_webhook, queue
from apps.supply.models import Offer
from tests.factories import DemandFactory, OfferFactory, OrganisationFactory, SupplierFactory, member
from tests.notifications.receivers import Receiver, receiver

pytestmark = pytest.mark.django_db


@pytest.fixture
def twin(db: None) -> Organisation:
    return SupplierFactory.create(name="Twin", identifier="T1", address="1 Twin Road")


@pytest.fixture
def clerk(twin: Organisation) -> User:
    return member(twin, Role.MANAGER, email="clerk@example.org", name="Clerk")


@pytest.fixture
def their_system() -> Iterator[Receiver]:
    with receiver() as server:
        yield server


def told(server: Receiver) -> str:
    Message.objects.exclude(channel="webhook").delete()
    sending.send_due()
    return " ".join(request.body.decode() for request in server.requests)


@pytest.mark.parametrize("is_undone", [False, True])
def test_a_webhook_left_behind_tells_no_fact_of_the_survivor(
    is_undone: bool, maker: Organisation, twin: Organisation, clerk: User, coordinator: User, their_system: Receiver
) -> None:
    Organisation.objects.filter(pk=maker.pk).update(address="5 Survivor Street")
    add_webhook(twin, url=their_system.url, by=clerk)
    need = DemandFactory.create(organisation=twin)
    # It waits to be sent when the need moves.
    queue("demand.nobody_left", twin, {"demand_id": need.pk}, key="waits")
    merge = merge_organisations(twin, maker, by=coordinator, with_people=False)
    Demand.objects.filter(pk=need.pk).update(address="Gate 3, 5 Survivor Street")
    text = told(their_system)
    if is_undone:
        undo_merge(merge, by=coordinator)
        text += told(their_system)
    assert "organisation.merged" in text
    assert ("organisation.merge_undone" in text) == is_undone
    assert "5 Survivor Street" not in text


def test_what_is_open_waits_for_a_word_of_the_survivor(
    maker: Organisation, twin: Organisation, clerk: User, supplier: User, coordinator: User
) -> None:
    needs = [DemandFactory.create(organisation=twin, address="7 Thief Road") for _number in range(2)]
    offer = OfferFactory.create(organisation=twin)
    merge = merge_organisations(twin, maker, by=coordinator, with_people=False)
    assert set(Demand.objects.values_list("organisation", "state")) == {(maker.pk, "stale")}
    assert Offer.objects.get().state == "stale"

    # Whom the survivor vouches for stays open; an undo opens the others again.
    confirm_demand(Demand.objects.shown().get(pk=needs[0].pk), by=supplier)
    assert Demand.objects.get(pk=needs[0].pk).state == "open"
    undo_merge(merge, by=coordinator)
    assert set(Demand.objects.values_list("organisation", "state", "state_code")) == {(twin.pk, "open", "")}
    assert (offer.pk, "published") == Offer.objects.values_list("pk", "state").get()


def test_what_is_open_goes_on_with_its_people(maker: Organisation, twin: Organisation, coordinator: User) -> None:
    DemandFactory.create(organisation=twin)
    merge_organisations(twin, maker, by=coordinator, with_people=True)
    assert set(Demand.objects.values_list("organisation", "state")) == {(maker.pk, "open")}


@pytest.mark.parametrize("with_people", [True, False])
def test_an_undo_verifies_nothing_that_nobody_manages(
    with_people: bool, maker: Organisation, twin: Organisation, clerk: User, supplier: User, coordinator: User
) -> None:
    merge = merge_organisations(twin, maker, by=coordinator, with_people=with_people)
    accounts.leave_organisation(clerk.memberships.get(), goes_dormant=True)
    undo_merge(merge, by=coordinator)
    twin.refresh_from_db()
    assert (twin.state, twin.verified_at) == (OrganisationState.UNVERIFIED, None)

    # Nobody who becomes its manager finds it verified.
    accounts.add_member(twin, clerk, role=Role.MANAGER, by=coordinator)
    twin.refresh_from_db()
    assert twin.state == OrganisationState.UNVERIFIED


def test_an_undo_leaves_verified_what_nobody_ever_managed(maker: Organisation, coordinator: User) -> None:
    listed = OrganisationFactory.create(kind=maker.kind)
    undo_merge(merge_organisations(listed, maker, by=coordinator, with_people=True), by=coordinator)
    listed.refresh_from_db()
    assert listed.is_verified
