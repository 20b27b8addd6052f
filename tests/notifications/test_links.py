"""One-click links: ours, whole, in time, of somebody who is still there, and once."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.conf import settings
from django.core import signing
from django.db import connection, transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.core.errors import RuleViolation
from apps.core.models import Restore
from apps.notifications.links import OneClickAction, make_link, read_link, use_link
from apps.notifications.models import UsedLink
from tests.factories import DemandFactory, UserFactory


def signed(url: str) -> str:
    prefix = f"{settings.SITE_URL}/a/"
    assert url.startswith(prefix)
    assert url.endswith("/")
    return url.removeprefix(prefix).removesuffix("/")


def soon() -> dt.datetime:
    return timezone.now() + dt.timedelta(hours=2)


@pytest.mark.django_db
def test_a_link_says_what_it_does_to_what_and_as_whom(buyer: User) -> None:
    until = soon().replace(microsecond=0)

    link = read_link(signed(make_link(OneClickAction.DEMAND_CONFIRM, 42, buyer, until)))

    assert (link.action, link.target_id, link.user, link.expires_at) == (
        OneClickAction.DEMAND_CONFIRM,
        42,
        buyer,
        until,
    )


@pytest.mark.django_db
def test_an_action_that_does_not_exist_has_no_link(buyer: User) -> None:
    with pytest.raises(ValueError, match="everything"):
        make_link("delete.everything", 1, buyer, soon())


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["", ".", "abc", "abc.def", "x" * 100_000, "é.\x00", "WzFd.WzFd"])
def test_what_we_did_not_sign_is_not_valid(text: str) -> None:
    with pytest.raises(RuleViolation) as caught:
        read_link(text)
    assert (caught.value.code, caught.value.status) == ("link_invalid", 404)


@pytest.mark.django_db
def test_a_changed_link_is_not_valid(buyer: User) -> None:
    text = signed(make_link(OneClickAction.MATCH_ACCEPT, 1, buyer, soon()))
    other = signed(make_link(OneClickAction.MATCH_ACCEPT, 2, buyer, soon()))

    for forged in (text[:-1] + ("A" if text[-1] != "A" else "B"), f"{other.split('.')[0]}.{text.split('.')[1]}"):
        with pytest.raises(RuleViolation, match="not valid"):
            read_link(forged)


@pytest.mark.django_db
def test_a_link_expires(buyer: User) -> None:
    text = signed(make_link(OneClickAction.MATCH_ACCEPT, 1, buyer, soon()))

    with pytest.raises(RuleViolation) as caught:
        read_link(text, now=soon() + dt.timedelta(hours=1))
    assert (caught.value.code, caught.value.status) == ("link_expired", 410)


@pytest.mark.django_db
def test_the_link_of_somebody_who_left_opens_nothing(buyer: User) -> None:
    text = signed(make_link(OneClickAction.MATCH_ACCEPT, 1, buyer, soon()))
    User.objects.filter(pk=buyer.pk).update(is_active=False)

    with pytest.raises(RuleViolation) as caught:
        read_link(text)
    assert caught.value.code == "link_invalid"


@pytest.mark.django_db
def test_a_link_works_once_and_its_sister_still_does(buyer: User) -> None:
    nonce = "abc"
    confirm = signed(make_link(OneClickAction.DEMAND_CONFIRM, 1, buyer, soon(), nonce=nonce))
    close = signed(make_link(OneClickAction.DEMAND_CLOSE, 1, buyer, soon(), nonce=nonce))

    link = read_link(confirm)
    use_link(link)

    with pytest.raises(RuleViolation) as caught:
        use_link(link)
    assert caught.value.code == "link_used"
    with pytest.raises(RuleViolation) as caught:
        read_link(confirm)
    assert (caught.value.code, caught.value.status) == ("link_used", 410)
    use_link(read_link(close))


@pytest.mark.django_db
def test_what_is_rolled_back_has_not_used_the_link(buyer: User) -> None:
    text = signed(make_link(OneClickAction.MATCH_ACCEPT, 1, buyer, soon()))

    with transaction.atomic():
        use_link(read_link(text))
        transaction.set_rollback(True)

    use_link(read_link(text))


@pytest.mark.django_db(transaction=True)
def test_of_eight_clicks_at_once_one_counts() -> None:
    link = read_link(signed(make_link(OneClickAction.MATCH_ACCEPT, 1, UserFactory.create(), soon())))
    at_once = Barrier(8)

    def click(_number: int) -> str:
        try:
            with transaction.atomic():
                at_once.wait()
                use_link(link)
        except RuleViolation as violation:
            return violation.code
        finally:
            connection.close()
        return "done"

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(click, range(8)))

    assert sorted(results) == ["done", *["link_used"] * 7]
    assert UsedLink.objects.count() == 1


@pytest.mark.django_db
def test_a_link_is_about_no_row_that_is_younger_than_its_message(buyer: User) -> None:
    demand = DemandFactory.create()
    before = demand.created_at - dt.timedelta(seconds=2)

    assert read_link(signed(make_link("demand.confirm", demand.pk, buyer, soon()))).is_about(demand)
    assert not read_link(signed(make_link("demand.confirm", demand.pk, buyer, soon(), told_at=before))).is_about(demand)


@pytest.mark.django_db
def test_a_link_from_before_a_restore_is_over(buyer: User) -> None:
    text = signed(make_link("demand.confirm", 1, buyer, soon(), told_at=timezone.now() - dt.timedelta(seconds=2)))
    Restore.objects.create()

    with pytest.raises(RuleViolation) as caught:
        read_link(text)

    assert (caught.value.code, caught.value.status) == ("link_expired", 410)


@pytest.mark.django_db
def test_a_link_of_the_first_release_still_works(buyer: User) -> None:
    until = soon().replace(microsecond=0)
    payload = ["demand.confirm", 42, buyer.pk, int(until.timestamp()), "nonce"]

    link = read_link(signing.Signer(sep=".", salt="apps.notifications.links").sign_object(payload))

    assert (link.target_id, link.told_at) == (42, until)
