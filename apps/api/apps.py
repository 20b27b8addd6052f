"""Django's name for this app."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "apps.api"

    def ready(self) -> None:
        from apps.api.protocol import schema  # noqa: F401  # registers how the documentation describes our authentication
