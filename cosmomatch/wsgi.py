"""The WSGI application for web servers: `gunicorn -c python:apps.ops.web cosmomatch.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cosmomatch.settings")

application = get_wsgi_application()
