"""`/schema/`: what the API says of itself, in OpenAPI."""

from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.utils import translation
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request

from apps.api.protocol.view import ApiView, takes

# By language and media type. The description changes only with the program, so a process keeps it.
_kept: dict[tuple[str, str], bytes] = {}


class SchemaView(ApiView, SpectacularAPIView):
    """The description of the API. Making it takes a second, so it is made once for each language."""

    permission_classes: Any = ()
    authentication_classes: Any = ()

    @extend_schema(exclude=True)
    @takes(OpenApiParameter("lang", OpenApiTypes.STR), OpenApiParameter("format", OpenApiTypes.STR))
    def get(self, request: Request, *_args: Any, **_kwargs: Any) -> HttpResponse:
        # Only languages that we have, so that nobody can fill the memory with descriptions.
        wanted = request.GET.get("lang") or ""
        language = (
            wanted if wanted in dict(settings.LANGUAGES) else translation.get_language() or settings.LANGUAGE_CODE
        )
        renderer: Any = request.accepted_renderer
        # Two requests at once may both make it, with the same result, so nothing locks.
        body = _kept.get((language, renderer.media_type))
        if body is None:
            with translation.override(language):
                generator: Any = self.generator_class(urlconf=self.urlconf)
                described = generator.get_schema(request=request, public=True)
                body = renderer.render(described, renderer_context=self.get_renderer_context())
            _kept[language, renderer.media_type] = body
        response = HttpResponse(body, content_type=renderer.media_type)
        response["Content-Disposition"] = f'inline; filename="CosmoMatch.{renderer.format}"'
        return response


class DocumentationView(ApiView, SpectacularSwaggerSplitView):
    """The description as a page to read."""

    permission_classes: Any = ()
    authentication_classes: Any = ()
    url_name = "api:schema"
    # A template of ours: the package's own has a style block, which the security policy forbids.
    template_name = "api/docs.html"

    @extend_schema(exclude=True)
    @takes(OpenApiParameter("lang", OpenApiTypes.STR), OpenApiParameter("script", OpenApiTypes.STR))
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        return super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]  # the package has no types
