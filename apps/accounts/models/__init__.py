"""The tables of this app: users, organisations, evidence, memberships, invitations, notices, tokens."""

# Users know no other table of these, and organisations know users; the rest know both.
from apps.accounts.models.membership import Invitation, InvitationQuerySet, InvitationState, Membership
from apps.accounts.models.notices import PendingNotice
from apps.accounts.models.organisations import (
    Evidence,
    IdentifierKind,
    Organisation,
    OrganisationQuerySet,
    OrganisationState,
    evidence_path,
)
from apps.accounts.models.tokens import ApiToken, TokenScope
from apps.accounts.models.trail import NotedAddress, NotedFactor
from apps.accounts.models.users import Language, User, UserManager

__all__ = [
    "ApiToken",
    "Evidence",
    "IdentifierKind",
    "Invitation",
    "InvitationQuerySet",
    "InvitationState",
    "Language",
    "Membership",
    "NotedAddress",
    "NotedFactor",
    "Organisation",
    "OrganisationQuerySet",
    "OrganisationState",
    "PendingNotice",
    "TokenScope",
    "User",
    "UserManager",
    "evidence_path",
]
