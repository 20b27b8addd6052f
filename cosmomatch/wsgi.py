"""The WSGI application for web servers: `gunicorn -c python:apps.ops.web cosmomatch.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

from apps.ops.serving.charsets import understands_charset
from apps.ops.serving.copies import AnswersFromCopies

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cosmomatch.settings")

application = AnswersFromCopies(understands_charset(get_wsgi_application()))
