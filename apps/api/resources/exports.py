"""`/exports/{dataset}`: all rows of a dataset that the caller may see, or only those that changed."""

from typing import Any, Final

from django.http import Http404, StreamingHttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import Throttled, ValidationError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request

from apps.accounts.models import TokenScope, User
from apps.api.protocol.view import ApiView, takes
from apps.api.representation.references import find_item, find_region
from apps.api.representation.times import parse_instant
from apps.exports.capacity import KEEP_UNTIL_SENT, CapacityReached, ExportPlace, PlacedPull
from apps.exports.datasets import DATASETS
from apps.exports.services import MEDIA_TYPES, ExportFormat, pull

NEXT_SINCE: Final = "X-Next-Since"

BUSY_SECONDS: Final = 5  # after which a place is likely free


class IgnoreAcceptHeader(BaseContentNegotiation):
    """The parameter `format` names the form of the answer. Problems are JSON, whatever `Accept` says."""

    def select_parser(self, _request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, _request: Request, renderers: Any, _format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class ExportView(ApiView):
    """One dataset, streamed in the order of change."""

    # Pulling everything needs more than the right to read, so a token has it only if somebody chose it.
    scope = TokenScope.EXPORTS
    content_negotiation_class = IgnoreAcceptHeader

    @takes(
        OpenApiParameter(
            "dataset", OpenApiTypes.STR, OpenApiParameter.PATH, enum=list(DATASETS), description="What is pulled."
        ),
        OpenApiParameter(
            "format",
            OpenApiTypes.STR,
            enum=[str(form) for form in MEDIA_TYPES],
            default=str(ExportFormat.CSV),
            description="How the rows are written.",
        ),
        OpenApiParameter("excel", OpenApiTypes.STR, enum=["1"], description="CSV with a byte order mark, for Excel."),
        OpenApiParameter("updated_since", OpenApiTypes.DATETIME, description=f"The {NEXT_SINCE} of the last pull."),
        OpenApiParameter("region", OpenApiTypes.STR, description="Code of a region: it and all in it."),
        OpenApiParameter("item", OpenApiTypes.STR, description="Key of the item."),
        OpenApiParameter("state", OpenApiTypes.STR, many=True, description="In one of these states of the dataset."),
        OpenApiParameter(
            NEXT_SINCE,
            OpenApiTypes.DATETIME,
            OpenApiParameter.HEADER,
            response=[200],
            description="Pass it as `updated_since` the next time, and nothing is missed; a few rows come again.",
        ),
    )
    @extend_schema(
        operation_id="exports_pull",
        responses={
            (200, "text/csv"): OpenApiTypes.STR,
            (200, "application/jsonl"): OpenApiResponse(OpenApiTypes.STR),
            (200, MEDIA_TYPES[ExportFormat.XLSX]): OpenApiTypes.BINARY,
        },
    )
    def get(self, request: Request, dataset: str) -> StreamingHttpResponse:
        """Pull a dataset as CSV, JSON Lines or a workbook, in the order of change. It holds no contacts."""
        if dataset not in DATASETS:
            raise Http404
        assert isinstance(request.user, User)
        form = request.query_params.get("format", ExportFormat.CSV)
        # No row is read here: the query begins with the first block that the web server asks for (`ExportPull`).
        begun = pull(
            DATASETS[dataset],
            request.user,
            form=form,
            excel=request.query_params.get("excel") == "1",
            states=tuple(state for text in request.query_params.getlist("state") for state in text.split(",") if state),
            **_narrowed(request),
        )
        place = _place(request)
        response = StreamingHttpResponse(
            PlacedPull(begun, place, request.META.get(KEEP_UNTIL_SENT)), content_type=MEDIA_TYPES[ExportFormat(form)]
        )
        response["Content-Disposition"] = f'inline; filename="{dataset}.{form}"'
        response[NEXT_SINCE] = begun.next_since.isoformat(timespec="microseconds").replace("+00:00", "Z")
        response["X-Accel-Buffering"] = "no"  # a proxy passes blocks on as they come
        return response


def _place(request: Request) -> ExportPlace:
    """A place for this export. Raises `Throttled` when there is none, or the caller has one already."""
    user = request.user
    assert isinstance(user, User)
    verified = [str(one.organisation_id) for one in user.grants if one.organisation.is_verified]
    try:
        # By user and not by token: whoever may make tokens could otherwise take all places.
        return ExportPlace(f"user {user.pk}", verified, is_partner=bool(user.watched_regions))
    except CapacityReached as reached:
        raise Throttled(
            wait=BUSY_SECONDS,
            detail=_("Too many exports at once, or your last one is not read to its end."),
            code="exports_busy",
        ) from reached


def _narrowed(request: Request) -> dict[str, Any]:
    """The arguments of `pull` that the query names. Raises `ValidationError` with every wrong one."""
    found: dict[str, Any] = {"region": None, "item": None, "updated_since": None}
    errors: dict[str, list[str]] = {}
    for name, find, what in (
        ("region", find_region, _("There is no such region.")),
        ("item", find_item, _("There is no such item.")),
    ):
        # The database refuses NUL, and no code is longer than this.
        text = request.query_params.get(name)
        if text:
            found[name] = find(text) if text.isprintable() and len(text) <= 120 else None
            if found[name] is None:
                errors[name] = [what]
    if text := request.query_params.get("updated_since"):
        try:
            found["updated_since"] = parse_instant(text)
        except ValueError:
            errors["updated_since"] = [_("Write a time with its offset, such as 2026-11-30T12:00:00Z.")]
    if errors:
        raise ValidationError(errors)
    return found
