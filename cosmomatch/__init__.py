"""Wiring: settings, addresses, the web door and the worker door. The program itself is in `apps/`."""

from cosmomatch.celery import app as celery_app

__all__ = ["celery_app"]
