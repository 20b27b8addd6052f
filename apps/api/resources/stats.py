"""`/stats/`: public sums, published once an hour."""

from typing import Any

from django.utils.cache import patch_cache_control
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.protocol.view import ApiView
from apps.exports.publishing import KEPT, published_stats


class StatsCellSerializer(serializers.Serializer[Any]):
    """One item in one region. Null: fewer than three organisations stand behind the number."""

    item = serializers.CharField()
    region = serializers.CharField(help_text="A province, or a country where that is all that is known.")
    unit = serializers.CharField()
    needs = serializers.IntegerField(allow_null=True)
    quantity_needed = serializers.IntegerField(allow_null=True, help_text="Of the needs that state a quantity.")
    quantity_matched = serializers.IntegerField(allow_null=True)
    quantity_received = serializers.IntegerField(allow_null=True)
    offers = serializers.IntegerField(allow_null=True)
    quantity_offered = serializers.IntegerField(allow_null=True, help_text="Not promised yet.")


class StatsSerializer(serializers.Serializer[Any]):
    """Public sums, with the time of counting."""

    as_of = serializers.DateTimeField()
    cells = StatsCellSerializer(many=True)
    totals = StatsCellSerializer(many=True, help_text="By item, everywhere: the region is empty.")


class StatsView(ApiView):
    """Public sums by item and province."""

    # Newspapers and programs of others show the sums, and need no account for it.
    permission_classes = (AllowAny,)

    @extend_schema(operation_id="stats_show", responses=StatsSerializer)
    def get(self, _request: Request) -> Response:
        """Show what is needed, offered and received, with the time of counting. Rounded, and renewed once an hour."""
        # One row: what costs seconds was done when it was published.
        response = Response(published_stats().as_json())
        # Proxies keep it, and so does each process (apps/ops/serving/copies.py), which then asks neither who calls nor
        # how often. Every caller gets the same, whatever the token: no row tells of fewer than three organisations.
        patch_cache_control(response, public=True, **KEPT)
        return response
