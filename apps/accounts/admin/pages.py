"""The base classes of the back office: pages of rows that are kept, or that only services write."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from allauth.account.decorators import reauthentication_required
from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.contrib.admin.utils import get_fields_from_path
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.functional import cached_property
from django.utils.text import smart_split
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from apps.accounts.models import User
from apps.core import audit
from apps.core.errors import RuleViolation

M = TypeVar("M", bound=models.Model)

# Who can log in, and who acts for whom, is not changed by whoever finds the session of one of the staff open.
asks_password = reauthentication_required(allow_get=True, app="allauth.account")


# A list counts and shows no more rows than these, and a search finds no more in each field. To see others, narrow it.
MOST_LISTED: Final = 1_000


class ShortPaginator(Paginator[Any]):
    """Pages of the first rows of a list: counting all of them would read the whole table."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[:MOST_LISTED].count())


def _having(rows: models.QuerySet[M], field: str, word: str) -> models.QuerySet[M]:
    """The rows where the word stands in this one of the `search_fields`.

    What stands in another table is looked for there first. In one query PostgreSQL reads all rows, the newest first,
    until so many have it.
    """
    path, how = (field[1:], "iexact") if field[0] == "=" else (field, "icontains")
    if path.endswith("__exact"):
        path, how = path.removesuffix("__exact"), "exact"
    way, _of, column = path.rpartition("__")
    if not way:
        return rows.filter(**{f"{column}__{how}": word})
    other = get_fields_from_path(rows.model, way)[-1].related_model
    assert other is not None, "a way leads over relations"
    named = other._default_manager.filter(**{f"{column}__{how}": word}).values_list("pk", flat=True)
    return rows.filter(**{f"{way}__in": list(named[:MOST_LISTED])})


class KeptAdmin(admin.ModelAdmin[M]):
    """Pages of rows that are never deleted here, because other rows and the audit trail refer to them."""

    show_full_result_count = False  # counting all rows makes large lists slow
    paginator = ShortPaginator
    shows_contact = False  # whether the page of a row shows whom to call: then each look is noted

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: M | None = None,
    ) -> HttpResponse:
        # Here and not where a row is fetched: actions and pop-ups fetch rows whose contact nobody sees.
        if obj is not None and self.shows_contact:
            audit.record(acting(request), "contact.seen", obj)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: models.QuerySet[M], search_term: str
    ) -> tuple[models.QuerySet[M], bool]:
        """As Django's: every word stands in one of the fields, is equal to one with `=`, or is the value (`__exact`).

        Each field is looked through by itself. PostgreSQL answers an OR across tables by reading all of them.
        """
        rows = queryset
        for word in smart_split(search_term) if self.search_fields else ():
            found: set[Any] = set()
            for field in self.search_fields:
                # What is no value of a field stands in none of its rows.
                with suppress(ValueError, ValidationError):
                    found.update(_having(queryset, field, word.strip("\"'")).values_list("pk", flat=True)[:MOST_LISTED])
            rows = rows.filter(pk__in=found)
        return rows, False

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """A rule that a service holds is said on the page."""
        try:
            response: HttpResponse = super().changeform_view(request, object_id, form_url, extra_context)
        except RuleViolation as violation:
            self.message_user(request, str(violation), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        return response


class WatchedAdmin(KeptAdmin[M]):
    """Pages of rows that only services write: read-only, with actions that call the services."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whether the user may use the actions: those with the right to change such rows may."""
        return request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}")


class WatchedInline(admin.TabularInline[Any, Any]):
    """Rows that only services write, shown beside the row that they belong to."""

    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReasonActionForm(ActionForm):
    """A choice of action with a reason, for actions that tell the reason to somebody."""

    reason = forms.CharField(label=_("Reason"), max_length=500, required=False)


def do_each(
    page: admin.ModelAdmin[M], request: HttpRequest, rows: models.QuerySet[M], verb: Callable[[M], object]
) -> None:
    """Call `verb`, a service, for each row. A broken rule is shown as an error of its row, and the others go on."""
    done = 0
    for row in rows:
        try:
            verb(row)
        except RuleViolation as violation:
            page.message_user(request, f"{row}: {violation}", messages.ERROR)
        else:
            done += 1
    if done:
        said = ngettext("%(count)d row: done.", "%(count)d rows: done.", done) % {"count": done}
        page.message_user(request, said, messages.SUCCESS)


def acting(request: HttpRequest) -> User:
    """The user who acts. The site admits only users, never anonymous visitors."""
    assert isinstance(request.user, User)
    return request.user
