"""What each role in each kind of organisation may do. Roles are sets of permissions; nothing is ordered."""

from typing import TYPE_CHECKING, Final

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.core.errors import RuleViolation

if TYPE_CHECKING:
    from apps.accounts.models import Organisation, User
    from apps.catalogue.models import Region


class OrganisationKind(models.TextChoices):
    HOSPITAL = "hospital", _("Hospital")
    HEALTH_FACILITY = "health_facility", _("Other health facility (clinic, care home, laboratory)")
    COMMUNITY = "community", _("Community")
    ENTERPRISE = "enterprise", _("Enterprise")
    SUPPLIER = "supplier", _("Supplier (maker, trader or donor)")
    CARRIER = "carrier", _("Carrier")
    GOVERNMENT = "government", _("Government department")
    COORDINATOR = "coordinator", _("Coordinators of this platform")


class Role(models.TextChoices):
    MANAGER = "manager", _("Manager")
    MEMBER = "member", _("Member")
    VIEWER = "viewer", _("Viewer")


class Permission(models.TextChoices):
    VIEW = "view", _("see what belongs to the organisation")
    POST_DEMANDS = "post_demands", _("post needs, and confirm what was received")
    PUBLISH_OFFERS = "publish_offers", _("publish offers, answer needs and ship")
    MANAGE_ORGANISATION = "manage_organisation", _("change the organisation, its people, tokens and webhooks")
    WATCH_REGION = "watch_region", _("see all of a region, without contacts")
    COORDINATE = "coordinate", _("verify organisations, step in, act on a caller's behalf")
    SET_POLICY = "set_policy", _("set the policy for all")


# What members do every day.
_WORK: Final = frozenset({Permission.VIEW, Permission.POST_DEMANDS, Permission.PUBLISH_OFFERS})
# What coordinators do. A kind of organisation must allow it as well, so a hospital's manager gets none of it.
_OF_THE_DESK: Final = frozenset({Permission.WATCH_REGION, Permission.COORDINATE, Permission.SET_POLICY})

ROLES: Final[dict[str, frozenset[Permission]]] = {
    Role.MANAGER: _WORK | _OF_THE_DESK | {Permission.MANAGE_ORGANISATION},
    Role.MEMBER: _WORK | _OF_THE_DESK,
    Role.VIEWER: frozenset({Permission.VIEW, Permission.WATCH_REGION}),
}

_OWN: Final = frozenset({Permission.VIEW, Permission.MANAGE_ORGANISATION})
_REQUESTER: Final = _OWN | {Permission.POST_DEMANDS}

# The permissions that a kind of organisation can give at all. A role never gives more than its organisation has.
KINDS: Final[dict[str, frozenset[Permission]]] = {
    OrganisationKind.HOSPITAL: _REQUESTER,
    OrganisationKind.HEALTH_FACILITY: _REQUESTER,
    OrganisationKind.COMMUNITY: _REQUESTER,
    OrganisationKind.ENTERPRISE: _REQUESTER | {Permission.PUBLISH_OFFERS},
    OrganisationKind.SUPPLIER: _REQUESTER | {Permission.PUBLISH_OFFERS},
    OrganisationKind.CARRIER: _OWN,
    OrganisationKind.GOVERNMENT: _OWN | {Permission.WATCH_REGION},
    OrganisationKind.COORDINATOR: _OWN | _OF_THE_DESK,
}

# Permissions that reach beyond one's own organisation, into its region. They need a verified organisation.
REGIONAL: Final = frozenset({Permission.WATCH_REGION, Permission.COORDINATE})
# Permissions that concern everybody. They need a verified organisation whose region is a whole country.
NATIONAL: Final = frozenset({Permission.SET_POLICY})

# Kinds that see or decide beyond themselves. Nobody manages those of others: whoever did would have their rights.
OFFICES: Final = frozenset(kind for kind, allowed in KINDS.items() if allowed & (REGIONAL | NATIONAL))

# Kinds that anyone may register; the others are made by coordinators in the back office.
OPEN_KINDS: Final = frozenset(OrganisationKind) - {OrganisationKind.COORDINATOR}


def is_office(organisation: "Organisation") -> bool:
    """Whether it is a government department or a desk of coordinators."""
    return organisation.kind in OFFICES


def check_manages(user: "User", organisation: "Organisation") -> None:
    """Raise `office_of_others` (403) if it is an office and `user` is not one of its managers.

    The services call this too, so that it holds for the back office. Superusers set offices up there.
    """
    if not is_office(organisation) or user.is_superuser:
        return
    own = [grant for grant in user.grants if grant.organisation_id == organisation.pk]
    if not any(Permission.MANAGE_ORGANISATION in grant.permissions for grant in own):
        raise RuleViolation(
            "office_of_others", _("Only its own managers manage a government department or a desk."), status=403
        )


def can(user: "User | AnonymousUser", permission: Permission, organisation: "Organisation | None" = None) -> bool:
    """Whether `user` may do `permission` for `organisation`; without one: for any organisation at all.

    A member may do what role and kind both allow. A verified coordinator may do anything for the organisations of its
    region, except managing government departments and other desks.
    """
    if not user.is_authenticated or not user.is_active:
        return False

    for grant in user.grants:
        # One's own organisation: what role and kind allow.
        if organisation is None or organisation.pk == grant.organisation_id:
            if permission in grant.permissions:
                return True
        # Another one in a coordinator's region: whatever that organisation could do itself, for a caller without
        # a computer.
        elif Permission.COORDINATE in grant.permissions and organisation.region.is_within(grant.organisation.region):
            if organisation.is_merged:
                return permission in REGIONAL | {Permission.VIEW}
            # `REGIONAL` comes on top, because watching and verifying are not what an organisation does for itself.
            allowed = (KINDS[organisation.kind] | REGIONAL) - NATIONAL
            return permission in (allowed - {Permission.MANAGE_ORGANISATION} if is_office(organisation) else allowed)

    return False


def is_in_charge(user: "User | AnonymousUser", region: "Region") -> bool:
    """Whether `user` is a coordinator of this region or of one that contains it."""
    if not user.is_authenticated or not user.is_active:
        return False
    # By region and not by organisation: a post may be for another place than that of its owner.
    return any(region.is_within(one.region) for one in user.organisations_with(Permission.COORDINATE))
