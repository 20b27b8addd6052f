"""Pairs of organisations that are likely one, and what a coordinator says of them."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Organisation, User
from apps.accounts.permissions import OrganisationKind
from apps.core.errors import RuleViolation
from apps.core.models import AuditEntry
from apps.duplicates.merging import merge_organisations
from apps.duplicates.models import DuplicateProposal, OrganisationKey, ProposalState
from apps.duplicates.services import dismiss_proposal, look_for_duplicates, propose_pair
from tests.factories import MembershipFactory, OrganisationFactory, member, region

pytestmark = pytest.mark.django_db


def body(name: str, **facts: Any) -> Organisation:
    """An organisation without a number, an address or a phone, unless they are given."""
    return OrganisationFactory.create(name=name, **{"address": "", "contact_phone": "", **facts})


def proposed() -> list[tuple[str, str]]:
    while look_for_duplicates():
        pass
    return list(DuplicateProposal.objects.order_by("pk").values_list("first__name", "second__name"))


def test_a_name_that_grows_when_it_is_simplified_stops_nobody() -> None:
    body("㍿" * 200, identifier="ŉ" * 40)
    assert look_for_duplicates() == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"name": "武汉市武昌医院"}, {"name": "武昌医院"}),
        ({"name": "武漢市武昌醫院"}, {"name": "武汉武昌医院（本部）"}),
        ({"name": "Wuchang Hospital"}, {"name": "WUCHANG HOSPITAL"}),
        ({"name": "湖北医院", "identifier": "12420000420000000X"}, {"name": "甲", "identifier": "12420000420000000x"}),
        (
            {"name": "武昌第九医院", "contact_phone": "138-1234-5678"},
            {"name": "武汉第九医院", "contact_phone": "+86 13812345678", "region": "420100"},
        ),
        ({"name": "紫阳医院", "address": "紫阳路99号"}, {"name": "武昌紫阳总医院", "address": "武昌区紫阳路99号"}),
    ],
)
def test_what_is_likely_one_is_proposed(one: dict[str, Any], other: dict[str, Any]) -> None:
    bodies = [body(**{**facts, "region": region(facts.get("region", "420106"))}) for facts in (one, other)]
    assert proposed() == [(bodies[0].name, bodies[1].name)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"name": "武汉市第一医院"}, {"name": "武汉市第二医院"}),
        ({"name": "武昌区人民医院"}, {"name": "武昌区中医医院"}),
        ({"name": "武昌区红十字会", "address": "紫阳路99号"}, {"name": "武昌区慈善总会", "address": "紫阳路99号"}),
        ({"name": "人民医院"}, {"name": "人民医院", "region": "429004"}),
        ({"name": "武昌医院", "identifier": "A1"}, {"name": "武昌医院", "identifier": "B2"}),
        # Nobody becomes a coordinator by a merge.
        ({"name": "武昌协调组", "kind": OrganisationKind.COORDINATOR}, {"name": "武昌协调组"}),
    ],
)
def test_what_is_likely_two_is_not_proposed(one: dict[str, Any], other: dict[str, Any]) -> None:
    for facts in (one, other):
        body(**{**facts, "region": region(facts.get("region", "420106"))})
    assert proposed() == []


def test_an_organisation_is_looked_at_once_and_again_after_a_change() -> None:
    first, second = body("武昌医院"), body("汉阳医院")
    assert (look_for_duplicates(), look_for_duplicates()) == (2, 0)
    Organisation.objects.filter(pk=second.pk).update(name="武汉市武昌医院")
    assert look_for_duplicates() == 1
    assert DuplicateProposal.objects.get().findings["name"] == "same"
    Organisation.objects.filter(pk=second.pk).update(name="汉阳医院")
    assert look_for_duplicates() == 1
    assert not DuplicateProposal.objects.exists()
    assert OrganisationKey.objects.count() == 2
    assert first.pk


def test_a_pair_that_a_coordinator_keeps_apart_does_not_come_back(coordinator: User) -> None:
    first, second = body("武昌医院"), body("武汉市武昌医院")
    assert len(proposed()) == 1
    dismiss_proposal(DuplicateProposal.objects.get(), by=coordinator, note="Two campuses.")
    Organisation.objects.filter(pk=first.pk).update(address="1 Road")
    proposed()
    proposal = DuplicateProposal.objects.get()
    assert (proposal.state, proposal.note, proposal.decided_by) == (
        ProposalState.DISMISSED,
        "Two campuses.",
        coordinator,
    )
    noted = AuditEntry.objects.filter(event="duplicate.dismissed").values_list("target_id", flat=True)
    assert set(noted) == {str(first.pk), str(second.pk)}


def test_who_belongs_to_one_of_them_does_not_decide(coordinator: User) -> None:
    MembershipFactory.create(user=coordinator, organisation=body("武昌医院"))
    body("武汉市武昌医院")
    proposed()
    with pytest.raises(RuleViolation) as refused:
        dismiss_proposal(DuplicateProposal.objects.get(), by=coordinator)
    assert refused.value.code == "own_organisation"


@pytest.mark.parametrize(("size", "most"), [(20, 1), (40, 1)])
def test_looking_at_a_few_takes_few_queries_however_many_there_are(size: int, most: int) -> None:
    for number in range(size):
        body(f"甲乙丙丁第{number}科技公司", contact_phone=f"1380000{number:04}")
    while look_for_duplicates():
        pass
    body("武昌医院")
    with CaptureQueriesContext(connection) as captured:
        assert look_for_duplicates() == most
    assert len(captured) <= 12


# Pairs that a coordinator proposes by hand


@pytest.fixture
def pair(db: None) -> tuple[Organisation, Organisation]:
    """Two names that nothing but knowledge connects: the search finds no likely pair."""
    return body("武汉协和医院"), body("华中科技大学附属医院")


def test_a_pair_that_no_search_finds_is_proposed_by_hand_and_stays(
    pair: tuple[Organisation, Organisation], coordinator: User
) -> None:
    proposal = propose_pair(*reversed(pair), by=coordinator, reason=" One licence. ")
    assert (proposal.first, proposal.second) == pair
    assert (proposal.proposed_by, proposal.reason, proposal.findings["name"]) == (
        coordinator, "One licence.", "different"
    )  # fmt: skip
    assert proposed() == [(pair[0].name, pair[1].name)]
    Organisation.objects.filter(pk=pair[1].pk).update(contact_phone="138-1234-5678")
    assert len(proposed()) == 1
    assert AuditEntry.objects.filter(event="duplicate.proposed").count() == 2


def test_who_proposed_a_pair_does_not_merge_it(pair: tuple[Organisation, Organisation], coordinator: User) -> None:
    propose_pair(*pair, by=coordinator, reason="One licence.")
    with pytest.raises(RuleViolation) as caught:
        merge_organisations(pair[1], pair[0], by=coordinator, with_people=False)
    assert caught.value.code == "needs_other_eyes"

    other = member(coordinator.grants[0].organisation, email="second@example.org")
    assert merge_organisations(pair[1], pair[0], by=other, with_people=False).survivor == pair[0]


def test_a_pair_that_was_kept_apart_is_proposed_again_by_hand_alone(
    pair: tuple[Organisation, Organisation], coordinator: User
) -> None:
    proposal = propose_pair(*pair, by=coordinator, reason="One licence.")
    dismiss_proposal(proposal, by=coordinator, note="Two licences.")
    again = propose_pair(*pair, by=coordinator, reason="The second ran out.")
    assert (again.pk, again.state, again.reason, again.note) == (proposal.pk, "open", "The second ran out.", "")


def test_a_pair_that_waits_already_is_not_taken_over(coordinator: User) -> None:
    pair = body("武昌医院"), body("武汉市武昌医院")
    proposed()
    proposal = propose_pair(*pair, by=coordinator, reason="One licence.")
    assert (proposal.proposed_by, proposal.reason) == (None, "")
    merge_organisations(pair[1], pair[0], by=coordinator, with_people=False)


def test_what_cannot_be_merged_is_not_proposed_by_hand(
    pair: tuple[Organisation, Organisation], coordinator: User
) -> None:
    one, other = pair
    desk = OrganisationFactory.create(kind=OrganisationKind.COORDINATOR, region=region("420106"))
    insider = member(coordinator.grants[0].organisation, email="insider@example.org")
    MembershipFactory.create(user=insider, organisation=one)
    far = member(OrganisationFactory.create(kind=OrganisationKind.COORDINATOR, region=region("440300")))
    for first, second, by, reason, code in [
        (one, one, coordinator, "x", "organisation_merged"),
        (one, desk, coordinator, "x", "kinds_differ"),
        (one, other, coordinator, " ", "reason_missing"),
        (one, other, insider, "x", "own_organisation"),
        (one, other, far, "x", "not_in_charge"),
    ]:
        with pytest.raises(RuleViolation) as caught:
            propose_pair(first, second, by=by, reason=reason)
        assert caught.value.code == code
    assert not DuplicateProposal.objects.exists()
