"""Who coordinates, and of what: every page of the desk shows the rows of the reader's regions only."""

from django.db.models import Q
from django.http import Http404, HttpRequest

from apps.accounts.models import User
from apps.accounts.permissions import Permission, can
from apps.catalogue.models import Region
from apps.portal.web import user_of


def coordinator(request: HttpRequest) -> User:
    user = user_of(request)
    if not can(user, Permission.COORDINATE):
        raise Http404
    return user


def in_charge_of(user: User, lookup: str) -> Q:
    """Rows whose region, at `lookup`, lies in one that the user coordinates."""
    # True of no region: whoever coordinates nothing sees nothing.
    mine = Q(pk__in=[])
    for region in regions_of(user):
        mine |= Q(path__startswith=region.path)
    # A subquery of region codes, and no join: see `User.visibility`.
    return Q(**{f"{lookup}__in": Region.objects.filter(mine).values("pk")})


def regions_of(user: User) -> list[Region]:
    return [organisation.region for organisation in user.organisations_with(Permission.COORDINATE)]
