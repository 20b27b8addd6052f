"""The base of all resources: a transaction for each change, answers kept for repeats, pages, permissions."""

import datetime as dt
from collections.abc import Iterable
from typing import Any, ClassVar

from allauth.core.internal.httpkit import get_client_ip
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from rest_framework import viewsets
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.models import Organisation, User
from apps.accounts.permissions import Permission, can
from apps.accounts.services import check_not_merged
from apps.api.models import IdempotencyKey
from apps.api.protocol import idempotency, preconditions
from apps.api.protocol.authentication import require_factor
from apps.api.protocol.pagination import CursorPage
from apps.api.protocol.problems import LengthRequiredError, NotAllowedError
from apps.api.protocol.view import ApiView
from apps.api.representation.answers import KeyedRows, Rows, RowSerializer
from apps.api.representation.references import as_id
from apps.api.representation.requests import DecisionInputSerializer, InputSerializer
from apps.matching.tasks import sweep
from apps.notifications.tasks import wake, wake_senders


class TransactionalView(ApiView):
    """A view whose changes happen in one transaction, and can be repeated by an Idempotency-Key.

    An answer of 400 or above rolls everything back. After a commit the workers are woken, because rows are the queue:
    a change may have made something to match or to send.
    """

    # Members of an answer that are shown once and must not be stored with it.
    shown_once: ClassVar[tuple[str, ...]] = ()

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        if request.method in SAFE_METHODS:
            return super().dispatch(request, *args, **kwargs)

        # DRF's `dispatch` turns exceptions into answers, so the transaction cannot see them. The status decides.
        self.claimed: IdempotencyKey | None = None
        with transaction.atomic():
            response: HttpResponseBase = super().dispatch(request, *args, **kwargs)
            if response.status_code >= 400:
                transaction.set_rollback(True)
                return response
            self._keep_answer(response)
            # These act on commit. Waking for nothing is cheap, and no view can forget it.
            wake(sweep)
            wake_senders()
        return response

    def _keep_answer(self, response: HttpResponseBase) -> None:
        # DRF renders an answer later. It is rendered here already, so that it is stored in the same transaction.
        if self.claimed is not None and isinstance(response, Response):
            idempotency.keep(self.claimed, response.render(), hide=self.shown_once)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method not in SAFE_METHODS:
            # WSGI would read a chunked body as an empty one.
            if "Transfer-Encoding" in request.headers and not request.META.get("CONTENT_LENGTH"):
                raise LengthRequiredError
            # After authentication and throttling: a key belongs to a user.
            self.claimed = idempotency.claim(request)

    def handle_exception(self, exc: Exception) -> Any:
        if isinstance(exc, idempotency.ReplayedError):
            return exc.answer(self.complete_repeat)
        return super().handle_exception(exc)

    def complete_repeat(self, row: dict[str, Any]) -> None:
        """Fill in anew what a kept answer may not show again unlooked at, such as a contact."""


class ResourceViewSet(TransactionalView, viewsets.GenericViewSet[Any]):
    """Rows that the caller may see, by id.

    A subclass names `shown`, its serializer of answers, and gives the visible rows by `get_queryset`. Anything else is
    not found: what a caller may not see is 404 and not 403.
    """

    pagination_class = CursorPage
    # Ids are opaque to clients, so the pattern takes anything, and `_pk` decides.
    lookup_value_regex = "[^/]+"
    shown: type[RowSerializer]

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        shown: Any = getattr(response, "data", None)
        if isinstance(shown, dict) and isinstance(updated_at := shown.get("updated_at"), dt.datetime):
            response["ETag"] = preconditions.etag(updated_at)
        return response

    def list(self, _request: Request, *_args: Any, **_kwargs: Any) -> Response:
        return self.page(self.filter_queryset(self.get_queryset()))

    def retrieve(self, _request: Request, *_args: Any, **_kwargs: Any) -> Response:
        return self.answer(self._pk())

    @property
    def user(self) -> User:
        user = self.request.user
        assert isinstance(user, User)
        return user

    @property
    def network(self) -> str:
        """The network address of the caller, behind the proxies that are trusted."""
        return get_client_ip(self.request) or ""

    def _pk(self) -> int:
        pk = as_id(self.kwargs["pk"])
        if pk is None:
            raise Http404
        return pk

    def get_object(self) -> Any:
        """The row of the address, if the caller sees it and a change is for the state that it is in."""
        found = self.get_queryset().filter(pk=self._pk()).first()
        if found is None:
            raise Http404
        if self.request.method not in SAFE_METHODS:
            preconditions.check(self.request, found)
        return found

    def get_serializer_class(self) -> Any:
        return self.shown

    def page(self, queryset: QuerySet[Any], shown: type[RowSerializer] | None = None) -> Response:
        """The page of these rows that the query asks for. `shown` is for rows of another kind than the resource's."""
        paginator = self.pagination_class()
        kind = shown or self.shown

        def read(rows: QuerySet[Any]) -> KeyedRows:
            return [(extra[0], row) for extra, row in kind.read(rows, paginator.column)]

        body = paginator.answer(self.request, queryset, read)
        self.complete(body["results"])
        return Response(body)

    def answer(self, pk: int, status: int = 200) -> Response:
        """One row as it is now. Raises `Http404` if the caller does not see it."""
        # Read anew after a change: triggers and services have set columns that the view does not know.
        rows = [row for _extra, row in self.shown.read(self.get_queryset().filter(pk=pk))]
        if not rows:
            raise Http404
        self.complete(rows)
        self.complete_one(rows[0])
        return Response(rows[0], status=status)

    def complete(self, rows: Rows) -> None:
        """Fill in what comes from no column of the row (`FilledByViewSet`), for all rows of a page at once."""

    def complete_one(self, row: dict[str, Any]) -> None:
        """Fill in what is shown only where a single row is asked for."""

    def taken(self, kind: type[InputSerializer], *, partial: bool = False) -> dict[str, Any]:
        """The body of the request, checked. Raises `ValidationError` with every fault."""
        serializer = kind(data=self.request.data, partial=partial, context=self.get_serializer_context())
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def decided(self, kind: type[DecisionInputSerializer]) -> dict[str, Any]:
        """`taken` for a decision of a coordinator. Raises `factor_code_required` too (`require_factor`)."""
        said = self.taken(kind)
        require_factor(self.request, said.pop("factor_code", ""))
        return said

    def require(self, permission: Permission, organisation: Organisation) -> None:
        """Raise `NotAllowedError` unless the caller may do this for this organisation.

        This is a 403 and gives nothing away, as the caller sees the row already.
        """
        self.require_one([(permission, organisation)])

    def require_one(self, allowed: Iterable[tuple[Permission, Organisation]]) -> None:
        """Raise `NotAllowedError` unless the caller has one of these permissions."""
        if not any(can(self.user, permission, organisation) for permission, organisation in allowed):
            raise NotAllowedError

    def organisation_for(self, permission: Permission, given: Organisation | None) -> Organisation:
        """On whose behalf the caller acts: the organisation that was named, else the only one or the chosen default.

        Raises `organisation_merged`, `NotAllowedError` if there is none, and `ValidationError` if there are several and
        none is the default.
        """
        if given is not None:
            # In words of its own, and before the permission that nobody has for it any more.
            check_not_merged(given)
            self.require(permission, given)
            return given
        # A token for one region acts only for organisations in it.
        own = [
            organisation
            for organisation in self.user.organisations_with(permission)
            if not self.user.region_limit or organisation.region.is_within(self.user.region_limit)
        ]
        if not own:
            raise NotAllowedError
        default = self.user.default_among(own)
        if default is not None:
            return default
        raise ValidationError({"organisation": [_("You act for several organisations: say for which.")]})
