"""The policy on the desk: read, draft, put into force, restore."""

from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.matching.models import Replay
from apps.policy.models import DraftState, Policy, PolicyDraft
from apps.policy.services import amend_draft, draft_policy, make_policy
from apps.policy.values import PolicyValues
from tests.factories import (
    region,
)
from tests.portal.conftest import HUBEI_LOOKS, Login, log_in_after, queries

pytestmark = pytest.mark.django_db


def typed(client: Client, path: str = "/desk/policy/new/", **changes: Any) -> dict[str, Any]:
    """What a browser would send back of the form, with some fields typed over."""
    context = client.get(path).context
    data: dict[str, Any] = {}
    for form in (context["form"], context["phases"].management_form, *context["phases"].forms):
        for bound in form:
            value = bound.value()
            data[bound.html_name] = "" if value is None or value is False else getattr(value, "pk", value)
    return data | changes


# --- Who --------------------------------------------------------------------------------------------------------------


def test_coordinators_read_the_policy_and_only_national_ones_change_it(
    log_in: Login, coordinator: User, province: User
) -> None:
    draft = draft_policy({"standbys": 5}, based_on=1, by=coordinator)
    reader = log_in(province)

    for page in ("/desk/policy/", "/desk/policy/versions/1/", f"/desk/policy/drafts/{draft.pk}/"):
        answer = reader.get(page)
        assert answer.status_code == 200
        assert "Draft a change" not in answer.text
        assert f"/desk/policy/drafts/{draft.pk}/enforce/" not in answer.text
    for page in ("new/", f"drafts/{draft.pk}/edit/"):
        assert reader.get(f"/desk/policy/{page}").status_code == 404
    for action in ("preview", "enforce", "discard"):
        assert reader.post(f"/desk/policy/drafts/{draft.pk}/{action}/", {"note": "x"}).status_code == 404
    assert reader.post("/desk/policy/versions/1/restore/").status_code == 404
    draft.refresh_from_db()
    assert (draft.state, Policy.objects.count(), Replay.objects.count()) == (DraftState.OPEN, 0, 0)


@pytest.mark.parametrize("who", ["buyer", "supplier", "partner", "stranger"])
def test_nobody_else_sees_it(who: str, log_in: Login, coordinator: User, request: pytest.FixtureRequest) -> None:
    draft = draft_policy({}, based_on=1, by=coordinator)
    client = log_in(request.getfixturevalue(who))
    for page in ("", "new/", "versions/1/", f"drafts/{draft.pk}/", f"drafts/{draft.pk}/edit/"):
        assert client.get(f"/desk/policy/{page}").status_code == 404


# --- Versions ---------------------------------------------------------------------------------------------------------


def test_a_ministry_reads_every_number_with_its_unit(desk: Client) -> None:
    text = desk.get("/desk/policy/").text

    for part in ("In force: version 1", "15 minutes", "54 hours", "3 days", "25 %", "tier 3", "500 km", "50 %",
                 "Normal everywhere", "built into the program"):  # fmt: skip
        assert part in text, part


def test_versions_say_who_when_why_and_what_changed(desk: Client, coordinator: User) -> None:
    region("420000")
    weights = {**PolicyValues().weights, "price": 0.15, "coverage": 0.15}
    make_policy({"weights": weights}, note="Prices have run away", by=coordinator)
    make_policy({"weights": weights, "share_cap": 0.3, **HUBEI_LOOKS}, note="Hubei", by=coordinator)

    text = desk.get("/desk/policy/").text

    assert "“Prices have run away”" in text
    assert "Weights, Price: 15 % instead of 5 %" in text
    assert "Largest share of a short item: 30 % instead of 50 %" in text
    assert "Hubei: Emergency phase; a coordinator reviews each need first instead of nothing said" in text
    older = desk.get("/desk/policy/versions/2/").text
    assert "Largest share of a short item: 50 % instead of 30 %" in older
    assert desk.get("/desk/policy/versions/9/").status_code == 404


def test_the_list_of_versions_takes_as_many_queries_for_few_as_for_many(desk: Client, coordinator: User) -> None:
    region("420000")
    make_policy(HUBEI_LOOKS, note="1", by=coordinator)
    few = queries(desk, "/desk/policy/")
    for number in range(2, 12):
        make_policy({**HUBEI_LOOKS, "standbys": number}, note=str(number), by=coordinator)
        draft_policy({}, based_on=number, by=coordinator)
    assert queries(desk, "/desk/policy/") <= few


# --- Drafting ---------------------------------------------------------------------------------------------------------


def test_a_draft_is_kept_looked_at_and_put_into_force_with_a_reason(desk: Client, coordinator: User) -> None:
    region("420000")
    changes = {
        "share_cap": "40", "gift_reach_km": "", "tiers-community": "2", "hold_minutes-urgent": "90", "standbys": "5",
        "phases-0-region": "Hubei", "phases-0-phase": "emergency", "phases-0-approval": "on",
    }  # fmt: skip
    kept = desk.post("/desk/policy/new/", typed(desk, **changes))

    draft = PolicyDraft.objects.get()
    assert kept["Location"] == f"/desk/policy/drafts/{draft.pk}/"
    assert Policy.objects.count() == 0
    page = desk.get(kept["Location"])
    assert page.context["changes"] == [
        "Tiers, Community: tier 2 instead of tier 3",
        "A supplier answers within, Urgent: 90 minutes instead of 2 hours",
        "Largest share of a short item: 40 % instead of 50 %",
        "Hubei: Emergency phase; a coordinator reviews each need first instead of nothing said",
        "How far a donation goes on its first day: no limit instead of 350 km",
        "Backup suppliers: 5 suppliers instead of 3 suppliers",
    ]  # fmt: skip

    refused = desk.post(f"/desk/policy/drafts/{draft.pk}/enforce/", {"note": " "})
    assert (refused.status_code, Policy.objects.count()) == (400, 0)
    desk.post(f"/desk/policy/drafts/{draft.pk}/enforce/", {"note": "Share more"})

    policy = Policy.objects.get()
    assert (policy.version, policy.note, policy.made_by) == (2, "Share more", coordinator)
    expected = PolicyValues.from_json(
        {
            "share_cap": 0.4, "standbys": 5, "gift_reach_km": None, **HUBEI_LOOKS,
            "tiers": {**PolicyValues().tiers, "community": 2},
            "hold_minutes": {"emergency": 15, "urgent": 90, "routine": 1440},
        }
    )  # fmt: skip
    assert policy.values == expected


def test_a_form_that_is_sent_back_untouched_changes_nothing(desk: Client, coordinator: User) -> None:
    third = 1 / 3
    weights = dict.fromkeys(PolicyValues().weights, 0.0) | {
        "coverage": third,
        "distance": third,
        "price": 1 - 2 * third,
    }
    region("420000")
    odd = make_policy({"weights": weights, "matter_share": 0.0123456789, **HUBEI_LOOKS}, note="Odd", by=coordinator)

    desk.post("/desk/policy/new/", typed(desk))

    assert PolicyDraft.objects.get().values == odd.values


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"weights-price": "0"}, "They add up to 95 %: 5 % are missing."),
        ({"weights-price": "15"}, "They add up to 110 %: take 10 % away."),
        ({"weights-price": "a lot"}, "Enter a number."),
        ({"hold_minutes-urgent": "0"}, "greater than or equal to 1"),
        ({"hold_minutes-urgent": "1.5"}, "Enter a whole number."),
        ({"hold_minutes-urgent": ""}, "This field is required."),
        ({"share_cap": "0"}, "more than 0 and at most 100"),
        ({"share_cap": "1e400"}, "no more than"),
        ({"ask_hours-urgent": "200"}, "It must be less than"),
        ({"tiers-hospital": "9"}, "Select a valid choice"),
        ({"fairness": "war"}, "Select a valid choice"),
        ({"lateness_days": "-1"}, "It must be more than 0"),
        ({"phases-0-region": "Nowhere At All"}, "No place of this name was found"),
        ({"phases-0-region": "420000", "phases-1-region": "Hubei"}, "This region is named twice."),
        ({"phases-TOTAL_FORMS": "x"}, "Part of the form did not arrive."),
    ],
)
def test_faults_are_said_beside_their_field_and_nothing_typed_is_lost(
    desk: Client, changes: dict[str, str], says: str
) -> None:
    region("420000")
    answer = desk.post("/desk/policy/new/", typed(desk, **{"standbys": "7", **changes}))

    assert answer.status_code == 400
    assert says in answer.text
    assert 'name="standbys" value="7"' in answer.text
    assert PolicyDraft.objects.count() == 0


def test_a_fault_of_a_clock_names_the_clock_and_its_column(desk: Client) -> None:
    path = "/desk/policy/new/"

    page = desk.post(path, typed(desk, path, **{"ask_hours-urgent": "200", "hold_minutes-routine": ""})).text

    summary = " ".join(page.partition('<div class="error-summary"')[2].partition("</div>")[0].split())
    assert "A supplier answers within: Routine: This field is required." in summary
    page = desk.post(path, typed(desk, path, **{"ask_hours-urgent": "200"})).text
    summary = " ".join(page.partition('<div class="error-summary"')[2].partition("</div>")[0].split())
    assert 'href="#id_ask_hours-urgent"' in summary
    assert ": Urgent: It must be less than “Suspended, if nobody confirms it, after: Urgent”." in summary


def test_what_was_typed_survives_a_login_that_has_ended(desk: Client, coordinator: User) -> None:
    region("420000")
    draft = draft_policy({"standbys": 5}, based_on=1, by=coordinator)
    for path in ("/desk/policy/new/", f"/desk/policy/drafts/{draft.pk}/edit/"):
        data = typed(desk, path, **{"lateness_days": "21", "weights-price": "0", "phases-0-region": "420000"})
        client = Client(headers={"accept-language": "en"})
        log_in_after(client.post(path, data), coordinator)

        page = client.get(path)
        assert page.status_code == 200
        assert 'name="lateness_days" value="21"' in page.text
        assert 'name="phases-0-region" value="420000"' in " ".join(page.text.split())
        assert PolicyDraft.objects.get().values.lateness_days == 14, "nothing is kept before it is sent again"
        assert 'name="lateness_days" value="14"' in client.get(path).text


def test_a_region_is_taken_out_by_emptying_its_field(desk: Client, coordinator: User) -> None:
    region("420000")
    make_policy(HUBEI_LOOKS, note="x", by=coordinator)
    data = typed(desk)
    assert data["phases-0-region"] == "420000"

    desk.post("/desk/policy/new/", {**data, "phases-0-region": ""})

    assert PolicyDraft.objects.get().values.phases == {}


def test_a_draft_is_edited_and_discarded(desk: Client, coordinator: User) -> None:
    draft = draft_policy({"standbys": 5}, based_on=1, by=coordinator)
    page = f"/desk/policy/drafts/{draft.pk}/"

    desk.post(f"{page}edit/", typed(desk, f"{page}edit/", standbys="6"))
    assert PolicyDraft.objects.get().values.standbys == 6
    desk.post(f"{page}discard/")
    draft.refresh_from_db()
    assert draft.state == DraftState.DISCARDED
    assert "not open any more" in desk.get(f"{page}edit/", follow=True).text
    assert "not open any more" in desk.post(f"{page}enforce/", {"note": "x"}, follow=True).text
    assert "not open any more" in desk.post(f"{page}preview/", follow=True).text


def test_of_two_editors_of_a_draft_the_second_reads_what_she_would_undo(desk: Client, coordinator: User) -> None:
    draft = draft_policy({"standbys": 5}, based_on=1, by=coordinator)
    page = f"/desk/policy/drafts/{draft.pk}/edit/"
    mine, hers = typed(desk, page, standbys="6"), typed(desk, page, share_cap="40")
    desk.post(page, mine)

    refused = desk.post(page, hers)

    assert (refused.status_code, "Somebody has just changed this draft" in refused.text) == (400, True)
    assert 'name="share_cap" value="40"' in refused.text
    assert refused.context["overtaken_by"] == [
        "Largest share of a short item: 40 % instead of 50 %",
        "Backup suppliers: 5 suppliers instead of 6 suppliers",
    ]
    assert "Backup suppliers: 5 suppliers instead of 6 suppliers" in refused.text
    values = PolicyDraft.objects.get().values
    assert (values.standbys, values.share_cap) == (6, 0.5)

    seen = refused.context["form"]["seen"].value()
    assert f'name="seen" value="{seen}"' in refused.text
    desk.post(page, {**hers, "seen": seen, "standbys": "6"})
    values = PolicyDraft.objects.get().values
    assert (values.standbys, values.share_cap) == (6, 0.4)


def test_nobody_puts_into_force_what_they_did_not_see(desk: Client, coordinator: User) -> None:
    draft = draft_policy({"standbys": 5}, based_on=1, by=coordinator)
    page = f"/desk/policy/drafts/{draft.pk}/"
    seen = desk.get(page).context["form"]["seen"].value()
    amend_draft(draft, {"standbys": 5, "share_cap": 1.0}, by=coordinator)

    refused = desk.post(f"{page}enforce/", {"note": "Five in line", "seen": seen})

    assert (refused.status_code, Policy.objects.count()) == (400, 0)
    for part in ("Somebody has just changed this draft", "Five in line", "100 % instead of 50 %"):
        assert part in refused.text, part

    seen = refused.context["form"]["seen"].value()
    assert f'name="seen" value="{seen}"' in refused.text
    desk.post(f"{page}enforce/", {"note": "Five in line", "seen": seen})
    assert Policy.objects.get().values.share_cap == 1.0


def test_input_from_before_an_ended_login_undoes_no_later_change(desk: Client, coordinator: User) -> None:
    draft = draft_policy({"standbys": 5}, based_on=1, by=coordinator)
    page = f"/desk/policy/drafts/{draft.pk}/edit/"
    client = Client(headers={"accept-language": "en"})
    sent = client.post(page, typed(desk, page, lateness_days="21"))
    amend_draft(draft, {"standbys": 6}, by=coordinator)
    log_in_after(sent, coordinator)

    kept = typed(client, page)
    assert client.post(page, kept).status_code == 400
    assert PolicyDraft.objects.get().values.standbys == 6


def test_a_draft_that_somebody_overtook_is_refused_kept_and_taken_further(desk: Client, coordinator: User) -> None:
    data = typed(desk, standbys="5")
    make_policy({"share_cap": 0.3}, note="Meanwhile", by=coordinator)
    desk.post("/desk/policy/new/", data)
    stale = PolicyDraft.objects.get()
    assert stale.based_on == 1

    answer = desk.post(f"/desk/policy/drafts/{stale.pk}/enforce/", {"note": "x"}, follow=True)

    assert "Version 2 has come into force in the meantime" in answer.text
    assert Policy.objects.current().version == 2
    anew = f"/desk/policy/new/?draft={stale.pk}"
    assert anew in answer.text
    data = typed(desk, anew)
    # What the draft changes, made to what came meanwhile: the other's change stays.
    assert (data["standbys"], data["share_cap"], data["based_on"]) == (5, 30, 2)
    assert "largest share" not in answer.text.lower().split("what it changes against version 2")[1].split("preview")[0]
    desk.post(anew, data)
    assert PolicyDraft.objects.latest("pk").based_on == 2


def test_an_earlier_version_comes_back_as_a_draft(desk: Client, coordinator: User) -> None:
    make_policy({"standbys": 5}, note="x", by=coordinator)

    desk.post("/desk/policy/versions/1/restore/")

    draft = PolicyDraft.objects.get()
    assert (draft.values, draft.based_on) == (PolicyValues(), 2)


@pytest.mark.parametrize("number", ["0", "99999999999999999999"])
def test_versions_that_are_not_there_are_not_found(desk: Client, number: str) -> None:
    assert desk.get(f"/desk/policy/versions/{number}/").status_code == 404
    assert desk.get(f"/desk/policy/new/?draft={number}").status_code in {200, 404}


def test_what_is_hardly_meant_is_asked_about_before_it_comes_into_force(desk: Client, coordinator: User) -> None:
    tiers = {"hospital": 4, "health_facility": 2, "community": 3, "enterprise": 1, "supplier": 4}
    draft = draft_policy({"tiers": tiers}, based_on=1, by=coordinator)
    same = draft_policy({}, based_on=1, by=coordinator)

    assert "Hospitals are not served first." in desk.get(f"/desk/policy/drafts/{draft.pk}/").text
    page = desk.get(f"/desk/policy/drafts/{same.pk}/").text
    assert "Is this intended?" not in page
    assert "Put it into force" not in page, "there is nothing to put"
