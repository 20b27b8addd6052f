import datetime as dt
from typing import ClassVar, Self

from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from apps.accounts.models.organisations import Organisation
from apps.accounts.models.users import User
from apps.accounts.permissions import KINDS, NATIONAL, REGIONAL, ROLES, Permission, Role
from apps.core.models import TimeStamped


class Membership(TimeStamped):
    """A person's role in an organisation."""

    user = models.ForeignKey(User, models.CASCADE, related_name="memberships", verbose_name=_("user"))
    organisation = models.ForeignKey(
        Organisation, models.CASCADE, related_name="memberships", verbose_name=_("organisation")
    )
    role = models.CharField(_("role"), max_length=10, choices=Role.choices, default=Role.MEMBER)
    # By which the person joined; empty for who registered the organisation, and once the invitation is forgotten.
    invitation = models.ForeignKey(
        "Invitation", models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )

    class Meta(TimeStamped.Meta):
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "organisation"], name="membership_once"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="membership_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} – {self.organisation} ({self.get_role_display()})"

    @property
    def permissions(self) -> frozenset[Permission]:
        """The permissions that both the role and the kind of organisation allow.

        Regional ones need a verified organisation, and national ones also need its region to be a whole country.
        """
        allowed = ROLES[self.role] & KINDS[self.organisation.kind]
        if self.organisation.is_merged:
            # Who stayed behind sees what became of it.
            return allowed & {Permission.VIEW}
        if not self.organisation.is_verified:
            return allowed - REGIONAL - NATIONAL
        # Only a country has no region above it.
        return allowed if self.organisation.region.parent_id is None else allowed - NATIONAL


class InvitationState(models.TextChoices):
    OPEN = "open", _("Waiting for the answer")
    ACCEPTED = "accepted", _("Accepted")
    DECLINED = "declined", _("Declined")
    WITHDRAWN = "withdrawn", _("Withdrawn")
    EXPIRED = "expired", _("Expired")


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def open(self, now: dt.datetime) -> Self:
        return self.filter(state=InvitationState.OPEN, expires_at__gt=now)

    def run_out(self, now: dt.datetime) -> Self:
        return self.filter(state=InvitationState.OPEN, expires_at__lte=now)

    def addressed_to(self, user: User) -> Self:
        """Invitations to the user's own address, once it is confirmed: anybody may claim any address."""
        return self.filter(email=user.email.lower()) if user.has_confirmed_address else self.none()


class Invitation(TimeStamped):
    """An offer to a person, by mail, to act for an organisation in a role. Only the person can make it a membership."""

    organisation = models.ForeignKey(
        Organisation, models.CASCADE, related_name="invitations", verbose_name=_("organisation")
    )
    # In small letters, so that one address is one text. Whether it has an account here is nobody's business.
    email = models.EmailField(_("e-mail address"), max_length=254)
    role = models.CharField(_("role"), max_length=10, choices=Role.choices, default=Role.MEMBER)
    invited_by = models.ForeignKey(User, models.PROTECT, related_name="+", verbose_name=_("invited by"))
    state = models.CharField(_("state"), max_length=10, choices=InvitationState.choices, default=InvitationState.OPEN)
    expires_at = models.DateTimeField(_("valid until"))
    sent_at = models.DateTimeField(_("last sent"))
    times_sent = models.PositiveSmallIntegerField(_("times sent"), default=1)

    objects = InvitationQuerySet.as_manager()

    MOVES: ClassVar = {
        InvitationState.OPEN: frozenset(InvitationState) - {InvitationState.OPEN},
        InvitationState.ACCEPTED: frozenset(),
        InvitationState.DECLINED: frozenset(),
        InvitationState.WITHDRAWN: frozenset(),
        InvitationState.EXPIRED: frozenset(),
    }

    class Meta(TimeStamped.Meta):
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(state__in=InvitationState.values), name="invitation_state_known"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="invitation_role_known"),
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="invitation_email_in_small_letters"),
            models.UniqueConstraint(
                fields=["organisation", "email"],
                condition=models.Q(state=InvitationState.OPEN),
                name="invitation_open_once",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["email"], condition=models.Q(state=InvitationState.OPEN), name="invitation_open_by_email"
            )
        ]

    def __str__(self) -> str:
        return f"{self.email} – {self.organisation} ({self.get_role_display()})"
