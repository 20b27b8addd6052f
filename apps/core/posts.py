"""The life of a post: a need or an offer, from draft to end. Written once for both.

A post is drafted, waits where somebody has to look at it first, is live, paused or stale, and ends. Its `state` says
where it stands, `state_code` why, as a code of ours, and `state_note` what a person typed about it. The states
themselves, their moves and the words of the codes are each model's own.

A draft whose code is one of `REVIEWED` waits for a coordinator, who sends it out or returns it to its owner.
"""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self, TypeVar

from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.utils.translation import gettext_lazy as _

from apps.core.errors import RuleViolation
from apps.core.models import AuditEntry, HourStamped, QueuedQuerySet
from apps.core.states import may_move, move

PostRow = TypeVar("PostRow", bound="Post")

# Forms warn of a live post for the same item that the organisation made within this time.
LIKELY_DUPLICATE_WITHIN: Final = dt.timedelta(days=7)

# Posts whose clock ran out that one transaction deals with: few enough that their locks are short.
AT_ONCE: Final = 200


DRAFT: Final = "draft"
# The codes of a draft that a coordinator returned to its owner; each model with reviews has them among its own.
RETURNED: Final = "returned"
RETURNED_AND_AMENDED: Final = "returned_and_amended"
PAUSED: Final = "paused"
STALE: Final = "stale"
# The code of a paused or stale post that a coordinator blocked after a report; its owner cannot resume it.
BLOCKED: Final = "blocked"


def awaits_review(codes: Collection[str]) -> Q:
    """The condition that a coordinator has to look at a draft before it goes out, by the codes that say why."""
    return Q(state=DRAFT, state_code__in=list(codes))


class PostQuerySet(QueuedQuerySet[PostRow]):
    def live(self) -> Self:
        """Neither a draft nor over."""
        return self.filter(state__in=self.model.LIVE)

    def alike(self, organisation: models.Model, item: models.Model, since: dt.datetime) -> Self:
        """Live posts of the same organisation for the same item since then, newest first: likely the same one."""
        return self.live().filter(organisation=organisation, item=item, created_at__gte=since).order_by("-pk")

    def repeated_by(self, posts: Sequence[PostRow], since: dt.datetime) -> list[Any]:
        """For each of these posts, the key of another live one of its organisation since then that says the same.

        None where there is none. One query, however many they are; none of them need be saved.
        """
        columns = ("organisation_id", "item_id", *self.model.SAME)
        live = self.live().filter(organisation__in={post.organisation_id for post in posts}, created_at__gte=since)
        others = live.exclude(pk__in=[post.pk for post in posts if post.pk])
        known = {row[:-1]: row[-1] for row in others.order_by("pk").values_list(*columns, "pk")}
        return [known.get(tuple(getattr(post, column) for column in columns)) for post in posts]

    def awaiting_review(self) -> Self:
        """Drafts that a coordinator has to look at before they go out."""
        return self.filter(awaits_review(self.model.REVIEWED))

    def shown(self) -> Self:
        """With what every page and export shows of a row, in one query."""
        raise NotImplementedError

    def first_locked(self, clock: str, limit: int) -> list[PostRow]:
        """The first rows by the time of a clock, locked until the transaction ends.

        Rows that somebody else has locked are left out: a sweep waits for nobody, and the next one finds them. The
        order is that of the index that holds the rows whose clock runs. By key, PostgreSQL might read all rows.
        """
        rows = self.shown().select_for_update(of=["self"], skip_locked=True, no_key=True)
        return list(rows.order_by(clock)[:limit])

    def set_escalations(self, times: Mapping[int, dt.datetime | None]) -> None:
        """Set the time of the next escalation of locked rows, by key: one statement for each time."""
        by_time: dict[dt.datetime | None, list[int]] = {}
        for key, at in times.items():
            by_time.setdefault(at, []).append(key)
        for at, keys in by_time.items():
            self.filter(pk__in=keys).update(escalates_at=at)


class Post(HourStamped):
    """What a need and an offer have in common: why it is in its state, its freshness, its place in the queue."""

    # A model adds `state` and `state_code` with its own choices.
    state: Any
    state_code: Any
    organisation_id: Any
    state_note = models.CharField(_("note on the state"), max_length=500, blank=True)

    # Since when a coordinator has to look at it before it goes out.
    review_requested_at = models.DateTimeField(
        _("waits for a coordinator since"), null=True, blank=True, editable=False
    )

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
    # The columns that two posts of one organisation for one item have in common if one repeats the other.
    SAME: ClassVar[tuple[str, ...]]
    CODES: ClassVar[type[models.TextChoices]]
    REVIEWED: ClassVar[tuple[str, ...]]

    class Meta(HourStamped.Meta):
        abstract = True

    @property
    def is_live(self) -> bool:
        return self.state in self.LIVE

    @property
    def awaits_review(self) -> bool:
        """Whether a coordinator has to look at it before it goes out; `state_code` says why."""
        return bool(self.state == DRAFT and self.state_code in self.REVIEWED)

    @property
    def is_returned(self) -> bool:
        """Whether a coordinator returned it to its owner, who has not sent it again."""
        return self.state_code in {RETURNED, RETURNED_AND_AMENDED}

    @property
    def is_blocked(self) -> bool:
        return bool(self.state_code == BLOCKED)

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


def change_states(posts: Sequence[Post], to: Any, *, now: dt.datetime, code: str) -> None:
    """Move posts that the transaction has locked, in one statement, and say why by a code. As `change_state` does."""
    if posts:
        assert all(may_move(post, to) for post in posts)
        rows = _rows(posts[0]).filter(pk__in=[post.pk for post in posts])
        rows.update(state=to, state_code=code, state_note="", match_requested_at=now)


def check_not_repeated(post: Post, now: dt.datetime) -> None:
    """Raise `duplicate_likely`, with the id of the other, if a live post of the last days says the same."""
    [key] = type(post)._default_manager.repeated_by([post], now - LIKELY_DUPLICATE_WITHIN)  # type: ignore[attr-defined]  # each has it
    if key is not None:
        raise RuleViolation(
            "duplicate_likely",
            _("Is this the same as %(id)s, which you posted within the last days? Confirm it if you mean both.")
            % {"id": key},
            duplicate_of=str(key),
        )


def _rows(post: Post) -> Any:
    """The rows of its model, which have the state that `Post` leaves to each model."""
    return type(post)._default_manager


def hold_for_review(post: Post, code: Any, *, now: dt.datetime, changes: Mapping[str, Any] | None = None) -> bool:
    """Leave a draft waiting for a coordinator. False if it waits already, and then keeps its place.

    Raises `illegal_move` if it is not a draft any more.
    """
    if post.state != DRAFT:
        raise RuleViolation("illegal_move", _("This is not a draft any more."))
    drafts = _rows(post).filter(pk=post.pk, state=DRAFT).exclude(awaits_review(post.REVIEWED))
    return bool(drafts.update(review_requested_at=now, state_code=code, state_note="", **(changes or {})))


def return_to_owner(post: Post, *, reason: str, changes: Mapping[str, Any] | None = None) -> None:
    """Take a draft out of review, back to its owner, with the reason in words. Raises `illegal_move`."""
    waiting = _rows(post).filter(awaits_review(post.REVIEWED), pk=post.pk)
    if not waiting.update(review_requested_at=None, state_code=RETURNED, state_note=reason.strip(), **(changes or {})):
        raise RuleViolation("illegal_move", _("This is no longer waiting for a coordinator."))
    post.refresh_from_db()


@dataclass(frozen=True)
class Returned:
    """The return of a draft to its owner by a coordinator."""

    at: dt.datetime
    by: str
    reason: str
    is_unchanged: bool  # since then


def last_return(post: Post) -> Returned | None:
    """The last return of a draft to its owner, for the desk to read; None if there was none. `state_code` decides."""
    # From the audit trail, because a draft that is sent out again loses its code and its note.
    if post.state != DRAFT:
        return None
    noun = post._meta.model_name
    entries = AuditEntry.objects.filter(target_type=post._meta.label_lower, target_id=str(post.pk))
    entry = entries.filter(event=f"{noun}.returned").select_related("actor").order_by("-pk").first()
    if entry is None:
        return None
    is_unchanged = not entries.filter(event=f"{noun}.amended", pk__gt=entry.pk).exists()
    return Returned(entry.at, str(entry.actor), entry.data["reason"], is_unchanged)


def block(post: Post, *, now: dt.datetime) -> None:
    """Stop a live post until `unblock`; its owner cannot resume it. Raises `illegal_move` where it cannot be paused."""
    if post.state not in {PAUSED, STALE}:
        change_state(post, PAUSED, now=now, code=BLOCKED)
        return
    _rows(post).filter(pk=post.pk, state__in=[PAUSED, STALE]).update(
        state_code=BLOCKED, state_note="", match_requested_at=now
    )
    post.refresh_from_db()


def unblock(post: Post) -> None:
    """Give a blocked post back to its owner, who may resume it."""
    _rows(post).filter(pk=post.pk, state_code=BLOCKED).update(state_code="")
    post.refresh_from_db()


def check_not_blocked(post: Post) -> None:
    """Raise `blocked` if a coordinator blocked it."""
    if post.is_blocked:
        raise RuleViolation("blocked", _("A coordinator blocked this after a report."))
