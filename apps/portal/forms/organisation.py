"""What is said about an organisation, and by whom."""

from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import IdentifierKind, Membership, Organisation
from apps.accounts.permissions import OPEN_KINDS, OrganisationKind, Role
from apps.portal.forms.regions import RegionField


class OrganisationForm(forms.Form):
    """The facts of an organisation; those that are verified come first."""

    name = forms.CharField(
        label=_("Name of the organisation"),
        max_length=200,
        help_text=_("As written on the licence."),
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    kind = forms.ChoiceField(label=_("Kind"), widget=forms.RadioSelect)
    identifier_kind = forms.ChoiceField(label=_("Kind of number"), choices=IdentifierKind.choices)
    identifier = forms.CharField(
        label=_("Registration number"),
        max_length=40,
        required=False,
        help_text=_("In China the unified social credit code, 18 characters. Without one, upload a document later."),
        widget=forms.TextInput(attrs={"autocapitalize": "characters", "spellcheck": "false"}),
    )
    region = RegionField()
    address = forms.CharField(
        label=_("Address"),
        max_length=300,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "street-address"}),
    )
    contact_name = forms.CharField(
        label=_("Contact person"),
        max_length=100,
        required=False,
        help_text=_("Shown to the other side only after a request is accepted."),
    )
    contact_phone = forms.CharField(
        label=_("Contact phone"),
        max_length=60,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "tel", "inputmode": "tel"}),
    )
    contact_email = forms.EmailField(
        label=_("Contact e-mail"), required=False, widget=forms.EmailInput(attrs={"autocomplete": "email"})
    )

    def __init__(self, *args: Any, organisation: Organisation | None = None, **kwargs: Any) -> None:
        if organisation is not None:
            kwargs["initial"] = {name: getattr(organisation, name) for name in self.base_fields}
        super().__init__(*args, **kwargs)
        # Nobody registers as a coordinator, and an organisation that is one stays one.
        allowed = OPEN_KINDS | ({organisation.kind} if organisation else set())
        kinds = [choice for choice in OrganisationKind.choices if choice[0] in allowed]
        field = self.fields["kind"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = kinds


class EvidenceForm(forms.Form):
    document = forms.FileField(
        label=_("Document"),
        help_text=_("PDF, JPEG or PNG, up to 5 MB."),
        widget=forms.ClearableFileInput(attrs={"accept": ".pdf,.jpg,.jpeg,.png"}),
    )
    note = forms.CharField(
        label=_("What it shows"), max_length=200, required=False, help_text=_("For example: business licence, 2025.")
    )


class InvitationForm(forms.Form):
    email = forms.EmailField(
        label=_("E-mail address"),
        max_length=254,
        help_text=_("The person gets a mail. Who has no account yet registers first, then accepts."),
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices, initial=Role.MEMBER)


class RoleForm(forms.Form):
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices)


class LeaveForm(forms.Form):
    """Who takes over; asked of the last manager only."""

    _NOBODY: Final = "nobody"

    successor = forms.ChoiceField(label=_("Who manages the organisation after you?"), widget=forms.RadioSelect)

    def __init__(self, data: Any, *, membership: Membership) -> None:
        super().__init__(data)
        others = membership.organisation.memberships.exclude(pk=membership.pk).filter(user__is_active=True)
        self._colleagues = {str(other.pk): other for other in others.select_related("user").order_by("pk")}
        manages = membership.role == Role.MANAGER
        if not manages or any(other.role == Role.MANAGER for other in self._colleagues.values()):
            del self.fields["successor"]
            return
        field = self.fields["successor"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [
            *((key, f"{other.user} ({other.user.email})") for key, other in self._colleagues.items()),
            (self._NOBODY, _("Nobody: the organisation goes dormant")),
        ]

    @property
    def answer(self) -> dict[str, Any]:
        """The arguments of the service."""
        chosen = self.cleaned_data.get("successor", "")
        return {"successor": self._colleagues.get(chosen), "goes_dormant": chosen == self._NOBODY}


class WebhookForm(forms.Form):
    url = forms.URLField(
        label=_("Address"),
        max_length=500,
        assume_scheme="https",
        help_text=_("Messages are sent there by POST, signed after Standard Webhooks."),
    )
    events = forms.CharField(
        label=_("Only these events"), required=False, help_text=_("Names with commas between; empty means all.")
    )

    def clean_events(self) -> list[str]:
        names = [name.strip() for name in self.cleaned_data["events"].replace("，", ",").split(",") if name.strip()]
        if any(len(name) > 60 for name in names) or len(names) > 50:
            raise ValidationError(_("This is not a list of events."), code="events_invalid")
        return names
