from django.apps import AppConfig


class MatchingConfig(AppConfig):
    name = "apps.matching"

    def ready(self) -> None:
        # Registers the terms that the policy weighs.
        from apps.matching.scoring import terms  # noqa: F401  for what it registers
