"""What people say about themselves."""

import zoneinfo
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.forms import ChangePasswordForm as AllauthChangePasswordForm
from allauth.account.forms import LoginForm as AllauthLoginForm
from allauth.account.forms import SignupForm as AllauthSignupForm
from allauth.core import context
from allauth.core.internal import ratelimit
from allauth.core.internal.httpkit import get_client_ip
from allauth.mfa.adapter import get_adapter as get_mfa_adapter
from allauth.mfa.base.forms import AuthenticateForm as AllauthAuthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authentication_failed
from allauth.mfa.webauthn.forms import AddWebAuthnForm, AuthenticateWebAuthnForm, EditWebAuthnForm
from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _

from apps.accounts.limits import network_of
from apps.accounts.models import Language, Organisation, TokenScope, User
from apps.accounts.services import amend_user
from apps.portal import kept
from apps.portal.entrance.sessions import browser_of
from apps.portal.forms.regions import RegionField


@cache
def zones() -> list[tuple[str, str]]:
    """Time zones by the places that people know them by."""
    # The rest are old names and offsets that nobody looks for.
    continents = ("Africa/", "America/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Indian/", "Pacific/")
    return [
        (name, name.replace("_", " ")) for name in sorted(zoneinfo.available_timezones()) if name.startswith(continents)
    ] + [("UTC", "UTC")]


class LoginForm(AllauthLoginForm):
    """Address and password, and whether others use this computer too."""

    shared = forms.BooleanField(
        label=_("This is a shared computer"),
        required=False,
        help_text=_("You are logged out sooner, and when the browser closes."),
    )

    # What was typed on a page that asked for this login: `apps/portal/kept.py`.
    typed = forms.CharField(required=False, max_length=kept.LONGEST, strip=False, widget=forms.HiddenInput)
    typed_at = forms.CharField(required=False, max_length=200, widget=forms.HiddenInput)

    def login(self, request: HttpRequest, redirect_url: str | None = None) -> HttpResponse:
        # Before the log-in, which may go on on another page: it keeps what the session holds.
        request.session["shared"] = self.cleaned_data["shared"]
        kept.put(request, typed=self.cleaned_data["typed"], path=self.cleaned_data["typed_at"])
        response: HttpResponse = super().login(request, redirect_url)
        if self.cleaned_data["shared"]:
            request.session.set_expiry(0)
        return response


class SignupForm(AllauthSignupForm):
    """Name, address, password, language; the organisation comes on the next page."""

    name = forms.CharField(label=_("Your name"), max_length=100, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    language = forms.ChoiceField(
        label=_("Language of the site and of messages"), choices=Language.choices, widget=forms.RadioSelect
    )
    field_order = ("name", "email", "password1", "language")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["language"].initial = get_language()
        for field in self.fields.values():
            # Allauth repeats the label there. It vanishes while one types, and is too pale to read.
            field.widget.attrs.pop("placeholder", None)

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean()
        request = context.request
        # Counted when all else is right, so that typing errors cost nothing.
        if not self.errors and not ratelimit.consume(
            request, app="allauth.account", action="registered", key=network_of(get_client_ip(request) or "127.0.0.1")
        ):
            raise forms.ValidationError(_("Too many people registered from your network today. Try again tomorrow."))
        return data

    def save(self, request: HttpRequest) -> User:
        user = super().save(request)
        assert isinstance(user, User)
        return amend_user(user, name=self.cleaned_data["name"], language=self.cleaned_data["language"])


class AuthenticateForm(AllauthAuthenticateForm):
    code = forms.CharField(
        label=_("Code of your app, or a recovery code"),
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )


@contextmanager
def refusing_what_no_device_sends() -> Iterator[None]:
    """Allauth stumbles over an answer that lacks a part: it is refused as a wrong one is."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise get_mfa_adapter().validation_error("incorrect_code") from error


class PasskeyForm(AuthenticateWebAuthnForm):
    """One that is refused is told by the signal by which allauth tells of a wrong code."""

    def clean_credential(self) -> Authenticator:
        try:
            with refusing_what_no_device_sends():
                factor: Authenticator = super().clean_credential()
        except forms.ValidationError as error:
            # What is refused unread, because there were too many, is no answer to the question.
            if error.code == "incorrect_code":
                authentication_failed.send(
                    sender=Authenticator,
                    request=context.request,
                    user=self.user,
                    authenticator=Authenticator(user=self.user, type=Authenticator.Type.WEBAUTHN),  # of some device
                    reauthentication=self.reauthenticated,
                )
            raise
        return factor


class ReauthenticatePasskeyForm(PasskeyForm):
    reauthenticated = True


class AddPasskeyForm(AddWebAuthnForm):
    """The device has answered before this is sent, so a name that is missing refuses nothing."""

    name = forms.CharField(
        label=_("Name"), max_length=100, required=False, help_text=_("By which you know it again, e.g. “my phone”.")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["name"] = browser_of(context.request.headers.get("User-Agent", ""))

    def clean(self) -> dict[str, Any]:
        with refusing_what_no_device_sends():
            found: dict[str, Any] = super().clean()
        return found


class EditPasskeyForm(EditWebAuthnForm):
    name = forms.CharField(label=_("Name"), max_length=100)


class ChangePasswordForm(AllauthChangePasswordForm):
    """The old password and the new one. A wrong old one counts as it does at the log-in, and is noted."""

    def clean_oldpassword(self) -> str:
        assert isinstance(self.user, User)
        adapter, password = get_adapter(), str(self.cleaned_data["oldpassword"])
        if adapter.authenticate(context.request, email=self.user.email, password=password) != self.user:
            raise adapter.validation_error("enter_current_password")
        return password


class ProfileForm(forms.ModelForm[User]):
    time_zone = forms.ChoiceField(label=_("Time zone"), choices=zones)

    class Meta:
        model = User
        fields = ("name", "phone", "language", "time_zone", "default_organisation")
        widgets = {
            "name": forms.TextInput(attrs={"autocomplete": "name"}),
            "phone": forms.TextInput(attrs={"autocomplete": "tel", "inputmode": "tel"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        own = [grant.organisation_id for grant in self.instance.grants]
        if len(own) < 2:
            # Whoever acts for one organisation acts for that one.
            del self.fields["default_organisation"]
            return
        field = self.fields["default_organisation"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = Organisation.objects.filter(pk__in=own).order_by("pk")
        field.empty_label = gettext("None: say it each time")


class TokenForm(forms.Form):
    """A key for a program."""

    name = forms.CharField(label=_("Name"), max_length=100, help_text=_("What it is for, e.g. “provincial dashboard”."))
    scopes = forms.MultipleChoiceField(
        label=_("What it may do"),
        choices=TokenScope.choices,
        widget=forms.CheckboxSelectMultiple,
        initial=[TokenScope.READ],
    )
    days = forms.IntegerField(label=_("Days until it ends"), min_value=1, max_value=730, initial=365)
    region = RegionField(label=_("Only this region"), required=False)
