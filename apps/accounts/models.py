"""Users, organisations, who belongs where and who is invited, the evidence for it, and API tokens."""

import datetime as dt
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, Final, Self

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import AnonymousUser, PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.core.validators import FileExtensionValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from knox.models import AbstractAuthToken

from apps.accounts.permissions import KINDS, NATIONAL, REGIONAL, ROLES, OrganisationKind, Permission, Role
from apps.catalogue.models import Region
from apps.core.models import TimeStamped
from apps.core.states import may_move


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        # People type the same address in different cases, and the unique constraint ignores case too.
        return self.get(email__iexact=username)


class Language(models.TextChoices):
    ENGLISH = "en", "English"
    CHINESE = "zh-hans", "简体中文"


class User(AbstractBaseUser, PermissionsMixin):
    """A person who logs in by e-mail address."""

    email = models.EmailField(_("e-mail address"), max_length=254)
    name = models.CharField(_("name"), max_length=100, blank=True)
    phone = models.CharField(
        _("mobile phone"), max_length=40, blank=True, help_text=_("For text messages in an emergency.")
    )
    language = models.CharField(_("language"), max_length=10, choices=Language.choices, default=Language.CHINESE)
    time_zone = models.CharField(_("time zone"), max_length=40, default="Asia/Shanghai")
    default_organisation = models.ForeignKey(
        "Organisation",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("default organisation"),
        help_text=_("For whom you act where you do not say it, for example in posts of programs."),
    )
    is_staff = models.BooleanField(_("may use the back office"), default=False)
    is_active = models.BooleanField(_("may log in"), default=True)
    date_joined = models.DateTimeField(_("joined"), default=timezone.now, editable=False)
    access_ended_at = models.DateTimeField(
        _("logged out everywhere"), null=True, blank=True, editable=False, help_text=_("Older sessions do not count.")
    )

    objects = UserManager()

    EMAIL_FIELD: Final = "email"
    USERNAME_FIELD: Final = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    # A token may limit what its user sees to one region. Authentication by such a token sets this.
    region_limit: Region | None = None

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        constraints: ClassVar = [
            models.UniqueConstraint(
                Lower("email"), name="user_email_unique", violation_error_message=_("This address is taken.")
            )
        ]

    def __str__(self) -> str:
        return self.name or self.email

    def get_full_name(self) -> str:
        return str(self)

    @cached_property
    def grants(self) -> "list[Membership]":
        """The user's memberships with their organisations and regions: one query in the life of the object."""
        return list(self.memberships.select_related("organisation__region").order_by("pk"))

    def organisations_with(self, permission: Permission) -> "list[Organisation]":
        """The user's own organisations for which the user may do `permission`, oldest first."""
        return [grant.organisation for grant in self.grants if permission in grant.permissions]

    def default_among(self, organisations: Sequence["Organisation"]) -> "Organisation | None":
        """For whom the user acts without saying it: the only one of these, else the default if it is one of them."""
        if len(organisations) == 1:
            return organisations[0]
        return next((one for one in organisations if one.pk == self.default_organisation_id), None)

    @property
    def watched_regions(self) -> list[str]:
        """Paths of the regions of which the user may see everything but contacts."""
        return [organisation.region.path for organisation in self.organisations_with(Permission.WATCH_REGION)]

    @property
    def has_confirmed_address(self) -> bool:
        """Whether the user opened a link mailed to this address. Otherwise, anybody could claim any address."""
        from allauth.account.models import EmailAddress  # it needs this model to be there first

        confirmed = EmailAddress.objects.filter(user=self, email__iexact=self.email, verified=True)
        return confirmed.exists()

    def owns_address(self, email: str) -> bool:
        """Whether the user logs in with this address, or has confirmed it as a further one."""
        from allauth.account.models import EmailAddress  # it needs this model to be there first

        if email.lower() == self.email.lower():
            return True
        return EmailAddress.objects.filter(user=self, email__iexact=email, verified=True).exists()

    @property
    def lacks_second_factor(self) -> bool:
        """Whether the user sees or decides beyond their own organisation, and a password is all that guards it."""
        from allauth.mfa.models import Authenticator  # it needs this model to be there first

        if not settings.REQUIRE_SECOND_FACTOR:
            return False
        if not self.is_staff and not any(grant.permissions & (REGIONAL | NATIONAL) for grant in self.grants):
            return False
        # Recovery codes only stand in for a factor that is lost.
        factors = Authenticator.objects.filter(user=self).exclude(type=Authenticator.Type.RECOVERY_CODES)
        return not factors.exists()

    def visibility(self, organisation: str, region: str) -> models.Q:
        """The condition that the user may see a row: it is of one of their organisations, or in a region they watch.

        `organisation` and `region` are the lookups of the two from the row. Every `visible_to` is built from this. A
        token with a region limits both.
        """
        # Subqueries of region codes, and no join: across a join, PostgreSQL expects almost no visible rows, and sorts
        # the whole table for one page.
        # Keys from the cached memberships, so that a list costs no query for them.
        own = [grant.organisation_id for grant in self.grants]
        sight = models.Q(**{f"{organisation}__in": own})
        for path in self.watched_regions:
            sight |= models.Q(**{f"{region}__in": Region.objects.filter(path__startswith=path).values("pk")})
        if self.region_limit:
            limit = Region.objects.within(self.region_limit).values("pk")
            sight &= models.Q(**{f"{region}__in": limit})
        return sight


class OrganisationState(models.TextChoices):
    UNVERIFIED = "unverified", _("Not verified yet")
    PENDING = "pending", _("Waiting for verification")
    VERIFIED = "verified", _("Verified")
    REJECTED = "rejected", _("Rejected")


class IdentifierKind(models.TextChoices):
    USCC = "uscc", _("Unified social credit code")
    GLN = "gln", _("GLN (GS1)")
    OTHER = "other", _("Another register")


class OrganisationQuerySet(models.QuerySet["Organisation"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        if not user.is_authenticated:
            return self.none()
        return self.filter(user.visibility("pk", "region"))

    def verified(self) -> Self:
        return self.filter(state=OrganisationState.VERIFIED)

    def awaiting_verification(self) -> Self:
        return self.filter(state=OrganisationState.PENDING)

    def unannounced(self) -> Self:
        """Organisations whose people have not been told yet that the verification has changed."""
        return self.exclude(state=models.F("announced_state"))

    def verification_run_out(self, today: dt.date) -> Self:
        return self.verified().filter(verified_until__lt=today)

    def coordinating(self, region: Region) -> Self:
        """The verified coordinators in charge of `region`, nearest first: of its city, then province, then nation."""
        return (
            self.verified()
            .filter(kind=OrganisationKind.COORDINATOR, region__in=[*region.ancestor_codes, region.code])
            # A longer path is a smaller region.
            .annotate(depth=models.functions.Length("region__path"))
            .order_by("-depth", "pk")
        )


class Organisation(TimeStamped):
    """A legal body that needs, offers, carries, watches or coordinates. Only a verified one takes part in matching."""

    name = models.CharField(_("name"), max_length=200)
    kind = models.CharField(_("kind"), max_length=20, choices=OrganisationKind.choices)
    identifier_kind = models.CharField(
        _("register"), max_length=10, choices=IdentifierKind.choices, default=IdentifierKind.USCC, blank=True
    )
    identifier = models.CharField(_("registration number"), max_length=40, blank=True)
    region = models.ForeignKey(Region, models.PROTECT, related_name="organisations", verbose_name=_("region"))
    address = models.CharField(_("address"), max_length=300, blank=True)
    contact_name = models.CharField(_("contact person"), max_length=100, blank=True)
    contact_phone = models.CharField(_("contact phone"), max_length=60, blank=True)
    contact_email = models.EmailField(_("contact e-mail"), blank=True)

    state = models.CharField(
        _("verification"), max_length=12, choices=OrganisationState.choices, default=OrganisationState.UNVERIFIED
    )
    state_reason = models.CharField(_("reason"), max_length=500, blank=True)
    verified_at = models.DateTimeField(_("verified at"), null=True, blank=True)
    verified_by = models.ForeignKey(
        User, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("verified by")
    )
    verified_until = models.DateField(_("verified until"), null=True, blank=True)
    # The state that its people were told last. A row in which the two differ is a notice to be sent, whichever way the
    # state was changed.
    announced_state = models.CharField(max_length=12, default=OrganisationState.UNVERIFIED, editable=False)

    source = models.CharField(_("imported from"), max_length=60, blank=True)
    source_key = models.CharField(_("key there"), max_length=200, blank=True)

    objects = OrganisationQuerySet.as_manager()

    # A coordinator verified these facts, so a change of one of them clears the verification.
    VERIFIED_FACTS: Final = ("name", "kind", "identifier_kind", "identifier", "region", "address")

    MOVES: ClassVar = {
        # Coordinators may verify without a submission, for example an organisation that they registered for a caller.
        OrganisationState.UNVERIFIED: frozenset({OrganisationState.PENDING, OrganisationState.VERIFIED}),
        OrganisationState.PENDING: frozenset(
            {OrganisationState.VERIFIED, OrganisationState.REJECTED, OrganisationState.UNVERIFIED}
        ),
        OrganisationState.VERIFIED: frozenset({OrganisationState.UNVERIFIED, OrganisationState.REJECTED}),
        OrganisationState.REJECTED: frozenset({OrganisationState.PENDING, OrganisationState.VERIFIED}),
    }

    class Meta(TimeStamped.Meta):
        verbose_name = _("organisation")
        verbose_name_plural = _("organisations")
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(state__in=OrganisationState.values), name="organisation_state_known"
            ),
            models.CheckConstraint(
                condition=models.Q(kind__in=OrganisationKind.values), name="organisation_kind_known"
            ),
            models.CheckConstraint(
                condition=~models.Q(state=OrganisationState.VERIFIED) | models.Q(verified_at__isnull=False),
                name="organisation_verified_at_known",
            ),
            models.CheckConstraint(
                condition=~models.Q(state=OrganisationState.REJECTED) | ~models.Q(state_reason=""),
                name="organisation_rejected_with_reason",
            ),
            models.UniqueConstraint(
                fields=["source", "source_key"],
                condition=~models.Q(source=""),
                name="organisation_imported_once",
            ),
            # Anybody may register with somebody else's number. Only one of them can be verified.
            models.UniqueConstraint(
                fields=["identifier_kind", "identifier"],
                condition=models.Q(state=OrganisationState.VERIFIED) & ~models.Q(identifier=""),
                name="organisation_verified_identifier_once",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["state", "kind"], name="organisation_by_state"),
            # The queue of notices. It is empty most of the time, so looking costs nothing.
            models.Index(
                fields=["id"], condition=~models.Q(state=models.F("announced_state")), name="organisation_unannounced"
            ),
            models.Index(fields=["updated_at", "id"], name="organisation_by_change"),
            # Few organisations are not verified, so matching looks here to exclude them.
            models.Index(
                fields=["id"], condition=~models.Q(state=OrganisationState.VERIFIED), name="organisation_not_verified"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_verified(self) -> bool:
        return self.state == OrganisationState.VERIFIED

    @property
    def can_be_verified(self) -> bool:
        return may_move(self, OrganisationState.VERIFIED)

    @property
    def can_be_rejected(self) -> bool:
        """Whether a coordinator can say no, or take the verification back."""
        return may_move(self, OrganisationState.REJECTED)

    @property
    def is_dormant(self) -> bool:
        """Whether it was verified when its last manager left. It is not matched until somebody manages it again."""
        # A verification that is cleared loses its facts, and one that only rests keeps them.
        return self.state == OrganisationState.UNVERIFIED and self.verified_at is not None

    @property
    def can_request(self) -> bool:
        return Permission.POST_DEMANDS in KINDS[self.kind]

    @property
    def can_supply(self) -> bool:
        return Permission.PUBLISH_OFFERS in KINDS[self.kind]

    @property
    def contact(self) -> dict[str, str]:
        """What the other side of an accepted match gets to see."""
        return {"name": self.contact_name, "phone": self.contact_phone, "email": self.contact_email}


class Membership(TimeStamped):
    """A person's role in an organisation."""

    user = models.ForeignKey(User, models.CASCADE, related_name="memberships", verbose_name=_("user"))
    organisation = models.ForeignKey(
        Organisation, models.CASCADE, related_name="memberships", verbose_name=_("organisation")
    )
    role = models.CharField(_("role"), max_length=10, choices=Role.choices, default=Role.MEMBER)

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


class PendingNotice(models.Model):
    """An event of this app that somebody must be told. This app is below the outbox, which takes these rows from here.

    It is for an organisation, a person, or an address that may belong to nobody here.
    """

    event = models.CharField(max_length=60)
    key = models.CharField(max_length=160)
    context: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    organisation = models.ForeignKey(Organisation, models.CASCADE, null=True, related_name="+")
    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="+")
    email = models.EmailField(max_length=254, blank=True)
    language = models.CharField(max_length=10, blank=True)

    class Meta:
        verbose_name = _("pending notice")
        verbose_name_plural = _("pending notices")
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(organisation__isnull=False, user__isnull=True, email="")
                | models.Q(organisation__isnull=True, user__isnull=False, email="")
                | (models.Q(organisation__isnull=True, user__isnull=True) & ~models.Q(email="")),
                name="pending_notice_for_one",
            )
        ]

    def __str__(self) -> str:
        return f"{self.event} → {self.organisation_id or self.user_id or self.email}"


def evidence_path(evidence: "Evidence", filename: str) -> str:
    """The path of a document: by organisation, under a random name that cannot be guessed.

    Documents are served only by views that check access; the random name is a second line of defence.
    """
    import secrets

    # Only the suffix is kept of the name that was given: names of files may contain names of people.
    suffix = filename.rsplit(".", 1)[-1].lower()
    return f"evidence/{evidence.organisation_id}/{secrets.token_urlsafe(16)}.{suffix}"


class Evidence(TimeStamped):
    """A document that shows that an organisation is what it says: a licence, a certificate, a letter."""

    organisation = models.ForeignKey(
        Organisation, models.CASCADE, related_name="evidence", verbose_name=_("organisation")
    )
    document = models.FileField(
        _("document"),
        upload_to=evidence_path,
        validators=[FileExtensionValidator(["pdf", "jpg", "jpeg", "png"])],
        help_text=_("PDF, JPEG or PNG, up to 5 MB."),
    )
    note = models.CharField(_("what it shows"), max_length=200, blank=True)
    uploaded_by = models.ForeignKey(User, models.PROTECT, related_name="+", verbose_name=_("uploaded by"))

    class Meta(TimeStamped.Meta):
        verbose_name = _("evidence")
        verbose_name_plural = _("evidence")

    def __str__(self) -> str:
        return self.note or self.document.name or ""


class TokenScope(models.TextChoices):
    READ = "read", _("read what the user may see")
    WRITE = "write", _("post, answer, ship and confirm")
    EXPORTS = "exports", _("pull exports")
    CONTACTS = "contacts", _("see contacts that are revealed to the user")
    TOKENS = "tokens", _("make other tokens")


class ApiToken(AbstractAuthToken):
    """A key for programs: kept as a hash, shown once, with scopes, an expiry and optionally one region."""

    name = models.CharField(_("name"), max_length=100, help_text=_("What it is for, e.g. “provincial dashboard”."))
    scopes = ArrayField(models.CharField(max_length=20, choices=TokenScope.choices), verbose_name=_("scopes"))
    region = models.ForeignKey(
        Region, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("only this region")
    )
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(scopes__contained_by=TokenScope.values, scopes__len__gt=0),
                name="token_scopes_known",
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.token_key}…)"
