"""Reports of abuse over the API: filing, following, deciding and objecting, and who reads what of them."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from django.core.cache import cache
from pytest_django import Settings

from apps.accounts.models import Organisation, User
from apps.matching.models import Match
from apps.reports.models import AbuseReport
from apps.supply.models import Offer
from tests.api.conftest import Caller
from tests.factories import DemandFactory, MatchFactory, OfferFactory, OrganisationFactory, member, region

pytestmark = pytest.mark.django_db

Call = Callable[..., Caller]

NOTE = "They sent stones. Ask 13700000000."
SECRET = "JBSWY3DPEHPK3PXP"


@pytest.fixture
def match(hospital: Organisation, maker: Organisation) -> Match:
    return MatchFactory.create(
        demand=DemandFactory.create(organisation=hospital), offer=OfferFactory.create(organisation=maker)
    )


@pytest.fixture
def other_desk(db: None) -> User:
    return member(OrganisationFactory.create(kind="coordinator", region=region("CN")), email="second@example.org")


def file(by: Caller, match: Match) -> dict[str, Any]:
    body = {"kind": "match", "subject": str(match.pk), "reason": "fake_goods", "note": NOTE}
    answer = by.post("/reports/", body)
    assert answer.status_code == 201, answer.content
    filed: dict[str, Any] = answer.json()
    return filed


def ids(caller: Caller, query: str = "") -> list[str]:
    return [row["id"] for row in caller.get(f"/reports/{query}").json()["results"]]


def test_a_report_is_filed_decided_appealed_and_lifted(
    call: Call, buyer: User, supplier: User, maker: Organisation, coordinator: User, other_desk: User, match: Match
) -> None:
    ours, theirs, desk, other = (call(user) for user in (buyer, supplier, coordinator, other_desk))
    filed = file(ours, match)
    assert (filed["state"], filed["accused"], filed["is_mine"], filed["note"]) == ("open", str(maker.pk), True, NOTE)
    path = f"/reports/{filed['id']}"
    assert theirs.get(f"{path}/").status_code == 404

    assert ids(desk, "?state=open&state=appealed") == [filed["id"]]
    seen = desk.get(f"{path}/").json()["updated_at"]
    decided = desk.post(f"{path}/decide/", {"measure": "post", "decision": "No such number.", "updated_at": seen})
    assert (decided.status_code, decided.json()["state"], decided.json()["measure"]) == (200, "upheld", "post")
    assert Offer.objects.get(pk=match.offer_id).is_blocked

    assert ours.post(f"{path}/appeal/", {"appeal": "Me."}).json()["code"] == "not_allowed"
    assert theirs.post(f"{path}/appeal/", {"appeal": "It is genuine."}).json()["state"] == "appealed"
    refused = desk.post(f"{path}/decide-appeal/", {"lift": False, "decision": "No."})
    assert (refused.status_code, refused.json()["code"]) == (403, "needs_other_eyes")
    lifted = other.post(f"{path}/decide-appeal/", {"lift": True, "decision": "The register was late."})
    assert lifted.json()["state"] == "lifted"
    assert not Offer.objects.get(pk=match.offer_id).is_blocked


def test_each_side_reads_its_part_of_a_report(
    call: Call, buyer: User, supplier: User, coordinator: User, match: Match
) -> None:
    ours, theirs, desk = (call(user) for user in (buyer, supplier, coordinator))
    path = f"/reports/{file(ours, match)['id']}"
    desk.post(f"{path}/decide/", {"measure": "post", "decision": "Fake."})
    theirs.post(f"{path}/appeal/", {"appeal": "It is genuine."})

    for reader, is_mine, note, appeal, has_time in [
        (ours, True, NOTE, "", True),
        (theirs, False, "", "It is genuine.", False),
        (desk, False, NOTE, "It is genuine.", True),
    ]:
        row = reader.get(f"{path}/").json()
        assert row == reader.get("/reports/").json()["results"][0]
        assert (row["is_mine"], row["note"], row["appeal"], row["created_at"] is not None) == (
            is_mine, note, appeal, has_time
        )  # fmt: skip
        assert "Buyer" not in str(row)


def test_a_coordinator_of_the_accused_reads_no_case_about_it(
    call: Call, buyer: User, coordinator: User, maker: Organisation, match: Match
) -> None:
    filed = file(call(buyer), match)
    maker.memberships.create(user=coordinator, role="member")

    desk = call(User.objects.get(pk=coordinator.pk))
    assert ids(desk) == []
    assert desk.get(f"/reports/{filed['id']}/").status_code == 404
    assert desk.post(f"/reports/{filed['id']}/decide/", {"measure": "dismiss", "decision": "x"}).status_code == 404


def test_what_one_does_not_see_cannot_be_reported(call: Call, rival: User, match: Match) -> None:
    for subject in (str(match.pk), "0", "none", "9" * 19):
        body = {"kind": "match", "subject": subject, "reason": "price", "note": "x"}
        answer = call(rival).post("/reports/", body)
        assert (answer.status_code, list(answer.json()["errors"])) == (400, ["subject"])
    assert not AbuseReport.objects.exists()


def test_a_report_twice_is_a_conflict_and_a_repeat_of_the_request_is_not(call: Call, buyer: User, match: Match) -> None:
    ours = call(buyer)
    body = {"kind": "match", "subject": str(match.pk), "reason": "price", "note": "Ten times dearer."}
    first = ours.post("/reports/", body, Idempotency_Key="a")
    assert ours.post("/reports/", body, Idempotency_Key="a").json() == first.json()
    again = ours.post("/reports/", body)
    assert (again.status_code, again.json()["code"]) == (409, "report_open")


def test_a_decision_on_what_has_changed_since_is_refused(
    call: Call, buyer: User, coordinator: User, match: Match
) -> None:
    filed = file(call(buyer), match)
    AbuseReport.objects.update(note="More stones.")
    body = {"measure": "dismiss", "decision": "Nothing.", "updated_at": filed["updated_at"]}
    answer = call(coordinator).post(f"/reports/{filed['id']}/decide/", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "state_changed")
    assert AbuseReport.objects.get().state == "open"


def test_nobody_without_the_desk_decides_on_a_report(
    call: Call, buyer: User, partner: User, coordinator: User, match: Match
) -> None:
    filed = file(call(buyer), match)
    path, body = f"/reports/{filed['id']}/decide/", {"measure": "post", "decision": "x"}
    assert call(buyer).post(path, body).json()["code"] == "not_allowed"
    assert call(partner).post(path, body).status_code == 404
    assert call(coordinator, region=region("420000")).post(path, body).status_code == 404
    assert AbuseReport.objects.get().state == "open"


def test_a_token_decides_on_a_report_only_with_the_factor(
    call: Call, buyer: User, coordinator: User, match: Match, settings: Settings
) -> None:
    filed = file(call(buyer), match)
    settings.REQUIRE_SECOND_FACTOR, settings.MFA_TOTP_TOLERANCE = True, 1
    cache.clear()
    TOTP.activate(coordinator, SECRET)
    path, body = f"/reports/{filed['id']}/decide/", {"measure": "dismiss", "decision": "The batch was tested."}

    bare = call(coordinator).post(path, body)
    assert (bare.status_code, bare.json()["code"]) == (403, "factor_code_required")
    code = format_hotp_value(hotp_value(SECRET, int(time.time()) // 30))
    assert call(coordinator).post(path, {**body, "factor_code": code}).json()["state"] == "dismissed"
