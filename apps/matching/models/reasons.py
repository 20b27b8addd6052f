"""How the reasons of a match are stored: as short as they can be, because every match has seven or more."""

import json
from collections.abc import Sequence
from typing import Any, Final

from django.db import models

NAMES: Final = ("name", "value", "score", "weight")

Reasons = list[dict[str, Any]]


def packed(reasons: Sequence[dict[str, Any]]) -> str:
    """Reasons as four lists in JSON, one for each of `NAMES`: `[["distance",…],[312,…],[0.6,…],[0.2,…]]`.

    With the names beside each, as `jsonb`, they took four fifths of each row of the table that every sweep uses.
    """
    columns = [[reason[name] for reason in reasons] for name in NAMES]
    return json.dumps(columns, ensure_ascii=False, separators=(",", ":"))


def unpacked(text: str) -> Reasons:
    columns = json.loads(text)
    # As a worker of the version before writes them until it is restarted.
    if columns and isinstance(columns[0], dict):
        return columns  # type: ignore[no-any-return]  # what JSON is
    return [dict(zip(NAMES, row, strict=True)) for row in zip(*columns, strict=True)]


class ReasonsField(models.Field["Reasons | None", "Reasons | None"]):
    """A list of `{name, value, score, weight}`, as `TermScore` has them."""

    def get_internal_type(self) -> str:
        return "TextField"

    def from_db_value(self, value: str | None, *_: object) -> Reasons | None:
        return None if value is None else unpacked(value)

    def get_prep_value(self, value: Any) -> Any:
        return packed(value) if isinstance(value, list) else value

    def value_to_string(self, obj: models.Model) -> str:
        return packed(self.value_from_object(obj) or [])

    def to_python(self, value: Any) -> Any:
        return unpacked(value) if isinstance(value, str) else value
