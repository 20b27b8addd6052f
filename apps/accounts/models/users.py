from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.permissions import NATIONAL, REGIONAL, Permission
from apps.catalogue.models import Region

if TYPE_CHECKING:
    from apps.accounts.models.membership import Membership
    from apps.accounts.models.organisations import Organisation


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def with_address(self, email: str) -> "models.QuerySet[User]":
        """The user with this address, in whatever case it is typed.

        It is the expression of the unique constraint, so its index finds the row. `iexact` would read the whole table.
        """
        return self.alias(address=Lower("email")).filter(address=Lower(models.Value(email)))

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.with_address(username or "").get()


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

        confirmed = EmailAddress.objects.filter(user=self, email=self.email.lower(), verified=True)
        return confirmed.exists()

    def owns_address(self, email: str) -> bool:
        """Whether the user logs in with this address, or has confirmed it as a further one."""
        from allauth.account.models import EmailAddress  # it needs this model to be there first

        if email.lower() == self.email.lower():
            return True
        return EmailAddress.objects.filter(user=self, email=email.lower(), verified=True).exists()

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
