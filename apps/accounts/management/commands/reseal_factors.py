from typing import Any

from django.core.management.base import BaseCommand

from apps.accounts.sealing import reseal_factors


class Command(BaseCommand):
    help = "Seal the secrets of all second factors with SECRET_KEY, before SECRET_KEY_PREVIOUS is taken away."

    def handle(self, *_args: Any, **_options: Any) -> None:
        self.stdout.write(f"{reseal_factors()} second factors are sealed with the present key.")
