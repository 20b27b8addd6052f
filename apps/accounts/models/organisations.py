import datetime as dt
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

import pgtrigger
from django.contrib.auth.models import AnonymousUser
from django.core.validators import FileExtensionValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.accounts.models.users import User
from apps.accounts.permissions import KINDS, OrganisationKind, Permission
from apps.catalogue.models import Region
from apps.core.models import TimeStamped
from apps.core.states import may_move
from apps.core.triggers import Trigger


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
        seen = user.visibility("pk", "region")
        if user.region_limit is None:
            # What was merged into one's own organisation, so that its old address leads on.
            seen |= models.Q(merged_into__in=[grant.organisation_id for grant in user.grants])
        return self.filter(seen)

    def verified(self) -> Self:
        return self.filter(state=OrganisationState.VERIFIED)

    def awaiting_verification(self) -> Self:
        return self.filter(state=OrganisationState.PENDING)

    def of_boards_to_verify(self) -> Self:
        """Imported ones that nobody has judged and that have not asked for it: a coordinator has to begin."""
        return self.exclude(source="").filter(state=OrganisationState.UNVERIFIED, merged_into=None)

    def unannounced(self) -> Self:
        """Organisations whose people have not been told yet that the verification has changed."""
        return self.exclude(state=models.F("announced_state"))

    def verification_run_out(self, today: dt.date) -> Self:
        return self.verified().filter(verified_until__lt=today)

    def coordinating(self, *regions: Region) -> Self:
        """The verified coordinators in charge of any of these regions, nearest first: of a city, a province, the
        nation.
        """
        codes = {code for region in regions for code in (*region.ancestor_codes, region.code)}
        return (
            self.verified()
            .filter(kind=OrganisationKind.COORDINATOR, region__in=sorted(codes))
            # A longer path is a smaller region.
            .annotate(depth=models.functions.Length("region__path"))
            .order_by("-depth", "pk")
        )


# A verification by a person, and not one that only rested and comes back.
_VERIFIED_ANEW: Final = pgtrigger.Q(
    new__state=OrganisationState.VERIFIED.value, new__verified_by__isnull=False
) & pgtrigger.Q(old__verified_at__df=pgtrigger.F("new__verified_at"))


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
    call_back = models.CharField(
        _("call-back"),
        max_length=300,
        blank=True,
        default="",
        db_default="",
        help_text=_("Which number of which public register was called, and who answered."),
    )
    # The state that its people were told last. A row in which the two differ is a notice to be sent, whichever way the
    # state was changed.
    announced_state = models.CharField(max_length=12, default=OrganisationState.UNVERIFIED, editable=False)

    # Set while the organisation is taken for another one: its needs and offers are there, and nobody acts for it here.
    merged_into = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, editable=False, related_name="+", verbose_name=_("merged into")
    )

    source = models.CharField(_("imported from"), max_length=60, blank=True)
    source_key = models.CharField(_("key there"), max_length=200, blank=True)

    objects = OrganisationQuerySet.as_manager()

    # A coordinator verified these facts, so a change of one of them clears the verification.
    # Those of contact too: whoever changes the phone number gets the goods.
    VERIFIED_FACTS: Final = (
        *("name", "kind", "identifier_kind", "identifier", "region", "address"),
        *("contact_name", "contact_phone", "contact_email"),
    )

    MOVES: ClassVar = {
        # Coordinators may verify without a submission, for example an organisation that they registered for a caller.
        # One that is dormant may be rejected, or it would pass over a suspension by resting for a while.
        OrganisationState.UNVERIFIED: frozenset(
            {OrganisationState.PENDING, OrganisationState.VERIFIED, OrganisationState.REJECTED}
        ),
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
            models.CheckConstraint(
                condition=models.Q(merged_into=None)
                | (models.Q(state=OrganisationState.UNVERIFIED) & ~models.Q(merged_into=models.F("id"))),
                name="organisation_merged_is_unverified",
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
        triggers: ClassVar = [
            *TimeStamped.Meta.triggers,
            Trigger(
                name="verified_by_another",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                condition=_VERIFIED_ANEW,
                func="""
                    IF accounts_acted_for(NEW.id, NEW.verified_by_id) THEN
                        RAISE check_violation USING CONSTRAINT = 'organisation_verified_by_another';
                    END IF;
                    RETURN NEW;
                """,
            ),
            Trigger(
                name="verified_with_proof",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                condition=_VERIFIED_ANEW & pgtrigger.Q(new__kind=OrganisationKind.HOSPITAL.value, new__call_back=""),
                func="""
                    IF NOT EXISTS (SELECT FROM accounts_evidence WHERE organisation_id = NEW.id) THEN
                        RAISE check_violation USING CONSTRAINT = 'organisation_verified_with_proof';
                    END IF;
                    RETURN NEW;
                """,
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
    def needs_proof(self) -> bool:
        """Whether a document or a call-back must prove it. Hospitals come first everywhere (tier 1)."""
        return self.kind == OrganisationKind.HOSPITAL

    @property
    def is_verified(self) -> bool:
        return self.state == OrganisationState.VERIFIED

    @property
    def can_be_verified(self) -> bool:
        return may_move(self, OrganisationState.VERIFIED) and not self.is_merged

    @property
    def can_be_rejected(self) -> bool:
        """Whether a coordinator can say no, or take the verification back, be it one that rests."""
        may = may_move(self, OrganisationState.REJECTED)
        return may and (self.is_dormant or self.state != OrganisationState.UNVERIFIED)

    @property
    def is_merged(self) -> bool:
        """Whether it stands here as a duplicate of another one."""
        return self.merged_into_id is not None

    @property
    def is_dormant(self) -> bool:
        """Whether it was verified when its last manager left. It is not matched until somebody manages it again."""
        return self.has_resting_verification and not self.is_merged

    @property
    def has_resting_verification(self) -> bool:
        """Whether it would be verified again with a manager, or after the undo of a merge."""
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

    def changes_contact(self, changes: Mapping[str, Any]) -> bool:
        """Whether by these changes others would call somebody else."""
        where = ("contact_name", "contact_phone", "contact_email")
        return any(name in changes and changes[name] != getattr(self, name) for name in where)


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
