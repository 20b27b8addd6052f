"""The verbs of the catalogue."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import connection, models, transaction

from apps.catalogue import reference
from apps.catalogue.models import (
    Category,
    Item,
    ItemAlias,
    ItemStandard,
    Pack,
    Region,
    Revision,
    Satisfaction,
    Standard,
    Substitution,
    Unit,
)

Row = TypeVar("Row", bound=models.Model)

_LOCK = 0x636174616C6F67  # "catalog": one load at a time


def catalogue_version() -> str:
    """A name of the present state of all reference data. Every change gives a new one. Costs one lookup by key."""
    return str(Revision.objects.values_list("value", flat=True).first() or "empty")


@dataclass(frozen=True)
class Loaded:
    """What a load did to one table."""

    table: str
    added: int
    changed: int
    unchanged: int


@transaction.atomic
def load_reference() -> list[Loaded]:
    """Bring the tables up to the data that comes with the program; all or nothing, and repeating changes nothing.

    Rows that the data does not mention stay: coordinators add aliases, standards and substitutions in the back office,
    and demands and offers point at them.
    """
    # Two loads at once would both find a row missing. The second waits here, and then finds it.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])

    return [*_load_items(), *_load_standards(), _load_regions()]


def _load_items() -> list[Loaded]:
    rows = reference.items()
    done = [
        _bring_up(
            Category,
            ("key",),
            [
                Category(key=key, name_zh=names["zh"], name_en=names["en"], position=position)
                for position, (key, names) in enumerate(reference.categories().items())
            ],
        ),
        _bring_up(
            Unit,
            ("code",),
            [
                Unit(code=code, name_zh=unit["zh"], name_en=unit["en"], symbol=unit["symbol"])
                for code, unit in reference.units().items()
            ],
        ),
        _bring_up(
            Item,
            ("key",),
            [
                Item(
                    key=row.key,
                    category_id=row.category,
                    name_zh=row.names["zh"][0],
                    name_en=row.names["en"][0],
                    unit_id=row.unit,
                    trial_lot=row.trial_lot,
                    device_class=row.device_class,
                    device_categories=list(row.device_categories),
                    is_consumable=row.is_consumable,
                    position=row.position,
                    codes=[dict(code) for code in row.codes],
                )
                for row in rows
            ],
        ),
    ]

    # Rows point to items by number, which only the database knows. So items are written before the rest is built.
    ids = dict(Item.objects.values_list("key", "pk"))
    aliases = {
        (ids[row.key], text): ItemAlias(item_id=ids[row.key], language=language, text=text)
        for row in rows
        for language, names in row.names.items()
        for text in names[1:]
    }
    packs = [
        Pack(item_id=ids[row.key], name_zh=zh, name_en=en, size=size) for row in rows for zh, en, size in row.packs
    ]
    substitutions = [
        Substitution(
            offered_id=ids[row["offered"]],
            demanded_id=ids[row["demanded"]],
            note_zh=row["zh"],
            note_en=row["en"],
        )
        for row in reference.substitutions()
    ]
    return [
        *done,
        _bring_up(ItemAlias, ("item_id", "text"), list(aliases.values())),
        _bring_up(Pack, ("item_id", "name_en", "size"), packs),
        _bring_up(Substitution, ("offered_id", "demanded_id"), substitutions),
    ]


def _load_standards() -> list[Loaded]:
    rows = reference.standard_rows()
    successors = {row.code: row.successor for row in rows}

    def standards(ids: dict[str, int], codes: Iterable[str]) -> list[Standard]:
        wanted = set(codes)
        return [
            Standard(
                code=row.code,
                title_zh=row.title_zh,
                title_en=row.title_en,
                jurisdiction=row.jurisdiction,
                grade=row.grade,
                attributes=dict(row.attributes),
                valid_from=row.valid_from,
                succeeded_by_id=ids[row.successor] if row.successor else None,
            )
            for row in rows
            if row.code in wanted
        ]

    # Successors first: the others point at them.
    current = _bring_up(Standard, ("code",), standards({}, [code for code, after in successors.items() if not after]))
    ids = dict(Standard.objects.values_list("code", "pk"))
    replaced = _bring_up(Standard, ("code",), standards(ids, [code for code, after in successors.items() if after]))

    ids = dict(Standard.objects.values_list("code", "pk"))
    items = dict(Item.objects.values_list("key", "pk"))
    applies = [ItemStandard(item_id=items[key], standard_id=ids[row.code]) for row in rows for key in row.items]
    satisfied = [
        Satisfaction(offered_id=ids[offered], demanded_id=ids[demanded])
        for offered, demanded in sorted(reference.satisfactions())
    ]
    return [
        Loaded(
            current.table,
            current.added + replaced.added,
            current.changed + replaced.changed,
            current.unchanged + replaced.unchanged,
        ),
        _bring_up(ItemStandard, ("item_id", "standard_id"), applies),
        _bring_up(Satisfaction, ("offered_id", "demanded_id"), satisfied),
    ]


def _load_regions() -> Loaded:
    return _bring_up(
        Region,
        ("code",),
        [
            Region(
                code=row.code,
                name=row.name,
                name_en=row.name_en,
                level=row.level,
                parent_id=row.parent,
                path=row.path,
                latitude=row.latitude,
                longitude=row.longitude,
            )
            for row in reference.region_rows()
        ],
    )


def _bring_up(model: type[Row], key: Sequence[str], rows: Sequence[Row]) -> Loaded:
    """Insert the rows whose key is new, update those that differ, leave the rest: three statements at most."""
    facts = [field.attname for field in model._meta.concrete_fields if not field.primary_key or field.attname in key]

    def key_of(row: Row) -> tuple[Hashable, ...]:
        return tuple(getattr(row, name) for name in key)

    def facts_of(row: Row) -> list[Any]:
        return [getattr(row, name) for name in facts]

    # The tables have some thousands of rows, so reading them whole is cheaper than an upsert of every row. Rows that
    # have not changed are not written, and the revision (the ETag of the API) stays.
    present = {key_of(row): row for row in model._default_manager.all()}
    new, changed = [], []
    for row in rows:
        old = present.get(key_of(row))
        if old is None:
            new.append(row)
        elif facts_of(old) != facts_of(row):
            row.pk = old.pk
            changed.append(row)

    model._default_manager.bulk_create(new)
    others = [name for name in facts if name not in key]
    if changed:
        model._default_manager.bulk_update(changed, others, batch_size=500)
    return Loaded(str(model._meta.verbose_name_plural), len(new), len(changed), len(rows) - len(new) - len(changed))
