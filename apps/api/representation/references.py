"""Fields of requests that name a row, by its public code or its id; and how such a row is found."""

from collections.abc import Callable
from typing import Any, ClassVar, NoReturn, cast

from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.accounts.models import Organisation
from apps.catalogue.models import Item, Region, Standard
from apps.catalogue.naming import Proposals
from apps.catalogue.standards import normalise


def find_item(key: str) -> Item | None:
    """The item with this key, with its unit; None if there is none."""
    return Item.objects.select_related("unit").filter(key=key).first()


def find_standard(code: str) -> Standard | None:
    """The standard with this code, in whatever spelling; None if there is none."""
    return Standard.objects.filter(code__in={code, normalise(code)}).first()


def find_region(code: str) -> Region | None:
    """The region with this code; None if there is none."""
    return Region.objects.places().filter(code=code).first()


def as_id(text: Any) -> int | None:
    """The primary key that an id stands for; None for what cannot be an id.

    Ids are opaque strings to clients. Here they are numbers that fit a bigint.
    """
    # 18 digits always fit a bigint, whose largest value has 19.
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= 18:
        return int(text)
    return None


@extend_schema_field({"type": "string"})
class CatalogueCodeField(serializers.Field[Any, Any, Any, Any]):
    """A row of reference data, named by its public code. The value is the row.

    Each code is looked up once in a request, however many lines name it: the serializer's context keeps what was found.
    """

    default_error_messages: ClassVar = {
        "invalid": gettext_lazy("This must be text."),
        "unknown": gettext_lazy("There is no “{value}”."),
    }

    def __init__(self, find: Callable[[str], Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.find = find

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid")
        known = cast("dict[str, Any]", self.context).setdefault("codes", {})
        # `find` is part of the key, because an item and a region may have the same code.
        if (self.find, data) not in known:
            known[self.find, data] = self.find(data) if _may_be_code(data) else None
        found = known[self.find, data]
        if found is None:
            self.refuse(data)
        return found

    def refuse(self, text: str) -> NoReturn:
        """Raise the error for a text that names no row."""
        self.fail("unknown", value=text[:60])

    def to_representation(self, value: Any) -> Any:
        return value


def _may_be_code(text: str) -> bool:
    """Whether the database can be asked for such a text at all; it refuses a null character."""
    return 0 < len(text) <= 120 and text.isprintable()


class ItemField(CatalogueCodeField):
    """An item, named by its key."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(find_item, **kwargs)


class StandardField(CatalogueCodeField):
    """A standard, named by its code in whatever spelling."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(find_standard, **kwargs)


class RegionCodeField(CatalogueCodeField):
    """A region, named by its code. Who writes a name instead is told the codes of the regions with such a name."""

    default_error_messages: ClassVar = {"unlike": gettext_lazy("There is no region “{value}”. Did you mean {near}?")}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(find_region, **kwargs)

    def refuse(self, text: str) -> NoReturn:
        # Kept in the context, because only a few names of a request get suggestions (`Proposals.MOST`).
        proposals = cast("dict[str, Any]", self.context).setdefault("proposals", Proposals())
        if near := proposals.get(text):
            self.fail("unlike", value=text[:60], near=near)
        super().refuse(text)


class PermittedRegionField(RegionCodeField):
    """A region in which the caller may place a row of theirs: a token for one region places nothing outside of it."""

    default_error_messages: ClassVar = {"outside": gettext_lazy("This token is for {region} only.")}

    def to_internal_value(self, data: Any) -> Region:
        region: Region = super().to_internal_value(data)
        limit = self.context["request"].user.region_limit
        if limit is not None and not region.is_within(limit):
            self.fail("outside", region=limit.code)
        return region


@extend_schema_field({"type": "string"})
class OrganisationField(serializers.Field[Any, Any, Any, Any]):
    """The id of an organisation that the caller may see. The value is the organisation, with its region."""

    default_error_messages: ClassVar = {"unknown": gettext_lazy("There is none with this id that you may see.")}

    def to_internal_value(self, data: Any) -> Organisation:
        pk = as_id(data)
        visible = Organisation.objects.visible_to(self.context["request"].user).select_related("region")
        found = visible.filter(pk=pk).first() if pk is not None else None
        if found is None:
            self.fail("unknown")
        return found

    def to_representation(self, value: Any) -> Any:
        return value
