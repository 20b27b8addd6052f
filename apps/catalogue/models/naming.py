"""What all reference data shares: names in two languages, the revision, indexes for searches."""

from __future__ import annotations

from typing import ClassVar

import pgtrigger
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models.functions import Upper
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from apps.core.triggers import Trigger


def trigram_index(*fields: str, prefix: str) -> list[models.Index]:
    """One index per column that serves `icontains` and word similarity, whatever the letters' case.

    The tables are written seldom and searched often. So the indexes have no pending list (`fastupdate`), which every
    search would have to scan first.
    """
    return [
        GinIndex(OpClass(Upper(field), name="gin_trgm_ops"), name=f"{prefix}_{field}_trgm", fastupdate=False)
        for field in fields
    ]


def bumps_revision() -> Trigger:
    """A trigger that renews the catalogue's revision on every statement that changes this table.

    A trigger sees every path: services, the back office, SQL by hand. The revision is the ETag of the reference data.
    """
    return Trigger(
        name="bump_revision",
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
        func=(
            "INSERT INTO catalogue_revision (id, value) VALUES (1, gen_random_uuid()) "
            "ON CONFLICT (id) DO UPDATE SET value = excluded.value; RETURN NULL;"
        ),
    )


class Named(models.Model):
    """A row with a name in both languages."""

    name_zh = models.CharField(_("name in Chinese"), max_length=120)
    name_en = models.CharField(_("name in English"), max_length=120)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """The name in the language that is active now."""
        return self.name_zh if (get_language() or "").startswith("zh") else self.name_en

    @property
    def names(self) -> dict[str, str]:
        """The name by language code, for messages."""
        return {"en": self.name_en, "zh-hans": self.name_zh}


class Revision(models.Model):
    """The version of the whole catalogue, in one row. Triggers of every other table of this app renew it."""

    value = models.UUIDField(_("value"))

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=models.Q(pk=1), name="catalogue_one_revision")]

    def __str__(self) -> str:
        return str(self.value)
