"""`/stats/`: public sums, published once an hour."""

from typing import Any, Final

import structlog
from django.core.cache import cache
from django.utils.cache import patch_cache_control
from drf_spectacular.utils import extend_schema
from redis.exceptions import RedisError
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.protocol.view import ApiView
from apps.exports.publishing import published_stats

log = structlog.get_logger(__name__)

# In seconds. The page is public, so the sums must not be read for each visitor.
KEPT_FOR: Final = 60
# Raise the number when the shape of the answer changes: a cache may outlive an upgrade.
KEY: Final = "public-stats:3"


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

    permission_classes = (AllowAny,)

    @extend_schema(operation_id="stats_show", responses=StatsSerializer)
    def get(self, _request: Request) -> Response:
        """Show what is needed, offered and received, with the time of counting. Rounded, and renewed once an hour."""
        response = Response(_kept())
        patch_cache_control(response, public=True, max_age=KEPT_FOR)
        return response


def _kept() -> dict[str, Any]:
    """The sums of this hour, from the cache. Without Redis they come from the database, so that the page stays."""
    try:
        kept: dict[str, Any] | None = cache.get(KEY)
        if kept is None:
            kept = published_stats().as_json()
            cache.set(KEY, kept, KEPT_FOR)
    except (RedisError, OSError) as error:
        log.warning("stats_without_redis", error=str(error))
        return published_stats().as_json()
    return kept
