"""Versions and drafts of the policy."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from apps.accounts.models import User
from apps.accounts.permissions import OrganisationKind, Permission, Role, can
from apps.core.errors import RuleViolation
from apps.policy import services
from apps.policy.models import DraftState, Policy, PolicyDraft
from tests.factories import OrganisationFactory, UserFactory, member, region

pytestmark = pytest.mark.django_db


def test_a_version_keeps_its_values_when_defaults_change(coordinator: User) -> None:
    made = services.make_policy({"share_cap": 0.4}, note="Less for each", by=coordinator)

    assert (made.version, Policy.objects.current()) == (2, made)
    assert made.settings["standbys"] == 3
    assert made.settings["share_cap"] == 0.4


def test_a_version_needs_a_reason(coordinator: User) -> None:
    with pytest.raises(RuleViolation) as caught:
        services.make_policy({}, note="  ", by=coordinator)
    assert caught.value.code == "reason_missing"


def test_faults_are_named_by_their_setting(coordinator: User) -> None:
    with pytest.raises(RuleViolation) as caught:
        services.make_policy({"share_cap": 7, "standbys": True}, note="x", by=coordinator)
    assert set(caught.value.errors) == {"share_cap", "standbys"}
    assert "Largest share of a short item" in str(caught.value)

    with pytest.raises(RuleViolation, match="There is no region 999999"):
        services.make_policy({"phases": {"999999": {"phase": "emergency"}}}, note="x", by=coordinator)


def test_a_draft_becomes_the_next_version_once(coordinator: User) -> None:
    draft = services.draft_policy({"standbys": 5}, based_on=1, by=coordinator)
    made = services.put_into_force(draft, note="More in line", by=coordinator)

    assert (made.version, made.values.standbys, made.note) == (2, 5, "More in line")
    draft.refresh_from_db()
    assert (draft.state, draft.became) == (DraftState.IN_FORCE, made)
    with pytest.raises(RuleViolation, match="not open"):
        services.put_into_force(draft, note="again", by=coordinator)


def test_a_draft_of_an_older_version_is_refused_and_kept(coordinator: User) -> None:
    stale = services.draft_policy({"standbys": 5}, based_on=1, by=coordinator)
    services.make_policy({}, note="Meanwhile", by=coordinator)

    with pytest.raises(RuleViolation) as caught:
        services.put_into_force(stale, note="x", by=coordinator)

    assert (caught.value.code, caught.value.params["version"]) == ("policy_changed", 2)
    stale.refresh_from_db()
    assert stale.state == DraftState.OPEN
    assert Policy.objects.current().version == 2


def test_what_is_put_into_force_is_what_the_draft_says_by_then(coordinator: User) -> None:
    as_read = services.draft_policy({"standbys": 5}, based_on=1, by=coordinator)
    services.amend_draft(PolicyDraft.objects.get(), {"standbys": 9}, by=coordinator)

    made = services.put_into_force(as_read, note="More in line", by=coordinator)

    kept = PolicyDraft.objects.get()
    assert (made.values.standbys, made.settings, kept.became) == (9, kept.settings, made)


@pytest.mark.parametrize("verb", ["amend_draft", "put_into_force"])
def test_nobody_decides_on_a_draft_that_they_did_not_see(coordinator: User, verb: str) -> None:
    draft = services.draft_policy({"standbys": 5}, based_on=1, by=coordinator)
    now = services.amend_draft(draft, {"standbys": 9}, by=coordinator, seen=draft.updated_at)

    def decide(seen: dt.datetime) -> object:
        if verb == "amend_draft":
            return services.amend_draft(draft, {"standbys": 6}, by=coordinator, seen=seen)
        return services.put_into_force(draft, note="x", by=coordinator, seen=seen)

    with pytest.raises(RuleViolation) as caught:
        decide(draft.updated_at)
    assert (caught.value.code, PolicyDraft.objects.get().values.standbys) == ("state_changed", 9)
    assert Policy.objects.count() == 0
    decide(now.updated_at)


def test_an_earlier_version_is_restored_as_a_new_one(coordinator: User) -> None:
    first = services.make_policy({"standbys": 5}, note="a", by=coordinator)
    services.make_policy({"standbys": 1}, note="b", by=coordinator)

    draft = services.restore_policy(first, by=coordinator)

    assert services.put_into_force(draft, note="Back", by=coordinator).values.standbys == 5
    assert Policy.objects.current().version == 4


@pytest.mark.django_db(transaction=True)
def test_of_two_versions_at_once_one_is_made_and_the_other_is_told() -> None:
    by = UserFactory.create()
    drafts = [services.draft_policy({"standbys": number}, based_on=1, by=by) for number in (4, 5, 6)]
    together = Barrier(len(drafts))

    def enforce(draft: PolicyDraft) -> str:
        together.wait()
        try:
            services.put_into_force(draft, note="x", by=by)
        except RuleViolation as violation:
            return violation.code
        finally:
            connection.close()
        return "made"

    with ThreadPoolExecutor(len(drafts)) as pool:
        outcomes = sorted(pool.map(enforce, drafts))

    assert outcomes == ["made", "policy_changed", "policy_changed"]
    assert Policy.objects.count() == 1
    assert PolicyDraft.objects.filter(state=DraftState.IN_FORCE).count() == 1


@pytest.mark.parametrize(
    ("place", "role", "kind", "may"),
    [
        ("CN", Role.MANAGER, OrganisationKind.COORDINATOR, True),
        ("CN", Role.MEMBER, OrganisationKind.COORDINATOR, True),
        ("CN", Role.VIEWER, OrganisationKind.COORDINATOR, False),
        ("420000", Role.MANAGER, OrganisationKind.COORDINATOR, False),
        ("CN", Role.MANAGER, OrganisationKind.GOVERNMENT, False),
        ("CN", Role.MANAGER, OrganisationKind.HOSPITAL, False),
    ],
)
def test_the_policy_is_set_by_coordinators_of_a_whole_country(place: str, role: str, kind: str, may: bool) -> None:
    user = member(OrganisationFactory.create(kind=kind, region=region(place)), role)
    assert can(user, Permission.SET_POLICY) is may


def test_neither_an_unverified_desk_nor_a_province_sets_the_policy() -> None:
    unverified = OrganisationFactory.create(kind=OrganisationKind.COORDINATOR, region=region("CN"), unverified=True)
    assert not can(member(unverified), Permission.SET_POLICY)
    province = member(OrganisationFactory.create(kind=OrganisationKind.COORDINATOR, region=region("420000")))
    city = OrganisationFactory.create(kind=OrganisationKind.COORDINATOR, region=region("420100"))
    assert not can(province, Permission.SET_POLICY, city)
