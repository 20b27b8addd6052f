"""What holds for every view: the caller's language, and no query parameter that the view does not know."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.utils import translation
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from apps.api.protocol.pagination import PARAMETERS
from apps.core.errors import RuleViolation

F = TypeVar("F", bound=Callable[..., Any])


def takes(*parameters: OpenApiParameter, is_paged: bool = False) -> Callable[[F], F]:
    """Declare the query parameters of a handler: they are described, and any other is refused.

    Those of a `list` are known without it, from its filters and its pages. `is_paged` is for another list of rows.
    """

    def decorate(handler: F) -> F:
        described: Any = extend_schema(parameters=list(parameters))(handler)
        names = {one.name for one in parameters if one.location == OpenApiParameter.QUERY}
        described.takes = names | set(PARAMETERS if is_paged else ())
        return handler

    return decorate


class ApiView(APIView):
    """The base of all views of the API."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.auth is not None and "Accept-Language" not in request.headers:
            # Most programs name no language. The person who set the program up reads its errors.
            translation.activate(request.auth.user.language)
        if request.method != "OPTIONS":
            self._refuse_unknown_parameters(request)

    def handle_exception(self, exc: Exception) -> Any:
        # A problem is JSON, also where the answer would have been YAML or a page.
        self.request.accepted_renderer, self.request.accepted_media_type = JSONRenderer(), JSONRenderer.media_type
        return super().handle_exception(exc)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        for name, value in getattr(request, "rate_limit_headers", {}).items():
            response[name] = value
        return response

    def _refuse_unknown_parameters(self, request: Request) -> None:
        """Raise `RuleViolation` (`unknown_parameter`) with each query parameter that has no meaning here.

        A misspelt `updated_since` that is ignored would turn a delta into everything.
        """
        known = self.known_parameters(request)
        if unknown := sorted(set(request.query_params) - known):
            raise RuleViolation.of_fields(
                {name[:60]: [_("There is no such parameter.")] for name in unknown[:10]},
                _("The address has a query parameter that has no meaning here."),
                code="unknown_parameter",
                parameters=sorted(known),
            )

    def known_parameters(self, request: Request) -> set[str]:
        """The names of the query parameters that have a meaning for this request."""
        # For HEAD, DRF calls the handler of GET.
        handler = getattr(self, (request.method or "").lower(), None)
        known = set(getattr(handler, "takes", ()))
        if getattr(self, "action", None) == "list":
            filterset: Any = getattr(self, "filterset_class", None)
            known |= {*PARAMETERS, *(filterset.base_filters if filterset else ())}
        return known
