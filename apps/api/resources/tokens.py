"""`/tokens/`: keys for programs that act as their user."""

import datetime as dt
from typing import Any, ClassVar

from django.conf import settings
from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts import services
from apps.accounts.models import ApiToken, TokenScope
from apps.api.protocol.authentication import ScopeMissingError, has_scope, require_password
from apps.api.protocol.pagination import CursorPage
from apps.api.protocol.resource import ResourceViewSet
from apps.api.representation.answers import RowSerializer
from apps.api.representation.references import RegionCodeField
from apps.api.representation.requests import InputSerializer
from apps.api.representation.values import StrictCharField, StrictIntegerField
from apps.notifications.services import warn_of_change


class TokenSerializer(RowSerializer):
    """A key for a program that acts as you."""

    id = serializers.CharField(source="token_key", help_text="The beginning of the token.")
    name = serializers.CharField()
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=TokenScope.choices))
    region = serializers.CharField(source="region_id", allow_null=True)
    created_at = serializers.DateTimeField(source="created")
    expires_at = serializers.DateTimeField(source="expiry", allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)


class TokenWithSecretSerializer(TokenSerializer):
    """A new token, with its secret."""

    token = serializers.CharField(help_text="Shown this once; a repeated request does not show it again.")


class NewTokenSerializer(InputSerializer):
    """What a token may do, where, and for how long."""

    IGNORED = tuple(TokenSerializer().fields)
    EXAMPLE: ClassVar = {"name": "dashboard", "scopes": ["read"], "lasts_days": 90}

    name = StrictCharField(max_length=100)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=TokenScope.choices), min_length=1, max_length=len(TokenScope)
    )
    region = RegionCodeField(required=False, allow_null=True)
    lasts_days = StrictIntegerField(
        required=False, min_value=1, max_value=365, help_text="A year unless said otherwise."
    )


class CursorPageByTokenKey(CursorPage):
    """Pages of tokens, which are named by their beginning."""

    column = "token_key"
    kind = str


class TokenViewSet(ResourceViewSet):
    """Keys for programs that act as you, within their scopes and region."""

    shown = TokenSerializer
    shown_once = ("token",)
    pagination_class = CursorPageByTokenKey
    lookup_field = "id"

    def get_queryset(self) -> QuerySet[ApiToken]:
        # Nobody sees the tokens of others, not even a manager of the organisation: a token acts as a person.
        return ApiToken.objects.filter(user=self.request.user.pk)

    @extend_schema(request=NewTokenSerializer, responses={201: TokenWithSecretSerializer})
    def create(self, request: Request) -> Response:
        """Make a token. By a token, only with the scope `tokens`, and one that may do no more than itself."""
        require_password(request)
        if not has_scope(request, TokenScope.TOKENS):
            raise ScopeMissingError(TokenScope.TOKENS)
        wanted = self.taken(NewTokenSerializer)
        longest: dt.timedelta = settings.REST_KNOX["TOKEN_TTL"]  # type: ignore[assignment]  # one of many kinds of value
        lasts = dt.timedelta(days=wanted.pop("lasts_days", 0)) or longest
        region = wanted.pop("region", None)
        if isinstance(request.auth, ApiToken):
            _stay_within(request.auth, wanted["scopes"], region, timezone.now() + lasts)
        token, text = services.issue_token(self.user, lasts=lasts, region=region, **wanted)
        warn_of_change(self.user, "token", network=self.network)
        ((_extra, row),) = TokenSerializer.read(self.get_queryset().filter(pk=token.pk))
        # The database has only a hash, so this answer is the one chance to see the token. `shown_once` keeps it out of
        # the answer that is stored for repeats.
        return Response({**row, "token": text}, status=201)

    def get_object(self) -> ApiToken:
        name = self.kwargs[self.lookup_field]
        token = self.get_queryset().filter(token_key=name).first() if name.isprintable() and len(name) < 60 else None
        if token is None:
            raise Http404
        return token

    def retrieve(self, _request: Request, **_kwargs: Any) -> Response:
        ((_extra, row),) = TokenSerializer.read(self.get_queryset().filter(pk=self.get_object().pk))
        return Response(row)

    @extend_schema(responses={204: None})
    def destroy(self, _request: Request, **_kwargs: Any) -> Response:
        """Revoke a token. It opens nothing any more."""
        services.revoke_token(self.get_object(), by=self.user)
        return Response(status=204)


def _stay_within(token: ApiToken, scopes: list[str], region: Any, until: dt.datetime) -> None:
    """Raise `ValidationError` if a new token could do more than the one that asks for it, elsewhere, or for longer."""
    # Otherwise a person who finds a token could make a stronger one with it.
    errors: dict[str, list[str]] = {}
    if more := sorted(set(scopes) - set(token.scopes)):
        errors["scopes"] = [_("This token itself lacks: %(scopes)s.") % {"scopes": ", ".join(more)}]
    if token.region is not None and (region is None or not region.is_within(token.region)):
        errors["region"] = [_("This token is itself for %(region)s only.") % {"region": token.region_id}]
    if token.expiry is not None and until > token.expiry:
        errors["lasts_days"] = [_("This token itself ends sooner.")]
    if errors:
        raise ValidationError(errors)
