"""The catalogue in the back office: corrections and additions are made here."""

from django.contrib import admin

from apps.catalogue.models import (
    Category,
    Item,
    ItemAlias,
    ItemStandard,
    Pack,
    Region,
    Satisfaction,
    Standard,
    Substitution,
    Unit,
)


class AliasInline(admin.TabularInline[ItemAlias, Item]):
    model = ItemAlias
    extra = 1


class PackInline(admin.TabularInline[Pack, Item]):
    model = Pack
    extra = 0


class ItemStandardInline(admin.TabularInline[ItemStandard, Item]):
    model = ItemStandard
    extra = 0
    autocomplete_fields = ("standard",)


@admin.register(Category)
class CategoryAdmin(admin.ModelAdmin[Category]):
    list_display = ("key", "name_zh", "name_en", "position")


@admin.register(Unit)
class UnitAdmin(admin.ModelAdmin[Unit]):
    list_display = ("code", "name_zh", "name_en", "symbol")


@admin.register(Item)
class ItemAdmin(admin.ModelAdmin[Item]):
    list_display = ("key", "name_zh", "name_en", "category", "unit", "trial_lot", "is_consumable")
    list_filter = ("category", "is_consumable")
    list_select_related = ("category", "unit")
    search_fields = ("key", "name_zh", "name_en", "aliases__text")
    inlines = (AliasInline, PackInline, ItemStandardInline)


@admin.register(Standard)
class StandardAdmin(admin.ModelAdmin[Standard]):
    list_display = ("code", "title_en", "jurisdiction", "grade", "valid_from", "succeeded_by")
    list_filter = ("jurisdiction",)
    list_select_related = ("succeeded_by",)
    search_fields = ("code", "title_zh", "title_en")
    autocomplete_fields = ("succeeded_by",)


@admin.register(Satisfaction)
class SatisfactionAdmin(admin.ModelAdmin[Satisfaction]):
    list_display = ("offered", "demanded")
    list_select_related = ("offered", "demanded")
    search_fields = ("offered__code", "demanded__code")
    autocomplete_fields = ("offered", "demanded")


@admin.register(Substitution)
class SubstitutionAdmin(admin.ModelAdmin[Substitution]):
    list_display = ("offered", "demanded", "note_en")
    list_select_related = ("offered", "demanded")
    search_fields = ("offered__key", "demanded__key", "note_zh", "note_en")
    autocomplete_fields = ("offered", "demanded")


@admin.register(Region)
class RegionAdmin(admin.ModelAdmin[Region]):
    list_display = ("code", "name", "name_en", "level", "parent")
    list_filter = ("level",)
    list_select_related = ("parent",)
    search_fields = ("code", "name", "name_en")
    autocomplete_fields = ("parent",)
