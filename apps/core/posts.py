"""The life of a post: a need or an offer, from draft to end. Written once for both.

A post is drafted, waits where somebody has to look at it first, is live, paused or stale, and ends. Its `state` says
where it stands, `state_code` why, as a code of ours, and `state_note` what a person typed about it. The states
themselves, their moves and the words of the codes are each model's own.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self, TypeVar

from django.db import models
from django.db.models import Case, F, Value, When
from django.utils.translation import gettext_lazy as _

from apps.core.models import HourStamped, QueuedQuerySet
from apps.core.states import move

PostRow = TypeVar("PostRow", bound="Post")

# Forms warn of a live post for the same item that the organisation made within this time.
LIKELY_DUPLICATE_WITHIN: Final = dt.timedelta(days=7)


class PostQuerySet(QueuedQuerySet[PostRow]):
    def live(self) -> Self:
        """Neither a draft nor over."""
        return self.filter(state__in=self.model.LIVE)

    def alike(self, organisation: models.Model, item: models.Model, since: dt.datetime) -> Self:
        """Live posts of the same organisation for the same item since then, newest first: likely the same one."""
        return self.live().filter(organisation=organisation, item=item, created_at__gte=since).order_by("-pk")

    def shown(self) -> Self:
        """With what every page and export shows of a row, in one query."""
        raise NotImplementedError

    def locked(self, limit: int) -> list[PostRow]:
        """The first rows by key, locked until the transaction ends; rows that somebody else has locked are left out."""
        # A sweep waits for nobody. The next sweep finds the rows that are left out.
        rows = self.shown().select_for_update(of=["self"], skip_locked=True, no_key=True)
        return list(rows.order_by("pk")[:limit])


class Post(HourStamped):
    """What a need and an offer have in common: why it is in its state, its freshness, its place in the queue."""

    # A model adds `state` and `state_code` with its own choices.
    state: Any
    state_code: Any
    state_note = models.CharField(_("note on the state"), max_length=500, blank=True)

    confirmed_at = models.DateTimeField(_("last confirmed"), null=True, blank=True, editable=False)
    # When its owner was asked whether it still holds; None after each confirmation.
    asked_at = models.DateTimeField(null=True, blank=True, editable=False)

    # The queue of matching. The request is cleared only if it is still the one that was worked on.
    match_requested_at = models.DateTimeField(null=True, blank=True, editable=False)
    match_claimed_until = models.DateTimeField(null=True, blank=True, editable=False)

    # Both are empty unless the post was imported. Together they are unique, so an import that is repeated adds nothing.
    source = models.CharField(_("imported from"), max_length=60, blank=True, editable=False)
    source_key = models.CharField(_("key there"), max_length=200, blank=True, editable=False)

    LIVE: ClassVar[tuple[str, ...]]
    CODES: ClassVar[type[models.TextChoices]]

    class Meta(HourStamped.Meta):
        abstract = True

    @property
    def is_live(self) -> bool:
        return self.state in self.LIVE

    @property
    def state_reason(self) -> str:
        """Why it is in its state: what a person typed, else the code in the reader's language."""
        if self.state_note or not self.state_code:
            return str(self.state_note)
        return str(self.CODES(self.state_code).label)

    @classmethod
    def reason_expression(cls) -> Case:
        """`state_reason` in SQL, in the language that is active now."""
        # Labels are translated here, because the database knows no languages.
        codes = (When(state_note="", state_code=code, then=Value(str(label))) for code, label in cls.CODES.choices)
        return Case(*codes, default=F("state_note"), output_field=models.CharField())


def change_state(
    post: Post, to: Any, *, now: dt.datetime, code: str = "", note: str = "", changes: Mapping[str, Any] | None = None
) -> None:
    """Move a post (`move`), with other `changes`, and say why: by a code or in somebody's words.

    Matching looks at it next: it may serve the post now, or has to take back what it asked of others for it.
    """
    move(post, to, state_code=code, state_note=note, match_requested_at=now, **(changes or {}))
