"""The tables of this app: offers, what is noted of their changes, and imports of sheets."""

from apps.supply.models.imports import ImportState, SheetImport, SheetImportQuerySet
from apps.supply.models.offers import (
    REPEATABLE,
    Offer,
    OfferChange,
    OfferQuerySet,
    OfferState,
    OfferStateCode,
    OriginRegion,
)

__all__ = [
    "REPEATABLE",
    "ImportState",
    "Offer",
    "OfferChange",
    "OfferQuerySet",
    "OfferState",
    "OfferStateCode",
    "OriginRegion",
    "SheetImport",
    "SheetImportQuerySet",
]
