"""The one exception for "the rules do not allow this", with a text for people and a code for programs."""

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise

Text = str | Promise


class RuleViolation(Exception):
    """A request that is well formed but not allowed.

    `code` is public and stable; `message` is for people, already translated or lazy; `status` is the HTTP status that
    an edge answers with (409 for a conflict with the current state, 422 never: bad input is 400). `field` names
    the input that is at fault. `params` are facts a program may want, e.g. how much is free.
    """

    def __init__(
        self, code: str, message: Text, *, field: str | None = None, status: int | None = None, **params: Any
    ) -> None:
        super().__init__(str(code))
        self.code = code
        self.message = message
        self.errors: dict[str, list[Text]] = {field: [message]} if field else {}
        # A field at fault is bad input (400). Anything else conflicts with the present state (409).
        self.status = status or (400 if field else 409)
        self.params = params

    @classmethod
    def of_fields(
        cls, errors: Mapping[str, list[Text]], message: Text, *, code: str = "invalid", **params: Any
    ) -> "RuleViolation":
        """A violation by several inputs at once: `{field: [messages]}`."""
        violation = cls(code, message, status=400, **params)
        violation.errors = {field: list(messages) for field, messages in errors.items()}
        return violation

    def within(self, part: str | int) -> "RuleViolation":
        """The same violation as a part of a larger input: `quantity` of line 1 becomes `1.quantity`."""
        violation = RuleViolation(self.code, self.message, status=self.status, **self.params)
        # Edges show an error beside its input. With several lines, the name alone would fit every line.
        violation.errors = {f"{part}.{field}": messages for field, messages in self.errors.items()}
        return violation

    def __str__(self) -> str:
        return str(self.message)
