"""Who may do what, and what verification is worth."""

import datetime as dt
from contextlib import suppress

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts import services
from apps.accounts.models import Membership, Organisation, OrganisationState, User
from apps.accounts.permissions import OrganisationKind, Permission, Role, can
from apps.core.errors import RuleViolation
from apps.core.models import AuditEntry
from tests.documents import PDF
from tests.factories import OrganisationFactory, UserFactory, member, region

pytestmark = pytest.mark.django_db


def test_anyone_may_register_and_becomes_the_manager(stranger: User) -> None:
    clinic = services.register_organisation(
        by=stranger, name=" Clinic ", kind="health_facility", region=region("429004"), identifier="91330100799655058b"
    )

    assert (clinic.name, clinic.state, clinic.identifier) == (
        "Clinic",
        OrganisationState.UNVERIFIED,
        "91330100799655058B",
    )
    assert can(stranger, Permission.MANAGE_ORGANISATION, clinic)
    assert AuditEntry.objects.filter(event="organisation.registered", actor=stranger).exists()


@pytest.mark.parametrize(
    ("typed", "kept"),
    [("Wuhan\u200b\ufeff Hospital", "Wuhan Hospital"), ("武汉\u202e医院\u2066", "武汉医院"), ("A\nB\u2028C", "A B C")],
)
def test_a_name_is_what_is_seen_of_it(stranger: User, typed: str, kept: str) -> None:
    made = services.register_organisation(by=stranger, name=typed, kind="hospital", region=region("420106"))
    assert made.name == kept
    assert services.amend_organisation(made, by=stranger, name=f"{typed}!").name == f"{kept}!"
    assert services.amend_user(stranger, name=typed).name == kept
    with pytest.raises(RuleViolation) as refused:
        services.amend_organisation(made, by=stranger, name="\u200b\u202e-")
    assert refused.value.code == "name_invalid"


def test_a_number_that_grows_in_capitals_is_refused_in_words(stranger: User) -> None:
    with pytest.raises(RuleViolation) as caught:
        services.register_organisation(
            by=stranger,
            name="X",
            kind="hospital",
            region=region("420106"),
            identifier_kind="other",
            identifier="ŉ" * 40,
        )
    assert list(caught.value.errors) == ["identifier"]


@pytest.mark.parametrize("identifier", ["91330100799655058A", "123", "91330100799655058BB", "９１３"])
def test_a_wrong_check_character_is_refused_in_words(stranger: User, identifier: str) -> None:
    with pytest.raises(RuleViolation) as caught:
        services.register_organisation(
            by=stranger, name="X", kind="hospital", region=region("420106"), identifier=identifier
        )
    assert list(caught.value.errors) == ["identifier"]
    assert Organisation.objects.count() == 0


def test_nobody_registers_as_a_coordinator(stranger: User) -> None:
    with pytest.raises(RuleViolation):
        services.register_organisation(by=stranger, name="X", kind="coordinator", region=region("CN"))


def test_editing_a_verified_fact_clears_the_verification(hospital: Organisation, buyer: User) -> None:
    cleared = services.amend_organisation(hospital, by=buyer, name="Another Hospital")
    assert (cleared.state, cleared.verified_at) == (OrganisationState.UNVERIFIED, None)


def test_verification_needs_evidence_and_a_rejection_needs_a_reason(stranger: User, coordinator: User) -> None:
    clinic = services.register_organisation(by=stranger, name="Clinic", kind="hospital", region=region("420106"))
    with pytest.raises(RuleViolation, match="something to verify"):
        services.submit_for_verification(clinic, by=stranger)

    services.add_evidence(clinic, SimpleUploadedFile("licence.pdf", PDF), by=stranger)
    services.submit_for_verification(clinic, by=stranger)
    with pytest.raises(RuleViolation, match="why"):
        services.reject_organisation(clinic, by=coordinator, reason=" ")
    services.reject_organisation(clinic, by=coordinator, reason="Unreadable scan")
    services.submit_for_verification(clinic, by=stranger)
    services.verify_organisation(clinic, by=coordinator)

    clinic.refresh_from_db()
    assert clinic.is_verified
    assert clinic.verified_until == (timezone.now() + services.VERIFICATION_LASTS).date()


def test_evidence_is_a_document_of_a_sensible_size(hospital: Organisation, buyer: User) -> None:
    with pytest.raises(RuleViolation):
        services.add_evidence(hospital, SimpleUploadedFile("big.pdf", b"%PDF" + b"x" * 6_000_000), by=buyer)
    with pytest.raises(RuleViolation):
        services.add_evidence(hospital, SimpleUploadedFile("page.html", b"<script>"), by=buyer)


def test_two_organisations_are_not_verified_with_one_number(coordinator: User) -> None:
    OrganisationFactory.create(identifier="91330100799655058B")
    twin = OrganisationFactory.create(identifier="91330100799655058B", unverified=True, kind="community")
    with pytest.raises(RuleViolation, match="already verified"):
        services.verify_organisation(twin, by=coordinator)


def test_verification_runs_out(hospital: Organisation) -> None:
    later = timezone.now() + dt.timedelta(days=400)
    assert services.expire_verifications(now=later) == [hospital]
    hospital.refresh_from_db()
    assert hospital.state == OrganisationState.UNVERIFIED
    assert services.expire_verifications(now=later) == []


def test_roles_and_kinds_both_limit_what_a_person_may_do(
    hospital: Organisation, maker: Organisation, buyer: User, colleague: User, supplier: User, stranger: User
) -> None:
    assert can(buyer, Permission.POST_DEMANDS, hospital)
    assert not can(buyer, Permission.PUBLISH_OFFERS, hospital)
    assert not can(buyer, Permission.POST_DEMANDS, maker)
    assert can(colleague, Permission.VIEW, hospital)
    assert not can(colleague, Permission.POST_DEMANDS, hospital)
    assert can(supplier, Permission.PUBLISH_OFFERS, maker)
    assert not any(can(stranger, permission, hospital) for permission in Permission)
    buyer.is_active = False
    assert not can(buyer, Permission.VIEW, hospital)


def test_coordinators_act_in_their_region_and_only_while_verified() -> None:
    desk = OrganisationFactory.create(kind=OrganisationKind.COORDINATOR, region=region("420000"))
    person = member(desk)
    inside, outside = OrganisationFactory.create(), OrganisationFactory.create(region=region("110102"))
    assert can(person, Permission.POST_DEMANDS, inside)
    assert not can(person, Permission.PUBLISH_OFFERS, inside)  # a hospital has no offers, whoever asks
    assert not can(person, Permission.POST_DEMANDS, outside)

    Organisation.objects.filter(pk=desk.pk).update(state=OrganisationState.UNVERIFIED)
    person = User.objects.get(pk=person.pk)
    assert not can(person, Permission.COORDINATE)
    assert not can(person, Permission.POST_DEMANDS, inside)
    assert list(Organisation.objects.visible_to(person)) == [desk]


def test_a_partner_sees_its_region_and_no_other(partner: User, far_partner: User, hospital: Organisation) -> None:
    assert hospital in Organisation.objects.visible_to(partner)
    assert hospital not in Organisation.objects.visible_to(far_partner)
    partner.region_limit = region("110000")
    assert list(Organisation.objects.visible_to(partner)) == []


def test_the_nearest_coordinator_comes_first(hospital: Organisation) -> None:
    nation, province, city, elsewhere = (
        OrganisationFactory.create(kind=OrganisationKind.COORDINATOR, region=region(code))
        for code in ("CN", "420000", "420100", "440300")
    )
    found = list(Organisation.objects.coordinating(hospital.region))
    assert found == [city, province, nation]
    assert elsewhere not in found


def test_an_address_is_taken_whatever_its_case() -> None:
    UserFactory.create(email="nurse@example.org")
    with pytest.raises(IntegrityError):
        User.objects.create_user("NURSE@example.org", "x")


def test_an_address_is_looked_up_by_its_index() -> None:
    UserFactory.create(email="nurse@example.org")
    assert User.objects.get_by_natural_key("NURSE@Example.org").email == "nurse@example.org"

    with CaptureQueriesContext(connection) as captured, suppress(User.DoesNotExist):
        User.objects.get_by_natural_key("doctor@example.org")
    with connection.cursor() as cursor:
        # A small table is read as a whole, index or not.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {captured[0]['sql']}")
        assert "user_email_unique" in str(cursor.fetchall())


def test_the_last_manager_stays(hospital: Organisation, buyer: User) -> None:
    with pytest.raises(RuleViolation, match="last manager"):
        services.remove_member(buyer.memberships.get(), by=buyer)
    other = UserFactory.create()
    services.add_member(hospital, other, role=Role.MANAGER, by=buyer)
    services.remove_member(buyer.memberships.get(), by=other)
    assert [membership.user for membership in Membership.objects.filter(organisation=hospital)] == [other]


def test_a_token_is_shown_once_and_kept_as_a_hash(buyer: User) -> None:
    token, text = services.issue_token(buyer, name="ERP", scopes=["read"], lasts=dt.timedelta(days=1))
    assert text not in {token.digest, token.token_key}
    assert not any(text in str(value) for value in vars(token).values())
    with pytest.raises(IntegrityError):
        services.issue_token(buyer, name="ERP", scopes=["everything"])
