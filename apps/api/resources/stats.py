"""`/stats/`: public sums, published once an hour. `/figures/`: what each number means."""

from typing import Any

from django.utils.cache import patch_cache_control
from django.utils.text import format_lazy
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.protocol.view import ApiView
from apps.exports.definitions import FIGURES
from apps.exports.publishing import KEPT, published_stats


def _number(key: str) -> serializers.IntegerField:
    """A number of the cell, described by its definition."""
    figure = FIGURES[key]
    return serializers.IntegerField(allow_null=True, help_text=format_lazy("{}: {}", figure.formula, figure.population))


class StatsCellSerializer(serializers.Serializer[Any]):
    """One item in one region. Null: fewer than three organisations stand behind the number."""

    item = serializers.CharField()
    region = serializers.CharField(help_text="A province, or a country where that is all that is known.")
    unit = serializers.CharField()
    needs = _number("needs")
    organisations_waiting = _number("organisations_waiting")
    quantity_needed = _number("quantity_needed")
    quantity_matched = _number("quantity_matched")
    quantity_received = _number("quantity_received")
    offers = _number("offers")
    quantity_offered = _number("quantity_offered")


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


class FigureSerializer(serializers.Serializer[Any]):
    """What a figure means. A figure whose meaning changes gets a new key."""

    key = serializers.CharField()
    name = serializers.CharField()
    formula = serializers.CharField()
    population = serializers.CharField()
    unit = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # an option of the base class has this name


class FiguresView(ApiView):
    """The definitions of all figures."""

    permission_classes = (AllowAny,)

    @extend_schema(operation_id="figures_list", responses=FigureSerializer(many=True))
    def get(self, _request: Request) -> Response:
        """List what each figure on pages, in exports and in `stats` counts, of what, in which unit, and from where."""
        return Response(FigureSerializer(FIGURES.values(), many=True).data)
