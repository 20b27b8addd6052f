"""Wiring only: settings, URLs, WSGI and Celery. The program itself is in `apps/`."""

# Tasks are sent through this application in every process, so it must be there once Django is.
from cosmomatch.celery import app as celery_app

__all__ = ["celery_app"]
