"""The tables of this app: items, units, packs, standards and regions, with their searches."""

# Standards know items; all know how they are named.
from apps.catalogue.models.items import (
    UNLISTED_ITEM,
    AliasLanguage,
    Category,
    Item,
    ItemAlias,
    ItemQuerySet,
    Pack,
    Unit,
)
from apps.catalogue.models.naming import Named, Revision, bumps_revision, trigram_index
from apps.catalogue.models.regions import Region, RegionLevel, RegionQuerySet
from apps.catalogue.models.standards import (
    ItemStandard,
    Jurisdiction,
    Satisfaction,
    Standard,
    StandardQuerySet,
    Substitution,
)

__all__ = [
    "UNLISTED_ITEM",
    "AliasLanguage",
    "Category",
    "Item",
    "ItemAlias",
    "ItemQuerySet",
    "ItemStandard",
    "Jurisdiction",
    "Named",
    "Pack",
    "Region",
    "RegionLevel",
    "RegionQuerySet",
    "Revision",
    "Satisfaction",
    "Standard",
    "StandardQuerySet",
    "Substitution",
    "Unit",
    "bumps_revision",
    "trigram_index",
]
