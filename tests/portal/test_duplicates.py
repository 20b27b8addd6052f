"""Organisations that may be one, at the desk: side by side, merged, kept apart, parted again."""

import pytest
from django.test import Client

from apps.accounts.models import Organisation, User
from apps.accounts.permissions import OrganisationKind
from apps.duplicates.models import DuplicateProposal, OrganisationMerge, ProposalState
from apps.duplicates.services import look_for_duplicates
from tests.factories import MembershipFactory, OfferFactory, OrganisationFactory, SupplierFactory, member, region
from tests.portal.conftest import Login

pytestmark = pytest.mark.django_db


@pytest.fixture
def twin(maker: Organisation) -> Organisation:
    return SupplierFactory.create(name="SHENZHEN MAKER", unverified=True, contact_phone=maker.contact_phone)


@pytest.fixture
def proposal(twin: Organisation) -> DuplicateProposal:
    look_for_duplicates()
    return DuplicateProposal.objects.get()


def merging(page: object, **changes: object) -> dict[str, object]:
    """What the form of the page sends, filled in by default."""
    form = page.context["merge_form"]  # type: ignore[attr-defined]  # of Django's test client
    sent = {form.add_prefix(name): form[name].value() for name in form.fields}
    sent |= {"merge-note": "They share a licence."} | changes
    return {name: value for name, value in sent.items() if value not in {False, None}}


def test_a_pair_is_seen_in_the_queue_and_merged_with_a_reason(
    desk: Client, maker: Organisation, twin: Organisation, proposal: DuplicateProposal
) -> None:
    offer = OfferFactory.create(organisation=twin)
    assert "SHENZHEN MAKER" in desk.get("/desk/").text
    path = f"/desk/duplicates/{proposal.pk}/"
    page = desk.get(path)
    assert "The same phone number" in page.text
    assert maker.contact_phone not in page.text

    refused = desk.post(f"{path}merge/", merging(page, **{"merge-note": ""}))
    assert refused.status_code == 400
    done = desk.post(f"{path}merge/", merging(page), follow=True)
    assert done.redirect_chain[-1][0] == f"/desk/organisations/{maker.pk}/"

    offer.refresh_from_db()
    merge = OrganisationMerge.objects.get()
    assert (offer.organisation, merge.survivor, merge.with_people) == (maker, maker, False)
    assert "Undo" in done.text
    assert "SHENZHEN MAKER =" not in desk.get("/desk/").text
    assert desk.get(path).status_code == 200

    undone = desk.post(f"/desk/merges/{merge.pk}/undo/", follow=True)
    assert undone.redirect_chain[-1][0] == f"/desk/organisations/{twin.pk}/"
    offer.refresh_from_db()
    assert offer.organisation == twin
    again = desk.post(f"/desk/merges/{merge.pk}/undo/", follow=True)
    assert "was undone already" in again.text


def test_facts_that_changed_since_the_page_was_opened_are_not_merged(
    desk: Client, twin: Organisation, proposal: DuplicateProposal
) -> None:
    path = f"/desk/duplicates/{proposal.pk}/"
    sent = merging(desk.get(path))
    Organisation.objects.filter(pk=twin.pk).update(name="Ministry of Masks")
    assert "has just changed" in desk.post(f"{path}merge/", sent, follow=True).text
    assert not OrganisationMerge.objects.exists()


def test_a_pair_is_kept_apart(desk: Client, coordinator: User, proposal: DuplicateProposal) -> None:
    desk.post(f"/desk/duplicates/{proposal.pk}/dismiss/", {"dismiss-note": "Two licences."})
    proposal.refresh_from_db()
    assert (proposal.state, proposal.note) == (ProposalState.DISMISSED, "Two licences.")
    page = desk.get(f"/desk/duplicates/{proposal.pk}/").text
    assert "Two licences." in page
    assert "merge-survivor" not in page


def test_a_member_of_one_of_them_is_told_that_another_decides(
    desk: Client, coordinator: User, twin: Organisation, proposal: DuplicateProposal
) -> None:
    MembershipFactory.create(user=coordinator, organisation=twin)
    path = f"/desk/duplicates/{proposal.pk}/"
    page = desk.get(path)
    assert "Another coordinator decides" in page.text
    assert "Another coordinator decides" in desk.post(f"{path}merge/", merging(page), follow=True).text
    assert "Another coordinator decides" in desk.post(f"{path}dismiss/", {}, follow=True).text
    proposal.refresh_from_db()
    assert proposal.state == ProposalState.OPEN


def test_a_coordinator_of_another_region_does_not_see_the_pair(log_in: Login, proposal: DuplicateProposal) -> None:
    wuhan = log_in(member(OrganisationFactory.create(kind=OrganisationKind.COORDINATOR, region=region("420100"))))
    assert wuhan.get(f"/desk/duplicates/{proposal.pk}/").status_code == 404
    assert wuhan.post(f"/desk/duplicates/{proposal.pk}/dismiss/").status_code == 404
    assert "SHENZHEN" not in wuhan.get("/desk/").text


def test_the_address_of_a_merged_organisation_leads_on(
    desk: Client, log_in: Login, supplier: User, maker: Organisation, twin: Organisation, proposal: DuplicateProposal
) -> None:
    behind = member(twin)
    path = f"/desk/duplicates/{proposal.pk}/"
    desk.post(f"{path}merge/", merging(desk.get(path)))

    led = log_in(supplier).get(f"/organisation/{twin.pk}/", follow=True)
    assert led.redirect_chain == [(f"/organisation/{maker.pk}/", 302)]
    assert "was merged into this organisation" in led.text
    stayed = log_in(behind)
    assert "stood here twice" in stayed.get(f"/organisation/{twin.pk}/").text
    assert stayed.get(f"/organisation/{maker.pk}/").status_code == 404
    assert stayed.get(f"/organisation/{twin.pk}/edit/").status_code == 403
    at_desk = desk.get(f"/desk/organisations/{twin.pk}/").text
    assert "Merged into" in at_desk
    assert "Verified until" not in at_desk


def test_a_coordinator_proposes_a_pair_and_another_merges_it(
    desk: Client, log_in: Login, coordinator: User, maker: Organisation
) -> None:
    twin = SupplierFactory.create(name="Pearl River Works", unverified=True)
    assert 'name="propose-other"' in desk.get("/desk/waiting/duplicates/").text
    page = desk.get(f"/desk/organisations/{twin.pk}/")
    assert page.context["propose_form"]["one"].value() == str(twin.pk)

    sent = {"propose-one": str(twin.pk), "propose-other": "shenzhen maker", "propose-reason": "One licence."}
    answer = desk.post("/desk/duplicates/new/", sent, follow=True)
    proposal = DuplicateProposal.objects.get()
    assert answer.redirect_chain[-1][0] == f"/desk/duplicates/{proposal.pk}/"
    assert "Proposed by Coordinator: One licence." in answer.text
    assert "another coordinator decides" in answer.text
    assert "merge-survivor" not in answer.text
    path = f"/desk/duplicates/{proposal.pk}/"
    refused = desk.post(f"{path}merge/", merging(answer), follow=True)
    assert "another coordinator decides" in refused.text

    other = log_in(member(coordinator.grants[0].organisation, email="second@example.org"))
    other.post(f"{path}merge/", merging(other.get(path)))
    assert OrganisationMerge.objects.get().survivor == maker


def test_a_pair_is_named_exactly_and_within_ones_region(desk: Client, log_in: Login, maker: Organisation) -> None:
    twins = [SupplierFactory.create(name="Twin", identifier=number) for number in ("T1", "T2")]

    def propose(client: Client, other: str) -> str:
        sent = {"propose-one": str(maker.pk), "propose-other": other, "propose-reason": "x"}
        answer = client.post("/desk/duplicates/new/", sent)
        assert answer.status_code in {302, 400}
        return "" if answer.status_code == 302 else answer.text

    numbers = ", ".join(str(twin.pk) for twin in twins)
    assert f"Several are named so. Write the number: {numbers}." in propose(desk, "twin")
    assert "No organisation of your region is named so." in propose(desk, "Nobody")
    assert "side by side" in propose(desk, str(maker.pk))
    wuhan = log_in(member(OrganisationFactory.create(kind=OrganisationKind.COORDINATOR, region=region("420100"))))
    assert "No organisation of your region is named so." in propose(wuhan, "T2")
    assert not DuplicateProposal.objects.exists()
    assert propose(desk, "t2") == ""
    assert DuplicateProposal.objects.get().second == twins[1]
