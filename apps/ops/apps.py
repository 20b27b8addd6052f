"""Registers the checks of a deployment, and gives the program's role its rights after each migration."""

from typing import Any

from django.apps import AppConfig, apps
from django.db import connections, transaction
from django.db.models.signals import post_migrate

from apps.ops import roles


class OpsConfig(AppConfig):
    name = "apps.ops"

    def ready(self) -> None:
        from django_structlog.signals import bind_extra_request_metadata

        from apps.ops import checks  # noqa: F401  importing the checks registers them
        from apps.ops.serving import callers

        bind_extra_request_metadata.connect(callers.note_address)
        # Sent once for each app with tables, when all tables are there. This app has none.
        post_migrate.connect(grant_rights, sender=apps.get_app_config("core"))


def grant_rights(using: str, **_more: Any) -> None:
    """Let the program's role use the tables. Nothing, where the database has no such role (docs/operations.md)."""
    with transaction.atomic(using), connections[using].cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [roles.PROGRAM])
        if cursor.fetchone():
            cursor.execute(roles.GRANTS)
