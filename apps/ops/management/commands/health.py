"""`manage.py health`: what is wrong with this deployment."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from apps.ops import health


class Command(BaseCommand):
    help = "Say what is wrong with this deployment; exit status 1 if anything is."
    requires_system_checks: list[str] = []

    def handle(self, *_args: Any, **_options: Any) -> None:
        found = health.run(health.HEALTH)
        for name, problem in found.items():
            self.stdout.write(f"{'wrong' if problem else 'ok':<6}{name:<15}{problem}".rstrip())
        if any(found.values()):
            sys.exit(1)
