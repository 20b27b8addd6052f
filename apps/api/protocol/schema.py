"""How the API describes itself."""

import inspect
from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, PolymorphicProxySerializer
from rest_framework import serializers

from apps.api.protocol.preconditions import IF_MATCH


class ProblemSerializer(serializers.Serializer[Any]):
    """What went wrong, as RFC 9457 says it. Codes are stable; texts come in the language of the request."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField()
    errors = serializers.DictField(  # type: ignore[assignment]  # the metaclass takes it away
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="Messages by field; of the second line of a list: `1.quantity`; of the whole: `body`.",
    )


class Schema(AutoSchema):
    """Every operation may answer with a problem, and every POST can be repeated."""

    def get_summary(self) -> str:
        """The first sentence of the handler's docstring; of plain lists and rows, what they list and show."""
        action = getattr(self.view, "action", None) or self.method.lower()
        if text := inspect.getdoc(getattr(self.view, action, None)):
            return text.split("\n")[0].split(". ")[0].rstrip(".")
        return f"{'List' if action == 'list' else 'Show one of the'} {self._resource()}"

    def get_examples(self) -> list[OpenApiExample]:
        """What a request may hold: `EXAMPLE` of its serializer, alone or in a list."""
        if self.method not in {"POST", "PATCH"}:
            return []
        wanted: Any = self.get_request_serializer()
        if isinstance(wanted, PolymorphicProxySerializer):
            wanted = wanted.serializers[0]
        example = getattr(wanted, "EXAMPLE", None)
        return [] if example is None else [OpenApiExample("Example", value=example, request_only=True)]

    def _resolve_path_parameters(self, variables: list[str]) -> list[dict[str, Any]]:
        parameters: list[dict[str, Any]] = super()._resolve_path_parameters(variables)  # type: ignore[no-untyped-call]  # no types
        return [{"description": f"The {one['name']} that it has in answers.", **one} for one in parameters]

    def get_override_parameters(self) -> list[Any]:
        parameters = list(super().get_override_parameters())
        if self.method == "POST":
            parameters.append(
                OpenApiParameter(
                    "Idempotency-Key",
                    OpenApiTypes.STR,
                    OpenApiParameter.HEADER,
                    description="Same key and body: the same answer, done once. Same key, another body: 409.",
                )
            )
        if self.method != "GET" and "{id}" in self.path and self._is_row_with_a_tag():
            parameters.append(
                OpenApiParameter(
                    IF_MATCH,
                    OpenApiTypes.STR,
                    OpenApiParameter.HEADER,
                    description="The `ETag` of the row as you read it: 412 if it has changed since.",
                )
            )
        return parameters

    def _is_row_with_a_tag(self) -> bool:
        shown: Any = getattr(self.view, "shown", None)
        return shown is not None and "updated_at" in shown().fields

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        problem = self.resolve_serializer(ProblemSerializer, "response")
        # One entry for all errors, because they have one form.
        bodies["default"] = {
            "description": "Anything else is a problem document.",
            "content": {"application/problem+json": {"schema": problem.ref}},
        }
        return bodies

    def get_operation_id(self) -> str:
        action = getattr(self.view, "action", None) or self.method.lower()
        # Generators of clients make names of methods from it.
        return f"{self._resource()}_{action}"

    def _resource(self) -> str:
        """The `demands` of `/api/v1/demands/{id}/`."""
        return self.path.strip("/").split("/")[2] if self.path.startswith("/api/") else self.view.__class__.__name__


def one_or_many(kind: type[serializers.Serializer[Any]], name: str) -> PolymorphicProxySerializer:
    """An object, or a list of such objects."""
    return PolymorphicProxySerializer(name, [kind, kind(many=True)], resource_type_field_name=None, many=False)


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers itself when made
    target_class = "apps.api.protocol.authentication.BearerAuthentication"
    name = "token"

    def get_security_definition(self, _auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "An API token, made in the portal or at /tokens/."}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers itself when made
    target_class = "apps.api.protocol.authentication.SessionCookieAuthentication"
    name = "session"

    def get_security_definition(self, _auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}
