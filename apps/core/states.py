"""State moves: one conditional UPDATE, so that of two moves at once exactly one succeeds."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.core.errors import RuleViolation


def may_move(obj: models.Model, to: Any) -> bool:
    """Whether the state that `obj` was read in may be followed by `to`: what a page offers and a service then does."""
    return to in type(obj).MOVES[obj.state]  # type: ignore[attr-defined]  # every model that moves has a state and moves


def move(obj: models.Model, to: Any, **changes: Any) -> None:
    """Move `obj` to the state `to` and set `changes`, if it is still in the state it was read in.

    The legal moves are the `MOVES` of the model's module, `{state: frozenset of next states}`, covering every state.
    Raises `RuleViolation` `illegal_move` when the move is not among them, `state_changed` when somebody else was first.
    The object then carries the new values; expressions (`F()`) are read back by the caller.
    """
    was = obj.state  # type: ignore[attr-defined]  # every model that moves has a state
    if not may_move(obj, to):
        raise RuleViolation(
            "illegal_move",
            _("This is not possible any more: it is “%(state)s”.") % {"state": obj.get_state_display()},  # type: ignore[attr-defined]  # made by choices=
            state=was,
        )

    # Compare and set: the condition on the old state makes the check and the write one step, without a lock before it.
    won = type(obj)._default_manager.filter(pk=obj.pk, state=was).update(state=to, **changes)
    if not won:
        raise RuleViolation("state_changed", _("Somebody else has just changed this. Check it and try again."))

    for name, value in {"state": to, **changes}.items():
        setattr(obj, name, value)
