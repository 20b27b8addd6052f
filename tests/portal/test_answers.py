import datetime as dt
import threading
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps.accounts.models import Membership, Organisation, User
from apps.catalogue.models import Item
from apps.demands.models import Demand
from apps.fulfilment.models import Order
from apps.matching.models import Match, MatchState
from apps.notifications.links import make_link
from apps.notifications.models import UsedLink
from apps.supply.models import Offer
from tests.factories import DemandFactory, MatchFactory, OfferFactory, member

pytestmark = pytest.mark.django_db

ACTIONS = ["match.accept", "match.decline", "demand.confirm", "demand.close", "offer.confirm", "offer.withdraw"]


@pytest.fixture
def match(hospital: Organisation, maker: Organisation, mask: Item) -> Match:
    return MatchFactory.create(
        demand=DemandFactory.create(organisation=hospital, item=mask, address="Ward 7"),
        offer=OfferFactory.create(organisation=maker, item=mask),
    )


def path(
    action: str, target: Match | Demand | Offer, user: User, *, lasts: dt.timedelta = dt.timedelta(hours=2)
) -> str:
    return urlsplit(make_link(action, target.pk, user, timezone.now() + lasts)).path


def link_to(action: str, match: Match, supplier: User, buyer: User) -> str:
    target: dict[str, tuple[Match | Demand | Offer, User]] = {
        "match": (match, supplier),
        "demand": (match.demand, buyer),
        "offer": (match.offer, supplier),
    }
    return path(action, *target[action.split(".", maxsplit=1)[0]])


def states(match: Match) -> tuple[str, str, str, int]:
    fresh = Match.objects.select_related("demand", "offer").get(pk=match.pk)
    return fresh.state, fresh.demand.state, fresh.offer.state, UsedLink.objects.count()


@pytest.mark.parametrize("action", ACTIONS)
def test_opening_a_link_changes_nothing_however_often(
    client: Client, buyer: User, supplier: User, match: Match, action: str
) -> None:
    url = link_to(action, match, supplier, buyer)
    before = (
        states(match),
        list(Demand.objects.values_list("confirmed_at")),
        list(Offer.objects.values_list("confirmed_at")),
    )

    for _time in range(3):
        assert client.get(url).status_code == 200
        assert client.head(url).status_code == 200

    assert (
        states(match),
        list(Demand.objects.values_list("confirmed_at")),
        list(Offer.objects.values_list("confirmed_at")),
    ) == before


@pytest.mark.parametrize(
    ("action", "data", "after"),
    [
        ("match.accept", {}, ("accepted", "open", "published", 1)),
        ("match.decline", {"reason": "gone", "note": "sold"}, ("declined", "open", "stale", 1)),
        ("demand.confirm", {}, ("held", "open", "published", 1)),
        ("demand.close", {}, ("held", "cancelled", "published", 1)),
        ("offer.confirm", {}, ("held", "open", "published", 1)),
        ("offer.withdraw", {}, ("held", "open", "withdrawn", 1)),
    ],
)
def test_a_link_does_it_without_a_log_in_once(
    client: Client, buyer: User, supplier: User, match: Match, action: str, data: dict[str, str],
    after: tuple[str, str, str, int],
) -> None:  # fmt: skip
    url = link_to(action, match, supplier, buyer)
    old = timezone.now() - dt.timedelta(days=1)
    Demand.objects.update(confirmed_at=old)
    Offer.objects.update(confirmed_at=old)

    assert client.post(url, data).status_code == 200
    assert states(match) == after
    if action == "demand.confirm":
        assert Demand.objects.get().confirmed_at != old
    if action == "offer.confirm":
        assert Offer.objects.get().confirmed_at != old

    again = client.post(url, data)
    assert again.status_code == 410
    assert "This link has been used." in again.text
    for detail in ("Surgical mask", "Wuchang Hospital", "Shenzhen Maker"):
        assert detail not in again.text
    assert states(match) == after


def test_the_page_shows_what_would_happen_and_no_contact(
    client: Client, supplier: User, hospital: Organisation, maker: Organisation, match: Match
) -> None:
    page = client.get(path("match.accept", match, supplier)).text

    for text in (
        "Surgical mask",
        "400 pieces",
        "Wuchang, Wuhan, Hubei",
        "in 2 hours",
        "You answer as Supplier for Shenzhen Maker.",
    ):
        assert text in page
    for secret in (hospital.contact_phone, hospital.contact_email, "Ward 7", maker.contact_phone):
        assert secret not in page


def test_what_comes_after_shows_no_contact_either(
    client: Client, supplier: User, hospital: Organisation, match: Match
) -> None:
    page = client.post(path("match.accept", match, supplier)).text

    assert f'href="/inbox/{match.pk}/"' in page
    for secret in (hospital.contact_phone, hospital.contact_email, "Ward 7"):
        assert secret not in page


def test_a_link_is_kept_from_caches_search_engines_and_other_sites(
    client: Client, supplier: User, match: Match
) -> None:
    url = path("match.accept", match, supplier)

    for response in (client.get(url), client.post(url), client.get(url), client.get("/a/nonsense/")):
        assert response["Cache-Control"] == "no-store"
        assert response["Referrer-Policy"] == "same-origin"
        assert response["X-Robots-Tag"] == "noindex, nofollow"


def test_a_link_does_not_stand_in_the_log(
    client: Client, supplier: User, match: Match, caplog: pytest.LogCaptureFixture
) -> None:
    url = path("match.accept", match, supplier, lasts=dt.timedelta(seconds=-1))

    assert client.get(url).status_code == 410  # which is logged as a warning
    assert "GET /a/…" in caplog.text
    assert url not in caplog.text


def test_a_foreign_page_cannot_press_the_button(supplier: User, match: Match) -> None:
    response = Client(enforce_csrf_checks=True).post(path("match.accept", match, supplier))

    assert response.status_code == 403
    assert states(match)[0] == MatchState.HELD


@pytest.mark.parametrize("signed", ["nonsense", "a.b", "x" * 2000, "%00", "%ED%A0%80", "W10.abc"])
def test_a_link_that_is_none_gets_a_kind_page(client: Client, signed: str) -> None:
    for response in (client.get(f"/a/{signed}/"), client.post(f"/a/{signed}/")):
        assert response.status_code == 404
        assert "This link is not valid." in response.text
        assert 'href="/login/"' in response.text


def test_a_changed_link_is_none(client: Client, supplier: User, match: Match) -> None:
    url = path("match.accept", match, supplier)
    changed = url[:5] + ("A" if url[5] != "A" else "B") + url[6:]

    assert client.post(changed).status_code == 404
    assert states(match)[0] == MatchState.HELD


def test_an_expired_link_says_so_without_details(client: Client, supplier: User, match: Match) -> None:
    response = client.post(path("match.accept", match, supplier, lasts=dt.timedelta(seconds=-1)))

    assert response.status_code == 410
    assert "This link has expired." in response.text
    assert "Surgical mask" not in response.text
    assert states(match)[0] == MatchState.HELD


def test_who_may_no_longer_log_in_answers_nothing(client: Client, supplier: User, match: Match) -> None:
    url = path("match.accept", match, supplier)
    User.objects.filter(pk=supplier.pk).update(is_active=False)

    assert client.get(url).status_code == 404
    assert client.post(url).status_code == 404
    assert states(match)[0] == MatchState.HELD


@pytest.mark.parametrize("action", ACTIONS)
def test_who_has_left_the_organisation_answers_nothing_and_sees_nothing(
    client: Client, buyer: User, supplier: User, match: Match, action: str
) -> None:
    url = link_to(action, match, supplier, buyer)
    Membership.objects.all().delete()

    for response in (client.get(url), client.post(url, {"reason": "gone"})):
        assert response.status_code == 410
        assert "Surgical mask" not in response.text
        assert "Wuchang" not in response.text
    assert states(match) == ("held", "open", "published", 0)


def test_a_viewer_answers_nothing(client: Client, hospital: Organisation, colleague: User, match: Match) -> None:
    assert client.post(path("demand.close", match.demand, colleague)).status_code == 410
    assert states(match)[1] == "open"


@pytest.mark.parametrize("state", ["accepted", "declined", "expired", "superseded", "cancelled"])
def test_a_request_that_is_over_says_what_became_of_it(
    client: Client, supplier: User, match: Match, state: str
) -> None:
    Match.objects.filter(pk=match.pk).update(state=state, responded_at=timezone.now(), decline_reason="gone")

    for response in (
        client.get(path("match.accept", match, supplier)),
        client.post(path("match.accept", match, supplier)),
    ):
        assert response.status_code == 410
        assert "There is nothing to answer here" in response.text
    assert not Order.objects.exists()


def test_a_link_answers_for_no_row_that_got_its_key_later(client: Client, supplier: User, match: Match) -> None:
    """After a restore the keys of rows that were lost are given again."""
    before = match.created_at - dt.timedelta(seconds=2)
    soon = timezone.now() + dt.timedelta(hours=1)
    url = urlsplit(make_link("match.accept", match.pk, supplier, soon, told_at=before)).path

    assert (client.get(url).status_code, client.post(url).status_code) == (410, 410)
    assert not Order.objects.exists()


def test_a_target_that_is_gone_is_no_error(client: Client, supplier: User) -> None:
    url = urlsplit(make_link("match.accept", 10**9, supplier, timezone.now() + dt.timedelta(hours=1))).path

    assert client.get(url).status_code == 410


def test_declining_asks_for_the_reason_and_keeps_the_link_good(client: Client, supplier: User, match: Match) -> None:
    url = path("match.decline", match, supplier)

    refused = client.post(url, {"note": "sorry"})
    assert refused.status_code == 400
    assert "Choose one of the reasons." in refused.text
    assert 'value="sorry"' in refused.text

    assert client.post(url, {"reason": "price"}).status_code == 200
    match.refresh_from_db()
    assert (match.state, match.decline_reason, match.responded_by) == (MatchState.DECLINED, "price", supplier)


def test_the_other_link_of_the_same_mail_finds_it_answered(client: Client, supplier: User, match: Match) -> None:
    accept, decline = path("match.accept", match, supplier), path("match.decline", match, supplier)
    client.post(accept)

    response = client.post(decline, {"reason": "gone"})

    assert response.status_code == 410
    assert "This is already accepted." in response.text


def test_the_page_speaks_the_language_of_whom_the_mail_went_to(
    client: Client, maker: Organisation, match: Match
) -> None:
    url = path("match.accept", match, member(maker, language="zh-hans"))

    assert '<html lang="zh-Hans">' in client.get(url, headers={"accept-language": "en"}).text
    client.cookies["django_language"] = "en"
    assert '<html lang="en">' in client.get(url).text


@pytest.mark.django_db(transaction=True)
def test_of_two_clicks_at_the_same_time_one_counts(supplier: User, match: Match) -> None:
    url = path("match.accept", match, supplier)
    barrier = threading.Barrier(2)
    statuses: list[int] = []

    def click() -> None:
        barrier.wait()
        try:
            statuses.append(Client().post(url).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=click) for _time in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [200, 410]
    assert Order.objects.count() == 1
    match.demand.refresh_from_db()
    assert (match.demand.quantity_held, match.demand.quantity_matched) == (0, 400)
