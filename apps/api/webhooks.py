"""`/webhooks/`: addresses of an organisation's own systems that are told events."""

from typing import Any, ClassVar

import django_filters as filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.models import Organisation
from apps.accounts.permissions import Permission
from apps.api.fields import Id, Input, Nothing, Row, Text, VisibleRow
from apps.api.filters import ById
from apps.api.resource import Resource
from apps.notifications import services
from apps.notifications.models import MessageState, WebhookEndpoint


class WebhookRow(Row):
    id = Id()
    organisation = Id(source="organisation_id")
    url = serializers.CharField()
    events = serializers.ListField(child=serializers.CharField(), help_text="Empty means all.")
    is_active = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class WebhookMade(WebhookRow):
    secret = serializers.CharField(help_text="To check signatures with (Standard Webhooks). Shown this once.")


class NewWebhook(Input):
    IGNORED = tuple(WebhookRow().fields)

    url = Text(max_length=500, help_text="HTTPS, and in the open internet.")
    events = serializers.ListField(child=Text(max_length=60), required=False, max_length=50)
    organisation = VisibleRow(
        lambda user: Organisation.objects.visible_to(user).select_related("region"),
        required=False,
        help_text="Whose; needed only by somebody who manages several.",
    )


class TestQueued(serializers.Serializer[Any]):
    __test__ = False  # pytest collects by name

    id = serializers.CharField(help_text="The `webhook-id` of the message that is under way.")
    state = serializers.ChoiceField(choices=MessageState.choices)


class WebhookFilter(filters.FilterSet):
    organisation = ById(field_name="organisation")

    class Meta:
        model = WebhookEndpoint
        fields: ClassVar[list[str]] = []


class Webhooks(Resource):
    """Endpoints are the business of an organisation's own people."""

    shown = WebhookRow
    shown_once = ("secret",)
    filterset_class = WebhookFilter

    def get_queryset(self) -> QuerySet[WebhookEndpoint]:
        return WebhookEndpoint.objects.visible_to(self.request.user)

    def managed(self) -> WebhookEndpoint:
        """The endpoint, if the caller may do things with it."""
        endpoint: WebhookEndpoint = self.get_object()
        self.require(Permission.MANAGE_ORGANISATION, endpoint.organisation)
        return endpoint

    @extend_schema(request=NewWebhook, responses={201: WebhookMade})
    def create(self, _request: Request) -> Response:
        """Add an endpoint; the answer alone shows its secret."""
        wanted = self.taken(NewWebhook)
        organisation = self.organisation_for(Permission.MANAGE_ORGANISATION, wanted.pop("organisation", None))
        endpoint = services.add_webhook(organisation, by=self.user, **wanted)
        ((_extra, row),) = WebhookRow.read(self.get_queryset().filter(pk=endpoint.pk))
        return Response({**row, "secret": endpoint.secret}, status=201)

    @extend_schema(responses={204: None})
    def destroy(self, _request: Request, **_kwargs: Any) -> Response:
        """Remove an endpoint."""
        services.remove_webhook(self.managed(), by=self.user)
        return Response(status=204)

    @extend_schema(request=Nothing, responses={202: TestQueued})
    @action(detail=True, methods=["post"])
    def test(self, _request: Request, **_kwargs: Any) -> Response:
        """Send a `webhook.test`."""
        endpoint = self.managed()
        self.taken(Nothing)
        message = services.test_webhook(endpoint, by=self.user)
        return Response({"id": str(message.uid), "state": message.state}, status=202)
