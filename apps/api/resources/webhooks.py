"""`/webhooks/`: addresses of an organisation's own systems that are told events."""

from typing import Any, ClassVar

import django_filters as filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.permissions import Permission
from apps.api.protocol.authentication import require_password
from apps.api.protocol.resource import ResourceViewSet
from apps.api.representation.answers import IdField, RowSerializer
from apps.api.representation.filters import RelatedIdFilter
from apps.api.representation.references import OrganisationField
from apps.api.representation.requests import EmptyInputSerializer, InputSerializer
from apps.api.representation.values import StrictCharField
from apps.notifications import services
from apps.notifications.models import MessageState, WebhookEndpoint


class WebhookSerializer(RowSerializer):
    """An address of an organisation's own system to which events are sent."""

    id = IdField()
    organisation = IdField(source="organisation_id")
    url = serializers.CharField()
    events = serializers.ListField(child=serializers.CharField(), help_text="Empty means all.")
    is_active = serializers.BooleanField(help_text="False while it is paused: nothing is sent to it.")
    failing_since = serializers.DateTimeField(
        allow_null=True, help_text="Since when each attempt has failed. After a day of it the webhook is paused."
    )
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class WebhookWithSecretSerializer(WebhookSerializer):
    """A new webhook, with the secret that signs its messages."""

    secret = serializers.CharField(help_text="To check signatures with (Standard Webhooks). Shown this once.")


class NewWebhookSerializer(InputSerializer):
    """An address, and the events that are sent to it."""

    IGNORED = tuple(WebhookSerializer().fields)
    EXAMPLE: ClassVar = {"url": "https://hospital.example/hooks/cosmomatch", "events": ["match.accepted"]}

    url = StrictCharField(max_length=500, help_text="HTTPS, and in the open internet.")
    events = serializers.ListField(child=StrictCharField(max_length=60), required=False, max_length=50)
    organisation = OrganisationField(
        required=False,
        help_text="Whose; needed only by somebody who manages several and has no default.",
    )


class WebhookTestSerializer(serializers.Serializer[Any]):
    """A test message that is on its way."""

    __test__ = False  # pytest collects by name

    id = serializers.CharField(help_text="The `webhook-id` of the message that is under way.")
    state = serializers.ChoiceField(choices=MessageState.choices)


class WebhookFilterSet(filters.FilterSet):
    organisation = RelatedIdFilter(field_name="organisation")

    class Meta:
        model = WebhookEndpoint
        fields: ClassVar[list[str]] = []


class WebhookViewSet(ResourceViewSet):
    """Webhooks of an organisation. Only its own people see and change them."""

    shown = WebhookSerializer
    shown_once = ("secret",)
    filterset_class = WebhookFilterSet

    def get_queryset(self) -> QuerySet[WebhookEndpoint]:
        return WebhookEndpoint.objects.visible_to(self.request.user)

    def managed(self) -> WebhookEndpoint:
        """The endpoint, if the caller may change it. Raises `Http404` or `NotAllowedError`."""
        endpoint: WebhookEndpoint = self.get_object()
        self.require(Permission.MANAGE_ORGANISATION, endpoint.organisation)
        return endpoint

    @extend_schema(request=NewWebhookSerializer, responses={201: WebhookWithSecretSerializer})
    def create(self, request: Request) -> Response:
        """Add a webhook. Only this answer shows its secret."""
        # An open session or a token alone could send what an organisation is told to somebody else.
        require_password(request)
        wanted = self.taken(NewWebhookSerializer)
        organisation = self.organisation_for(Permission.MANAGE_ORGANISATION, wanted.pop("organisation", None))
        endpoint = services.add_webhook(organisation, by=self.user, **wanted)
        services.warn_of_change(self.user, "webhook", network=self.network)
        ((_extra, row),) = WebhookSerializer.read(self.get_queryset().filter(pk=endpoint.pk))
        return Response({**row, "secret": endpoint.secret}, status=201)

    @extend_schema(responses={204: None})
    def destroy(self, _request: Request, **_kwargs: Any) -> Response:
        """Remove a webhook."""
        services.remove_webhook(self.managed(), by=self.user)
        return Response(status=204)

    @extend_schema(request=EmptyInputSerializer, responses=WebhookSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, _request: Request, **_kwargs: Any) -> Response:
        """Use a paused webhook again, and send what it missed in the last seven days."""
        endpoint = self.managed()
        self.taken(EmptyInputSerializer)
        services.resume_webhook(endpoint, by=self.user)
        return self.answer(endpoint.pk)

    @extend_schema(request=EmptyInputSerializer, responses={202: WebhookTestSerializer})
    @action(detail=True, methods=["post"])
    def test(self, _request: Request, **_kwargs: Any) -> Response:
        """Send a `webhook.test`."""
        endpoint = self.managed()
        self.taken(EmptyInputSerializer)
        message = services.test_webhook(endpoint, by=self.user)
        # 202: the outbox sends it after the commit, so nobody knows yet whether it arrives.
        return Response({"id": str(message.uid), "state": message.state}, status=202)
