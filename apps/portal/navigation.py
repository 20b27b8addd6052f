"""Which pages a person is shown the way to, and what waits there."""

from dataclasses import dataclass
from typing import Any, Final

from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.accounts.permissions import Permission
from apps.matching.models import Match
from apps.notifications.models import Notification

# More than that wait on a list anyway, and every page would count them.
MOST_COUNTED: Final = 99


@dataclass(frozen=True)
class Link:
    text: str | Promise
    url: str
    count: int = 0
    is_current: bool = False

    @property
    def badge(self) -> str:
        return as_badge(self.count)


def links_for(request: HttpRequest) -> list[Link]:
    """By what the user may do. At most three queries, whatever there is."""
    user = getattr(request, "user", None)
    entries: list[tuple[str | Promise, str, int]] = [(_("Board"), "board", 0)]
    if isinstance(user, User):
        # From the memberships that are loaded already: the navigation stands on every page.
        allowed = {permission for grant in user.grants for permission in grant.permissions}
        # A newcomer sees the way to a need before having an organisation; the page then leads to registering it.
        if Permission.POST_DEMANDS in allowed or not user.grants:
            entries.append((_("Needs"), "needs", 0))
        if Permission.PUBLISH_OFFERS in allowed:
            entries.append((_("Offers"), "supply", 0))
            entries.append((_("To answer"), "inbox", waiting_matches(user)))
        if allowed & {Permission.POST_DEMANDS, Permission.PUBLISH_OFFERS}:
            entries.append((_("Orders"), "orders", 0))
        if Permission.COORDINATE in allowed:
            entries.append((_("Desk"), "desk", 0))
        if Permission.WATCH_REGION in allowed:
            entries.append((_("Region"), "partner", 0))
        entries.append((_("Messages"), "notifications", capped(Notification.objects.visible_to(user).unread())))

    # Every address begins with “/”, which is the board's own.
    return [
        Link(text, url, count, request.path == url if url == "/" else request.path.startswith(url))
        for text, url, count in ((text, reverse(name), count) for text, name, count in entries)
    ]


def waiting_matches(user: User) -> int:
    """How many matches wait for an answer of the user's own organisations (`capped`)."""
    suppliers = user.organisations_with(Permission.PUBLISH_OFFERS)
    return capped(Match.objects.awaiting_answer(timezone.now()).for_suppliers(suppliers))


def capped(rows: QuerySet[Any]) -> int:
    """How many rows there are, as far as they are counted, or one more."""
    return rows.order_by()[: MOST_COUNTED + 1].count()


def as_badge(count: int) -> str:
    """What is shown of a number that is `capped`."""
    return str(count) if count <= MOST_COUNTED else f"{MOST_COUNTED}+"
