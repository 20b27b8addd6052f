"""Registers the checks of a deployment."""

from django.apps import AppConfig


class OpsConfig(AppConfig):
    name = "apps.ops"

    def ready(self) -> None:
        from apps.ops import checks  # noqa: F401  importing registers them
