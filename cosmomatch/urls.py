"""Every address of the program, by app."""

from pathlib import Path

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("apps.ops.urls")),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("account/", include("allauth.urls")),
]

for prefix, app in (("api/v1/", "api"), ("", "portal")):
    if (Path(settings.BASE_DIR) / "apps" / app / "urls.py").exists():
        urlpatterns.append(path(prefix, include(f"apps.{app}.urls")))

# Under /api/ an error is a problem document, elsewhere a page.
handler400 = "apps.api.problems.bad_request"
handler403 = "apps.api.problems.not_allowed"
handler404 = "apps.api.problems.not_found"
handler500 = "apps.api.problems.server_error"
