"""`/items/`, `/standards/`, `/regions/`, `/units/`: public reference data, with an ETag that changes when they do."""

from typing import Any, ClassVar

import django_filters as filters
from django.db.models import Q, QuerySet
from django.http import Http404
from django.utils.cache import patch_cache_control
from django.utils.decorators import method_decorator
from django.views.decorators.http import condition
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers, viewsets
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.protocol.pagination import CursorPageByCode, CursorPageByKey, page_size
from apps.api.protocol.view import ApiView, takes
from apps.api.representation.answers import FilledByViewSet, KeyedRows, Rows, RowSerializer
from apps.api.representation.filters import RegionCodeFilter
from apps.catalogue.models import Item, ItemAlias, ItemStandard, Jurisdiction, Pack, Region, RegionLevel, Standard, Unit
from apps.catalogue.search import clean
from apps.catalogue.services import catalogue_version

# Raise it when the form of the answers changes. Otherwise clients would keep what they have, as the data is the same.
SHAPE = "1"


def etag(_request: Any, **_kwargs: Any) -> str:
    return f'W/"{catalogue_version()}.{SHAPE}"'


# A client that has the present version gets 304 before any row is read.
@method_decorator(condition(etag_func=etag), name="dispatch")
class CatalogueViewSet(ApiView, viewsets.GenericViewSet[Any]):
    """Rows of reference data, by their public code or key. A search gives one page, the best first."""

    permission_classes = (AllowAny,)
    pagination_class: Any = CursorPageByCode
    lookup_field = "code"
    lookup_value_regex = "[^/]+"
    shown: type[RowSerializer]
    model: Any

    def get_queryset(self) -> QuerySet[Any]:
        queryset: QuerySet[Any] = self.model.objects.all()
        return queryset

    def get_serializer_class(self) -> Any:
        return self.shown

    @takes(OpenApiParameter("search", OpenApiTypes.STR, description="In either language, by a piece or an alias."))
    def list(self, request: Request, **_kwargs: Any) -> Response:
        queryset: Any = self.filter_queryset(self.get_queryset())
        body: dict[str, Any]
        text = request.query_params.get("search", "").strip()
        # Results of a search are ordered by how well they match, which no cursor can hold. So there is one page.
        if text:
            found = self.search(queryset, text)[: page_size(request)]
            body = {"next": None, "previous": None, "results": [row for _extra, row in self.shown.read(found)]}
        else:
            paginator = self.pagination_class()

            def read(rows: QuerySet[Any]) -> KeyedRows:
                return [(extra[0], row) for extra, row in self.shown.read(rows, paginator.column)]

            body = paginator.answer(request, queryset, read)
        self.complete(body["results"])
        return self._keep(Response(body))

    def search(self, queryset: Any, text: str) -> QuerySet[Any]:
        found: QuerySet[Any] = queryset.search(text)
        return found

    def retrieve(self, _request: Request, **kwargs: Any) -> Response:
        name = kwargs[self.lookup_field]
        # PostgreSQL refuses NUL, and no code is longer than this.
        if not name.isprintable() or len(name) > 120:
            raise Http404
        rows = [row for _extra, row in self.shown.read(self.get_queryset().filter(**{self.lookup_field: name}))]
        if not rows:
            raise Http404
        self.complete(rows)
        return self._keep(Response(rows[0]))

    def complete(self, rows: Rows) -> None:
        """Fill in what comes from no column of the row (`FilledByViewSet`), for all rows of a page at once."""

    @staticmethod
    def _keep(response: Response) -> Response:
        patch_cache_control(response, public=True, max_age=60)
        return response


class UnitSerializer(RowSerializer):
    """A unit in which quantities of items are counted."""

    code = serializers.CharField()
    name_zh = serializers.CharField()
    name_en = serializers.CharField()
    symbol = serializers.CharField()


class ItemAliasSerializer(serializers.Serializer[Any]):
    """Another name by which people look for an item."""

    language = serializers.CharField()
    text = serializers.CharField()


# The lists of an item come from other tables, so `ItemViewSet.complete` fills them in.
class ItemAliasListField(FilledByViewSet, serializers.ListField):
    child = ItemAliasSerializer()


class PackSerializer(RowSerializer):
    """A number of base units that are sold together, such as a box of 50."""

    name_zh = serializers.CharField()
    name_en = serializers.CharField()
    size = serializers.IntegerField(help_text="Base units in one pack.")


class PackListField(FilledByViewSet, serializers.ListField):
    child = PackSerializer()


class StandardCodeListField(FilledByViewSet, serializers.ListField):
    child = serializers.CharField()


class ExternalCodeSerializer(serializers.Serializer[Any]):
    """The item's code in another system of codes."""

    system = serializers.CharField()
    version = serializers.CharField(required=False)
    code = serializers.CharField()


class ItemSerializer(RowSerializer):
    """A kind of goods that can be needed and offered. All its quantities are in one base unit."""

    key = serializers.CharField()
    category = serializers.CharField(source="category_id")
    name_zh = serializers.CharField()
    name_en = serializers.CharField()
    unit = serializers.CharField(source="unit_id")
    trial_lot = serializers.IntegerField(
        help_text="What is offered while the needed quantity is unknown, in base units."
    )
    is_consumable = serializers.BooleanField()
    aliases = ItemAliasListField()
    packs = PackListField()
    standards = StandardCodeListField(help_text="Codes of the standards that can be asked of it.")
    codes = serializers.ListField(child=ExternalCodeSerializer(), help_text="In other systems.")


class StandardSerializer(RowSerializer):
    """A grade of one edition of a published standard, and what goods of that grade guarantee."""

    code = serializers.CharField()
    title_zh = serializers.CharField()
    title_en = serializers.CharField()
    jurisdiction = serializers.ChoiceField(choices=Jurisdiction.choices)
    grade = serializers.CharField()
    attributes = serializers.DictField(child=serializers.JSONField())
    valid_from = serializers.DateField(allow_null=True)
    succeeded_by = serializers.CharField(source="succeeded_by.code", allow_null=True)


class RegionSerializer(RowSerializer):
    """A region: GB/T 2260 in China, ISO 3166-2 elsewhere."""

    code = serializers.CharField()
    name = serializers.CharField()
    name_en = serializers.CharField()
    level = serializers.ChoiceField(choices=RegionLevel.choices)
    parent = serializers.CharField(  # type: ignore[assignment]  # the metaclass takes it away
        source="parent_id", allow_null=True
    )
    path = serializers.CharField(help_text="The codes from the country down, each followed by a slash.")
    latitude = serializers.FloatField(allow_null=True)
    longitude = serializers.FloatField(allow_null=True)


class ItemFilterSet(filters.FilterSet):
    category = filters.CharFilter(label="Of this category.")
    is_consumable = filters.BooleanFilter(label="Used up, or not.")

    class Meta:
        model = Item
        fields: ClassVar[list[str]] = []


class StandardFilterSet(filters.FilterSet):
    jurisdiction = filters.ChoiceFilter(choices=Jurisdiction.choices, label="Published there.")

    class Meta:
        model = Standard
        fields: ClassVar[list[str]] = []


class RegionWithinFilter(RegionCodeFilter):
    """The regions inside of the one named, itself among them."""

    def filter(self, qs: QuerySet[Any], value: Any) -> QuerySet[Any]:
        return qs.filter(path__startswith=value.path) if value else qs


class RegionFilterSet(filters.FilterSet):
    level = filters.ChoiceFilter(choices=RegionLevel.choices, label="Of this level.")
    parent = filters.CharFilter(field_name="parent_id", label="Directly inside of the region with this code.")
    within = RegionWithinFilter()

    class Meta:
        model = Region
        fields: ClassVar[list[str]] = []


class UnitViewSet(CatalogueViewSet):
    """Units in which things are counted."""

    shown = UnitSerializer
    model = Unit

    # Only a few rows, whose symbols are too short for trigrams. So this does without the search of the other resources.
    def search(self, queryset: Any, text: str) -> QuerySet[Unit]:
        text = clean(text)
        named = Q(code__iexact=text) | Q(symbol__iexact=text) | Q(name_zh__icontains=text) | Q(name_en__icontains=text)
        found: QuerySet[Unit] = queryset.filter(named).order_by("code")
        return found


class ItemViewSet(CatalogueViewSet):
    """Kinds of things that can be needed and offered."""

    shown = ItemSerializer
    model = Item
    filterset_class = ItemFilterSet
    # The contract names items by key, as clients do, and not by id.
    pagination_class = CursorPageByKey
    lookup_field = "key"

    def complete(self, rows: Rows) -> None:
        # Three queries for the whole page, however many items it has.
        by_key = {row["key"]: row for row in rows}
        for row in rows:
            row.update(aliases=[], packs=[], standards=[])
        named = ItemAlias.objects.filter(item__key__in=by_key).order_by("item", "pk")
        for key, language, text in named.values_list("item__key", "language", "text"):
            by_key[key]["aliases"].append({"language": language, "text": text})
        for (key,), pack in PackSerializer.read(
            Pack.objects.filter(item__key__in=by_key).order_by("size"), "item__key"
        ):
            by_key[key]["packs"].append(pack)
        asked = ItemStandard.objects.filter(item__key__in=by_key).order_by("standard__code")
        for key, code in asked.values_list("item__key", "standard__code"):
            by_key[key]["standards"].append(code)


class StandardViewSet(CatalogueViewSet):
    """Grades of editions of standards, and what each guarantees."""

    shown = StandardSerializer
    model = Standard
    filterset_class = StandardFilterSet


class RegionViewSet(CatalogueViewSet):
    """Regions, by GB/T 2260 in China and by ISO 3166-2 elsewhere."""

    shown = RegionSerializer
    model = Region
    filterset_class = RegionFilterSet

    def get_queryset(self) -> QuerySet[Region]:
        return Region.objects.places()
