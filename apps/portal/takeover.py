"""An account is given back to its owner: what was done by it meanwhile is told to those who can judge it.

Needs, offers and orders stay as they are, because others rely on them: a person decides about each.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone, translation

from apps.accounts import services as accounts
from apps.accounts.models import Membership, Organisation, User
from apps.accounts.permissions import Role, is_office
from apps.core.models import AuditEntry, AuditEntryQuerySet
from apps.notifications.services import News, pause_webhooks, queue_all
from apps.portal import trail

# The page of each kind of row, by its name in the addresses.
_PAGES: Final = {
    "accounts.organisation": "organisation",
    "demands.demand": "need",
    "fulfilment.order": "order",
    "matching.match": "match",
    "supply.offer": "offer",
}
# Who looked changed nothing.
_LOOKS: Final = ("contact.seen", "evidence.opened", "export.pulled", "trail.searched")
# A mail is read by people. The trail of the organisation has the rest.
_TOLD: Final = 100


@transaction.atomic
def take_back(user: User, *, address: str, since: dt.datetime, now: dt.datetime | None = None) -> bool:
    """Freeze the account as `accounts` does, pause its webhooks, and tell managers and desks what it did since then.

    Returns False if another account has the address by now.
    """
    now = now or timezone.now()
    done = AuditEntry.objects.filter(actor=user, at__gte=since).order_by("pk")
    done = done.exclude(event__in=_LOOKS).exclude(target_type=User._meta.label_lower)
    # Read before the freeze, which acts in the name of the owner.
    by_organisation = {one: list(_about(one, done)[:_TOLD]) for one in _concerned(user, done)}
    webhooks = done.filter(event__in=["webhook.added", "webhook.resumed"])
    pause_webhooks([entry.data["endpoint"] for entry in webhooks], by=user)

    is_open = accounts.freeze_account(user, address=address, since=since, now=now)
    queue_all(
        [
            News(
                "account.frozen",
                recipient,
                _facts(user, one, entries),
                key=f"account.frozen:{user.pk}:{now.isoformat()}",
            )
            for one, entries in by_organisation.items()
            if entries
            for recipient in _judges(one, user)
        ]
    )
    return is_open


def _concerned(user: User, done: QuerySet[AuditEntry]) -> list[Organisation]:
    """The organisations of the user, and others of which the account changed facts or people."""
    keys = {grant.organisation_id for grant in user.grants}
    about = done.filter(target_type=Organisation._meta.label_lower)
    keys |= {int(key) for key in about.values_list("target_id", flat=True)}
    return list(Organisation.objects.filter(pk__in=keys).select_related("region").order_by("pk"))


def _about(organisation: Organisation, done: AuditEntryQuerySet) -> AuditEntryQuerySet:
    # An office acts on what belongs to others.
    return done if is_office(organisation) else done.that_meet(*trail.about_organisations([organisation]))


def _judges(organisation: Organisation, owner: User) -> Iterable[User | Organisation]:
    """The other managers of the organisation, and the nearest desk that is another organisation."""
    managers = Membership.objects.filter(organisation=organisation, role=Role.MANAGER, user__is_active=True)
    yield from (one.user for one in managers.exclude(user=owner).select_related("user").order_by("pk"))
    yield from Organisation.objects.coordinating(organisation.region).exclude(pk=organisation.pk)[:1]


def _facts(user: User, organisation: Organisation, entries: list[AuditEntry]) -> dict[str, Any]:
    return {
        "organisation_id": organisation.pk,
        "organisation": organisation.name,
        "person": str(user),
        "acts": [
            {
                "done_at": entry.at.isoformat(),
                "what": _words(entry.event),
                "page": _page_of(entry),
            }
            for entry in entries
        ],
    }


def _page_of(entry: AuditEntry) -> str:
    page = _PAGES.get(entry.target_type)
    return settings.SITE_URL + reverse(page, args=[entry.target_id]) if page else ""


def _words(event: str) -> dict[str, str]:
    texts = {}
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            texts[language] = str(trail.WORDS.get(event, event))
    return texts
