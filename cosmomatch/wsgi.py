"""The WSGI application for web servers: `gunicorn -c python:apps.ops.web cosmomatch.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

from apps.ops.serving.charsets import understands_charset

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cosmomatch.settings")

application = understands_charset(get_wsgi_application())
