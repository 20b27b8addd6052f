"""Loads before a fork what each process would load by itself, so that all of them share it."""

import gc

from django.conf import settings
from django.urls import get_resolver
from django.utils import translation


def preload() -> None:
    """Load what the first request or task would: addresses and translations. Then keep all of it from the collector."""
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            _ = get_resolver().reverse_dict
            translation.gettext("")
    # The collector writes to what it looks at, and a page that is written to is not shared any more.
    gc.collect()
    gc.freeze()
