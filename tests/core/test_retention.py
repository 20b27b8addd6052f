"""Rows whose time is over go in batches, until none is left or the time is up."""

import pytest

from apps.accounts.models import User
from apps.core.retention import delete_in_batches
from apps.notifications.models import UsedLink

pytestmark = pytest.mark.django_db


def links(count: int, user: User) -> None:
    UsedLink.objects.bulk_create(UsedLink(digest=f"{number:02}", user=user) for number in range(count))


@pytest.mark.parametrize("count", [0, 1, 2, 4, 5])
def test_batches_follow_each_other_until_nothing_is_left(stranger: User, count: int) -> None:
    links(count, stranger)
    UsedLink.objects.create(digest="to stay")

    assert delete_in_batches(UsedLink.objects.exclude(user=None).order_by("digest"), batch=2) == count
    assert UsedLink.objects.get().digest == "to stay"


def test_when_the_time_is_over_the_rest_is_left_to_the_next_run(stranger: User) -> None:
    links(5, stranger)
    rows = UsedLink.objects.order_by("digest")

    assert delete_in_batches(rows, batch=2, seconds=0) == 2
    assert list(rows.values_list("digest", flat=True)) == ["02", "03", "04"]
