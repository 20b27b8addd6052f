"""Quantities that follow from others, each defined once: read from a row in Python, or as an expression in SQL.

`docs/glossary.md` has the words: requested, held, accepted, shipped, received, rejected, and what follows from them.
"""

from collections.abc import Callable
from typing import Any, Self, overload

from django.db import models
from django.db.models import F, Value
from django.db.models.constants import LOOKUP_SEP
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, Greatest


class RowReader:
    """Gives a formula the numbers of one row."""

    def __init__(self, row: models.Model) -> None:
        self.row = row

    def __call__(self, name: str) -> Any:
        value: Any = self.row
        for part in name.split(LOOKUP_SEP):
            value = getattr(value, part)
        return value

    def first_known(self, *names: str) -> Any:
        """The first value that is not None. Later ones are not read, as they may cost a query."""
        return next((value for value in map(self, names) if value is not None), None)

    def at_least_zero(self, value: Any) -> Any:
        return max(0, value)


class SqlReader:
    """Gives a formula the columns, as expressions."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix

    def __call__(self, name: str) -> Any:
        return F(f"{self.prefix}{name}")

    def first_known(self, *names: str) -> Any:
        # Columns of different integer types meet here, and Django does not choose between them.
        return Coalesce(*map(self, names), output_field=models.BigIntegerField())

    def at_least_zero(self, value: Any) -> Any:
        return Greatest(value, Value(0), output_field=models.BigIntegerField())


class DerivedQuantity:
    """A quantity in base units that follows from columns of its row by a formula.

    The formula takes a reader and uses only `+`, `-` and the reader's methods, so it serves Python and SQL alike. On a
    row it is the number: `offer.quantity_free`. On the model it is the definition, and `expression` gives the SQL:
    `Offer.quantity_free.expression()`, or `.expression("offer__")` from a row that points to the offer.
    """

    def __init__(self, formula: Callable[[RowReader | SqlReader], Any]) -> None:
        self.formula = formula

    @overload
    def __get__(self, row: None, model: type[models.Model]) -> Self: ...

    @overload
    def __get__(self, row: models.Model, model: type[models.Model]) -> int: ...

    def __get__(self, row: models.Model | None, model: type[models.Model]) -> Self | int:
        if row is None:
            return self
        number: int = self.formula(RowReader(row))
        return number

    def expression(self, prefix: str = "") -> Combinable:
        expression: Combinable = self.formula(SqlReader(prefix))
        return expression
