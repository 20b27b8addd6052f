"""Makes offers from the rows of a sheet: finds the item, standard and region of each name, and says every fault."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Organisation, User
from apps.catalogue.models import Item, ItemAlias, Region, Standard
from apps.catalogue.naming import Proposals, RegionNames, find
from apps.catalogue.search import clean, nearest_items
from apps.catalogue.standards import normalise
from apps.core.errors import RuleViolation, Text
from apps.core.posts import LIKELY_DUPLICATE_WITHIN
from apps.supply import services, sheets
from apps.supply.models import Offer
from apps.supply.review import OfferDoubt, Usual, doubts_about

# The most of one sheet: different places; places that are searched for with spelling mistakes; unknown items that are
# compared with the whole catalogue.
_MOST_PLACES: Final = 5_000
_MOST_SEARCHED: Final = 5
_MOST_COMPARED: Final = 100
# Of the time that a full sheet takes, when the file is read and when its names are found.
_FILE_READ: Final = 0.4
_NAMES_FOUND: Final = 0.8
_TOLD_EVERY: Final = 500  # rows
_FAULTS: Final[dict[str, Text]] = {
    "missing": _("This is missing."),
    "not_whole": _("“%(value)s” is not a whole number."),
    "out_of_range": _("“%(value)s” is out of range."),
    "not_a_price": _("“%(value)s” is not a price with at most four decimals."),
    "not_yes_or_no": _("“%(value)s” is neither yes nor no."),
    "not_a_date": _("“%(value)s” is not a date such as 2026-12-31."),
    "not_a_currency": _("“%(value)s” is not a currency code such as CNY."),
    "not_text": _("This holds characters that are not text."),
    "too_long": _("This is too long."),
}


@dataclass
class ReadRow:
    """One row of a sheet. Without `errors`, `facts` are arguments of `create_offer`, and `offer` is not saved yet."""

    number: int
    facts: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, list[Text]] = field(default_factory=dict)
    offer: Offer | None = None
    # What is asked about before the row is published, and what a coordinator will look at.
    doubts: list[OfferDoubt] = field(default_factory=list)
    # The key of a live offer of the last days that says the same.
    duplicate_of: int | None = None


@dataclass
class ReadSheet:
    rows: list[ReadRow]
    unknown_columns: list[str]

    @property
    def faulty(self) -> list[ReadRow]:
        return [row for row in self.rows if row.errors]

    @property
    def errors(self) -> dict[str, list[Text]]:
        """Every fault as `{"row.column": [messages]}`, rows numbered as in the sheet."""
        return {f"{row.number}.{column}": messages for row in self.faulty for column, messages in row.errors.items()}


def read_rows(
    organisation: Organisation,
    data: bytes,
    *,
    by: User | None,
    publish: bool = False,
    on_progress: Callable[[float], None] = lambda _share: None,
) -> ReadSheet:
    """Read a CSV or XLSX sheet of offers and check each row. Nothing is written.

    With `publish`, the rows are also checked for what would keep them from being published, or have them asked about.
    `on_progress` is told the share that is done, from 0 to 1. Raises `sheet_unusable` and `not_a_supplier`.
    """
    on_progress(0)
    try:
        sheet = sheets.read(data)
    except sheets.UnreadableError as problem:
        raise RuleViolation("sheet_unusable", _words_for(problem), field="file", reason=problem.code) from problem
    if not organisation.can_supply:
        raise RuleViolation("not_a_supplier", _("This kind of organisation does not publish offers."))

    on_progress(_FILE_READ)
    names = _Names(sheet.rows)
    rows = [_read_row(row, names) for row in sheet.rows]
    on_progress(_NAMES_FOUND)
    good = [row for row in rows if not row.errors]
    references = services.References.of(row.facts for row in good)
    for done, row in enumerate(good):
        _draft(organisation, row, references, by, publish=publish)
        if done % _TOLD_EVERY == 0:
            on_progress(_NAMES_FOUND + (1 - _NAMES_FOUND) * done / len(good))
    if publish:
        _judge(organisation, good)
    return ReadSheet(rows, sheet.unknown_columns)


def _judge(organisation: Organisation, rows: list[ReadRow]) -> None:
    """Note what is doubtful about the rows that are without fault."""
    usual = Usual.of(organisation, [row.offer.item for row in rows if row.offer is not None])
    now = timezone.now()
    sound = [(row, row.offer) for row in rows if row.offer is not None and not row.errors]
    repeated = Offer.objects.repeated_by([offer for _row, offer in sound], now - LIKELY_DUPLICATE_WITHIN)
    for (row, offer), key in zip(sound, repeated, strict=True):
        row.doubts, row.duplicate_of = doubts_about(offer, usual, now.date()), key


def save_rows(organisation: Organisation, sheet: ReadSheet, *, by: User | None, publish: bool = False) -> list[Offer]:
    """Create an offer for each row of a sheet, or none. Raises `rows_invalid` with every fault by row and column."""
    if sheet.faulty:
        raise RuleViolation.of_fields(
            sheet.errors, _("Nothing was imported: some rows have faults."), code="rows_invalid"
        )
    return services.create_offers(organisation, [row.facts for row in sheet.rows], by=by, publish=publish)


def describe(row: ReadRow) -> dict[str, Any]:
    """How a row was understood, as JSON: names as codes, and its faults in the language that is active."""
    item, standard = row.facts.get("item"), row.facts.get("standard")
    return {
        "row": row.number,
        "item": item.key if item else None,
        "quantity": row.facts.get("quantity"),
        "standard": standard.code if standard else None,
        "origin_region": row.offer.origin_region_id if row.offer else None,
        "minimum_order": row.offer.minimum_order if row.offer else None,
        "lead_time_days": row.offer.lead_time_days if row.offer else None,
        "errors": {column: [str(text) for text in texts] for column, texts in row.errors.items()},
        "doubts": [{"text": str(doubt.text), "is_grave": doubt.is_grave} for doubt in row.doubts],
        "duplicate_of": str(row.duplicate_of) if row.duplicate_of else None,
    }


def _words_for(problem: sheets.UnreadableError) -> Text:
    names = ", ".join(problem.names)
    texts: dict[str, Text] = {
        "unreadable": _("This file cannot be read as CSV or XLSX."),
        "empty": _("There is no row with an offer in this file."),
        "too_long": _("This file is too long: at most %(most)s rows.") % {"most": sheets.MAX_ROWS},
        "too_costly": _("This workbook takes too long to read. Save the sheet as CSV and choose that."),
        "columns_missing": _("These columns are missing: %(names)s.") % {"names": names},
        "columns_doubled": _("These columns are there twice: %(names)s.") % {"names": names},
    }
    return texts[problem.code]


def _read_row(row: sheets.SheetRow, names: "_Names") -> ReadRow:
    read = ReadRow(row.number)
    for column, fault in row.faults.items():
        read.errors[column] = [str(_FAULTS[fault.code]) % {"value": fault.value}]
    for column, value in row.values.items():
        try:
            read.facts[column] = names.meaning(column, value)
        except LookupError as error:
            read.errors[column] = [str(error.args[0])]
    return read


def _draft(
    organisation: Organisation, row: ReadRow, references: services.References, by: User | None, *, publish: bool
) -> None:
    """Complete the row with its offer, or with what is wrong with it as a whole."""
    try:
        row.offer = services.draft_offer(organisation, by=by, references=references, **row.facts)
        if publish:
            services.check_can_go_out(row.offer, timezone.now())
    except RuleViolation as violation:
        row.errors = violation.errors or {"item": [violation.message]}


class _Names:
    """What the names in a sheet mean, looked up for all rows at once."""

    def __init__(self, rows: Iterable[sheets.SheetRow]) -> None:
        rows = list(rows)
        self.items = self._items()
        self.near = self._near(row.values["item"] for row in rows if "item" in row.values)
        self.proposals = Proposals()
        # A few hundred rows: one query for all is cheaper than one for each row of the sheet.
        self.standards = {_key(standard.code): standard for standard in Standard.objects.all()}
        places = (name for row in rows for name in [row.values.get("origin_region"), *row.values.get("ships_to", [])])
        self.regions = self._regions(list(dict.fromkeys(name for name in places if name)))

    @staticmethod
    def _items() -> dict[str, set[Item]]:
        items: dict[str, set[Item]] = defaultdict(set)
        by_id = {item.pk: item for item in Item.objects.listed().select_related("unit")}
        for item in by_id.values():
            for name in (item.key, item.name_zh, item.name_en):
                items[_key(name)].add(item)
        for item_id, text in ItemAlias.objects.filter(item__in=by_id).values_list("item_id", "text"):
            items[_key(text)].add(by_id[item_id])
        # The name of an item is worth more than the same text as an alias of another item.
        for item in by_id.values():
            for name in (item.key, item.name_zh, item.name_en):
                items[_key(name)] = {item}
        return items

    def _near(self, names: Iterable[str]) -> dict[str, list[str]]:
        """For the first unknown names of items, as they are searched for: what they are like."""
        unknown = dict.fromkeys(clean(name) for name in names if _key(name) not in self.items)
        wanted = [name for name in unknown if name][:_MOST_COMPARED]
        found = nearest_items(wanted, most=3) if wanted else {}
        labels = {item.pk: item.label for items in self.items.values() for item in items}
        return {name: [labels[pk] for pk in keys if pk in labels] for name, keys in found.items()}

    @staticmethod
    def _regions(names: list[str]) -> dict[str, set[Region]]:
        if len(names) > _MOST_PLACES:
            raise RuleViolation(
                "sheet_unusable",
                _("This file names too many places: at most %(most)s.") % {"most": f"{_MOST_PLACES:,}"},
                field="file",
                reason="too_long",
            )
        regions: dict[str, set[Region]] = defaultdict(set)
        wanted = Q(code__in=names) | Q(name__in=names) | Q(name_en__in=names)
        for region in Region.objects.places().filter(wanted):
            for name in (region.code, region.name, region.name_en):
                regions[name].add(region)

        unknown = [name for name in names if name not in regions]
        if unknown:
            places = RegionNames()
            codes = {name: places.find(name) for name in unknown}
            found = Region.objects.in_bulk({code for several in codes.values() for code in several})
            regions.update({name: {found[code] for code in several} for name, several in codes.items()})
        # Parts of “Wuchang, Wuhan” may be misspelt. That costs a search each.
        for name in [name for name in unknown if not regions[name]][:_MOST_SEARCHED]:
            regions[name] = set(find(name))
        return regions

    def meaning(self, column: str, value: Any) -> Any:
        if column == "item":
            return self.item(value)
        if column == "standard":
            return self.standard(value)
        if column == "origin_region":
            return self.region(value)
        if column == "ships_to":
            return [self.region(name).code for name in value]
        return value

    def item(self, name: str) -> Item:
        found = self.items.get(_key(name), set())
        if len(found) == 1:
            return next(iter(found))
        if found:
            keys = ", ".join(sorted(item.key for item in found))
            raise LookupError(
                _("“%(name)s” may be several items: write one of %(keys)s.") % {"name": name, "keys": keys}
            )
        if near := self.near.get(clean(name)):
            raise LookupError(
                _("There is no item “%(name)s”. Did you mean %(near)s?") % {"name": name, "near": ", ".join(near)}
            )
        raise LookupError(_("There is no item “%(name)s”.") % {"name": name})

    def standard(self, name: str) -> Standard:
        found = self.standards.get(_key(name)) or self.standards.get(_key(normalise(name)))
        if found is None:
            raise LookupError(_("There is no standard “%(name)s”.") % {"name": name})
        return found

    def region(self, name: str) -> Region:
        found = self.regions.get(name, set())
        if len(found) == 1:
            return next(iter(found))
        if found:
            codes = ", ".join(sorted(region.code for region in found))
            raise LookupError(
                _("“%(name)s” may be several regions: write one of %(codes)s.") % {"name": name, "codes": codes}
            )
        if near := self.proposals.get(name):
            raise LookupError(_("There is no region “%(name)s”. Did you mean %(near)s?") % {"name": name, "near": near})
        raise LookupError(_("There is no region “%(name)s”.") % {"name": name})


def _key(name: str) -> str:
    return " ".join(name.split()).casefold()
